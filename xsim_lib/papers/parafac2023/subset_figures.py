"""Figures of sets of languages: how their signatures scatter, and ratios of their variances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

from xsim_lib.evidence.records import paper_layers
from xsim_lib.figures.plots import Column, not_measured, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["set_strips", "variance_ratios"]


def set_strips(columns: Sequence[Column], places: Sequence[int] = (0, 6, 12)) -> Figure:
    """Draw mean signatures of the languages of each set, named: a row per run, a panel per layer.

    Parameters
    ----------
    columns : those without "mean_signature" (whose variant is the set) are left out.
    places : layers of the paper's networks of 12.
    """
    use_style()
    shown = [c for c in columns if "mean_signature" in c.records.unique("metric")]
    if not shown:
        return not_measured("sets of languages in models of their own")
    figure, axes = plt.subplots(
        len(shown), len(places), squeeze=False, sharey="row", sharex=True, layout="constrained",
        figsize=(8.4, 0.5 + 2.6 * len(shown)),
    )  # fmt: skip
    for line, column in zip(axes, shown, strict=True):
        frame = column.records.frame.query("metric == 'mean_signature' and task == ''")
        last = int(frame["n_layers"].max())
        names = list(dict.fromkeys(frame["variant"]))
        for axis, where in zip(line, places, strict=True):
            layer = paper_layers(last, where)[0]
            here = frame[frame["layer"] == layer]
            own = here.groupby(["variant", "pair_or_language"])["value"].mean()
            for k, name in enumerate(names):
                axis.plot([k] * len(own[name]), own[name], "o", color=f"C{k}", alpha=0.5)
                for language, value in own[name].items():
                    axis.annotate(
                        language, (k, value), xytext=(6, 0), textcoords="offset points",
                        fontsize=7, va="center",
                    )  # fmt: skip
            labels = [x.replace(" and ", "\n") for x in names]
            axis.set_xticks(range(len(names)), labels, fontsize=8)
            axis.set_xlim(-0.5, len(names) - 0.3)
            axis.set_title(f"layer {layer} of {last}", fontsize=9)
        line[0].set_ylabel(column.title)
    return figure


def variance_ratios(columns: Sequence[Column], ways: Mapping[str, tuple[str, str]]) -> Figure:
    """Draw ratios of variances of all words on a logarithmic axis: a panel per run, ways to compare in rows.

    A dot is a layer and seed, filled where the chi-square test has p < 0.05; colours are the related sets.

    Parameters
    ----------
    columns : with "variance_ratio" and "chi2_p" per layer; what a run has not measured stays empty.
    ways : title -> baseline and variant of the records.
    """
    use_style()
    figure, axes = plt.subplots(
        1, len(columns), squeeze=False, sharey=True, sharex=True, layout="constrained",
        figsize=(1.6 + 3.2 * len(columns), 3.6),
    )  # fmt: skip
    for axis, column in zip(axes[0], columns, strict=True):
        _ratios(axis, column, ways)
        axis.axvline(1, color="0.5", linewidth=0.8)
        axis.set(xscale="log", xlabel="ratio of variances")
        axis.set_title(column.title, fontsize=10)
        axis.set_yticks([-k for k in range(len(ways))], list(ways))
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4)
    return figure


def _ratios(axis: Axes, column: Column, ways: Mapping[str, tuple[str, str]]) -> None:
    frame = column.records.frame.query("task == ''")
    names = list(dict.fromkeys(frame.loc[frame["metric"] == "chi2_p", "pair_or_language"]))
    for k, name in enumerate(names):
        for row, (baseline, variant) in enumerate(ways.values()):
            own = frame[
                (frame["pair_or_language"] == name) & (frame["baseline"] == baseline)
                & (frame["variant"] == variant)
            ]  # fmt: skip
            if own.empty:  # left to the recorded runs
                continue
            wide = own.pivot(index=["seed", "layer"], columns="metric", values="value")
            y = -row + 0.2 * (0.5 * (len(names) - 1) - k)
            below = wide["chi2_p"] < 0.05
            for chosen, face in ((below, f"C{k}"), (~below, "none")):
                axis.plot(
                    wide.loc[chosen, "variance_ratio"], [y] * int(chosen.sum()), "o",
                    color=f"C{k}", mfc=face, markersize=5, alpha=0.8,
                )  # fmt: skip
        axis.plot([], [], "o", color=f"C{k}", label=name)
