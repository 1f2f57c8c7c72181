"""What made a measurement: code, data, settings, versions and device, but never whose machine.

Provenance is committed next to recorded results, so it holds no host name, user name or path.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath

from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.evidence.paths import LIBRARY

__all__ = ["commit", "device_name", "machine", "provenance_of", "versions"]

_PACKAGES = ("torch", "transformers", "numpy", "tokenizers", "scipy", "pandas")


def provenance_of(
    *,
    text: Mapping[str, str],
    seeds: Sequence[int],
    profile: str,
    trace: Mapping[str, str],
    parameters: Mapping | None = None,
    settings: Mapping | None = None,
    cells: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
    checkpoints: Mapping[str, str] | None = None,
    device: str = "cpu",
    seconds: float | None = None,
    cpu_seconds: float | None = None,
) -> dict:
    """Describe how records came about.

    Parameters
    ----------
    text : name -> fingerprint of every text that was used.
    seeds, profile, parameters : what was asked for. Absolute paths in `parameters` are cut to their
        last part.
    trace : fingerprints of the functions that ran, see `tracing.Trace.fingerprints`.
    settings : what the profile said, resolved.
    cells : fingerprints of the notebook's code cells, in order.
    weights : "model/seed" -> hash of the weights that were measured.
    checkpoints : "model/seed" -> folder of the cache in which a model that was trained here is kept.
    device : "cpu", "cuda", "cuda:1", "mps"; described by the name of the processor.
    seconds, cpu_seconds : of the run: on the clock, and of all its threads.

    Returns
    -------
    dict of JSON values: the arguments, and ``id, created, commit, data_hash, versions, machine,
    threads``. The `id` (12 hex digits) covers everything but time and commit: running the same thing
    again on the same kind of machine gives the same id.

    Raises
    ------
    ValueError : an empty profile or list of seeds.
    """
    if not isinstance(profile, str) or not profile:
        raise ValueError(f"profile: expected text that is not empty, got {profile!r}")
    if isinstance(seeds, (str, int)) or not len(seeds):
        raise ValueError(f"seeds: expected a list of at least one seed, got {seeds!r}")
    made = {
        "data_hash": stable_hash(text)[:16] if text else "no text",
        "text": dict(text),
        "seeds": [int(seed) for seed in seeds],
        "profile": profile,
        "parameters": _host_free(dict(parameters or {})),
        "settings": _host_free(dict(settings or {})),
        "cells": list(cells),
        "weights": dict(weights or {}),
        "checkpoints": dict(checkpoints or {}),
        "trace": dict(trace),
        "versions": versions(),
        "machine": machine(),
        "device": device_name(device),
        "threads": _threads(),
    }
    return {
        "id": stable_hash(made)[:12],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        **made,
        "seconds": None if seconds is None else round(float(seconds), 1),
        "cpu_seconds": None if cpu_seconds is None else round(float(cpu_seconds), 1),
    }


def machine() -> dict[str, str]:
    """What decides the last digits of a sum: the processor's vector instructions, and the BLAS kernels.

    Returns
    -------
    dict : ``cpu`` such as "AVX512" and ``blas`` such as "mkl 2025.1, openblas 0.3.30 SkylakeX".
    """
    import torch
    from threadpoolctl import threadpool_info

    found = {
        " ".join(filter(None, (p["internal_api"], p["version"], p.get("architecture"))))
        for p in threadpool_info()
        if p["user_api"] == "blas"
    }
    return {"cpu": torch.backends.cpu.get_cpu_capability(), "blas": ", ".join(sorted(found))}


def commit() -> str:
    """The commit of the checkout that this library stands in, with "+" if its code was changed since; or ""."""
    folder = LIBRARY.parent
    if not (folder / ".git").exists():
        return ""
    try:
        found = _git(folder, "rev-parse", "--short=10", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", "xsim_lib", "notebooks")
    except (OSError, subprocess.CalledProcessError):
        return ""  # no git, or a folder that git does not trust
    return found + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number; imports none of them."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # an optional package that is absent cannot have had an influence
    return found


def device_name(device: str = "cpu") -> str:
    """Name the kind of processor behind a torch device, such as "cpu (x86_64)" or "NVIDIA H200".

    What is no torch device is taken for such a name, read from an earlier provenance, and kept.
    """
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    plain = str(device).partition(":")[0] in ("cpu", "mps")
    return f"{device} ({_processor()})" if plain else str(device)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _threads() -> int:
    torch = sys.modules.get("torch")  # asked only if the run used it
    if torch is not None:
        return int(torch.get_num_threads())
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # "4,2" for nested regions
    return int(limit) if limit.isdecimal() else os.cpu_count() or 1


def _host_free(value: object) -> object:
    """Make parameters JSON values without machine paths."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _host_free(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return [_host_free(item) for item in items]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"parameters: cannot write a {type(value).__name__} as JSON; got {value!r}")
