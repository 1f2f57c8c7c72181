"""What several predicates measure on layer curves, and comparisons that forgive rounding."""

from collections.abc import Iterable, Mapping

import pandas as pd
from scipy.stats import spearmanr

from xsim_lib.evidence.records import PAPER_DEPTH, Records

EARLY = (1, 5)
"""The lower layers that the paper's CKA discussion treats as healthy."""

_ROUNDING = 1e-9


def at_least(value: float, threshold: float) -> bool:
    """value >= threshold, where 0.81 - 0.72 counts as 0.09; False for NaN."""
    return bool(value >= threshold - _ROUNDING)


def at_most(value: float, threshold: float) -> bool:
    """value <= threshold, where 0.72 - 0.70 counts as 0.02; False for NaN."""
    return bool(value <= threshold + _ROUNDING)


def span(values: Iterable[float]) -> float:
    """Largest minus smallest value."""
    values = list(values)
    return max(values) - min(values)


def listing(values: Mapping[str, float], digits: int = 2) -> str:
    """Write named values as "fr 0.72, bg 0.70"."""
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


def ratio(part: float, whole: float) -> float:
    """part / whole; NaN where whole is not positive, so that no comparison with it holds."""
    return part / whole if whole > 0 else float("nan")


def grid(r: Records, metric: str, models: Iterable[str], pairs: Iterable[str]) -> Records:
    """Select one metric of some models and pairs, and insist that every combination was measured.

    Raises
    ------
    NothingSelected : a combination is missing; an average over the rest would go unnoticed.
    """
    models, pairs = list(models), list(pairs)
    found = r.select(metric=metric, baseline="", variant="")
    measured = set(found.frame[["model", "pair_or_language"]].itertuples(index=False, name=None))
    for model in models:
        for pair in pairs:
            if (model, pair) not in measured:
                found.select(model=model, pair_or_language=pair)  # raises, saying what there is
    return found.select(model=models, pair_or_language=pairs)


def layer_curves(r: Records) -> dict[tuple[str, str], pd.Series]:
    """The layer curve of every model and pair of one metric and variant, by (model, pair)."""
    means = r.frame.dropna(subset=["layer"]).groupby(["model", "pair_or_language", "layer"])[
        "value"
    ]
    return {
        key: curve.droplevel([0, 1]).rename_axis("layer").rename(index=int)
        for key, curve in means.mean().groupby(level=[0, 1])
    }


def spearman(one: pd.Series, two: pd.Series) -> float:
    """Rank correlation of two curves over their common layers; 0 where one does not vary."""
    one, two = one.align(two, join="inner")
    varies = len(one) > 1 and one.nunique() > 1 and two.nunique() > 1
    return float(spearmanr(one, two).statistic) if varies else 0.0


def above_first(curve: pd.Series) -> float:
    """Rise from the first layer to the peak."""
    return float(curve.max() - curve.iloc[0])


def above_last(curve: pd.Series) -> float:
    """Fall from the peak to the last layer."""
    return float(curve.max() - curve.iloc[-1])


def depth_of_peak(curve: pd.Series) -> float:
    """Relative depth of the peak, 0 for the embeddings and 1 for the last layer."""
    return float(curve.idxmax() / curve.index.max())


def peaks_inside(curve: pd.Series, first: int, last: int) -> bool:
    """Tell whether the peak lies at the depth of layers first..last of a 12-layer network."""
    return first / PAPER_DEPTH <= depth_of_peak(curve) <= last / PAPER_DEPTH
