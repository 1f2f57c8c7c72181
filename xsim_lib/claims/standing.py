"""Where the claims stand: verdicts on what this build measured and on what is recorded.

The only part of the claims that knows folders. Live records lie in ``_build/PROFILE/records``, recorded ones
in ``results/PROFILE``; both are called ``PAPER.ITEM`` with their provenance beside them.
"""

from pathlib import Path

import pandas as pd

from xsim_lib import hashing, paths, records
from xsim_lib.claims.judging import verdict_table
from xsim_lib.claims.registry import all_claims, claims_of, predicate_of
from xsim_lib.records import Records

__all__ = ["code_hash", "item_table", "measuring_modules", "verdicts"]

_MEASURING = ("zoo", "finetuning", "representations", "comparison")
_OWN = {
    "align2021": ("transfer", "kernels"),
    "emerging2020": ("alignment",),
    "parafac2023": ("factorization",),
}
# What stores, names or judges numbers does not change them, so it must not make them stale.
_BESIDE = frozenset(
    f"xsim_lib.{m}"
    for m in ("records", "tidy", "provenance", "paths", "hashing", "reported", "claims", "plots")
)


def measuring_modules(paper: str) -> tuple[str, ...]:
    """Names of the modules that decide a paper's measurements: texts, models, training, indices."""
    from xsim_lib.workflow import closure

    roots = (f"xsim_lib.{name}" for name in _MEASURING + _OWN.get(paper, ()))
    return tuple(module for module in closure(*roots) if module not in _BESIDE)


def code_hash(paper: str) -> str:
    """Hash of `measuring_modules`; recorded measurements of another hash are stale."""
    return hashing.code_hash(*measuring_modules(paper))


def item_table(paper: str, item: str, profile: str, live: Records | None) -> pd.DataFrame:
    """Judge the claims about one item on `live` records and on the recorded ones.

    Returns
    -------
    DataFrame with `VERDICT_COLUMNS`, see `verdict_table`.

    Raises
    ------
    ValueError : no claim is about the item, or a record file is damaged (named).
    """
    claims = claims_of(paper, item)
    recorded, stale = _recorded(profile)
    return verdict_table({"live": live, "recorded": recorded}, profile, stale=stale, only=claims)


def verdicts(profile: str) -> pd.DataFrame:
    """Judge all claims on what lies in the folders of a profile, see `verdict_table`."""
    live = _read_all(sorted((paths.build_dir(profile) / "records").glob("*.parquet")))
    recorded, stale = _recorded(profile)
    return verdict_table({"live": live, "recorded": recorded}, profile, stale=stale)


def _recorded(profile: str) -> tuple[Records | None, set[str]]:
    """The recorded measurements, and the provenance ids of those whose code has changed."""
    files = _known(sorted(paths.results_dir(profile).glob("*.csv")))
    stale: set[str] = set()
    current = {paper: code_hash(paper) for paper in {_paper(file) for file in files}}
    for file in files:
        if records.is_stale(records.read_provenance(file), current[_paper(file)]):
            stale.update(records.read(file).unique("provenance"))
    return _read_all(files), stale


def _read_all(files: list[Path]) -> Records | None:
    found = [records.read(file) for file in _known(files)]
    return records.merge(found) if found else None


def _paper(file: Path) -> str:
    return file.name.partition(".")[0]


def _known(files: list[Path]) -> list[Path]:
    """Only files of items that a claim reads: learning-rate sweeps lie in the same folder."""
    items = {f"{claim.paper}.{claim.item}" for claim in all_claims()}
    for claim in all_claims():
        predicate = predicate_of(claim)
        items |= {f"{claim.paper}.{item}" for item in (predicate.items if predicate else ())}
    return [file for file in files if file.stem in items]
