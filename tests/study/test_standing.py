"""Verdicts on what lies in the folders, and the table of them that a page shows."""

import re

import pandas as pd
import pytest
import tables
from IPython.core.formatters import DisplayFormatter
from tables import again, committed, moved, recorded

from xsim_lib.evidence import claims, paths, records
from xsim_lib.evidence.agreement import Table, agreement_with
from xsim_lib.study import freshness, standing
from xsim_lib.study.freshness import State

ITEM = "anc2022.fig2"
SEED = committed(ITEM).select(seed=1)
FRENCH = "anc2022.fig2.french_highest"


@pytest.fixture
def project(tmp_path, monkeypatch):
    return tables.project(tmp_path, monkeypatch, ITEM)


def build(table, **changes):
    measured = again(ITEM, table, **changes)
    records.write_records(
        measured.records, paths.records_dir("mini") / f"{ITEM}.parquet", measured.made
    )


def reason(found, claim=FRENCH):
    return found.set_index("claim").loc[claim, "reason"]


def test_recorded_seeds_carry_the_verdict_on_any_machine_and_whatever_has_changed(project):
    build(SEED)
    assert reason(standing.verdicts("mini")) == "this build, one seed"
    recorded(project, ITEM)
    assert reason(standing.verdicts("mini")).startswith("recorded, 5 seeds, repeated; ")
    build(SEED, machine=tables.ELSEWHERE)
    assert reason(standing.verdicts("mini")).startswith("recorded, 5 seeds, repeated; ")
    build(SEED, trace={"xsim_lib.indices.cka:gone": "0"})
    recorded(project, ITEM, trace={"xsim_lib.indices.cka:gone": "0"})
    assert reason(standing.verdicts("mini")).startswith("recorded, 5 seeds, suspect; ")


def test_only_a_contradicted_table_gives_way_to_the_live_build(project):
    recorded(project, ITEM)
    build(moved(SEED, 1e-3))
    found = reason(standing.verdicts("mini"))
    assert found.startswith(
        f"this build, one seed; recorded {ITEM} is contradicted by this build ("
    )
    assert "measured again" in found


def test_a_page_reads_only_the_tables_that_its_claims_read(project, monkeypatch):
    recorded(project, ITEM)
    recorded(project, "anc2022.fig1")
    other = project / "results" / "mini" / "anc2022.fig4.csv"
    other.write_text("damaged")
    found = standing.run_table(ITEM, "mini", again(ITEM))
    assert found.data["claim"].tolist() == [
        claim.statement for claim in claims.claims_of("anc2022", "fig2")
    ]
    assert set(standing.read_by(claims.claims_of("anc2022", "fig2"))) == {ITEM, "anc2022.fig1"}
    with pytest.raises(ValueError, match=r"anc2022\.fig4"):
        standing.verdicts("mini")


def test_a_run_with_other_parameters_says_so_and_contradicts_nothing(project):
    recorded(project, ITEM)
    measured = Table(moved(SEED, 0.1), again(ITEM).made)
    own = standing.run_table(ITEM, "mini", measured)
    assert own.lines == ()
    assert own.data["stands on"].str.contains("contradicted").all()
    other = standing.run_table(ITEM, "mini", measured, other=["seeds", "pairs"])
    (line,) = other.lines
    assert (
        line
        == "This run has other parameters: seeds, pairs; the book is judged on the default ones."
    )
    assert not other.data["stands on"].str.contains("contradicted").any()
    assert other.data["stands on"].str.startswith("recorded, 5 seeds, not checked").all()


def test_a_table_shows_itself_escaped_and_says_what_it_is_about():
    found = claims.verdict_table({}, "mini").query("item == 'fig2' and paper == 'anc2022'")
    found = found.assign(measured="<b>0.1 & 0.2</b>")
    data, about = DisplayFormatter().format(standing.Verdicts.of(ITEM, found, lines=["a < b"]))
    assert set(data) == {"text/html", "text/plain"}
    assert "&lt;b&gt;0.1 &amp; 0.2&lt;/b&gt;" in data["text/html"]
    assert "<p>a &lt; b</p>" in data["text/html"]
    assert "..." not in data["text/html"]  # nothing is cut
    assert data["text/plain"].endswith("a < b")
    assert about == {"xsim": {"verdicts": ITEM}}
    _, about = DisplayFormatter().format(standing.Verdicts.of(ITEM, found, other=["pairs"]))
    assert about == {"xsim": {"verdicts": ITEM, "other": ["pairs"]}}


def test_a_page_of_the_book_has_a_line_per_recorded_profile_on_what_its_claims_stand_on(project):
    file = recorded(project, ITEM)
    measured = again(ITEM, created="2026-11-28T10:00:00+00:00")
    freshness.stamp(file, measured, agreement_with(file, measured))
    states = {
        "mini": freshness.states("mini"),
        "real": {
            ITEM: State(
                "suspect", "since 2026-11-20", ("`xsim_lib.indices.cka:linear_cka`",), (1,)
            ),
            "anc2022.fig1": State("not checked", "since 2026-11-20", (), (1,)),
            "anc2022.fig4": State("not checked", "since 2026-11-20", (), (1,)),
        },
    }
    shown = standing.on_page(ITEM, standing.verdicts("mini", states["mini"]), states)
    assert shown.lines == (
        f"Recorded mini, {ITEM}, 5 seeds: repeated (rows) at 1a2b3c4, 2026-11-28, AVX512",
        f"Recorded real, {ITEM}, 1 seed: suspect since 2026-11-20: `xsim_lib.indices.cka:linear_cka`; "
        "anc2022.fig1, 1 seed: not checked since 2026-11-20",
    )


def test_an_edited_claim_is_judged_again_on_the_page_without_running_it(project, monkeypatch):
    recorded(project, ITEM)
    states = {"mini": freshness.states("mini")}
    before = standing.on_page(ITEM, standing.verdicts("mini"), states).data
    found = claims.predicate_of(FRENCH)
    edited = claims.Predicate(FRENCH, found.items, False, lambda r: claims.Outcome(True, "42"))
    monkeypatch.setitem(claims.registry._PREDICATES, FRENCH, edited)
    after = standing.on_page(ITEM, standing.verdicts("mini"), states).data
    changed = (before != after).any(axis=1)
    assert changed.sum() == 1
    assert after.loc[changed, "measured"].tolist() == ["42"]


def test_other_files_among_the_records_are_left_alone(project):
    folder = project / "results" / "mini"
    folder.mkdir(parents=True)
    (folder / "anc2022.sweep.csv").write_text("rate,loss\n0.1,2\n")
    table = standing.verdicts("mini")
    assert isinstance(table, pd.DataFrame)
    assert len(table) == len(claims.all_claims())
    assert not any(re.match("recorded", text) for text in table["reason"])
