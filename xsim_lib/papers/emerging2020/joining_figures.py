"""The figure of tasks that are learned on joined models: scores against the layer that is joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from xsim_lib.figures.plots import Column, use_style
from xsim_lib.tasks.transfer import METRICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FLOORS", "scores_by_joined_layer"]

# Baseline of two models that were joined by a rotation -> its line.
FLOORS = {"untrained": ":", "unmapped": "--", "shuffled": "-."}


def scores_by_joined_layer(
    column: Column, pairs: Sequence[str], models: Sequence[str], *, joined: str
) -> Figure:
    """Draw scores in the second language of each pair: tasks in rows, pairs in columns.

    Bands are one standard deviation over seeds where there are several, else the 95 % interval over sentences.

    Parameters
    ----------
    column : whose numbers, with the score of each task per layer.
    models : kinds of models, each in a colour of its own.
    joined : the one of them whose `FLOORS` are drawn.
    """
    use_style()
    frame = column.records.frame
    tasks = list(frame["task"].unique())
    figure, axes = plt.subplots(
        len(tasks), len(pairs), squeeze=False, sharex=True, sharey="row", layout="constrained",
        figsize=(1.2 + 2.4 * len(pairs), 0.8 + 1.9 * len(tasks)),
    )  # fmt: skip
    figure.suptitle(column.title.replace("\n", ", "), fontsize=10)
    for line, task in zip(axes, tasks, strict=True):
        metric = METRICS[task]
        for axis, pair in zip(line, pairs, strict=True):
            own = frame[(frame["metric"] == metric) & (frame["task"] == task)]
            _scores(axis, own[own["pair_or_language"] == pair], models, joined)
            axis.set_ylim(0, None)
        line[0].set_ylabel(f"{task}, {metric}")
    for axis, pair in zip(axes[0], pairs, strict=True):
        axis.set_title(pair)
    for axis in axes[-1]:
        axis.set_xlabel("joined layer")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _scores(axis: Axes, own: pd.DataFrame, models: Sequence[str], joined: str) -> None:
    for k, model in enumerate(models):
        by = own[(own["model"] == model) & (own["baseline"] == "")].groupby("layer")
        mean = by["value"].mean()
        axis.plot(mean.index, mean, "osD"[k] + "-", color=f"C{k}", markersize=3.5, label=model)
        if own["seed"].nunique() > 1:
            ends = mean - by["value"].std(), mean + by["value"].std()
        else:
            ends = by["lower"].mean(), by["upper"].mean()
        low, high = (end.to_numpy(dtype=float) for end in ends)
        axis.fill_between(mean.index, low, high, color=f"C{k}", alpha=0.15, linewidth=0)
    colour = f"C{list(models).index(joined)}"
    for floor, style in FLOORS.items():
        part = own[(own["model"] == joined) & (own["baseline"] == floor)]
        mean = part.groupby("layer")["value"].mean()
        shade = colour if floor == "untrained" else "0.6"
        axis.plot(mean.index, mean, style, color=shade, linewidth=1.2, label=floor)
