"""Notebooks run with the parameters they were given, and only whole ones replace old ones."""

import json
import os

import nbformat
import papermill
import pytest
import small

from xsim_lib.book.prose import refreshed
from xsim_lib.evidence import graph
from xsim_lib.workflow import execution


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
    assert execution.find_notebook("anc/fig1_cka") == home / "notebooks" / "anc" / "fig1_cka.ipynb"
    assert (
        execution.find_notebook("anc/fig1").stem == "fig1_cka"
    )  # fig10 does not begin with "fig1_"
    assert execution.find_notebook("solo").stem == "solo"
    with pytest.raises(ValueError, match=r"'anc/fig2': several begin so; .*fig2_a, anc/fig2_b"):
        execution.find_notebook("anc/fig2")
    with pytest.raises(
        ValueError, match="'fig1': no such notebook; expected one of anc/fig10_other"
    ):
        execution.find_notebook("fig1")


# ---------------------------------------------------------------- execute
def test_a_notebook_runs_with_its_parameters_in_the_project_of_the_caller(home):
    written(home, "anc/show", "import os\nprint(profile, seeds, os.environ['XSIM_HOME'])")
    page = execution.execute("anc/show", {"profile": "smoke"})
    assert page == home / "build" / "smoke" / "notebooks" / "anc" / "show.ipynb"
    assert printed(page) == f"smoke [0] {home}\n"
    assert "XSIM_HOME" not in os.environ
    assert sorted(p.name for p in page.parent.iterdir()) == ["show.depends.json", "show.ipynb"]


@pytest.mark.slow
def test_other_parameters_leave_the_page_of_the_book_alone(home):
    written(home, "anc/show", "print(profile, seeds)")
    page = execution.execute("anc/show", {})
    before = page.read_bytes()
    other = execution.execute("anc/show", {"profile": "mini", "seeds": [3, 4]})
    assert other == home / "build" / "mini" / "other" / "anc" / "show.ipynb"
    assert printed(other) == "mini [3, 4]\n"
    chosen = execution.execute("anc/show", {}, output=home / "there.ipynb")
    assert chosen == home / "there.ipynb"
    assert page.read_bytes() == before


def test_an_unknown_parameter_is_refused_before_anything_runs(home):
    written(home, "show", "open('ran', 'w').close()")
    with pytest.raises(ValueError, match="parameter: show has profile, seeds; got 'seed'"):
        execution.execute("show", {"profile": "smoke", "seed": 3})
    assert not (home / "notebooks" / "ran").exists()
    assert not (home / "build").exists()


def test_a_failing_cell_keeps_its_notebook_aside_and_the_old_result_in_place(home):
    written(home, "show", "assert seeds != [1], 'no ones'\nprint(seeds)")
    output = execution.execute("show", {"profile": "smoke", "seeds": [2]})
    before = output.read_bytes()
    with pytest.raises(papermill.PapermillExecutionError, match="no ones"):
        execution.execute("show", {"profile": "smoke", "seeds": [1]})
    failed = output.with_name("show.failed.ipynb")
    assert output.read_bytes() == before
    assert "no ones" in failed.read_text()
    execution.execute("show", {"profile": "smoke", "seeds": [3]})
    assert printed(output) == "[3]\n"
    assert not failed.exists()


def test_a_page_leaves_what_it_depended_on_beside_it(home):
    written(home, "show", "from xsim_lib import indices", "indices.linear_cka([[1.0], [2.0], [4.0]], [[1.0], [3.0], [2.0]])")  # fmt: skip
    page = execution.execute("show", {"profile": "smoke"})
    job = graph.Graph("smoke").page("show")
    assert job.changes() == []
    trace = json.loads(page.with_name("show.depends.json").read_text())["trace"]
    assert "xsim_lib.indices.cka:linear_cka" in trace
    assert not [name for name in trace if ".notebooks:" in name or ".inprocess:" in name]
    written(home, "show", "1")
    assert graph.Graph("smoke").page("show").changes() == ["code cells"]


def test_a_page_that_raises_counts_as_not_done(home):
    written(home, "show", "1")
    execution.execute("show", {"profile": "smoke"})
    written(home, "show", "1 / 0")
    with pytest.raises(papermill.PapermillExecutionError):
        execution.execute("show", {"profile": "smoke"})
    assert graph.Graph("smoke").page("show").changes() == ["code cells"]


# ---------------------------------------------------------------- sync
def test_sync_makes_the_same_clean_notebook_every_time(home):
    script = small.notebook(
        home,
        "anc/show",
        "import sys\nprint('pro' + 'gress', file=sys.stderr)\nprint(profile)",
        "40 + 2",
    )
    (path,) = execution.sync()
    assert path == script.with_suffix(".ipynb")
    assert printed(path) == "smoke\n"
    text = path.read_text()
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert [c.source for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    for trace in ("papermill", "progress", "iopub", "start_time", str(home)):
        assert trace not in text.replace("injected-parameters", ""), trace
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    list(execution.sync(["anc/show"]))
    assert json.loads(path.read_text()) == json.loads(text)
    assert sorted(p.name for p in path.parent.iterdir()) == ["show.ipynb", "show.py"]


def test_sync_of_a_failing_script_leaves_the_old_notebook(home):
    script = small.notebook(home, "show", "print(1)")
    (path,) = execution.sync()
    before = path.read_bytes()
    small.notebook(home, "show", "raise RuntimeError('broken')")
    with pytest.raises(papermill.PapermillExecutionError, match="broken"):
        list(execution.sync())
    assert path.read_bytes() == before
    assert {p.name for p in script.parent.iterdir()} == {"show.ipynb", "show.py"}


def test_sync_refuses_a_name_that_is_no_notebook(home):
    small.notebook(home, "show")
    with pytest.raises(ValueError, match="expected any of show; got 'shown'"):
        list(execution.sync(["shown"]))


# ---------------------------------------------------------------- prose of an executed page
def _cells(*cells):
    """Of "m: text" and "c: code"; "i: code" is the cell that papermill puts in."""
    made = []
    for kind, source in (cell.split(": ", 1) for cell in cells):
        new = nbformat.v4.new_markdown_cell if kind == "m" else nbformat.v4.new_code_cell
        tags = {"tags": ["injected-parameters"]} if kind == "i" else {}
        made.append(new(source, metadata=tags))
    return nbformat.v4.new_notebook(cells=made)


@pytest.mark.parametrize("injected", [1, 2])
def test_edited_moved_and_deleted_prose_reaches_an_executed_page(injected):
    executed = _cells("m: Old", "c: x = 1", "m: Gone", "c: x + 1", "m: Moves")
    executed.cells.insert(injected, _cells("i: x = 2").cells[0])
    executed.cells[-2].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "3"})]
    source = _cells("m: Moves", "m: New", "c: x = 1", "i: x = 0", "c: x + 1", "m: Last")
    page = refreshed(executed, source)
    code = ["x = 2", "x = 1"] if injected == 1 else ["x = 1", "x = 2"]
    assert [c.source for c in page.cells] == ["Moves", "New", *code, "x + 1", "Last"]
    assert page.cells[-2].outputs == executed.cells[-2].outputs
    assert executed.cells[0].source == "Old"
    nbformat.validate(page)


def test_prose_is_not_put_around_other_code():
    with pytest.raises(ValueError, match="expected the code cells of the source"):
        refreshed(_cells("c: x"), _cells("m: New", "c: y"))
