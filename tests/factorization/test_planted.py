"""Slices with known components, and how near a solution comes to them."""

import dataclasses

import numpy as np
import pytest

from xsim_lib.factorization import congruence, mean_signatures, parafac2, plant, signatures


def solved(planted, rank=3, **options):
    return parafac2(planted.slices, rank, nonnegative=True, **options)


def test_planted_signatures_come_back_from_every_start():
    planted = plant(8, 12, 3, seed=1)
    starts = [solved(planted, init="random", seed=s) for s in (10, 20)]
    for one in starts:
        assert congruence(one, planted) > 0.999
    assert congruence(*starts) > 0.999
    found = mean_signatures(starts[0])
    assert found.corr(planted.signatures.mean(axis=1), method="spearman") == pytest.approx(1)
    # Lengths are those of the components themselves, not only their directions.
    assert sorted(signatures(starts[0]).loc["language 1"]) == pytest.approx(
        sorted(planted.signatures.loc["language 1"]), rel=1e-3
    )


def test_noise_has_the_length_it_was_given():
    exact, noisy = (plant(6, 15, 3, noise=x, seed=2) for x in (0, 0.5))
    x, y = (np.stack(list(p.slices.values())) for p in (exact, noisy))
    assert np.linalg.norm(y - x) == pytest.approx(0.5 * np.linalg.norm(x))
    assert exact.signatures.equals(noisy.signatures)
    assert congruence(solved(noisy), noisy) < congruence(solved(exact), exact)


def test_strengths_fall_as_told():
    flat, steep = (plant(200, 8, 4, fall=x, seed=3).signatures for x in (0, 1))
    assert (steep / flat).iloc[0].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def test_congruence_sees_one_wrong_language_and_one_wrong_component():
    planted = plant(6, 10, 3, seed=4)
    table = planted.signatures
    assert congruence(planted, planted) == pytest.approx(1)
    turned = [2, 0, 1]
    reordered = dataclasses.replace(
        planted,
        signatures=table.iloc[:, turned].set_axis(range(3), axis=1),
        directions=-planted.directions[:, turned],
    )
    assert congruence(reordered, planted) == pytest.approx(1)
    wrong = table.copy()
    wrong.iloc[2] = [0, 0, table.iloc[2, 2]]
    expected = table.iloc[2, 2] / np.linalg.norm(table.iloc[2])
    found = congruence(dataclasses.replace(planted, signatures=wrong), planted)
    assert found == pytest.approx(expected)  # the row of that language is the worst cosine
    wrong = table.copy()
    wrong[1] = [1, 0, 0, 0, 0, 0]
    found = congruence(dataclasses.replace(planted, signatures=wrong), planted)
    assert found <= table.iloc[0, 1] / np.linalg.norm(table[1]) + 1e-12


def test_components_too_many_are_left_out_of_the_comparison():
    planted = plant(8, 12, 3, seed=5)
    more = dataclasses.replace(
        planted,
        signatures=planted.signatures.assign(extra=1.0),
        directions=np.hstack([planted.directions, np.eye(12)[:, :1]]),
    )
    assert congruence(more, planted) == congruence(planted, more) == pytest.approx(1)


def test_unrelated_positive_signatures_are_not_orthogonal():
    assert 0.3 < congruence(plant(10, 12, 4, seed=6), plant(10, 12, 4, seed=7)) < 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_languages": 1}, "n_languages: expected an integer from 2"),
        ({"n_components": 9}, "n_components: expected an integer from 1 to 8"),
        ({"noise": -1}, "noise: expected a number from 0"),
        ({"fall": -1}, "fall: expected a number from 0"),
    ],
)
def test_sizes_that_cannot_be_are_errors(change, message):
    with pytest.raises(ValueError, match=message):
        plant(**{"n_languages": 5, "width": 8, "n_components": 3, **change})


def test_only_the_same_languages_are_compared():
    planted = plant(5, 8, 2)
    missing = parafac2({**planted.slices, "language 5": None}, 2, max_iter=5)
    with pytest.raises(
        ValueError, match="found: expected a signature of every language, none of 'l"
    ):
        congruence(missing, planted)
    with pytest.raises(ValueError, match=r"differ in \['language 5'\]"):
        congruence(planted, plant(4, 8, 2))
