"""The proof page: a reviewer finds every claim, and its row says what the recorded tables say."""

import re
import shlex

import pytest
import tables

from xsim_lib.book import proof
from xsim_lib.evidence import claims, records
from xsim_lib.study import freshness, standing
from xsim_lib.workflow import verifying

FIGURE = "anc2022.fig2"
PAGE = "/notebooks/anc2022/fig2_matching_accuracy"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tables.project(tmp_path, monkeypatch, FIGURE)
    tables.recorded(folder, FIGURE, seconds=90.0, device="cpu (made-up)")
    return folder


def rows(*profiles):
    """Claim -> the cells of its rows, as Markdown."""
    states = {profile: freshness.states(profile) for profile in profiles}
    text = proof.proof_tables(states, {FIGURE: PAGE})
    found = {}
    for row in re.split(r"^\* - ", text.replace("```````", "* - "), flags=re.M):
        cells = [" ".join(cell.split()) for cell in re.split(r"^  - ", row, flags=re.M)]
        if named := re.match(r"\{ref\}`(\S+) <", cells[0]):
            found.setdefault(named[1], []).append(cells)
    return found


def test_every_claim_has_a_row_that_leads_to_its_words_and_its_page(project):
    found = rows("mini")
    assert set(found) == {claim.id for claim in claims.all_claims()}
    assert {len(of_claim) for of_claim in found.values()} == {1}
    (named, *_), *_ = found["anc2022.fig2.french_highest"]
    assert "<scoreboard-anc2022-fig2-french-highest>`" in named
    assert f"{{doc}}`Figure 2 <{PAGE}>`" in named


def test_a_recorded_claim_says_what_to_run_what_came_out_how_surely_and_what_it_took(project):
    ((_, command, printed, measured, minutes, machine),) = rows("mini")["anc2022.fig2.french_highest"]  # fmt: skip
    assert command == f"`xsim verify {FIGURE}`"
    assert printed == claims.claim_named("anc2022.fig2.french_highest").reported
    assert re.match(r"smallest lead of en-fr -?0\.\d+ ± 0\.\d+; layer 0 at most", measured)
    assert measured.endswith("`mini`, 5 seeds, not checked")
    assert (minutes, machine) == ("1.5", "cpu (made-up), AVX512")


def test_under_three_seeds_there_is_no_tolerance(project):
    few = tables.committed(FIGURE).select(seed=[1, 2])
    tables.recorded(project, FIGURE, few)
    ((*_, measured, _, _),) = rows("mini")["anc2022.fig2.french_highest"]
    assert "±" not in measured
    assert measured.endswith("`mini`, 2 seeds, not checked")


def test_each_profile_that_decides_a_claim_has_a_row_of_its_own(project):
    real = tables.committed(FIGURE, "real")
    path = project / "results" / "real" / f"{FIGURE}.csv"
    records.write_records(real, path, tables.made(FIGURE, real.seeds, profile="real"))
    mini, other = rows("mini", "real")["anc2022.fig2.french_highest"]
    assert mini[1] == f"`xsim verify {FIGURE}`"
    assert other[1] == f"`xsim verify {FIGURE} --profile real`"
    assert "`real`, one seed" in other[3]


def test_without_a_record_the_row_says_what_decides_the_claim_instead(project):
    (project / "results" / "mini" / f"{FIGURE}.csv").unlink()
    found = rows()
    assert found["anc2022.fig2.french_highest"][0][1] == (
        "`xsim run anc2022/fig2_matching_accuracy`"
    )
    of_numbers = next(c for c in claims.all_claims() if claims.predicate_of(c).printed)
    assert found[of_numbers.id][0][1] == "`xsim claims`"
    assert "arithmetic on the printed numbers" in found[of_numbers.id][0][3]


def test_tables_that_one_page_makes_are_one_run():
    page = {"p.fig8a": "/notebooks/p/fig8", "p.fig8b": "/notebooks/p/fig8"}
    made = {"p.fig8a": {"seconds": 60.0}, "p.fig8b": {"seconds": 66.0}}
    assert proof._minutes(made, page) == "1.1"
    assert proof._minutes(made | {"p.fig9": {"seconds": 60.0}}, page) == "2.1"
    assert proof._minutes(made | {"p.fig9": {"seconds": None}}, page) == "–"


@pytest.mark.parametrize("profile", ["mini", "real"])
def test_every_command_of_the_page_is_one_that_verify_takes(profile, repository, monkeypatch):
    """On the tables of this repository."""
    monkeypatch.setenv("XSIM_HOME", str(repository))
    files = (repository / "results" / profile).glob("*.csv")
    named = {f.stem for f in files} & set(standing.read_by(claims.all_claims()))
    command = proof._verifying(dict.fromkeys(sorted(named)), profile).strip("`")
    _, verb, *arguments = shlex.split(command.partition(" --profile")[0])
    jobs = verifying.jobs(profile, arguments)
    assert verb == "verify"
    assert {file.stem for job in jobs for file in job.files} == named
