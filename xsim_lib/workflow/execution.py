"""Executing notebooks with checked parameters, and keeping their two faces (.py and .ipynb) equal."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from xsim_lib.evidence import paths, tracing
from xsim_lib.evidence.graph import Graph
from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.study.page import live_parameters
from xsim_lib.workflow import budgets

__all__ = ["execute", "find_notebook", "sync"]


def find_notebook(name: str) -> Path:
    """The ``.ipynb`` of ``anc2022/fig1_cka_failure``; ``anc2022/fig1`` will do where it is unique.

    Raises
    ------
    ValueError : no notebook, or several, begin so; lists what there is.
    """
    folder = paths.root() / "notebooks"
    names = [
        p.relative_to(folder).with_suffix("").as_posix()
        for p in paths.visible(folder, "**/*.ipynb")
    ]
    matches = [n for n in names if n == name] or [n for n in names if n.startswith(f"{name}_")]
    if len(matches) != 1:
        among = "several begin so" if matches else "no such notebook"
        raise ValueError(f"notebook: {name!r}: {among}; expected one of {', '.join(names)}")
    return folder / f"{matches[0]}.ipynb"


def execute(name: str, parameters: Mapping[str, Any], *, output: Path | None = None) -> Path:
    """Run a notebook with papermill; the result appears only when every cell has succeeded.

    Parameters
    ----------
    name : see `find_notebook`.
    parameters : values for its parameters cell. A name the cell does not have is an error, which
        papermill alone would only warn about.
    output : where the executed notebook goes; by default ``_build/PROFILE/notebooks/NAME.ipynb``, where
        the book takes it from, or ``_build/PROFILE/other/NAME.ipynb`` if anything but the profile is
        given. A page of the book measures what the profile asks of a live build (`page.live_parameters`).

    Raises
    ------
    ValueError : an unknown parameter.
    papermill.PapermillExecutionError : a cell raised; the notebook up to there is kept beside the
        output as ``NAME.failed.ipynb``.

    Notes
    -----
    The cells run in this process, so that the functions they call can be traced: the book's page leaves
    beside it what it depended on (`graph.Job`).
    """
    import papermill

    from xsim_lib.workflow import inprocess

    source = find_notebook(name)
    profile = parameters.get("profile", "mini")
    relative = source.relative_to(paths.root() / "notebooks")
    asked_by_book = output is None and set(parameters) <= {"profile"}
    job = None
    if asked_by_book:
        graph = Graph(profile)
        name = relative.with_suffix("").as_posix()
        job = graph.page(name)
        parameters = {**live_parameters(graph.notebooks[name], profile), **parameters}
    known = papermill.inspect_notebook(str(source))
    for key in parameters:
        if key not in known:
            raise ValueError(f"parameter: {name} has {', '.join(known)}; got {key!r}")
    output = (
        output or paths.build_dir(profile) / ("notebooks" if asked_by_book else "other") / relative
    ).absolute()
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    failed.parent.mkdir(parents=True, exist_ok=True)
    with (
        inprocess.environment(XSIM_HOME=str(paths.root())),
        # Traced apart also where nobody asks: the next notebook of this process is another page.
        job.watched() if job else tracing.traced(),
        budgets.cost_written(job) if job else nullcontext(),
    ):
        papermill.execute_notebook(
            str(source),
            str(failed),
            parameters=dict(parameters),
            engine_name=inprocess.ENGINE,
            kernel_name="python3",
            cwd=str(source.parent),
            progress_bar=False,
            log_output=True,
        )
        os.replace(failed, output)
    return output


def sync(names: list[str] | None = None) -> Iterator[Path]:
    """Make every ``.ipynb`` anew from its ``.py``, executed at the smoke profile.

    The result is what nbval checks, what papermill runs, and what a reader sees on a forge.

    Raises
    ------
    ValueError : a name that is no notebook.
    """
    import jupytext
    import nbformat
    import papermill

    from xsim_lib.workflow.inprocess import environment

    folder = paths.root() / "notebooks"
    sources = {
        p.relative_to(folder).with_suffix("").as_posix(): p
        for p in paths.visible(folder, "**/*.py")
    }
    for name in names or ():
        if name not in sources:
            raise ValueError(f"notebook: expected any of {', '.join(sources)}; got {name!r}")
    for name, source in sources.items():
        if names and name not in names:
            continue
        notebook = jupytext.read(source)
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        notebook.metadata.pop("jupytext", None)
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"{source.stem.replace('_', '-')}-{number}"[-64:]
        target = source.with_suffix(".ipynb")
        # Elsewhere first: a killed run must leave nothing among the notebooks.
        with tempfile.TemporaryDirectory() as scratch, environment(XSIM_HOME=str(paths.root())):
            draft = Path(scratch) / target.name
            nbformat.write(notebook, draft)
            papermill.execute_notebook(
                str(draft),
                str(draft),
                parameters={"profile": "smoke"},
                kernel_name="python3",
                cwd=str(source.parent),
                progress_bar=False,
            )
            executed = _without_traces(nbformat.read(draft, 4))
        with atomic_write(target) as temporary:
            nbformat.write(executed, temporary)
        yield target


def _without_traces(notebook):
    """Drop what differs between two runs of the same code: times, temporary names, counters."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell["id"] = "injected-parameters"  # papermill draws one at random
        if cell.cell_type == "code":
            # Progress bars belong to the run, not to the page.
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return notebook
