"""Build the assembled book, strictly: a warning is an error, and so is a page that did not come out."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from xsim_lib.book.assembly import assemble
from xsim_lib.book.contents import toc_files
from xsim_lib.evidence import paths

__all__ = ["build", "render"]


def build(profile: str, strict: bool = True, *, executed: Path | None = None) -> Path:
    """Assemble and build the book of one profile.

    Parameters
    ----------
    profile : which executed notebooks, records and verdicts it shows.
    strict : turn every Sphinx warning into a failure (``-n -W --keep-going``: all of them are listed).
    executed : folder of executed notebooks; default ``_build/<profile>/notebooks``.

    Returns
    -------
    Path : ``_build/<profile>/html``; open ``index.html``.

    Raises
    ------
    RuntimeError : Sphinx warned or failed, or a page is missing. The previous html stays in place.
    """
    book = assemble(profile, executed=executed)
    output = paths.build_dir(profile) / "sphinx"
    html = render(book, output, strict=strict)
    target = paths.build_dir(profile) / "html"
    shutil.rmtree(target, ignore_errors=True)
    shutil.move(html, target)
    shutil.rmtree(output, ignore_errors=True)
    return target


def render(book: Path, output: Path, *, strict: bool = True) -> Path:
    """Run Jupyter Book over the sources in `book`; return the folder of pages below `output`."""
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(book), "--path-output", str(output), "--quiet", "--keep-going"]
    command += ["-n", "-W"] if strict else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the book was not built:\n{_complaints(done.stdout + done.stderr)}")
    html = output / "_build" / "html"
    for template in paths.visible(html / "_static", "*webpack-macros.html"):
        template.unlink()  # the theme leaves its own templates behind, as pages with broken links
    pages = toc_files(book)
    lost = [page for page in pages if not (html / f"{page}.html").is_file()]
    if lost or not pages:
        raise RuntimeError(f"the book lacks {', '.join(lost) or 'pages'}; Sphinx did not complain")
    return html


def _complaints(log: str) -> str:
    """The warnings and errors of a Sphinx log; the end of it when there is none to be found."""
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if "WARNING" in line or "ERROR" in line or "Error" in line]
    return "\n".join(telling or lines[-30:])
