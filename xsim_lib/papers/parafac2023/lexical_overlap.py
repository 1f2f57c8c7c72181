"""How much of their text two languages have in common as strings, without any model.

The control for trees of languages: related languages share words and spellings, and a model that is
trained on text sees these.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from xsim_lib.indices import validation
from xsim_lib.text.types import Corpus

__all__ = ["lexical_distances"]


def lexical_distances(corpus: Corpus, *, ngram: int | None = None) -> pd.DataFrame:
    r"""Distances between the languages of a corpus by the strings they share.

    .. math:: d_{ij} = 1 - \sum_x \min(p_i(x), p_j(x))

    where p is how often a string occurs, as a share of all strings of the language.

    Parameters
    ----------
    corpus : text of at least two languages.
    ngram : None compares words, as white space separates them; a number compares runs of that many characters
        within words, whose ends count as characters. (Languages written without spaces have hardly any
        words by this definition, but do have runs of characters.)

    Returns
    -------
    DataFrame (languages, languages) in [0, 1], 0 on the diagonal; 1 where nothing is shared.

    Raises
    ------
    ValueError : fewer than two languages, or ngram below 1.
    """
    if len(corpus.languages) < 2:
        raise ValueError(f"corpus: expected at least 2 languages, got {corpus.languages[0]} only")
    if ngram is not None:
        validation.number("ngram", ngram, low=1, high=100, integer=True)
    names = list(corpus.languages)
    counts = [_counts(corpus[language], ngram) for language in names]
    place = {x: k for k, x in enumerate(dict.fromkeys(x for own in counts for x in own))}
    shares = np.zeros((len(names), len(place)))
    for row, own in zip(shares, counts, strict=True):
        row[[place[x] for x in own]] = list(own.values())
        row /= row.sum()
    values = np.array([[1 - np.minimum(a, b).sum() for b in shares] for a in shares])
    np.fill_diagonal(values, 0)
    return pd.DataFrame(values.clip(0, 1), index=names, columns=names)


def _counts(lines: tuple[str, ...], ngram: int | None) -> Counter:
    words = Counter(word for line in lines for word in line.split())
    if ngram is None:
        return words
    runs: Counter = Counter()
    for word, count in words.items():
        # A blank cannot be part of a word, so it marks the ends.
        marked = f" {word} "
        for k in range(max(1, len(marked) - ngram + 1)):
            runs[marked[k : k + ngram]] += count
    return runs
