"""The graph: what depends on what, and that nothing else does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xsim_lib import workflow


def test_closure_follows_imports_and_leaves_the_programs_around_the_measurements_out():
    reached = workflow.closure("xsim_lib.zoo")
    assert {"xsim_lib.zoo", "xsim_lib.pretraining", "xsim_lib.models", "xsim_lib.hashing"} <= set(
        reached
    )
    assert not {"xsim_lib.claims", "xsim_lib.plots", "xsim_lib.book", "xsim_lib.cli"} & set(reached)


def test_closure_of_a_package_includes_what_any_of_its_files_imports():
    assert "xsim_lib.records" in workflow.closure("xsim_lib.claims")


def _notebook(path: Path, *cells: str) -> Path:
    content = {
        "cells": [
            {
                "cell_type": "code",
                "metadata": {},
                "source": c,
                "outputs": [],
                "execution_count": None,
            }
            for c in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_notebook_reaches_what_it_imports_also_lazily_and_below_magics(tmp_path):
    path = _notebook(
        tmp_path / "a.ipynb", "%matplotlib inline\nimport xsim_lib as xsim", "xsim.start('x')"
    )
    assert "xsim_lib.experiment" in workflow.notebook_modules(path)
    path = _notebook(tmp_path / "b.ipynb", "from xsim_lib import texts")
    assert workflow.notebook_modules(path) == workflow.closure("xsim_lib.texts")


def test_notebooks_know_their_paper_and_item(tmp_path):
    _notebook(tmp_path / "anc2022" / "fig1_cka_failure.ipynb")
    _notebook(tmp_path / "alone.ipynb")
    _notebook(tmp_path / ".ipynb_checkpoints" / "old.ipynb")
    alone, figure = workflow.notebooks(tmp_path)
    assert (alone.name, alone.paper, alone.items) == ("alone", None, ())
    assert (figure.name, figure.paper, figure.items) == (
        "anc2022/fig1_cka_failure",
        "anc2022",
        ("anc2022.fig1",),
    )
    path = _notebook(
        tmp_path / "other.ipynb",
        'run = xsim.start(\n    "align2021.script", judged=True)\nmore = xsim.start("a2023.s5.2")',
    )
    known = workflow.Notebook("align2021/transliteration", path).items
    assert known == ("align2021.script", "a2023.s5.2")


@pytest.fixture
def project(tmp_path, monkeypatch, repository):
    """A copy of the graph with two small notebooks, and a stand-in for `xsim` that counts its calls."""
    home = tmp_path / "project"
    for name in ("Snakefile", "_config.yml", "_toc.yml", "book"):
        source = repository / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, _parent(home) / name)
    (home / "pyproject.toml").write_text('[project]\nname = "xsim"\n', encoding="utf-8")
    _notebook(home / "notebooks" / "anc2022" / "fig1_a.ipynb", "from xsim_lib import texts")
    _notebook(home / "notebooks" / "alone.ipynb", "1")
    program = tmp_path / "bin" / "xsim"
    _parent(program.parent)
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\n{_STAND_IN}", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv(
        "PATH", f"{program.parent}{os.pathsep}{Path(sys.executable).parent}:{os.environ['PATH']}"
    )
    for variable, value in {
        "HOME": home,
        "BUILD": home / "_build",
        "CACHE": home / "cache",
    }.items():
        monkeypatch.setenv(f"XSIM_{variable}", str(value))
    return home


def _parent(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


_STAND_IN = """
import json, os, pathlib, sys
command, *rest = sys.argv[1:]
build = pathlib.Path(os.environ["XSIM_BUILD"]) / "mini"
if command == "models":
    seed = int(rest[rest.index("--seeds") + 1]) if "--seeds" in rest else 0
    print(json.dumps([{"paper": "anc2022", "model": "m", "seed": seed}]))
    raise SystemExit
with open(pathlib.Path(os.environ["XSIM_HOME"]) / "calls", "a") as calls:
    calls.write(" ".join([command, *rest]) + "\\n")
if (pathlib.Path(os.environ["XSIM_HOME"]) / "broken").exists() and command == "run":
    raise SystemExit("cell 3 raised")
if command == "run":
    out = build / "notebooks" / (rest[0] + ".ipynb")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("{}")
elif command == "claims":
    print("claim")
elif command == "book":
    (build / "html").mkdir(exist_ok=True)
    (build / "html" / "index.html").write_text("book")
"""


def _make(home: Path, target: str, **config) -> tuple[int, list[str], str]:
    """Run the graph; return its exit status, the commands it called, sorted, and what it said."""
    (home / "calls").unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(home / "Snakefile"),
        "--cores",
        "1",
    ]
    command += ["--directory", str(home / "_build"), "--nolock", "--rerun-incomplete"]
    command += ["--keep-going", "--config"]
    command += ["profile=mini", *(f"{k}={v}" for k, v in config.items()), "--", target]
    (home / "_build").mkdir(exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    calls = (home / "calls").read_text().splitlines() if (home / "calls").exists() else []
    return done.returncode, sorted(calls), done.stdout + done.stderr


TRAIN = "train anc2022 --profile mini --model m --seed 0"
RUN = "run anc2022/fig1_a --profile mini"
ALONE = "run alone --profile mini"
REST = ["book --profile mini", "claims --profile mini --csv"]


def test_the_graph_runs_once_and_then_only_what_a_change_touches(project):
    code, calls, log = _make(project, "book")
    assert code == 0, log
    assert calls == sorted([TRAIN, RUN, ALONE, *REST])
    assert _make(project, "book")[1] == [], "nothing changed, so nothing may run"

    prose = project / "book" / "methods.md"
    prose.write_text(prose.read_text() + "\nMore.\n")
    assert _make(project, "book")[1] == REST[:1], "prose only rebuilds the book"

    figure = project / "notebooks" / "anc2022" / "fig1_a.ipynb"
    _notebook(figure, "from xsim_lib import texts", "2")
    assert _make(project, "book")[1] == sorted([RUN, *REST]), (
        "an edited notebook runs, its neighbour does not"
    )

    os.utime(figure)
    assert _make(project, "book")[1] == [], "a new date is no change"


def test_a_changed_setting_trains_again(project):
    assert _make(project, "book")[0] == 0
    settings = project / "xsim_lib" / "profiles"
    settings.mkdir(parents=True)
    (settings / "anc2022.yaml").write_text("steps: 2\n")
    assert _make(project, "book")[1] == sorted([TRAIN, RUN, *REST])


def test_a_failing_notebook_fails_the_build_and_names_its_log(project):
    (project / "broken").touch()
    code, _, log = _make(project, "book")
    assert code != 0
    assert "logs/notebooks/" in log
    assert not (project / "_build" / "mini" / "html").exists()


def test_an_interrupted_build_goes_on_where_it_stopped(project):
    (project / "broken").touch()
    _make(project, "book")
    (project / "broken").unlink()
    code, calls, log = _make(project, "book")
    assert code == 0, log
    assert TRAIN not in calls, "the checkpoint was there already"
    assert RUN in calls


def test_a_stamp_is_rewritten_when_the_code_changes_and_only_then(project, monkeypatch):
    graph = workflow.Graph("mini")
    stamp = graph.notebook_stamp("anc2022/fig1_a")
    before, when = stamp.read_text(), stamp.stat().st_mtime_ns
    assert graph.notebook_stamp("anc2022/fig1_a").stat().st_mtime_ns == when
    monkeypatch.setattr(workflow, "code_hash", lambda *modules: "another")
    assert graph.notebook_stamp("anc2022/fig1_a").read_text() != before


def test_new_records_rerun_the_page_that_shows_them_but_not_the_runs_that_make_them(project):
    graph = workflow.Graph("mini")
    page, maker = (graph.notebook_stamp("anc2022/fig1_a", shows_records=s) for s in (True, False))
    before = page.read_text(), maker.read_text()
    _parent(project / "results" / "mini").joinpath("anc2022.fig1.csv").write_text("records")
    graph.notebook_stamp("anc2022/fig1_a")
    graph.notebook_stamp("anc2022/fig1_a", shows_records=False)
    assert page.read_text() != before[0]
    assert maker.read_text() == before[1]


def test_record_runs_every_figure_once_per_seed_and_collects(project):
    code, calls, log = _make(project, "record", seeds=2)
    assert code == 0, log
    wanted = [f"{RUN} --seeds {k} --recorded" for k in (1, 2)] + ["collect --profile mini"]
    wanted += [f"train anc2022 --profile mini --model m --seed {k}" for k in (1, 2)]
    assert calls == sorted(wanted)
    assert (project / "_build/mini/seeds/2/mini/notebooks/anc2022/fig1_a.ipynb").is_file()


def test_an_unknown_notebook_is_refused_with_the_known_ones(project, capsys):
    assert workflow.main(["notebook", "anc2022/fig9", "--profile", "mini"]) == 2
    assert "expected one of alone, anc2022/fig1_a; got 'anc2022/fig9'" in capsys.readouterr().err
