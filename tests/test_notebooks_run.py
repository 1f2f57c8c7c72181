"""Notebooks run with the parameters they were given, and only whole ones replace old ones."""

import json
import os

import nbformat
import papermill
import pytest
import small

from xsim_lib import notebooks


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project found from the working directory, as a reader would stand in it."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "xsim"\n')
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.delenv("XSIM_HOME", raising=False)
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path / "build"))
    return tmp_path


def written(home, name, *cells, **options):
    """A notebook that was not executed yet."""
    import jupytext

    script = small.notebook(home, name, *cells, **options)
    notebook = jupytext.read(script)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    return script


def printed(path):
    cells = nbformat.read(path, 4).cells
    return "".join(
        output["text"]
        for cell in cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stdout"
    )


# ---------------------------------------------------------------- find
def test_find_takes_a_name_or_its_unique_beginning(home):
    for name in ("anc/fig1_cka", "anc/fig10_other", "anc/fig2_a", "anc/fig2_b", "solo"):
        written(home, name)
    assert notebooks.find("anc/fig1_cka") == home / "notebooks" / "anc" / "fig1_cka.ipynb"
    assert notebooks.find("anc/fig1").stem == "fig1_cka"  # fig10 does not begin with "fig1_"
    assert notebooks.find("solo").stem == "solo"
    with pytest.raises(ValueError, match=r"'anc/fig2': several begin so; .*fig2_a, anc/fig2_b"):
        notebooks.find("anc/fig2")
    with pytest.raises(
        ValueError, match="'fig1': no such notebook; expected one of anc/fig10_other"
    ):
        notebooks.find("fig1")


# ---------------------------------------------------------------- execute
def test_a_notebook_runs_with_its_parameters_in_the_project_of_the_caller(home):
    written(home, "anc/show", "import os\nprint(profile, seeds, os.environ['XSIM_HOME'])")
    output = notebooks.execute("anc/show", {"profile": "smoke", "seeds": [3, 4]})
    assert output == home / "build" / "smoke" / "notebooks" / "anc" / "show.ipynb"
    assert printed(output) == f"smoke [3, 4] {home}\n"
    assert sorted(p.name for p in output.parent.iterdir()) == ["show.ipynb"]
    assert "XSIM_HOME" not in os.environ
    chosen = notebooks.execute("anc/show", {}, output=home / "there.ipynb")
    assert chosen == home / "there.ipynb"
    assert printed(chosen).startswith("mini [0]")


def test_an_unknown_parameter_is_refused_before_anything_runs(home):
    written(home, "show", "open('ran', 'w').close()")
    with pytest.raises(ValueError, match="parameter: show has profile, seeds; got 'seed'"):
        notebooks.execute("show", {"profile": "smoke", "seed": 3})
    assert not (home / "notebooks" / "ran").exists()
    assert not (home / "build").exists()


def test_a_failing_cell_keeps_its_notebook_aside_and_the_old_result_in_place(home):
    written(home, "show", "assert seeds != [1], 'no ones'\nprint(seeds)")
    output = notebooks.execute("show", {"profile": "smoke", "seeds": [2]})
    before = output.read_bytes()
    with pytest.raises(papermill.PapermillExecutionError, match="no ones"):
        notebooks.execute("show", {"profile": "smoke", "seeds": [1]})
    failed = output.with_name("show.failed.ipynb")
    assert output.read_bytes() == before
    assert "no ones" in failed.read_text()
    notebooks.execute("show", {"profile": "smoke", "seeds": [3]})
    assert printed(output) == "[3]\n"
    assert not failed.exists()


# ---------------------------------------------------------------- sync
def test_sync_makes_the_same_clean_notebook_every_time(home):
    script = small.notebook(
        home,
        "anc/show",
        "import sys\nprint('pro' + 'gress', file=sys.stderr)\nprint(profile)",
        "40 + 2",
    )
    (path,) = notebooks.sync()
    assert path == script.with_suffix(".ipynb")
    assert printed(path) == "smoke\n"
    text = path.read_text()
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    for trace in ("papermill", "progress", "iopub", "start_time", str(home)):
        assert trace not in text.replace("injected-parameters", ""), trace
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    list(notebooks.sync(["anc/show"]))
    assert json.loads(path.read_text()) == json.loads(text)
    assert sorted(p.name for p in path.parent.iterdir()) == ["show.ipynb", "show.py"]


def test_sync_of_a_failing_script_leaves_the_old_notebook(home):
    script = small.notebook(home, "show", "print(1)")
    (path,) = notebooks.sync()
    before = path.read_bytes()
    small.notebook(home, "show", "raise RuntimeError('broken')")
    with pytest.raises(papermill.PapermillExecutionError, match="broken"):
        list(notebooks.sync())
    assert path.read_bytes() == before
    assert {p.name for p in script.parent.iterdir()} == {"show.ipynb", "show.py"}


def test_sync_refuses_a_name_that_is_no_notebook(home):
    small.notebook(home, "show")
    with pytest.raises(ValueError, match="expected any of show; got 'shown'"):
        list(notebooks.sync(["shown"]))
