"""The user's own parallel text."""

from __future__ import annotations

import os
from pathlib import Path

from xsim_lib.evidence.paths import visible
from xsim_lib.text.corpora.errors import CorpusError, CorruptFileError
from xsim_lib.text.corpora.fetch import lines
from xsim_lib.text.types import ParallelCorpus

__all__ = ["plain"]


def plain(path: str | os.PathLike) -> ParallelCorpus:
    """Read aligned text of your own.

    Parameters
    ----------
    path : folder or file
        A folder of ``LANG.txt`` (UTF-8, one sentence per line, line k of all the same sentence), or a ``.tsv`` file
        with language codes in the first line and one sentence per column (no quoting).

    Returns
    -------
    ParallelCorpus : named after the folder or file.

    Raises
    ------
    CorpusError : no such path, no language, unequal numbers of lines, an empty line, another number of columns, no UTF-8.
    """
    path = Path(path)
    if path.is_dir():
        return ParallelCorpus(path.name or "plain", _folder(path))
    if not path.is_file():
        raise CorpusError(f"path: expected a folder of LANG.txt or a TSV file, got {str(path)!r}")
    return ParallelCorpus(path.stem, _table(path))


def _folder(folder: Path) -> dict[str, list[str]]:
    files = visible(folder, "*.txt")
    if not files:
        raise CorpusError(f"path: expected LANG.txt files in {str(folder)!r}, found none")
    sentences: dict[str, list[str]] = {}
    for file in files:
        rows = lines(file.read_bytes(), str(file))
        for number, row in enumerate(rows, start=1):
            if not row.strip():
                raise CorruptFileError(f"{file}: line {number} is empty")
        sentences[file.stem] = [row.strip() for row in rows]
    first = files[0].stem
    for language, rows in sentences.items():
        if len(rows) != len(sentences[first]):
            raise CorruptFileError(
                f"{folder / language}.txt: expected {len(sentences[first])} lines like {first}.txt, got {len(rows)}"
            )
    return sentences


def _table(file: Path) -> dict[str, list[str]]:
    header, *rows = (row.split("\t") for row in lines(file.read_bytes(), str(file)))
    codes = [code.strip() for code in header]
    if not all(codes) or len(set(codes)) != len(codes):
        raise CorruptFileError(f"{file}: line 1: expected different language codes, got {header}")
    if not rows:
        raise CorruptFileError(f"{file}: no sentence after the header")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(codes):
            raise CorruptFileError(
                f"{file}: line {number}: expected {len(codes)} columns, got {len(row)}"
            )
        for code, cell in zip(codes, row, strict=True):
            if not cell.strip():
                raise CorruptFileError(f"{file}: line {number}: {code} is empty")
    return {code: [row[k].strip() for row in rows] for k, code in enumerate(codes)}
