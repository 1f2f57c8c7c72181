"""What made a measurement: code, data, settings, versions and device, but never whose machine.

Provenance is committed next to recorded results, so it holds no host name, user name or path.
"""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath, PureWindowsPath

from xsim_lib.hashing import stable_hash

__all__ = ["device_name", "is_stale", "provenance", "versions"]

_PACKAGES = ("torch", "transformers", "numpy", "tokenizers", "scipy", "pandas")


def provenance(
    *,
    code_hash: str,
    data_hash: str,
    seeds: Sequence[int],
    profile: str,
    parameters: Mapping | None = None,
    device: str = "cpu",
    seconds: float | None = None,
) -> dict:
    """Describe how records came about.

    Parameters
    ----------
    code_hash : of the modules that decide the numbers, see `xsim_lib.hashing.code_hash`.
    data_hash : of the texts that were used.
    seeds, profile, parameters : the settings of the run. Absolute paths in `parameters` are cut to
        their last part.
    device : "cpu", "cuda", "cuda:1", "mps"; described by the name of the processor.
    seconds : wall-clock time of the run.

    Returns
    -------
    dict of JSON values with ``id, created, code_hash, data_hash, seeds, profile, parameters, versions,
    device, threads, seconds``. The `id` (12 hex digits) covers everything but the time: running the
    same thing again on the same kind of machine gives the same id.

    Raises
    ------
    ValueError : an empty hash, profile or list of seeds.
    """
    for name, given in (("code_hash", code_hash), ("data_hash", data_hash), ("profile", profile)):
        if not isinstance(given, str) or not given:
            raise ValueError(f"{name}: expected text that is not empty, got {given!r}")
    if isinstance(seeds, (str, int)) or not len(seeds):
        raise ValueError(f"seeds: expected a list of at least one seed, got {seeds!r}")
    made = {
        "code_hash": code_hash,
        "data_hash": data_hash,
        "seeds": [int(seed) for seed in seeds],
        "profile": profile,
        "parameters": _host_free(dict(parameters or {})),
        "versions": versions(),
        "device": device_name(device),
        "threads": _threads(),
    }
    return {
        "id": stable_hash(made)[:12],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **made,
        "seconds": None if seconds is None else round(float(seconds), 1),
    }


def is_stale(provenance: Mapping, code_hash: str, data_hash: str | None = None) -> bool:
    """Tell whether the code (or the data, if given) has changed since the records were made."""
    changed = provenance.get("code_hash") != code_hash
    return changed or (data_hash is not None and provenance.get("data_hash") != data_hash)


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
