"""Recorded tables that grow seed by seed: which measurements stand side by side, and what is said of each.

A table is published as ``results/PROFILE/PAPER.ITEM.csv``. Its seeds are measured one at a time, each into
``_build/PROFILE/recording/measured/SEED``, and stay there until the same seed has been measured again. What a table
holds is decided anew whenever a seed is done: all seeds that count today, wherever they lie. So nothing is lost where
a process dies, and seeds of two states of the code, the settings or the text are never mixed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from xsim_lib.evidence import paths, records
from xsim_lib.evidence.agreement import CONTRADICTED
from xsim_lib.evidence.hashing import atomic_write, file_sha256, stable_hash
from xsim_lib.evidence.records import Records

__all__ = [
    "RecordedPart",
    "Standing",
    "publish",
    "recorded_parts",
    "recording_folder",
    "runs",
    "together",
]

# Of the table as a whole; everything else in its provenance is said of its seeds.
_OF_TABLE = ("checks", "records_sha256", "runs", "seeds", "trace")
# Of one seed, also where two happen to agree.
_OF_SEED = ("cpu_seconds", "created", "id", "seconds")


@dataclass(frozen=True)
class RecordedPart:
    """Some seeds of a table: the file they are in, and the provenance of that file."""

    path: Path
    made: Mapping
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Standing:
    """Where a table stands: seeds that count today, and those of an earlier state that are published still."""

    table: str
    seeds: tuple[int, ...]
    earlier: tuple[int, ...] = ()


def recording_folder(profile: str) -> Path:
    """Where everything about the recording of a profile is kept."""
    return paths.build_dir(profile) / "recording"


def recorded_parts(table: str, profile: str) -> list[RecordedPart]:
    """Every file that holds seeds of a table, newest first: the published one, measurements, replaced tables.

    A file that a dying process left without its provenance is none.
    """
    kept = [
        *paths.visible(recording_folder(profile), f"measured/*/{table}.parquet"),
        *paths.visible(recording_folder(profile), f"replaced/*/{profile}/{table}.csv"),
    ]
    # Sorting is stable: what is published comes before the measurement that it was made from.
    parts = [part for path in (_published(table, profile), *sorted(kept)) for part in _read(path)]
    return sorted(parts, key=lambda part: part.made["created"], reverse=True)


def publish(table: str, profile: str, counts: Callable[[Mapping], bool]) -> Standing:
    """Publish whatever seeds of a table count today; there may be nothing to do.

    Parameters
    ----------
    table : such as "anc2022.fig4".
    counts : tells of a provenance whether what it belongs to would be measured the same way today.

    Notes
    -----
    A published table that no longer counts gives way once as many seeds count again, and is kept in
    ``recording/replaced``. Several processes may publish at the same time.
    """
    path = _published(table, profile)
    lock = recording_folder(profile) / "locks" / table
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        standing = next(iter(_read(path)), None)
        found = recorded_parts(table, profile)
        wrong = _contradicted(found)
        parts = _alike([p for p in found if p.made["created"] > wrong and counts(p.made)])
        seeds = tuple(sorted(seed for part in parts for seed in part.seeds))
        grows = any(part.path == path for part in parts)
        earlier = () if standing is None or grows else standing.seeds
        if not seeds or len(seeds) < len(earlier):
            return Standing(table, seeds, earlier)
        if len(parts) == 1 and grows:  # nothing is new
            return Standing(table, seeds)
        replaced = _set_aside(path, profile)
        made = together(parts)
        rows = [records.read_records(part.path).select(seed=list(part.seeds)) for part in parts]
        frame = records.merge_records(rows).frame.sort_values("seed", kind="stable")
        # The rows of all seeds share the provenance that is committed with them.
        records.write_records(Records(frame.assign(provenance=made["id"])), path, made)
        if grows and len(seeds) > len(standing.seeds):  # all of it is in the new one
            shutil.rmtree(replaced)
    return Standing(table, seeds)


def runs(made: Mapping) -> dict[int, dict]:
    """The provenance of every seed of a table, whole but for the trace, of which there is a digest.

    Tables from before seeds had one of their own give each seed what they say of all, and its share of the time.
    """
    shared = {key: value for key, value in made.items() if key not in _OF_TABLE}
    shared["parameters"] = _parameters(made)
    if "runs" in made:
        own = {*_OF_SEED, *(key for run in made["runs"].values() for key in run)}
        shared = {key: value for key, value in shared.items() if key not in own}
        return {int(seed): shared | own for seed, own in made["runs"].items()}
    if "trace" in made:
        shared["trace"] = stable_hash(made["trace"])[:16]
    for time in ("seconds", "cpu_seconds"):
        if made.get(time) is not None:
            shared[time] = round(made[time] / len(made["seeds"]), 1)
    return {seed: dict(shared) for seed in made["seeds"]}


def together(parts: Sequence[RecordedPart]) -> dict:
    """One provenance for a table out of those of its parts, whatever they say.

    Returns
    -------
    dict with what is the same for all seeds, and under ``runs`` what each seed says for itself. Mappings that do
    not contradict each other, such as the weights of every seed's models, are also joined; the trace is that of
    all parts. The time is that of all seeds, the date that of the last one.
    """
    own = {seed: runs(part.made)[seed] for part in parts for seed in part.seeds}
    own = dict(sorted(own.items()))
    shared, joined = {}, {}
    for key in sorted({key for run in own.values() for key in run if key not in _OF_SEED}):
        values = [run.get(key) for run in own.values()]
        if all(value == values[0] for value in values):
            shared[key] = values[0]
        elif all(isinstance(value, Mapping) for value in values) and _agree(values):
            joined[key] = {name: item for value in values for name, item in value.items()}
    shared.pop("trace", None)
    trace = {name: says for part in parts for name, says in part.made.get("trace", {}).items()}
    checks = [check for part in parts for check in part.made.get("checks", [])]
    times = {name: [run.get(name) for run in own.values()] for name in ("seconds", "cpu_seconds")}
    return {
        **shared,
        **joined,
        "id": stable_hash([[seed, run["id"]] for seed, run in own.items()])[:12],
        "created": max(run["created"] for run in own.values()),
        **{k: None if None in v else round(sum(v), 1) for k, v in times.items()},
        "seeds": list(own),
        "parameters": {**(shared | joined)["parameters"], "seeds": list(own)},
        "runs": {
            str(seed): {key: value for key, value in run.items() if key not in shared}
            for seed, run in own.items()
        },
        **({"trace": dict(sorted(trace.items()))} if trace else {}),
        **({"checks": checks} if checks else {}),
    }


def _contradicted(parts: Sequence[RecordedPart]) -> str:
    """When a table was last found not to repeat: nothing that was measured before counts, wherever it lies."""
    last = [part.made["checks"][-1] for part in parts if part.made.get("checks")]
    return max((check["date"] for check in last if check["outcome"] == CONTRADICTED), default="")


def _alike(parts: Sequence[RecordedPart]) -> list[RecordedPart]:
    """Those that were given the same, text and parameters, as the newest of them; every seed once."""
    found: list[RecordedPart] = []
    for part in parts:
        known = {seed for other in found for seed in other.seeds}
        seeds = tuple(seed for seed in part.seeds if seed not in known)
        if seeds and _agree([_given(one.made) for one in (*found, part)]):
            found.append(RecordedPart(part.path, part.made, seeds))
    return found


def _given(made: Mapping) -> dict:
    return made.get("text", {}) | {("parameter", k): v for k, v in _parameters(made).items()}


def _parameters(made: Mapping) -> dict:
    """All but the seeds, which also stand among what the page was given."""
    found = {name: value for name, value in made["parameters"].items() if name != "seeds"}
    if "page" in found:
        found["page"] = {name: value for name, value in found["page"].items() if name != "seeds"}
    return found


def _agree(mappings: Sequence[Mapping]) -> bool:
    """Whether no two of them give one name two values."""
    joined: dict = {}
    return all(
        joined.setdefault(name, item) == item for one in mappings for name, item in one.items()
    )


def _published(table: str, profile: str) -> Path:
    return paths.results_dir(profile) / f"{table}.csv"


def _read(path: Path) -> list[RecordedPart]:
    try:
        made = records.read_provenance(path)
    except (FileNotFoundError, ValueError):
        return []
    return [RecordedPart(path, made, tuple(made["seeds"]))]


def _set_aside(path: Path, profile: str) -> Path | None:
    """Keep a published table, whatever its state, before another one takes its place."""
    if not path.exists():
        return None
    kept = recording_folder(profile) / "replaced" / file_sha256(path)[:12]
    for file in (path, path.with_name(f"{path.name}.json")):
        if file.exists():
            with atomic_write(kept / profile / file.name) as temporary:
                shutil.copyfile(file, temporary)
    return kept
