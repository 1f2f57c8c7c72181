"""Figures of correlations between signatures and properties of languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from xsim_lib.figures.plots import Column
from xsim_lib.figures.style import use_style
from xsim_lib.indices.fisher import fisher_interval, pearson_p

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WORDS", "correlation_maps", "correlation_means"]

WORDS = "all words"  # what the papers and the records call the category of every word
_LEVEL = 0.05


def correlation_maps(columns: Sequence[Column], metric: str, *, label: str) -> Figure:
    """Draw correlations over languages: categories in rows, layers across, one panel per column.

    A dot marks cells with p < 0.05, a ring those that survive the control of the false discovery rate
    over all cells of the panel. Several seeds are averaged first.

    Parameters
    ----------
    columns : those without the metric say so.
    metric : such as "pearson_size", recorded per layer with pair_or_language = the category.
    label : of the colour bar.

    Raises
    ------
    ValueError : no column has the metric.
    """
    use_style()
    tables = [_cells(column, metric) for column in columns]
    order = _ordered({name for cells in tables for name in cells.index.get_level_values(0)})
    if not order:
        raise ValueError(f"metric: no column has {metric!r} per layer")
    figure, axes = plt.subplots(
        1, len(columns), figsize=(2.6 + 2.3 * len(columns), 1.4 + 0.27 * len(order)),
        squeeze=False, sharey=True, layout="constrained",
    )  # fmt: skip
    for axis, column, cells in zip(axes[0], columns, tables, strict=True):
        axis.set_title(column.title, fontsize=10)
        axis.set_yticks(range(len(order)), order)
        axis.grid(False)
        if cells.empty:
            axis.text(0.5, 0.5, "not measured", ha="center", color="0.6", transform=axis.transAxes)
            continue
        wide = cells["value"].unstack("layer").reindex(order)
        image = axis.imshow(wide, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        places = {layer: k for k, layer in enumerate(wide.columns)}
        for test, marker in (
            ("p", {"s": 4, "c": "k"}),
            ("q", {"s": 36, "fc": "none", "ec": "k"}),
        ):
            passed = cells.index[cells[test] < _LEVEL]
            axis.scatter(
                [places[layer] for _, layer in passed],
                [order.index(c) for c, _ in passed],
                **marker,
            )
        axis.set_xticks(range(len(wide.columns)), wide.columns)
        axis.set_xlabel("layer")
    figure.colorbar(image, ax=axes, label=label, shrink=0.7)
    return figure


def correlation_means(
    columns: Sequence[Column],
    metrics: Mapping[str, str],
    *,
    variants: Mapping[tuple[str, str], str],
    stated: Mapping[str, float],
) -> Figure:
    """Draw correlations averaged over layers: a panel per metric and column, categories in rows.

    Bars are 95 % intervals (Fisher) for the number of languages, around the mean over seeds.

    Parameters
    ----------
    metrics : metric -> title of its panel.
    variants : (variant, baseline) -> how the legend calls it; the first one is filled.
    stated : metric -> the paper's value over all words.

    Raises
    ------
    ValueError : no column has a metric.
    """
    use_style()
    found = {(c.title, m): _averages(c, m) for c in columns for m in metrics}
    order = _ordered({name for rows in found.values() for name in rows["pair_or_language"]})[::-1]
    if not order:
        raise ValueError(f"metrics: no column has any of {', '.join(metrics)}")
    figure, axes = plt.subplots(
        len(columns), len(metrics), squeeze=False, sharex=True, sharey=True,
        figsize=(1.6 + 2.3 * len(metrics), 1.2 + (0.6 + 0.27 * len(order)) * len(columns)),
        layout="constrained",
    )  # fmt: skip
    for line, column in zip(axes, columns, strict=True):
        for axis, metric in zip(line, metrics, strict=True):
            rows = found[column.title, metric]
            for k, ((variant, baseline), name) in enumerate(variants.items()):
                own = rows[(rows["variant"] == variant) & (rows["baseline"] == baseline)]
                y = own["pair_or_language"].map(order.index) + 0.24 - 0.24 * k
                ends = fisher_interval(own["value"], own["n"])
                axis.errorbar(
                    own["value"], y, xerr=np.abs(np.array(ends) - own["value"].to_numpy()),
                    fmt="os^"[k % 3], color=f"C{k}", mfc="white" if k else f"C{k}", markersize=4,
                    linewidth=0.8, label=name,
                )  # fmt: skip
            if metric in stated:
                axis.plot(stated[metric], order.index(WORDS), "x", color="k", label="paper")
            axis.axvline(0, color="0.6", linewidth=0.8)
            axis.set(xlim=(-1, 1))
            axis.set_yticks(range(len(order)), order)
        line[0].set_ylabel(column.title)
    for axis, title in zip(axes[0], metrics.values(), strict=True):
        axis.set_title(title, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("Pearson correlation")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _ordered(names: set[str]) -> list[str]:
    """Categories in alphabetical order and all words below them, as in the paper."""
    return sorted(names - {WORDS}) + [WORDS] * (WORDS in names)


def _of(column: Column, metric: str) -> pd.DataFrame:
    frame = column.records.frame
    frame = frame[(frame["metric"] == metric) & frame["layer"].notna()]
    return frame.assign(layer=frame["layer"].astype(int), n=frame["n"].astype(float))


def _cells(column: Column, metric: str) -> pd.DataFrame:
    """Mean over seeds with p and q, by (category, layer)."""
    frame = _of(column, metric).query("variant == '' and baseline == ''")
    cells = frame.groupby(["pair_or_language", "layer"])[["value", "n"]].mean()
    if cells.empty:
        return cells
    cells["p"] = pearson_p(cells["value"], cells["n"])
    cells["q"] = false_discovery_control(cells["p"])
    return cells


def _averages(column: Column, metric: str) -> pd.DataFrame:
    """Mean over layers and seeds, by category, variant and baseline."""
    by = ["pair_or_language", "variant", "baseline"]
    return _of(column, metric).groupby(by)[["value", "n"]].mean().reset_index()
