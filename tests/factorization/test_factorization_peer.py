"""tensorly's PARAFAC2 beside ours: the wrapper, release 0.7, and what acceleration adds."""

import numpy as np
import pytest

from xsim_lib.factorization import parafac2, parafac2_tensorly

# ---------------------------------------------------------------- tensorly's two releases
# Errors of sweeps 1, 2, 10, 50 and 100 of tensorly 0.7.0 itself (numpy 2.4), init "svd", on the slices of
# `peer_slices`; A >= 0 binds in "opposed".
ERRORS_OF_0_7 = {
    ("noise", False): [0.577987670939, 0.560093226918, 0.551026053388, 0.546644530353, 0.544067702814],
    ("noise", True): [0.577987670939, 0.560093226918, 0.551026053388, 0.546644418982, 0.544069258414],
    ("full", False): [0.28066241468, 0.234127768792, 0.124860461946, 0.081147226819, 0.079227378587],
    ("full", True): [0.28066241467, 0.234127768796, 0.124861246311, 0.081168463526, 0.079275819222],
    ("opposed", False): [0.329381991026, 0.316972781816, 0.309844102251, 0.305998311588, 0.30317412903],
    ("opposed", True): [0.329381991026, 0.316972781816, 0.309844102258, 0.305998774955, 0.303614971668],
}  # fmt: skip


def peer_slices():
    rng = np.random.default_rng(4)
    noise, full = rng.normal(size=(6, 10, 9)), rng.normal(size=(4, 6, 6))
    opposed = [
        s * np.outer(rng.normal(size=8), np.ones(7)) + rng.normal(size=(8, 7))
        for s in (1, -1, 2, -2, 1.5)
    ]
    return {"noise": (noise, 5), "full": (full, 6), "opposed": (opposed, 4)}


@pytest.mark.parametrize(("name", "nonnegative"), ERRORS_OF_0_7)
def test_the_transcription_of_0_7_has_the_errors_of_0_7(name, nonnegative):
    slices, rank = peer_slices()[name]
    found = parafac2_tensorly(slices, rank, nonnegative=nonnegative, tol=1e-12)
    errors = [found.errors[k] for k in (0, 1, 9, 49, 99)]
    assert errors == pytest.approx(ERRORS_OF_0_7[name, nonnegative], abs=1e-10)
    assert len(found.errors) == 100
    assert not found.converged


def test_0_7_stops_by_the_squared_error_and_0_10_by_the_error():
    slices, rank = peer_slices()["noise"]
    old = parafac2_tensorly(slices, rank, tol=1e-3, nonnegative=False)
    new = parafac2_tensorly(slices, rank, tol=1e-3, nonnegative=False, version="0.10")
    assert (len(old.errors), len(new.errors)) == (8, 5)  # as the releases themselves
    assert old.errors[:5] == pytest.approx(new.errors, abs=1e-9)
    assert old.converged
    assert new.converged
    with pytest.raises(ValueError, match=r"linesearch: expected False with version 0\.7"):
        parafac2_tensorly(slices, rank, linesearch=True)


@pytest.mark.parametrize("linesearch", [False, True])
def test_the_wrapper_of_0_10_returns_what_tensorly_returns(linesearch):
    rng = np.random.default_rng(17)
    slices = [rng.normal(size=(rows, 8)) for rows in (9, 12, 9, 15, 8)]
    found = parafac2_tensorly(
        {"a": slices[0], "gone": None, **dict(zip("bcde", slices[1:], strict=True))},
        3,
        version="0.10",
        linesearch=linesearch,
        nonnegative=False,
        max_iter=20,
        tol=1e-14,
    )
    assert found.missing == ("gone",)
    assert [len(p) for p in found.projections if p is not None] == [9, 12, 9, 15, 8]
    total = sum(
        np.sum((x - found.reconstruction(n)) ** 2) for n, x in zip("abcde", slices, strict=True)
    )
    assert found.error == pytest.approx(np.sqrt(total / sum(np.sum(x**2) for x in slices)))
    if not linesearch:
        assert found.error == pytest.approx(found.errors[-1])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_acceleration_reaches_what_tensorly_reaches_only_by_line_search(seed):
    """Spectra fall and languages share directions, as encoders have them: plain sweeps crawl."""
    rng = np.random.default_rng(seed)
    falling = 1 / (1 + np.arange(48.0))
    many = rng.normal(size=(48, 24))
    slices = []
    for _ in range(12):
        words = rng.normal(size=(800, 48)) * falling * np.exp(0.5 * rng.normal(size=48))
        slices.append((words @ rng.normal(size=(48, 24))).T @ (words @ many) / 800)
    plain, searched = (
        parafac2_tensorly(
            slices, 8, version="0.10", nonnegative=False, linesearch=search, tol=1e-15
        ).error
        for search in (False, True)
    )
    ours = parafac2(slices, 8, target_error=searched, max_iter=100)
    assert searched < plain
    assert ours.reason == "target"
