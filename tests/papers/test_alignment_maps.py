"""One rotation between spaces: planted ones are found, and what should not change the answer does not."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from xsim_lib.papers.emerging2020.rotations import align, iterative_normalisation, retrieve


def planted(n=300, d=12, noise=0.0, seed=0):
    """Vectors, and the same ones rotated, row k to row k."""
    rng = np.random.default_rng(seed)
    rotation = ortho_group.rvs(d, random_state=seed)
    x = rng.standard_normal((n, d)) * np.linspace(0.5, 2, d)
    return x, x @ rotation + noise * rng.standard_normal((n, d)), rotation


def hits(one, two, **options):
    return float((retrieve(one, two, **options)[:, 0] == np.arange(len(one))).mean())


# ---------------------------------------------------------------- iterative normalisation
def test_normalised_rows_have_unit_length_and_mean_zero_at_once():
    x = planted()[0] + 3.0
    found = iterative_normalisation(x)(x)
    assert torch.allclose(found.norm(dim=1), torch.ones(300).double(), atol=1e-12)
    assert found.mean(0).norm() < 1e-6
    one_round = torch.tensor(x) / torch.tensor(x).norm(dim=1, keepdim=True)
    one_round = one_round - one_round.mean(0)
    assert one_round.norm(dim=1).std() > 0.01  # one round gives only one of the two


def test_normalisation_ignores_scale_and_goes_with_rotations():
    x, y, rotation = planted()
    assert torch.allclose(
        iterative_normalisation(5 * x)(5 * x), iterative_normalisation(x)(x), atol=1e-9
    )
    turned = iterative_normalisation(x)(x) @ torch.tensor(rotation)
    assert torch.allclose(iterative_normalisation(y)(y), turned, atol=1e-9)
    shifted = x + 1.0
    assert not torch.allclose(
        iterative_normalisation(shifted)(shifted), iterative_normalisation(x)(x), atol=1e-2
    )


def test_normalisation_repeats_its_rounds_on_other_vectors():
    x = planted()[0] + 1.0
    rounds = iterative_normalisation(x)
    assert torch.equal(rounds(x[:7]), rounds(x)[:7])
    assert rounds(np.stack([x[:4], x[4:8]])).shape == (2, 4, 12)
    centred = np.concatenate([x, -x])
    assert len(iterative_normalisation(centred).means) == 0


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((5, 3)), "row 0 is the mean of all rows"),
        (np.array([[1.0, 0], [0, 0], [2, 1]]), "row 1 is zero"),
        (np.ones((1, 3)), "at least 2 rows"),
    ],
)
def test_what_cannot_be_normalised(x, message):
    with pytest.raises(ValueError, match=message):
        iterative_normalisation(x)


def test_a_normalisation_that_is_not_done_is_no_result():
    with pytest.raises(ValueError, match="converges in 2 rounds, got a mean of length"):
        iterative_normalisation(planted()[0] + 1.0, max_rounds=2)


# ---------------------------------------------------------------- rotations
@pytest.mark.parametrize(("noise", "tolerance"), [(0.0, 1e-9), (0.1, 0.05)])
def test_a_planted_rotation_is_found(noise, tolerance):
    x, y, rotation = planted(n=2000, noise=noise)
    found = align(x, y).rotation.numpy()
    assert np.abs(found - rotation).max() < tolerance
    assert np.abs(found @ found.T - np.eye(12)).max() < 1e-12


def test_a_rotation_from_some_pairs_serves_the_others():
    x, y, _ = planted(noise=0.1)
    order = np.random.default_rng(1).permutation(300)
    y, place = y[order], np.argsort(order)
    pairs = np.stack([np.arange(60), place[:60]], axis=1)
    fitted = align(x, y, pairs)
    found = retrieve(fitted.map_source(x), fitted.map_target(y), queries=np.arange(60, 300))
    assert (found[:, 0] == place[60:]).mean() > 0.95
    wrong = align(x, y, pairs, shuffle=0)
    found = retrieve(wrong.map_source(x), wrong.map_target(y), queries=np.arange(60, 300))
    assert (found[:, 0] == place[60:]).mean() < 0.1
    plain = retrieve(fitted.source(x), fitted.target(y), queries=np.arange(60, 300))
    assert (plain[:, 0] == place[60:]).mean() < 0.1


def test_with_few_pairs_only_their_span_is_known():
    x, y, _ = planted(d=40)
    scores = []
    for n in (5, 40):
        fitted = align(x, y, [(k, k) for k in range(n)])
        scores.append(hits(fitted.map_source(x)[40:], fitted.map_target(y)[40:]))
    assert scores[0] < 0.4 < 0.95 < scores[1]


def test_no_rotation_joins_unrelated_spaces():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 400, 10))
    fitted = align(x[:200], y[:200])
    assert hits(fitted.map_source(x[200:]), fitted.map_target(y[200:])) < 0.05


def test_shifts_and_scales_of_a_side_are_forgiven_but_not_other_maps():
    x, y, _ = planted()
    moved = align(x, 3 * y)
    assert torch.allclose(moved.rotation, align(x, y).rotation, atol=1e-9)

    def left(other):
        fitted = align(x, other)
        return float((fitted.map_source(x) - fitted.map_target(other)).norm(dim=1).mean())

    assert left(3 * y) < 1e-9
    assert left(y * np.linspace(0.1, 3, 12)) > 0.3


@pytest.mark.parametrize(
    ("x", "y", "pairs", "message"),
    [
        ((9, 3), (9, 4), None, "expected 3 features like x, got 4"),
        ((9, 3), (8, 3), None, r"expected 9 rows like x \(or pairs\), got 8"),
        ((9, 3), (8, 3), [(0, 8)], "expected rows 0 to 7 in column 1, got 8 to 8"),
        ((9, 3), (8, 3), [(-1, 0)], "expected rows 0 to 8 in column 0, got -1 to -1"),
        ((9, 3), (8, 3), np.empty((0, 2)), "n_pairs > 0"),
    ],
)
def test_pairs_must_be_rows(x, y, pairs, message):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=message):
        align(rng.standard_normal(x), rng.standard_normal(y), pairs)


# ---------------------------------------------------------------- retrieval
def test_csls_by_hand():
    """Two queries, three candidates on a circle; the middle one is near both queries."""
    angle = np.radians([0, 60])
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    angle = np.radians([-40, 30, 95])
    y = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    cosines = x @ y.T
    assert retrieve(x, y, method="cosine").tolist() == [[1], [1]]
    penalty = cosines.mean(0)  # two neighbours of each candidate are all there are
    wanted = np.argsort(-(2 * cosines - penalty), axis=1)
    assert retrieve(x, y, neighbours=2, at=3).tolist() == wanted.tolist()
    assert retrieve(x, y, neighbours=2).tolist() == [[0], [2]]


def test_csls_takes_hubs_away():
    """Candidates near the mean of all queries are nearest to many of them by cosine."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 30)) + 1.0
    y = x + rng.standard_normal(x.shape)
    y[:20] = x.mean(0) + 0.1 * rng.standard_normal((20, 30))
    found = {m: retrieve(x, y, method=m)[:, 0] for m in ("cosine", "csls")}
    hub = {m: (f < 20).mean() for m, f in found.items()}
    assert hub["cosine"] > 0.1 > 5 * hub["csls"]
    right = {m: (f == np.arange(400))[20:].mean() for m, f in found.items()}
    assert right["csls"] > right["cosine"] + 0.1


def test_retrieval_does_not_depend_on_chunks_scale_or_who_asks(monkeypatch):
    x, y, _ = planted(noise=2.0)
    whole = retrieve(x, y, at=3)
    assert (retrieve(x, y, at=3, queries=[5, 2]) == whole[[5, 2]]).all()
    assert (retrieve(7 * x, 0.1 * y, at=3) == whole).all()
    monkeypatch.setattr("xsim_lib.papers.emerging2020.rotations.maps._CHUNK_BYTES", 8 * 300 * 7)
    assert (retrieve(x, y, at=3) == whole).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": 21}, "at: expected 1 to 20"),
        ({"neighbours": 21}, "neighbours: expected 1 to 20"),
        ({"method": "dot"}, "method: expected one of 'csls', 'cosine'"),
    ],
)
def test_retrieval_refuses(options, message):
    x, y, _ = planted(n=20)
    with pytest.raises(ValueError, match=message):
        retrieve(x, y, **options)
