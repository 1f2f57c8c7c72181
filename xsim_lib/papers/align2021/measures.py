"""What the tables of align2021 compute: layers set back, losses and gaps of scores, their correlation, categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from xsim_lib.indices.intervals import Interval, percentile_interval
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.random_init import layer_list, reinitialise
from xsim_lib.tasks.transfer import MEAN

__all__ = ["category", "gaps", "layer_pairs", "rank_correlation", "reset", "score_changes"]

_RESET = 1000  # no model starts from these seeds: the layers must not get their own weights back


def reset(
    loaded: LoadedModel, layers: tuple[int, int], *, initialisation: str = "bert", seed: int
) -> LoadedModel:
    """RANDOM-INIT of layers first..last, counted from 1 as in the paper's table."""
    first, last = layers
    return reinitialise(
        loaded, range(first - 1, last), initialisation=initialisation, seed=_RESET + seed
    )


def layer_pairs(loaded: LoadedModel) -> dict[str, tuple[int, int]]:
    """Neighbouring layers two by two, by name: ``{"layers 1-2": (1, 2), ...}``.

    Raises
    ------
    ValueError : fewer than two layers, or an odd number of them.
    """
    n_layers = len(layer_list(loaded)[1])
    if n_layers < 2 or n_layers % 2:
        raise ValueError(f"loaded: expected an even number of layers, got {n_layers}")
    return {f"layers {k}-{k + 1}": (k, k + 1) for k in range(1, n_layers, 2)}


def score_changes(after: pd.DataFrame, before: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows ``delta_METRIC``: score `after` minus `before`, pair by pair.

    The interval takes the two scores as independent. They are of the same sentences, so it is
    rather too wide.
    """
    one, two = (
        frame[frame["metric"] == metric].set_index("pair_or_language") for frame in (after, before)
    )
    return _difference(one, two.loc[one.index], f"delta_{metric}")


def gaps(found: pd.DataFrame, metric: str, source: str) -> pd.DataFrame:
    """Rows ``gap_METRIC`` of every target: its score minus that of the source language.

    The sign is that of the slides' positive correlations: a gap is negative, and the closer to zero
    the better the transfer. (As source minus target, every correlation would change its sign.)
    """
    table = found[found["metric"] == metric].set_index("pair_or_language")
    targets = [p for p in table.index if p not in (f"{source}-{source}", f"{source}-{MEAN}")]
    own = table.loc[[f"{source}-{source}"] * len(targets)].set_axis(targets)
    return _difference(table.loc[targets], own, f"gap_{metric}")


def rank_correlation(
    one: Sequence[float] | np.ndarray,
    two: Sequence[float] | np.ndarray,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Spearman's rank correlation with a percentile bootstrap over the items (languages).

    .. math:: \rho = \operatorname{corr}(\operatorname{rank} x, \operatorname{rank} y)

    Parameters
    ----------
    one, two : (n_items,)
        At least 4; ties get their mean rank.

    Returns
    -------
    Interval of floats in [-1, 1]. Where one side does not vary there is no correlation: 0, and the
    interval is everything, -1 to 1. Draws in which a side does not vary are left out.

    Raises
    ------
    ValueError : shapes differ, fewer than 4 items, or a value is not finite.
    """
    x, y = (np.asarray(side, dtype=np.float64) for side in (one, two))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 4:
        raise ValueError(
            f"one, two: expected two equal rows of 4 or more, got {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("one, two: expected finite numbers")
    draws = np.random.default_rng(seed).integers(0, len(x), (n_resamples, len(x)))
    (whole,) = _spearman(x[None], y[None])
    if np.isnan(whole):
        return Interval(0.0, -1.0, 1.0)
    drawn = _spearman(x[draws], y[draws])
    return percentile_interval(float(whole), drawn[~np.isnan(drawn)])


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of every row; nan where one does not vary."""
    a, b = (rankdata(side, axis=1) for side in (x, y))
    a, b = (side - side.mean(1, keepdims=True) for side in (a, b))
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.where(scale > 0, (a * b).sum(1) / np.where(scale > 0, scale, 1), np.nan)


def category(multilingual: float, adapted: float, baseline: float) -> str:
    """Call an unseen language "easy", "intermediate" or "hard" by three scores on its own treebank.

    Parameters
    ----------
    multilingual, adapted : of the multilingual model as it is, and after training on raw text.
    baseline : of a model that was trained on nothing but the treebank.
    """
    if multilingual >= baseline:
        return "easy"
    return "intermediate" if adapted >= baseline else "hard"


def _difference(one: pd.DataFrame, two: pd.DataFrame, metric: str) -> pd.DataFrame:
    value = one["value"] - two["value"]
    below, above = (
        np.hypot(one["value"] - one["lower"], two["upper"] - two["value"]),
        np.hypot(one["upper"] - one["value"], two["value"] - two["lower"]),
    )
    columns = {"value": value, "lower": value - below, "upper": value + above, "n": one["n"]}
    return pd.DataFrame(columns).assign(task=one["task"], metric=metric).reset_index()
