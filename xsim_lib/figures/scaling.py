"""The figure of the scaling studies: one panel per model, the mean over language pairs and its spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd

from xsim_lib.evidence.claims.measures import above_first, above_last, depth_of_peak
from xsim_lib.evidence.records import NothingSelected, Records
from xsim_lib.figures.plots import Column, row_name
from xsim_lib.figures.style import COLOURS, use_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["band", "over_pairs", "shapes", "short"]

_PRINTED = "sd_band"  # the variant under which a printed band is kept


def band(records: Records, metric: str, model: str, variant: str = "") -> pd.DataFrame:
    """Mean and spread over language pairs, per layer.

    Returns
    -------
    DataFrame over layers with ``mean``, ``low`` and ``high``: one standard deviation over pairs (of the
    means over seeds) to each side, or the band that the paper prints; nan where there is one pair.

    Raises
    ------
    NothingSelected : the metric was not measured for the model.
    """
    mean = records.curve(metric, model=model, variant=variant)
    chosen = records.select(metric=metric, model=model, variant=variant, baseline="").frame
    chosen = chosen[chosen["layer"].notna()]
    by_pair = chosen.groupby(["layer", "pair_or_language"])["value"].mean().unstack()
    sd = by_pair.std(axis="columns").astype(float)
    found = pd.DataFrame({"mean": mean, "low": mean - sd, "high": mean + sd})
    printed = records.frame.query("metric == @metric and model == @model and variant == @_PRINTED")
    if variant == "" and len(printed):
        ends = printed.set_index("layer")[["lower", "upper"]]
        found["low"], found["high"] = ends["lower"].astype(float), ends["upper"].astype(float)
    return found


def over_pairs(
    columns: Sequence[Column],
    metric: str,
    models: Sequence[str],
    *,
    label: str,
    notes: Mapping[str, str] | None = None,
    limits: tuple[float, float] = (0.0, 1.0),
    variant: str = "",
) -> Figure:
    """Draw the mean over language pairs per layer: a row per model, a column per source of numbers.

    Bands are one standard deviation over pairs. Dotted: the same model untrained; grey: shuffled pairs.

    Parameters
    ----------
    columns : such as the paper, this build, the recorded runs; those without a model stay empty.
    metric : such as "anc"; label : how the axis calls it.
    models : row by row; the depth of each decides the length of its axes.
    notes : words under the name of a model, such as its number of parameters.

    Raises
    ------
    NothingSelected : no column has the metric of one of the models.
    """
    use_style()
    figure, axes = plt.subplots(
        len(models),
        len(columns),
        figsize=(1.6 + 1.9 * len(columns), 1.2 + 1.45 * len(models)),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for row, (model, colour) in enumerate(zip(models, _cycle(len(models)), strict=True)):
        drawn = [
            _panel(axis, column.records, metric, variant, model, colour)
            for axis, column in zip(axes[row], columns, strict=True)
        ]
        if not any(drawn):
            raise NothingSelected(f"models: no column has {metric!r} of {model!r}")
        note = (notes or {}).get(model)
        name = "\n".join(filter(None, (row_name(model, columns), note)))
        axes[row, 0].set_ylabel(f"{name}\n{label}", fontsize=9)
        axes[row, 0].set_ylim(*limits)
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column.title, fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("layer")
    lines = [
        plt.Line2D([], [], color="0.3", label="mean over pairs (band: one sd)"),
        plt.Line2D([], [], color="0.3", linestyle=":", label="untrained"),
        plt.Line2D([], [], color="0.7", linestyle="-.", label="shuffled pairs"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def shapes(columns: Sequence[Column], metric: str, models: Sequence[str]) -> pd.DataFrame:
    """Describe every mean curve over pairs in four numbers, beside that of the untrained model.

    Returns
    -------
    DataFrame with a row per column of numbers, model and kind ("trained", "untrained"): ``depth of the
    peak`` (0: embeddings, 1: last layer), ``peak``, ``rise`` (peak minus first layer) and ``fall``
    (peak minus last layer). What was not measured has no row.
    """
    found = {}
    for column in columns:
        for model in models:
            for baseline in ("", "untrained"):
                try:
                    curve = column.records.curve(metric, model=model, baseline=baseline)
                except NothingSelected:
                    continue
                name = column.called.get(model, model)
                found[column.title.replace("\n", " "), name, baseline or "trained"] = {
                    "depth of the peak": depth_of_peak(curve),
                    "peak": curve.max(),
                    "rise": above_first(curve),
                    "fall": above_last(curve),
                }
    return pd.DataFrame(found).T


def short(count: float) -> str:
    """Write a number of parameters in words: 12 thousand, 3.48 billion."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return f"{count:.0f}"


def _panel(
    axis: Axes, records: Records, metric: str, variant: str, model: str, colour: tuple
) -> bool:
    try:
        found = band(records, metric, model, variant)
    except NothingSelected:
        axis.text(0.5, 0.5, "no values", ha="center", color="0.6", transform=axis.transAxes)
        axis.set_xticks([])
        return False
    axis.plot(found.index, found["mean"], marker="o", markersize=2.5, color=colour)
    axis.fill_between(
        found.index, found["low"], found["high"], color=colour, alpha=0.2, linewidth=0
    )
    for baseline, style in (
        ("untrained", {"color": colour, "linestyle": ":"}),
        ("shuffled", {"color": "0.7", "linestyle": "-."}),
    ):
        try:
            curve = records.curve(metric, model=model, variant=variant, baseline=baseline)
        except NothingSelected:
            continue
        axis.plot(curve.index, curve, linewidth=1.2, **style)
    last = int(found.index.max())
    axis.set_xticks(range(0, last + 1, max(1, last // 4)))
    return True


def _cycle(n: int) -> list[tuple]:
    return [COLOURS[k % len(COLOURS)] for k in range(n)]
