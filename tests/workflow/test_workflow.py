"""The commands behind make, run for real in a folder whose name has a space, on notebooks of two cells."""

import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from xsim_lib.evidence import graph
from xsim_lib.workflow import commands
from xsim_lib.workflow.progress import Progress

PARAMETERS = nbformat.v4.new_code_cell('profile = "mini"', metadata={"tags": ["parameters"]})


def write(path: Path, *cells: str) -> Path:
    notebook = nbformat.v4.new_notebook(
        cells=[PARAMETERS, *(nbformat.v4.new_code_cell(source) for source in cells)]
    )
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch, repository) -> Path:
    home = tmp_path / "my project"
    home.mkdir()
    for name in ("Snakefile", "Makefile", "pyproject.toml", "_config.yml", "_toc.yml"):
        shutil.copy(repository / name, home / name)
    shutil.copytree(repository / "book", home / "book")
    write(home / "notebooks" / "notes" / "first one.ipynb", "print(6 * 7)")
    (tmp_path / "my").write_text("mine")  # what an unquoted path would overwrite
    monkeypatch.setenv("XSIM_HOME", str(home))
    monkeypatch.setenv("XSIM_BUILD", str(home / "_build"))
    monkeypatch.setenv("PYTHONPATH", str(repository))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield home
    assert (tmp_path / "my").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "bin") == ["my", "my project"]


def start(home: Path, *arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "xsim_lib.workflow.commands", *arguments]
    return subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def build(home: Path, *arguments: str) -> tuple[int, str]:
    process = start(home, *arguments)
    said = process.communicate(timeout=300)[0]
    return process.returncode, said


def test_a_failing_page_says_why_and_how_to_repeat_it_and_others_go_on(project):
    broken = write(project / "notebooks" / "broken.ipynb", "1 / 0")
    code, said = build(project, "book", "--jobs", "2")
    assert code == 1
    assert "[1/4] run notes/first one: " in said
    assert "failed: run broken\n" in said
    assert "  ZeroDivisionError: division by zero\n" in said
    assert "  to repeat it: xsim run broken --profile mini\n" in said
    assert "site-packages" not in said, "the traceback of the cell, not of what ran it"
    assert "rule" not in said, "what Snakemake says goes to its log"
    made = project / "_build" / "mini"
    assert "Select jobs" in (made / "logs" / "snakemake.log").read_text()
    (output,) = nbformat.read(made / "notebooks" / "notes" / "first one.ipynb", 4).cells[-1].outputs
    assert output.text == "42\n"
    assert (made / "notebooks" / "broken.failed.ipynb").is_file()
    assert not (made / "html").exists()

    write(broken, "1 / 1")
    code, said = build(project, "notebook", "broken")
    assert code == 0, said
    assert "[1/1] run broken: " in said
    code, said = build(project, "notebook", "broken")
    assert (code, said.count("run broken")) == (0, 0), (
        "a run that has just finished is not done again"
    )


@pytest.mark.slow
def test_an_interrupted_build_stops_at_once_and_the_next_one_goes_on(project):
    slow = project / "slow"
    slow.touch()
    write(
        project / "notebooks" / "waits.ipynb",
        f"import os, time\nwhile os.path.exists({str(slow)!r}): open({str(slow)!r}, 'a').write('.'); time.sleep(.1)",
    )
    process = start(project, "notebook", "waits")
    deadline = time.monotonic() + 120
    while not slow.read_text():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    slow.unlink()
    assert not (project / "_build" / "mini" / "notebooks" / "waits.ipynb").exists()
    code, said = build(project, "notebook", "waits")
    assert code == 0, said


# ---------------------------------------------------------------- what callers give is text
@pytest.mark.parametrize(
    "name", ["x$(touch PWNED)", "a;touch PWNED", "{wildcards}", "-rf", "two  spaces", "a\nb"]
)
def test_a_notebook_whose_name_is_code_is_refused(project, name):
    write(project / "notebooks" / f"{name}.ipynb", "1")
    with pytest.raises(ValueError, match="notebooks: expected names of letters"):
        _ = graph.Graph("mini").notebooks
    assert commands.make(["book"]) == 2


@pytest.mark.parametrize("variable", ["NB", "PROFILE", "SEEDS", "JOBS"])
@pytest.mark.parametrize(
    "value", ["`touch PWNED`", "$(touch PWNED)", "$(shell touch PWNED)", '";touch PWNED;"', "'"]
)
def test_no_value_given_to_make_is_run(project, variable, value):
    environment = Path(sys.executable).parents[1]
    target = {"NB": "notebook", "SEEDS": "record"}.get(variable, "book")
    for given in ([f"{variable}={value}"], []):
        done = subprocess.run(
            ["make", target, f"XSIM_VENV={environment}", *given],
            cwd=project,
            env={**os.environ, **({} if given else {variable: value})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "expected" in done.stderr or "invalid" in done.stderr, done.stderr
    assert not list(project.rglob("PWNED"))
    assert not (project / "_build").exists()


def test_an_unknown_notebook_is_refused_with_the_known_ones(project, capsys):
    assert commands.make(["notebook", "anc2022/fig9", "--profile", "mini"]) == 2
    assert "expected one of notes/first one; got 'anc2022/fig9'" in capsys.readouterr().err


# ---------------------------------------------------------------- make record
_STAND_IN = f"""#!{sys.executable}
import json, os, pathlib, sys
command, *rest = sys.argv[1:]
with open(pathlib.Path(os.environ["XSIM_HOME"]) / "calls", "a") as calls:
    calls.write(" ".join([command, *rest]) + "\\n")
if command == "models":
    build = pathlib.Path(os.environ["XSIM_BUILD"]) / "mini"
    build.mkdir(parents=True, exist_ok=True)
    model = {{"paper": "anc2022", "groups": ["schemes"], "seed": 1, "ahead": True}}
    known = [model | {{"model": "m", "ships": False}}, model | {{"model": "given", "ships": True}}]
    other = model | {{"model": "of another page", "groups": ["mlm"], "ships": False}}
    (build / "models.json").write_text(json.dumps([*known, other]))
elif command == "train":
    paper, _, _, _, model, _, seed = rest
    pathlib.Path("models", paper, f"{{model}}.{{seed}}.depends.json").write_text("")
"""


def test_record_trains_and_records_every_judged_page_once_per_seed(project, monkeypatch):
    write(project / "notebooks" / "anc2022" / "fig1_a.ipynb", "1")
    program = project.parent / "bin" / "xsim"
    program.parent.mkdir()
    program.write_text(_STAND_IN)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XSIM_WARM", "")  # the program above in the place of our own
    code, said = build(project, "record", "--seeds", "2")
    assert code == 0, said
    calls = set((project / "calls").read_text().splitlines())
    wanted = {f"train anc2022 --profile mini --model m --seed {k}" for k in (1, 2)}
    # What ships is of seed 1 only, and is put in order before anything is measured through it.
    wanted |= {"ship anc2022 --profile mini", "train anc2022 --profile mini --model given --seed 2"}
    wanted |= {f"record anc2022/fig1_a --profile mini --seed {k}" for k in (1, 2)}
    assert calls == {*wanted, "models --profile mini"}


# ---------------------------------------------------------------- progress
class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def say(progress: Progress, event: str, **values) -> None:
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, None, (), None)
    record.__dict__.update(event=event, **values)
    progress.handle(record)


def two_jobs(progress: Progress) -> None:
    say(progress, "run_info", stats={"notebook": 2, "html": 1, "book": 1, "total": 4})
    say(progress, "job_info", jobid=1, rule_name="notebook", rule_msg="run a")
    say(progress, "job_finished", job_id=1)
    say(progress, "job_info", jobid=2, rule_name="notebook", rule_msg="run b")


def test_a_log_gets_one_line_for_each_finished_job(tmp_path):
    stream = io.StringIO()
    progress = Progress(tmp_path, 1, stream)
    two_jobs(progress)
    progress.close()
    assert stream.getvalue() == "[1/3] run a: 0 s (0 s, about 0 s left)\n"


def test_a_terminal_gets_one_line_that_is_drawn_over(tmp_path):
    stream = Terminal()
    progress = Progress(tmp_path, 1, stream)
    two_jobs(progress)
    assert stream.getvalue().endswith("\r[1/3] 0 s, about 0 s left: run b")
    progress.close()
    assert "\n" not in stream.getvalue()
    assert stream.getvalue().endswith(" \r")


def test_the_time_left_comes_from_what_each_job_took_before(tmp_path):
    known = {"notebook": {"run a": 100, "run b": 20}, "html": {"build the book": 30}}
    (tmp_path / "seconds.json").write_text(json.dumps(known))
    stream = Terminal()
    two_jobs(Progress(tmp_path, 1, stream))
    assert stream.getvalue().endswith("about 50 s left: run b"), "20 s for b, 30 s for the book"
    stream = Terminal()
    two_jobs(Progress(tmp_path, 2, stream))
    assert stream.getvalue().endswith("about 25 s left: run b")
    assert json.loads((tmp_path / "seconds.json").read_text())["notebook"] == {
        "run a": 0,
        "run b": 20,
    }
