"""The types of text that both the artificial languages and the real corpora yield.

An experiment takes these and cannot tell which of the two it got. Everything is frozen and checked when it is
made, so a misaligned or half-read corpus never reaches a model. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np

from xsim_lib.text.dependencies import fault

__all__ = [
    "TASKS",
    "UPOS",
    "BilingualDictionary",
    "Classification",
    "Corpus",
    "ParallelCorpus",
    "Token",
    "Treebank",
    "TreebankSentence",
    "count_words",
    "covariates",
]

#: The 17 universal part-of-speech tags of Universal Dependencies version 2.
UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)

#: What the words of a treebank can be annotated for.
TASKS = ("pos", "parsing", "ner")

_ENTITY = re.compile(r"O|[BI]-\S+")
# Scripts written without spaces: there one character, not one run of characters, counts as a word.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")


@dataclass(frozen=True)
class Corpus:
    """Text per language, one sentence per item; line k of two languages need not be the same sentence.

    Parameters
    ----------
    name : str
        Where the text comes from, such as ``"xnli_extension"``.
    sentences : mapping of language code to sequence of str
        Stored as a dict of tuples, in the order given.

    Raises
    ------
    ValueError : no language, a language without sentences, a sentence that is empty or not a string.
    """

    name: str
    sentences: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        if not isinstance(self.sentences, Mapping) or not self.sentences:
            raise ValueError(
                f"sentences: expected a non-empty mapping of language to sentences, got {self.sentences!r}"
            )
        frozen = {}
        for language, lines in self.sentences.items():
            _check_text("language", language)
            frozen[language] = _lines(language, lines)
        object.__setattr__(self, "sentences", frozen)

    @property
    def languages(self) -> tuple[str, ...]:
        """The language codes, in the order they were given."""
        return tuple(self.sentences)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 (hex) over the name, the language codes and every sentence; the order of languages is no part."""
        parts = [type(self).__name__, self.name]
        for language in sorted(self.sentences):
            parts += [language, str(len(self.sentences[language])), *self.sentences[language]]
        return _digest(parts)

    def __getitem__(self, language: str) -> tuple[str, ...]:
        if language not in self.sentences:
            raise ValueError(
                f"language: {self.name} has {', '.join(self.languages)}; got {language!r}"
            )
        return self.sentences[language]

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def head(self, n: int) -> Self:
        """Return the first `n` sentences of every language (all of them where there are fewer)."""
        _check_count("n", n)
        return replace(self, sentences={k: v[:n] for k, v in self.sentences.items()})


@dataclass(frozen=True)
class ParallelCorpus(Corpus):
    """Aligned text: sentence k of every language says the same thing.

    Raises
    ------
    ValueError : as `Corpus`, or languages differ in their number of sentences.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        first = self.languages[0]
        expected = len(self.sentences[first])
        for language, lines in self.sentences.items():
            if len(lines) != expected:
                raise ValueError(
                    f"{language}: expected {expected} sentences like {first}, got {len(lines)}"
                )

    def __len__(self) -> int:
        return len(self.sentences[self.languages[0]])

    __hash__ = Corpus.__hash__

    def head(self, n: int) -> Self:
        """Return the first `n` aligned sentences; asking for more than there are is an error."""
        if n > len(self):
            raise ValueError(f"n: {self.name} has {len(self)} aligned sentences, got {n}")
        return super().head(n)

    def pair(self, x: str, y: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the sentences of two languages; row k of both is the same sentence."""
        return self[x], self[y]


@dataclass(frozen=True)
class Classification:
    """Labelled sentences, or pairs of sentences, of one language.

    Parameters
    ----------
    premises : (n_items,) str
        The sentences to classify, or the first sentence of every pair.
    hypotheses : (n_items,) str or None
        The second sentence of every pair; None for single sentences.
    labels : (n_items,) int
        Indices into `label_names`.
    """

    name: str
    language: str
    premises: tuple[str, ...]
    hypotheses: tuple[str, ...] | None
    labels: tuple[int, ...]
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        _check_text("language", self.language)
        names = tuple(self.label_names)
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"label_names: expected at least two different names, got {names}")
        premises = _lines("premises", self.premises)
        hypotheses = None if self.hypotheses is None else _lines("hypotheses", self.hypotheses)
        labels = tuple(self.labels)
        for field_name, values in (("hypotheses", hypotheses), ("labels", labels)):
            if values is not None and len(values) != len(premises):
                raise ValueError(
                    f"{field_name}: expected {len(premises)} like premises, got {len(values)}"
                )
        for row, label in enumerate(labels):
            if not _is_count(label) or label >= len(names):
                raise ValueError(
                    f"labels: row {row}: expected an integer in 0..{len(names) - 1}, got {label!r}"
                )
        object.__setattr__(self, "premises", premises)
        object.__setattr__(self, "hypotheses", hypotheses)
        object.__setattr__(self, "labels", tuple(int(label) for label in labels))
        object.__setattr__(self, "label_names", names)

    def __len__(self) -> int:
        return len(self.premises)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 (hex) over every field."""
        pairs = self.hypotheses or ()
        counts = f"{len(self.premises)} {len(pairs)} {len(self.label_names)}"
        parts = ["Classification", self.name, self.language, counts, *self.label_names]
        return _digest([*parts, *map(str, self.labels), *self.premises, *pairs])

    def head(self, n: int) -> Self:
        """Return the first `n` items; asking for more than there are is an error."""
        _check_count("n", n)
        if n > len(self):
            raise ValueError(f"n: {self.name} has {len(self)} items in {self.language}, got {n}")
        hypotheses = None if self.hypotheses is None else self.hypotheses[:n]
        return replace(
            self, premises=self.premises[:n], hypotheses=hypotheses, labels=self.labels[:n]
        )


@dataclass(frozen=True)
class Token:
    """One syntactic word: form, lemma, universal tag, features, head (1-based, 0 = root), relation, entity tag (BIO)."""

    form: str
    lemma: str
    upos: str
    feats: dict[str, str]
    head: int
    deprel: str
    entity: str = "O"

    def __post_init__(self) -> None:
        _check_text("form", self.form)
        if self.upos not in UPOS:
            raise ValueError(
                f"upos: expected one of {' '.join(UPOS)}; got {self.upos!r} for {self.form!r}"
            )
        if not isinstance(self.feats, Mapping):
            raise ValueError(f"feats: expected a mapping, got {self.feats!r} for {self.form!r}")
        if not _is_count(self.head):
            raise ValueError(f"head: expected an integer >= 0, got {self.head!r} for {self.form!r}")
        if not _ENTITY.fullmatch(self.entity):
            raise ValueError(
                f"entity: expected O, B-TYPE or I-TYPE, got {self.entity!r} for {self.form!r}"
            )
        _check_text("deprel", self.deprel)
        object.__setattr__(self, "feats", dict(self.feats))

    def __hash__(self) -> int:
        return hash((self.form, self.lemma, self.upos, self.head, self.deprel))


@dataclass(frozen=True)
class TreebankSentence:
    """A sentence with its dependency tree; `text` is the forms joined by spaces unless it is given.

    Raises
    ------
    ValueError : no token, a head outside the sentence, not exactly one root, or a cycle.
    """

    sent_id: str
    tokens: tuple[Token, ...]
    text: str = field(default="")

    def __post_init__(self) -> None:
        tokens = tuple(self.tokens)
        if not tokens:
            raise ValueError(f"tokens: sentence {self.sent_id!r} has none")
        if wrong := fault([token.head for token in tokens]):
            raise ValueError(f"head: sentence {self.sent_id!r}: {wrong[1]}")
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "text", self.text or " ".join(token.form for token in tokens))

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Treebank:
    """Annotated sentences of one language.

    `tasks` says what the annotation is good for. Corpora that have only tags of entities carry placeholders
    instead of parts of speech and trees; treebanks of Universal Dependencies have no entities, only O.
    """

    name: str
    language: str
    sentences: tuple[TreebankSentence, ...]
    tasks: tuple[str, ...] = TASKS

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        _check_text("language", self.language)
        object.__setattr__(self, "sentences", tuple(self.sentences))
        if not self.sentences:
            raise ValueError(f"sentences: treebank {self.name} has none")
        object.__setattr__(self, "tasks", tuple(task for task in TASKS if task in self.tasks))

    def require(self, task: str) -> None:
        """Raise ValueError if the treebank is not annotated for "pos", "parsing" or "ner"."""
        if task not in self.tasks:
            raise ValueError(
                f"treebank: {self.name} is annotated for {', '.join(self.tasks)}; got task {task!r}"
            )

    def __len__(self) -> int:
        return len(self.sentences)

    def head(self, n: int) -> Self:
        """Return the first `n` sentences (all of them where there are fewer)."""
        _check_count("n", n)
        return replace(self, sentences=self.sentences[:n])


@dataclass(frozen=True)
class BilingualDictionary:
    """Word translations; a source word may occur in several pairs."""

    source: str
    target: str
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        _check_text("source", self.source)
        _check_text("target", self.target)
        pairs = tuple(tuple(pair) for pair in self.pairs)
        if not pairs:
            raise ValueError(f"pairs: the {self.source}-{self.target} dictionary is empty")
        for row, pair in enumerate(pairs):
            if len(pair) != 2 or not all(isinstance(word, str) and word.strip() for word in pair):
                raise ValueError(f"pairs: row {row}: expected two non-empty words, got {pair!r}")
        object.__setattr__(self, "pairs", pairs)

    def __len__(self) -> int:
        return len(self.pairs)


def count_words(sentence: str) -> int:
    """Count the runs of characters between white space.

    Han, kana, Thai, Lao, Khmer and Burmese are written without spaces: there every character counts as one word, so
    that length varies with the sentence at all.
    """
    return len(_WORD.findall(sentence))


def covariates(sentences: Sequence[str]) -> np.ndarray:
    """Count what any encoder sees without understanding: length, punctuation, digits.

    Parameters
    ----------
    sentences : (n_samples,) str

    Returns
    -------
    float64 (n_samples, 3): words (`count_words`), punctuation characters (Unicode category P), digits (category Nd).
    """
    lines = _lines("sentences", sentences)
    counts = np.empty((len(lines), 3), dtype=np.float64)
    for row, line in enumerate(lines):
        categories = [unicodedata.category(character) for character in line]
        marks = sum(category[0] == "P" for category in categories)
        counts[row] = count_words(line), marks, categories.count("Nd")
    return counts


def _lines(name: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ValueError(
            f"{name}: expected a sequence of sentences, got one string {values[:40]!r}"
        )
    lines = tuple(values)
    if not lines:
        raise ValueError(f"{name}: no sentences")
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise ValueError(f"{name}: line {number}: expected a string, got {line!r}")
        if not line.strip():
            raise ValueError(f"{name}: line {number} is empty")
    return lines


def _check_text(name: str, value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: expected a non-empty string, got {value!r}")


def _check_count(name: str, value: int) -> None:
    if not _is_count(value) or value < 1:
        raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0


def _digest(parts: Iterable[str]) -> str:
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        # Length first: ("ab", "c") must differ from ("a", "bc").
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()
