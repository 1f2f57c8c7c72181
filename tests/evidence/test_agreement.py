"""What counts as the same number, measured again: on this machine, on another one, and through given weights."""

import numpy as np
import pytest
import tables
from tables import ELSEWHERE, again, committed, moved, recorded

from xsim_lib.evidence import agreement
from xsim_lib.evidence.agreement import (
    CONTRADICTED,
    NOT_COMPARABLE,
    REPEATED,
    agreement_with,
    inconsistent,
    with_tolerances,
)
from xsim_lib.evidence.records import Records, merge_records

ITEM = "anc2022.fig2"
SEED = committed(ITEM).select(seed=1)


@pytest.fixture
def project(tmp_path, monkeypatch):
    return tables.project(tmp_path, monkeypatch)


def forward(table):
    return Records(table.frame.assign(made_by="forward"))


def test_the_same_rows_on_the_same_machine_repeat(project):
    found = agreement_with(recorded(project, ITEM), again(ITEM))
    assert (found.outcome, found.by, found.rows) == (REPEATED, "rows", ())


def test_trained_rows_are_held_to_their_digits_on_the_same_machine(project):
    file = recorded(project, ITEM)
    unit = 1e-6  # of values between 0.1 and 1 the file keeps six digits
    assert agreement_with(file, again(ITEM, moved(SEED, 0.9 * unit))).outcome == REPEATED
    found = agreement_with(file, again(ITEM, moved(SEED, 1e-4, slice(3, 5))))
    assert (found.outcome, found.by, len(found.rows)) == (CONTRADICTED, "rows", 2)
    first = found.rows[0]
    assert first["seed"] == 1
    assert first["live"] - first["recorded"] == pytest.approx(1e-4)
    assert {"model", "pair_or_language", "layer", "metric"} <= set(first)
    assert "item" not in first


@pytest.mark.parametrize(
    "change",
    [{"machine": ELSEWHERE}, {"versions": {"torch": "9"}}, {"threads": 2}, {"device": "NVIDIA H200"}],
)  # fmt: skip
def test_elsewhere_trained_rows_are_compared_by_what_claims_say_of_them(project, change):
    file = recorded(project, ITEM)
    found = agreement_with(file, again(ITEM, moved(SEED, 1e-4), **change))
    assert (found.outcome, found.by) == (REPEATED, "statistics")


def test_what_is_equal_in_every_row_repeats_anywhere(project):
    found = agreement_with(recorded(project, ITEM, SEED), again(ITEM, machine=ELSEWHERE))
    assert (found.outcome, found.by) == (REPEATED, "rows")


def test_a_name_of_a_processor_is_no_other_machine(project):
    file = recorded(project, ITEM, device="cpu (AMD EPYC)")
    found = agreement_with(file, again(ITEM, moved(SEED, 1e-4), device="cpu (Intel Xeon)"))
    assert found.outcome == CONTRADICTED


def test_trained_on_from_weights_that_ship_no_digit_is_that_of_weights_that_were_trained(project):
    """They are rounded. Held to their digits is only what went on from the same file."""
    shipped = {"scale_post/1": "scale_post.1-0a1b2c3d"}
    file = recorded(project, ITEM)
    found = agreement_with(file, again(ITEM, moved(SEED, 1e-4), checkpoints=shipped))
    assert (found.outcome, found.by) == (REPEATED, "statistics")
    file = recorded(project, ITEM, checkpoints=shipped)
    found = agreement_with(file, again(ITEM, moved(SEED, 1e-4), checkpoints=shipped))
    assert (found.outcome, found.by) == (CONTRADICTED, "rows")
    other = {"scale_post/1": "scale_post.1-ffffffff"}
    found = agreement_with(file, again(ITEM, moved(SEED, 1e-4), checkpoints=other))
    assert found.by == "statistics"


def test_elsewhere_a_seed_outside_what_the_recorded_seeds_let_us_expect_contradicts(project):
    file = recorded(project, ITEM)
    found = agreement_with(file, again(ITEM, moved(SEED, 0.3), machine=ELSEWHERE))
    assert (found.outcome, found.by) == (CONTRADICTED, "statistics")
    assert {row["claim"] for row in found.rows} <= {
        "anc2022.fig2.deep_layers_still_match",
        "anc2022.fig2.decline_is_slight",
        "anc2022.fig2.french_highest",
    }
    assert all("from 5 seeds" in row["recorded"] for row in found.rows)


def test_the_interval_is_that_of_one_more_observation():
    texts = [f"smallest lead {x:.3f}; at most 0.1" for x in (0.40, 0.50, 0.60)]
    half = 9.925 * 0.1 * np.sqrt(4 / 3)  # t(2, .995), the spread, room for the new one
    for off, odd in ((half, 0), (half + 0.002, 1)):
        found = inconsistent(texts, f"smallest lead {0.5 + off:.3f}; at most 0.1")
        assert len(found) == odd
    assert inconsistent(texts, "smallest lead 9.000; at most 0.1")[0]["live"] == "9.000"


def test_sentences_of_seeds_become_one_with_the_tolerance_that_measuring_again_has():
    texts = [f"layers 1-5: lead {x:.3f} (0.1 asked)" for x in (0.40, 0.50, 0.60)]
    assert with_tolerances(texts) == "layers 1-5: lead 0.500 ± 1.146 (0.1 asked)"
    assert inconsistent(texts, "layers 1-5: lead 1.500 (0.1 asked)") == []
    assert inconsistent(texts, "layers 1-5: lead 1.700 (0.1 asked)") != []
    assert with_tolerances(texts[:2]) is None, "two seeds say nothing of a third"
    assert with_tolerances([*texts, "layers 1-5: none"]) is None
    assert with_tolerances(["at 2 of 6", "at 3 of 6", "at 2 of 6"]) == "at 2.3 ± 6.6 of 6"
    assert with_tolerances(["the same: 0.1"] * 3) == "the same: 0.1"
    assert with_tolerances(["no number"] * 3) == "no number"


def test_numbers_of_names_are_no_numbers_and_other_sentences_no_comparison():
    same = ["layers 1-5 of L1-3, xglm-4.5B: 0.10"] * 3
    assert inconsistent(same, "layers 1-5 of L1-3, xglm-4.5B: 0.10") == []
    assert inconsistent(same, "layers 1-5 of L1-6, xglm-4.5B: 0.10") is None
    assert inconsistent(["not worse: none"] * 3, "not worse: none") is None


def test_under_three_seeds_nothing_trained_can_be_compared_elsewhere(project):
    two = committed(ITEM).select(seed=[1, 2])
    near = again(ITEM, moved(SEED, 1e-4), machine=ELSEWHERE)
    found = agreement_with(recorded(project, ITEM, two), near)
    assert found.outcome == NOT_COMPARABLE
    assert "2 recorded seed(s), 3 are needed" in found.note


def test_a_table_that_no_claim_is_about_is_not_comparable_elsewhere(project):
    table = Records(committed(ITEM).frame.assign(item="fig2other"))
    file = project / "results" / "mini" / "anc2022.fig2other.csv"
    agreement.records.write_records(table, file, tables.made(ITEM, table.seeds))
    found = agreement_with(file, again(ITEM, moved(table.select(seed=1), 1e-4), machine=ELSEWHERE))
    assert (found.outcome, "no claim is about them" in found.note) == (NOT_COMPARABLE, True)


# ------------------------------------------------------------------ given weights
def test_forward_rows_of_the_same_weights_agree_anywhere(project):
    known = forward(committed(ITEM).select(model=["scale_post", "scale_pre"]))
    file = recorded(project, ITEM, known)
    near = moved(known.select(seed=1), 9e-4)
    found = agreement_with(file, again(ITEM, near, machine=ELSEWHERE))
    assert (found.outcome, found.by) == (REPEATED, "rows")
    far = moved(known.select(seed=1), 2e-3, slice(0, 1))
    found = agreement_with(file, again(ITEM, far))  # same machine, settings, cells and trace
    assert (found.outcome, found.by, len(found.rows)) == (CONTRADICTED, "rows", 1)


def test_other_weights_are_another_model(project):
    known = forward(committed(ITEM).select(model="scale_post"))
    file = recorded(project, ITEM, known)
    far = moved(known.select(seed=1), 2e-3)
    other = {"scale_post/1": "retrained"}
    found = agreement_with(file, again(ITEM, far, weights=other, machine=ELSEWHERE))
    assert found.outcome != CONTRADICTED


def test_forward_rows_alone_decide_where_trained_ones_cannot(project):
    frame = committed(ITEM).select(seed=[1, 2]).frame
    frame["made_by"] = np.where(frame["model"] == "scale_post", "forward", "trained")
    two = Records(frame)
    file = recorded(project, ITEM, two)
    near = again(ITEM, moved(two.select(seed=1), 1e-4), machine=ELSEWHERE)
    found = agreement_with(file, near)
    assert (found.outcome, found.by) == (REPEATED, "rows")
    assert found.note.startswith("trained rows: 2 recorded seed(s)")


# ------------------------------------------------------------------ enough to go by
def test_another_seed_and_an_empty_comparison_tell_nothing(project):
    file = recorded(project, ITEM)
    other = Records(SEED.frame.assign(seed=77))
    assert agreement_with(file, again(ITEM, other)).outcome == NOT_COMPARABLE
    elsewhere = Records(
        SEED.select(pair_or_language="en-fr").frame.assign(pair_or_language="en-xx")
    )
    assert agreement_with(file, again(ITEM, elsewhere)).outcome == NOT_COMPARABLE


def test_a_live_build_may_hold_more_or_fewer_rows_but_of_every_metric_some(project):
    table = committed("anc2022.fig4")
    file = recorded(project, "anc2022.fig4", table)
    seed = table.select(seed=1)
    fewer = seed.select(pair_or_language="en-fr")
    assert agreement_with(file, again("anc2022.fig4", fewer)).outcome == REPEATED
    new = seed.select(model="scale_post").frame.assign(model="another")
    more = merge_records([seed, Records(new)])
    assert agreement_with(file, again("anc2022.fig4", more)).outcome == REPEATED
    metrics = seed.select(baseline="").unique("metric")
    assert len(metrics) > 1
    found = agreement_with(file, again("anc2022.fig4", seed.select(metric=metrics[0])))
    assert (found.outcome, metrics[1] in found.note) == (NOT_COMPARABLE, True)


def test_like_is_compared_with_like(project):
    """A statistic over three pairs is not compared with the same over one of them."""
    item = "anc2022.fig1"
    file = recorded(project, item)
    one = committed(item).select(seed=1, pair_or_language="en-fr")
    found = agreement_with(file, again(item, one, machine=ELSEWHERE))
    assert found.outcome != CONTRADICTED


def test_rows_that_have_repeated_on_this_kind_of_machine_must_go_on_to_repeat():
    """Also those of a table from before tables knew their machine: arithmetic has no seeds to compare with."""
    here = {"machine": {"cpu": "AVX512", "blas": "x"}, "versions": {"torch": "2"}}
    live = {**here, "device": "cpu (x)", "threads": 1}
    old = {"versions": {"torch": "2"}, "device": "cpu (x)", "threads": 1}
    check = {"outcome": "repeated", "by": "rows", **here}
    assert not agreement._same_machine(old, live)
    assert agreement._same_machine({**old, "checks": [check]}, live)
    other = {**live, "machine": {"cpu": "AVX2", "blas": "x"}}
    assert not agreement._same_machine({**old, "checks": [check]}, other)
    assert not agreement._same_machine({**old, "checks": [{**check, "by": "statistics"}]}, live)
