"""Verdicts: the rule over seeds, what a profile may decide, and which run a verdict stands on."""

from pathlib import Path

import pandas as pd
import pytest

from xsim_lib.evidence import claims
from xsim_lib.evidence import printed as reported
from xsim_lib.evidence.claims import registry
from xsim_lib.evidence.claims.judging import judge, verdict_table, write_verdicts
from xsim_lib.evidence.records import Records, merge_records

ALL = claims.all_claims()
PRINTED = reported.as_records("anc2022")
COLLAPSE = claims.claim_named("anc2022.fig1.normformer_cka_collapse")
MATCH = claims.claim_named("anc2022.fig2.french_highest")
GAP = claims.claim_named("anc2022.table1.gap_7_to_9_points")


def as_profile(found, profile="mini"):
    """Printed numbers passed off as our measurements, to have records of known outcome."""
    return Records(found.frame.assign(profile=profile))


def changed(found, **columns):
    return Records(found.frame.assign(**columns))


def layered(item, metric, values, seed=0):
    """A curve of scale_normformer, the same for every pair."""
    common = {"paper": "anc2022", "item": item, "profile": "mini", "seed": seed, "metric": metric}
    rows = [
        {"pair_or_language": p, "layer": k, "n_layers": len(values) - 1, "value": v}
        for p in ("en-fr", "en-et", "en-bg")
        for k, v in enumerate(values)
    ]
    return Records.of(rows, model="scale_normformer", **common)


def seeds_with_lead(*leads):
    """fig2 records per seed: French leads everywhere if the number is positive."""
    found = []
    for seed, lead in enumerate(leads):
        rows = layered("fig2", "matching", [0.1] + [0.5] * 12, seed).frame
        rows.loc[rows["pair_or_language"] == "en-fr", "value"] += lead
        found.append(Records(rows))
    return merge_records(found)


RULE = [
    ((0.02,), "holds", 1, ""),
    ((-0.02,), "fails", 1, ""),
    ((0.02,) * 5, "holds", 5, "5 of 5 seeds agree"),
    ((0.02,) * 4 + (-0.01,), "holds", 5, "4 of 5 seeds agree"),
    ((0.02,) * 3 + (-0.01,) * 2, "not_testable_here", 5, "seeds disagree: 3 of 5"),
    ((-0.02,) * 4 + (0.01,), "fails", 5, "4 of 5 seeds agree"),
    ((-0.02,) * 3 + (0.01,) * 2, "not_testable_here", 5, "seeds disagree: 2 of 5"),
    # The mean says yes, most seeds say no: neither counts alone.
    ((0.04,) + (-0.005,) * 4, "not_testable_here", 5, "seeds disagree: 1 of 5"),
    ((0.02, -0.01), "not_testable_here", 2, "seeds disagree: 1 of 2"),
]


@pytest.mark.parametrize(("leads", "verdict", "seeds", "reason"), RULE)
def test_rule_over_seeds(leads, verdict, seeds, reason):
    found = judge(MATCH, seeds_with_lead(*leads), "mini")
    assert (found.verdict, found.seeds) == (verdict, seeds)
    assert reason in found.reason
    assert found.measured


def test_a_seed_that_lacks_a_part_is_left_out_and_mentioned():
    whole, part = seeds_with_lead(0.02, 0.02), seeds_with_lead(0, 0, 0.02)
    part = part.select(seed=2, pair_or_language=["en-fr", "en-et"])
    found = judge(MATCH, merge_records([whole, part]), "mini")
    assert (found.verdict, found.seeds) == ("holds", 2)
    assert "1 incomplete seed(s) left out" in found.reason
    alone = judge(MATCH, part, "mini")
    assert alone.verdict == "not_testable_here"
    assert "not yet measured" in alone.reason
    assert "'en-bg' is missing" in alone.reason


def test_smoke_decides_nothing_but_shows_the_numbers():
    found = judge(COLLAPSE, as_profile(PRINTED, "smoke"), "smoke")
    assert found.verdict == "not_testable_here"
    assert "smoke only checks that the code runs" in found.reason
    assert "0.049" in found.measured
    table = verdict_table({"live": as_profile(PRINTED, "smoke")}, "smoke")
    assert set(table["verdict"]) == {"not_testable_here"}


def test_a_claim_about_a_larger_scale_is_not_decided_at_mini():
    found = judge(GAP, as_profile(PRINTED), "mini")
    assert found.verdict == "not_testable_here"
    assert "needs public_checkpoints or full_compute" in found.reason
    assert "0.070 to 0.090" in found.measured
    assert judge(GAP, as_profile(PRINTED, "paper"), "paper").verdict == "holds"


def test_a_failure_at_an_uncertain_scale_says_that_it_does_not_count_against_the_paper():
    flat = layered("fig1", "cka", [0.3] + [0.6] * 11 + [0.5])
    found = judge(COLLAPSE, flat, "mini")
    assert found.verdict == "fails"
    assert "does not speak against the paper" in found.reason
    sure = judge(MATCH, seeds_with_lead(-0.02), "mini")
    assert "speak against" not in sure.reason


def test_without_records_nothing_is_measured_yet():
    other = claims.claim_named("parafac2023.fig5.five_outliers")
    for claim, found in (
        (COLLAPSE, None),
        (COLLAPSE, seeds_with_lead(0.1)),
        (other, as_profile(PRINTED)),
    ):
        verdict = judge(claim, found, "mini")
        assert (verdict.verdict, verdict.reason) == ("not_testable_here", "not yet measured")
        assert (verdict.measured, verdict.seeds) == ("", 0)


def test_records_of_another_paper_do_not_count():
    elsewhere = changed(seeds_with_lead(0.02), paper="emerging2020")
    assert judge(MATCH, elsewhere, "mini").reason == "not yet measured"


def test_wrong_profiles_are_refused():
    with pytest.raises(
        ValueError, match="profile: expected smoke, mini, real or paper, got 'tiny'"
    ):
        judge(COLLAPSE, None, "tiny")
    with pytest.raises(ValueError, match="expected profile 'mini' only, got reported too"):
        judge(COLLAPSE, PRINTED, "mini")
    with pytest.raises(ValueError, match="expected live or recorded, got 'old'"):
        verdict_table({"old": None}, "mini")


def test_an_error_inside_a_predicate_names_the_claim(monkeypatch):
    broken = registry.Predicate(COLLAPSE.id, ("fig1",), False, lambda r: 1 / 0)
    monkeypatch.setitem(registry._PREDICATES, COLLAPSE.id, broken)
    with pytest.raises(ZeroDivisionError) as caught:
        judge(COLLAPSE, as_profile(PRINTED), "mini")
    assert caught.value.__notes__ == [f"while judging {COLLAPSE.id}"]


def row(table, claim=MATCH):
    return table.set_index("claim").loc[claim.id]


def test_the_table_has_every_claim_once_in_the_agreed_columns():
    table = verdict_table({}, "mini")
    assert list(table.columns) == [
        "claim", "paper", "item", "profile", "verdict", "measured", "seeds", "reason"
    ]  # fmt: skip
    assert table["claim"].tolist() == [claim.id for claim in ALL]
    assert set(table["profile"]) == {"mini"}
    done = table[table["reason"] != "not yet measured"]
    assert set(done["claim"]) == {c.id for c in ALL if (p := claims.predicate_of(c)) and p.printed}
    assert set(done["reason"]) == {"arithmetic on the printed numbers"}
    printed = [claims.claim_named(claim).printed.verdict == "holds" for claim in done["claim"]]
    assert (done["verdict"] == "holds").tolist() == printed
    assert set(done["verdict"]) == {"holds", "fails"}


def test_the_verdict_stands_on_the_recorded_run_else_on_the_live_one():
    live = seeds_with_lead(-0.02)
    both = {"live": live, "recorded": seeds_with_lead(*(0.02,) * 5)}
    found = row(verdict_table(both, "mini"))
    assert (found["verdict"], found["seeds"]) == ("holds", 5)
    assert found["reason"].startswith("recorded, 5 seeds; 5 of 5 seeds agree")
    assert "this build, one seed: smallest lead of en-fr -0.020" in found["reason"]
    alone = row(verdict_table({"live": live, "recorded": None}, "mini"))
    assert (alone["verdict"], alone["reason"]) == ("fails", "this build, one seed")


@pytest.mark.parametrize("state", ["repeated", "not checked", "suspect"])
def test_five_recorded_seeds_never_give_way_to_one_because_something_moved(state):
    both = {"live": seeds_with_lead(-0.02), "recorded": seeds_with_lead(*(0.02,) * 5)}
    found = row(verdict_table(both, "mini", states={"anc2022.fig2": state}))
    assert (found["verdict"], found["seeds"]) == ("holds", 5)
    assert found["reason"].startswith(f"recorded, 5 seeds, {state}; 5 of 5 seeds agree")


def test_a_contradicted_table_gives_way_and_the_reason_says_so():
    recorded = seeds_with_lead(*(0.02,) * 5)
    both = {"live": seeds_with_lead(-0.02), "recorded": recorded}
    against = {"anc2022.fig2": "by this build (seed 0, en-fr: 0.52 recorded, 0.48 measured again)"}
    found = row(verdict_table(both, "mini", contradicted=against))
    assert (found["verdict"], found["seeds"]) == ("fails", 1)
    said = "recorded anc2022.fig2 is contradicted by this build (seed 0, en-fr: 0.52 recorded"
    assert said in found["reason"]
    alone = row(verdict_table({"recorded": recorded}, "mini", contradicted=against))
    assert alone["reason"].startswith("not yet measured; recorded anc2022.fig2 is contradicted")
    elsewhere = row(verdict_table(both, "mini", contradicted={"anc2022.fig4": "by this build"}))
    assert (elsewhere["verdict"], elsewhere["seeds"]) == ("holds", 5)


def test_the_real_run_is_called_so_and_other_profiles_do_not_leak_in():
    real = changed(seeds_with_lead(0.02, 0.02), profile="real")
    assert row(verdict_table({"recorded": real}, "real"))["reason"].startswith(
        "recorded real, 2 seeds"
    )
    assert row(verdict_table({"recorded": real}, "mini"))["reason"] == "not yet measured"


def test_the_written_table_reads_back_and_a_crash_keeps_the_old_one(tmp_path, monkeypatch):
    table = verdict_table({"live": as_profile(PRINTED)}, "mini")
    path = write_verdicts(table, tmp_path / "mini" / "verdicts.csv")
    pd.testing.assert_frame_equal(
        pd.read_csv(path, keep_default_na=False), table, check_dtype=False
    )
    before = path.read_bytes()

    def half(self, target, **_):
        Path(target).write_text("claim,")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(OSError, match="disk full"):
        write_verdicts(table, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["verdicts.csv"]
    with pytest.raises(ValueError, match="table: expected columns"):
        write_verdicts(table.drop(columns="seeds"), path)
