"""Where things are: the one place that knows folders and their environment variables.

========================  ==================================================
variable                  what it overrides
========================  ==================================================
``XSIM_HOME``             the project folder (`root`)
``XSIM_BUILD``            ``_build`` (executed notebooks, records, book)
``XSIM_RECORDS``          ``_build/PROFILE/records``: set by what measures a page for another purpose
``XSIM_CACHE``            ``_build/cache`` (checkpoints, downloads)
``XSIM_DATA``             a local mirror of the real corpora; unset: download
``XSIM_DOWNLOADS``        ``<cache>/downloads``
========================  ==================================================

No function here makes a folder: asking where something would be has no side effect.

Notebooks of the project folder are executed and its caches are believed, so it is never one that somebody else
could have put in our way: without ``XSIM_HOME``, only folders of the current user are looked at, and the
checkout that the running package comes from (who can write there has us run his code anyway).
"""

import logging
import os
import tomllib
from functools import cache
from pathlib import Path

__all__ = [
    "LIBRARY",
    "build_dir",
    "cache_dir",
    "data_dir",
    "download_dir",
    "records_dir",
    "results_dir",
    "root",
    "visible",
]

LIBRARY = Path(__file__).resolve().parents[1]
"""The folder of this package."""  # fmt: skip

_LOG = logging.getLogger(__name__)
_PROJECT = "xsim"


def root() -> Path:
    """Return the project folder, the first of these that there is.

    1. ``XSIM_HOME``.
    2. The nearest folder at or above the working directory whose ``pyproject.toml`` names the project xsim,
       if both belong to the current user: whoever stands in a second clone of his means that one.
    3. The checkout that this package is imported from.
    4. The working directory, if it belongs to the current user.

    Raises
    ------
    FileNotFoundError : ``XSIM_HOME`` names a folder that does not exist.
    ForeignFolderError : nothing is left but a folder of somebody else's, named with its owner.
    """
    home = _existing_folder("XSIM_HOME")
    if home is not None:
        return home
    here = Path.cwd()
    found = [folder for folder in (here, *here.parents) if _is_project(folder / "pyproject.toml")]
    for folder in found:
        if _is_ours(folder) and _is_ours(folder / "pyproject.toml"):
            return folder
    checkout = LIBRARY.parent
    if _is_project(checkout / "pyproject.toml"):
        if found and found[0] != checkout:
            _tell_once(found[0], checkout)
        return checkout
    if found or not _is_ours(here):
        foreign = found[0] if found else here
        raise ForeignFolderError(
            f"project folder: expected one of your own, got {str(foreign)!r}, which belongs to "
            f"{_owner(foreign)}: its notebooks would be run as you. If you trust it, set XSIM_HOME={foreign}"
        )
    return here


class ForeignFolderError(ValueError):
    """The only project folder in sight belongs to somebody else."""


def build_dir(profile: str | None = None) -> Path:
    """Return ``_build`` (or ``XSIM_BUILD``), or the part of one profile: ``_build/mini``.

    Raises
    ------
    ValueError : `profile` is not one plain folder name.
    """
    base = _folder("XSIM_BUILD") or root() / "_build"
    return base if profile is None else base / _name("profile", profile)


def records_dir(profile: str) -> Path:
    """Return the folder of what this build measured: ``_build/<profile>/records`` or ``XSIM_RECORDS``."""
    return _folder("XSIM_RECORDS") or build_dir(profile) / "records"


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


def visible(folder: Path, pattern: str) -> list[Path]:
    """List what matches `pattern` in `folder`, sorted, without hidden files and what lies in hidden folders.

    Everything that reads whatever data it finds asks here: a killed process leaves the temporary of
    `hashing.atomic_write`, half a file whose name begins with a dot and has the suffix of a whole one.

    Parameters
    ----------
    folder : its own name and those above it may begin with a dot; one that does not exist is empty.
    pattern : as for `Path.glob`; ``**/*.ipynb`` looks at any depth.
    """
    found = sorted(folder.glob(pattern))
    return [p for p in found if not any(x.startswith(".") for x in p.relative_to(folder).parts)]


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
        # Not everything by this name is a file: reading a named pipe would wait for ever.
        content = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False  # the broken or unreadable file of another project on the way up
    project = content.get("project")
    return isinstance(project, dict) and project.get("name") == _PROJECT


def _is_ours(path: Path) -> bool:
    """Tell whether a file or folder belongs to the current user, where files have owners."""
    return not hasattr(os, "getuid") or os.stat(path).st_uid == os.getuid()


def _owner(path: Path) -> str:
    number = os.stat(path).st_uid
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):  # no such database, or a user that it does not have
        return f"user {number}"


@cache
def _tell_once(foreign: Path, taken: Path) -> None:
    _LOG.warning(
        "the project in %s belongs to %s and is not used, but %s; set XSIM_HOME=%s if you want it",
        *(foreign, _owner(foreign), taken, foreign),
    )
