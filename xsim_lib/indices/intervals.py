"""Baselines and intervals: shuffled pairs, bootstrap over sentences, delete-one-block jackknife."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from xsim_lib.indices import validation

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array

Mergeable = TypeVar("Mergeable")


class Interval(NamedTuple):
    """An estimate with the two ends of its confidence interval.

    Floats; arrays if the index gives one value per layer.
    """

    estimate: Any
    lower: Any
    upper: Any


def shuffled(n: int, seed: int, groups: Array | Sequence[float] | None = None) -> np.ndarray:
    """A random permutation that pairs no sentence with its own translation.

    ``index(x, y[shuffled(n, seed)])`` is the value an index takes when only the distribution of
    the sentences is shared. With sentence lengths as `groups` it is the value it takes when length
    is shared too, the baseline an untrained encoder already reaches.

    Parameters
    ----------
    n : number of sentences.
    seed : the same seed gives the same permutation.
    groups : (n,) numbers, for example sentence lengths
        Sentences are exchanged only within equal values. A value that occurs once has nobody to
        exchange with, so it joins the nearest value (the smaller one on a tie).

    Returns
    -------
    int64 array (n,), a permutation of 0..n-1 without fixed points.

    Raises
    ------
    ValueError : n < 2, or `groups` is not n finite numbers.

    Notes
    -----
    Each group gets a uniformly drawn cyclic order (Sattolo's algorithm).
    """
    validation.number("n", n, low=2, high=2**62, integer=True)
    rng = np.random.default_rng(seed)
    if groups is None:
        return _cyclic(np.arange(n), n, rng)
    values = np.asarray(groups, dtype=np.float64)
    if values.shape != (n,) or not np.isfinite(values).all():
        raise ValueError(f"groups: expected {n} finite numbers, got shape {values.shape}")
    permutation = np.arange(n)
    for members in _without_singletons(values):
        permutation[members] = _cyclic(members, len(members), rng)
    return permutation


def _cyclic(members: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Send each member to the next one of a random circular order: one cycle, no fixed point."""
    order = rng.permutation(n)
    image = np.empty(n, dtype=np.int64)
    image[order] = members[np.roll(order, -1)]
    return image


def _without_singletons(values: np.ndarray) -> list[np.ndarray]:
    """Indices grouped by value; a lone value joins the group whose value is nearest."""
    levels = np.unique(values)
    groups = [np.flatnonzero(values == level) for level in levels]
    level_of = [[level] for level in levels]
    position = 0
    while len(groups) > 1 and position < len(groups):
        if len(groups[position]) > 1:
            position += 1
            continue
        here = level_of[position][0]
        below = here - level_of[position - 1][-1] if position else np.inf
        above = level_of[position + 1][0] - here if position + 1 < len(groups) else np.inf
        into = position - 1 if below <= above else position + 1
        low, high = min(position, into), max(position, into)
        groups[low : high + 1] = [np.concatenate(groups[low : high + 1])]
        level_of[low : high + 1] = [level_of[low] + level_of[high]]
        position = low
    return groups


def bootstrap(
    index: Callable[[Any, Any], float],
    x: Array,
    y: Array,
    *,
    n_resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of an index over resampled sentences.

    Parameters
    ----------
    index : callable of (x, y) that returns a number, such as `anc`; bind options with a lambda
        It gets float64 arrays of the kind given (numpy or torch).
    x, y : (n_samples, n_features)
        Rows are drawn with replacement, the same ones on both sides.
    n_resamples, confidence, seed : number of draws, coverage between 0 and 1, random seed.

    Returns
    -------
    Interval(estimate, lower, upper): the index of all rows, and percentiles over the draws.

    Notes
    -----
    A draw repeats sentences. An index that compares a sentence with all others is distorted by
    that: a repeated sentence has no unique nearest neighbour, and debiased CKA takes the repeats
    for shared structure. Use `jackknife` for CKA, and resample the hits of
    ``matching_accuracy(..., details=True)`` for retrieval. Small-sample bias of an index (biased
    CKA, CCA) moves every draw upward, so the estimate may lie below the interval.

    References
    ----------
    Efron (1979), "Bootstrap methods: another look at the jackknife".
    """
    tensors = validation.pair(x, y)
    # The index gets the kind of array the caller gave, in float64.
    a, b = (
        t.numpy() if not hasattr(v, "detach") else t for t, v in zip(tensors, (x, y), strict=True)
    )
    validation.number("n_resamples", n_resamples, low=2, high=10**7, integer=True)
    validation.number("confidence", confidence, low=1e-6, high=1 - 1e-6)
    rng = np.random.default_rng(seed)
    n = len(a)
    values = np.empty(n_resamples)
    for i in range(n_resamples):
        draw = rng.integers(0, n, n)
        values[i] = index(a[draw], b[draw])
    return percentile_interval(float(index(a, b)), values, confidence=confidence)


def percentile_interval(
    estimate: float, drawn: np.ndarray, *, confidence: float = 0.95
) -> Interval:
    """The middle part of what a bootstrap has drawn, beside the estimate from all samples.

    Parameters
    ----------
    drawn : (n_resamples,) the same statistic of resampled items.
    """
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(drawn, [tail, 1 - tail])
    return Interval(estimate, float(lower), float(upper))


def share_interval(hits: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's interval of a share of independent hits, which stays inside [0, 1] also where it is 0 or 1.

    Parameters
    ----------
    hits, n : how many of how many; 0 <= hits <= n, n >= 1.

    Raises
    ------
    ValueError : more hits than trials, or none of these.

    References
    ----------
    Wilson (1927), "Probable inference, the law of succession, and statistical inference"; scipy's `binomtest`.
    """
    from scipy.stats import binomtest

    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"hits: expected 0 <= hits <= n and n >= 1, got {hits} of {n}")
    found = binomtest(int(hits), int(n)).proportion_ci(confidence, method="wilson")
    return Interval(hits / n, float(found.low), float(found.high))


def jackknife(
    index: Callable[[Mergeable], Any], blocks: Sequence[Mergeable], *, confidence: float = 0.95
) -> Interval:
    r"""Delete-one-block jackknife interval of any index of moments.

    With g blocks of m_j samples, h_j = n / m_j, the index of everything :math:`\hat\theta`, and of
    everything but block j :math:`\hat\theta_{(j)}`, the pseudo-values are
    :math:`\tau_j = h_j \hat\theta - (h_j - 1) \hat\theta_{(j)}` and

    .. math:: \mathrm{se}^2 = \frac{1}{g} \sum_j \frac{(\tau_j - \bar\theta)^2}{h_j - 1}, \qquad
        \bar\theta = g \hat\theta - \sum_j (1 - m_j / n) \hat\theta_{(j)}

    The interval is :math:`\hat\theta \pm t_{g-1} \mathrm{se}`. For equal blocks this is the usual
    jackknife. No rows are kept: memory is the blocks' own, whatever n.

    Parameters
    ----------
    index : callable of `Moments`, such as `linear_cka_from_moments`; a number or one per layer.
    blocks : at least 2 `Moments` of disjoint blocks of sentences; about 20 are enough.
    confidence : coverage between 0 and 1.

    Returns
    -------
    Interval(estimate, lower, upper). Ends may leave the index's range: they are not clipped.

    Raises
    ------
    ValueError : fewer than 2 blocks, or an empty block.

    References
    ----------
    Busing, Meijer & van der Leeden (1999), "Delete-m jackknife for unequal m".
    """
    g = len(blocks)
    if g < 2:
        raise ValueError(f"blocks: expected at least 2, got {g}")
    for j, block in enumerate(blocks):
        if block.n == 0:
            raise ValueError(f"blocks: expected samples in every block, got none in block {j}")
    left_out = leave_one_out(blocks)
    whole = left_out[-1] + blocks[-1]
    values = [np.asarray(index(part)) for part in (whole, *left_out)]
    return jackknife_interval(values, [block.n for block in blocks], confidence=confidence)


def leave_one_out(blocks: Sequence[Mergeable]) -> list[Mergeable]:
    """Everything but block j, for each j, from objects that add up (at least 2)."""
    # Everything but block j is what comes before it plus what comes after it: 2 g merges, no g^2,
    # and none is undone by a subtraction that could leave rounding where there was nothing.
    after = [blocks[-1]]
    for block in blocks[-2:0:-1]:
        after.append(block + after[-1])
    before, left_out = None, []
    for block in blocks:
        rest = [part for part in (before, after.pop() if after else None) if part is not None]
        left_out.append(rest[0] if len(rest) == 1 else rest[0] + rest[1])
        before = block if before is None else before + block
    return left_out


def jackknife_interval(
    values: Sequence[Array], sizes: Sequence[int], *, confidence: float = 0.95
) -> Interval:
    """The interval of `jackknife` from the index of everything, then of everything but each block.

    Parameters
    ----------
    values : 1 + g numbers, or 1 + g arrays of one per layer.
    sizes : (g,) number of samples in each block.
    confidence : coverage between 0 and 1.
    """
    from scipy.stats import t

    validation.number("confidence", confidence, low=1e-6, high=1 - 1e-6)
    g = len(sizes)
    estimate, left_out = np.asarray(values[0]), np.stack(values[1:])
    share = (np.array(sizes) / sum(sizes)).reshape(-1, *[1] * estimate.ndim)
    centre = g * estimate - ((1 - share) * left_out).sum(0)
    pseudo = estimate / share - (1 / share - 1) * left_out
    error = np.sqrt(((pseudo - centre) ** 2 / (1 / share - 1)).mean(0))
    half = t.ppf(0.5 + confidence / 2, g - 1) * error
    ends = (estimate, estimate - half, estimate + half)
    return Interval(*(float(v) if v.ndim == 0 else v for v in ends))
