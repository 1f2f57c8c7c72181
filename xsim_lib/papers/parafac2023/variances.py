"""Do the values of two sets of languages vary equally: the paper's test, and one that counts both sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["VarianceTest", "variance_tests"]


@dataclass(frozen=True)
class VarianceTest:
    """Comparison of the variance of a sample with that of another.

    Attributes
    ----------
    ratio : variance of the sample over that of the reference.
    chi2_p : two-sided p of the chi-square test, which takes the variance of the reference as known.
    f_p : two-sided p of the F test, for which both are estimated.
    """

    ratio: float
    chi2_p: float
    f_p: float


def variance_tests(sample: ArrayLike, reference: ArrayLike) -> VarianceTest:
    r"""Test whether a sample varies as a reference does.

    .. math:: \chi^2 = (n - 1) s^2 / \sigma_0^2 \sim \chi^2_{n-1}, \qquad
        F = s^2 / \sigma_0^2 \sim F_{n-1, m-1}

    Parameters
    ----------
    sample : (n,) numbers, the diverse set in section 5.2 of Zhao et al. (2023).
    reference : (m,) numbers, the related set; its variance is :math:`\sigma_0^2`.

    Returns
    -------
    VarianceTest. p is twice the smaller tail, at most 1.

    Raises
    ------
    ValueError : fewer than 2 values on a side, one that is not finite, or a reference that does not vary.

    Notes
    -----
    The chi-square test ignores that the reference's variance comes from a few values, too: its p is too small. Both
    assume normal, independent values, which languages of one family are not.
    """
    sides = []
    for name, values in (("sample", sample), ("reference", reference)):
        x = np.asarray(values, dtype=np.float64)
        if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
            raise ValueError(f"{name}: expected at least 2 finite numbers, got {values!r}")
        sides.append((len(x), float(x.var(ddof=1))))
    (n, own), (m, known) = sides
    if known == 0:
        raise ValueError("reference: expected values that differ, got equal ones")
    ratio = own / known
    tests = (stats.chi2(n - 1), (n - 1) * ratio), (stats.f(n - 1, m - 1), ratio)
    chi2_p, f_p = (min(1.0, 2 * min(d.cdf(x), d.sf(x))) for d, x in tests)
    return VarianceTest(ratio, float(chi2_p), float(f_p))
