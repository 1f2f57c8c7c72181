"""Why CKA failed: the split by directions adds up, and planted outliers are found and removed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rows import EXACT, few, related, seeds

from xsim_lib.indices import (
    anc,
    eigen_decomposition_of_cka,
    eigen_decomposition_of_cka_from_moments,
    linear_cka,
    remove_directions,
    row_norm_outliers,
    top_direction_share,
)
from xsim_lib.indices.moments import Moments


def centred(x):
    return x - x.mean(0)


def test_planted_outliers_collapse_cka_and_leave_anc():
    """1 % of sentences, one neuron, x100, other sentences in each language: Figure 1 in small."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 32))
    y = x + 0.1 * rng.normal(size=x.shape)
    assert linear_cka(x, y) > 0.95
    x[rng.choice(2000, 20, replace=False), 3] *= 100
    y[rng.choice(2000, 20, replace=False), 3] *= 100
    assert linear_cka(x, y) < 0.05
    assert anc(x, y) > 0.95
    parts = eigen_decomposition_of_cka(x, y)
    assert parts.x_weights[0] > 0.99
    assert np.argmax(np.abs(parts.x_directions[:, 0])) == 3
    assert parts.x_shares[0] < 0.5
    assert linear_cka(remove_directions(x, 1), remove_directions(y, 1)) > 0.9
    assert row_norm_outliers(x) > 10
    assert top_direction_share(x) > 0.5


@few
@given(seed=seeds, dx=st.integers(1, 6), dy=st.integers(1, 6))
def test_cka_decomposition_adds_up_and_matches_the_gram_eigenvectors(seed, dx, dy):
    x, y = related(seed, 30, dx, dy)
    parts = eigen_decomposition_of_cka(x, y)
    assert parts.cka == pytest.approx(linear_cka(x, y), **EXACT)
    for shares in (parts.x_shares, parts.y_shares, parts.x_variances, parts.y_weights):
        assert shares.sum() == pytest.approx(1)
    (u, lx, _), (v, ly, _) = (np.linalg.svd(centred(a), full_matrices=False) for a in (x, y))
    lx, ly = lx**2, ly**2
    want = np.outer(lx, ly) * (u.T @ v) ** 2 / np.linalg.norm(lx) / np.linalg.norm(ly)
    assert parts.contributions == pytest.approx(want, **EXACT)
    assert parts.x_variances == pytest.approx(lx / lx.sum(), **EXACT)


@pytest.mark.parametrize("n", [40, 5])
def test_remove_directions_takes_out_the_top_components_and_keeps_the_mean(n):
    x, _ = related(0, n, 8)
    u, s, vt = np.linalg.svd(centred(x), full_matrices=False)
    left = remove_directions(x, 2)
    assert centred(left) == pytest.approx((u[:, 2:] * s[2:]) @ vt[2:], abs=1e-9)
    assert left.mean(0) == pytest.approx(x.mean(0))
    assert top_direction_share(x, 2) == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())
    assert isinstance(remove_directions(torch.from_numpy(x), 2), torch.Tensor)


def test_row_norm_outliers_is_the_largest_norm_over_the_median():
    x = np.array([[1.0], [-1.0], [1.0], [-1.0], [10.0], [-10.0]])
    assert row_norm_outliers(x) == pytest.approx(10)


def test_constant_sides_and_layers_are_refused():
    x, y = related(0)
    with pytest.raises(ValueError, match="y: all rows are equal"):
        eigen_decomposition_of_cka(x, np.ones_like(y))
    for index in (top_direction_share, row_norm_outliers):
        with pytest.raises(ValueError, match="x: all rows are equal"):
            index(np.full_like(x, 0.1))
    with pytest.raises(ValueError, match="x: the median row equals the mean row"):
        row_norm_outliers([[0.0], [0.0], [0.0], [1.0], [-1.0]])
    layers = Moments.from_rows(np.stack([x, x]), np.stack([y, y]))
    with pytest.raises(ValueError, match=r"expected one pair, got leading dimensions \(2,\)"):
        eigen_decomposition_of_cka_from_moments(layers)
    one = eigen_decomposition_of_cka_from_moments(layers[1])
    assert one.cka == pytest.approx(linear_cka(x, y))
