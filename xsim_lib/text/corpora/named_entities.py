"""Named entities: words with IOB2 tags."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from xsim_lib.text.corpora.errors import CorpusError, CorruptFileError, MissingLanguageError
from xsim_lib.text.corpora.fetch import blocks, lines, opened
from xsim_lib.text.corpora.registry import Original, find, originals
from xsim_lib.text.types import Token, Treebank, TreebankSentence

__all__ = ["ENTITY_CORPORA", "entities"]

#: Prefix of a name -> corpus of the registry.
ENTITY_CORPORA = {"UNER": "uner", "WikiANN": "wikiann", "MasakhaNER": "masakhaner"}
# The mirror has no more, and with and without it a corpus is to be the same.
_CUT = {("uner", "train"): 4000, ("wikiann", "train"): 6000, ("wikiann", "test"): 3000}
_WHOLE = ("English-EWT",)


def entities(
    name: str, split: str = "test", *, types: Sequence[str] = ("PER", "LOC", "ORG")
) -> Treebank:
    """Read sentences whose words are tagged as parts of names.

    Parameters
    ----------
    name : str
        ``"UNER-English-EWT"`` or ``"UNER-English-PUD"`` (Universal NER, by treebank), ``"WikiANN-de"``,
        ``"MasakhaNER-wo"``; a language code stands for the only UNER treebank of its language.
    split : {"train", "dev", "test"}
    types : kinds of entities to keep; words of other kinds become O. All corpora have these three.

    Returns
    -------
    Treebank annotated for the task "ner" alone: parts of speech and trees are placeholders, and asking for them is an
        error (`Treebank.require`).

    Raises
    ------
    CorruptFileError : names file and line of what is malformed.
    MissingLanguageError : no such corpus, language or split.
    """
    if isinstance(types, str) or not types:
        raise CorpusError(f"types: expected a sequence of entity types, got {types!r}")
    file = _file(name, split)
    with opened(file) as content:
        sentences = _tagged(content, file, types)
    if file.code not in _WHOLE:
        sentences = sentences[: _CUT.get((file.corpus, file.part))]
    return Treebank(name, file.language, tuple(sentences), ("ner",))


def _tagged(content: bytes, file: Original, types: Sequence[str]) -> list[TreebankSentence]:
    sentences = []
    for start, block in blocks(lines(content, file.mirror)):
        sent_id, tokens = str(len(sentences) + 1), []
        for number, row in enumerate(block, start=start):
            if comment := re.fullmatch(r"# (\S.*?) = (.*)", row):
                sent_id = comment[2].strip() if comment[1] == "sent_id" else sent_id
                continue
            try:
                word, tag = _cells(file.corpus, row)
                token = Token(word, "_", "X", {}, len(tokens), "dep", tag)
            except ValueError as error:
                raise CorruptFileError(f"{file.mirror}: line {number}: {error}") from None
            tokens.append(token if tag[2:] in types else replace(token, entity="O"))
        if not tokens:
            raise CorruptFileError(f"{file.mirror}: line {start}: a sentence without words")
        sentences.append(TreebankSentence(sent_id, tuple(tokens)))
    return sentences


def _file(name: str, split: str) -> Original:
    prefix, _, code = name.partition("-")
    if prefix not in ENTITY_CORPORA:
        raise MissingLanguageError(
            f"name: expected {', '.join(f'{known}-...' for known in ENTITY_CORPORA)}; got {name!r}"
        )
    corpus = ENTITY_CORPORA[prefix]
    found = sorted({row.code for row in originals(corpus) if code in (row.code, row.language)})
    if len(found) > 1:
        raise MissingLanguageError(
            f"name: {prefix} has several treebanks of {code!r}, expected one of {' '.join(found)}"
        )
    if not found:
        known = sorted({row.code for row in originals(corpus)})
        raise MissingLanguageError(f"name: {prefix} has {' '.join(known)}; got {code!r}")
    return find(corpus, found[0], split)


def _cells(corpus: str, row: str) -> tuple[str, str]:
    """Word and tag of a line; the public originals have columns that the mirror lacks."""
    cells = row.rsplit(" ", 1) if corpus == "masakhaner" else row.split("\t")
    if corpus == "uner":
        cells = cells[1:3]  # a number before them, the annotator after them
    if len(cells) < 2:
        raise ValueError(f"expected a word and its tag, got {row!r}")
    return cells[-2], cells[-1]
