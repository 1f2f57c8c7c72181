"""The figure of distances between signatures: a map of every two languages per run and layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from xsim_lib.evidence.records import Records, paper_layers
from xsim_lib.figures.plots import use_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["distance_maps", "distance_table"]


def distance_table(
    records: Records, layer: int, languages: Sequence[str], *, baseline: str = ""
) -> pd.DataFrame:
    """Distances at a layer, mean over seeds: (languages, languages), 0 on the diagonal.

    Parameters
    ----------
    records : with "distance" of pairs such as "en-fr".
    languages : the order of rows and columns; others that were measured come last.
    """
    frame = records.frame
    own = frame[
        (frame["metric"] == "distance") & (frame["layer"] == layer) & (frame["variant"] == "")
        & (frame["baseline"] == baseline)
    ]  # fmt: skip
    values = own.groupby("pair_or_language")["value"].mean()
    known = list(languages)
    names = list(dict.fromkeys(x for pair in values.index for x in pair.split("-")))
    names.sort(key=lambda x: known.index(x) if x in known else len(known))
    table = pd.DataFrame(0.0, index=names, columns=names)
    for pair, value in values.items():
        a, b = pair.split("-")
        table.loc[a, b] = table.loc[b, a] = value
    return table


def distance_maps(
    shown: Sequence[tuple[str, Records, str]], places: Mapping[str, int], languages: Sequence[str]
) -> Figure:
    """Draw maps of distances: a row per source of numbers, a column per layer, one scale for all.

    Parameters
    ----------
    shown : title, records and baseline of every row.
    places : title of a column -> its layer in the paper's networks of 12.
    languages : in the order of the maps.
    """
    use_style()
    tables = []
    for _, records, baseline in shown:
        layers = [paper_layers(int(records.frame["n_layers"].max()), k)[0] for k in places.values()]
        tables.append([distance_table(records, k, languages, baseline=baseline) for k in layers])
    highest = max(table.to_numpy().max() for row in tables for table in row)
    figure, axes = plt.subplots(
        len(shown), len(places), figsize=(3 * len(places), 0.4 + 2.9 * len(shown)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for line, row, (title, _, _) in zip(axes, tables, shown, strict=True):
        for axis, table in zip(line, row, strict=True):
            style = {"cmap": "Blues", "vmin": 0, "vmax": highest, "square": True}
            sns.heatmap(table, ax=axis, cbar=False, xticklabels=True, yticklabels=True, **style)
            axis.set(xlabel="", ylabel="")
            axis.tick_params(labelsize=7)
        line[0].set_ylabel(title)
    for axis, name in zip(axes[0], places, strict=True):
        axis.set_title(name, fontsize=10)
    figure.colorbar(axis.collections[0], ax=axes, label="cosine distance", shrink=0.6)
    return figure
