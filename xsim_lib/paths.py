"""Where things are: the one place that knows folders and their environment variables.

========================  ==================================================
variable                  what it overrides
========================  ==================================================
``XSIM_HOME``             the project folder (`root`)
``XSIM_BUILD``            ``_build`` (executed notebooks, records, book)
``XSIM_CACHE``            ``_build/cache`` (checkpoints, downloads)
``XSIM_DATA``             a local mirror of the real corpora; unset: download
``XSIM_DOWNLOADS``        ``<cache>/downloads``
========================  ==================================================

No function here makes a folder: asking where something would be has no side effect.
"""

import os
import tomllib
from pathlib import Path

__all__ = ["build_dir", "cache_dir", "data_dir", "download_dir", "results_dir", "root"]

_PROJECT = "xsim"


def root() -> Path:
    """Return the project folder.

    ``XSIM_HOME`` if set; else the nearest folder at or above the working directory whose
    ``pyproject.toml`` names the project xsim; else the working directory.

    Raises
    ------
    FileNotFoundError : ``XSIM_HOME`` names a folder that does not exist.
    """
    home = _existing_folder("XSIM_HOME")
    if home is not None:
        return home
    here = Path.cwd()
    for folder in (here, *here.parents):
        if _is_project(folder / "pyproject.toml"):
            return folder
    return here


def build_dir(profile: str | None = None) -> Path:
    """Return ``_build`` (or ``XSIM_BUILD``), or the part of one profile: ``_build/mini``.

    Raises
    ------
    ValueError : `profile` is not one plain folder name.
    """
    base = _folder("XSIM_BUILD") or root() / "_build"
    return base if profile is None else base / _name("profile", profile)


def cache_dir() -> Path:
    """Return the folder of checkpoints and downloads: ``XSIM_CACHE`` or ``_build/cache``."""
    return _folder("XSIM_CACHE") or root() / "_build" / "cache"


def results_dir(profile: str) -> Path:
    """Return the folder of committed measurements of long runs: ``results/<profile>``.

    Raises
    ------
    ValueError : `profile` is not one plain folder name.
    """
    return root() / "results" / _name("profile", profile)


def data_dir() -> Path | None:
    """Return the local mirror of the real corpora named by ``XSIM_DATA``, or None when it is unset.

    Raises
    ------
    FileNotFoundError : ``XSIM_DATA`` names a folder that does not exist. Falling back to a download
        would measure other data than the reader asked for.
    """
    return _existing_folder("XSIM_DATA")


def download_dir() -> Path:
    """Return where downloaded corpora are kept: ``XSIM_DOWNLOADS`` or ``<cache>/downloads``."""
    return _folder("XSIM_DOWNLOADS") or cache_dir() / "downloads"


def _folder(variable: str) -> Path | None:
    value = os.environ.get(variable, "").strip()
    return Path(value).expanduser().absolute() if value else None


def _existing_folder(variable: str) -> Path | None:
    folder = _folder(variable)
    if folder is not None and not folder.is_dir():
        raise FileNotFoundError(f"{variable}: expected an existing folder, got {str(folder)!r}")
    return folder


def _name(argument: str, value: str) -> str:
    if (
        not isinstance(value, str)
        or not value
        or value.startswith(".")
        or Path(value).name != value
    ):
        raise ValueError(
            f"{argument}: expected one plain folder name such as 'mini', got {value!r}"
        )
    return value


def _is_project(file: Path) -> bool:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False  # no file, or the broken file of another project on the way up
    return content.get("project", {}).get("name") == _PROJECT
