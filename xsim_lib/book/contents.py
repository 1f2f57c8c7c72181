"""The book's table of contents: ``_toc.yml``, and in it the papers and figures that there are.

The part that says ``chapters: papers`` gets one chapter per paper, ``book/PAPER.md``, and below it the notebooks of
the paper that stand nowhere else: a figure, or a whole paper, is in the book by existing.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from xsim_lib.book.markup import reading_order
from xsim_lib.evidence import chapters
from xsim_lib.evidence.graph import Notebook
from xsim_lib.evidence.yaml_files import read_yaml

__all__ = ["check_toc", "toc_files", "write_toc"]

_FOUND = "papers"


def write_toc(source: Path, book: Path, known: Iterable[Notebook]) -> None:
    """Write ``_toc.yml`` of the assembled book.

    Parameters
    ----------
    source : the ``_toc.yml`` of the project.
    book : folder of the assembled sources.
    known : all notebooks of the book.
    """
    toc = read_yaml(source)
    elsewhere = set(_files(toc))
    pages = [n for n in known if f"notebooks/{n.name}" not in elsewhere]
    for part in toc.get("parts", ()):
        if part.get("chapters") == _FOUND:
            part["chapters"] = [_chapter(paper, pages) for paper in chapters.names()]
    text = yaml.safe_dump(toc, sort_keys=False)
    (book / "_toc.yml").write_text(text, encoding="utf-8")


def toc_files(book: Path) -> list[str]:
    """Names of all pages of ``_toc.yml`` below `book`, without suffix, the landing page first."""
    return list(_files(read_yaml(book / "_toc.yml")))


def check_toc(book: Path, known: Iterable[Notebook]) -> None:
    """Compare ``_toc.yml`` with the pages below `book`.

    Raises
    ------
    FileNotFoundError : it lists a page that does not exist.
    ValueError : it leaves out a notebook.
    """
    listed = toc_files(book)
    lost = [f for f in listed if not any((book / f"{f}{s}").is_file() for s in (".md", ".ipynb"))]
    if lost:
        raise FileNotFoundError(f"_toc.yml: no such page: {', '.join(lost)}")
    unlisted = [n.name for n in known if f"notebooks/{n.name}" not in listed]
    if unlisted:
        raise ValueError(f"_toc.yml: lists every notebook but {', '.join(unlisted)}")


def _chapter(paper: str, pages: Iterable[Notebook]) -> dict:
    """A paper's page, with its figures below it: in the order it asks for, then tables and figures by number."""
    first = chapters.page_order(paper)
    stems = {page.path.stem for page in pages if page.paper == paper}
    order = [*first, *sorted(stems.difference(first), key=reading_order)]
    chapter = {"file": f"book/{paper}"}
    if order:
        chapter["sections"] = [{"file": f"notebooks/{paper}/{stem}"} for stem in order]
    return chapter


def _files(entry: object) -> Iterator[str]:
    if isinstance(entry, dict):
        yield from (entry[key] for key in ("root", "file") if key in entry)
        for value in entry.values():
            yield from _files(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from _files(value)
