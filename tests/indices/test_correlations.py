"""p-values and intervals from a printed correlation are those that the data themselves would give."""

import numpy as np
import pytest
from scipy import stats

from xsim_lib.indices.fisher import fisher_interval, pearson_p, smallest_significant


@pytest.mark.parametrize("n", [4, 7, 22])
def test_the_same_as_from_the_data(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=n)
    found = stats.pearsonr(x, x + rng.normal(size=n))
    assert pearson_p(found.statistic, n) == pytest.approx(found.pvalue, rel=1e-9)
    interval = found.confidence_interval(0.9)
    assert fisher_interval(found.statistic, n, confidence=0.9) == pytest.approx(interval, rel=1e-9)


def test_tables_are_taken_whole():
    r, n = np.array([[0.2, -0.2], [1.0, -1.0]]), np.array([12, 30])
    p = pearson_p(r, n)
    assert p.shape == (2, 2)
    assert p[0, 0] > p[0, 1] > 0
    assert p[1].tolist() == [0, 0]
    lower, upper = fisher_interval(r, n)
    assert (lower <= r).all()
    assert (upper >= r).all()
    assert upper[1, 0] == 1


def test_the_smallest_significant_correlation_is_on_the_edge():
    n = np.array([4, 7, 33])
    edge = smallest_significant(n, alpha=0.05)
    assert pearson_p(edge, n) == pytest.approx(0.05, rel=1e-9)
    assert edge[2] == pytest.approx(0.344, abs=5e-4)  # as in tables of critical values
    assert (smallest_significant(n, alpha=0.01) > edge).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pearson_p(1.2, 5), r"r: expected correlations in \[-1, 1\], got 1.2"),
        (lambda: pearson_p([0.1, np.nan], 5), "r: expected correlations.*got nan"),
        (lambda: pearson_p(0.5, 2), "n: expected at least 3 pairs, got 2"),
        (lambda: fisher_interval(0.5, 3), "n: expected at least 4 pairs, got 3"),
        (lambda: fisher_interval(0.5, 5, confidence=1.0), "confidence"),
        (lambda: smallest_significant(5, alpha=0.0), "alpha"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
