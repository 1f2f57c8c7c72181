"""Which functions of the library a piece of work has run, as compilers write down which files they read.

What is watched are calls, by the profiler of the standard library: it costs a few per cent of a training run
and sees everything, also what is found by name at run time. Work may contain other work: a measurement within
a page has a trace of its own, and is part of the page's.
"""

from __future__ import annotations

import cProfile
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from types import CodeType

from xsim_lib.evidence.definitions import library

__all__ = [
    "Trace",
    "begin",
    "end",
    "include",
    "paused",
    "so_far",
    "traced",
    "watch",
    "watching",
    "within",
]

# The programs around a measurement, which find, run, store, name, watch and judge it, and change no number.
_APART = (
    "xsim_lib.evidence.agreement",
    "xsim_lib.workflow.budgets",
    "xsim_lib.evidence.claims",
    "xsim_lib.evidence.chapters",
    "xsim_lib.app.cli",
    "xsim_lib.evidence.definitions",
    "xsim_lib.study.freshness",
    "xsim_lib.evidence.graph",
    "xsim_lib.evidence.hashing",
    "xsim_lib.workflow.inprocess",
    "xsim_lib.evidence.cache",
    "xsim_lib.workflow.execution",
    "xsim_lib.study.page",
    "xsim_lib.evidence.paths",
    "xsim_lib.evidence.provenance",
    "xsim_lib.workflow.publishing",
    "xsim_lib.workflow.recording",
    "xsim_lib.study.standing",
    "xsim_lib.evidence.tracing",
    "xsim_lib.evidence.yaml_files",
    "xsim_lib.workflow.verifying",
    "xsim_lib.workflow.warm",
    "xsim_lib.workflow.commands",
    "xsim_lib.papers.*.claims*",
)

_profile: cProfile.Profile | None = None
_open: list[set[str]] = []
_depths: list[int] = []  # how many calls were open when each of them began
_names: dict[tuple[str, str], str | None] = {}


class Trace:
    """The functions that some work ran; filled when the work is over.

    Attributes
    ----------
    functions : set of str
        Named as in `definitions.Definitions`.
    """

    def __init__(self, functions: Iterable[str] = ()) -> None:
        self.functions = set(functions)

    def fingerprints(self, *, without: Iterable[str] = ()) -> dict[str, str]:
        """What these functions, and the constants that they name, say today.

        Parameters
        ----------
        without : modules such as "xsim_lib.figures.plots" whose functions are left out.
        """
        apart = (*_APART, *without)
        found = library().fingerprints(f for f in self.functions if not within(f, apart))
        return {name: said for name, said in found.items() if not within(name, apart)}


@contextmanager
def traced() -> Iterator[Trace]:
    """Watch what the block runs.

    Notes
    -----
    Where another profiler is at work already, nothing can be seen: the trace is then the whole library, so that
    any change of it counts. Only the calling thread is watched.
    """
    trace = Trace()
    own = begin()
    try:
        yield trace
    finally:
        # A block may be let go of only when the garbage collector finds it: ended by others, or amid others' work.
        if any(own is work for work in _open):
            trace.functions |= end(own)


def begin() -> set[str]:
    """Start to watch; every `begin` needs its `end`, which can be told by what this returns."""
    global _profile
    if not _open:
        _forget()
        _profile = None
    _take()
    _open.append(set())
    _depths.append(len(_calls()))
    if _profile is None:
        library()  # as it stands on disk now, when it has just been loaded
        _profile = cProfile.Profile(builtins=False, subcalls=False)
        try:
            _profile.enable()
        except ValueError:  # Python 3.12 and later know one profiler at a time
            _open[-1] |= library().all_functions()
    return _open[-1]


def end(own: set[str] | None = None) -> set[str]:
    """Stop to watch; what has run since the last `begin`, which also counts as run before it.

    Parameters
    ----------
    own : what that `begin` returned, if it may not be the last one.
    """
    global _profile
    _take()
    place = len(_open) - 1 if own is None else next(i for i, w in enumerate(_open) if w is own)
    found = _open.pop(place)
    _depths.pop(place)
    if place:
        _open[place - 1] |= found
    if not _open:
        _profile.disable()
        _profile = None
    return found


def watch() -> None:
    """Start to watch unless something is being watched: a page, from its first `start` to the end of its process."""
    if not watching():
        begin()


def watching() -> bool:
    """Whether anything is being watched."""
    return bool(_open)


def so_far() -> set[str]:
    """What has run since the last `begin`, without stopping; empty if nothing is watched."""
    _take()
    return set(_open[-1]) if _open else set()


def include(functions: Iterable[str]) -> None:
    """Count work that was done earlier, and is used now, as part of what is watched.

    Parameters
    ----------
    functions : what that work ran, or its fingerprints by name.
    """
    if _open:
        _open[-1] |= library().moved(functions)


@contextmanager
def paused() -> Iterator[None]:
    """Leave out what the block runs, such as a judgement shown on a page."""
    _take()
    before = set(_open[-1]) if _open else None
    try:
        yield
    finally:
        _take()
        if before is not None:
            _open[-1].intersection_update(before)


def _forget() -> None:
    """Empty the library's own caches: what earlier work in this process left there would not be seen to run."""
    for name, module in list(sys.modules.items()):
        if name.startswith("xsim_lib."):
            for value in vars(module).values():
                # A module may hold what another one defined, such as `definitions.library`.
                if callable(getattr(value, "cache_clear", None)) and not within(
                    value.__module__, _APART
                ):
                    value.cache_clear()


def _take() -> None:
    """Add what the profiler has seen to the innermost work, and start it afresh."""
    if not _open or _profile is None:
        return
    seen = [entry.code for entry in _profile.getstats() if isinstance(entry.code, CodeType)]
    # Calls that are not over are not among the statistics, and would be forgotten by `clear`.
    seen += _calls()[_depths[-1] :]
    # Not the code itself: two functions of the same text are equal, whatever file they are in.
    places = {(code.co_filename, code.co_qualname) for code in seen}
    _open[-1] |= {name for name in map(_name, places) if name is not None}
    _profile.clear()


def _calls() -> list[CodeType]:
    """The calls that are open, the outermost first, without those of this module and of `with`."""
    found, frame = [], sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") not in (__name__, "contextlib"):
            found.append(frame.f_code)
        frame = frame.f_back
    return found[::-1]


def _name(place: tuple[str, str]) -> str | None:
    if place not in _names:
        name = library().called(*place)
        _names[place] = None if name is None or within(name, _APART) else name
    return _names[place]


def within(name: str, modules: Iterable[str]) -> bool:
    """Whether a definition, or a module, belongs to one of some modules or packages (patterns of `fnmatch`)."""
    module = name.partition(":")[0]
    # The package's own file only finds things by name; the package is everything.
    return module == "xsim_lib" or any(
        fnmatchcase(module, m) or module.startswith(f"{m}.") for m in modules
    )
