"""Words: proto-roots passed down the tree, replaced, borrowed, and shared as anchors.

Every meaning-bearing unit has a key such as ``"noun:dog"`` or ``"affix:Past"``. A proto-language has
two roots per key (the second feeds synonyms); each branch changes their sounds and replaces some.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim_lib.text.artificial.inventory import CASES, PRONOUNS, RELATIONS, TENSES
from xsim_lib.text.artificial.meaning import World, stream
from xsim_lib.text.artificial.phonology import (
    CASED,
    VOWELS,
    Phonology,
    draw_changes,
    evolve,
    transliterate,
)
from xsim_lib.text.artificial.spec import FamilySpec
from xsim_lib.text.artificial.tree import Node, parse_newick

Roots = dict[str, tuple[str, str]]
SURNAME_EVERY = 4  # every fourth name has two words, so entities have spans
# With no anchors at all, languages also differ in digits and punctuation. None of these characters is
# changed by NFKC, which tokenizers apply, and all are Unicode punctuation or decimal digits.
OWN_PUNCTUATION = (
    ".?,", "։՞՝", "።፧፣", "।؟،", "。꘏、", "၏‽၊", "᙮᥄᠂", "꓿⸮꓾", "᠃᥅᠈", "⸱¿⸲", "܀؛܂", "᭟᭜᭞", "꛳꛷꛵", "꡷꡶꡴", "‖¡⁂", "※†‡",
)  # fmt: skip
OWN_DIGITS = "0٠०০੦૦୦௦౦೦൦๐໐༠၀០᠐᥆᧐᭐᮰᱀᱐꘠꣐꤀꧐꩐"  # the zero of a block of ten digits each
NAMES = ("name", "surname")
LEXICAL = ("noun", "verb", "adjective", "adverb")
FIRST_CHARACTER, N_CHARACTERS = 0x4E00, 20899  # CJK unified ideographs; a prime number of them


@dataclass(frozen=True)
class Word:
    """One word or affix of a language: its sound, its writing, and whether all languages share it."""

    roman: str
    written: str
    anchor: bool = False


class Proto:
    """Roots of every language of one tree, by key."""

    def __init__(self, spec: FamilySpec, tree: Node, number: int, keys: list[str]):
        self.spec = spec
        self.by_language: dict[str, Roots] = {}
        self.phonology = Phonology(stream(spec.seed, "phonology", number))
        rng = stream(spec.seed, "proto", number)
        roots = {key: (self._new(key, rng), self._new(key, rng)) for key in keys}
        self._descend(tree, roots, f"{number}")

    def _new(self, key: str, rng: np.random.Generator) -> str:
        kind = key.split(":")[0]
        if kind == "affix":
            return self.phonology.affix(rng)
        if kind in ("function", "particle", "formula"):
            return self.phonology.root(rng, 1)
        return self.phonology.root(rng, int(rng.choice([2, 3])) if kind in NAMES else None)

    def _descend(self, node: Node, roots: Roots, path: str) -> None:
        # Streams depend on the path in the tree, so adding a language elsewhere changes nothing here.
        rng = stream(self.spec.seed, "branch", path)
        words = [pair[0] for key, pair in roots.items() if key.split(":")[0] in LEXICAL]
        changes = draw_changes(rng, node.length * self.spec.sound_changes, words)
        lost = 1 - np.exp(-node.length * self.spec.replacement)
        passed = {}
        for key, pair in roots.items():
            passed[key] = tuple(
                self._new(key, rng) if rng.random() < lost else evolve(root, changes)
                for root in pair
            )
        for i, child in enumerate(node.children):
            self._descend(child, passed, f"{path}.{i}")
        if not node.children and not self.spec.cognates:
            passed = {k: (self._new(k, rng), self._new(k, rng)) for k in roots}
        if not node.children:
            self.by_language[node.name] = passed


def all_keys(world: World) -> list[str]:
    """Keys of everything a language needs a form for."""
    keys = [
        f"{'name' if n else 'noun'}:{c}" for c, n in zip(world.nominals, world.is_name, strict=True)
    ]
    keys += [f"surname:{c}" for c in world.nominals[world.n_nouns :: SURNAME_EVERY]]
    keys += [f"verb:{v.label}" for v in world.verbs]
    keys += [f"adjective:{a}" for a, _ in world.adjectives]
    keys += [f"adverb:{a}" for a in world.adverbs]
    keys += [f"function:{r}" for r in RELATIONS] + [f"function:{p}" for p in PRONOUNS]
    keys += [f"function:{f}" for f in ("the", "a", "not", "plural", "object", "question")]
    keys += [f"function:{t}" for t in TENSES]
    keys += [f"affix:{a}" for a in ("Plur", "Acc", "Def", "Obl", "Neg", *CASES, *TENSES)]
    keys += [f"affix:{p}{n}" for n in "SP" for p in "123"]
    keys += [f"affix:fusion{t}{p}{n}" for t in TENSES for n in "SP" for p in "123"]
    keys += [f"affix:fusion{k}{c}{n}" for k in "01" for c in ("Nom", "Acc", "Obl") for n in "SP"]
    keys += [f"particle:{i}" for i in range(16)] + [f"formula:{i}" for i in range(20)]
    return keys


def choose_anchors(world: World) -> np.ndarray:
    """Which nominals are anchors: names first, then nouns, until their token mass is `anchors`.

    Within names and within nouns the order is random, and an item that would overshoot is skipped.
    """
    rng, target = stream(world.spec.seed, "anchors"), world.spec.anchors
    chosen = np.zeros(len(world.nominals), bool)

    def fill(items: np.ndarray, limit: float) -> None:
        for item in rng.permutation(items):
            if world.noun_mass[chosen].sum() + world.noun_mass[item] <= limit:
                chosen[item] = True

    if target > 0:
        # Names hold `name_share` only on average, and a rate equal to it should mean all of them.
        fill(np.flatnonzero(world.is_name), target + 0.02)
    if target - world.noun_mass[chosen].sum() > 0.03:
        fill(np.flatnonzero(~world.is_name), target + 0.004)
    return chosen


class Lexicon:
    """The words of one language.

    `words[key]` lists its words with `weights[key]`; the first is the inherited one.

    Parameters
    ----------
    name, position : of the language in the spec
    world : World
    roots : key -> what the tree handed down, two roots
    anchors : (n_nominals,) which nominals are anchors, and `anchor_words` : key -> their words
    donors : (roots, rate, name) of every language it borrows from
    """

    def __init__(
        self,
        name: str,
        position: int,
        world: World,
        roots: Roots,
        anchors: np.ndarray,
        anchor_words: dict[str, Word],
        donors: list[tuple[Roots, float, str]],
    ):
        spec, rng = world.spec, stream(world.spec.seed, "lexicon", name)
        self.name, self.spec = name, spec.languages[name]
        self.position, self.shared_marks = position, spec.anchors > 0
        logographic = [n for n, other in spec.languages.items() if other.script == "logographic"]
        self._rank = logographic.index(name) if name in logographic else 0
        inherited = {key: pair[0] for key, pair in roots.items()}
        for donor_roots, rate, label in donors:
            borrow = stream(spec.seed, "borrow", name, label)
            for key in inherited:
                if borrow.random() < rate and key.split(":")[0] in ("noun", "verb", "adjective"):
                    inherited[key] = donor_roots[key][0]
        self._taken: set[str] = set()
        self._affixes: set[str] = set()
        self._key_numbers = {key: i for i, key in enumerate(inherited)}
        self.words: dict[str, list[Word]] = {}
        self.weights: dict[str, list[float]] = {}
        for key, roman in inherited.items():
            kind = key.split(":")[0]
            if key in anchor_words:
                self.words[key], self.weights[key] = [anchor_words[key]], [1.0]
                continue
            forms = [self._free(roman, kind, rng)]
            if kind in LEXICAL and rng.random() < self.spec.synonyms:
                forms.append(self._free(roots[key][1], kind, rng))
                if rng.random() < 0.3:
                    forms.append(self._free(self._invent(rng, roman), kind, rng))
            self.words[key] = [Word(r, self.write(r, key, k)) for k, r in enumerate(forms)]
            shares = {1: [1.0], 2: [0.62, 0.38], 3: [0.5, 0.3, 0.2]}[len(forms)]
            self.weights[key] = shares
        self._merge(world, anchors, rng)

    def _invent(self, rng, like: str) -> str:
        """A word of this language's own: the letters of a known word, shuffled."""
        return "".join(rng.permutation(list(like * 2))[: max(4, len(like))])

    def _free(self, roman: str, kind: str, rng) -> str:
        """Sound change may make two words alike; lengthen the later one until it is unique.

        Affixes are told apart among themselves: a merged paradigm would hide what a sentence says.
        """
        taken, shortest = (self._affixes, 1) if kind == "affix" else (self._taken, 2)
        while roman in taken or len(roman) < shortest:
            roman += "nrslt"[rng.integers(5)] if roman[-1] in VOWELS else "aeiou"[rng.integers(5)]
        taken.add(roman)
        return roman

    def write(self, roman: str, key: str, k: int = 0) -> str:
        """The writing of a root or affix in the language's script."""
        if self.spec.script == "logographic":
            # Characters go by meaning, not sound, so logographic languages share most of them.
            number, n_keys = self._key_numbers[key], len(self._key_numbers)
            own = k > 0 or stream(number, self.name).random() < 0.3
            number += n_keys * (1 + 3 * self._rank + k) if own else 0
            return chr(FIRST_CHARACTER + 7 * number % N_CHARACTERS)
        written = transliterate(roman, "latin", self.spec.script)
        named = key.split(":")[0] in NAMES and self.spec.script in CASED
        return written.capitalize() if named else written

    def _merge(self, world: World, anchors, rng) -> None:
        """Polysemy: some concepts use the word of another concept of the same class."""
        groups: dict[str, list[str]] = {}
        for i, c in enumerate(world.nominals[: world.n_nouns]):
            if not anchors[i]:
                groups.setdefault(f"noun{world.nominal_class[i]}", []).append(f"noun:{c}")
        for v in world.verbs:
            groups.setdefault(f"verb{v.object[:1]}", []).append(f"verb:{v.label}")
        for a, suited in world.adjectives:
            groups.setdefault(f"adjective{suited[0]}", []).append(f"adjective:{a}")
        opposite = {f"verb:{v.label}": f"verb:{v.antonym}" for v in world.verbs}
        labels = [a for a, _ in world.adjectives]
        for a, b in zip(labels[::2], labels[1::2], strict=False):
            opposite |= {f"adjective:{a}": f"adjective:{b}", f"adjective:{b}": f"adjective:{a}"}
        for members in groups.values():
            # The first noun of a class is its hypernym: it keeps a word of its own.
            free = members[1:] if members[0].startswith("noun") else list(members)
            for key in [m for m in free if rng.random() < self.spec.polysemy]:
                others = [m for m in free if m not in (key, opposite.get(key))]
                if key in free and others:
                    partner = others[rng.integers(len(others))]
                    self.words[key], self.weights[key] = self.words[partner], self.weights[partner]
                    free = [m for m in free if m not in (key, partner)]

    def mark(self, kind: int) -> str:
        """Final stop, question mark or comma."""
        return (OWN_PUNCTUATION[0] if self.shared_marks else OWN_PUNCTUATION[self.position])[kind]

    def number(self, value: int) -> str:
        """A numeral in the digits of the language."""
        zero = ord(OWN_DIGITS[0 if self.shared_marks else self.position])
        return "".join(chr(zero + int(digit)) for digit in str(value))


def build_lexicons(world: World) -> dict[str, Lexicon]:
    """Lexicons of all languages."""
    spec, keys = world.spec, all_keys(world)
    roots: dict[str, Roots] = {}
    for number, text in enumerate(spec.trees):
        roots |= Proto(spec, parse_newick(text), number, keys).by_language
    anchors = choose_anchors(world)
    # Anchors sound like no language in particular; they are written in Latin letters everywhere.
    rng = stream(spec.seed, "anchor words")
    phonology, taken, anchor_words = Phonology(rng), set(), {}
    shared = [key for key, anchor in zip(keys, anchors, strict=False) if anchor]
    shared += [f"sur{key}" for key in shared if f"sur{key}" in keys]
    for key in shared:
        while (roman := phonology.root(rng, int(rng.choice([2, 3])))) in taken or len(roman) < 4:
            continue
        taken.add(roman)
        anchor_words[key] = Word(roman, roman.capitalize(), anchor=True)
    lexicons = {}
    for position, name in enumerate(spec.languages):
        donors = [(roots[b.donor], b.rate, b.donor) for b in spec.borrowings if b.recipient == name]
        lexicons[name] = Lexicon(name, position, world, roots[name], anchors, anchor_words, donors)
    return lexicons
