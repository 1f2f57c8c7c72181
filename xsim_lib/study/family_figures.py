"""Figures of the page on artificial languages: where words come from, and relabelling undone step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, permutations
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from xsim_lib.factorization import read_tree
from xsim_lib.figures import plots
from xsim_lib.figures.style import COLOURS

if TYPE_CHECKING:
    from dendropy import Node
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xsim_lib.text.artificial import Family

__all__ = ["distances_in_tree", "similarity_ladder", "topic_bars", "tree_paths"]

_UNRELATED = 0.5  # how much farther pairs without a common ancestor are drawn than any others


def tree_paths(family: Family, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """How far apart two languages are along their tree; unrelated ones are 0.5 farther than any others.

    Returns
    -------
    (n_pairs,) floats.
    """
    paths = _paths(family)
    never = max(paths.values()) + _UNRELATED
    return np.array([paths.get(pair, never) for pair in pairs])


def distances_in_tree(
    family: Family,
    pairs: Sequence[tuple[str, str]],
    related: np.ndarray,
    control: np.ndarray,
) -> Figure:
    """Draw the true tree, and beside it distances of words against the path between two languages.

    Parameters
    ----------
    family : whose tree is drawn; languages in different trees are unrelated.
    pairs : of its languages.
    related, control : (n_families, n_pairs) distances of words of families with and without cognates.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    rows = count()
    for tree in family.spec.trees:
        _tree(left, read_tree(tree).seed_node, rows)
    left.set(xlabel="branch length", yticks=[], xlim=(-0.02, 0.75), title="true tree")
    left.grid(False)
    left.spines["left"].set_visible(False)
    x, known = tree_paths(family, pairs), sorted(set(_paths(family).values()))
    never = known[-1] + _UNRELATED
    for k, (a, b) in enumerate(pairs):
        together = np.flatnonzero(x == x[k])  # pairs equally far apart stand side by side
        at = x[k] + 0.06 * (list(together).index(k) - (len(together) - 1) / 2)
        right.plot([at] * len(control), control[:, k], "x", color="0.6", markersize=4)
        right.plot([at] * len(related), related[:, k], "o", color=COLOURS[0], markersize=4)
        label = {"textcoords": "offset points", "xytext": (0, -5), "ha": "center", "va": "top"}
        right.annotate(f"{a}-{b}", (at, related[:, k].min()), rotation=90, fontsize=8, **label)
    right.set(xlabel="path between two languages in the tree", title="measured", ylim=(0, 1))
    right.set(ylabel="edit distance of words", xlim=(min(x) - 0.2, never + 0.2))
    right.set_xticks([*known, never], [*map("{:g}".format, known), "unrelated"])
    return figure


def similarity_ladder(steps: Mapping[str, pd.DataFrame], pairs: Sequence[str]) -> Figure:
    """Draw CKA and ANC of an untrained encoder at its last layer, over versions of a family.

    Parameters
    ----------
    steps : name of a version -> table of `study.family_page.untrained_similarities`.
    pairs : of languages, each a line; pairs of equal length and shuffled ones are averaged over all of them.
    """
    last = {step: table[table["layer"] == -1] for step, table in steps.items()}
    figure, axes = plt.subplots(2, 1, figsize=(7, 5.4), layout="constrained", sharex=True)
    for axis, index in zip(axes, ("CKA", "ANC"), strict=True):
        curves = {
            pair: pd.Series(
                [
                    table[(table["pair"] == pair) & (table["pairing"] == "translations")][
                        index
                    ].item()
                    for table in last.values()
                ]
            )
            for pair in pairs
        }
        plots.curves(axis, curves, xlabel="", ylabel="")
        for pairing, style in (("equal length", "--"), ("shuffled", ":")):
            floor = [table[table["pairing"] == pairing][index].mean() for table in last.values()]
            axis.plot(np.arange(len(last)), floor, style, color="0.45", label=pairing)
        axis.set(ylabel=f"{index}, untrained", ylim=(0, None))
        axis.set_xticks(np.arange(len(last)), list(last))
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=5)
    return figure


def topic_bars(topics: Mapping[str, np.ndarray]) -> Figure:
    """Draw how frequent topics are in each domain, in the order of the first one.

    Parameters
    ----------
    topics : domain -> (n_topics,) shares of sentences.
    """
    order = np.argsort(-next(iter(topics.values())))
    figure, axis = plt.subplots(figsize=(8, 2.2), layout="constrained")
    for k, (domain, share) in enumerate(topics.items()):
        places = np.arange(len(order)) + 0.4 * k - 0.2
        axis.bar(places, share[order], 0.4, color=COLOURS[k], label=domain)
    axis.set_axisbelow(True)
    first = next(iter(topics))
    axis.set(
        xlabel=f"topic, most frequent in {first} first", ylabel="share of sentences", xticks=[]
    )
    axis.legend()
    return figure


def _paths(family: Family) -> dict[tuple[str, str], float]:
    tables = [read_tree(tree).phylogenetic_distance_matrix() for tree in family.spec.trees]
    return {
        (a.label, b.label): table(a, b)
        for table in tables
        for a, b in permutations(table.taxon_iter(), 2)
    }


def _tree(axis: Axes, node: Node, rows: Iterator[int], x: float = 0.0) -> float:
    """Draw a tree from left to right, its leaves on the next rows, and return its height."""
    start, x = x, x + (node.edge_length or 0)
    y = [_tree(axis, child, rows, x) for child in node.child_nodes()] or [next(rows)]
    axis.plot([start, x], [np.mean(y)] * 2, color="0.3")
    axis.plot([x, x], [min(y), max(y)], color="0.3")
    axis.text(x + 0.02, np.mean(y), node.taxon.label if node.is_leaf() else "", va="center")
    return np.mean(y)
