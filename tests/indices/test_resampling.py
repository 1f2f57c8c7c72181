"""Shuffled baselines really break the pairing, and bootstrap intervals cover what they claim."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xsim_lib.indices import anc, bootstrap, linear_cka, shuffled
from xsim_lib.indices.intervals import share_interval

few = settings(max_examples=50, deadline=None)


@few
@given(n=st.integers(2, 60), seed=st.integers(0, 2**32 - 1))
def test_no_sentence_keeps_its_translation(n, seed):
    order = shuffled(n, seed)
    assert sorted(order) == list(range(n))
    assert not (order == np.arange(n)).any()
    assert order.tolist() == shuffled(n, seed).tolist()


def test_seeds_differ_and_every_partner_is_equally_likely():
    assert shuffled(50, 0).tolist() != shuffled(50, 1).tolist()
    partners = np.array([shuffled(4, seed)[0] for seed in range(3000)])
    assert np.bincount(partners, minlength=4) / 3000 == pytest.approx(
        [0, 1 / 3, 1 / 3, 1 / 3], abs=0.04
    )


@few
@given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=60), seed=st.integers(0, 99))
def test_groups_exchange_within_equal_lengths(lengths, seed):
    """Only a sentence of unique length, and the group it joins, may meet another length."""
    lengths = np.array(lengths)
    order = shuffled(len(lengths), seed, groups=lengths)
    assert sorted(order) == list(range(len(lengths)))
    assert not (order == np.arange(len(lengths))).any()
    counts = {v: int((lengths == v).sum()) for v in lengths}
    if min(counts.values()) > 1:
        assert (lengths[order] == lengths).all()


def test_a_lone_length_joins_the_nearest():
    """Length 9 goes to the 8s, not to the 1s; the 1s keep to themselves; 40 joins the 20s."""
    lengths = np.array([1, 1, 1, 8, 8, 9, 20, 20, 40])
    for seed in range(20):
        met = lengths[shuffled(9, seed, groups=lengths)]
        assert set(met[:3]) == {1}
        assert set(met[3:6]) <= {8, 9}
        assert set(met[6:]) <= {20, 40}


def test_lone_lengths_only_still_have_no_fixed_point():
    for n in (2, 3, 4, 7):
        order = shuffled(n, 0, groups=np.arange(n) ** 2)
        assert not (order == np.arange(n)).any()


def test_shuffling_within_length_keeps_what_length_alone_shares():
    """The length-matched baseline is higher than the plain one when representations follow length."""
    rng = np.random.default_rng(0)
    length = rng.integers(3, 12, size=1500)
    x, y = (length[:, None] + rng.normal(size=(1500, 8)) for _ in range(2))
    assert anc(x, y[shuffled(1500, 0)]) < 0.1
    assert anc(x, y[shuffled(1500, 0, groups=length)]) > 0.8


def test_bad_groups_are_refused():
    with pytest.raises(ValueError, match="n: expected an integer from 2"):
        shuffled(1, 0)
    with pytest.raises(ValueError, match=r"groups: expected 5 finite numbers, got shape \(4,\)"):
        shuffled(5, 0, groups=[1, 2, 3, 4])


def test_bootstrap_of_a_correlation_is_close_to_fishers_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 1))
    y = 0.75 * x + rng.normal(size=x.shape)
    got = bootstrap(lambda a, b: anc(a, b, signed=True), x, y, n_resamples=600, seed=1)
    z, half = np.arctanh(got.estimate), 1.96 / np.sqrt(597)
    assert got.estimate == anc(x, y)
    assert (got.lower, got.upper) == pytest.approx(
        (np.tanh(z - half), np.tanh(z + half)), abs=0.015
    )


def test_bootstrap_follows_its_seed_and_widens_with_confidence():
    x, y = np.random.default_rng(0).normal(size=(2, 50, 4))
    narrow = bootstrap(linear_cka, x, y, n_resamples=50, confidence=0.5, seed=3)
    assert narrow == bootstrap(linear_cka, x, y, n_resamples=50, confidence=0.5, seed=3)
    wide = bootstrap(linear_cka, x, y, n_resamples=50, confidence=0.95, seed=3)
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    with pytest.raises(ValueError, match="confidence: expected a number"):
        bootstrap(linear_cka, x, y, confidence=95)


def test_bootstrap_hands_numpy_to_an_index_of_numpy_and_torch_to_one_of_torch():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 3))
    kinds = set()

    def index(a, b):
        kinds.add((type(a), type(b)))
        return 1.0

    bootstrap(index, x.tolist(), y, n_resamples=2)
    assert kinds == {(np.ndarray, np.ndarray)}
    bootstrap(index, torch.from_numpy(x), torch.from_numpy(y), n_resamples=2)
    assert (torch.Tensor, torch.Tensor) in kinds


def test_the_interval_of_a_share_is_wilsons_and_covers():
    n, z = 50, 1.959963984540054
    for hits in (0, 3, 25, 50):
        p = hits / n
        centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        ends = (centre + np.array([-1, 1]) * half) / (1 + z * z / n)
        found = share_interval(hits, n)
        assert found == pytest.approx((p, *ends.clip(0, 1)), abs=1e-12)
        assert 0 <= found.lower <= p <= found.upper <= 1
    with pytest.raises(ValueError, match=r"hits: expected .* got 6 of 5"):
        share_interval(6, 5)
