"""Figures of mean signatures over layers: violins over languages, their variance, languages with few data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from xsim_lib.figures.plots import Column, not_measured, use_style
from xsim_lib.papers.parafac2023.signature_rows import on_paper_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from xsim_lib.evidence.records import Records

__all__ = ["romanised_violins", "signature_table", "signature_violins", "starved_signatures"]

# Variant of the records -> colour, line and words of the legend.
_STARVED = {
    "": ("k", "-", "all data"),
    "trained again": ("0.6", "-", "all data, other weights"),
    "starved": ("C3", "-", "few data, both models"),
    "starved, sampled": ("C2", "--", "both, drawn more often"),
    "multilingual only": ("C0", ":", "few data, multilingual only"),
    "own model only": ("C1", ":", "few data, own model only"),
}


def signature_table(records: Records, variant: str = "", baseline: str = "") -> pd.DataFrame:
    """Mean signatures of all words: layers in rows, (seed, language) in columns."""
    frame = records.frame
    chosen = frame[
        (frame["metric"] == "mean_signature") & (frame["task"] == "")
        & (frame["variant"] == variant) & (frame["baseline"] == baseline)
    ]  # fmt: skip
    wide = chosen.pivot(index="layer", columns=["seed", "pair_or_language"], values="value")
    return wide.set_axis(wide.index.astype(int))


def signature_violins(columns: Sequence[Column], marked: Sequence[str]) -> Figure:
    """Draw Figure 2a, a column of panels per run: violins over languages, scale-free and raw, and the variance.

    The mean of untrained models is dashed; a dotted line stands at half the depth, where the paper has the
    smallest variance.

    Parameters
    ----------
    columns : with "mean_signature" per layer, also of the variant "raw" and the baseline "untrained".
    marked : languages that are drawn by name.
    """
    use_style()
    figure, axes = plt.subplots(
        3, len(columns), figsize=(1.2 + 3.1 * len(columns), 7.2), squeeze=False, sharex="col",
        layout="constrained",
    )  # fmt: skip
    for line, column in zip(axes.T, columns, strict=True):
        for axis, variant in zip(line, ("", "raw"), strict=False):
            _violins(axis, signature_table(column.records, variant), marked)
            fresh = signature_table(column.records, variant, "untrained").mean(axis=1)
            axis.plot(fresh.index, fresh, "--", color="0.4", linewidth=1, label="untrained, mean")
            axis.set_ylim(bottom=0)
        own = signature_table(column.records)
        fresh = signature_table(column.records, baseline="untrained")
        _variances(line[2], own, color="C0", label="variance, trained")
        _variances(line[2], fresh, color="0.6", label="variance, untrained")
        line[2].axvline(own.index.max() / 2, color="0.5", linestyle=":", linewidth=1)
        line[2].set(xlabel="layer", yscale="log")
        line[0].set_title(column.title, fontsize=10)
    for axis, name in zip(axes[:2, 0], ("scale-free", "raw"), strict=True):
        axis.set_ylabel(f"mean signature,\n{name}")
    axes[2, 0].set_ylabel("variance over languages")
    _legend_below(figure, axes[[0, 2], 0], ncols=3)
    return figure


def romanised_violins(
    columns: Sequence[Column], original: Sequence[Records], marked: Sequence[str]
) -> Figure:
    """Draw Figure 2b, a column of panels per run: violins of romanised text, and the variance of both texts.

    Parameters
    ----------
    columns : with "mean_signature" of the variant "romanised".
    original : records of the same runs with the languages in their own script.
    marked : languages that are drawn by name.
    """
    if not columns:
        return not_measured("romanised text")
    use_style()
    figure, axes = plt.subplots(
        2, len(columns), figsize=(1.2 + 3.1 * len(columns), 5), squeeze=False, sharex="col",
        layout="constrained",
    )  # fmt: skip
    for (top, bottom), column, before in zip(axes.T, columns, original, strict=True):
        latin = signature_table(column.records, "romanised")
        _violins(top, latin, marked)
        top.set_ylim(bottom=0)
        top.set_title(column.title, fontsize=10)
        _variances(bottom, signature_table(before), color="C0", label="original")
        _variances(bottom, latin, color="C3", label="romanised")
        bottom.set(xlabel="layer", yscale="log")
    axes[0, 0].set_ylabel("mean signature")
    axes[1, 0].set_ylabel("variance over languages")
    _legend_below(figure, axes[:, 0], ncols=4)
    return figure


def starved_signatures(columns: Sequence[Column], relatives: Mapping[str, Sequence[str]]) -> Figure:
    """Draw mean signatures of languages that lose most of their text, on the paper's scale, a row per run.

    Bands are one standard deviation over seeds. Crosses at the right are what the paper's text says of
    languages without relatives: 0.3 with all data and about 0 with few.

    Parameters
    ----------
    columns : with "mean_signature" of the variant "starved" and its controls, see `on_paper_scale`.
    relatives : language -> its family, itself included. Languages that it lacks are not drawn.
    """
    use_style()
    frames = [on_paper_scale(column.records) for column in columns]
    starved = (f.loc[f["variant"] == "starved", "pair_or_language"] for f in frames)
    shown = list(dict.fromkeys(x for names in starved for x in names if x in relatives))
    if not shown:
        return not_measured("languages that are starved in the model of all")
    figure, axes = plt.subplots(
        len(columns), len(shown), squeeze=False, sharex=True, sharey="row", layout="constrained",
        figsize=(0.8 + 1.75 * len(shown), 1.0 + 2.1 * len(columns)),
    )  # fmt: skip
    for line, column, frame in zip(axes, columns, frames, strict=True):
        for axis, language in zip(line, shown, strict=True):
            _starved(axis, frame[frame["pair_or_language"] == language])
            if len(relatives[language]) == 1:
                last = frame["layer"].max() + 0.4
                axis.plot([last, last], [0.3, 0.0], "x", color="0.3", markersize=5)
        line[0].set_ylabel(column.title)
    for axis, language in zip(axes[0], shown, strict=True):
        kind = "with relatives" if len(relatives[language]) > 1 else "alone"
        axis.set_title(f"{language}\n{kind}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("layer")
        axis.xaxis.get_major_locator().set_params(integer=True)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _starved(axis: Axes, own: pd.DataFrame) -> None:
    """One language: a line per way to starve it, with the spread over seeds."""
    for variant, (colour, style, label) in _STARVED.items():
        by = own[own["variant"] == variant].groupby("layer")["value"]
        mean, spread = by.mean(), by.std()
        axis.plot(mean, style, color=colour, label=label, linewidth=1.4)
        if spread.notna().any():
            low, high = mean - spread, mean + spread
            axis.fill_between(mean.index, low, high, color=colour, alpha=0.12, linewidth=0)


def _violins(axis: Axes, values: pd.DataFrame, marked: Sequence[str]) -> None:
    """One violin per layer, and the marked languages by name."""
    means = values.T.groupby(level="pair_or_language").mean()
    sns.violinplot(
        means, ax=axis, native_scale=True, inner=None, cut=0, color="C0", alpha=0.3, linewidth=0
    )
    for k, language in enumerate(x for x in marked if x in means.index):
        axis.plot(
            means.columns, means.loc[language], "osD^"[k % 4], color=f"C{k + 1}", markersize=4,
            label=language,
        )  # fmt: skip


def _variances(axis: Axes, values: pd.DataFrame, *, color: str, label: str) -> None:
    """Variance over languages, and its standard deviation over seeds."""
    by_seed = values.T.groupby(level="seed").var()
    mean = by_seed.mean()
    axis.plot(mean.index, mean, "o-", markersize=4, color=color, label=label)
    if len(by_seed) > 1:
        low, high = (mean + s * by_seed.std() for s in (-1, 1))
        edges = (x.to_numpy(dtype=float) for x in (low, high))
        axis.fill_between(mean.index, *edges, color=color, alpha=0.2, linewidth=0)


def _legend_below(figure: Figure, axes: Sequence[Axes], *, ncols: int) -> None:
    handles = [x for axis in axes for x in zip(*axis.get_legend_handles_labels(), strict=True)]
    figure.legend(*zip(*handles, strict=True), loc="outside lower center", ncols=ncols)
