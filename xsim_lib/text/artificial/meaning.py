"""Latent meanings: what sentences say, before any language says it.

A meaning is a row of small integers: a topic, a verb with tense and polarity, a subject, perhaps an
object and an oblique phrase, each with modifiers. They are drawn column by column from tables fixed by
the family's seed, so 10 000 meanings take some milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from zlib import crc32

import numpy as np

from xsim_lib.text.artificial.inventory import (
    ADJECTIVES,
    ADVERBS,
    CARDINALS,
    NAME_CLASSES,
    NOUNS,
    PRONOUNS,
    RELATIONS,
    VERBS,
)
from xsim_lib.text.artificial.spec import FamilySpec

DOMAINS = {
    # tense: past, present, future; pronoun: share of pronoun subjects among persons
    "news": {"tense": (0.5, 0.35, 0.15), "pronoun": 0.10, "cardinal": 0.14, "negation": 0.10},
    "tales": {"tense": (0.75, 0.2, 0.05), "pronoun": 0.25, "cardinal": 0.07, "negation": 0.15},
}


def stream(*parts: int | str) -> np.random.Generator:
    """A generator that depends on every part, the same in every process (no `hash()`)."""
    return np.random.default_rng([crc32(p.encode()) if isinstance(p, str) else p for p in parts])


@dataclass(frozen=True)
class Meanings:
    """Columns of one row per meaning; -1 means absent.

    `subject`, `object`, `oblique` index the nominals (common nouns, then names). A pronoun subject has
    ``subject = -1``, and `person` and `subject_number` say which one.
    """

    topic: np.ndarray
    verb: np.ndarray
    tense: np.ndarray
    negated: np.ndarray
    question: np.ndarray
    person: np.ndarray
    adverb: np.ndarray
    relation: np.ndarray
    subject: np.ndarray
    subject_number: np.ndarray
    subject_definite: np.ndarray
    subject_adjective: np.ndarray
    subject_cardinal: np.ndarray
    object: np.ndarray
    object_number: np.ndarray
    object_definite: np.ndarray
    object_adjective: np.ndarray
    object_cardinal: np.ndarray
    oblique: np.ndarray
    oblique_number: np.ndarray
    oblique_definite: np.ndarray
    oblique_adjective: np.ndarray
    oblique_cardinal: np.ndarray

    def __len__(self) -> int:
        return len(self.verb)

    def take(self, rows) -> Meanings:
        """The rows of an index or mask, in its order."""
        return Meanings(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def join(self, other: Meanings) -> Meanings:
        """These rows, then the rows of `other`."""
        pairs = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Meanings(**{name: np.concatenate([a, b]) for name, a, b in pairs})

    def but(self, **columns) -> Meanings:
        """A copy with some columns replaced."""
        return replace(self, **columns)


class Distributions:
    """Rows of discrete distributions, sampled for many rows at once."""

    def __init__(self, weights: np.ndarray):
        flat = weights.reshape(-1, weights.shape[-1]).astype(np.float64)
        self.shape = weights.shape
        self.probabilities = flat / flat.sum(1, keepdims=True)
        cumulative = np.cumsum(self.probabilities, 1)
        cumulative[:, -1] = 1.0
        # Row r occupies (r, r + 1]: one sorted array serves all rows in one searchsorted.
        self._keys = (cumulative + np.arange(len(flat))[:, None]).ravel()

    def sample(self, rng: np.random.Generator, *index) -> np.ndarray:
        row = np.ravel_multi_index(index, self.shape[:-1])
        found = np.searchsorted(self._keys, row + rng.random(len(row)), side="right")
        return np.minimum(found - row * self.shape[-1], self.shape[-1] - 1).astype(np.int16)


class World:
    """Concepts and their co-occurrence, drawn once per family."""

    def __init__(self, spec: FamilySpec):
        rng = stream(spec.seed, "world")
        self.spec = spec
        classes = list(NOUNS)
        rounds = [(k, c) for k in range(10) for c in range(len(classes))][: spec.n_nouns]
        self.nominals = [NOUNS[classes[c]].split()[k] for k, c in rounds]
        named = list(NAME_CLASSES)
        name_class = [named[i % 3] for i in range(spec.n_names)]
        self.n_nouns = len(rounds)
        self.nominals += [f"{NAME_CLASSES[c]}{i}" for i, c in enumerate(name_class)]
        self.nominal_class = np.array(
            [c for _, c in rounds] + [classes.index(c) for c in name_class]
        )
        self.is_name = np.arange(len(self.nominals)) >= self.n_nouns
        self.entity = ["O"] * self.n_nouns + [NAME_CLASSES[c] for c in name_class]
        self.verbs = VERBS[: spec.n_verbs]
        self.adjectives = ADJECTIVES[: spec.n_adjectives]
        self.adverbs = ADVERBS[: spec.n_adverbs]
        self.hypernym = np.array([list(self.nominal_class).index(c) for c in self.nominal_class])
        labels = [v.label for v in self.verbs]
        self.verb_antonym = np.array(
            [labels.index(v.antonym) if v.antonym in labels else -1 for v in self.verbs]
        )
        opposite = np.arange(len(self.adjectives)) ^ 1
        self.adjective_antonym = np.where(opposite < len(self.adjectives), opposite, -1)
        self.transitive = np.array([bool(v.object) for v in self.verbs])
        self._draw(rng, classes)

    def _zipf(self, rng, n: int) -> np.ndarray:
        return (1.0 / np.arange(1, n + 1) ** self.spec.zipf)[rng.permutation(n)]

    def _boost(self, rng, rows: int, n: int, share: float, strength: float) -> np.ndarray:
        """Rows x n of 1 or `strength`; every item is boosted somewhere, about `share` of the time."""
        boost = np.ones((rows, n))
        per_item = max(1, round(share * rows))
        for item in range(n):
            boost[rng.permutation(rows)[:per_item], item] = strength
        return boost

    def _draw(self, rng, classes: list[str]) -> None:
        topics, n_verbs = self.spec.n_topics, len(self.verbs)
        n_nominals, strength = len(self.nominals), self.spec.topic_strength
        by_rank = 1.0 / np.arange(1, topics + 1) ** self.spec.domain_contrast
        self.topic_prior = {"news": by_rank[rng.permutation(topics)]}
        # The other domain prefers the topics the first neglects.
        ranks = np.argsort(np.argsort(self.topic_prior["news"]))
        self.topic_prior["tales"] = np.sort(self.topic_prior["news"])[topics - 1 - ranks]
        verb_topic = self._boost(rng, topics, n_verbs, 0.2, strength)
        self._verb = Distributions(self._zipf(rng, n_verbs) ** 0.7 * verb_topic)

        weight = np.zeros(n_nominals)
        for c in range(len(classes)):
            for names in (False, True):
                members = np.flatnonzero((self.nominal_class == c) & (self.is_name == names))
                weight[members] = self._zipf(rng, len(members))
        topical = weight * self._boost(rng, topics, n_nominals, 0.25, strength)  # topics, nominals
        taste = {r: self._boost(rng, n_verbs, n_nominals, 0.15, 8.0) for r in ("s", "o", "x")}

        def within(allowed: dict[int, float], v: int, role: str, name_rate: float) -> np.ndarray:
            """topics x nominals: class preference of the verb times everything lexical."""
            out = np.zeros((topics, n_nominals))
            for c, share in allowed.items():
                for names in (False, True):
                    members = np.flatnonzero((self.nominal_class == c) & (self.is_name == names))
                    named = name_rate if classes[c] in NAME_CLASSES else 0.0
                    mass = share * (named if names else 1 - named)
                    if len(members) and mass > 0:
                        local = topical[:, members] * taste[role][v, members]
                        out[:, members] += mass * local / local.sum(1, keepdims=True)
            return out

        def preferences(wanted: tuple[str, ...]) -> dict[int, float]:
            shares = (0.8, 0.2) if len(wanted) == 2 else (1.0,)
            return {classes.index(c): s for c, s in zip(wanted, shares, strict=True)}

        rate = self._name_rate(preferences, classes)
        anything = dict.fromkeys(range(len(classes)), 1.0)
        subject = [within(preferences(v.subject), i, "s", rate) for i, v in enumerate(self.verbs)]
        object_ = [
            within(preferences(v.object) if v.object else anything, i, "o", rate)
            for i, v in enumerate(self.verbs)
        ]
        oblique = [
            [within({classes.index(c): 1.0}, i, "x", rate) for _, c in v.oblique]
            for i, v in enumerate(self.verbs)
        ]
        self._subject, self._object = (
            Distributions(np.array(subject)),
            Distributions(np.array(object_)),
        )
        self._oblique = Distributions(np.array(oblique))
        self._relation = np.array([[RELATIONS.index(r) for r, _ in v.oblique] for v in self.verbs])

        self._draw_modifiers(rng, classes, weight)

    def _name_rate(self, preferences: Callable, classes: list[str]) -> float:
        """How often a slot that may hold a name does, so that names fill `name_share` of all slots.

        Only three of the classes have names; the shares of the slots are those of `sample`.
        """
        slots = nameable = 0.0
        for verb, weight in zip(self.verbs, self._verb.probabilities.mean(0), strict=True):
            options = [(preferences(verb.subject), 0.9)]
            options += [(preferences(verb.object), 1.0)] if verb.object else []
            options += [({classes.index(c): 1.0}, 0.55 / 2) for _, c in verb.oblique]
            for allowed, share in options:
                slots += share * weight
                named = sum(s for c, s in allowed.items() if classes[c] in NAME_CLASSES)
                nameable += share * weight * named
        return min(1.0, self.spec.name_share * slots / nameable)

    def _draw_modifiers(self, rng, classes: list[str], weight: np.ndarray) -> None:
        fits = np.full((len(self.nominals), len(self.adjectives)), 0.02)
        for a, (_, suited) in enumerate(self.adjectives):
            fits[np.isin(self.nominal_class, [classes.index(c) for c in suited]), a] = 1.0
        likes = self._boost(rng, len(self.nominals), len(self.adjectives), 0.12, 6.0)
        self._adjective = Distributions(fits * likes * self._zipf(rng, len(self.adjectives)) ** 0.5)
        same = self.nominal_class[:, None] == self.nominal_class[None]
        same &= self.is_name[:, None] == self.is_name[None]
        same[np.arange(len(self.nominals)), np.arange(len(self.nominals))] = False
        same[:, self.hypernym[~self.is_name]] = False
        alone = ~same.any(1)
        same[alone, np.flatnonzero(alone)] = True  # nothing else to say: the caller sees no change
        self._another = Distributions(same * weight)
        self._adverb = Distributions(
            self._zipf(rng, len(self.adverbs))
            * self._boost(rng, len(self.verbs), len(self.adverbs), 0.25, 6.0)
        )
        self._cardinal = Distributions(self._zipf(rng, len(CARDINALS))[None])

    def sample(self, n: int, domain: str, rng: np.random.Generator) -> Meanings:
        """Draw `n` meanings of a domain."""
        habits = DOMAINS[domain]
        prior = Distributions(self.topic_prior[domain][None])
        zero = np.zeros(n, np.intp)
        topic = prior.sample(rng, zero)
        verb = self._verb.sample(rng, topic)
        columns = {
            "topic": topic,
            "verb": verb,
            "tense": Distributions(np.array([habits["tense"]])).sample(rng, zero),
            "negated": (rng.random(n) < habits["negation"]).astype(np.int16),
            "question": (rng.random(n) < 0.06).astype(np.int16),
            "adverb": np.where(rng.random(n) < 0.3, self._adverb.sample(rng, verb), -1),
        }
        option = (rng.random(n) < 0.35).astype(np.intp)
        relation = self._relation[verb, option].astype(np.int16)
        nouns = {
            "subject": self._subject.sample(rng, verb, topic),
            "object": self._object.sample(rng, verb, topic),
            "oblique": self._oblique.sample(rng, verb, option, topic),
        }
        # Intransitive clauses nearly always have an oblique phrase, or there would be no context.
        wants = rng.random(n) < np.where(self.transitive[verb], 0.45, 0.85)
        nouns["object"][~self.transitive[verb]] = -1
        nouns["oblique"][~wants] = -1
        columns["relation"] = np.where(wants, relation, -1).astype(np.int16)
        human = np.array([c == 0 for c in self.nominal_class])
        pronoun = (rng.random(n) < 2 * habits["pronoun"]) & human[nouns["subject"]]
        nouns["subject"][pronoun] = -1
        columns["person"] = np.where(pronoun, rng.integers(1, 4, n), 3).astype(np.int16)
        for role, noun in nouns.items():
            common = (noun >= 0) & ~self.is_name[noun]
            cardinal = common & (rng.random(n) < habits["cardinal"])
            number = (common | ((noun < 0) & (role == "subject"))) & (rng.random(n) < 0.3)
            number = (number | cardinal).astype(np.int16)
            adjective = common & (rng.random(n) < 0.4)
            columns[role] = noun
            columns[f"{role}_number"] = number
            columns[f"{role}_definite"] = (common & (rng.random(n) < 0.6)).astype(np.int16)
            drawn = self._adjective.sample(rng, np.maximum(noun, 0))
            columns[f"{role}_adjective"] = np.where(adjective, drawn, -1).astype(np.int16)
            drawn = self._cardinal.sample(rng, zero)
            columns[f"{role}_cardinal"] = np.where(cardinal, drawn, -1).astype(np.int16)
        return Meanings(**columns)

    def adjective_for(self, nominal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """An adjective that suits each noun."""
        return self._adjective.sample(rng, nominal)

    def another(self, nominal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another nominal of each one's class and kind, never a hypernym (it would be entailed)."""
        return self._another.sample(rng, nominal)

    @cached_property
    def noun_mass(self) -> np.ndarray:
        """Expected share of noun-slot tokens per nominal, over both domains (from a fixed sample)."""
        counts = np.zeros(len(self.nominals))
        for domain in DOMAINS:
            m = self.sample(8000, domain, stream(self.spec.seed, "mass", domain))
            for role in ("subject", "object", "oblique"):
                column = getattr(m, role)
                counts += np.bincount(column[column >= 0], minlength=len(counts))
        return counts / counts.sum()

    def describe(self, m: Meanings, row: int) -> str:
        """One meaning as an English-like gloss."""

        def phrase(role: str) -> str:
            noun = int(getattr(m, role)[row])
            number = int(getattr(m, f"{role}_number")[row])
            if noun < 0:
                return PRONOUNS[3 * number + int(m.person[row]) - 1]
            words = []
            if getattr(m, f"{role}_definite")[row]:
                words.append("the")
            elif not number and not self.is_name[noun]:
                words.append("a")
            if (k := getattr(m, f"{role}_cardinal")[row]) >= 0:
                words.append(str(CARDINALS[k]))
            if (a := getattr(m, f"{role}_adjective")[row]) >= 0:
                words.append(self.adjectives[a][0])
            words.append(self.nominals[noun] + ("-s" if number else ""))
            return " ".join(words)

        tense = ("did", "does", "will")[m.tense[row]]
        words = [phrase("subject"), tense] + ["not"] * int(m.negated[row])
        words.append(self.verbs[m.verb[row]].label)
        if m.object[row] >= 0:
            words.append(phrase("object"))
        if m.oblique[row] >= 0:
            words += [RELATIONS[m.relation[row]], phrase("oblique")]
        if m.adverb[row] >= 0:
            words.append(self.adverbs[m.adverb[row]])
        return " ".join(words) + ("?" if m.question[row] else ".")
