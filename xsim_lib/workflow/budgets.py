"""What the pages of a live build cost, and which of them cost more than their budget.

A budget is CPU-seconds of the machine that budgets were set on. Machines differ, so what a page has cost is
divided by what a fixed piece of work, timed in the same build, costs here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xsim_lib.evidence.graph import Graph, Job
from xsim_lib.evidence.hashing import atomic_write

__all__ = ["BUDGET", "REFERENCE", "calibration", "cost_written", "costs", "overrun"]

BUDGET = 25.0
"""CPU-seconds of a page for which the settings name no budget of its own."""

REFERENCE = 0.25
"""CPU-seconds that `calibration` takes on the machine that budgets were set on."""


@contextmanager
def cost_written(job: Job) -> Iterator[None]:
    """Write down what the block, which executes a page, costs in CPU-seconds, its child processes included."""
    before = _used()
    yield
    with atomic_write(_file(job)) as temporary:
        temporary.write_text(json.dumps({"cpu_seconds": round(_used() - before, 1)}), "utf-8")


def costs(graph: Graph, since: float = 0.0) -> dict[str, float]:
    """CPU-seconds of the pages that were executed after a time (`time.time`), by name of the notebook."""
    files = {name: _file(graph.page(name)) for name in graph.notebooks}
    return {
        name: json.loads(file.read_text(encoding="utf-8"))["cpu_seconds"]
        for name, file in files.items()
        if file.is_file() and file.stat().st_mtime >= since
    }


def overrun(graph: Graph, since: float) -> list[str]:
    """Lines to read: what the pages that were executed after `since` cost, and those over their budget."""
    found = costs(graph, since)
    if not found:
        return []
    speed = calibration() / REFERENCE
    lines = [
        f"{len(found)} pages: {sum(found.values()):.0f} CPU-seconds "
        f"(a CPU-second here is {1 / speed:.2f} of those that budgets are counted in)"
    ]
    over = {
        name: cost / speed for name, cost in found.items() if cost / speed > _budget(graph, name)
    }
    lines += [
        f"over budget: {name}, {cost:.0f} of {_budget(graph, name):.0f}"
        for name, cost in sorted(over.items(), key=lambda item: -item[1])
    ]
    return lines


def calibration() -> float:
    """CPU-seconds of a fixed piece of work here: half of it Python, half of it small products of matrices."""
    import numpy as np

    begin = time.process_time()
    total, matrix = 0, np.full((64, 64), 1 / 64)
    for k in range(4_000_000):
        total += k & 7
    for _ in range(12_000):
        matrix = matrix @ matrix
    return time.process_time() - begin


def _budget(graph: Graph, name: str) -> float:
    return graph.live(name).get("budget", BUDGET)


def _file(job: Job) -> Path:
    return job.build / "costs" / f"{job.name}.json"


def _used() -> float:
    """CPU-seconds of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
