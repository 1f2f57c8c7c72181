"""Figures of how near trees of languages come to the true one: kind by kind, and layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from xsim_lib.figures.plots import use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xsim_lib.evidence.records import Records

__all__ = ["TREES", "measured_trees", "tree_measures", "trees_by_layer"]

# What Figure 8's page calls a tree -> the baseline and the variant of its records.
TREES = {
    "(a) all words": ("", ""),
    "(a) raw signatures": ("", "raw"),
    "(a) untrained": ("untrained", ""),
    "(a) no cognates": ("no cognates", ""),
    "(b) over categories": ("", "categories"),
    "(b) untrained": ("untrained", "categories"),
    "(b) no cognates": ("no cognates", "categories"),
    "presence of categories": ("presence", "categories"),
    "words in common": ("lexical", ""),
    "runs of 3 characters": ("lexical trigrams", ""),
}


def measured_trees(frames: Iterable[pd.DataFrame]) -> dict[str, tuple[str, str]]:
    """Those of `TREES` that any of the tables of records has."""
    places = {
        place for frame in frames for place in zip(frame["baseline"], frame["variant"], strict=True)
    }
    return {name: place for name, place in TREES.items() if place in places}


def tree_measures(
    pages: Mapping[str, pd.DataFrame],
    shown: Mapping[str, tuple[str, str]],
    measures: Mapping[str, str],
) -> Figure:
    """Draw how near each tree comes to the true one: a panel per measure, trees in rows, a colour per run.

    Parameters
    ----------
    pages : title of a run -> frame of its records.
    shown : name of a tree -> its baseline and variant.
    measures : metric -> title of its panel; "METRIC_shuffled" are open circles.
    """
    use_style()
    figure, axes = plt.subplots(
        1, len(measures), figsize=(3 * len(measures), 1.4 + 0.3 * len(shown)), sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axis, (metric, label) in zip(axes[0], measures.items(), strict=True):
        for k, (title, frame) in enumerate(pages.items()):
            for row, (baseline, variant) in enumerate(shown.values()):
                own = frame[(frame["baseline"] == baseline) & (frame["variant"] == variant)]
                y = -row + 0.22 * (0.5 * (len(pages) - 1) - k)
                value = own[own["metric"] == metric]["value"]
                axis.plot(
                    value, [y] * len(value), "o", color=f"C{k}", markersize=5, alpha=0.8,
                    label=title.replace("\n", ", ") if row == 0 else None,
                )  # fmt: skip
                chance = own[own["metric"] == f"{metric}_shuffled"]["value"].mean()
                axis.plot(chance, y, "o", color=f"C{k}", mfc="none", markersize=5)
        axis.set_title(label, fontsize=10)
        axis.set_yticks([-k for k in range(len(shown))], list(shown))
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def trees_by_layer(pages: Mapping[str, pd.DataFrame], own: Records, n_layers: int) -> Figure:
    """Draw the triplets that trees resolve, by layer, and how alike the trees of two layers are.

    Parameters
    ----------
    pages : title of a run -> frame of its records, with "triplets_by_layer".
    own : records of one run with "tree_correlation", whose pairs are layers ("0-3").
    n_layers : of its models, the embedding layer not counted.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
    _triplets(left, pages)
    frame = own.frame.query("metric == 'tree_correlation' and baseline == ''")
    means = frame.groupby("pair_or_language")["value"].mean()
    grid = pd.DataFrame(1.0, index=range(n_layers + 1), columns=range(n_layers + 1))
    for pair, value in means.items():
        a, b = map(int, pair.split("-"))
        grid.loc[a, b] = grid.loc[b, a] = value
    bar = {"label": "cophenetic correlation", "shrink": 0.8}
    sns.heatmap(grid, ax=right, cmap="RdBu_r", vmin=-1, vmax=1, square=True, cbar_kws=bar)
    right.set(xlabel="layer", ylabel="layer")
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _triplets(axis: Axes, pages: Mapping[str, pd.DataFrame]) -> None:
    """A line per run and kind of models over relative depth, with one standard deviation over seeds."""
    for k, (title, frame) in enumerate(pages.items()):
        own = frame[(frame["metric"] == "triplets_by_layer") & (frame["variant"] == "")]
        for kind, part in own.groupby("baseline"):
            by = part.astype({"layer": int, "n_layers": int})
            by = by.assign(depth=by["layer"] / by["n_layers"]).groupby("depth")["value"]
            style = {"": "-", "untrained": ":", "no cognates": "--"}[kind]
            label = title.replace("\n", " ") + (f", {kind}" if kind else "")
            axis.plot(by.mean(), style, marker="o", markersize=3, color=f"C{k}", label=label)
            if part["seed"].nunique() > 1:
                low, high = by.mean() - by.std(), by.mean() + by.std()
                axis.fill_between(low.index, low, high, color=f"C{k}", alpha=0.15, linewidth=0)
    axis.axhline(1 / 3, color="0.6", linestyle=":", linewidth=0.8)
    axis.set(xlabel="relative depth", ylabel="triplets")
