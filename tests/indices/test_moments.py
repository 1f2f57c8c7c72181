"""Moments: any batches, any order, any rank give the one-pass answer, and indices need no more."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xsim_lib import indices
from xsim_lib.indices.moments import CoMoments, Moments, jackknife, partial

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def related(seed=0, n=60, dx=5, dy=5, mean=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dx)) + mean
    return x, (x - mean) @ rng.normal(size=(dx, dy)) + rng.normal(size=(n, dy)) - mean


def explicit(x, y):
    """Every field by its definition, from all rows at once."""
    a, b = x - x.mean(0), y - y.mean(0)
    p, q = (a**2).sum(1), (b**2).sum(1)
    return {
        "n": len(x),
        "mean_x": x.mean(0),
        "mean_y": y.mean(0),
        "s": sum(np.outer(u, v) for u, v in zip(a, b, strict=True)),
        "spread_x": p.sum(),
        "spread_y": q.sum(),
        "cubic_x": (q[:, None] * a).sum(0),
        "cubic_y": (p[:, None] * b).sum(0),
        "quartic": (p * q).sum(),
    }


def assert_close(got, want, rel=1e-8):
    """Relative to the size of the whole field: a sum of products may be near zero by chance."""
    for name, value in want.items():
        found = np.asarray(got[name], dtype=float)
        assert np.abs(found - value).max() <= rel * np.abs(value).max(), name


@few
@given(
    seed=seeds,
    cuts=st.lists(st.integers(1, 59), max_size=6, unique=True),
    order=st.randoms(use_true_random=False),
    mean=st.sampled_from([0.0, 1.0, 1e4]),
)
def test_batches_in_any_order_give_the_direct_sums(seed, cuts, order, mean):
    """Down to single-row batches, and with a mean of 10 000 standard deviations."""
    x, y = related(seed, mean=mean, dy=4)
    edges = [0, *sorted(cuts), 60]
    spans = list(itertools.pairwise(edges))
    order.shuffle(spans)
    streamed = CoMoments()
    for a, b in spans:
        streamed.update(x[a:b], y[a:b])
    parts = [CoMoments.from_rows(x[a:b], y[a:b]) for a, b in spans]
    while len(parts) > 1:  # as a tree, as ranks would
        parts = [sum(parts[i + 1 : i + 2], parts[i]) for i in range(0, len(parts), 2)]
    want = explicit(x, y)
    assert_close(streamed.state(), want)
    assert_close(parts[0].state(), want)


def test_chunks_inside_one_batch_do_not_change_the_sums(monkeypatch):
    x, y = related(0, mean=1e4)
    monkeypatch.setattr("xsim_lib.indices.comoments._CHUNK", 7)
    monkeypatch.setattr("xsim_lib.indices.comoments._CHUNK_DIAGONAL", 7)
    want = explicit(x, y)
    assert_close(CoMoments.from_rows(x, y).state(), want)
    small = CoMoments.from_rows(x, y, diagonal=True).state()
    assert_close(small, {"n": 60, "mean_x": want["mean_x"], "s": np.diag(want["s"])})


def test_a_stream_with_itself_is_a_stream_paired_with_itself():
    x, _ = related(0)
    assert_close(CoMoments.from_rows(x).state(), explicit(x, x))


def test_merging_changes_neither_part_and_empty_is_neutral():
    x, y = related(0)
    a, b = Moments.from_rows(x[:20], y[:20]), Moments.from_rows(x[20:], y[20:])
    before = {k: v.clone() for k, v in a.state().items()}
    both = a + b + Moments.empty()
    assert both.n == 60
    assert all(torch.equal(v, before[k]) for k, v in a.state().items())
    assert (Moments.empty() + a).n == 20


def test_all_layers_go_through_at_once():
    """Leading dimensions are independent pairs, and indexing takes one out."""
    x, y = np.random.default_rng(0).normal(size=(2, 3, 40, 5))
    together = Moments.empty()
    for span in (slice(0, 15), slice(15, 40)):
        together.update(torch.tensor(x[:, span]), torch.tensor(y[:, span]))
    assert together.sxy.shape == (3, 5, 5)
    for layer in range(3):
        assert_close(together[layer].xy.state(), explicit(x[layer], y[layer]))


FROM_MOMENTS = {
    "anc": (indices.anc, indices.anc_from_moments, {}),
    "anc_signed": (indices.anc, indices.anc_from_moments, {"signed": True}),
    "cka": (indices.linear_cka, indices.linear_cka_from_moments, {}),
    "cka_debiased": (indices.linear_cka, indices.linear_cka_from_moments, {"debiased": True}),
    "cca": (indices.cca, indices.cca_from_moments, {"squared": True}),
    "svcca": (indices.svcca, indices.svcca_from_moments, {"components": 3}),
    "pwcca": (indices.pwcca, indices.pwcca_from_moments, {}),
    "procrustes": (
        indices.procrustes,
        indices.procrustes_from_moments,
        {},
    ),
}


@pytest.mark.parametrize("name", FROM_MOMENTS)
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_streamed_moments_give_the_index_of_the_rows(name, mean):
    """Layer by layer, from batches: what compare() does. Rows are centred first as the reference."""
    of_rows, of_moments, options = FROM_MOMENTS[name]
    pairs = [related(seed, mean=mean) for seed in range(3)]
    x, y = (np.stack([p[i] for p in pairs]) for i in range(2))
    moments = Moments.empty()
    for start in range(0, 60, 13):
        moments.update(x[:, start : start + 13], y[:, start : start + 13])
    want = [of_rows(a - a.mean(0), b - b.mean(0), **options) for a, b in pairs]
    got = of_moments(moments, **options)
    assert isinstance(got, np.ndarray)
    assert got == pytest.approx(want, rel=1e-8, abs=1e-8)
    assert type(of_moments(moments[1], **options)) is float


def test_diagonal_moments_are_enough_for_anc_and_only_for_it():
    x, y = related(0)
    small = Moments.from_rows(x[:9], y[:9], diagonal=True) + Moments.from_rows(
        x[9:], y[9:], diagonal=True
    )
    assert small.sxy.shape == (5,)
    assert indices.anc_from_moments(small) == pytest.approx(indices.anc(x, y), rel=1e-12)
    for name, (_, of_moments, _) in FROM_MOMENTS.items():
        if not name.startswith("anc"):
            with pytest.raises(ValueError, match="full sums of products, got diagonal=True"):
                of_moments(small)
    with pytest.raises(ValueError, match="other: expected diagonal=True, got False"):
        small.xx.merge(CoMoments.from_rows(x))


def test_languages_are_shared_between_pairs():
    """One object per language, one per pair: English is not summed once per partner."""
    x, y = related(0)
    z, _ = related(1)
    of = {k: CoMoments.from_rows(v) for k, v in (("en", x), ("fr", y), ("et", z))}
    for name, other in (("fr", y), ("et", z)):
        bundle = Moments(xx=of["en"], yy=of[name], xy=CoMoments.from_rows(x, other))
        assert indices.linear_cka_from_moments(bundle) == pytest.approx(
            indices.linear_cka(x, other), rel=1e-12
        )
    with pytest.raises(ValueError, match=r"xy: expected n=60 .* got n=59"):
        Moments(xx=of["en"], yy=of["fr"], xy=CoMoments.from_rows(x[1:], y[1:]))
    with pytest.raises(ValueError, match="xy: expected means of shapes"):
        Moments(xx=of["en"], yy=of["fr"], xy=CoMoments.from_rows(x[:, 1:], y))


@pytest.mark.parametrize("diagonal", [False, True])
def test_state_survives_saving(tmp_path, diagonal):
    """Plain tensors, so a rank can send them and safetensors or torch.save can store them."""
    moments = Moments.from_rows(*related(0), diagonal=diagonal)
    torch.save(moments.state(), tmp_path / "m.pt")
    back = Moments.from_state(torch.load(tmp_path / "m.pt", weights_only=True))
    assert back.diagonal is diagonal
    assert indices.anc_from_moments(back) == indices.anc_from_moments(moments)
    more = related(1)
    assert (back + Moments.from_rows(*more, diagonal=diagonal)).n == 120


def test_float32_accumulation_is_offered_and_close():
    x, y = related(0, n=2000)
    rough = Moments.from_rows(x, y, dtype=torch.float32)
    assert rough.sxy.dtype == torch.float32
    assert indices.linear_cka_from_moments(rough) == pytest.approx(
        indices.linear_cka(x, y), rel=1e-4
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_moments_stay_on_the_device_and_agree():
    x, y = related(0)
    moments = Moments.from_rows(torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda"))
    assert moments.sxy.device.type == "cuda"
    for of_rows, of_moments, options in FROM_MOMENTS.values():
        assert of_moments(moments, **options) == pytest.approx(of_rows(x, y, **options), rel=1e-9)


def test_bad_batches_are_refused():
    x, y = related(0)
    moments = Moments.from_rows(x, y)
    with pytest.raises(ValueError, match="y: expected 60 rows like x, got 59"):
        moments.update(x, y[1:])
    with pytest.raises(ValueError, match=r"expected sums of shape \(5, 5\), got \(4, 4\)"):
        moments.update(x[:, 1:], y[:, 1:])
    bad = np.zeros((2, 6, 3))
    bad[1, 4, 2] = np.nan
    with pytest.raises(ValueError, match=r"x: .* nan at row 4, column 2 of entry \(1,\)"):
        Moments.from_rows(bad, np.zeros((2, 6, 3)))
    with pytest.raises(
        ValueError, match=r"y: expected leading dimensions \(2,\) like x, got \(3,\)"
    ):
        Moments.from_rows(np.zeros((2, 6, 3)), np.zeros((3, 6, 3)))
    with pytest.raises(ValueError, match="moments: expected at least 2 samples, got 1"):
        indices.anc_from_moments(Moments.from_rows(x[:1], y[:1]))
    with pytest.raises(ValueError, match="moments: expected at least 4 samples, got 3"):
        indices.linear_cka_from_moments(Moments.from_rows(x[:3], y[:3]), debiased=True)
    with pytest.raises(ValueError, match="moments: expected a leading dimension to index"):
        moments[0]
    with pytest.raises(ValueError, match=r"y: expected 5 columns like x .* got 4"):
        indices.anc_from_moments(Moments.from_rows(x, y[:, 1:]))


def test_one_collapsed_layer_is_nan_and_spares_the_others():
    """Layer 0 of a [CLS]-pooled model is the same vector for every sentence."""
    x, y = np.random.default_rng(0).normal(size=(2, 2, 40, 5))
    x[0] = 0.1
    moments = Moments.from_rows(x, y)
    for name, (of_rows, of_moments, options) in FROM_MOMENTS.items():
        got = of_moments(moments, **options)
        assert got[1] == pytest.approx(of_rows(x[1], y[1], **options), rel=1e-9)
        assert got[0] == 0 if name.startswith("anc") else np.isnan(got[0])


# --- partialling out ------------------------------------------------------------------------------


def residuals(v, z):
    z = np.column_stack([np.ones(len(z)), z])
    return v - z @ np.linalg.lstsq(z, v, rcond=1e-12)[0]


def confounded(seed, n=80, k=2):
    rng = np.random.default_rng(seed)
    x, y = related(seed, n)
    zx = rng.poisson(12, size=(n, k)).astype(float)
    zy = zx + rng.poisson(2, size=(n, k))
    return x + zx @ rng.normal(size=(k, 5)), y + zy @ rng.normal(size=(k, 5)), zx, zy


@few
@given(seed=seeds)
def test_partial_moments_are_moments_of_regression_residuals(seed):
    """Covariates of both languages act jointly on both sides (Frisch-Waugh)."""
    x, y, zx, zy = confounded(seed)
    got = partial(Moments.from_rows(np.column_stack([x, zx]), np.column_stack([y, zy])), 2)
    z = np.column_stack([zx, zy])
    rx, ry = residuals(x, z), residuals(y, z)
    assert_close(
        {"xx": got.sxx, "yy": got.syy, "xy": got.sxy},
        {"xx": rx.T @ rx, "yy": ry.T @ ry, "xy": rx.T @ ry},
        rel=1e-9,
    )
    assert got.n == 80 - 4
    for of_rows, of_moments, options in FROM_MOMENTS.values():
        if "debiased" not in options:
            assert of_moments(got, **options) == pytest.approx(of_rows(rx, ry, **options), rel=1e-8)


def test_partial_removes_a_similarity_that_is_only_length():
    """Two unrelated sides that both follow sentence length: all of the index is length."""
    rng = np.random.default_rng(0)
    length = rng.poisson(15, size=(2000, 1)).astype(float)
    x, y = (length + rng.normal(size=(2000, 8)) for _ in range(2))
    assert indices.anc(x, y) > 0.8
    moments = Moments.from_rows(np.hstack([x, length]), np.hstack([y, length]))
    assert indices.anc_from_moments(partial(moments, 1)) < 0.05


def test_partial_takes_collinear_constant_and_badly_scaled_covariates():
    """Digits are often equal in both languages, and some corpora have none at all."""
    x, y, zx, _ = confounded(0)
    z = np.column_stack([zx[:, 0] * 1e5, zx[:, 1] * 1e-5, np.full(80, 3.0)])
    got = partial(Moments.from_rows(np.hstack([x, z]), np.hstack([y, z])), 3)
    rx, ry = residuals(x, zx), residuals(y, zx)
    assert_close({"xy": got.sxy}, {"xy": rx.T @ ry}, rel=1e-9)
    assert got.n == 80 - 2


def test_partial_of_layers_and_a_neuron_the_covariates_explain():
    x, y, zx, zy = confounded(0)
    x[:, 0] = 3 * zx[:, 0] - zy[:, 1] + 7
    a, b = np.column_stack([x, zx]), np.column_stack([y, zy])
    moments = partial(Moments.from_rows(np.stack([a, a]), np.stack([b, b])), 2)
    found = indices.neuron_correlations_from_moments(moments)
    assert found.n_dead.tolist() == [1, 1]
    assert found.values[0, 0] == 0


def test_partial_refuses_what_it_cannot_do():
    x, y = related(0)
    with pytest.raises(ValueError, match="k: expected an integer from 1 to 4, got 5"):
        partial(Moments.from_rows(x, y), 5)
    with pytest.raises(ValueError, match="full sums of products"):
        partial(Moments.from_rows(x, y, diagonal=True), 1)
    with pytest.raises(ValueError, match="more than 3 samples to regress 2 covariates out, got 3"):
        partial(Moments.from_rows(x[:3], y[:3]), 1)
    with pytest.raises(ValueError, match="debiased CKA needs fourth-order sums"):
        indices.linear_cka_from_moments(partial(Moments.from_rows(x, y), 1), debiased=True)


# --- jackknife ------------------------------------------------------------------------------------


def mean_of_first(moments):
    return moments.mean_x[0].item()


def test_jackknife_of_a_mean_is_the_t_interval():
    """Blocks of one sentence and a linear index: the textbook interval of a mean."""
    from scipy import stats

    x, y = related(0, n=12)
    blocks = [Moments.from_rows(x[i : i + 1], y[i : i + 1]) for i in range(12)]
    got = jackknife(mean_of_first, blocks, confidence=0.9)
    want = stats.t.interval(0.9, 11, loc=x[:, 0].mean(), scale=stats.sem(x[:, 0]))
    assert (got.lower, got.upper) == pytest.approx(want, rel=1e-9)
    assert got.estimate == pytest.approx(x[:, 0].mean())


def test_jackknife_with_unequal_blocks_follows_busing():
    """Leaving a block out really is the index of the other rows; weights follow block size."""
    from scipy import stats

    x, y = related(0)
    spans = [slice(0, 10), slice(10, 35), slice(35, 40), slice(40, 60)]
    blocks = [Moments.from_rows(x[s], y[s]) for s in spans]
    theta, g, n = indices.linear_cka(x, y), 4, 60
    sizes = [s.stop - s.start for s in spans]
    left = [
        indices.linear_cka(np.delete(x, np.r_[s], axis=0), np.delete(y, np.r_[s], axis=0))
        for s in spans
    ]
    centre = g * theta - sum((1 - m / n) * t for m, t in zip(sizes, left, strict=True))
    variance = 0
    for m, t in zip(sizes, left, strict=True):
        h = n / m
        variance += (h * theta - (h - 1) * t - centre) ** 2 / (h - 1) / g
    half = stats.t.ppf(0.975, g - 1) * np.sqrt(variance)
    got = jackknife(indices.linear_cka_from_moments, blocks)
    assert got == pytest.approx((theta, theta - half, theta + half), rel=1e-9)
    assert all(type(v) is float for v in got)


def test_jackknife_of_layers_gives_an_interval_per_layer():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 60, 4))
    blocks = [Moments.from_rows(x[:, i::6], y[:, i::6]) for i in range(6)]
    got = jackknife(indices.anc_from_moments, blocks)
    for layer in range(3):
        one = jackknife(indices.anc_from_moments, [b[layer] for b in blocks])
        assert [v[layer] for v in got] == pytest.approx(list(one), rel=1e-9)


def test_jackknife_needs_two_filled_blocks():
    x, y = related(0)
    with pytest.raises(ValueError, match="blocks: expected at least 2, got 1"):
        jackknife(mean_of_first, [Moments.from_rows(x, y)])
    with pytest.raises(ValueError, match="got none in block 1"):
        jackknife(mean_of_first, [Moments.from_rows(x, y), Moments.empty()])
