"""The variants of the authors' code in closed form."""

import numpy as np
import pytest

from xsim_lib import indices
from xsim_lib.papers.anc2022 import authors_code


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    x = random.standard_normal((300, 8))
    y = x @ random.standard_normal((8, 8)) + 2 * random.standard_normal((300, 8))
    return x, y


# ---------------------------------------------------------------- closed forms
def test_a_dead_neuron_counts_unless_it_is_left_out():
    x = np.random.default_rng(0).standard_normal((50, 5))
    x[:, 2] = 3.0
    assert indices.anc(x, x) == pytest.approx(0.8)
    assert authors_code.script_anc(x, x) == pytest.approx(0.8, abs=1e-6)
    assert authors_code.live_anc(x, x) == pytest.approx(1)
    with pytest.raises(ValueError, match="every neuron is constant"):
        authors_code.live_anc(np.ones((5, 2)), x[:5, :2])


def test_the_script_lets_opposite_neurons_cancel(pair):
    x, _ = pair
    flipped = x * np.array([1, 1, 1, 1, 1, 1, -1, -1])
    assert authors_code.script_anc(x, flipped) == pytest.approx(0.5, abs=1e-6)
    assert indices.anc(x, flipped) == pytest.approx(1)


def test_single_precision_changes_the_seventh_digit_only_while_means_are_small(pair):
    x, y = pair
    assert authors_code.single_precision_cka(x, y) == pytest.approx(
        indices.linear_cka(x, y), abs=1e-6
    )
    script, exact = authors_code.script_anc(x, y), indices.anc(x, y, signed=True)
    assert script == pytest.approx(exact, abs=1e-6)
    assert script != exact
    far = abs(authors_code.script_anc(x + 1e6, y) - exact)
    assert far > 1e-5  # a mean a million times the spread leaves one digit


def test_the_debiased_branch_depends_on_the_unit_of_measurement(pair):
    x, y = pair
    value = authors_code.debiased_branch(x, y)
    assert authors_code.debiased_branch(2 * x, 2 * y) == pytest.approx(value / 16)
    assert indices.linear_cka(2 * x, 2 * y, debiased=True) == pytest.approx(
        indices.linear_cka(x, y, debiased=True)
    )
    # With the root back in place it is the right one.
    own = [1 / authors_code.debiased_branch(side, side) for side in (x, y)]
    assert value * np.sqrt(own[0] * own[1]) == pytest.approx(
        indices.linear_cka(x, y, debiased=True)
    )


def test_summed_singular_values_keep_other_directions_than_variance():
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 4)))[0]
    rows = basis * np.array([6.0, 3.0, 1.0, 0.0])  # shares .6, .9, 1 of the sum
    keep = authors_code.singular_value_svcca
    assert keep(rows, rows, rate=0.95, details=True) == (2, 2)
    assert keep(rows, rows, rate=0.85, details=True) == (1, 1)  # .9 would be the first to reach it
    with pytest.raises(ValueError, match="x: its first singular value exceeds the rate"):
        keep(rows, rows, rate=0.5)


def test_summed_singular_values_see_the_mean(pair):
    x, y = pair
    kept = [authors_code.singular_value_svcca(a, y, rate=0.7, details=True)[0] for a in (x, x + 3)]
    assert kept[1] < kept[0]
    assert indices.svcca(x + 50, y, variance=0.7) == pytest.approx(
        indices.svcca(x, y, variance=0.7)
    )


def test_uncentred_weights_of_pwcca_follow_the_mean(pair):
    x, y = pair
    exact = indices.pwcca(x, y)
    assert authors_code.uncentred_pwcca(x - x.mean(0), y) == pytest.approx(exact)
    assert indices.pwcca(x + 5, y) == pytest.approx(exact)
    assert abs(authors_code.uncentred_pwcca(x + 5, y) - exact) > 0.02


def test_the_examples_show_what_they_say():
    found = authors_code.far_apart().set_index(["case", "variant"])["value"]
    dead = found["four perfect neurons, one dead"]
    assert dead.to_dict() == pytest.approx({"counted": 0.8, "left out": 1.0})
    for n, floor in (("100", 0.080), ("1,000", 0.0252), ("10,000", 0.0080)):
        case = found[f"independent data, n = {n}"]
        assert case["absolute"] == pytest.approx(floor, rel=0.15)  # sqrt(2 / (pi n))
        assert case["signed"] < 0.2 * floor
    cka = found["similar data, CKA"]
    assert cka["debiased branch"] < 1e-9 < 0.8 < cka["debiased"] < cka["biased"]
    shifted = found["both languages shifted as a whole, matching"]
    assert shifted["raw"] < 0.7
    assert shifted["sentence centred"] < 0.7
    assert shifted["language centred"] > 0.98
    weights = found["the same, PWCCA"]
    assert abs(weights["centred"] - weights["uncentred"]) > 1e-3
