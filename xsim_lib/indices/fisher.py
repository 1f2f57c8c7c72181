"""How certain a correlation is that is known only as a number, with how many pairs it stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from xsim_lib.indices import validation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["fisher_interval", "pearson_p", "smallest_significant"]


def pearson_p(r: ArrayLike, n: ArrayLike) -> np.ndarray:
    r"""Two-sided p-value of Pearson correlations, were the true ones 0.

    .. math:: t = r \sqrt{(n - 2) / (1 - r^2)}

    Parameters
    ----------
    r : correlations in [-1, 1], any shape.
    n : number of pairs of each, at least 3; broadcast against `r`.

    Returns
    -------
    ndarray of the common shape, from Student's t with n - 2 degrees of freedom; 0 for r = -1 or 1.

    Raises
    ------
    ValueError : r outside [-1, 1] or nan, or n < 3.

    Notes
    -----
    Exact for independent pairs of normal variables. Languages are related, so they are not independent:
    read the p-value as a lower bound.
    """
    r, n = _checked(r, n, least=3)
    with np.errstate(divide="ignore"):  # |r| = 1 is infinitely far from 0
        t = np.abs(r) * np.sqrt((n - 2) / (1 - r**2))
    return np.asarray(2 * stats.t.sf(t, n - 2))


def fisher_interval(
    r: ArrayLike, n: ArrayLike, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    r"""Confidence interval of Pearson correlations by Fisher's transformation.

    .. math:: \tanh\left(\operatorname{artanh} r \pm \frac{q}{\sqrt{n - 3}}\right)

    Parameters
    ----------
    r : correlations in [-1, 1], any shape.
    n : number of pairs of each, at least 4; broadcast against `r`.
    confidence : in (0, 1); q is the matching quantile of the normal distribution.

    Returns
    -------
    (lower, upper), ndarrays of the common shape in [-1, 1].

    Raises
    ------
    ValueError : as for `pearson_p`, n < 4, or a confidence outside (0, 1).

    References
    ----------
    Fisher (1921), On the "probable error" of a coefficient of correlation.
    """
    validation.number("confidence", confidence, low=1e-9, high=1 - 1e-9)
    r, n = _checked(r, n, least=4)
    with np.errstate(divide="ignore"):  # artanh(1) is infinite, and its tanh 1 again
        z = np.arctanh(r)
    half = stats.norm.ppf((1 + confidence) / 2) / np.sqrt(n - 3)
    return np.tanh(z - half), np.tanh(z + half)


def smallest_significant(n: ArrayLike, *, alpha: float = 0.05) -> np.ndarray:
    """The smallest \\|r\\| of n pairs whose two-sided p-value is at most `alpha`.

    Raises
    ------
    ValueError : n < 3, or alpha outside (0, 1).
    """
    validation.number("alpha", alpha, low=1e-300, high=1 - 1e-9)
    _, n = _checked(0.0, n, least=3)
    t = stats.t.isf(alpha / 2, n - 2)
    return np.asarray(t / np.sqrt(n - 2 + t**2))


def _checked(r: ArrayLike, n: ArrayLike, *, least: int) -> tuple[np.ndarray, np.ndarray]:
    r, n = np.asarray(r, dtype=np.float64), np.asarray(n, dtype=np.float64)
    if not (np.abs(r) <= 1).all():
        raise ValueError(f"r: expected correlations in [-1, 1], got {r[~(np.abs(r) <= 1)].flat[0]}")
    if not (n >= least).all():
        raise ValueError(f"n: expected at least {least} pairs, got {n[~(n >= least)].flat[0]:g}")
    return np.broadcast_arrays(r, n)
