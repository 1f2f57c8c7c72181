"""The family: every kind of text an experiment takes, from one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from zlib import crc32

import numpy as np

from xsim_lib.text.artificial import annotate
from xsim_lib.text.artificial.grammar import Language, Realised
from xsim_lib.text.artificial.inference import LABELS, sample_pairs
from xsim_lib.text.artificial.lexicon import LEXICAL, Lexicon, build_lexicons
from xsim_lib.text.artificial.meaning import DOMAINS, Meanings, World, stream
from xsim_lib.text.artificial.spec import FamilySpec
from xsim_lib.text.artificial.tree import Node, nested, newick, parse_newick
from xsim_lib.text.types import (
    BilingualDictionary,
    Classification,
    Corpus,
    ParallelCorpus,
    Treebank,
)
from xsim_lib.text.word_links import AlignedSentence

BLOCK = (
    2048  # sentences are drawn in blocks with a stream each, so text(n) is a prefix of text(m > n)
)
SIDES = 4  # a sentence whose checksum is 0 modulo this may only be parallel, the others only text
NLI_BLOCK = 1536  # a multiple of the number of labels
TRIES, REPEATS = 60, 8  # attempts to say a meaning on the other side, and when to give it up


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

    # ---- what it is --------------------------------------------------------------------------------

    @property
    def languages(self) -> tuple[str, ...]:
        """Names of the languages, in the order of the spec."""
        return tuple(self.spec.languages)

    @cached_property
    def lexicons(self) -> dict[str, Lexicon]:
        """The words of every language; made when they are first asked for."""
        return build_lexicons(self.world)

    @cached_property
    def _languages(self) -> dict[str, Language]:
        return {name: Language(lexicon, self.world) for name, lexicon in self.lexicons.items()}

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

        Parameters and errors as in `text`; no sentence occurs in `text` of the same language. Meanings
        that a language can say in one way only, on the wrong side, are left out; with the presets' free
        variation that does not happen, and the lines do not depend on which languages are asked for.
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
            if block >= 4 and len(sentences[chosen[0]]) < block:
                raise ValueError(
                    "languages: too little free variation to keep parallel sentences out of text(); "
                    "raise particle_rate, order_noise, drop or synonyms"
                )
        return ParallelCorpus(
            f"artificial-parallel-{domain}-{seed}",
            {name: tuple(lines[:n_sentences]) for name, lines in sentences.items()},
        )

    def paraphrases(
        self, language: str, n_sentences: int, *, domain: str = "news", seed: int = 7
    ) -> ParallelCorpus:
        """Sentences that one language says twice, each time in its own words: ``en`` and ``en'``.

        The second time it decides anew on synonyms, order, particles and what to leave unsaid. Errors
        as in `text`.
        """
        said = self._say(language, n_sentences, domain, seed, "paraphrases")
        grammar = self._languages[language]
        again = stream(self.spec.seed, "paraphrases again", language, domain, seed)
        lines = {
            language: grammar.sentences(said)[:n_sentences],
            f"{language}'": grammar.sentences(grammar.realise(said.meanings, again))[:n_sentences],
        }
        return ParallelCorpus(f"artificial-paraphrases-{domain}-{seed}", lines)

    def _on_side(self, name: str, meanings: Meanings, rng: np.random.Generator) -> list[str]:
        """Say every meaning so that it cannot be in `text`; "" where that needs too many tries."""
        language, said = self._languages[name], [""] * len(meanings)
        missing = np.arange(len(meanings))
        before, repeats = [""] * len(missing), np.zeros(len(missing), int)
        for _ in range(TRIES):
            lines = language.sentences(language.realise(meanings.take(missing), rng))
            fits = np.array([_side(line) == 0 for line in lines])
            for k in np.flatnonzero(fits):
                said[missing[k]] = lines[k]
            repeats += np.array([a == b for a, b in zip(lines, before, strict=True)])
            again = ~fits & (repeats < REPEATS)  # some meanings can be said in one way only
            missing, repeats = missing[again], repeats[again]
            before = [lines[k] for k in np.flatnonzero(again)]
            if not len(missing):
                break
        return said

    # ---- labelled text -------------------------------------------------------------------------------

    def nli(
        self, language: str, n_pairs: int, *, domain: str = "news", seed: int = 2
    ) -> Classification:
        """Premises and hypotheses; item k has the same meanings and label in every language.

        Labels are balanced (each three items hold all of them) and a hypothesis alone is no clue to its
        label; see `inference`. Nothing is left unsaid here, so that the labels are true in
        every language. Errors as in `text`.
        """
        self._check(n_pairs, (language,), domain, seed, "n_pairs")
        grammar, columns = self._languages[language], ([], [], [])
        for block in range(-(-n_pairs // NLI_BLOCK)):
            parts = (domain, seed, block)
            pairs = sample_pairs(
                self.world, NLI_BLOCK, domain, stream(self.spec.seed, "nli", *parts)
            )
            rng = stream(self.spec.seed, "nli", language, *parts)
            for column, meanings in zip(columns, pairs[:2], strict=False):
                column += grammar.sentences(grammar.realise(meanings, rng, faithful=True))
            columns[2].extend(pairs[2].tolist())
        premises, hypotheses, labels = (tuple(column[:n_pairs]) for column in columns)
        name = f"artificial-nli-{domain}-{seed}"
        return Classification(name, language, premises, hypotheses, labels, LABELS)

    def treebank(
        self, language: str, n_sentences: int, *, domain: str = "news", seed: int = 3
    ) -> Treebank:
        """Sentences with tags, features, dependency trees and entities (PER, LOC, ORG).

        Sentence k says the same in every language, as in a parallel treebank. Errors as in `text`.
        """
        said = self._say(language, n_sentences, domain, seed, "treebank")
        grammar = self._languages[language]
        sentences = tuple(
            annotate.sentence(grammar, said, row, f"{language}-{domain}-{seed}-{row}")
            for row in range(n_sentences)
        )
        return Treebank(f"artificial-treebank-{domain}-{seed}", language, sentences)

    def gloss(
        self, language: str, n_sentences: int, *, domain: str = "news", seed: int = 4
    ) -> list[tuple[str, tuple[str, ...], str]]:
        """Sentences for people: (sentence, gloss of each of its words, meaning in near-English).

        Sentence k has the same meaning in every language. Errors as in `text`.
        """
        said = self._say(language, n_sentences, domain, seed, "gloss")
        rows = []
        for row in range(n_sentences):
            text, words = annotate.glossed(self._languages[language], said, row)
            rows.append((text, tuple(words), self.world.describe(said.meanings, row)))
        return rows

    def aligned(
        self, source: str, target: str, n_sentences: int, *, domain: str = "news", seed: int = 6
    ) -> list[AlignedSentence]:
        """Sentences that say the same in two languages, and which of their words correspond.

        Words correspond where they say the same part of the meaning (`annotate.links`), even by
        synonyms; what one language says by an ending or leaves unsaid has no link. Errors as in `text`.
        """
        said = {
            name: self._say(name, n_sentences, domain, seed, "aligned") for name in (source, target)
        }
        rows = []
        for row in range(n_sentences):
            one, two = (annotate.parts(self._languages[x], said[x], row) for x in (source, target))
            words = ([part.form for part in side] for side in (one, two))
            rows.append(AlignedSentence(*map(tuple, words), annotate.links(one, two)))
        return rows

    def _say(self, language: str, n: int, domain: str, seed: int, what: str) -> Realised:
        self._check(n, (language,), domain, seed)
        meanings, blocks = None, -(-n // BLOCK)
        for block in range(blocks):
            m = self.world.sample(BLOCK, domain, stream(self.spec.seed, what, domain, seed, block))
            meanings = m if meanings is None else meanings.join(m)
        rng = stream(self.spec.seed, what, language, domain, seed)
        return self._languages[language].realise(meanings, rng)

    # ---- words -------------------------------------------------------------------------------------

    def words(self, language: str) -> dict[str, tuple[str, ...]]:
        """Words of every concept in citation form, the inherited one first: ``"noun:dog"`` -> words.

        Keys are the same in every language; two keys with the same words are polysemy. Names and anchors
        are included (``"name:PER3"``). Raises ValueError for an unknown language.
        """
        self._known(language)
        return {
            key: tuple(word.written for word in words)
            for key, words in self.lexicons[language].words.items()
            if key.split(":")[0] in (*LEXICAL, "name")
        }

    def dictionary(self, source: str, target: str) -> BilingualDictionary:
        """Word pairs that share a concept: citation forms of nouns, verbs, adjectives and adverbs.

        Synonyms give several pairs; names and other anchors are left out, as they need no dictionary.
        """
        self._known(source), self._known(target)
        a, b = self.lexicons[source].words, self.lexicons[target].words
        pairs = {}
        for key in a:
            if key.split(":")[0] in LEXICAL:
                pairs |= {
                    (s.written, t.written): None for s in a[key] for t in b[key] if not s.anchor
                }
        return BilingualDictionary(source, target, tuple(pairs))

    def romanise(self, language: str, text: str) -> str:
        """Latin letters for a text of a language, word by word; unknown words stay.

        Unlike `transliterate`, this also reads logographic writing. Raises ValueError for an unknown
        language.
        """
        self._known(language)
        grammar = self._languages[language]
        reading = {
            written: roman.capitalize() if written[:1].isupper() else roman
            for written, roman in zip(grammar.written, grammar.roman, strict=True)
        }
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
