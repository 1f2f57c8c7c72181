"""The family: every kind of text an experiment takes, from one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from zlib import crc32

import numpy as np

from ..texts import BilingualDictionary, Corpus, ParallelCorpus
from .grammar import Language
from .lexicon import build_lexicons
from .meaning import DOMAINS, Meanings, World, stream
from .spec import FamilySpec
from .tree import Node, nested, newick, parse_newick

BLOCK = (
    2048  # sentences are drawn in blocks with a stream each, so text(n) is a prefix of text(m > n)
)
SIDES = 4  # a sentence whose checksum is 0 modulo this may only be parallel, the others only text
TRIES = 60


class Family:
    """Artificial languages with a known history that talk about one world.

    Parameters
    ----------
    spec : FamilySpec

    Notes
    -----
    Sentences are tokens separated by single spaces (punctuation too). Everything is a function of the spec
    and the arguments: the same in every process, and independent of which other languages are asked for.
    No sentence of `text` can occur in `parallel`, whatever their sizes and seeds: a checksum of
    the sentence decides which of the two it may appear in.
    """

    def __init__(self, spec: FamilySpec):
        self.spec = spec
        self.world = World(spec)
        self.lexicons, self._anchors = build_lexicons(self.world)
        self._languages = {
            name: Language(lexicon, self.world) for name, lexicon in self.lexicons.items()
        }

    # ---- what it is --------------------------------------------------------------------------------

    @property
    def languages(self) -> tuple[str, ...]:
        """Names of the languages, in the order of the spec."""
        return tuple(self.spec.languages)

    @cached_property
    def root(self) -> Node:
        """The true tree; proto-languages that are not related hang from a common, nameless root."""
        trees = [parse_newick(tree) for tree in self.spec.trees]
        return trees[0] if len(trees) == 1 else Node("", 0.0, tuple(trees))

    @property
    def tree(self):
        """The true tree as nested tuples of names."""
        return nested(self.root)

    @property
    def newick(self) -> str:
        """The true tree with branch lengths."""
        return newick(self.root)

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of the spec."""
        return hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()

    @property
    def anchors(self) -> tuple[str, ...]:
        """The words that are the same in every language (numerals and punctuation apart)."""
        lexicon = self.lexicons[self.languages[0]]
        return tuple(w.written for words in lexicon.words.values() for w in words if w.anchor)

    def __repr__(self) -> str:
        return f"Family({', '.join(self.languages)}; seed {self.spec.seed}; {self.newick})"

    # ---- text --------------------------------------------------------------------------------------

    def text(
        self,
        n_sentences: int,
        *,
        languages: Sequence[str] | None = None,
        domain: str = "news",
        seed: int = 0,
    ) -> Corpus:
        """Monolingual text: every language says its own meanings.

        Parameters
        ----------
        n_sentences : at least 1, per language; a smaller text is a prefix of a larger one
        languages : names; None for all
        domain : "news" or "tales"
        seed : which text of this family

        Raises
        ------
        ValueError : unknown language or domain, n_sentences < 1.
        """
        chosen = self._check(n_sentences, languages, domain, seed)
        sentences = {}
        for name in chosen:
            language, kept, block = self._languages[name], [], 0
            while len(kept) < n_sentences:
                rng = stream(self.spec.seed, "text", name, domain, seed, block)
                lines = language.sentences(
                    language.realise(self.world.sample(BLOCK, domain, rng), rng)
                )
                kept += [line for line in lines if _side(line) != 0]
                block += 1
            sentences[name] = tuple(kept[:n_sentences])
        return Corpus(f"artificial-text-{domain}-{seed}", sentences)

    def parallel(
        self,
        n_sentences: int,
        *,
        languages: Sequence[str] | None = None,
        domain: str = "news",
        seed: int = 1,
    ) -> ParallelCorpus:
        """Aligned sentences: line k of every language says meaning k, each in its own way.

        Parameters and errors as in `text`; no sentence occurs in `text` of the same language.
        """
        chosen = self._check(n_sentences, languages, domain, seed)
        sentences: dict[str, list[str]] = {name: [] for name in chosen}
        block = 0
        while len(sentences[chosen[0]]) < n_sentences:
            meanings = self.world.sample(
                BLOCK, domain, stream(self.spec.seed, "parallel", domain, seed, block)
            )
            said = {
                name: self._on_side(
                    name, meanings, stream(self.spec.seed, "parallel", name, domain, seed, block)
                )
                for name in chosen
            }
            complete = [k for k in range(BLOCK) if all(said[name][k] for name in chosen)]
            for name in chosen:
                sentences[name] += [said[name][k] for k in complete]
            block += 1
            if block >= 20 and len(sentences[chosen[0]]) < block:
                raise ValueError(
                    "languages: too little free variation to keep parallel sentences out of text(); "
                    "raise particle_rate, order_noise, drop or synonyms"
                )
        return ParallelCorpus(
            f"artificial-parallel-{domain}-{seed}",
            {name: tuple(lines[:n_sentences]) for name, lines in sentences.items()},
        )

    def _on_side(self, name: str, meanings: Meanings, rng: np.random.Generator) -> list[str]:
        """Say every meaning so that it cannot be in `text`; "" where that needs too many tries."""
        language, said = self._languages[name], [""] * len(meanings)
        missing = np.arange(len(meanings))
        for _ in range(TRIES):
            lines = language.sentences(language.realise(meanings.take(missing), rng))
            fits = np.array([_side(line) == 0 for line in lines])
            for k in np.flatnonzero(fits):
                said[missing[k]] = lines[k]
            missing = missing[~fits]
            if not len(missing):
                break
        return said

    # ---- words -------------------------------------------------------------------------------------

    def dictionary(self, source: str, target: str) -> BilingualDictionary:
        """Word pairs that share a concept: citation forms of nouns, verbs, adjectives and adverbs.

        Synonyms give several pairs; names and other anchors are left out, as they need no dictionary.
        """
        self._known(source), self._known(target)
        a, b = self.lexicons[source].words, self.lexicons[target].words
        pairs = {}
        for key in a:
            if key.split(":")[0] in ("noun", "verb", "adjective", "adverb"):
                pairs |= {
                    (s.written, t.written): None for s in a[key] for t in b[key] if not s.anchor
                }
        return BilingualDictionary(source, target, tuple(pairs))

    def romanise(self, language: str, text: str) -> str:
        """Latin letters for a text of a language, word by word; unknown words stay."""
        self._known(language)
        grammar = self._languages[language]
        reading = dict(zip(grammar.written, grammar.roman, strict=True))
        return " ".join(reading.get(word, word) for word in text.split(" "))

    # ---- checks ------------------------------------------------------------------------------------

    def _known(self, language: str) -> str:
        if language not in self._languages:
            raise ValueError(
                f"language: expected one of {', '.join(self.languages)}; got {language!r}"
            )
        return language

    def _check(self, n, languages, domain, seed, what: str = "n_sentences") -> tuple[str, ...]:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(f"{what}: expected an integer >= 1, got {n!r}")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"seed: expected an integer >= 0, got {seed!r}")
        if domain not in DOMAINS:
            raise ValueError(f"domain: expected one of {', '.join(DOMAINS)}; got {domain!r}")
        if isinstance(languages, str):
            raise ValueError(
                f"languages: expected a sequence of names, got the string {languages!r}"
            )
        chosen = self.languages if languages is None else tuple(languages)
        if not chosen:
            raise ValueError("languages: expected at least one, got none")
        return tuple(self._known(name) for name in dict.fromkeys(chosen))


def _side(sentence: str) -> int:
    return crc32(sentence.encode()) % SIDES
