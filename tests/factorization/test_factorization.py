"""PARAFAC2: planted factors come back, tensorly agrees, and what must not matter does not."""

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorly.decomposition import parafac2 as tensorly_parafac2

from xsim_lib.factorization import descent, parafac2, sweeps

few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def planted(seed=0, n=8, rows=14, columns=12, rank=3, noise=0.0):
    """Slices with known A, B, C; rows may be one height or one per slice."""
    rng = np.random.default_rng(seed)
    heights = [rows] * n if isinstance(rows, int) else rows
    a = rng.uniform(0.3, 2, (n, rank))
    b = np.eye(rank) + 0.4 * rng.normal(size=(rank, rank))
    c = rng.normal(size=(columns, rank))
    slices = []
    for height, weights in zip(heights, a, strict=True):
        p = np.linalg.qr(rng.normal(size=(height, rank)))[0]
        x = p @ (b * weights) @ c.T
        e = rng.normal(size=x.shape)
        slices.append(x + noise * np.linalg.norm(x) / np.linalg.norm(e) * e)
    return slices, (a, b, c)


def noise_slices(seed=0, n=5, rows=9, columns=8):
    return list(np.random.default_rng(seed).normal(size=(n, rows, columns)))


def congruence(found, truth):
    """Mean absolute cosine of matched components."""
    unit = [f / np.linalg.norm(f, axis=0) for f in (found, truth)]
    cosines = np.abs(unit[0].T @ unit[1])
    return cosines[scipy.optimize.linear_sum_assignment(-cosines)].mean()


def residual(result, slices):
    total = sum(
        np.sum((x - result.reconstruction(n)) ** 2)
        for n, x in zip(result.names, slices, strict=True)
    )
    return np.sqrt(total / sum(np.sum(x**2) for x in slices))


# ---------------------------------------------------------------- the orthogonal factor
@pytest.mark.parametrize("method", ["eigen", "newton-schulz"])
@pytest.mark.parametrize("condition", [1, 1e2, 1e4])
def test_polar_factor_is_that_of_the_singular_value_decomposition(method, condition):
    rng = np.random.default_rng(0)
    m = []
    for _ in range(4):
        u, v = (np.linalg.qr(rng.normal(size=(n, 6)))[0] for n in (10, 6))
        m.append((u * np.geomspace(1, 1 / condition, 6)) @ v.T)
    m = torch.tensor(np.stack(m))
    u, _, vh = torch.linalg.svd(m, full_matrices=False)
    assert (sweeps.polar(m, method) - u @ vh).abs().max() < 1e-8


@pytest.mark.parametrize("method", ["eigen", "newton-schulz"])
@pytest.mark.parametrize("smallest", [1e-9, 1e-14, 0.0])
def test_polar_factor_of_a_deficient_matrix_is_orthonormal_and_maximal(method, smallest):
    rng = np.random.default_rng(1)
    u, v = (np.linalg.qr(rng.normal(size=(n, 6)))[0] for n in (10, 6))
    s = np.array([1, 0.5, 0.1, 0.01, smallest, smallest])
    m = torch.tensor((u * s) @ v.T)[None]
    p = sweeps.polar(m, method)
    assert (p.mT @ p - torch.eye(6)).abs().max() < 1e-12
    assert float((p * m).sum()) == pytest.approx(s.sum(), rel=1e-12)


# ---------------------------------------------------------------- what it finds
@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.9999), (0.2, 0.99)])
@pytest.mark.parametrize("options", [{}, {"accelerate": False}, {"nonnegative": True}])
def test_planted_factors_come_back(noise, least, options):
    slices, (a, _, c) = planted(1, n=12, rows=40, columns=30, noise=noise)
    found = parafac2(slices, 3, starts=3, tol=1e-9, max_iter=2000, **options)
    assert found.converged
    assert congruence(found.C, c) > least
    # The length of a component may move between factors, so A is compared column by column too.
    assert congruence(found.A, a) > least
    assert found.error == pytest.approx(residual(found, slices), abs=1e-9)
    assert found.core_consistency > (99.9 if noise == 0 else 95)
    assert found.error < (1e-6 if noise == 0 else 0.2)


@few
@given(seed=seeds, rank=st.integers(1, 6), nonnegative=st.booleans(), accelerate=st.booleans())
def test_error_never_rises_and_is_that_of_what_is_returned(seed, rank, nonnegative, accelerate):
    slices = noise_slices(seed)
    found = parafac2(slices, rank, nonnegative=nonnegative, accelerate=accelerate, max_iter=60)
    assert np.all(np.diff(found.errors) <= 0)
    assert found.error == pytest.approx(residual(found, slices), rel=1e-9)
    assert found.error <= found.errors[-1] + 1e-9
    assert found.fit == pytest.approx(1 - found.error**2)
    for p in found.projections:
        assert np.abs(p.T @ p - np.eye(rank)).max() < 1e-10
    assert (found.A >= 0).all() or not nonnegative


def test_float32_does_not_lose_the_error():
    """|X|^2 - 2<X, M> + |M|^2 in float32 gave 0 where the error was 0.46."""
    slices, _ = planted(0, rows=40, columns=30, noise=0.5)
    exact, single = (
        parafac2(slices, 3, max_iter=40, dtype=d) for d in (torch.float64, torch.float32)
    )
    assert single.error == pytest.approx(exact.error, abs=1e-4)
    assert single.errors[-1] == pytest.approx(exact.errors[-1], abs=1e-4)
    assert single.errors[-1] > 0.3


# ---------------------------------------------------------------- tensorly
@pytest.mark.parametrize("rank", [2, 5, 8])
def test_plain_sweeps_have_the_errors_of_tensorly(rank):
    slices = noise_slices(4, n=6, rows=10, columns=9)
    _, theirs = tensorly_parafac2(
        slices,
        rank,
        n_iter_max=25,
        init="svd",
        svd="truncated_svd",
        normalize_factors=False,
        tol=1e-14,
        nn_modes=None,
        random_state=0,
        verbose=False,
        return_errors=True,
        n_iter_parafac=5,
        linesearch=False,
        mask=None,
    )
    ours = parafac2(slices, rank, accelerate=False, compression="off", tol=0, max_iter=25)
    assert ours.errors == pytest.approx(theirs, abs=1e-6)


# ---------------------------------------------------------------- what must not matter
def test_the_order_of_the_languages_does_not_matter():
    slices, _ = planted(5, n=7, rows=20, columns=16, noise=0.3)
    names = list("abcdefg")
    order = [4, 2, 6, 0, 1, 5, 3]
    one = parafac2(dict(zip(names, slices, strict=True)), 3, max_iter=50)
    two = parafac2({names[i]: slices[i] for i in order}, 3, max_iter=50)
    assert two.names == tuple(names[i] for i in order)
    assert two.error == pytest.approx(one.error, rel=1e-9)
    np.testing.assert_allclose(two.A, one.A[order], rtol=1e-5)


def test_rotating_a_monolingual_space_does_not_matter():
    slices, _ = planted(6, n=7, rows=20, columns=16, noise=0.3)
    turned = [scipy.stats.ortho_group.rvs(20, random_state=i) @ x for i, x in enumerate(slices)]
    one, two = (parafac2(s, 3, max_iter=50) for s in (slices, turned))
    assert two.error == pytest.approx(one.error, rel=1e-9)
    np.testing.assert_allclose(two.A, one.A, rtol=1e-5)
    # Mixing its directions by anything but a rotation is another model.
    sheared = [np.diag(np.linspace(0.2, 3, 20)) @ x for x in slices]
    assert parafac2(sheared, 3, max_iter=50).error != pytest.approx(one.error, rel=1e-3)


@few
@given(seed=seeds, extra=st.integers(1, 6))
def test_empty_rows_do_not_matter_and_heights_may_differ(seed, extra):
    slices, _ = planted(seed, n=5, rows=[9, 12, 9, 15, 8], columns=8, noise=0.3)
    taller = [np.vstack([x, np.zeros((extra * (i % 2), 8))]) for i, x in enumerate(slices)]
    one, two = (parafac2(s, 3, max_iter=30) for s in (slices, taller))
    assert [len(p) for p in one.projections] == [9, 12, 9, 15, 8]
    assert two.errors == pytest.approx(one.errors, rel=1e-8)
    assert residual(two, taller) == pytest.approx(two.error, rel=1e-8)


def test_a_missing_category_keeps_the_name_and_nothing_else():
    slices, _ = planted(7, n=4, noise=0.2)
    names = ["en", "fr", "zh", "fi"]
    holed = {n: None if n == "zh" else x for n, x in zip(names, slices, strict=True)}
    found = parafac2(holed, 2, max_iter=20)
    without = parafac2([slices[i] for i in (0, 1, 3)], 2, max_iter=20)
    assert found.names == tuple(names)
    assert found.missing == ("zh",)
    assert np.isnan(found.A[2]).all()
    assert found.A[[0, 1, 3]] == pytest.approx(without.A)
    with pytest.raises(ValueError, match=r"name: expected one of 'en', 'fr', 'fi', got 'zh'"):
        found.reconstruction("zh")


# ---------------------------------------------------------------- compression
def test_compression_changes_the_way_and_not_the_end():
    slices, _ = planted(8, n=6, rows=150, columns=140, rank=4, noise=0.4)
    narrow, off = (
        parafac2(slices, 4, compression=c, tol=1e-9, max_iter=500) for c in ("auto", "off")
    )
    assert narrow.error == pytest.approx(off.error, rel=1e-5)
    assert np.all(np.diff(narrow.errors) <= 0)
    assert narrow.error == pytest.approx(residual(narrow, slices), rel=1e-9)


def test_lossless_compression_keeps_every_error():
    """Slices of rank 3 in 40 columns: three directions hold all."""
    slices, _ = planted(9, n=6, rows=50, columns=40, rank=3)
    options = {"accelerate": False, "max_iter": 15, "tol": 0}
    lossless, off = (parafac2(slices, 2, compression=c, **options) for c in (0.0, "off"))
    assert lossless.errors == pytest.approx(off.errors, abs=1e-7)


def test_bounded_loss_leaves_out_no_more_than_it_says():
    slices, _ = planted(10, n=6, rows=50, columns=40, rank=3, noise=0.5)
    full = sweeps.Slices.of([torch.tensor(x) for x in slices])
    options = descent.Options(2, None, 0, 5, 1, 0, False, False, 5, 0.1, "torch.float64")
    narrow = descent.Descent(full, options).narrow
    assert 0 < narrow.discarded <= 0.1 * narrow.squared_norm
    assert narrow.n_columns < 40


# ---------------------------------------------------------------- interrupted runs
class Killed(Exception):
    pass


@pytest.mark.parametrize("options", [{}, {"accelerate": False}, {"starts": 3}])
@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_killed_run_goes_on_to_the_same_digits(tmp_path, monkeypatch, options, after):
    slices, _ = planted(11, n=6, rows=130, columns=130, rank=4, noise=0.5)
    options = {"max_iter": 60, "tol": 1e-6, "checkpoint_every": 7, **options}
    whole = parafac2(slices, 4, **options)
    saved, save = [], descent.SavedSweeps.save

    def killed(self, runs):
        save(self, runs)
        saved.append(len(runs[-1].errors))
        if len(saved) == after:
            raise Killed

    monkeypatch.setattr(descent.SavedSweeps, "save", killed)
    with pytest.raises(Killed):
        parafac2(slices, 4, checkpoint=tmp_path / "run.pt", **options)
    monkeypatch.undo()
    resumed = parafac2(slices, 4, checkpoint=tmp_path / "run.pt", **options)
    assert resumed.errors == whole.errors
    assert np.array_equal(resumed.A, whole.A)
    assert resumed.start_errors == whole.start_errors


def test_a_finished_checkpoint_is_read_and_more_sweeps_continue_it(tmp_path, monkeypatch):
    slices, _ = planted(12, n=6, noise=0.5)
    file, options = tmp_path / "run.pt", {"tol": 0, "accelerate": False}
    parafac2(slices, 2, checkpoint=file, max_iter=10, **options)
    longer = parafac2(slices, 2, checkpoint=file, max_iter=20, **options)
    assert longer.errors == parafac2(slices, 2, max_iter=20, **options).errors
    monkeypatch.setattr(descent.Descent, "_step", None)
    assert parafac2(slices, 2, checkpoint=file, max_iter=20, **options).errors == longer.errors


def test_a_checkpoint_of_other_slices_is_refused(tmp_path):
    slices, _ = planted(13)
    parafac2(slices, 2, checkpoint=tmp_path / "run.pt", max_iter=3)
    with pytest.raises(ValueError, match=r"checkpoint: expected a file of this call, got run\.pt"):
        parafac2([2 * x for x in slices], 2, checkpoint=tmp_path / "run.pt", max_iter=3)
    with pytest.raises(ValueError, match="of other slices or arguments"):
        parafac2(slices, 3, checkpoint=tmp_path / "run.pt", max_iter=3)


# ---------------------------------------------------------------- stopping
def test_it_stops_for_the_reason_it_says():
    slices, _ = planted(14, noise=0.4)
    assert parafac2(slices, 3, max_iter=2).reason == "max_iter"
    assert not parafac2(slices, 3, max_iter=2).converged
    found = parafac2(slices, 3, target_error=0.9)
    assert (found.reason, len(found.errors)) == ("target", 1)
    found = parafac2(slices, 3, tol=1e-6, accelerate=False)
    assert found.reason == "tol"
    squared = np.square(found.errors)
    gains = (squared[:-5] - squared[5:]) / squared[:-5]
    assert gains[-1] < 5e-6
    assert (gains[:-1] >= 5e-6).all()


def test_the_best_of_several_starts_is_kept():
    slices = noise_slices(15)
    found = parafac2(slices, 3, starts=4, max_iter=40)
    assert len(found.start_errors) == 4
    assert found.errors[-1] == min(found.start_errors)
    assert len(set(found.start_errors)) > 1
    again = parafac2(slices, 3, starts=4, max_iter=40)
    assert again.start_errors == found.start_errors


def test_every_start_is_random_if_wanted():
    slices = noise_slices(15)
    random, svd = (parafac2(slices, 3, init=i, seed=5, max_iter=40) for i in ("random", "svd"))
    assert random.errors != svd.errors
    assert random.errors == parafac2(slices, 3, init="random", seed=5, max_iter=40).errors
    assert random.errors != parafac2(slices, 3, init="random", seed=6, max_iter=40).errors
    two = parafac2(slices, 3, init="svd", starts=2, seed=4, max_iter=40)
    assert two.start_errors == (svd.errors[-1], random.errors[-1])


def test_degenerate_components_are_reported():
    """Noise at high rank makes components that cancel; planted orthogonal ones do not."""
    slices, _ = planted(16, n=12, rows=40, columns=30)
    assert parafac2(slices, 3, starts=3).degeneracy > -0.5
    assert parafac2(noise_slices(16), 7, max_iter=300).core_consistency < 50


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 9}, r"rank: expected at most 8, the smaller side of slices\['slice_0'\]"),
        ({"rank": 0}, "rank: expected an integer from 1"),
        ({"names": ["a"]}, "names: expected 5, one per slice, got 1"),
        ({"names": list("abcda")}, "names: expected each once, got 'a' twice"),
        ({"tol": -1}, "tol: expected a number from 0 to 1, got -1"),
        ({"max_iter": 0}, "max_iter: expected an integer"),
        ({"starts": 0}, "starts: expected an integer"),
        ({"init": "zeros"}, "init: expected one of 'svd', 'random', got 'zeros'"),
        ({"inner": 0}, "inner: expected an integer"),
        ({"compression": "some"}, "compression: expected one of 'auto', 'off', got 'some'"),
        ({"compression": 1.0}, "compression: expected a share below 1, got 1.0"),
        ({"dtype": torch.float16}, "dtype: expected one of torch.float64, torch.float32"),
        ({"target_error": 2}, "target_error: expected a number from 0 to 1"),
    ],
)
def test_errors_name_the_argument_what_came_and_what_was_expected(change, message):
    with pytest.raises(ValueError, match=message):
        parafac2(noise_slices(), **{"rank": 3, **change})


def test_slices_that_cannot_be_factorised_are_errors():
    slices = noise_slices()
    broken = slices[1].copy()
    broken[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"slices\['b'\]: expected 8 columns like 'a', got 7"):
        parafac2({"a": slices[0], "b": slices[1][:, :7]}, 2)
    with pytest.raises(
        ValueError, match=r"slices\['b'\]: expected finite values, got nan at row 2"
    ):
        parafac2({"a": slices[0], "b": broken}, 2)
    with pytest.raises(ValueError, match=r"rank: .* slices\['low'\] \(2, 8\), got 3"):
        parafac2({"a": slices[0], "low": slices[1][:2]}, 3)
    with pytest.raises(ValueError, match="slices: expected a value other than 0"):
        parafac2([np.zeros((4, 4))], 2)
    with pytest.raises(ValueError, match="at least one that is not None"):
        parafac2([None, None], 2)
    with pytest.raises(ValueError, match="names: expected None beside a mapping"):
        parafac2({"a": slices[0]}, 2, names=["b"])
