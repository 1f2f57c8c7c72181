"""Two sentences that say the same, word by word: what generators and aligners both yield."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["AlignedSentence"]


class AlignedSentence(NamedTuple):
    """The words of a sentence and of its translation, and which of them correspond.

    Attributes
    ----------
    source, target : words.
    links : pairs of numbers (of a source word, of a target word), from 0. A word may have no link.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
