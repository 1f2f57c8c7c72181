"""Fingerprints of values and files, and writes that are all or nothing."""

import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["atomic_write", "file_sha256", "stable_hash"]

_WEEK = 7 * 24 * 3600  # seconds


def stable_hash(obj: object) -> str:
    """Hash a value by its content, the same on every machine and in every process.

    Parameters
    ----------
    obj : None, bool, int, float, str, bytes, path-free containers of them, pydantic models,
        dataclasses, NumPy scalars and arrays, or anything with ``model_dump``.
        Tuples equal lists, sets are sorted, the order of dictionary keys does not matter;
        the key ``1`` differs from the key ``"1"``.

    Returns
    -------
    64 hex digits: SHA-256 of the canonical JSON.

    Raises
    ------
    TypeError : a value of another type, named with its place in the object.
    """
    text = json.dumps(_plain(obj, "obj"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes as 64 hex digits; reads in blocks, so the size does not matter."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name next to `path`; what stands there afterwards becomes `path` in one step.

    Parameters
    ----------
    path : file or folder to write. Missing parent folders are made. A file replaces the old file; a
        folder can only appear where there is none yet (or an empty one).

    Yields
    ------
    Path : a free name in the same folder with the same suffix, for a file or a folder. If the block
        raises, whatever was written is removed and `path` keeps its old content. What a killed process
        leaves is removed by the next one that writes the same `path`; until then its name begins with
        a dot, and `paths.visible`, by which data are found, does not show it.

    Raises
    ------
    FileNotFoundError : the block ended without writing anything.

    Examples
    --------
    >>> with atomic_write("numbers.csv") as temporary:  # doctest: +SKIP
    ...     frame.to_csv(temporary)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    # The suffix is kept: several writers choose the format by it. The process is named for `_sweep`.
    process = f"{os.getpid()}-{_host()}{uuid.uuid4().hex[:8]}"
    temporary = path.with_name(f".{path.stem}.{process}.tmp{path.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise FileNotFoundError(
                f"{path.name}: nothing was written to the temporary {temporary.name}"
            )
        if temporary.is_file():
            _flush(temporary)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


def _sweep(path: Path) -> None:
    """Remove the temporaries of `path` whose processes have died.

    A number says which process it was on its own machine only. Of others, which may write to the same disk, only
    what nobody has touched for a week is removed.
    """
    name = re.compile(
        rf"\.{re.escape(path.stem)}\.(\d+)-([0-9a-f]{{4}})?[0-9a-f]{{8}}\.tmp{re.escape(path.suffix)}"
    )
    for leftover in path.parent.iterdir():
        match = name.fullmatch(leftover.name)
        if match is None:
            continue
        with suppress(OSError):  # another process may sweep too, or it is somebody else's
            if match[2] == _host():
                dead = not _runs(int(match[1]))
            else:
                dead = time.time() - leftover.stat().st_mtime > _WEEK
            if dead:
                _remove(leftover)


def _host() -> str:
    """Four hex digits that tell this machine, or container, from others."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:4]


def _runs(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere signal 0 is no question but ends the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it runs, for another user
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _plain(value: object, place: str) -> object:
    """Turn a value into what JSON can hold, without losing a distinction that matters."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if hasattr(value, "model_dump"):
        return _plain(value.model_dump(mode="json"), place)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {f.name: _plain(getattr(value, f.name), f"{place}.{f.name}") for f in fields}
    if isinstance(value, Mapping):
        return {_key(k, place): _plain(v, f"{place}[{k!r}]") for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{place}[{k}]") for k, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item, place) for item in value), key=lambda v: json.dumps(v))
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return _plain(value.tolist(), place)
    raise TypeError(
        f"{place}: cannot hash a {type(value).__name__}; expected JSON values, containers of them, "
        "pydantic models, dataclasses or NumPy arrays"
    )


def _key(key: object, place: str) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return f"{type(key).__name__}:{key!r}"
    raise TypeError(f"{place}: a {type(key).__name__} cannot be a dictionary key here; got {key!r}")


def _flush(path: Path) -> None:
    """Force the bytes to the disk, or a power cut could leave an empty file under the final name."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
