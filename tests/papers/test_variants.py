"""Every variant is measured, and the claims change with the variant."""

import pytest
import torch

from xsim_lib import indices
from xsim_lib.evidence import claims
from xsim_lib.evidence.records import Records
from xsim_lib.papers.anc2022 import variants
from xsim_lib.papers.anc2022.variants import DEFINITIONS, ITEMS, VARIANTS
from xsim_lib.study import experiment

COLLAPSE = "fig1.normformer_cka_collapse"
FLAT, FALLEN = [0.7] * 13, [0.5, 0.6, 0.6, 0.7, 0.8, 0.8, *[0.02] * 7]


def _states(layers=3, n=60, d=6):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(layers, n, d, generator=generator)
    return x, x + 0.5 * torch.randn(layers, n, d, generator=generator)


def test_every_variant_is_measured_at_every_layer():
    x, y = _states()
    rows = list(variants.measure_variants(x, y, (*DEFINITIONS, *VARIANTS)))
    found = Records.of(
        rows, paper="anc2022", item="paper", profile="smoke", seed=1, pair_or_language="en-fr"
    )
    assert len(found) == 3 * (len(DEFINITIONS) + len(VARIANTS))
    frame = found.frame.set_index(["metric", "variant", "layer"])
    value = frame.loc[("anc", "signed", 1), "value"]
    assert value == pytest.approx(indices.anc(x[1], y[1], signed=True))
    assert (frame["lower"] <= frame["value"]).all()
    assert (frame["value"] <= frame["upper"]).all()
    width = (frame["upper"] - frame["lower"]).groupby("metric").max()
    assert (width > 0).all()
    bare = list(variants.measure_variants(x, y, DEFINITIONS, blocks=0, baseline="shuffled"))
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
    found = variants.judged(_records(**{"definition": FLAT, "debiased": FALLEN}), "mini")
    table = found["CKA"][found["CKA"]["claim"] == COLLAPSE].set_index("variant")
    assert table.loc[["paper", "debiased"], "verdict"].tolist() == ["fails", "holds"]
    assert "CKA 0.700" in table.loc["paper", "measured"]
    assert "0.020 in 6-12" in table.loc["debiased", "measured"]
    cells = variants.shown(found["CKA"])
    assert cells.loc[COLLAPSE].to_dict() == {"paper": "fails", "debiased": "holds"}
    assert cells.loc["fig7.same_as_fig1", "paper"] == "\N{EN DASH}"  # no second NormFormer here
    turned = variants.changed_claims(found).set_index(["claim", "variant"])
    assert (COLLAPSE, "debiased") in turned.index
    row = turned.loc[(COLLAPSE, "debiased")]
    assert row["the paper's definition"].startswith("fails: CKA 0.700")
    assert row["the variant"].startswith("holds: CKA 0.700 in layers 1-5, 0.020")


def test_smoke_decides_nothing_although_the_condition_can_be_read():
    records = Records.of(_records(definition=FALLEN).frame, profile="smoke")
    table = variants.judged(records, "smoke")["CKA"].set_index("claim")
    row = table.loc[COLLAPSE]
    assert (row["verdict"], row["condition"]) == ("not_testable_here", "holds")
    assert variants.shown(table.reset_index()).loc[COLLAPSE, "paper"] == "(holds)"


def test_without_layer_0_claims_about_it_lack_their_data():
    found = variants.judged(_records(definition=[0.1, *[0.7] * 12]), "mini")[variants.TEXT]
    cells = variants.shown(found).loc["fig1.normformer_rise_0_5"]
    assert cells.to_dict() == {"paper": "holds", "layer 0 skipped": "\N{EN DASH}"}


def test_distances_are_taken_layer_by_layer():
    rising = [0.7 + 0.01 * k for k in range(13)]
    table = variants.distances(_records(definition=FLAT, debiased=rising))
    row = table.loc[("cka", "debiased")]
    # Only one of the three models moves.
    assert row["largest"] == pytest.approx(0.12)
    assert row["mean distance"] == pytest.approx(0.06 / 3)
    assert table.loc[("cka", "paper"), "largest"] == 0


def test_columns_hold_one_variant_each():
    records = _records(definition=FLAT, debiased=FALLEN)
    first, second = variants.variant_columns(records, "cka", {"": "biased", "debiased": "debiased"})
    assert (first.title, second.title) == ("biased", "debiased")
    assert second.records.curve("cka", model="scale_normformer").tolist() == pytest.approx(FALLEN)


def test_a_page_that_no_claim_is_about_can_start():
    run = experiment.start("anc2022.paper", profile="smoke", judged=False)
    assert (run.paper, run.item) == ("anc2022", "paper")


def test_the_metrics_of_an_item_are_those_that_its_claims_read():
    """A claim of the item mentions each of its metrics in the predicate's documentation."""
    for item, metrics in ITEMS.items():
        docs = " ".join(
            claims.predicate_of(claim).function.__doc__
            for claim in claims.claims_of("anc2022", item)
            if claim.item == item
        )
        assert all(f'"{metric}"' in docs for metric in metrics)
