"""Does a signature rise or fall with depth: Mann-Kendall per language, corrected for their number."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control


def layer_trends(values: pd.DataFrame, *, alpha: float = 0.05) -> pd.DataFrame:
    """Mann-Kendall trend over layers for each language.

    Parameters
    ----------
    values : languages in rows, layers in ascending order in columns; rows with nan are left out.
    alpha : false discovery rate over the languages (Benjamini & Hochberg, 1995).

    Returns
    -------
    DataFrame indexed by language: tau, slope (Sen's, per layer), p, q (p corrected) and trend: "rising",
    "falling" or "none" (q > alpha).

    Raises
    ------
    ValueError : fewer than 3 layers, or no language without nan.

    Notes
    -----
    Layers of one model are not independent, so p is too small; read tau.

    References
    ----------
    Mann (1945), Kendall (1975), by pymannkendall (Hussain & Mahmud, 2019).
    """
    import pymannkendall

    complete = values.dropna()
    if values.shape[1] < 3:
        raise ValueError(f"values: expected at least 3 layers, got {values.shape[1]}")
    if complete.empty:
        raise ValueError("values: expected a language without nan, got none")
    tests = [pymannkendall.original_test(row) for row in complete.to_numpy(dtype=np.float64)]
    table = pd.DataFrame(
        {
            "tau": [t.Tau for t in tests],
            "slope": [t.slope for t in tests],
            "p": [t.p for t in tests],
        },
        index=complete.index,
    )
    table["q"] = false_discovery_control(table["p"])
    direction = np.where(table["tau"] > 0, "rising", "falling")
    table["trend"] = np.where(table["q"] <= alpha, direction, "none")
    return table
