"""One cache of finished work: kept under what decides it, with a trace of the code that made it.

The key of an entry is what the work was given: settings, text, weights and the tokenizer's rules. The code is no
part of the key. Each entry says instead which functions ran and what they said; where one of them says something
else today the entry does not count, and the work is done again. So moving or rewording code keeps the cache, and
changing what it computes does not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from filelock import FileLock

from xsim_lib.evidence import paths, tracing
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.hashing import atomic_write, stable_hash

__all__ = ["cached_arrays", "cached_folder", "cached_rows", "is_current", "stamp_finished"]

_TRACE = ".trace.json"


def cached_rows(kind: str, key: Mapping, make: Callable[[], list[dict]]) -> list[dict]:
    """Return the rows that `make` gives for this key, made once.

    Parameters
    ----------
    kind : folder of the cache, such as "scores".
    key : everything that decides the rows but the code, see `stable_hash`.
    make : gives rows of JSON values.
    """

    def write(path: Path) -> None:
        path.write_text(json.dumps(make(), indent=1), encoding="utf-8")

    path = _once(kind, key, ".json", write)
    return json.loads(path.read_text(encoding="utf-8"))


def cached_arrays(
    kind: str, key: Mapping, make: Callable[[], Mapping[str, object]]
) -> dict[str, np.ndarray]:
    """Return the arrays that `make` gives for this key, made once; see `cached_rows`."""
    path = _once(kind, key, ".npz", lambda temporary: np.savez(temporary, **make()))
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def cached_folder(kind: str, key: Mapping, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills (it gets the path of a folder that does not exist yet), once; see `cached_rows`."""
    return _once(kind, key, "", make)


def is_current(path: Path) -> bool:
    """Whether finished work stands at `path`, made by code that says the same today; counts as run then."""
    if not path.exists():
        return False
    try:
        trace = json.loads(_beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if library().changed(trace):
        return False
    tracing.include(trace)
    return True


def stamp_finished(path: Path, trace: tracing.Trace) -> None:
    """Write down the code that made what stands at `path`. The last thing to do: without it nothing counts."""
    with atomic_write(_beside(path)) as temporary:
        temporary.write_text(json.dumps(trace.fingerprints(), indent=0), encoding="utf-8")


def _once(kind: str, key: Mapping, suffix: str, write: Callable[[Path], object]) -> Path:
    path = paths.cache_dir() / kind / f"{stable_hash(key)[:24]}{suffix}"
    if is_current(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if not is_current(path):  # another process may have made it meanwhile
            _beside(path).unlink(missing_ok=True)
            if path.is_dir():
                shutil.rmtree(path)
            with tracing.traced() as trace, atomic_write(path) as temporary:
                write(temporary)
            stamp_finished(path, trace)
    return path


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}{_TRACE}")
