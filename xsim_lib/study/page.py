"""Notebooks and their parameters: what a page is asked for, and what the one that is running was asked for."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xsim_lib.evidence import graph
from xsim_lib.evidence.definitions import notebook_cells

__all__ = ["cells", "defaults", "fewer", "given", "live_parameters"]


def cells() -> list[str]:
    """Fingerprints of the code cells that this kernel has executed; none outside a notebook."""
    return notebook_cells(_names().get("In", ()))


def given(item: str) -> dict[str, Any] | None:
    """The parameters of the page that measures `item` whose values are neither its own nor those of a live build.

    Returns
    -------
    dict : values by name, without the profile; None outside a notebook, where nobody can tell.
    """
    page, names = _running(item)
    if page is None:
        return None
    own, asked = defaults(page.path), live_parameters(page, names.get("profile", "mini"))
    return {
        name: names[name]
        for name, value in own.items()
        if name != "profile"
        and name in names
        and names[name] not in (value, asked.get(name, value))
    }


def fewer(item: str) -> dict[str, Any]:
    """The parameters by which the page that runs, and measures `item`, measures less than it says itself.

    Returns
    -------
    dict : values by name: those of a live build; {} outside a notebook.
    """
    page, names = _running(item)
    if page is None:
        return {}
    own, asked = defaults(page.path), live_parameters(page, names.get("profile", "mini"))
    return {
        name: value
        for name, value in asked.items()
        if names.get(name) == value and value != own.get(name)
    }


def live_parameters(page: graph.Notebook, profile: str) -> dict[str, Any]:
    """What a live build asks a page for, where that is less than the page says itself (`Settings.live`)."""
    return dict(graph.live_settings(page.paper, page.path.stem, profile).get("parameters", {}))


def defaults(path: Path) -> dict[str, Any]:
    """The names and values of a notebook's parameters cell."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", ()):
            tree = ast.parse("".join(cell["source"]))
            return {
                node.targets[0].id: ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign)
            }
    return {}


def _running(item: str) -> tuple[graph.Notebook | None, Mapping[str, Any]]:
    """The page that measures `item`, if a notebook runs, and what its cells have named."""
    names = _names()
    found = next((n for n in graph.all_notebooks() if item in n.items), None) if names else None
    return found, names


def _names() -> Mapping[str, Any]:
    """What the cells have named; empty outside IPython."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell.user_ns if shell is not None else {}
