"""Which words of parallel sentences correspond: known for artificial languages, estimated for real ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xsim_lib.text.sources import Source, split_pair
from xsim_lib.text.word_links import AlignedSentence

__all__ = ["align_words", "aligned_words", "split_words"]

_WORD = re.compile(r"\w+(?:['’]\w+)*['’]?|[^\w\s]")


def aligned_words(source: Source, pair: str, n: int) -> list[AlignedSentence]:
    """Give `n` parallel sentences of a pair with linked words.

    Returns
    -------
    The truth for an artificial source; else what `align_words` makes of the source's parallel text.

    Raises
    ------
    ValueError : the source has no such pair.
    """
    if source.kind == "artificial":
        return source.aligned(pair, n)
    corpus = source.parallel(pair, n)
    return align_words(*([split_words(line) for line in corpus[x]] for x in split_pair(pair)))


def split_words(sentence: str) -> tuple[str, ...]:
    """Words and punctuation marks of a sentence whose writing puts spaces between words."""
    return tuple(_WORD.findall(sentence))


def align_words(
    source: Sequence[Sequence[str]], target: Sequence[Sequence[str]], *, iterations: int = 5
) -> list[AlignedSentence]:
    """Link words that translate each other, by IBM model 1 in both directions.

    Parameters
    ----------
    source, target : sequences of words; row k of both is the same sentence.
    iterations : of expectation maximisation.

    Returns
    -------
    As many `AlignedSentence`; only the links that both directions agree on, as it is the precision of
    a dictionary that counts.

    Raises
    ------
    ValueError : other numbers of sentences, or a sentence without words.

    References
    ----------
    Brown et al. (1993). The paper takes fast_align (Dyer et al. 2013), a quicker IBM model 2.
    """
    from nltk.translate import AlignedSent, IBMModel1

    for name, side in (("source", source), ("target", target)):
        if not all(len(words) for words in side):
            empty = next(k for k, words in enumerate(side) if not len(words))
            raise ValueError(f"{name}: sentence {empty} has no words")
    if len(source) != len(target) or not len(source):
        raise ValueError(
            f"target: expected as many sentences as source ({len(source)}, at least one), "
            f"got {len(target)}"
        )
    lower = [[[word.lower() for word in words] for words in side] for side in (source, target)]
    links = []
    for one, two in (lower, lower[::-1]):
        # NLTK links every word of the first sentence to one of the second, or to none.
        bitext = [AlignedSent(a, b) for a, b in zip(two, one, strict=True)]
        IBMModel1(bitext, iterations)
        links.append([{(j, i) for i, j in pair.alignment if j is not None} for pair in bitext])
    return [
        AlignedSentence(tuple(a), tuple(b), tuple(sorted(f & {(i, j) for j, i in back})))
        for a, b, f, back in zip(source, target, *links, strict=True)
    ]
