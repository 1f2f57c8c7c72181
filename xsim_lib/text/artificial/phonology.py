"""Sounds: roots, regular sound change, and the scripts words are written in.

Inside the package words are strings over 26 lower-case letters (one letter, one sound); a script is a
one-to-one image of these letters, so transliteration loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

VOWELS = "aeiouy"
CONSONANTS = "bcdfghjklmnpqrstvwxz"
LETTERS = "abcdefghijklmnopqrstuvwxyz"

SCRIPTS: dict[str, str] = {
    "latin": LETTERS,
    "cyrillic": "абцдефгхижклмнопярстувщчыз",
    "greek": "αβχδεφγηιϳκλμνοπϙρστυϝωξψζ",
    "georgian": "აბცდეფგჰიჯკლმნოპქრსტუვწხყზ",
    "armenian": "աբցդեֆգհիջկլմնոպքրստըվւխյզ",
    "cherokee": "ᎠᎡᎢᎣᎤᎥᎦᎧᎨᎩᎪᎫᎬᎭᎮᎯᎰᎱᎲᎳᎴᎵᎶᎷᎸᎹ",
    "ethiopic": "ሀለሐመሠረሰቀበተኀነአከወዐዘየደገጠጰጸፀፈፐ",
}
CASED = ("latin", "cyrillic", "greek", "armenian")

# Context of a change: between vowels, at the end, before a front vowel, after a vowel, anywhere.
_V, _F = f"[{VOWELS}]", "[eiy]"
_CHANGES: tuple[tuple[str, str], ...] = tuple(
    [
        (f"(?<={_V}){a}(?={_V})", b)
        for a, b in ("pb", "td", "kg", "bv", "dz", "gj", "sz", "fv", "xh")
    ]
    + [(f"{a}(?={_F})", b) for a, b in ("kc", "gj", "ts", "xs", "dz", "hj")]
    + [(f"{a}$", b) for a, b in ("ae", "oa", "eo", "uo", "iy", "mn", "zs", "dt", "gk", "bp")]
    + [(a, b) for a, b in ("pf", "kh", "qk", "wv", "jz", "lr", "cs", "fh", "hx", "xk", "rl", "nm")]
    + [(a, b) for a, b in ("oa", "eo", "ae", "ui", "iy", "ou", "yu", "ei", "ao")]
    + [(f"(?<=[{CONSONANTS}]){a}(?=[{CONSONANTS}])", b) for a, b in ("ae", "ea", "iu", "oi")]
)


def transliterate(text: str, source: str, target: str) -> str:
    """Write `text` of one alphabetic script in another, letter by letter, keeping upper case.

    Letters that are not of `source` (anchors, digits, punctuation) stay. Raises ValueError for a script
    that is unknown or logographic (readings differ between languages: see `Family.romanise`).
    """
    for name, script in (("source", source), ("target", target)):
        if script not in SCRIPTS:
            raise ValueError(f"{name}: expected one of {sorted(SCRIPTS)}, got {script!r}")
    table = dict(zip(SCRIPTS[source], SCRIPTS[target], strict=True))
    if source in CASED:
        upper = str.upper if target in CASED else str
        table |= {a.upper(): upper(b) for a, b in list(table.items())}
    return "".join(table.get(letter, letter) for letter in text)


class Phonology:
    """Sounds a proto-language allows, and the syllables made of them."""

    def __init__(self, rng: np.random.Generator):
        self.consonants = "".join(sorted(rng.permutation(list(CONSONANTS))[:14]))
        self.vowels = "".join(sorted(rng.permutation(list(VOWELS))[:5]))
        self.weights = rng.dirichlet(np.full(14, 3.0))
        self.closed = rng.uniform(0.15, 0.5)
        self.finals = "".join(rng.permutation(list(self.consonants))[:6])

    def syllable(self, rng: np.random.Generator, closed: float | None = None) -> str:
        onset = self.consonants[rng.choice(14, p=self.weights)]
        nucleus = self.vowels[rng.integers(5)]
        coda = self.finals[rng.integers(6)] if rng.random() < (closed or self.closed) else ""
        return onset + nucleus + coda

    def root(self, rng: np.random.Generator, syllables: int | None = None) -> str:
        """A root of one to three syllables (two by default in two of three cases)."""
        n = syllables or int(rng.choice([1, 2, 3], p=[0.15, 0.65, 0.2]))
        return "".join(self.syllable(rng) for _ in range(n))

    def affix(self, rng: np.random.Generator) -> str:
        """V, VC or CV."""
        vowel = self.vowels[rng.integers(5)]
        consonant = self.consonants[rng.integers(14)]
        return (vowel, vowel + consonant, consonant + vowel)[rng.integers(3)]


def draw_changes(
    rng: np.random.Generator, expected: float, words: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """About `expected` ordered, regular sound changes: (pattern, replacement).

    Only changes that alter at least one word in fifty are drawn: a change of a sound the language
    does not have would make the length of a branch meaningless.
    """
    n = int(expected) + int(rng.random() < expected % 1)
    drawn: list[tuple[str, str]] = []
    for i in rng.permutation(len(_CHANGES)):
        if len(drawn) >= n:
            break
        changed = [evolve(word, (_CHANGES[i],)) for word in words]
        if sum(a != b for a, b in zip(words, changed, strict=True)) * 50 >= len(words):
            drawn.append(_CHANGES[i])
            words = changed
    return tuple(drawn)


def evolve(word: str, changes: tuple[tuple[str, str], ...]) -> str:
    """Apply regular changes in order; a word never vanishes because changes replace, not delete."""
    for pattern, replacement in changes:
        word = re.sub(pattern, replacement, word)
    return word
