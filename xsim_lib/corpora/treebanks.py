"""Universal Dependencies treebanks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from xsim_lib.texts import Token, Treebank, TreebankSentence

from .errors import CorpusError, CorruptFileError, MissingLanguageError
from .fetch import lines, read
from .registry import find, languages, originals

__all__ = ["treebank"]

# UD version 1 had one tag for both kinds of conjunction; SCONJ existed, so CONJ meant the coordinating one.
_UPOS_V1 = {"CONJ": "CCONJ"}


def treebank(name_or_path: str | os.PathLike, split: str = "test") -> Treebank:
    """Read a treebank.

    Parameters
    ----------
    name_or_path : str or path
        ``"English-EWT"`` (as in UD_English-EWT), ``"PUD-fr"`` for a parallel treebank, or the path of your own
        ``.conllu`` file.
    split : {"train", "dev", "test"}
        Ignored for PUD, which is a test set, and for a path.

    Returns
    -------
    Treebank : syntactic words only; multiword-token lines and empty nodes are dropped. A treebank in the scheme of UD
        version 1 keeps its relations, and its tag CONJ becomes CCONJ.

    Raises
    ------
    CorruptFileError : names file and line of what is malformed, or the sentence whose tree is not one.
    MissingLanguageError : no such treebank or split.
    """
    path = Path(name_or_path)
    if path.suffix == ".conllu":
        if not path.is_file():
            raise CorpusError(f"name_or_path: no such file: {str(path)!r}")
        language = path.name.split("_")[0].split("-")[0]
        return _parse(path.read_bytes(), str(path), path.stem, language)
    name = str(name_or_path)
    if name.startswith("PUD-"):
        code = name.removeprefix("PUD-")
        if code not in languages("pud"):
            raise MissingLanguageError(
                f"name_or_path: PUD has {' '.join(languages('pud'))}; got {code!r}"
            )
        file = find("pud", code)
    else:
        names = sorted({row.code for row in originals("treebanks")})
        if name not in names:
            raise MissingLanguageError(
                f"name_or_path: expected one of {' '.join(names)} or PUD-LANG; got {name!r}"
            )
        file = find("treebanks", name, split)
    return _parse(read(file), file.mirror, name, file.language)


def _parse(content: bytes, where: str, name: str, language: str) -> Treebank:
    """Parse CoNLL-U by hand: the package conllu also splits at double spaces, which occur inside Lithuanian lemmas."""
    sentences = []
    for start, block in _blocks(lines(content, where)):
        try:
            sentences.append(_sentence(block, start, len(sentences) + 1))
        except ValueError as error:
            raise CorruptFileError(f"{where}: sentence at line {start}: {error}") from error
    if not sentences:
        raise CorruptFileError(f"{where}: no sentence")
    return Treebank(name, language, tuple(sentences))


def _sentence(block: list[str], start: int, number: int) -> TreebankSentence:
    tokens: list[Token] = []
    metadata: dict[str, str] = {}
    for line_number, row in enumerate(block, start=start):
        if row.startswith("#"):
            key, _, value = row[1:].partition("=")
            metadata[key.strip()] = value.strip()
            continue
        cells = row.split("\t")
        if len(cells) != 10:
            raise ValueError(f"line {line_number}: expected 10 columns, got {len(cells)}")
        if re.fullmatch(r"\d+-\d+|\d+\.\d+", cells[0]):
            continue  # a multiword token or an empty node
        if cells[0] != str(len(tokens) + 1):
            raise ValueError(
                f"line {line_number}: expected word {len(tokens) + 1}, got {cells[0]!r}"
            )
        if not re.fullmatch(r"\d+", cells[6]):
            raise ValueError(f"line {line_number}: head: expected a number, got {cells[6]!r}")
        try:
            upos = _UPOS_V1.get(cells[3], cells[3])
            tokens.append(
                Token(cells[1], cells[2], upos, _feats(cells[5]), int(cells[6]), cells[7])
            )
        except ValueError as error:
            raise ValueError(f"line {line_number}: {error}") from None
    sent_id = metadata.get("sent_id") or str(number)
    return TreebankSentence(sent_id, tuple(tokens), metadata.get("text", ""))


def _feats(cell: str) -> dict[str, str]:
    if cell == "_":
        return {}
    pairs = [pair.partition("=") for pair in cell.split("|")]
    if not all(name and value for name, _, value in pairs):
        raise ValueError(f"feats: expected Name=Value|..., got {cell!r}")
    return {name: value for name, _, value in pairs}


def _blocks(rows: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, lines) of every run of lines between empty ones."""
    block: list[str] = []
    for number, row in enumerate([*rows, ""], start=1):
        if row.strip():
            block.append(row)
        elif block:
            yield number - len(block), block
            block = []
