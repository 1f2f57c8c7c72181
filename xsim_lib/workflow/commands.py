"""The commands behind `make book`, `make notebook` and `make record`: run the graph, then say what came out."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout

from xsim_lib.evidence import paths
from xsim_lib.evidence.graph import Graph
from xsim_lib.workflow import budgets, warm
from xsim_lib.workflow.progress import Progress, duration

__all__ = ["make"]


def make(arguments: list[str] | None = None) -> int:
    """``python -m xsim_lib.workflow.commands book|notebook|record``; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="xsim_lib.workflow.commands", description=__doc__.splitlines()[0]
    )
    parser.add_argument("command", choices=("book", "notebook", "record"))
    parser.add_argument("name", nargs="?", help="the notebook, such as anc2022/fig1_cka_failure")
    parser.add_argument("--profile", default="mini")
    parser.add_argument("--seeds", type=int, default=5, help="record: seeds 1..SEEDS")
    parser.add_argument("--tables", default="", help="record: only these, such as anc2022.fig4")
    parser.add_argument(
        "--jobs", type=_jobs, default="all", help="one thread each: a number, or all"
    )
    options = parser.parse_args(arguments)
    try:
        graph = Graph(options.profile)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    first = not (graph.build / "html").exists()  # has something to do, surely
    with warm.started(at_once=first and options.command == "book"):
        return _made(options, graph)


def _made(options: argparse.Namespace, graph: Graph) -> int:
    begin, began = time.monotonic(), time.time()
    try:
        target = _target(options, graph)
        if options.command == "record" and not _announced(options):
            return 0
    except (ValueError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    build = graph.build
    build.mkdir(parents=True, exist_ok=True)
    # Our own lock, because it dies with its process: after kill -9 the next build simply goes on.
    try:
        with FileLock(build / ".lock", timeout=0):
            code = _run(options, build, target)
    except Timeout:
        print(f"another build of profile {options.profile} is running in {build}", file=sys.stderr)
        return 1
    took = duration(time.monotonic() - begin)
    if code:
        print(f"\nnot finished after {took}; the logs are in {build / 'logs'}", file=sys.stderr)
        return code
    _report(options, build, took, began)
    return 0


def _announced(options: argparse.Namespace) -> bool:
    """Say what recording will measure and what it will cost; whether there is anything to measure."""
    from xsim_lib.workflow import recording, recording_costs

    if options.seeds < 1:
        raise ValueError(f"SEEDS: expected at least 1, got {options.seeds}")
    seeds = range(1, options.seeds + 1)
    jobs = recording.unmeasured(options.profile, seeds, options.tables)
    if not jobs:
        place = paths.results_dir(options.profile)
        print(f"nothing to measure: all {options.seeds} seeds are there and count today; {place}")
        return False
    for line in recording_costs.outlook(jobs, options.profile, options.jobs):
        print(line, flush=True)
    return True


def _jobs(text: str) -> int:
    if text == "all":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of jobs, or all; got {text!r}")
    return int(text)


def _target(options: argparse.Namespace, graph: Graph) -> str:
    known = graph.notebooks
    for (
        name
    ) in known:  # here, because Snakemake would wrap what is wrong with the settings in a traceback
        graph.markers(name)
    if options.command != "notebook":
        return options.command
    if options.name not in known:
        raise ValueError(f"NB: expected one of {', '.join(known)}; got {options.name!r}")
    return f"notebooks/{options.name}.ipynb"


def _run(options: argparse.Namespace, build: Path, target: str) -> int:
    """Let Snakemake do what has to be done. It runs in this process, where its events can be listened to."""
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.enums import RerunTrigger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        ExecutionSettings,
        OutputSettings,
        ResourceSettings,
    )

    log = build / "logs" / "snakemake.log"
    log.parent.mkdir(exist_ok=True)
    with (
        open(log, "w", encoding="utf-8") as stream,
        SnakemakeApi(OutputSettings(nocolor=True, enable_file_logging=False)) as api,
    ):
        for handler in logger.handlers:
            handler.setStream(stream)
        progress = Progress(build, options.jobs)
        logger.addHandler(progress)
        signal.signal(signal.SIGINT, progress.stop)
        try:
            api.workflow(
                ResourceSettings(cores=options.jobs),
                ConfigSettings(config=_config(options)),
                snakefile=paths.root() / "Snakefile",
                workdir=build,
            ).dag(
                # Stamps know what has changed. A build that was interrupted goes on.
                DAGSettings(
                    targets={target},
                    rerun_triggers={RerunTrigger.MTIME},
                    force_incomplete=True,
                )
            ).execute_workflow(execution_settings=ExecutionSettings(keep_going=True, lock=False))
        except (Exception, KeyboardInterrupt) as error:
            if progress.stopped:
                print("stopped; the same command goes on from here", file=sys.stderr)
                return 130
            api.print_exception(error)  # into the log
            if not progress.failed:
                print(error, file=sys.stderr)
            return 1
    return 0


def _config(options: argparse.Namespace) -> dict[str, object]:
    return {"profile": options.profile, "seeds": options.seeds, "tables": options.tables}


def _report(options: argparse.Namespace, build: Path, took: str, began: float) -> None:
    if options.command == "notebook":
        print(f"\n{build / 'notebooks' / options.name}.ipynb ({took})")
        return
    if options.command == "record":
        print(f"\n{paths.results_dir(options.profile)} ({took})")
        return
    from xsim_lib.book.pages import read_verdicts, summary_lines

    print()
    for line in summary_lines(read_verdicts(build / "verdicts.csv")):
        print(line)
    for line in budgets.overrun(Graph(options.profile), since=began):
        print(line)
    print(f"\nbook: {build / 'html' / 'index.html'} ({took}, profile {options.profile})")


if __name__ == "__main__":
    raise SystemExit(make())
