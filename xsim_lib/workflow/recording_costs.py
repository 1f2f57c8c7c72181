"""What recording will cost, from what it has cost before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from xsim_lib.evidence import paths
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.graph import Notebook
from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.study import profiles
from xsim_lib.workflow import publishing
from xsim_lib.workflow.recording import Measurement

__all__ = ["outlook"]

_SEEDS = range(10)  # where to look for a model that was trained before, but from another seed


def outlook(jobs: Sequence[Measurement], profile: str, workers: int) -> Iterator[str]:
    """Say what is to be measured, page by page, and how long it will take.

    Parameters
    ----------
    jobs : see `recording.unmeasured`.
    workers : how many jobs run at the same time.

    Notes
    -----
    A page takes per seed what its tables say that it took, a model what an equal one of any seed took to train.
    Where there is neither, the answer is "unknown", and the sum leaves it out.
    """
    pages: dict[Notebook, list[int]] = {}
    for page, seed in jobs:
        pages.setdefault(page, []).append(seed)
    costs = []
    for page, seeds in pages.items():
        each = _measuring(page, profile)
        costs += [each] * len(seeds)
        told = "unknown" if each is None else f"about {_rounded(each)} a seed"
        plural = "s" if len(seeds) > 1 else ""
        yield f"{page.name}, seed{plural} {', '.join(map(str, seeds))}: {told}"
    training = _training(jobs, profile)
    known = [cost for cost in costs + training if cost is not None]
    # One job is not done faster by two.
    least = max(sum(known) / workers, max(known)) if known else None
    total = f"about {_rounded(least)}" if known else "unknown"
    yield (
        f"{_counted(costs, 'measurement')}, {_counted(training, 'model')} to train before: "
        f"{total} with {workers} at a time"
    )


def _measuring(page: Notebook, profile: str) -> float | None:
    """Seconds that one seed of a page takes; its tables are measured side by side."""
    found = []
    for table in page.items:
        parts = publishing.recorded_parts(table, profile)
        runs = [run for part in parts for run in publishing.runs(part.made).values()]
        known = [run["seconds"] for run in runs if run.get("seconds") is not None]
        found += [sum(known) / len(known)] if known else []
    return max(found, default=None)


def _training(jobs: Sequence[Measurement], profile: str) -> list[float | None]:
    """Seconds of every model that has to be trained first; None where no such model was ever trained here."""
    known = _checkpoints()
    costs = []
    for paper, seed in sorted({(page.paper, seed) for page, seed in jobs}):
        settings = profiles.paper_settings(paper, profile)
        for model in settings.trained:
            own = known.get(_key(settings, model, seed))
            if own is not None and not library().changed(own["trace"]):
                continue
            others = (known.get(_key(settings, model, other)) for other in _SEEDS)
            like = own or next(filter(None, others), None)
            costs.append(like["seconds"] if like else None)
    return costs


def _checkpoints() -> dict[str, dict]:
    """Provenance of every model in the cache, by what it was specified as."""
    found = {}
    for file in paths.visible(paths.cache_dir() / "zoo", "*/provenance.json"):
        made = {
            "trace": {"": ""},
            **json.loads(file.read_text(encoding="utf-8")),
        }  # older ones have none
        found[stable_hash({**made["parameters"], "n_parameters": None})] = made
    return found


def _key(settings: profiles.PaperSettings, model: str, seed: int) -> str:
    return stable_hash({**settings.spec(model, seed).model_dump(mode="json"), "n_parameters": None})


def _counted(costs: Sequence[float | None], noun: str) -> str:
    unknown = costs.count(None)
    beside = f" ({unknown} of unknown cost, left out)" if unknown else ""
    return f"{len(costs)} {noun}{'s' if len(costs) != 1 else ''}{beside}"


def _rounded(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
