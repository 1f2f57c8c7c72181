"""`xsim verify`: what it measures, what it leaves alone, and what it survives."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tables
from tables import again, committed, moved, recorded
from typer.testing import CliRunner

from xsim_lib.app.cli import app
from xsim_lib.evidence import paths, provenance, records
from xsim_lib.study import freshness
from xsim_lib.workflow import execution, verifying

FIGURES = ("anc2022.fig2", "anc2022.fig7")


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tables.project(tmp_path, monkeypatch, *FIGURES)
    for item in FIGURES:
        recorded(folder, item)
    return folder


class Runs(list):
    """What notebooks were run with, in order; `off` is by how much their values differ from the recorded."""

    off = 0.0


@pytest.fixture
def runs(monkeypatch):
    """Notebooks that find what is recorded, quickly."""
    found = Runs()

    def execute(name, parameters, *, output):
        item = f"anc2022.{name.split('/')[1].split('_')[0]}"
        found.append((item, dict(parameters)))
        (seed,) = parameters["seeds"]
        measured = again(item, moved(committed(item).select(seed=seed), found.off))
        folder = paths.records_dir(parameters["profile"])
        assert folder == output.parent
        records.write_records(measured.records, folder / f"{item}.parquet", measured.made)

    monkeypatch.setattr(execution, "execute", execute)
    return found


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """The kind of machine that `tables.made` says everything was measured on."""
    monkeypatch.setattr(provenance, "machine", lambda: tables.HERE)


def verify(*tables, **options):
    said = []
    fine = verifying.verify("mini", tables, say=said.append, **options)
    return fine, said


def test_every_table_is_measured_at_one_recorded_seed_and_stamped(project, runs):
    before = {f: f.read_bytes() for f in project.glob("results/mini/*.csv")}
    fine, said = verify()
    assert fine
    assert said[0].startswith("2 tables by 2 notebooks, one seed each: about 0 min as they")
    assert "anc2022.fig2: repeated by rows" in said
    assert said[-1] == "repeats here: 2 of 2 tables"
    assert [item for item, _ in runs] == list(FIGURES)
    assert all(asked == {"profile": "mini", "seeds": [1]} for _, asked in runs)
    assert {found.word for found in freshness.states("mini").values()} == {"repeated"}
    for file, content in before.items():
        assert file.read_bytes() == content
        assert records.read_provenance(file)["checks"][-1]["outcome"] == "repeated"


def test_what_is_known_to_repeat_is_left_alone_unless_it_is_asked_for(project, runs):
    verify("anc2022.fig2")
    verify()
    assert [item for item, _ in runs] == ["anc2022.fig2", "anc2022.fig7"]
    assert verify()[1][0].startswith("0 tables by 0 notebooks")
    verify(every=True)
    verify("anc2022.fig2", seed=3)
    assert [item for item, _ in runs[2:]] == ["anc2022.fig2", "anc2022.fig7", "anc2022.fig2"]
    assert runs[-1][1]["seeds"] == [3]


def test_the_last_line_counts_what_is_known_of_all_tables_on_this_kind_of_machine(
    project, runs, monkeypatch
):
    assert verify("anc2022.fig2")[1][-1] == "repeats here: 1 of 2 tables"
    said = verify("anc2022.fig7")[1]
    assert said[-1] == "repeats here: 2 of 2 tables", "fig2 counts from the call before"
    files = sorted(project.glob("results/mini/*.csv"))
    assert [freshness.repeats_on(tables.ELSEWHERE, file) for file in files] == [False, False]
    monkeypatch.setattr(freshness, "changes", lambda made: ["`a function that they ran`"])
    assert [freshness.repeats_on(tables.HERE, file) for file in files] == [False, False]


def test_the_cheapest_comes_first_and_recorded_parameters_are_measured(project, runs):
    parameters = {"item": FIGURES[0], "profile": "mini", "seeds": [1, 2], "pairs": ["en-fr"], "n_parallel": None}  # fmt: skip
    recorded(project, FIGURES[0], parameters=parameters, seconds=50.0)
    assert [job.notebook.name for job in verifying.jobs("mini")] == [
        "anc2022/fig7_second_seed",
        "anc2022/fig2_matching_accuracy",
    ]
    verify()
    assert runs[1][1] == {"profile": "mini", "seeds": [1], "pairs": ["en-fr"]}


def test_tables_of_one_notebook_come_out_of_one_run():
    """On the tables and notebooks of this repository."""
    jobs = verifying.jobs("mini", ["parafac2023.fig8a", "parafac2023.fig8b", "parafac2023.appD"])
    shown = {job.notebook.path.stem: [f.stem for f in job.files] for job in jobs}
    assert shown == {
        "fig8_trees": ["parafac2023.fig8a", "parafac2023.fig8b"],
        "low_resource": ["parafac2023.appD"],
    }
    assert jobs[-1].parameters["per_kind"] == 2  # what recorded runs of this page measure


def test_other_numbers_are_reported_stamped_and_an_error(project, runs):
    runs.off = 0.1
    fine, said = verify("anc2022.fig2")
    assert not fine
    assert said[1].startswith("anc2022.fig2: contradicted by rows: seed 1, scale_")
    assert said[1].count("measured again") == 3
    assert said[-1] == "repeats here: 0 of 2 tables"
    assert (
        freshness.state_of_table(project / "results/mini/anc2022.fig2.csv").word == "contradicted"
    )


def test_a_notebook_that_fails_is_reported_and_the_rest_goes_on(project, runs, monkeypatch):
    execute = execution.execute

    def failing(name, parameters, **options):
        if "fig2" in name:
            raise RuntimeError("a long traceback\nMemoryError: no room\n")
        execute(name, parameters, **options)

    monkeypatch.setattr(execution, "execute", failing)
    fine, said = verify()
    assert not fine
    assert "anc2022/fig2_matching_accuracy failed: RuntimeError: MemoryError: no room" in said
    assert "  again: xsim verify anc2022.fig2 --profile mini" in said
    assert said[-1] == "repeats here: 1 of 2 tables"


def test_a_run_that_left_no_records_of_a_table_failed(project, monkeypatch):
    monkeypatch.setattr(execution, "execute", lambda *a, **k: None)
    fine, said = verify("anc2022.fig2")
    assert not fine
    assert "left no records of anc2022.fig2" in said[1]


def test_what_was_measured_but_could_not_be_compared_is_not_measured_again(project, runs):
    for item in FIGURES:
        recorded(project, item, committed(item).select(seed=[1, 2]), machine=tables.ELSEWHERE)
    runs.off = 1e-4
    fine, said = verify()
    assert fine
    assert said[-1] == "repeats here: 0 of 2 tables"
    assert all("not comparable: trained rows: 2 recorded seed(s), 3 are needed" in s for s in said[1:3])  # fmt: skip
    assert len(runs) == 2
    assert verify()[1][1:] == said[1:]
    assert len(runs) == 2


def test_a_kill_loses_the_table_that_was_being_measured_and_no_other(project):
    """In a process of its own, which is killed as the second notebook begins."""
    script = """
        import os, signal, sys
        import test_verifying, tables
        from xsim_lib.evidence import paths, records
        from xsim_lib.workflow import execution, verifying
        def execute(name, parameters, *, output):
            item = "anc2022." + name.split("/")[1].split("_")[0]
            if item == "anc2022.fig7":
                (output.parent).mkdir(parents=True)
                (output.parent / "anc2022.fig7.parquet").write_text("half")
                os.kill(os.getpid(), signal.SIGKILL)
            measured = tables.again(item)
            records.write_records(measured.records, output.parent / f"{item}.parquet", measured.made)
        execution.execute = execute
        verifying.verify("mini")
    """
    environment = os.environ | {
        "PYTHONPATH": f"{tables.REPOSITORY}:{tables.REPOSITORY / 'tests'}:{Path(__file__).parent}"
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, check=False
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    words = {name: found.word for name, found in freshness.states("mini").items()}
    assert words == {"anc2022.fig2": "repeated", "anc2022.fig7": "not checked"}
    assert [job.files[0].stem for job in verifying.jobs("mini")] == ["anc2022.fig7"]


def test_a_second_call_goes_on_after_a_kill(project, runs):
    half = verifying.jobs("mini", ["anc2022.fig7"])[0].folder / "anc2022.fig7.parquet"
    half.parent.mkdir(parents=True)
    half.write_text("half")
    assert verify()[1][-1] == "repeats here: 2 of 2 tables"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["anc2022.fig1"], "table: mini has anc2022.fig2, anc2022.fig7; got 'anc2022.fig1'"),
        (["anc2022.fig2", "--seed", "9"], "seed: anc2022.fig2 was recorded with 1, 2, 3, 4, 5; got 9"),
        (["--profile", "huge"], "profile: nothing is recorded at 'huge'"),
    ],
)  # fmt: skip
def test_mistakes_are_named_before_anything_runs(project, runs, arguments, complaint):
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        CliRunner().invoke(app, ["verify", *arguments], catch_exceptions=False)
    assert runs == []


def test_the_command_says_what_it_found_and_its_exit_code(project, runs, monkeypatch):
    done = CliRunner().invoke(app, ["verify", "anc2022.fig2"])
    assert done.exit_code == 0
    assert "repeats here: 1 of 2 tables" in done.output
    monkeypatch.setattr(execution, "execute", lambda *a, **k: 1 / 0)
    assert CliRunner().invoke(app, ["verify", "anc2022.fig2"]).exit_code == 1
