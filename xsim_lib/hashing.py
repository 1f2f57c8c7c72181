"""Fingerprints of code, settings and files, and writes that are all or nothing.

A record says which code and which data made it. The hash of code must therefore ignore what cannot
change a number (comments, docstrings, formatting) and must be the same on every Python we support.
"""

import ast
import dataclasses
import hashlib
import importlib.util
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write", "code_hash", "file_sha256", "stable_hash"]


def code_hash(*module_names: str) -> str:
    """Hash what modules do, not how they are written.

    Parameters
    ----------
    *module_names : str
        Dotted names such as ``"xsim_lib.similarity"``. A package stands for all its ``.py`` files, at
        any depth. Order and repetition do not matter. Nothing is imported but the namespace is
        looked up, so hashing a module that needs torch does not load torch.

    Returns
    -------
    64 hex digits: SHA-256 over the file names and their syntax trees without docstrings.

    Raises
    ------
    ValueError : no name given, or no Python source stands behind a name.
    """
    if not module_names:
        raise ValueError("module_names: expected at least one dotted module name, got none")
    sources: dict[str, Path] = {}
    for name in module_names:
        sources.update(_sources(name))
    digest = hashlib.sha256()
    for name in sorted(sources):
        tree = ast.parse(sources[name].read_text(encoding="utf-8"), filename=sources[name].name)
        digest.update(f"{name}\n{_normalised(tree)!r}\n".encode())
    return digest.hexdigest()


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
        raises, whatever was written is removed and `path` keeps its old content.

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
    # The suffix is kept: several writers choose the format by it.
    temporary = path.with_name(
        f".{path.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp{path.suffix}"
    )
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
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _sources(name: str) -> dict[str, Path]:
    """Dotted name -> file, found along the folders because `find_spec` would import the parents."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top) if top else None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ValueError(f"module_names: no Python source for {name!r} ({top!r} was not found)")
    path = Path(spec.origin)
    for part in rest:
        path = path.parent / part if path.name == "__init__.py" else path / part
        package, module = path / "__init__.py", path.with_suffix(".py")
        path = package if package.is_file() else module
        if not path.is_file():
            raise ValueError(f"module_names: no Python source for {name!r} (looked for {part!r})")
    if path.name != "__init__.py":
        return {name: path}
    folder = path.parent
    return {
        ".".join((name, *file.relative_to(folder).with_suffix("").parts)): file
        for file in folder.rglob("*.py")
    }


def _normalised(node: object) -> object:
    """Reduce a syntax tree to nested tuples; empty fields are dropped as Python versions differ there."""
    if isinstance(node, list):
        return tuple(_normalised(item) for item in node)
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    fields = []
    for field, value in ast.iter_fields(node):
        if field in ("kind", "type_comment", "type_ignores", "ctx"):
            continue
        if field == "body" and isinstance(value, list):
            value = _without_docstring(node, value)
        if value is not None and value != []:
            fields.append((field, _normalised(value)))
    return (type(node).__name__, *sorted(fields, key=lambda pair: pair[0]))


def _without_docstring(node: ast.AST, body: list) -> list:
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return body
    return body[1:] if ast.get_docstring(node, clean=False) is not None else body


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
