"""The true tree of the languages of an experiment, trees without any model, and how a tree is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xsim_lib.evidence import printed
from xsim_lib.factorization import read_tree
from xsim_lib.text.sources import Artificial

if TYPE_CHECKING:
    import dendropy
    from matplotlib.axes import Axes

    from xsim_lib.study.profiles import PaperSettings
    from xsim_lib.text.sources import Source

__all__ = [
    "draw_tree", "families", "presence_distances", "pruned", "taxonomy", "true_tree", "without_cognates",
]  # fmt: skip


def true_tree(
    source: Source, languages: Iterable[str], families: str | None = None
) -> dendropy.Tree:
    """The tree that trees of signatures are held against.

    Artificial languages come from a tree; those of different trees are put farther apart than any two of
    one tree are, all equally far. Of real ones it is `families` if given, else `taxonomy` of the families
    and genera in Table 2 of parafac2023, which are those of the World Atlas of Language Structures.

    Parameters
    ----------
    source : which languages these are, artificial or real.
    languages : at least two of them.
    families : Newick string over at least these languages; real ones only.

    Returns
    -------
    dendropy.Tree whose leaves are `languages`.

    Raises
    ------
    ValueError : a language that the tree, or the table, does not have, fewer than two of a tree, or
        `families` is not Newick.
    """
    if isinstance(source, Artificial):
        tree = read_tree(source.family.newick)
        if len(source.family.spec.trees) > 1:
            _set_apart(tree)
        return pruned(tree, languages)
    if families is not None:
        return pruned(read_tree(families), languages)
    table = printed.read_printed("parafac2023", "table2_attributes")
    wide = table.pivot(index="pair_or_language", columns="metric", values="value")
    chosen = tuple(languages)
    unknown = [x for x in chosen if x not in wide.index]
    if unknown:
        raise ValueError(
            f"languages: Table 2 has {', '.join(wide.index)}; got {unknown[0]!r}: give families"
        )
    return taxonomy({x: (wide.loc[x, "family"], wide.loc[x, "genus"]) for x in chosen})


def _set_apart(tree: dendropy.Tree) -> None:
    """Put the children of the root on branches so long that all begin equally far from the leaves."""
    heights = {
        child: child.edge.length + child.distance_from_tip()
        for child in tree.seed_node.child_nodes()
    }
    top = 1.25 * max(heights.values())
    for child, height in heights.items():
        child.edge.length += top - height


def families(tree: dendropy.Tree) -> list[tuple[str, ...]]:
    """Languages that are related in some way.

    Returns
    -------
    list of the leaves below each child of the root, in order; of one alone where nothing is related to it.
    """
    return [_leaves(child) for child in tree.seed_node.child_nodes()]


def _leaves(node: dendropy.Node) -> tuple[str, ...]:
    """Names of the leaves below a node, in order."""
    return tuple(leaf.taxon.label for leaf in node.leaf_iter())


def without_cognates(settings: PaperSettings) -> PaperSettings:
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


def taxonomy(groups: Mapping[str, tuple[str, ...]]) -> dendropy.Tree:
    """Tree of nested groups.

    All leaves are equally deep: a branch counts as many levels as it spans. Groups of one language are
    no clades. Families hang from a common root, as if they were all equally unrelated.

    Parameters
    ----------
    groups : language -> the groups it is in, the widest first, as many for each language.

    Returns
    -------
    dendropy.Tree without nodes of a single child; its root has length 0.
    """
    import dendropy

    taxa = dendropy.TaxonNamespace(groups, is_case_sensitive=True)
    tree = dendropy.Tree(taxon_namespace=taxa, is_rooted=True)

    def grow(node: dendropy.Node, members: Mapping[str, tuple[str, ...]]) -> None:
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for language, path in members.items():
            if path:
                found.setdefault(path[0], {})[language] = path[1:]
        for own in found.values():
            grow(node.new_child(edge_length=1.0), own)
        for language, path in members.items():
            if not path:
                node.new_child(edge_length=1.0, taxon=taxa.get_taxon(language))

    grow(tree.seed_node, groups)
    tree.suppress_unifurcations()
    tree.seed_node.edge.length = 0.0
    return tree


def pruned(tree: dendropy.Tree, languages: Iterable[str]) -> dendropy.Tree:
    """The tree over some of its leaves; path lengths between them stay.

    Parameters
    ----------
    tree : not changed.
    languages : at least two of its leaves.

    Returns
    -------
    dendropy.Tree without nodes of a single child, whose branches are joined; its root has length 0.

    Raises
    ------
    ValueError : fewer than two languages, or one that the tree does not have.
    """
    have, wanted = _leaves(tree.seed_node), set(languages)
    unknown = sorted(wanted - set(have))
    if unknown:
        raise ValueError(f"languages: the tree has {', '.join(have)}; got {unknown[0]!r}")
    if len(wanted) < 2:
        raise ValueError(f"languages: expected at least 2, got {', '.join(wanted) or 'none'}")
    found = tree.extract_tree_with_taxa_labels(wanted, extraction_source_reference_attr_name=None)
    found.seed_node.edge.length = 0.0
    return found


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


def draw_tree(
    axis: Axes, tree: dendropy.Tree, colours: Mapping[str, object], *, title: str = ""
) -> None:
    """Draw a rooted tree from left to right, its leaves named and coloured.

    Parameters
    ----------
    tree : without branch lengths each edge counts 1.
    colours : leaf -> colour of its name and branch. A branch above leaves of one colour has that colour.
    """
    flat = tree.length() == 0
    rows = {name: -float(k) for k, name in enumerate(_leaves(tree.seed_node))}

    def place(node: dendropy.Node, start: float) -> tuple[float, object]:
        """Draw a node whose parent is at `start`; its row and colour."""
        end = start + (1.0 if flat else node.edge.length or 0.0)
        if node.is_leaf():
            name = node.taxon.label
            y, colour = rows[name], colours.get(name, "0.3")
            axis.annotate(
                name, (end, y), xytext=(3, 0), textcoords="offset points", va="center",
                color=colour, fontsize=8,
            )  # fmt: skip
        else:
            below = [place(child, end) for child in node.child_nodes()]
            shades = {str(shade): shade for _, shade in below}
            colour = next(iter(shades.values())) if len(shades) == 1 else "0.3"
            heights = [row for row, _ in below]
            y = sum(heights) / len(heights)
            axis.plot([end, end], [min(heights), max(heights)], color=colour, linewidth=1.2)
        axis.plot([start, end], [y, y], color=colour, linewidth=1.2)
        return y, colour

    place(tree.seed_node, 0.0)
    axis.set_title(title, fontsize=9)
    axis.set_ylim(-len(rows) + 0.4, 0.6)
    axis.margins(x=0.12)
    axis.grid(False)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
