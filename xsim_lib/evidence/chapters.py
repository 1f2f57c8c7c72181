"""Which papers there are, and what each of them brings: a folder of `xsim_lib.papers`, found by existing.

::

    papers/anc2022/
      paper.yaml      title, place in the book, key in book/references.bib, order of its pages if they need one
      settings.yaml   what its pages measure, per profile; settings.py where it has more than the shared fields
      claims.yaml     what it claims; claims.py decides it
      printed/*.csv   the numbers it prints
      picture.py      its picture on the landing page, if it has one

The only place that imports by name: whatever else depends on what, a reader sees in the import statements.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from xsim_lib.evidence.paths import LIBRARY
from xsim_lib.evidence.yaml_files import read_yaml

__all__ = ["FOLDER", "citation", "folder", "modules", "names", "page_order", "title"]

FOLDER = LIBRARY / "papers"


@cache
def names() -> tuple[str, ...]:
    """The ids of the papers, in the order of the book."""
    found = (file.parent.name for file in FOLDER.glob("*/paper.yaml"))
    return tuple(sorted(found, key=lambda paper: (_about(paper)["place"], paper)))


def title(paper: str) -> str:
    """Its title, as the book gives it."""
    return _about(paper)["title"]


def citation(paper: str) -> str:
    """Its key in ``book/references.bib``; "" if it is not there."""
    return _about(paper).get("cite", "")


def page_order(paper: str) -> tuple[str, ...]:
    """The pages whose place in the book no number tells, in their order; the others follow them by number."""
    return tuple(_about(paper).get("pages", ()))


def folder(paper: str) -> Path:
    """The folder of a paper.

    Raises
    ------
    ValueError : unknown paper; says which there are.
    """
    if paper not in names():
        raise ValueError(f"paper: expected one of {', '.join(names())}, got {paper!r}")
    return FOLDER / paper


def modules(paper: str, pattern: str) -> list[ModuleType]:
    """The modules of a paper whose file name matches a pattern such as ``claims*``, imported.

    Raises
    ------
    ValueError : unknown paper.
    """
    files = sorted(file.stem for file in folder(paper).glob(f"{pattern}.py"))
    return [import_module(f"{LIBRARY.name}.papers.{paper}.{name}") for name in files]


@cache
def _about(paper: str) -> dict:
    return read_yaml(FOLDER / paper / "paper.yaml")
