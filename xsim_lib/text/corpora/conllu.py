"""CoNLL-U, read strictly and written so that it reads back the same.

Read by hand: the package conllu also splits at double spaces, which occur inside Lithuanian lemmas.
"""

from __future__ import annotations

import os
import re

from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.text.corpora.errors import CorruptFileError
from xsim_lib.text.corpora.fetch import blocks, lines
from xsim_lib.text.dependencies import fault
from xsim_lib.text.types import Token, Treebank, TreebankSentence

__all__ = ["conllu_text", "parse_conllu", "write_conllu"]

#: Relations of version 1 that version 2 only renamed; it also split nmod, which no table can undo.
RENAMED = {
    "dobj": "obj",
    "nsubjpass": "nsubj:pass",
    "csubjpass": "csubj:pass",
    "auxpass": "aux:pass",
    "mwe": "fixed",
    "name": "flat:name",
    "foreign": "flat:foreign",
    "neg": "advmod",
    "remnant": "orphan",
}
_RANGE = re.compile(r"([1-9]\d*)-([1-9]\d*)")
_EMPTY = re.compile(r"(\d+)\.([1-9]\d*)")


def parse_conllu(
    content: bytes,
    where: str,
    name: str,
    language: str,
    *,
    version: int = 2,
    entities: bool = False,
) -> Treebank:
    """Parse a CoNLL-U file.

    Parameters
    ----------
    content, where : what the file holds, and what errors call it.
    name, language : of the treebank.
    version : {1, 2}
        Labels of version 1 (tag CONJ, relations such as dobj) are errors in version 2; in version 1 they
        get their new names.
    entities : bool
        Read the tags that `conllu_text` writes (``NER=B-PER`` in MISC).

    Returns
    -------
    Treebank : syntactic words only. Lines of multiword tokens and empty nodes are checked and dropped.

    Raises
    ------
    CorruptFileError : names file and line.
    """
    sentences = []
    tagged = False
    for start, block in blocks(lines(content, where)):
        try:
            sentence, has_entities = _sentence(block, start, len(sentences) + 1, version, entities)
        except _LineError as error:
            raise CorruptFileError(f"{where}: line {error.line}: {error}") from error
        sentences.append(sentence)
        tagged = tagged or has_entities
    if not sentences:
        raise CorruptFileError(f"{where}: line 1: no sentence, only empty lines")
    tasks = ("pos", "parsing", "ner") if tagged else ("pos", "parsing")
    return Treebank(name, language, tuple(sentences), tasks)


def conllu_text(treebank: Treebank) -> str:
    """Write a treebank as CoNLL-U text; `parse_conllu` gives the same treebank back.

    Entities, for which CoNLL-U has no column, are written as ``NER=B-PER`` in MISC.

    Raises
    ------
    ValueError : a treebank without trees, or a tab or line break where the format has no place for one.
    """
    treebank.require("parsing")
    tagged = "ner" in treebank.tasks
    texts = []
    for number, sentence in enumerate(treebank.sentences, start=1):
        rows = [f"# sent_id = {sentence.sent_id}", f"# text = {sentence.text}"]
        for position, token in enumerate(sentence.tokens, start=1):
            feats = sorted(token.feats.items(), key=lambda item: item[0].lower())
            cells = [
                *(str(position), token.form, token.lemma or "_", token.upos, "_"),
                "|".join(f"{key}={value}" for key, value in feats) or "_",
                *(str(token.head), token.deprel, "_", f"NER={token.entity}" if tagged else "_"),
            ]
            rows.append("\t".join(cells))
            if rows[-1].count("\t") != 9:
                raise ValueError(f"treebank: sentence {number}: tab inside {token!r}")
        if any("\n" in row or "\r" in row for row in rows):
            raise ValueError(f"treebank: sentence {number}: line break inside it")
        texts.append("\n".join(rows) + "\n\n")
    return "".join(texts)


def write_conllu(treebank: Treebank, path: str | os.PathLike) -> None:
    """Write a treebank to a ``.conllu`` file, whole or not at all; see `conllu_text`."""
    text = conllu_text(treebank)
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


class _LineError(ValueError):
    """What is wrong on one line."""

    def __init__(self, line: int, message: object) -> None:
        super().__init__(str(message))
        self.line = line


def _sentence(
    block: list[str], start: int, number: int, version: int, entities: bool
) -> tuple[TreebankSentence, bool]:
    tokens: list[Token] = []
    at: list[int] = []  # line of each word
    metadata: dict[str, str] = {}
    end, end_line, tagged = 0, start, False  # last word of the multiword token we are in
    for line, row in enumerate(block, start=start):
        if row.startswith("#"):
            key, _, value = row[1:].partition("=")
            metadata[key.strip()] = value.strip()
            continue
        cells = row.split("\t")
        if len(cells) != 10:
            raise _LineError(line, f"expected 10 columns, got {len(cells)}")
        if match := _RANGE.fullmatch(cells[0]):
            first, last = map(int, match.groups())
            if first != len(tokens) + 1 or last < first or first <= end:
                raise _LineError(
                    line, f"multiword token: expected to begin at {len(tokens) + 1}, got {cells[0]}"
                )
            end, end_line = last, line
        elif match := _EMPTY.fullmatch(cells[0]):
            if int(match[1]) != len(tokens):
                raise _LineError(
                    line, f"empty node: expected {len(tokens)}.1 or later, got {cells[0]}"
                )
        else:
            tokens.append(_token(cells, line, len(tokens) + 1, version, entities))
            at.append(line)
            tagged = tagged or (entities and "NER=" in cells[9])
    if not tokens:
        raise _LineError(start, "a sentence without words")
    if end > len(tokens):
        raise _LineError(end_line, f"multiword token: ends at {end} of {len(tokens)} words")
    if wrong := fault([token.head for token in tokens]):
        raise _LineError(at[wrong[0] - 1], f"head: {wrong[1]}")
    sent_id = metadata.get("sent_id") or str(number)
    return TreebankSentence(sent_id, tuple(tokens), metadata.get("text", "")), tagged


def _token(cells: list[str], line: int, expected: int, version: int, entities: bool) -> Token:
    _, form, lemma, upos, _, feats, head, deprel, _, misc = cells
    if cells[0] != str(expected):
        raise _LineError(line, f"expected word {expected}, got {cells[0]!r}")
    if not re.fullmatch(r"[0-9]+", head):
        raise _LineError(line, f"head: expected a number, got {head!r}")
    relation, colon, subtype = deprel.partition(":")
    if upos == "CONJ" or relation in RENAMED:
        column, label, now = (
            ("upos", "CONJ", "CCONJ")
            if upos == "CONJ"
            else (
                *("deprel", relation),
                RENAMED[relation],
            )
        )
        if version == 2:
            raise _LineError(
                line,
                f"{column}: {label!r} is a label of Universal Dependencies version 1 (now {now}); "
                "read the treebank with version=1",
            )
        upos = "CCONJ" if upos == "CONJ" else upos
        renamed = RENAMED.get(relation, relation)
        deprel = renamed + (colon + subtype if ":" not in renamed else "")
    entity = re.search(r"(?:^|\|)NER=([^|]*)", misc) if entities else None
    try:
        return Token(
            *(form, lemma, upos, _feats(feats), int(head), deprel), entity[1] if entity else "O"
        )
    except ValueError as error:
        raise _LineError(line, error) from None


def _feats(cell: str) -> dict[str, str]:
    if cell == "_":
        return {}
    pairs = [pair.partition("=") for pair in cell.split("|")]
    if not all(name and value for name, _, value in pairs):
        raise ValueError(f"feats: expected Name=Value|..., got {cell!r}")
    return {name: value for name, _, value in pairs}
