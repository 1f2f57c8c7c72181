"""The project's own graph: which jobs would run after a change, and that no other would.

A copy of the project stands as if a build had just finished: every output is there, and beside it what it
depended on. Then something is changed, and Snakemake is asked what it would do.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xsim_lib.evidence import graph

# Which functions a page runs can be known only by running it. These few stand for hundreds.
EVERY_PAGE = ("xsim_lib.study.experiment:start", "xsim_lib.evidence.columns:validated")
CKA = "xsim_lib.indices.cka:linear_cka_from_moments"
RUN_CKA = ("anc2022/fig1_cka_failure", "anc2022/paper_versus_code")

FINISH = """
import json, sys
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.graph import Graph

every, cka, run_cka = json.loads(sys.argv[1])
graph = Graph("mini")

def finished(job, content="", functions=every):
    if job.output:
        (job.build / job.output).parent.mkdir(parents=True, exist_ok=True)
        (job.build / job.output).write_text(content)
    marker = job.build / job.marker
    marker.parent.mkdir(parents=True, exist_ok=True)
    trace = library().fingerprints(functions)
    marker.write_text(json.dumps({"inputs": dict(job.inputs), "trace": trace}))

about = {"groups": ["schemes", "families", "mlm", "clm", "scaling"], "seed": 1, "ships": False, "ahead": True}
needed = [{"paper": p, "model": m, **about} for p in ("anc2022", "align2021") for m in ("a", "b")]
finished(graph.listing(), json.dumps(needed))
for model in graph.models:
    finished(graph.training(model["paper"], model["model"], 1), functions=["xsim_lib.training.fitting:seeded"])
for name in graph.notebooks:
    finished(graph.page(name), functions=[*every, *([cka] if name in run_cka else [])])
finished(graph.verdicts())
(graph.build / "states.json").write_text("{}")
finished(graph.book())
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, repository) -> Path:
    """The project as a build has left it."""
    home = tmp_path_factory.mktemp("built") / "my project"
    for name in ("Snakefile", "_config.yml", "_toc.yml", "pyproject.toml"):
        home.mkdir(exist_ok=True)
        shutil.copy(repository / name, home / name)
    for name in ("book", "notebooks", "results", "xsim_lib"):
        shutil.copytree(
            repository / name, home / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    # The models are listed by a program that needs torch. This one leaves the list as it is.
    program = home / "bin" / "xsim"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    arguments = json.dumps([EVERY_PAGE, CKA, RUN_CKA])
    command = [sys.executable, "-c", FINISH, arguments]
    subprocess.run(command, cwd=home, env=_environment(home), check=True)
    return home


@pytest.fixture
def project(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "my project"))


def _environment(home: Path) -> dict[str, str]:
    own = {"XSIM_HOME": str(home), "XSIM_BUILD": str(home / "_build"), "PYTHONPATH": str(home)}
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **own, "PATH": path}


def would_run(home: Path) -> set[str]:
    """What the next build would do, asked as the README does by hand."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run"]
    command += ["--config", "profile=mini", "--", "book"]
    done = subprocess.run(
        command, cwd=home, env=_environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = set(re.findall(r"^Job \d+: (.*)$", done.stdout + done.stderr, flags=re.M))
    return jobs - {"the book stands"}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file.name} no longer has {old!r}: choose another place to edit"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_cell(home: Path, kind: str) -> None:
    """Edit the last cell of one kind of Figure 4's page."""
    file = home / "notebooks" / "anc2022" / "fig4_anc_normalisation.ipynb"
    content = json.loads(file.read_text(encoding="utf-8"))
    cell = [c for c in content["cells"] if c["cell_type"] == kind][-1]
    cell["source"] = [*cell["source"], "\n# more"]
    file.write_text(json.dumps(content), encoding="utf-8")


JUDGED = {"judge the claims", "build the book"}
FIG4 = {"run anc2022/fig4_anc_normalisation"}


def test_nothing_runs_when_nothing_has_changed(project):
    assert would_run(project) == set()
    for file in (project / "xsim_lib").rglob("*.py"):
        os.utime(file)
    assert would_run(project) == set(), "a new date is no change"


def _threshold(home: Path) -> None:
    file = home / "xsim_lib" / "papers" / "anc2022" / "claims.yaml"
    edit(file, "predicate: ", "predicate: In other words: ")


def _predicate(home: Path) -> None:
    file = home / "xsim_lib" / "papers" / "anc2022" / "claims.py"
    edit(file, "\ndef ", "\ndef _unused():\n    return 1\n\n\ndef ")


def _provenance(home: Path) -> None:
    edit(home / "results" / "mini" / "anc2022.fig4.csv.json", "{", '{"checks": [],')


@pytest.mark.parametrize("change", [_threshold, _predicate, _provenance])
def test_what_judges_is_no_reason_to_measure_again(project, change: Callable):
    change(project)
    assert would_run(project) == JUDGED


def test_an_edited_page_runs_and_no_other(project):
    edit_cell(project, "code")
    assert would_run(project) == FIG4 | JUDGED


def test_edited_prose_of_a_page_only_makes_the_book_again(project):
    edit_cell(project, "markdown")
    assert would_run(project) == {"build the book"}


def test_a_recorded_table_is_shown_by_its_page(project):
    edit(project / "results" / "mini" / "anc2022.fig4.csv", "\n", "\n\n")
    assert would_run(project) == FIG4 | JUDGED


def test_a_changed_setting_concerns_its_paper(project):
    settings = project / "xsim_lib" / "papers" / "anc2022" / "settings.yaml"
    edit(settings, "training: {steps: 4000,", "training: {steps: 4001,")
    pages = {
        f"run {n.name}" for n in graph.all_notebooks(project / "notebooks") if n.paper == "anc2022"
    }
    trained = {f"train {model} of anc2022, seed 1" for model in "ab"}
    assert would_run(project) == pages | trained | JUDGED


def test_settings_of_another_profile_measure_nothing(project):
    """But the status page says which recorded tables they make suspect."""
    settings = project / "xsim_lib" / "papers" / "anc2022" / "settings.yaml"
    edit(settings, "training: {steps: 12,", "training: {steps: 13,")
    assert would_run(project) == JUDGED


def _moved(home: Path) -> None:
    """All of cka.py into another file, with the old name passed on."""
    old = home / "xsim_lib" / "indices" / "cka.py"
    old.rename(old.with_name("alignment_index.py"))
    names = "linear_cka, linear_cka_from_moments, rbf_cka"
    old.write_text(f"from xsim_lib.indices.alignment_index import {names}\n", encoding="utf-8")


def _reworded(home: Path) -> None:
    edit(home / "xsim_lib" / "indices" / "cka.py", "raise ValueError(", 'raise ValueError("so: " +')


def _corpus(home: Path) -> None:
    file = home / "xsim_lib" / "text" / "corpora" / "new.py"
    file.write_text("def sentences():\n    return []\n", encoding="utf-8")


@pytest.mark.parametrize("change", [_moved, _reworded, _corpus])
def test_what_changes_no_number_changes_nothing(project, change: Callable):
    change(project)
    assert would_run(project) == set()


def test_a_changed_index_concerns_the_pages_that_ran_it(project):
    edit(project / "xsim_lib" / "indices" / "cka.py", "moments: Moments, *, debiased: bool = False", "moments: Moments, *, debiased: bool = True")  # fmt: skip
    assert would_run(project) == {f"run {name}" for name in RUN_CKA} | JUDGED
