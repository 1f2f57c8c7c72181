"""Rows that pages record of signatures: means, trends over layers, how well solutions fit, distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xsim_lib.factorization import layer_trends, order_agreement

if TYPE_CHECKING:
    from xsim_lib.evidence.records import Records
    from xsim_lib.papers.parafac2023.signature_run import Signatures

__all__ = ["distance_rows", "fit_rows", "mean_rows", "on_paper_scale", "trend_rows"]


_TOLD = 0.3  # the mean signature of a language with all its data, as the paper's text has it


def mean_rows(means: pd.DataFrame) -> list[dict]:
    """Rows "mean_signature", with pair_or_language, layer and value, of languages x layers."""
    return [
        {"metric": "mean_signature", "pair_or_language": x, "layer": k, "value": means.loc[x, k]}
        for x in means.index
        for k in means.columns
    ]


def on_paper_scale(records: Records) -> pd.DataFrame:
    """Mean signatures on the paper's scale, where a language with all its data has 0.3.

    Parameters
    ----------
    records : with "mean_signature" of all languages with all their data (variant "") for every seed.

    Returns
    -------
    DataFrame of the rows "mean_signature" without baselines. Values are multiplied so that the mean over
    languages with all their data and layers above the embeddings is 0.3, seed by seed.
    """
    frame = records.frame
    frame = frame[(frame["metric"] == "mean_signature") & (frame["baseline"] == "")]
    frame = frame.astype({"layer": int, "n_layers": int})
    unit = frame[(frame["variant"] == "") & (frame["layer"] > 0)].groupby("seed")["value"].mean()
    return frame.assign(value=_TOLD * frame["value"] / frame["seed"].map(unit))


def trend_rows(means: pd.DataFrame) -> pd.DataFrame:
    """Mann-Kendall's trend over layers, language by language.

    Parameters
    ----------
    means : mean signatures, languages in rows and layers in columns, as of `Signatures.means`.

    Returns
    -------
    DataFrame with pair_or_language, metric ("trend_tau", "trend_q") and value; q is corrected for the number
    of languages.

    Raises
    ------
    ValueError : fewer than three layers, see `factorization.layer_trends`.
    """
    trends = layer_trends(means)[["tau", "q"]].add_prefix("trend_")
    return trends.reset_index(names="pair_or_language").melt("pair_or_language", var_name="metric")


def fit_rows(found: Signatures) -> list[dict]:
    """How well the solution of all words fits at every layer, and whether both kinds of signature agree.

    Returns
    -------
    Rows with layer, n_layers, metric and value: "order_agreement" of raw and scale-free means,
    "relative_error", "sweeps" and "degeneracy" of the solution.
    """
    rows = []
    for layer in found.layers:
        one = found.solution(layer)
        values = {
            "order_agreement": order_agreement(one),
            "relative_error": one.error,
            "sweeps": len(one.errors),
            "degeneracy": one.degeneracy,
        }
        place = {"layer": layer, "n_layers": found.n_layers}
        rows += [{"metric": m, "value": v, **place} for m, v in values.items()]
    return rows


def distance_rows(distances: pd.DataFrame) -> list[dict]:
    """Distances of all pairs of languages, and the mean distance of each to all others.

    Parameters
    ----------
    distances : (languages, languages), symmetric with 0 on the diagonal.

    Returns
    -------
    Rows with metric, value and pair_or_language: "distance" of "en-fr", then "mean_distance" of "en".
    """
    names = list(distances.index)
    rows = [
        {
            "metric": "distance",
            "value": distances.iloc[i, j],
            "pair_or_language": f"{names[i]}-{names[j]}",
        }
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True)
    ]
    means = distances.sum(axis=1) / (len(names) - 1)
    return rows + [
        {"metric": "mean_distance", "value": value, "pair_or_language": language}
        for language, value in means.items()
    ]
