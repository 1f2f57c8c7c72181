"""Where an experiment's text comes from: an artificial family or real corpora, behind one face.

Both kinds answer the same questions (training text, parallel text of a pair, labelled pairs,
treebanks, dictionaries, which languages), so that a notebook cannot tell which of the two it was given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xsim_lib.text import artificial, corpora
from xsim_lib.text.romanisation import romanise
from xsim_lib.text.types import (
    BilingualDictionary,
    Classification,
    Corpus,
    ParallelCorpus,
    Treebank,
    TreebankSentence,
)
from xsim_lib.text.word_links import AlignedSentence

__all__ = ["Artificial", "Real", "Source", "split_pair"]

Split = Literal["train", "test"]


def split_pair(pair: str) -> tuple[str, str]:
    """Split ``"en-fr"`` into its two languages, or say what is wrong with it."""
    parts = pair.split("-")
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
        raise ValueError(f"pairs: expected two languages like 'en-fr', got {pair!r}")
    return parts[0], parts[1]


def _base(language: str) -> str:
    return language.removesuffix("'")


class _Source(BaseModel):
    """What both kinds have.

    Attributes
    ----------
    languages : those of the training text; labelled and parallel text may be of others.
    romanised : languages that are written in Latin letters everywhere, whatever their script.

    Notes
    -----
    ``en'`` is another name of the language ``en``: it has the same training text, so that a model may
    treat one language as two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...]
    romanised: tuple[str, ...] = ()

    def check_languages(self, *wanted: str) -> None:
        for language in wanted:
            if _base(language) not in self.known:
                raise ValueError(
                    f"language: this profile has {', '.join(self.known)}; got {language!r}"
                )


@cache
def _family(preset: str, seed: int, options: str) -> artificial.Family:
    return getattr(artificial.presets, preset)(seed, **json.loads(options))


def _rewritten(bank: Treebank, rewrite: Callable[[str], str]) -> Treebank:
    """The same trees over words that are written in another way."""
    return replace(
        bank,
        sentences=tuple(
            TreebankSentence(s.sent_id, tuple(replace(t, form=rewrite(t.form)) for t in s.tokens))
            for s in bank.sentences
        ),
    )


def _part(dictionary: BilingualDictionary, split: Split | None) -> BilingualDictionary:
    """Two thirds ("train") or one third ("test") of a dictionary, in its order.

    Words that are linked by translations, through synonyms and ambiguous words, stay together.
    """
    if split is None:
        return dictionary
    if split not in get_args(Split):
        raise ValueError(f"split: expected 'train', 'test' or None, got {split!r}")
    import networkx

    groups = networkx.Graph(((0, a), (1, b)) for a, b in dictionary.pairs)
    test = {
        word
        for number, group in enumerate(networkx.connected_components(groups))
        if number % 3 == 2
        for side, word in group
        if side == 0
    }
    chosen = tuple(p for p in dictionary.pairs if (p[0] in test) == (split == "test"))
    return replace(dictionary, pairs=chosen)


class Artificial(_Source):
    """A family of artificial languages (`xsim_lib.text.artificial`).

    Attributes
    ----------
    preset : name of a preset family; `options` override its settings.
    sentences : training sentences per language.
    family_seed : the family is the same for every training seed, as real languages are.
    domains : languages whose training text has another domain than "news".
    """

    kind: Literal["artificial"] = "artificial"
    preset: str = "european4"
    family_seed: int = 0
    sentences: int = Field(gt=0)
    options: dict[str, Any] = Field(default_factory=dict)
    domains: dict[str, Literal["news", "tales"]] = Field(default_factory=dict)

    @property
    def family(self) -> artificial.Family:
        return _family(self.preset, self.family_seed, json.dumps(self.options, sort_keys=True))

    @property
    def known(self) -> tuple[str, ...]:
        """Every language of the family, those without training text included."""
        return self.family.languages

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in artificial.presets.__all__:
            raise ValueError(f"expected one of {', '.join(artificial.presets.__all__)}")
        return value

    def training(self) -> Corpus:
        parts = {
            x: self.family.text(
                self.sentences, languages=[_base(x)], domain=self.domains.get(x, "news"), seed=0
            )
            for x in self.languages
        }
        first = parts[self.languages[0]]
        lines = {x: corpus[_base(x)] for x, corpus in parts.items()}
        return replace(first, sentences=self._written(lines))

    def parallel(self, pair: str, n: int) -> ParallelCorpus:
        """Sentences with the same meanings; of ``en-en'`` the second one is a paraphrase."""
        one, two = split_pair(pair)
        self.check_languages(one, two)
        if _base(one) == _base(two):
            corpus = self.family.paraphrases(one, n)
        else:
            corpus = self.family.parallel(n, languages=[one, two], seed=1)
        return replace(corpus, sentences=self._written(corpus.sentences))

    def classification(self, language: str, n: int, split: str) -> Classification:
        self.check_languages(language)
        return self.family.nli(language, n, seed={"train": 2, "test": 3}[split])

    def treebank(self, language: str, n: int, split: str, task: str = "parsing") -> Treebank:
        """Tags, trees and entities; sentence k of "test" has the same meaning in every language."""
        bank = self.family.treebank(language, n, seed={"train": 3, "test": 5}[split])
        if language not in self.romanised:
            return bank
        return _rewritten(bank, partial(self.family.romanise, language))

    def annotated(self, task: str, split: str) -> tuple[str, ...]:
        """Languages with a treebank for a task: all of them, for every task."""
        return self.known

    def dictionary(
        self, source: str, target: str, split: Split | None = None
    ) -> BilingualDictionary:
        """Translations of nouns, verbs, adjectives and adverbs in their citation forms.

        "train" and "test" have no word in common, of either language; two thirds are for training.
        """
        self.check_languages(source, target)
        found = _part(self.family.dictionary(source, target), split)
        words, translations = zip(*found.pairs, strict=True)
        written = self._written({source: words, target: translations})
        return replace(found, pairs=tuple(zip(written[source], written[target], strict=True)))

    def aligned(self, pair: str, n: int) -> list[AlignedSentence]:
        """Sentences of which it is known which words correspond (`Family.aligned`)."""
        languages = split_pair(pair)
        self.check_languages(*languages)
        rows = self.family.aligned(*languages, n)
        sides = {x: [" ".join(row[k]) for row in rows] for k, x in enumerate(languages)}
        written = self._written(sides)
        return [
            AlignedSentence(*(tuple(written[x][number].split(" ")) for x in languages), row.links)
            for number, row in enumerate(rows)
        ]

    def _written(self, sentences: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        return {
            language: tuple(self.family.romanise(_base(language), line) for line in lines)
            if _base(language) in self.romanised
            else tuple(lines)
            for language, lines in sentences.items()
        }


class Real(_Source):
    """Real text of the mirror or the public originals (`xsim_lib.text.corpora`).

    Attributes
    ----------
    words : training words per language; a mapping where languages have different numbers.
    domains : which files of each language, in order of preference; None takes all. A mapping where
        languages differ; a language it does not name takes all.
    parallel_corpora : for every pair, the corpus its aligned sentences come from.
    treebanks : for every language, the treebank of its "train" and "test" sentences.
    entities : the same for the task "ner", which has corpora of its own.
    halved : languages whose treebank has test sentences only: half of them are to train on.
    text_of_treebanks : languages of which there is no other raw text than the words of the treebank's
        training sentences.
    """

    kind: Literal["real"] = "real"
    words: Annotated[int, Field(gt=0)] | dict[str, Annotated[int, Field(gt=0)]]
    domains: tuple[str, ...] | dict[str, tuple[str, ...]] | None = None
    parallel_corpora: dict[str, str] = Field(default_factory=dict)
    treebanks: dict[str, dict[Literal["train", "test"], str]] = Field(default_factory=dict)
    entities: dict[str, dict[Literal["train", "test"], str]] = Field(default_factory=dict)
    halved: tuple[str, ...] = ()
    text_of_treebanks: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """Languages with training text, then those with a treebank only."""
        return tuple(dict.fromkeys((*self.languages, *self.treebanks)))

    @model_validator(mode="after")
    def _known(self) -> Real:
        if isinstance(self.words, dict):
            for language in self.languages:
                if _base(language) not in (*self.words, *self.text_of_treebanks):
                    raise ValueError(f"words: expected a number for {language}, got none")
        for pair, corpus in self.parallel_corpora.items():
            self.check_languages(*split_pair(pair))
            if corpus not in corpora.PARALLEL:
                known = ", ".join(sorted(corpora.PARALLEL))
                raise ValueError(
                    f"parallel_corpora: {pair}: expected one of {known}; got {corpus!r}"
                )
        return self

    def training(self) -> Corpus:
        return Corpus(
            "text", {language: self._text(_base(language)) for language in self.languages}
        )

    def _text(self, language: str) -> Sequence[str]:
        if language in self.text_of_treebanks:
            bank = self._treebank(self.treebanks, language, "train")
            lines = [" ".join(token.form for token in s.tokens) for s in bank.sentences]
        else:
            n_words = self.words[language] if isinstance(self.words, dict) else self.words
            domains = self.domains.get(language) if isinstance(self.domains, dict) else self.domains
            lines = corpora.monolingual_text([language], domains=domains, n_words=n_words)[language]
        return [self._written(language)(line) for line in lines]

    def _written(self, language: str) -> Callable[[str], str]:
        if language in self.romanised:
            return partial(romanise, language=language)
        return str

    def treebank(self, language: str, n: int, split: str, task: str = "parsing") -> Treebank:
        """The first `n` sentences of the language's treebank for that split (fewer where it is small)."""
        known = self.annotated(task, split)
        if language not in known:
            raise ValueError(
                f"language: treebanks for {split} are of {', '.join(known)}; got {language!r}"
            )
        bank = self._treebank(self.entities if task == "ner" else self.treebanks, language, split)
        bank = bank.head(n)
        return _rewritten(bank, self._written(language)) if language in self.romanised else bank

    def _treebank(self, banks: Mapping, language: str, split: str) -> Treebank:
        name = banks[language][split]
        if banks is self.entities:
            return corpora.entities(name, split)
        if language not in self.halved:
            return corpora.treebank(name, split)
        bank = corpora.treebank(name, "test")
        half = len(bank) // 2
        chosen = slice(half) if split == "train" else slice(half, None)
        return replace(bank, sentences=bank.sentences[chosen])

    def annotated(self, task: str, split: str) -> tuple[str, ...]:
        """Languages with a treebank for a task and split."""
        banks = self.entities if task == "ner" else self.treebanks
        return tuple(language for language, names in banks.items() if split in names)

    def dictionary(
        self, source: str, target: str, split: Split | None = None
    ) -> BilingualDictionary:
        """MUSE's translations: "train" has the 5000 most frequent words, "test" the next 1500."""
        self.check_languages(source, target)
        found = corpora.dictionary(source, target, split)
        one, two = self._written(source), self._written(target)
        return replace(found, pairs=tuple((one(a), two(b)) for a, b in found.pairs))

    def parallel(self, pair: str, n: int) -> ParallelCorpus:
        if pair not in self.parallel_corpora:
            known = ", ".join(self.parallel_corpora)
            raise ValueError(f"pairs: this profile has parallel text for {known}; got {pair!r}")
        corpus = corpora.load_pair(self.parallel_corpora[pair], pair, n)
        written = {k: [self._written(k)(line) for line in v] for k, v in corpus.sentences.items()}
        return replace(corpus, sentences=written)

    def classification(self, language: str, n: int, split: str) -> Classification:
        data = corpora.xnli_extension_nli(language)
        # One file per language upstream: training takes its beginning, testing its end.
        if n > len(data) // 2:
            raise ValueError(f"n: expected at most {len(data) // 2} items of each split, got {n}")
        rows = slice(0, n) if split == "train" else slice(len(data) - n, len(data))
        return replace(
            data,
            premises=data.premises[rows],
            hypotheses=data.hypotheses[rows],
            labels=data.labels[rows],
        )


Source = Annotated[Artificial | Real, Field(discriminator="kind")]
