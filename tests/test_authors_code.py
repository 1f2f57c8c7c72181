"""The variants of the authors' code: closed forms, and claims that change with the variant."""

import numpy as np
import pytest
import torch

from xsim_lib import authors_code, claims, similarity
from xsim_lib.authors_code import DEFINITIONS, ITEMS, VARIANTS
from xsim_lib.records import Records


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
    assert similarity.anc(x, x) == pytest.approx(0.8)
    assert authors_code.script_anc(x, x) == pytest.approx(0.8, abs=1e-6)
    assert authors_code.live_anc(x, x) == pytest.approx(1)
    with pytest.raises(ValueError, match="every neuron is constant"):
        authors_code.live_anc(np.ones((5, 2)), x[:5, :2])


def test_the_script_lets_opposite_neurons_cancel(pair):
    x, _ = pair
    flipped = x * np.array([1, 1, 1, 1, 1, 1, -1, -1])
    assert authors_code.script_anc(x, flipped) == pytest.approx(0.5, abs=1e-6)
    assert similarity.anc(x, flipped) == pytest.approx(1)


def test_single_precision_changes_the_seventh_digit_only_while_means_are_small(pair):
    x, y = pair
    assert authors_code.single_precision_cka(x, y) == pytest.approx(
        similarity.linear_cka(x, y), abs=1e-6
    )
    script, exact = authors_code.script_anc(x, y), similarity.anc(x, y, signed=True)
    assert script == pytest.approx(exact, abs=1e-6)
    assert script != exact
    far = abs(authors_code.script_anc(x + 1e6, y) - exact)
    assert far > 1e-5  # a mean a million times the spread leaves one digit


def test_the_debiased_branch_depends_on_the_unit_of_measurement(pair):
    x, y = pair
    value = authors_code.debiased_branch(x, y)
    assert authors_code.debiased_branch(2 * x, 2 * y) == pytest.approx(value / 16)
    assert similarity.linear_cka(2 * x, 2 * y, debiased=True) == pytest.approx(
        similarity.linear_cka(x, y, debiased=True)
    )
    # With the root back in place it is the right one.
    own = [1 / authors_code.debiased_branch(side, side) for side in (x, y)]
    assert value * np.sqrt(own[0] * own[1]) == pytest.approx(
        similarity.linear_cka(x, y, debiased=True)
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
    assert similarity.svcca(x + 50, y, variance=0.7) == pytest.approx(
        similarity.svcca(x, y, variance=0.7)
    )


def test_uncentred_weights_of_pwcca_follow_the_mean(pair):
    x, y = pair
    exact = similarity.pwcca(x, y)
    assert authors_code.uncentred_pwcca(x - x.mean(0), y) == pytest.approx(exact)
    assert similarity.pwcca(x + 5, y) == pytest.approx(exact)
    assert abs(authors_code.uncentred_pwcca(x + 5, y) - exact) > 0.02


def test_the_examples_show_what_they_say():
    found = authors_code.examples().set_index(["case", "variant"])["value"]
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


# ---------------------------------------------------------------- measuring and judging
def _states(layers=3, n=60, d=6):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(layers, n, d, generator=generator)
    return x, x + 0.5 * torch.randn(layers, n, d, generator=generator)


def test_every_variant_is_measured_at_every_layer():
    x, y = _states()
    rows = list(authors_code.measure(x, y, (*DEFINITIONS, *VARIANTS)))
    found = Records.of(
        rows, paper="anc2022", item="paper", profile="smoke", seed=1, pair_or_language="en-fr"
    )
    assert len(found) == 3 * (len(DEFINITIONS) + len(VARIANTS))
    frame = found.frame.set_index(["metric", "variant", "layer"])
    value = frame.loc[("anc", "signed", 1), "value"]
    assert value == pytest.approx(similarity.anc(x[1], y[1], signed=True))
    assert (frame["lower"] <= frame["value"]).all()
    assert (frame["value"] <= frame["upper"]).all()
    width = (frame["upper"] - frame["lower"]).groupby("metric").max()
    assert (width > 0).all()
    bare = list(authors_code.measure(x, y, DEFINITIONS, blocks=0, baseline="shuffled"))
    assert {row["baseline"] for row in bare} == {"shuffled"}
    assert not any("lower" in row for row in bare)


def _records(**curves):
    """CKA of a 12-layer NormFormer and its companions, one curve per variant, for every pair."""
    rows = [
        {"metric": "cka", "variant": variant, "layer": k, "n_layers": 12, "value": value}
        | {"model": model, "pair_or_language": pair}
        for variant, values in curves.items()
        for model in ("scale_post", "scale_pre", "scale_normformer")
        for pair in ("en-fr", "en-et", "en-bg")
        for k, value in enumerate(values if model == "scale_normformer" else [0.7] * 13)
    ]
    for row in rows:
        row["variant"] = row["variant"].removeprefix("definition")
    return Records.of(rows, paper="anc2022", item="paper", profile="mini", seed=1)


def test_claims_are_judged_with_the_variant_in_place_of_the_definition():
    flat, fallen = [0.7] * 13, [0.5, 0.6, 0.6, 0.7, 0.8, 0.8, *[0.02] * 7]
    records = _records(definition=flat, other=fallen)
    table = authors_code.judged(records, ["cka"], ["", "other"], "mini")
    collapse = table[table["claim"] == "fig1.normformer_cka_collapse"].set_index("variant")
    assert collapse["verdict"].to_dict() == {"": "fails", "other": "holds"}
    assert "CKA 0.700" in collapse.loc["other", "measured"]
    # What the records lack is said, and smoke decides nothing although the condition can be read.
    assert set(table[table["claim"].str.startswith("fig7")]["condition"]) == {""}
    smoke = Records.of(records.frame, profile="smoke")
    rows = authors_code.judged(smoke, ["cka"], ["other"], "smoke").set_index("claim")
    row = rows.loc["fig1.normformer_cka_collapse"]
    assert (row["verdict"], row["condition"]) == ("not_testable_here", "holds")


def test_without_layer_0_claims_about_it_lack_their_data():
    records = _records(definition=[0.1, *[0.7] * 12])
    (rise,) = authors_code.judged(records, ["cka"], [""], "mini", first=1).query(
        "claim == 'fig1.normformer_rise_0_5'"
    )["condition"]
    assert rise == ""


def test_the_metrics_of_an_item_are_those_that_its_claims_read():
    """A claim of the item mentions each of its metrics in the predicate's documentation."""
    for item, metrics in ITEMS.items():
        docs = " ".join(
            claims.predicate_of(claim).function.__doc__
            for claim in claims.claims_of("anc2022", item)
            if claim.item == item
        )
        assert all(f'"{metric}"' in docs for metric in metrics)
