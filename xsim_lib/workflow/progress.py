"""How far a build is: one line that says what runs, how many jobs of how many are done, and how long it will take.

On a terminal the line is drawn over itself; in a log there is one line for each finished job.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from pathlib import Path
from shutil import get_terminal_size
from statistics import mean
from threading import Event, RLock, Thread
from typing import TextIO

from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.workflow.warm import FORKED

__all__ = ["Progress", "duration"]

_TAIL = 12  # lines of the log of a failed job
_NO_WORK = "book"  # the rule that only names what is wanted


def duration(seconds: float) -> str:
    """Seconds in words, such as "1 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Progress(logging.Handler):
    """Listens to the events that Snakemake logs.

    Parameters
    ----------
    build : folder of the profile's build; logs are named relative to it. The seconds that each job took
        are kept there, and the next estimate is made from them.
    jobs : how many jobs run side by side.
    stream : where the line goes.

    Attributes
    ----------
    stopped : whether the build was interrupted.
    failed : labels of the jobs that failed.
    """

    def __init__(self, build: Path, jobs: int, stream: TextIO = sys.stdout):
        super().__init__()
        self.stopped, self.failed = False, []
        self._build, self._jobs, self._stream = build, jobs, stream
        self._seconds = _read(build / "seconds.json")
        self._running: dict[int, tuple[str, str, float]] = {}
        self._started: set[str] = set()
        self._waiting: dict[str, int] = {}
        self._total = self._done = self._drawn = 0
        self._begin, self._lines, self._ended = time.monotonic(), RLock(), Event()
        if stream.isatty():
            Thread(target=self._redraw, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one event."""
        handle = getattr(self, f"_on_{getattr(record, 'event', '')}", None)
        if handle is not None and not self.stopped:
            with self._lines:
                handle(record)

    def stop(self, *_: object) -> None:
        """Interrupt the build. The jobs are interrupted, too, and it is no news that they failed."""
        self.stopped = True
        raise KeyboardInterrupt

    def close(self) -> None:
        """End the line."""
        self._ended.set()
        with self._lines:
            self._clear()
        super().close()

    # ---------------------------------------------------------------- events
    def _on_run_info(self, record: logging.LogRecord) -> None:
        self._waiting = {k: n for k, n in record.stats.items() if k not in ("total", _NO_WORK)}
        self._total = sum(self._waiting.values())

    def _on_job_info(self, record: logging.LogRecord) -> None:
        if record.rule_name == _NO_WORK:
            return
        self._running[record.jobid] = (record.rule_name, record.rule_msg, time.monotonic())
        self._started.add(record.rule_msg)
        self._waiting[record.rule_name] -= 1
        self._draw()

    def _on_job_finished(self, record: logging.LogRecord) -> None:
        if record.job_id not in self._running:
            return
        rule, label, begin = self._running.pop(record.job_id)
        seconds = time.monotonic() - begin
        self._done += 1
        self._seconds.setdefault(rule, {})[label] = round(seconds, 1)
        with atomic_write(self._build / "seconds.json") as temporary:
            temporary.write_text(json.dumps(self._seconds, indent=0), encoding="utf-8")
        if self._stream.isatty():
            self._draw()
        else:
            self._say(f"{self._count()} {label}: {duration(seconds)} ({self._clock()})")

    def _on_job_error(self, record: logging.LogRecord) -> None:
        _, label, _ = self._running.pop(record.jobid)
        self.failed.append(label)
        lines = [f"failed: {label}"]
        for name in record.log:
            log = self._build / name
            lines += [f"  {line}" for line in _tail(log)]
            lines.append(f"  the whole log: {log}")
        command = record.shellcmd.partition(" > ")[0].replace(FORKED, "xsim")
        lines.append(f"  to repeat it: {command}")
        self._say("\n".join(lines))

    # ---------------------------------------------------------------- the line
    def _count(self) -> str:
        return f"[{self._done}/{self._total}]"

    def _clock(self) -> str:
        left = self._left()
        about = "" if left is None else f", about {duration(left)} left"
        return f"{duration(time.monotonic() - self._begin)}{about}"

    def _left(self) -> float | None:
        """Seconds until the end; None as long as nothing is known."""
        now, work = time.monotonic(), 0.0
        jobs = len(self._running) + sum(self._waiting.values())
        for rule, label, begin in self._running.values():
            work += max(self._expected(rule, label) - (now - begin), 0)
        for rule, count in self._waiting.items():
            work += count * self._expected(rule)
        known = any(self._seconds.values())
        return work / max(1, min(self._jobs, jobs)) if known else None

    def _expected(self, rule: str, label: str = "") -> float:
        """What a job took the last time, or else what others took."""
        known = self._seconds.get(rule, {})
        if label in known:
            return known[label]
        # Those of this rule that have not had their turn are the likeliest to come.
        to_come = [seconds for name, seconds in known.items() if name not in self._started]
        others = [seconds for of_rule in self._seconds.values() for seconds in of_rule.values()]
        return mean(to_come or known.values() or others or [0])

    def _redraw(self) -> None:
        while not self._ended.wait(1):
            with self._lines:
                if self._running:
                    self._draw()

    def _draw(self) -> None:
        if not self._stream.isatty():
            return
        labels = ", ".join(label for _, label, _ in self._running.values())
        line = f"{self._count()} {self._clock()}: {labels}"[: get_terminal_size().columns - 1]
        self._clear()
        self._stream.write(line)
        self._stream.flush()
        self._drawn = len(line)

    def _clear(self) -> None:
        if self._drawn:
            self._stream.write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _say(self, text: str) -> None:
        self._clear()
        self._stream.write(text + "\n")
        self._stream.flush()


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no build before, or one that was cut off
        return {}


def _tail(log: Path) -> list[str]:
    """The last lines of a log, without colours and progress bars that were drawn over."""
    if not log.is_file():
        return []
    text = re.sub(r"\x1b\[[\d;]*m", "", log.read_text(encoding="utf-8", errors="replace"))
    lines = [line.rpartition("\r")[2].rstrip() for line in text.splitlines()]
    return [line for line in lines if line][-_TAIL:]
