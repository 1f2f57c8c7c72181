"""What ages a recorded table and what does not, on real cases; and what a check leaves behind."""

import copy
import json
import shutil

import pytest
import tables
from tables import ELSEWHERE, REPOSITORY, again, committed, moved, recorded

import xsim_lib
from xsim_lib.evidence import hashing, paths, records
from xsim_lib.evidence.agreement import (
    CONTRADICTED,
    NOT_COMPARABLE,
    REPEATED,
    Agreement,
    agreement_with,
)
from xsim_lib.evidence.definitions import Definitions, library
from xsim_lib.study import freshness, profiles
from xsim_lib.study.freshness import NOT_CHECKED, SUSPECT, changes, stamp, state_of_table

ITEM = "anc2022.fig2"
TODAY = "2026-11-28T10:00:00+00:00"


@pytest.fixture
def project(tmp_path, monkeypatch):
    return tables.project(tmp_path, monkeypatch, ITEM)


def elsewhere():
    """One seed, measured again on another machine: near, but not equal."""
    near = moved(committed(ITEM).select(seed=1), 1e-4)
    return again(ITEM, near, created=TODAY, machine=ELSEWHERE)


def checked(file, measured=None):
    """Stamp a table with what measuring it again has found."""
    measured = measured or again(ITEM, created=TODAY)
    stamp(file, measured, agreement_with(file, measured))
    return file


# ------------------------------------------------------------------ the four states
def test_a_table_from_before_this_was_known_is_not_checked(project):
    file = recorded(project, ITEM)
    old = {k: v for k, v in records.read_provenance(file).items() if k not in freshness._BASIS}
    records.write_provenance(file, old | {"created": "2026-11-20T12:55:58+00:00"})
    assert str(state_of_table(file)) == "not checked since 2026-11-20"


def test_the_committed_tables_start_as_not_checked_unless_somebody_checked_them():
    for name in ("mini", "real"):
        for file in sorted((REPOSITORY / "results" / name).glob("*.csv")):
            known = records.read_provenance(file)
            if "trace" not in known and not known.get("checks"):
                assert state_of_table(file).word == NOT_CHECKED, file.name


def test_a_new_table_is_not_checked_and_a_check_makes_it_repeated(project):
    file = recorded(project, ITEM)
    assert state_of_table(file).word == NOT_CHECKED
    checked(file)
    assert str(state_of_table(file)) == "repeated (rows) at 1a2b3c4, 2026-11-28, AVX512"
    assert state_of_table(file).seeds == (1, 2, 3, 4, 5)
    checked(file, elsewhere())
    assert str(state_of_table(file)) == "repeated (statistics) at 1a2b3c4, 2026-11-28, AVX2"


def test_a_contradiction_stays_until_it_is_cleared(project):
    file = recorded(project, ITEM)
    checked(file, again(ITEM, moved(committed(ITEM).select(seed=1), 0.1), created=TODAY))
    found = state_of_table(file)
    assert (found.word, len(found.why)) == (CONTRADICTED, 20)
    assert "recorded" in found.why[0]
    assert "measured again" in found.why[0]
    assert str(found).endswith("; and 17 more")
    checked(file)
    assert state_of_table(file).word == REPEATED


def test_this_build_makes_a_table_repeated_or_contradicted_without_a_stamp(project):
    file = recorded(project, ITEM, trace={"xsim_lib.indices.cka:gone": "0"})
    before = file.with_name(f"{file.name}.json").read_bytes()
    assert state_of_table(file).word == SUSPECT
    assert str(state_of_table(file, again(ITEM))) == "repeated (rows) by this build"
    old = again(
        ITEM, trace={"xsim_lib.indices.cka:gone": "0"}
    )  # a build as old as the table tells nothing
    assert state_of_table(file, old).word == SUSPECT
    far = again(ITEM, moved(committed(ITEM).select(seed=1), 0.1))
    assert str(state_of_table(file, far)).startswith("contradicted by this build: seed 1, ")
    assert file.with_name(f"{file.name}.json").read_bytes() == before


def test_a_build_that_cannot_be_compared_says_why(project):
    file = recorded(project, ITEM, committed(ITEM).select(seed=[1, 2]))
    found = state_of_table(file, elsewhere())
    assert found.word == NOT_CHECKED
    assert found.why == ("this build cannot tell: trained rows: 2 recorded seed(s), 3 are needed",)


def test_a_forward_value_that_is_off_contradicts_although_all_hashes_agree(project):
    shipped = committed(ITEM).select(model="scale_post")
    shipped = records.Records(shipped.frame.assign(made_by="forward"))
    file = checked(recorded(project, ITEM, shipped), again(ITEM, shipped.select(seed=1)))
    assert state_of_table(file).word == REPEATED
    assert changes(records.read_provenance(file)) == []
    off = again(ITEM, moved(shipped.select(seed=1), 2e-3, slice(0, 1)))
    found = state_of_table(file, off)
    assert (found.word, len(found.why)) == (CONTRADICTED, 1)


def test_the_states_of_a_profile_are_those_of_its_tables_and_of_its_build(project):
    file = recorded(project, ITEM)
    (file.parent / "notes.csv").write_text("rate,loss\n")
    assert {k: s.word for k, s in freshness.states("mini").items()} == {ITEM: NOT_CHECKED}
    measured = again(ITEM)
    live = paths.records_dir("mini") / f"{ITEM}.parquet"
    records.write_records(measured.records, live, measured.made)
    assert str(freshness.states("mini")[ITEM]) == "repeated (rows) by this build"


# ------------------------------------------------------------------ what ages a table: code
@pytest.fixture
def edited(project, tmp_path, monkeypatch):
    """``edited((file, old, new), ...)``: the state of a table after edits in a copy of the library."""
    package = tmp_path / "xsim_lib"
    shutil.copytree(
        xsim_lib.__path__[0], package, ignore=shutil.ignore_patterns("__pycache__", "*.csv")
    )
    file = checked(recorded(project, ITEM))

    def edit(*edits):
        for name, old, new in edits:
            path = package / name
            text = path.read_text() if path.exists() else ""
            assert old in text, f"{name} has no {old!r}"
            path.write_text(text.replace(old, new, 1))
        monkeypatch.setattr(freshness, "library", lambda: Definitions(package))
        return state_of_table(file)

    return edit


def source(name, start, end="\ndef "):
    text = (REPOSITORY / "xsim_lib" / name).read_text()
    begin = text.index(start)
    return text[begin : text.find(end, begin + 1)]


def test_a_moved_function_ages_nothing(edited):
    function = source("indices/neurons.py", "def anc_from_moments")
    rest = ("indices/neurons.py", function, "from xsim_lib.elsewhere import anc_from_moments\n")
    head = "from xsim_lib.indices import validation\nfrom xsim_lib.indices.neurons import _correlations\n"
    assert edited(rest, ("elsewhere.py", "", head + function)).word == REPEATED


def test_a_merged_file_ages_nothing(edited):
    every = (REPOSITORY / "xsim_lib/text/corpora/parallel.py").read_text()
    body = every.replace("from __future__ import annotations\n", "")
    assert (
        edited(("text/corpora/parallel.py", every, ""), ("text/corpora/moses.py", "", body)).word
        == REPEATED
    )


def test_a_reworded_error_ages_nothing(edited):
    old = 'raise ValueError(f"{name}: expected at least one, got none")'
    assert (
        edited(("reading/comparison.py", old, 'raise ValueError("there is none")')).word == REPEATED
    )


def test_a_new_corpus_and_a_new_index_age_nothing(edited):
    corpus = source("text/corpora/parallel.py", "PARALLEL: dict", "{") + "{"
    index = '    "anc": anc_from_moments,\n'
    found = edited(
        (
            "text/corpora/parallel.py",
            corpus,
            f"def mine(x):\n    return x\n\n\n{corpus}\n    'mine': mine,",
        ),
        ("reading/comparison.py", index, index + '    "cca2": cca_from_moments,\n'),
    )
    assert found.word == REPEATED


def test_a_changed_index_makes_a_table_suspect_and_is_named(edited):
    function = source("indices/neurons.py", "def anc_from_moments")
    changed = function.replace("return ", "return 2 * ", 1)
    found = edited(("indices/neurons.py", function, changed))
    assert found.word == SUSPECT
    assert found.why == ("`xsim_lib.indices.neurons:anc_from_moments`",)


# ------------------------------------------------------------------ what ages a table: settings and cells
def profile_with(monkeypatch, change):
    """Today's settings of the chapter after an edit of its YAML."""
    table = copy.deepcopy(profiles._load("anc2022"))
    change(table["mini"])
    monkeypatch.setattr(profiles, "_load", lambda paper: table)


def test_another_learning_rate_makes_a_table_suspect_with_both_values(project, monkeypatch):
    file = checked(recorded(project, ITEM))
    rate = profiles.paper_settings("anc2022", "mini").models["scale_post"].learning_rate
    profile_with(monkeypatch, lambda mini: mini["models"]["scale_post"].update(learning_rate=0.5))
    found = state_of_table(file)
    assert found.word == SUSPECT
    assert found.why == (f"models.scale_post.learning_rate was {rate:g}, is 0.5",)


def test_other_seeds_and_longer_recorded_runs_are_no_other_settings(project, monkeypatch):
    file = checked(recorded(project, ITEM))
    other = {"seeds": [7, 8], "recorded": {"fig1_cka_failure": {"pairs": ["en-fr"]}}}
    profile_with(monkeypatch, lambda mini: mini.update(other))
    assert state_of_table(file).word == REPEATED


def test_an_option_that_is_new_and_not_used_is_no_change(project, monkeypatch):
    file = recorded(project, ITEM)
    known = records.read_provenance(file)
    assert known["settings"].pop("lowercase") is False  # as if the table were older than the option
    records.write_provenance(file, known)
    assert state_of_table(file).word == NOT_CHECKED
    profile_with(monkeypatch, lambda mini: mini.update(lowercase=True))
    assert state_of_table(file).why == ("lowercase is new: true",)


def test_parameters_that_a_profile_does_not_know_any_more_are_said(project):
    file = recorded(project, ITEM)
    known = records.read_provenance(file)
    known["parameters"]["temperature"] = 3
    records.write_provenance(file, known)
    found = state_of_table(file)
    assert found.word == SUSPECT
    assert "temperature" in found.why[0]


def test_an_edited_code_cell_makes_a_table_suspect_and_prose_or_parameters_do_not(project):
    file = checked(recorded(project, ITEM))
    path = next((project / "notebooks").rglob("*.ipynb"))
    notebook = json.loads(path.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]

    def save():
        path.write_text(json.dumps(notebook))
        return state_of_table(file)

    notebook["cells"][0]["source"] = "# Another title"
    (injected,) = [c for c in code if "injected-parameters" in c["metadata"].get("tags", [])]
    injected["source"] = '# Parameters\nprofile = "paper"\n'
    notebook["cells"].append({"cell_type": "code", "source": "after = 1", "metadata": {}})
    assert save().word == REPEATED
    code[3]["source"] = ["# a remark\n", *code[3]["source"]]
    assert save().word == REPEATED
    code[3]["source"] = [*code[3]["source"], "\nmore = 1"]
    found = save()
    assert found.word == SUSPECT
    assert found.why == ("code cell 3 of anc2022/fig2_matching_accuracy",)


def test_a_table_whose_notebook_is_gone_is_suspect(project):
    file = recorded(project, ITEM)
    next((project / "notebooks").rglob("*.ipynb")).unlink()
    assert state_of_table(file).why == (f"no notebook measures {ITEM} any more",)


# ------------------------------------------------------------------ stamps
def test_a_stamp_leaves_the_table_as_it_is_and_its_provenance_valid(project):
    file = recorded(project, ITEM)
    before, known = file.read_bytes(), records.read_provenance(file)
    checked(file)
    checked(file, elsewhere())
    assert file.read_bytes() == before
    now = records.read_provenance(file)
    first, second = now.pop("checks")
    assert now == known
    assert now["records_sha256"] == hashing.file_sha256(file)
    assert not set(freshness._BASIS) & set(first)
    assert second["trace"] == library().fingerprints(tables.RAN)
    assert (first["by"], second["by"], second["seed"]) == ("rows", "statistics", 1)
    assert [p.name for p in sorted(file.parent.iterdir())] == [file.name, f"{file.name}.json"]


def test_a_table_that_was_changed_by_hand_is_neither_judged_nor_stamped(project):
    file = recorded(project, ITEM)
    file.write_text(file.read_text().replace("scale_post", "scale_past", 1))
    with pytest.raises(ValueError, match="not those that"):
        state_of_table(file)
    with pytest.raises(ValueError, match="not those that"):
        stamp(file, again(ITEM), Agreement(REPEATED, "rows"))


def test_what_could_not_be_compared_is_never_stamped(project):
    with pytest.raises(ValueError, match="found: expected repeated or contradicted"):
        stamp(recorded(project, ITEM), again(ITEM), Agreement(NOT_COMPARABLE))
