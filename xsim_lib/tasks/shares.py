"""A share of right answers, with the interval that other sentences of the same kind would give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xsim_lib.indices.intervals import bootstrap

__all__ = ["Score", "score", "share"]


@dataclass(frozen=True)
class Score:
    """A measure with its 95 % interval.

    Attributes
    ----------
    value, lower, upper : float in [0, 1]
        Of words and entities, the interval is a percentile bootstrap over sentences: words of one sentence
        stand or fall together, so they are no independent trials. Of sentences, it is Wilson's.
    n : number of items scored (sentences, words, or entities of the gold standard).
    cut : how many words were beyond the longest sequence, where they count as wrong; how many sentences were
        shortened to it.
    """

    value: float
    lower: float
    upper: float
    n: int
    cut: int = 0


def score(
    counts: np.ndarray,
    ratio: Callable[[np.ndarray], float],
    n: int,
    *,
    cut: int = 0,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Score:
    """Score summed counts and draw the interval over sentences.

    Parameters
    ----------
    counts : (n_sentences, n_kinds)
        What each sentence adds: for accuracy the words that are right, and the words.
    ratio : callable
        The measure, of the sums over sentences (n_kinds,).
    n, cut : stored with the score.

    Raises
    ------
    ValueError : fewer than two sentences, which have no interval.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if len(counts) < 2:
        raise ValueError(f"sentences: expected at least 2 for an interval, got {len(counts)}")
    interval = bootstrap(
        lambda drawn, _: ratio(drawn.sum(0)), counts, counts, n_resamples=n_resamples, seed=seed
    )
    return Score(interval.estimate, interval.lower, interval.upper, int(n), int(cut))


def share(sums: np.ndarray) -> float:
    """First sum over the second: right answers among all."""
    return float(sums[0] / sums[1])
