"""Whether a recorded table still says what today's code measures.

The hash of the code is strict: it changes with every line that could change a number, whether it does or not.
So a table of another hash gets a second chance. Where this build has measured one of its seeds again and
every value repeats, the table is *repeated*, and as good as current. Otherwise it is *stale*.
"""

from functools import cache
from pathlib import Path

from xsim_lib import hashing, paths, records
from xsim_lib.records import KEY, Records

__all__ = [
    "CURRENT", "REPEATED", "STALE", "code_hash", "currency", "measuring_modules", "repeats",
]  # fmt: skip

CURRENT, REPEATED, STALE = "current", "repeated", "stale"
TOLERANCE = 1e-4  # relative for values above 1; recorded tables keep six digits

_MEASURING = ("zoo", "finetuning", "representations", "comparison")
_OWN = {
    "align2021": ("transfer", "kernels"),
    "emerging2020": ("ablations", "alignment", "exchange", "joining"),
    "parafac2023": (
        *("experimental", "factorization", "language_properties", "language_trees"),
        *("lexical_overlap", "signature_run", "variances"),
    ),
}
# What stores, names or judges numbers does not change them, so it must not make them stale. Settings do, but
# they stand in a table of their own, and the settings of another chapter do not.
_BESIDE = frozenset(
    f"xsim_lib.{m}"
    for m in (
        *("records", "tidy", "provenance", "paths", "hashing", "reported", "claims", "plots"),
        *("experiment", "profiles"),
    )
)


def measuring_modules(paper: str) -> tuple[str, ...]:
    """Names of the modules that decide a paper's measurements: texts, models, training, indices."""
    from xsim_lib.workflow import closure

    roots = (f"xsim_lib.{name}" for name in _MEASURING + _OWN.get(paper, ()))
    return closure(*roots, outside=_BESIDE)


def code_hash(paper: str) -> str:
    """Hash of `measuring_modules`; recorded measurements of another hash are stale."""
    return hashing.code_hash(*measuring_modules(paper))


def currency(file: Path, *, live: Records | None = None) -> str:
    """Tell how far a recorded table can be trusted.

    Parameters
    ----------
    file : ``results/PROFILE/PAPER.ITEM.csv`` with its provenance beside it.
    live : what this build measured for the item; None looks into ``_build/PROFILE/records``.

    Returns
    -------
    "current" (made by the code of today), "repeated" (by other code, but a seed measured again by this
    build has the same values) or "stale".
    """
    made = records.read_provenance(file)
    if not records.is_stale(
        made, _current_code(file.name.partition(".")[0], sweep=".sweep." in file.name)
    ):
        return CURRENT
    if live is None:
        path = paths.build_dir(file.parent.name) / "records" / f"{file.stem}.parquet"
        live = records.read(path) if path.exists() else None
    return REPEATED if live is not None and repeats(records.read(file), live) else STALE


def repeats(recorded: Records, live: Records) -> bool:
    """Tell whether what both tables hold is the same, seed by seed, and that is enough to go by.

    A live table may hold more (a variant that was added since) or less (a recorded run may measure more
    languages or models than a live build has time for), but every recorded metric must be among what
    is compared. Values may differ by 1e-4, or by that share of them where they are larger than 1.
    """
    shared = set(recorded.seeds) & set(live.seeds)
    if not shared:
        return False
    ours = recorded.select(seed=sorted(shared)).frame
    found = ours.merge(live.frame, on=list(KEY), suffixes=("", "_live"))
    if set(found["metric"]) != set(ours["metric"]):
        return False
    difference = (found["value"] - found["value_live"]).abs()
    return bool((difference <= TOLERANCE * found["value"].abs().clip(lower=1)).all())


@cache
def _current_code(paper: str, *, sweep: bool) -> str:
    """Hash of the code a table depends on; a sweep only trains, so measuring code does not age it."""
    if sweep:
        from xsim_lib.zoo import CODE  # here, because it loads torch

        return hashing.code_hash(*CODE)
    return code_hash(paper)
