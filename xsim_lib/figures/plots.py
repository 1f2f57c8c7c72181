"""The few kinds of figure of the book, in one house style, with the paper's values beside ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from xsim_lib.evidence.records import NothingSelected, Records, paper_layers
from xsim_lib.figures.style import COLOURS, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Column", "curves", "layers", "not_measured", "points", "row_name", "use_style"]

_MARKERS = "osD^vPX"
_BASELINES = {
    "length_matched": {"color": "0.45", "linestyle": "--", "label": "shuffled, equal length"},
    "shuffled": {"color": "0.7", "linestyle": "-.", "label": "shuffled pairs"},
}


@dataclass(frozen=True)
class Column:
    """One column of panels: whose numbers, and how they are called above it.

    Attributes
    ----------
    title : what stands above the panels, on two lines at most.
    profile : that the numbers were measured at; "" for those of a paper.
    called : model of the rows -> what the source itself calls it, where a stand-in has its row.
    """

    title: str
    records: Records
    profile: str = ""
    called: Mapping[str, str] = field(default_factory=dict)


def row_name(model: str, columns: Sequence[Column]) -> str:
    """What stands beside a row: the model, and for whom it stands in."""
    paper = next((c.called[model] for c in columns if c.called.get(model, model) != model), None)
    return _broken(model) + (f"\nfor {_broken(paper)}" if paper else "")


def not_measured(what: str) -> Figure:
    """A small figure that says what was left out, where neither this build nor a recorded run has it."""
    use_style()
    figure, axis = plt.subplots(figsize=(5, 0.8), layout="constrained")
    axis.axis("off")
    axis.text(0.5, 0.5, f"not measured: {what}", ha="center", va="center", color="0.4")
    return figure


def layers(
    columns: Sequence[Column],
    metric: str,
    models: Sequence[str],
    *,
    label: str,
    limits: tuple[float, float] = (0.0, 1.0),
    variant: str = "",
    mark: tuple[str, str] | None = None,
    stated: pd.DataFrame | None = None,
) -> Figure:
    """Draw one curve over layers per language pair: a row per model, a column per source of numbers.

    Solid lines are the measurement, dotted ones of the same colour the untrained encoder, grey ones
    shuffled pairs (mean over pairs). Bands are one standard deviation over seeds where there are
    several, else the 95 % interval over sentences.

    Parameters
    ----------
    columns : such as the paper, this build, the recorded runs; those without the metric stay empty.
    metric : such as "cka"; label : how the axis calls it.
    models : row by row.
    mark : a variant whose value at the last layer is drawn as a star, and how the legend calls it,
        such as ("cls", "first token"). A star of the untrained encoder is hollow.
    stated : rows of `printed.read_printed` that print a range over several layers ("6-12"): hatched boxes.

    Raises
    ------
    NothingSelected : no column has the metric, or none has it of one of the models.
    """
    use_style()
    pairs = list(
        dict.fromkeys(
            p
            for c in columns
            for model in models
            for p in _select(c.records, metric, variant, model=model)["pair_or_language"]
        )
    )
    if all(_select(c.records, metric, variant).empty for c in columns):
        raise NothingSelected(f"metric: no column has {metric!r} (variant {variant!r})")
    for model in models:
        if all(_select(c.records, metric, variant, model=model).empty for c in columns):
            raise NothingSelected(f"models: no column has {metric!r} of {model!r}")
    colour = {pair: COLOURS[k % len(COLOURS)] for k, pair in enumerate(sorted(pairs, key=_order))}
    figure, axes = plt.subplots(
        len(models),
        len(columns),
        figsize=(max(4.6, 1.0 + 1.85 * len(columns)), 3),  # the height follows from the legend
        sharey=True,
        sharex="col",
        squeeze=False,
        layout="constrained",
    )
    for row, model in zip(axes, models, strict=True):
        for axis, column in zip(row, columns, strict=True):
            frame = _select(column.records, metric, variant, model=model)
            _panel(axis, frame, colour)
            if mark is not None:
                _stars(axis, _select(column.records, metric, mark[0], model=model), colour, mark[1])
            if stated is not None and not frame.empty:
                _boxes(axis, stated, metric, model, int(frame["n_layers"].max()))
            axis.set_ylim(*limits)
        row[0].set_ylabel(f"{row_name(model, columns)}\n{label}")
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column.title, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("layer")
    _legend(figure, axes)
    return figure


def curves(
    axis: Axes, series: Mapping[str, pd.Series], *, xlabel: str, ylabel: str, markers: bool = True
) -> None:
    """Draw named series into one panel, in the house colours."""
    for k, (name, values) in enumerate(series.items()):
        axis.plot(
            values.index,
            values.to_numpy(),
            marker=_MARKERS[k % len(_MARKERS)] if markers else None,
            markersize=4,
            color=COLOURS[k % len(COLOURS)],
            label=name,
        )
    axis.set(xlabel=xlabel, ylabel=ylabel)


def points(
    columns: Sequence[Column],
    rows: Mapping[str, Mapping[str, str]],
    series: Mapping[str, Mapping[str, str]],
    places: Sequence[str],
    *,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Draw one point per language or pair and series: a row per measure, a column per source of numbers.

    Bars are one standard deviation over seeds where there are several, else the 95 % interval over
    sentences. Series of a baseline are hollow; those that differ in the variant alone share a colour.

    Parameters
    ----------
    columns : such as this build and the recorded runs.
    rows, series : label -> the columns of the records that select it, such as
        ``{"LAS": {"metric": "las"}}`` and ``{"adapted": {"model": "multilingual+mlm"}}``; baseline and
        variant are "" unless they are given.
    places : languages or pairs, from left to right.
    limits : of the vertical axes.

    Raises
    ------
    NothingSelected : no column has a measure at all.
    """
    use_style()
    kinds = {
        name: (which.get("model"), which.get("baseline", "")) for name, which in series.items()
    }
    colours = {
        kind: COLOURS[k % len(COLOURS)] for k, kind in enumerate(dict.fromkeys(kinds.values()))
    }
    figure, axes = plt.subplots(
        len(rows),
        len(columns),
        figsize=(max(4.6, 1.2 + 0.62 * len(places) * len(columns)), 3),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for line, (label, measure) in zip(axes, rows.items(), strict=True):
        drawn = 0
        for axis, column in zip(line, columns, strict=True):
            for k, (name, which) in enumerate(series.items()):
                wanted = {"baseline": "", "variant": ""} | dict(measure) | dict(which)
                frame = column.records.frame
                for key, value in wanted.items():
                    frame = frame[frame[key] == value]
                colour = colours[kinds[name]]
                style = {
                    "fmt": _MARKERS[k % len(_MARKERS)],
                    "color": colour,
                    "markerfacecolor": "white" if wanted["baseline"] else colour,
                    "label": name,
                }
                drawn += _dots(axis, frame, places, (k + 0.5) / len(series) - 0.5, style)
            axis.set_xticks(range(len(places)), places)
            axis.set_xlim(-0.6, len(places) - 0.4)
            if limits is not None:
                axis.set_ylim(*limits)
        if not drawn:
            raise NothingSelected(f"rows: no column has {label} ({dict(measure)})")
        line[0].set_ylabel(label)
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column.title, fontsize=10)
    _legend(figure, axes)
    return figure


def _dots(
    axis: Axes, frame: pd.DataFrame, places: Sequence[str], shift: float, style: Mapping
) -> int:
    """One series of `points`; how many points it has."""
    by_place = frame.groupby("pair_or_language")
    mean = by_place["value"].mean().reindex(places)
    if frame["seed"].nunique() > 1:
        below = above = by_place["value"].std().reindex(places)
    else:
        ends = by_place[["lower", "upper"]].mean().reindex(places)
        below, above = mean - ends["lower"], ends["upper"] - mean
    x, bars = np.arange(len(places)) + 0.7 * shift, np.array([below, above], dtype=float)
    axis.errorbar(x, mean, yerr=bars, markersize=4.5, capsize=2, **style)
    return int(mean.notna().sum())


def _select(records: Records, metric: str, variant: str, **equal: str) -> pd.DataFrame:
    frame = records.frame
    kept = (frame["metric"] == metric) & (frame["variant"] == variant) & frame["layer"].notna()
    for column, value in equal.items():
        kept &= frame[column] == value
    return frame[kept]


def _panel(axis: Axes, frame: pd.DataFrame, colour: Mapping[str, tuple]) -> None:
    if frame.empty:
        axis.text(0.5, 0.5, "not reported", ha="center", color="0.6", transform=axis.transAxes)
        return
    for k, (pair, part) in enumerate(frame.groupby("pair_or_language")):
        own = part[part["baseline"] == ""]
        mean, low, high = _band(own)
        axis.plot(
            mean.index,
            mean,
            marker=_MARKERS[k % len(_MARKERS)],
            markersize=3.5,
            color=colour[pair],
            label=pair,
        )
        if low is not None:
            axis.fill_between(mean.index, low, high, color=colour[pair], alpha=0.18, linewidth=0)
        fresh = part[part["baseline"] == "untrained"]
        if len(fresh):
            values = fresh.groupby("layer")["value"].mean()
            label = f"{pair}, untrained"
            axis.plot(values.index, values, linestyle=":", color=colour[pair], label=label)
    for kind, style in _BASELINES.items():
        part = frame[frame["baseline"] == kind]
        if len(part):
            values = part.groupby("layer")["value"].mean()
            axis.plot(values.index, values, linewidth=1, **style)
    last = int(frame["layer"].max())
    axis.set_xticks(range(0, last + 1, max(1, last // 6)))


def _stars(axis: Axes, frame: pd.DataFrame, colour: Mapping[str, tuple], label: str) -> None:
    last = frame[(frame["layer"] == frame["n_layers"]) & frame["baseline"].isin(["", "untrained"])]
    means = last.groupby(["baseline", "pair_or_language", "layer"])["value"].mean()
    for (baseline, pair, layer), value in means.items():
        face = "white" if baseline else colour[pair]
        beside = layer * 1.05  # not on top of the mean over tokens
        axis.plot(beside, value, "*", markersize=10, color=colour[pair], markerfacecolor=face)
    for baseline, name in (("", label), ("untrained", f"{label}, untrained")):
        if baseline in means.index.get_level_values("baseline"):
            face = "white" if baseline else "0.3"
            axis.plot([], [], "*", markersize=10, color="0.3", markerfacecolor=face, label=name)


def _boxes(axis: Axes, stated: pd.DataFrame, metric: str, model: str, n_layers: int) -> None:
    rows = stated[(stated["metric"].str.lower() == metric) & (stated["series"] == model)]
    for row in rows.itertuples():
        ends = paper_layers(n_layers, tuple(map(int, row.layer.split("-"))))
        axis.fill_between(
            [ends[0], ends[-1]], row.lower, row.upper, facecolor="none", edgecolor="0.6",
            hatch="///", linewidth=0.8, zorder=0, label="stated in the paper",
        )  # fmt: skip


def _band(frame: pd.DataFrame) -> tuple[pd.Series, np.ndarray | None, np.ndarray | None]:
    by_layer = frame.groupby("layer")
    mean = by_layer["value"].mean()
    if frame["seed"].nunique() > 1:
        spread = by_layer["value"].std().to_numpy(dtype=float)
        return mean, mean.to_numpy() - spread, mean.to_numpy() + spread
    if frame["lower"].notna().all():
        ends = by_layer[["lower", "upper"]].mean()
        return mean, *(ends[c].to_numpy(dtype=float) for c in ("lower", "upper"))
    return mean, None, None


def _broken(name: str, longest: int = 18) -> str:
    """A long name on several lines, broken after its underscores and hyphens."""
    lines = [""]
    for part in re.findall(r"[^_-]*[_-]|[^_-]+", name):
        if lines[-1] and len(lines[-1] + part) > longest:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _order(pair: str) -> tuple:
    """The papers list French first; the rest follows by name."""
    return (not pair.endswith("-fr"), pair != "en-et", pair)


def _legend(figure: Figure, axes: np.ndarray) -> None:
    handles = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    ncols = min(4, max(2, axes.shape[1]))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=ncols)
    # Many pairs make a tall legend: it takes no height from the panels.
    figure.set_figheight(0.9 + 1.55 * len(axes) + 0.21 * -(-len(handles) // ncols))
