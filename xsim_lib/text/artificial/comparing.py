"""What can be counted between languages of a family: words apart, words in common, frequencies of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from xsim_lib.text.artificial.family import Family

__all__ = [
    "common_shares",
    "edit_distance",
    "frequency_difference",
    "ranked_frequencies",
    "word_distances",
]


def edit_distance(a: str, b: str) -> float:
    """Insertions, deletions and substitutions between two words, divided by the length of the longer one.

    Raises
    ------
    ZeroDivisionError : both words are empty.
    """
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1] / max(len(a), len(b))


def word_distances(family: Family, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """Mean edit distance of words with the same meaning, in Latin letters, without names and anchors.

    Parameters
    ----------
    pairs : of languages of the family.
    """
    words = {x: family.words(x) for x in family.languages}
    first = words[family.languages[0]]
    keys = [k for k, v in first.items() if k[:5] != "name:" and v[0] not in family.anchors]
    latin = {
        x: family.romanise(x, " ".join(own[k][0] for k in keys)).split() for x, own in words.items()
    }
    return [np.mean([*map(edit_distance, latin[a], latin[b])]) for a, b in pairs]


def common_shares(family: Family, n: int) -> tuple[float, float]:
    """Share of nouns and names, and of all words, that every language writes alike, in n sentences of each."""
    words = {
        x: [t for s in family.treebank(x, n).sentences for t in s.tokens if t.upos != "PUNCT"]
        for x in family.languages
    }
    everywhere = set.intersection(*({t.form for t in tokens} for tokens in words.values()))
    every = [t for tokens in words.values() for t in tokens]
    nouns = [t.form in everywhere for t in every if t.upos in ("NOUN", "PROPN")]
    return np.mean(nouns), np.mean([t.form in everywhere for t in every])


def frequency_difference(one: Iterable[str], two: Iterable[str]) -> float:
    """Share of words that would have to change for one text to have the frequencies of the other.

    Parameters
    ----------
    one, two : lines of text; words stand between white space.
    """
    p, q = (Counter(word for line in lines for word in line.split()) for lines in (one, two))
    return 0.5 * sum(abs(p[w] / p.total() - q[w] / q.total()) for w in p | q)


def ranked_frequencies(lines: Iterable[str]) -> pd.Series:
    """Shares of the words of a text by rank, from 1; only words of letters count."""
    words = Counter(word for line in lines for word in line.split() if word.isalpha())
    counts = np.array(sorted(words.values(), reverse=True))
    return pd.Series(counts / counts.sum(), index=np.arange(1, len(counts) + 1))
