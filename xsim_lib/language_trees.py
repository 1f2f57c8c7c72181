"""The true tree of the languages of an experiment, trees without any model, and how a tree is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xsim_lib import reported
from xsim_lib.artificial.tree import Node, leaves, newick, parse_newick
from xsim_lib.sources import Artificial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from xsim_lib.profiles import Settings
    from xsim_lib.sources import Source

__all__ = [
    "draw", "families", "presence_distances", "pruned", "taxonomy", "true_tree", "without_cognates",
]  # fmt: skip


def true_tree(source: Source, languages: Iterable[str], families: str | None = None) -> str:
    """The tree that trees of signatures are held against, as a Newick string over these languages.

    Artificial languages come from a tree; those of different trees are put farther apart than any two of
    one tree are, all equally far. Of real ones it is `families` if given, else `taxonomy` of the families
    and genera in Table 2 of parafac2023, which are those of the World Atlas of Language Structures.

    Raises
    ------
    ValueError : a language that the tree, or the table, does not have.
    """
    if isinstance(source, Artificial):
        unrelated = len(source.family.spec.trees) > 1
        root = source.family.root
        return pruned(newick(_apart(root) if unrelated else root), languages)
    if families is not None:
        return pruned(families, languages)
    table = reported.load("parafac2023", "table2_attributes")
    wide = table.pivot(index="pair_or_language", columns="metric", values="value")
    chosen = tuple(languages)
    unknown = [x for x in chosen if x not in wide.index]
    if unknown:
        raise ValueError(
            f"languages: Table 2 has {', '.join(wide.index)}; got {unknown[0]!r}: give families"
        )
    return taxonomy({x: (wide.loc[x, "family"], wide.loc[x, "genus"]) for x in chosen})


def _apart(root: Node) -> Node:
    """The children of the root on branches so long that all of them begin equally far from the leaves."""
    top = 1.25 * _height(root)

    def lengthened(child: Node) -> Node:
        return Node(child.name, child.length + top - _height(child), child.children)

    return Node(root.name, 0.0, tuple(map(lengthened, root.children)))


def families(tree: str) -> list[tuple[str, ...]]:
    """The leaves below each child of the root, in order: languages that are related in some way."""
    return [leaves(child) for child in parse_newick(tree).children]


def without_cognates(settings: Settings) -> Settings:
    """The same experiment with languages that inherit grammar and spelling, but no root.

    Raises
    ------
    ValueError : the languages are real ones.
    """
    source = settings.source
    if not isinstance(source, Artificial):
        raise ValueError("settings: expected artificial languages; real ones have their cognates")
    changed = source.model_copy(update={"options": {**source.options, "cognates": False}})
    return settings.model_copy(update={"source": changed})


def taxonomy(groups: Mapping[str, tuple[str, ...]]) -> str:
    """Newick string of nested groups: language -> the groups it is in, the widest first.

    All leaves are equally deep: a branch counts as many levels as it spans. Groups of one language are
    no clades. Families hang from a common root, as if they were all equally unrelated.
    """

    def grow(members: Mapping[str, tuple[str, ...]]) -> list[Node]:
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for language, path in members.items():
            if path:
                found.setdefault(path[0], {})[language] = path[1:]
        inner = [Node("", 1.0, tuple(grow(own))) for own in found.values()]
        return inner + [Node(language, 1.0) for language, path in members.items() if not path]

    return newick(_tidy(Node("", 0.0, tuple(grow(groups)))))


def pruned(tree: str, languages: Iterable[str]) -> str:
    """The tree over some of its leaves; path lengths between them stay.

    Raises
    ------
    ValueError : not Newick, fewer than two languages, or one that the tree does not have.
    """
    root, wanted = parse_newick(tree), set(languages)
    unknown = sorted(wanted - set(leaves(root)))
    if unknown:
        raise ValueError(f"languages: the tree has {', '.join(leaves(root))}; got {unknown[0]!r}")
    if len(wanted) < 2:
        raise ValueError(f"languages: expected at least 2, got {', '.join(wanted) or 'none'}")

    def keep(node: Node) -> Node | None:
        if not node.children:
            return node if node.name in wanted else None
        below = tuple(x for x in map(keep, node.children) if x is not None)
        return Node("", node.length, below) if below else None

    return newick(_tidy(keep(root)))


def _tidy(node: Node) -> Node:
    """Without nodes of a single child, whose branches are joined; the root has length 0."""

    def tidy(node: Node) -> Node:
        below = tuple(map(tidy, node.children))
        if len(below) == 1:
            return Node(below[0].name, node.length + below[0].length, below[0].children)
        return Node(node.name, node.length, below)

    found = tidy(node)
    return Node(found.name, 0.0, found.children)


def presence_distances(present: pd.DataFrame) -> pd.DataFrame:
    r"""Distances between languages by which categories both have, without any signature.

    .. math:: d_{ij} = 1 - |C_i \cap C_j| / |C|

    The average over categories in Figure 8b counts a pair as 1 in a category that one of them lacks. This
    is what is left of it where all signatures are the same: the part that is built in.

    Parameters
    ----------
    present : languages in rows, categories in columns, bool.
    """
    values = present.to_numpy(dtype=float)
    distances = 1 - values @ values.T / values.shape[1]
    np.fill_diagonal(distances, 0)
    return pd.DataFrame(distances, index=present.index, columns=present.index)


def draw(axis: Axes, tree: str, colours: Mapping[str, object], *, title: str = "") -> None:
    """Draw a rooted tree from left to right, its leaves named and coloured.

    Parameters
    ----------
    tree : Newick string; without branch lengths each edge counts 1.
    colours : leaf -> colour of its name and branch. A branch above leaves of one colour has that colour.
    """
    root = parse_newick(tree)
    flat = _height(root) == 0
    names = leaves(root)
    rows = {name: -k for k, name in enumerate(names)}

    def place(node: Node, start: float) -> tuple[float, object]:
        """Draw a node whose parent is at `start`; its row and colour."""
        end = start + (1.0 if flat else node.length)
        if not node.children:
            y, colour = float(rows[node.name]), colours.get(node.name, "0.3")
            axis.annotate(
                node.name, (end, y), xytext=(3, 0), textcoords="offset points", va="center",
                color=colour, fontsize=8,
            )  # fmt: skip
        else:
            below = [place(child, end) for child in node.children]
            shades = {str(shade): shade for _, shade in below}
            colour = next(iter(shades.values())) if len(shades) == 1 else "0.3"
            heights = [row for row, _ in below]
            y = sum(heights) / len(heights)
            axis.plot([end, end], [min(heights), max(heights)], color=colour, linewidth=1.2)
        axis.plot([start, end], [y, y], color=colour, linewidth=1.2)
        return y, colour

    place(root, 0.0)
    axis.set_title(title, fontsize=9)
    axis.set_ylim(-len(names) + 0.4, 0.6)
    axis.margins(x=0.12)
    axis.grid(False)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)


def _height(node: Node) -> float:
    return node.length + max(map(_height, node.children), default=0.0)
