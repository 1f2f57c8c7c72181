"""CCA, SVCCA and PWCCA against QR and SVD of the rows, and where they stop meaning anything."""

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given
from hypothesis import strategies as st
from rows import EXACT, few, related, seeds

from xsim_lib.indices import (
    cca,
    cca_from_moments,
    pwcca,
    pwcca_from_moments,
    svcca,
    svcca_from_moments,
)
from xsim_lib.indices.moments import Moments


def by_qr(x, y):
    """Left singular vectors in the sample space, and canonical correlations (Bjorck & Golub)."""
    qx, qy = (np.linalg.qr(v - v.mean(0))[0] for v in (x, y))
    u, s, _ = np.linalg.svd(qx.T @ qy, full_matrices=False)
    return qx @ u, s


def components(x, k):
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return u[:, :k] * s[:k]


@few
@given(seed=seeds, dx=st.integers(1, 7), dy=st.integers(1, 7))
def test_cca_equals_the_qr_algorithm(seed, dx, dy):
    x, y = related(seed, 60, dx, dy)
    _, s = by_qr(x, y)
    assert cca(x, y) == pytest.approx(s.mean(), **EXACT)
    assert cca(x, y, squared=True) == pytest.approx((s**2).mean(), **EXACT)
    found = cca(x, y, details=True)
    assert found.correlations[: len(s)] == pytest.approx(s, **EXACT)
    assert (found.mean, found.mean_squared) == (cca(x, y), cca(x, y, squared=True))


def test_first_canonical_correlation_is_the_largest_any_projection_reaches():
    """Maximised directly, without linear algebra."""
    x, y = related(1, 60, 2, 3)

    def negative(weights):
        return -np.corrcoef(x @ weights[:2], y @ weights[2:])[0, 1]

    starts = np.random.default_rng(0).normal(size=(5, 5))
    best = max(-scipy.optimize.minimize(negative, w, tol=1e-12).fun for w in starts)
    assert cca(x, y, details=True).correlations[0] == pytest.approx(best, abs=1e-6)


@few
@given(seed=seeds, k=st.integers(1, 5))
def test_svcca_is_cca_of_principal_components(seed, k):
    x, y = related(seed)
    _, s = by_qr(components(x, k), components(y, k))
    assert svcca(x, y, components=k) == pytest.approx(s.mean(), **EXACT)
    assert svcca(x, y, components=k, squared=True) == pytest.approx((s**2).mean(), **EXACT)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99, 1.0])
def test_svcca_by_variance_keeps_the_fewest_components_that_reach_it(share):
    x, y = related(2)
    kept = []
    for v in (x, y):
        variances = np.linalg.svd(v - v.mean(0), compute_uv=False) ** 2
        total = np.cumsum(variances) / variances.sum()
        kept.append(int(np.argmax(total >= share - 1e-12)) + 1)
    _, s = by_qr(components(x, kept[0]), components(y, kept[1]))
    assert svcca(x, y, variance=share) == pytest.approx(s.mean(), **EXACT)


@few
@given(seed=seeds, dx=st.integers(1, 7), dy=st.integers(1, 7))
def test_pwcca_weights_are_projections_of_the_neurons_on_the_variates(seed, dx, dy):
    """Centred and raw neurons give the same weights: the variates sum to zero."""
    x, y = related(seed, 60, dx, dy)
    h, s = by_qr(x, y)
    for neurons in (x, x - x.mean(0)):
        weights = np.abs(h.T @ neurons).sum(1)[: len(s)]
        assert pwcca(x, y) == pytest.approx((weights * s).sum() / weights.sum(), **EXACT)


def test_dead_and_duplicate_neurons_do_not_change_cca():
    x, y = related(3)
    more = np.column_stack([x, np.full(60, 5.0), x[:, 0], 2 * x[:, 1] + 3])
    assert cca(more, y) == pytest.approx(cca(x, y), **EXACT)
    assert pwcca(y, more) == pytest.approx(pwcca(y, x), **EXACT)


def test_an_outlier_neuron_does_not_hide_the_small_directions():
    """Scales a million apart: eigenvalues of raw covariances would lose the small neurons."""
    x, y = related(4)
    scales = np.array([1e6, 1, 1, 1e-6, 1, 1])
    assert cca(x * scales, y) == pytest.approx(cca(x, y), **EXACT)


def test_cca_of_independent_data_has_its_chance_value():
    x, y = np.random.default_rng(0).normal(size=(2, 1001, 50))
    assert cca(x, y, squared=True) == pytest.approx(50 / 1000, rel=0.05)


@pytest.mark.parametrize("shift", [0.0, 5.0])
@pytest.mark.parametrize("d", [16, 64])
def test_a_direction_that_is_rounding_of_the_dtype_does_not_count(d, shift):
    """Layer-normed neurons depend on each other linearly, but for the rounding of float32."""
    torch.manual_seed(0)
    norm = torch.nn.LayerNorm(d)
    torch.nn.init.normal_(norm.weight, 1, 0.3)
    torch.nn.init.normal_(norm.bias, shift, 0.3)
    base = torch.randn(300 * 8, d)
    with torch.no_grad():
        x, y = (
            norm(base + noise * torch.randn_like(base)).reshape(300, 8, d).mean(1)
            for noise in (0.0, 0.5)
        )
    # Without its last neuron a side still has every direction that there is.
    expected = cca(x[:, :-1].double(), y[:, :-1].double(), details=True).correlations
    found = cca(x, y, details=True)
    assert found.correlations == pytest.approx(expected, abs=1e-5)
    assert found.mean == pytest.approx(expected.mean(), abs=1e-5)


@pytest.mark.parametrize("index", [cca, pwcca, svcca])
def test_small_directions_of_float32_data_are_kept(index):
    """Variances of 1e-8 of the largest are far above the rounding of float32."""
    x, y = related(6, 400)
    mixed = [v @ np.random.default_rng(1).normal(size=(6, 6)) for v in (x, y)]
    small = [(v - v.mean(0)) * np.geomspace(1, 1e-4, 6) for v in mixed]
    turned = [v @ np.linalg.qr(np.random.default_rng(2).normal(size=(6, 6)))[0] for v in small]
    assert index(*(v.astype(np.float32) for v in turned)) == pytest.approx(index(*turned), abs=1e-4)


def test_both_ways_to_whiten_give_one_answer(monkeypatch):
    """Cholesky factors where they are safe, eigenvectors elsewhere, and a batch that needs both."""
    pairs = [related(seed, 80) for seed in range(3)]
    pairs[1][0][:, 5] = pairs[1][0][:, 0]
    x, y = (np.stack([p[i] for p in pairs]) for i in range(2))
    found = {}
    for safest in (1e-7, np.inf):
        monkeypatch.setattr("xsim_lib.indices.canonical._SAFEST", safest)
        moments = Moments.from_rows(x, y)
        found[safest] = np.stack([cca_from_moments(moments), pwcca_from_moments(moments)])
    np.testing.assert_allclose(found[1e-7], found[np.inf], rtol=0, atol=1e-12)
    assert found[np.inf][0] == pytest.approx([cca(a, b) for a, b in pairs], **EXACT)


def test_products_in_float32_are_close_or_refused():
    x, y = related(5, 500, 40, 40)
    fast = Moments.from_rows(x, y, fast=True)
    assert fast.sxy.dtype == torch.float64
    for of_moments, index in ((cca_from_moments, cca), (pwcca_from_moments, pwcca)):
        assert 0 < abs(of_moments(fast) - index(x, y)) < 1e-6
    x[:, 0] = x[:, 1] + 1e-5 * x[:, 0]
    fast = Moments.from_rows(x, y, fast=True)
    for of_moments in (cca_from_moments, pwcca_from_moments):
        with pytest.raises(ValueError, match=r"products in float32 .*without fast=True"):
            of_moments(fast)
    assert svcca_from_moments(fast) == pytest.approx(svcca(x, y), abs=1e-6)


@pytest.mark.parametrize("index", [cca, pwcca])
def test_too_few_samples_for_cca_is_an_error_that_says_how_many(index):
    """With n <= d + 1 samples everything correlates perfectly: a number would be a lie."""
    x, y = np.random.default_rng(0).normal(size=(2, 7, 6))
    with pytest.raises(
        ValueError, match=r"of 6 features needs at least 8 samples, got 7.*below 13"
    ):
        index(x, y)
    x, y = np.random.default_rng(0).normal(size=(2, 8, 6))
    assert 0 < index(x, y) < 1


def test_svcca_works_with_fewer_samples_than_neurons_but_not_than_components():
    x, y = related(0, 30, 50, 50)
    _, s = by_qr(components(x, 20), components(y, 20))
    assert svcca(x, y) == pytest.approx(s.mean(), **EXACT)
    with pytest.raises(ValueError, match="svcca with 20 components needs at least 22 samples, got"):
        svcca(x[:21], y[:21])
    with pytest.raises(ValueError, match="svcca with 29 components needs at least 31 samples"):
        svcca(x, y, variance=1.0)


def test_svcca_with_more_components_than_neurons_uses_them_all():
    x, y = related(0)
    assert svcca(x, y) == pytest.approx(cca(x, y), **EXACT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"components": 0}, "components: expected an integer from 1"),
        ({"components": None}, "components: expected an integer from 1"),
        ({"components": 2.5}, "components: expected an integer"),
        ({"variance": 0}, "variance: expected a number"),
        ({"variance": 1.2}, "variance: expected a number"),
    ],
)
def test_svcca_options_are_checked(options, message):
    x, y = related(0)
    with pytest.raises(ValueError, match=message):
        svcca(x, y, **options)


def test_layers_with_different_numbers_of_components_go_through_at_once():
    """Batched moments keep as many components per layer as each needs."""
    pairs = [related(seed, 60, 6, 6) for seed in range(3)]
    pairs[1][0][:, 1:] *= 1e-3
    x, y = (np.stack([p[i] for p in pairs]) for i in range(2))
    got = svcca_from_moments(Moments.from_rows(torch.tensor(x), torch.tensor(y)), variance=0.9)
    want = [svcca(a, b, variance=0.9) for a, b in pairs]
    assert got == pytest.approx(want, **EXACT)


def test_layers_of_different_rank_keep_their_own_weights():
    """In a batch, directions a layer does not have must not enter its PWCCA weights."""
    pairs = [related(seed, 60, 6, 6) for seed in range(2)]
    pairs[1][1][:, 3:] = pairs[1][1][:, :3]
    x, y = (np.stack([p[i] for p in pairs]) for i in range(2))
    got = pwcca_from_moments(Moments.from_rows(x, y))
    assert got == pytest.approx([pwcca(a, b) for a, b in pairs], **EXACT)
    assert got[1] == pytest.approx(pwcca(pairs[1][0], pairs[1][1][:, :3]), **EXACT)
