"""Put the sources of the book together: prose, executed notebooks, generated pages.

Nothing is built where the sources are. ``_build/<profile>/book`` has the layout of the repository, so
that the edit, launch and download links of every page point at the file a reader would change.
"""

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pandas as pd

from xsim_lib.book import explorer, pages
from xsim_lib.book.contents import check_toc, write_toc
from xsim_lib.book.prose import refreshed
from xsim_lib.evidence import paths
from xsim_lib.evidence.graph import Notebook, all_notebooks
from xsim_lib.study import freshness, standing
from xsim_lib.study.freshness import State

__all__ = ["assemble"]

_IMAGES = ("image/png", "image/svg+xml", "image/jpeg")
_KEEPS_OWN_TAG = {"hide-input", "hide-cell", "remove-input", "remove-cell", "show-input"}


def assemble(profile: str, *, executed: Path | None = None) -> Path:
    """Write the sources of the book of one profile.

    Parameters
    ----------
    profile : its executed notebooks and verdicts are shown; verdict tables within notebooks are filled in anew,
        so that a claim can be edited without executing anything.
    executed : folder of executed notebooks; default ``_build/<profile>/notebooks``.

    Returns
    -------
    Path : ``_build/<profile>/book``, written anew.

    Raises
    ------
    FileNotFoundError : a notebook has not been executed, the claims were not judged, or a page of ``_toc.yml`` does not exist.
    ValueError : a notebook holds an error or a figure without alternative text, or is not in ``_toc.yml``.
    """
    root, build = paths.root(), paths.build_dir(profile)
    executed = executed or build / "notebooks"
    sources = {n: executed / f"{n.name}.ipynb" for n in all_notebooks()}
    missing = [n.name for n, file in sources.items() if not file.is_file()]
    if missing or not sources:
        what = (
            f"not executed at profile {profile}: {', '.join(missing)}"
            if missing
            else "there are none"
        )
        raise FileNotFoundError(
            f"notebooks: {what} (looked in {executed}; `make book` executes them)"
        )

    book = build / "book"
    shutil.rmtree(book, ignore_errors=True)
    hidden = shutil.ignore_patterns(".*")
    beside = shutil.ignore_patterns("_static", "explorer", ".*")
    shutil.copytree(root / "book", book / "book", ignore=beside)
    shutil.copytree(root / "book" / "_static", book / "_static", ignore=hidden)
    shutil.copy(root / "_config.yml", book / "_config.yml")
    write_toc(root / "_toc.yml", book, sources)
    runs = {}
    verdicts = pages.read_verdicts(build / "verdicts.csv")
    states = freshness.read_states(build / "states.json")  # as of the verdicts
    for notebook, file in sources.items():
        content = nbformat.read(file, as_version=4)
        runs[notebook] = content.metadata.get("papermill", {})
        content = refreshed(content, nbformat.read(notebook.path, as_version=4))
        _judge_again(content, verdicts, states)
        content = _page(content, notebook)
        target = book / "notebooks" / f"{notebook.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(content, target)

    pages.write_all(book, profile, runs, verdicts, states)
    explorer.write_explorer(book, profile, states)
    _copy_plotly(book / "extra" / "explorer")
    check_toc(book, sources)
    return book


def _judge_again(
    content: nbformat.NotebookNode,
    verdicts: pd.DataFrame,
    states: Mapping[str, Mapping[str, State]],
) -> None:
    """Put the verdicts of today, and the state of what they stand on, where the notebook showed its own."""
    for cell in content.cells:
        for output in cell.get("outputs", ()):
            shown = output.get("metadata", {}).get("xsim", {})
            if "verdicts" in shown:
                table = standing.on_page(
                    shown["verdicts"], verdicts, states, other=shown.get("other", ())
                )
                output["data"], output["metadata"] = table._repr_mimebundle_()


def _page(content: nbformat.NotebookNode, notebook: Notebook) -> nbformat.NotebookNode:
    """Collapse the code, give figures their alternative text, drop what belongs to one machine."""
    for position, cell in enumerate(content.cells):
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                raise ValueError(
                    f"{notebook.name}: cell {position} ended in {output.ename}: {output.evalue}"
                )
            text = "".join(output.get("data", {}).get("text/plain", ""))
            if " at 0x" in text and len(output.data) == 1:
                raise ValueError(
                    f"{notebook.name}: cell {position} prints {text[:40]}...; expected its last line to "
                    "end in a semicolon"
                )
        # papermill drops the tags of the cell it injects, and a fresh cell has none.
        tags = cell.metadata.setdefault("tags", [])
        if not _KEEPS_OWN_TAG & set(tags):
            tags.append("hide-input")
        _describe_images(cell, notebook, position)
    content.metadata.pop("papermill", None)
    content.metadata.pop("widgets", None)
    return content


def _describe_images(cell: nbformat.NotebookNode, notebook: Notebook, position: int) -> None:
    """MyST-NB reads the text from the cell; the library leaves it with the output it belongs to."""
    images = [o for o in cell.outputs if any(mime in o.get("data", {}) for mime in _IMAGES)]
    options = cell.metadata.setdefault("mystnb", {}).setdefault("image", {}) if images else {}
    drawn = [next(o["data"][mime] for mime in _IMAGES if mime in o["data"]) for o in images]
    if len(set(drawn)) < len(drawn):
        raise ValueError(
            f"{notebook.name}: cell {position} shows the same figure twice; expected a figure that is "
            "returned to be closed first (plt.close), or the last line to end in a semicolon"
        )
    texts = []
    for output in images:
        described = (output.metadata.get(mime, {}).get("alt") for mime in _IMAGES)
        texts.append(output.metadata.get("alt") or next((text for text in described if text), None))
    if images and all(texts):
        options["alt"] = " ".join(texts)
    if images and not options.get("alt"):
        raise ValueError(
            f"{notebook.name}: cell {position} draws a figure without alternative text; expected "
            "`alt` in the metadata of the output, or mystnb.image.alt in the metadata of the cell"
        )


def _copy_plotly(folder: Path) -> None:
    """The copy that plotly's own package brings: no other server is asked."""
    script = Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"
    shutil.copy(script, folder / "plotly.min.js")
