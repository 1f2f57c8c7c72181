"""What follows from the correlations that the paper prints in Tables 1 and 4 to 7, without any model."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from xsim_lib.indices.fisher import fisher_interval, pearson_p

__all__ = ["analysed", "correlation_rows", "text_statements"]

_PLACE = ["model", "task", "layer", "n_layers", "metric", "value", "lower", "upper", "n"]


def analysed(rows: pd.DataFrame, languages: pd.Series) -> pd.DataFrame:
    """Printed correlations with what is known about each: how many languages, interval, p and corrected p.

    Parameters
    ----------
    rows : of `printed.as_records`; those whose metric is no correlation with accuracy or F1 are dropped.
    languages : task -> number of languages.

    Returns
    -------
    DataFrame with n, lower and upper (95 %, Fisher), p, and q_bh and q_by (Benjamini-Hochberg and
    Benjamini-Yekutieli, over all of the rows) beside the columns of `rows`.
    """
    rows = rows[rows["metric"].isin(["pearson_accuracy", "pearson_f1"])].copy()
    rows["n"] = rows["task"].map(languages)
    rows["lower"], rows["upper"] = fisher_interval(rows["value"], rows["n"])
    rows["p"] = pearson_p(rows["value"], rows["n"])
    for method in ("bh", "by"):
        rows[f"q_{method}"] = false_discovery_control(rows["p"], method=method)
    return rows


def correlation_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows for `Run.record` from those of `analysed`: metrics "p", "q_bh", "q_by", then "pearson" with its interval."""
    tests = [
        rows.assign(value=rows[metric], metric=metric, lower=None, upper=None)
        for metric in ("p", "q_bh", "q_by")
    ]
    return pd.concat([part[_PLACE] for part in [*tests, rows.assign(metric="pearson")]])


def text_statements(top: pd.DataFrame, every: pd.DataFrame, alpha: float) -> dict[str, str]:
    """Each statement of the paper's text about its tables -> what the printed numbers say of it.

    Parameters
    ----------
    top : rows of `analysed`, of the last layer (Table 1).
    every : the same of all layers (Tables 4-7).
    alpha : level of significance, and false discovery rate.
    """
    grid = every.pivot(index=["model", "task"], columns="layer", values="value").astype(float)
    largest = every.groupby(["model", "task"])["value"].idxmax()
    best = every.loc[largest].set_index(["model", "task"])
    covers = best["lower"] <= grid.min(axis=1)
    late = grid.eq(grid.max(axis=1), axis=0)[[11, 12]].any(axis=1)
    own = top[top["model"] == "XLM-R"].set_index("task")
    wide = top.pivot(index="task", columns="model", values="value").reindex(own.index)
    others = wide.drop(columns="XLM-R")
    inside = others.ge(own["lower"], axis=0) & others.le(own["upper"], axis=0)
    inside = inside.to_numpy()[others.notna().to_numpy()]
    last = top[top["task"] == "XNLI"]

    def high(task: str) -> str:
        rows = every[every["task"] == task]
        passed = _share(rows["p"] < alpha)
        return f"smallest {rows['value'].min():.2f}, significant alone {passed}"

    return {
        "Signatures indicate performance": f"positive {_share(top['value'] > 0)}; significant alone "
        f"{_share(top['p'] < alpha)}; after correction {_share(top['q_bh'] < alpha)}",
        "XLM-R's scores correlate best": f"largest in {_share(own['value'] >= wide.max(axis=1))} tasks; "
        f"values of other models inside its interval {_share(inside)}",
        "Last layers are best for most tasks": f"layer 11 or 12 in {_share(late)}; the best layer's interval "
        f"covers all layers in {_share(covers)}",
        "PAWS-X is high at every layer": high("PAWS-X"),
        "POS is high at every layer": high("pos"),
        "XNLI has only the last layer": f"last layer {last['value'].min():.2f} to {last['value'].max():.2f}, "
        f"significant {_share(last['p'] < alpha)}",
    }


def _share(condition: pd.Series | np.ndarray) -> str:
    """How often something is so."""
    return f"{int(condition.sum())} of {int(condition.size)}"
