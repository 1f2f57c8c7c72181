"""Measuring the pages over several seeds: what is still to do, what it will cost, and one seed of one page.

A job is one seed of one page. It publishes each of its tables as soon as it is done (`publishing`), so recording
may be stopped in any way and goes on where it was.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xsim_lib.evidence import claims, graph, paths
from xsim_lib.evidence.agreement import Table
from xsim_lib.evidence.definitions import library
from xsim_lib.study import freshness, profiles
from xsim_lib.study.page import defaults
from xsim_lib.workflow import execution, publishing
from xsim_lib.workflow.publishing import Standing
from xsim_lib.workflow.verifying import check_table, recording_to

__all__ = ["Measurement", "marker", "measure_seed", "pages_of_tables", "parameters", "unmeasured"]


class Measurement(NamedTuple):
    """One seed of one page, such as seed 3 of "anc2022/fig4_anc_normalisation"."""

    page: graph.Notebook
    seed: int


def pages_of_tables(tables: str = "") -> list[graph.Notebook]:
    """The pages that make some tables.

    Parameters
    ----------
    tables : items such as "anc2022.fig4" or notebooks such as "anc2022/fig4_anc_normalisation", between
        spaces or commas; by default all that a claim is about.

    Raises
    ------
    ValueError : no page makes such a table; lists what there is.
    """
    known = [page for page in graph.all_notebooks() if page.items]
    wanted = re.split(r"[\s,]+", tables.strip()) if tables.strip() else []
    for name in wanted:
        if not any(name in (page.name, *page.items) for page in known):
            items = ", ".join(item for page in known for item in page.items)
            raise ValueError(f"table: expected any of {items}, or a notebook; got {name!r}")
    if not wanted:
        return [page for page in known if any(_is_judged(item) for item in page.items)]
    return [page for page in known if {page.name, *page.items} & set(wanted)]


def parameters(page: graph.Notebook, profile: str) -> dict[str, Any]:
    """What a page is recorded with; it may measure more than a live build has time for."""
    recorded = profiles.paper_settings(page.paper, profile).recorded
    return {"profile": profile, **recorded.get(page.path.stem, {})}


def unmeasured(profile: str, seeds: Sequence[int], tables: str = "") -> list[Measurement]:
    """Jobs that are left to do. What was measured, but not published before a process died, is published now."""
    todo = []
    for page in pages_of_tables(tables):
        standing = _publish(page, profile)
        todo += [
            Measurement(page, seed)
            for seed in seeds
            if not all(seed in one.seeds for one in standing)
        ]
    return todo


def measure_seed(job: Measurement, profile: str, *, again: bool = False) -> Iterator[str]:
    """Measure one seed of a page, unless that is done, and publish its tables.

    Parameters
    ----------
    again : measure it also if it counts already, and put it in the place of what was recorded of this seed. A
        recorded table of which it was a part is then checked by it, as by `xsim verify`.

    Yields
    ------
    str : one line per table: what its state is now.
    """
    begun = time.monotonic()
    folder = publishing.recording_folder(profile) / "measured" / str(job.seed)
    if again or job in unmeasured(profile, [job.seed], job.page.name):
        given = parameters(job.page, profile) | {"seeds": [job.seed]}
        with recording_to(folder):
            execution.execute(job.page.name, given, output=folder / f"{job.page.name}.ipynb")
        library.cache_clear()  # what counts is the code that stands there now, perhaps hours later
    if again:
        files = (paths.results_dir(profile) / f"{table}.csv" for table in job.page.items)
        for file in (file for file in files if file.is_file()):
            yield check_table(file, Table.read(folder / f"{file.stem}.parquet"))
    seconds = time.monotonic() - begun
    for standing in _publish(job.page, profile):
        yield f"{standing.table}, seed {job.seed} ({seconds:.0f} s): {_told(standing, job.seed, profile)}"


def marker(job: Measurement, profile: str) -> Path:
    """The file that tells the graph that a job is done."""
    return publishing.recording_folder(profile) / "done" / f"{job.page.name}.{job.seed}"


# ---------------------------------------------------------------- what counts
def _publish(page: graph.Notebook, profile: str) -> list[Standing]:
    asked, own = parameters(page, profile), defaults(page.path)
    wider = {k: v for k, v in asked.items() if k != "profile" and v != own.get(k)}

    def counts(made: Mapping) -> bool:
        """Whether a seed was measured, or its table was last verified, as it would be measured today."""
        basis = made["checks"][-1] if made.get("checks") else made
        given = {k: v for k, v in made["parameters"].get("page", wider).items() if k != "seeds"}
        # A table from before tables said what they depend on cannot tell, until it is verified.
        known = "trace" in basis and given == wider
        return known and not freshness.changes({**basis, "parameters": made["parameters"]})

    return [publishing.publish(table, profile, counts) for table in page.items]


def _is_judged(item: str) -> bool:
    try:
        claims.claims_of(*item.split(".", 1))
    except ValueError:
        return False
    return True


def _told(standing: Standing, seed: int, profile: str) -> str:
    """What has become of a measurement, in words."""
    place = paths.results_dir(profile).relative_to(paths.root()).as_posix()
    seeds = ", ".join(map(str, standing.seeds))
    if seed not in standing.seeds:
        return "not published: the code, the settings or the page have changed since it was begun"
    if standing.earlier:
        n = len(standing.earlier)
        return f"kept beside the {n} seeds of an earlier state in {place}, until {n} are measured (now: {seeds})"
    return f"{place} holds seeds {seeds}"
