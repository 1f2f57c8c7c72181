"""Figures of align2021: similarity over layers, scores by target and by size, resets, gaps against similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from xsim_lib.figures import scaling
from xsim_lib.figures.plots import Column, use_style
from xsim_lib.tasks.transfer import MEAN, METRICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xsim_lib.evidence.records import Records

__all__ = [
    "correlation_curves",
    "gap_scatter",
    "reset_curves",
    "scores_by_size",
    "scores_by_target",
    "stage_curves",
]


def _ends(by: pd.api.typing.DataFrameGroupBy, several: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the interval around the mean of each group: one standard deviation over seeds, or as measured."""
    if several:
        mean, spread = by["value"].mean(), by["value"].std()
        ends = mean - spread, mean + spread
    else:
        ends = by["lower"].mean(), by["upper"].mean()
    low, high = (end.to_numpy(dtype=float) for end in ends)
    return low, high


def stage_curves(
    frame: pd.DataFrame, panels: Mapping[str, str], stages: Sequence[str], *, label: str
) -> Figure:
    """Draw similarity per layer before fine-tuning and after each task: a panel per index.

    Bands are one standard deviation over seeds where there are several, else the 95 % interval over sentences.
    Dotted is the encoder that was not pre-trained, grey are shuffled pairs before fine-tuning.

    Parameters
    ----------
    frame : of the records of one model and one pair; its variants are the stages.
    panels : metric -> title of its panel.
    stages : "" before fine-tuning, then such as "fine-tuned pos".
    label : of the vertical axis.
    """
    use_style()
    several = frame["seed"].nunique() > 1
    figure, axes = plt.subplots(
        1, len(panels), figsize=(11, 3.4), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, (metric, title) in zip(axes[0], panels.items(), strict=True):
        own = frame[frame["metric"] == metric]
        for k, stage in enumerate(stages):
            here = own[own["variant"] == stage]
            by = here[here["baseline"] == ""].groupby("layer")
            mean = by["value"].mean()
            axis.plot(mean.index, mean, color=f"C{k}", label=stage or "before")
            ends = _ends(by, several)
            axis.fill_between(mean.index, *ends, color=f"C{k}", alpha=0.15, linewidth=0)
            fresh = here[here["baseline"] == "untrained"].groupby("layer")["value"].mean()
            axis.plot(fresh.index, fresh, color=f"C{k}", linestyle=":", linewidth=1.2)
        before = own[own["variant"] == ""]
        for kind, style in (("shuffled", "-."), ("length_matched", "--")):
            floor = before[before["baseline"] == kind].groupby("layer")["value"].mean()
            named = kind.replace("_", " ") + " pairs"
            axis.plot(floor.index, floor, color="0.6", linestyle=style, linewidth=1, label=named)
        axis.set(title=title, xlabel="layer")
    axes[0, 0].set_ylabel(label)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6)
    return figure


def scores_by_target(
    frame: pd.DataFrame, tasks: Sequence[str], printed: Mapping[str, pd.Series]
) -> Figure:
    """Draw scores in every target language in their order: a panel per task.

    Bars are one standard deviation over seeds where there are several, else the interval over sentences;
    hollow is the encoder that was not pre-trained.

    Parameters
    ----------
    frame : of the records of one model and one source; pair_or_language is such as "en-fr".
    tasks : from top to bottom, each by its score in `tasks.transfer.METRICS`.
    printed : task -> the paper's scores by pair.
    """
    use_style()
    several = frame["seed"].nunique() > 1
    figure, axes = plt.subplots(
        len(tasks), figsize=(6.8, 2.4 * len(tasks)), squeeze=False, layout="constrained"
    )
    for axis, task in zip(axes[:, 0], tasks, strict=True):
        metric = METRICS[task]
        own = frame[(frame["task"] == task) & (frame["metric"] == metric)]
        by = {kind: part.groupby("pair_or_language") for kind, part in own.groupby("baseline")}
        order = by[""]["value"].mean().sort_values(ascending=False).index
        places = np.arange(len(order))
        for kind, label in (("", "pre-trained"), ("untrained", "not pre-trained")):
            mean = by[kind]["value"].mean()[order]
            if several:
                error = np.array([by[kind]["value"].std()[order]] * 2)
            else:
                ends = by[kind][["lower", "upper"]].mean().loc[order]
                error = np.abs(ends.to_numpy().T - mean.to_numpy())
            axis.errorbar(
                places, mean, yerr=error, fmt="o", capsize=2, color="C0", label=label,
                mfc="white" if kind else "C0",
            )  # fmt: skip
        if task in printed:
            known = printed[task]
            shown = [(k, known[p]) for k, p in enumerate(order) if p in known.index]
            axis.plot(*zip(*shown, strict=True), "x", color="0.4", label="mBERT (slides)")
        axis.set_xticks(places, [pair.split("-", 1)[1] for pair in order])
        axis.set(ylabel=f"{task}: {metric}", ylim=(0, 100))
    axes[0, 0].legend(fontsize=8)
    return figure


def scores_by_size(columns: Sequence[Column], tasks: Sequence[str], source: str) -> Figure:
    """Draw scores in the source language and in the others against the number of parameters.

    A row per task, a column per run. Bars are one standard deviation over seeds where there are several, else
    the interval over sentences; hollow is the same architecture without pre-training.

    Parameters
    ----------
    columns : with "parameters" of every model, and the scores of `tasks.transfer.METRICS`.
    """
    use_style()
    figure, axes = plt.subplots(
        len(tasks),
        len(columns),
        figsize=(1.2 + 2.9 * len(columns), 0.8 + 2.1 * len(tasks)),
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for row, task in zip(axes, tasks, strict=True):
        for axis, column in zip(row, columns, strict=True):
            _sizes(axis, column.records.frame, task, source)
        row[0].set_ylabel(f"{task}: {METRICS[task]}")
    for top, bottom, column in zip(axes[0], axes[-1], columns, strict=True):
        top.set_title(column.title, fontsize=10)
        bottom.set_xlabel("parameters")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def _sizes(axis: Axes, frame: pd.DataFrame, task: str, source: str) -> None:
    size = frame[frame["metric"] == "parameters"].groupby("model")["value"].mean()
    frame = frame[frame["metric"] == METRICS[task]]
    places = {f"{source}-{source}": f"tested on {source}", f"{source}-{MEAN}": "mean of the others"}
    for k, (place, label) in enumerate(places.items()):
        for baseline, style in (("", "o-"), ("untrained", "o:")):
            part = frame[(frame["pair_or_language"] == place) & (frame["baseline"] == baseline)]
            by = part.groupby("model")
            mean = by["value"].mean().loc[size.sort_values().index]
            if part["seed"].nunique() > 1:
                below = above = by["value"].std()[mean.index]
            else:
                ends = by[["lower", "upper"]].mean().loc[mean.index]
                below, above = mean - ends["lower"], ends["upper"] - mean
            axis.errorbar(
                size[mean.index], mean, yerr=[below, above], fmt=style, capsize=2,
                color=f"C{k}", markerfacecolor="white" if baseline else f"C{k}",
                label=f"{label}, not pre-trained" if baseline else label,
            )  # fmt: skip
    axis.set(xscale="log", ylim=(0, 100))
    axis.set_xticks(size, [scaling.short(n) for n in size])
    axis.minorticks_off()


def reset_curves(
    frame: pd.DataFrame, tasks: Sequence[str], source: str, printed: Mapping[str, pd.DataFrame]
) -> Figure:
    """Draw what re-initialising two layers changes, against their relative depth: a panel per task.

    Bars are one standard deviation over seeds where there are several, else the interval over sentences. Dashed
    is the same difference without any pre-training; hollow are the framework's default weights.

    Parameters
    ----------
    frame : of the records of one model; metrics "delta_METRIC" with variants such as "layers 1-2".
    source : drawn are itself, and the mean over the other languages.
    printed : task -> the paper's rows, of 12 layers.
    """
    use_style()
    several = frame["seed"].nunique() > 1
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(3.1 * len(tasks), 3.6), squeeze=False, layout="constrained"
    )
    for axis, task in zip(axes[0], tasks, strict=True):
        metric = f"delta_{METRICS[task]}"
        for k, pair in enumerate((f"{source}-{source}", f"{source}-{MEAN}")):
            own = frame[(frame["task"] == task) & (frame["pair_or_language"] == pair)]
            _resets(axis, own, metric, pair, f"C{k}", several)
            nothing = own[(own["metric"] == metric) & (own["baseline"] == "untrained")]
            axis.axhline(nothing["value"].mean(), color=f"C{k}", linestyle="--", linewidth=1)
            if task in printed:
                rows = printed[task]
                rows = rows[(rows["pair_or_language"] == pair) & (rows["variant"] != "")]
                axis.plot(
                    _centre(rows["variant"], 12), rows["value"], "x", color=f"C{k}",
                    label=f"{pair}, mBERT (slides)",
                )  # fmt: skip
        axis.axhline(0, color="0.5", linewidth=0.8)
        axis.set(title=task, xlabel="relative depth", xlim=(0, 1))
    axes[0, 0].set_ylabel("change in points")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _resets(
    axis: Axes, own: pd.DataFrame, metric: str, pair: str, colour: str, several: bool
) -> None:
    for kind in (metric, f"{metric}_framework"):
        part = own[(own["metric"] == kind) & (own["baseline"] == "")]
        if part.empty:
            continue
        by = part.groupby("variant", sort=False)
        mean = by["value"].mean()
        low = by["value"].std() if several else mean - by["lower"].mean()
        high = by["value"].std() if several else by["upper"].mean() - mean
        axis.errorbar(
            _centre(mean.index.to_series(), part["n_layers"].iloc[0]) + 0.02 * (kind != metric),
            mean, yerr=[low, high], fmt="o-" if kind == metric else "o", capsize=2,
            color=colour, mfc=colour if kind == metric else "white",
            label=pair if kind == metric else f"{pair}, framework's weights",
        )  # fmt: skip


def _centre(variants: pd.Series, n_layers: int) -> pd.Series:
    """Relative depth of the middle of pairs of layers such as "layers 1-2"."""
    return (variants.str.extract(r"(\d+)-(\d+)").astype(float).mean(axis=1) - 0.5) / n_layers


def gap_scatter(frame: pd.DataFrame, tasks: Sequence[str], indices: Mapping[str, str]) -> Figure:
    """Draw the gap of every target language against its similarity to the source: tasks x indices.

    Hollow is the similarity in an encoder that was not pre-trained. Bars are one standard deviation of the gap
    over seeds where there are several, else its interval over sentences.

    Parameters
    ----------
    frame : of the records of one model; "gap_METRIC" and the indices by pair ("en-fr").
    indices : metric -> how the axis calls it, from left to right.
    """
    use_style()
    several = frame["seed"].nunique() > 1
    figure, axes = plt.subplots(
        len(tasks), len(indices), figsize=(3.8 * len(indices), 2.7 * len(tasks)), squeeze=False,
        sharey="row", layout="constrained",
    )  # fmt: skip
    for row, task in zip(axes, tasks, strict=True):
        own = frame[frame["task"] == task]
        gap = own[own["metric"].str.startswith("gap_")].groupby("pair_or_language")
        y = gap["value"].mean()
        if several:
            error = np.array([gap["value"].std()] * 2)
        else:
            error = np.array([y - gap["lower"].mean(), gap["upper"].mean() - y])
        for axis, index in zip(row, indices, strict=True):
            for kind in ("", "untrained"):
                x = own[(own["metric"] == index) & (own["baseline"] == kind)]
                x = x.groupby("pair_or_language")["value"].mean()[y.index]
                axis.errorbar(
                    x, y, yerr=None if kind else error, fmt="o", color="C0", markersize=4,
                    linewidth=0.8, mfc="white" if kind else "C0",
                )  # fmt: skip
                for pair in () if kind else y.index:
                    axis.annotate(
                        pair.split("-", 1)[1], (x[pair], y[pair]), (3, 3), fontsize=8,
                        textcoords="offset points",
                    )  # fmt: skip
        row[0].set_ylabel(f"{task}: gap in points")
    for axis, label in zip(axes[-1], indices.values(), strict=True):
        axis.set_xlabel(label)
    return figure


def correlation_curves(
    records: Records, tasks: Sequence[str], indices: Mapping[str, str], *, model: str
) -> Figure:
    """Draw the correlation of gap and similarity, layer by layer: a panel per task, a colour per index.

    The first index has a band: one standard deviation over seeds where there are several, else its interval.
    Dotted is the similarity in an encoder that was not pre-trained.

    Parameters
    ----------
    records : with "spearman" per layer; its variant is the index, "" for the first one.
    indices : metric -> how the legend calls it.
    """
    use_style()
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(3.1 * len(tasks), 3.3), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for axis, task in zip(axes[0], tasks, strict=True):
        for k, (index, label) in enumerate(indices.items()):
            about = {"variant": index if k else "", "model": model, "task": task}
            for kind, style in (("", "-"), ("untrained", ":")):
                curve = records.curve("spearman", baseline=kind, **about)
                axis.plot(
                    curve.index, curve, style, color=f"C{k}", linewidth=1.2,
                    label=None if kind else label,
                )  # fmt: skip
            if k:
                continue
            chosen = records.select(metric="spearman", baseline="", **about)
            ends = _ends(chosen.frame.groupby("layer"), len(records.seeds) > 1)
            curve = records.curve("spearman", **about)
            axis.fill_between(curve.index, *ends, color=f"C{k}", alpha=0.15, linewidth=0)
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.set(title=task, xlabel="layer", ylim=(-1, 1))
    axes[0, 0].set_ylabel("Spearman's correlation")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure
