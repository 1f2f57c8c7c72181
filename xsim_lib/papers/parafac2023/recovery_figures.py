"""The figure of what PARAFAC2 finds from random starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from xsim_lib.figures.plots import Column, use_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["recovery_dots"]

_LEVEL = 0.99  # of the claim


def recovery_dots(
    columns: Sequence[Column],
    measures: Mapping[str, tuple[str, str]],
    conditions: Mapping[str, str],
) -> Figure:
    """Draw every start against the truth, and every two against each other: conditions in rows of dots.

    A row of panels per run, a panel per measure. Crosses are signatures of slices that have nothing to do
    with these, where they were measured.

    Parameters
    ----------
    measures : title -> metric against the truth, metric between starts.
    conditions : variant of the records -> how the axis calls it, from top to bottom.
    """
    use_style()
    figure, axes = plt.subplots(
        len(columns), len(measures), sharex=True, sharey=True, squeeze=False, layout="constrained",
        figsize=(2.8 * len(measures), 0.9 + 2.5 * len(columns)),
    )  # fmt: skip
    place = {name: -k for k, name in enumerate(conditions)}
    for line, column in zip(axes, columns, strict=True):
        for axis, metrics in zip(line, measures.values(), strict=True):
            _dots(axis, column.records.frame, metrics, place)
        line[0].set_yticks(list(place.values()), list(conditions.values()))
        line[0].set_ylabel(column.title)
    for axis, title in zip(axes[0], measures, strict=True):
        axis.set_title(title, fontsize=10)
    axes[-1, len(measures) // 2].set_xlabel("1: the same")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _dots(
    axis: Axes, frame: pd.DataFrame, metrics: tuple[str, str], place: Mapping[str, int]
) -> None:
    for k, metric in enumerate(metrics):
        own = frame[(frame["metric"] == metric) & (frame["baseline"] == "")]
        y = own["variant"].map(place) + 0.14 - 0.28 * k
        axis.plot(
            own["value"], y, "o", color=f"C{k}", mfc="white" if k else f"C{k}", markersize=4,
            alpha=0.8, label=("against the truth", "between starts")[k],
        )  # fmt: skip
    other = frame[(frame["metric"] == metrics[0]) & (frame["baseline"] == "unrelated")]
    if len(other):
        y = other["variant"].map(place)
        axis.plot(other["value"], y, "x", color="0.6", label="unrelated slices")
        axis.axvline(_LEVEL, color="0.6", linewidth=0.8, linestyle="--")
    axis.set(xlim=(min(-0.05, axis.get_xlim()[0]), 1.03))
