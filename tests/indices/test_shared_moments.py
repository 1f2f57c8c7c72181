"""What pairs share is worked out once and changes no number; neither do float32 products or leaving out."""

import numpy as np
import pytest
import torch

from xsim_lib import indices
from xsim_lib.indices import comoments
from xsim_lib.indices.comoments import CoMoments
from xsim_lib.indices.intervals import jackknife, jackknife_interval, leave_one_out
from xsim_lib.indices.left_out import LeftOut
from xsim_lib.indices.moments import Moments, shared_moments

PAIRS = [("en", "fr"), ("en", "et"), ("fr", "et")]
INDICES = {
    "anc": indices.anc_from_moments,
    "cka": indices.linear_cka_from_moments,
    "cka_debiased": lambda m: indices.linear_cka_from_moments(m, debiased=True),
    "cca": indices.cca_from_moments,
    "svcca": lambda m: indices.svcca_from_moments(m, components=4),
    "svcca_variance": lambda m: indices.svcca_from_moments(m, variance=0.8),
    "pwcca": indices.pwcca_from_moments,
    "procrustes": indices.procrustes_from_moments,
}


def languages(n=90, d=8, layers=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(layers, n, d)) * rng.uniform(0.5, 3, d)
    return {
        name: (shared + rng.normal(size=shared.shape) + rng.normal(size=d)).astype(dtype)
        for name in ("en", "fr", "et")
    }


@pytest.mark.parametrize("name", INDICES)
def test_shared_moments_give_what_separate_ones_give(name, monkeypatch):
    """All indices on the same objects, so that nothing one has worked out disturbs the next."""
    monkeypatch.setattr("xsim_lib.indices.comoments._CHUNK", 40)
    rows = languages()
    found = shared_moments(rows, PAIRS)
    assert list(found) == PAIRS
    assert found["en", "fr"].xx is found["en", "et"].xx
    for other in INDICES.values():
        other(found["en", "fr"])
    for x, y in PAIRS:
        separate = INDICES[name](Moments.from_rows(rows[x], rows[y]))
        np.testing.assert_allclose(INDICES[name](found[x, y]), separate, rtol=0, atol=1e-12)


def test_a_language_is_centred_and_multiplied_with_itself_once(monkeypatch):
    calls = []

    def counting(name, function):
        def counted(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return counted

    monkeypatch.setattr(comoments.Centred, "of", counting("centre", comoments.Centred.of))
    monkeypatch.setattr(comoments.Product, "add", counting("multiply", comoments.Product.add))
    shared_moments(languages(), PAIRS[:2])
    assert (calls.count("centre"), calls.count("multiply")) == (3, 5)


def test_diagonal_shared_moments_are_enough_for_anc():
    rows = languages()
    found = shared_moments(rows, PAIRS, diagonal=True)
    for x, y in PAIRS:
        want = [indices.anc(a, b) for a, b in zip(rows[x], rows[y], strict=True)]
        assert indices.anc_from_moments(found[x, y]) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mean", [0.0, 1e3])
@pytest.mark.parametrize("d", [8, 300])
def test_products_in_float32_agree_to_1e_6(d, mean, dtype):
    """Both sides of the width from which symmetric products are cut into panels."""
    rows = {k: (v + mean).astype(dtype) for k, v in languages(1200, d, 2, dtype=dtype).items()}
    exact, fast = (shared_moments(rows, PAIRS, fast=fast) for fast in (False, True))
    # Of 300 directions of like variance no precision says which are the first four.
    for name in ("anc", "cka", "cka_debiased", "cca", "pwcca", *(["svcca"] if d == 8 else [])):
        for pair in PAIRS:
            difference = np.abs(INDICES[name](exact[pair]) - INDICES[name](fast[pair]))
            assert difference.max() < 1e-6, (name, pair)
    assert fast["en", "fr"].sxx.dtype == torch.float64
    assert (fast["en", "fr"].sxx != exact["en", "fr"].sxx).any()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(
    "shape", [(50, 8), (2, 50, 300), (2100, 300), (2, 2100, 520), (2, 1, 60, 8)]
)
def test_symmetric_products_are_complete(shape, fast):
    """Short and long chunks, with and without panels, and any leading dimensions."""
    x = np.random.default_rng(0).normal(size=shape) + 3
    rows = x - x.mean(-2, keepdims=True)
    found = CoMoments.from_rows(x, fast=fast)
    atol = (3e-6 if fast else 1e-13) * shape[-2]
    np.testing.assert_allclose(found.s, rows.swapaxes(-1, -2) @ rows, rtol=0, atol=atol)
    np.testing.assert_allclose(found.quartic, ((rows**2).sum(-1) ** 2).sum(-1), rtol=1e-6)


def test_the_spacing_of_the_input_is_kept_through_merging_indexing_and_saving():
    rows = languages(dtype=np.float32)
    part = CoMoments.from_rows(rows["en"].astype(np.float64)) + CoMoments.from_rows(rows["fr"])
    for found in (part, part[0], CoMoments.from_state(part.state()), part.diagonals()):
        assert found.resolution == np.finfo(np.float32).eps
        assert found.rounding == np.finfo(np.float64).eps
    assert CoMoments.from_rows(torch.arange(12).reshape(6, 2)).resolution == 0


def test_names_and_shapes_that_do_not_fit_are_named():
    rows = languages()
    with pytest.raises(ValueError, match="pairs: expected names among en, fr, et; got 'xx'"):
        shared_moments(rows, [("en", "xx")])
    with pytest.raises(ValueError, match="pairs: expected at least one"):
        shared_moments(rows, [])
    rows["et"] = rows["et"][:, 1:]
    with pytest.raises(ValueError, match="et: expected 90 rows like en, got 89"):
        shared_moments(rows, PAIRS)
    rows["et"] = np.full((3, 90, 8), np.nan)
    with pytest.raises(ValueError, match="et: expected finite values"):
        shared_moments(rows, PAIRS)


# ---------------------------------------------------------------- leaving out
def streams(rows, blocks=7):
    """Left-out sums of x with itself, y with itself, x with y; and the blocks they come from."""
    x, y = rows["en"], rows["fr"]
    parts = [Moments.from_rows(x[:, j::blocks], y[:, j::blocks]) for j in range(blocks)]
    three = [LeftOut([getattr(part, name) for part in parts]) for name in ("xx", "yy", "xy")]
    return three, parts


@pytest.mark.parametrize("kept", ["lean", "full"])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_leaving_a_block_out_is_not_having_it(kept, mean):
    rows = {k: v + mean for k, v in languages().items()}
    three, parts = streams(rows)
    bundles = [Moments(*b) for b in zip(*(getattr(s, kept) for s in three), strict=True)]
    assert len(bundles) == 1 + len(parts)
    names = ("anc", "cka") if kept == "lean" else INDICES
    for j, found in enumerate(bundles):
        keep = np.arange(90) % 7 != j - 1
        want = Moments.from_rows(rows["en"][:, keep], rows["fr"][:, keep])
        assert found.n == keep.sum()
        for name in names:
            got = INDICES[name](found)
            np.testing.assert_allclose(got, INDICES[name](want), rtol=0, atol=1e-9, err_msg=name)


def test_lean_sums_hold_no_matrix_and_say_so():
    three, _ = streams(languages())
    lean = Moments(*(side.lean[1] for side in three))
    assert all(v.ndim < 3 for side in three for v in side.lean[1].state().values())
    with pytest.raises(ValueError, match="full sums of products, got diagonal=True"):
        indices.cca_from_moments(lean)
    with pytest.raises(ValueError, match="full sums of products, got diagonal=True"):
        indices.linear_cka_from_moments(lean + lean)  # norms do not add up


@pytest.mark.parametrize("name", ["anc", "cka"])
def test_intervals_from_lean_sums_are_those_of_the_jackknife(name):
    three, parts = streams(languages())
    bundles = [Moments(*b) for b in zip(*(s.lean for s in three), strict=True)]
    got = jackknife_interval([INDICES[name](b) for b in bundles], [p.n for p in parts])
    for a, b in zip(got, jackknife(INDICES[name], parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def test_a_neuron_that_only_one_block_moves_is_dead_without_it():
    """Subtracting the block would leave rounding, and a correlation of it."""
    rows = languages(layers=1)
    for v in rows.values():
        v[:, :, 0] = 0.3
        v[:, 2::7, 0] += np.arange(13) * 1.7
    three, _ = streams(rows)
    lean = Moments(*(side.lean[3] for side in three))
    found = indices.neuron_correlations_from_moments(lean)
    assert found.dead[0].tolist() == [True] + [False] * 7


def test_one_block_leaves_nothing_out():
    three, _ = streams(languages(), blocks=1)
    for side in three:
        assert len(side.lean) == len(side.full) == 1


def test_leave_one_out_adds_what_is_left_in_order():
    assert leave_one_out(["a", "b", "c", "d"]) == ["bcd", "acd", "abd", "abc"]
