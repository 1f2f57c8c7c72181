"""Bilingual dictionaries: MUSE's, for fitting a map between word vectors and for scoring it."""

from __future__ import annotations

from typing import Literal

from xsim_lib.text.corpora.errors import CorpusError, CorruptFileError
from xsim_lib.text.corpora.fetch import lines, opened
from xsim_lib.text.corpora.registry import Original, find
from xsim_lib.text.types import BilingualDictionary

__all__ = ["dictionary"]

_PARTS = {"train": ("0-5000",), "test": ("5000-6500",), None: ("0-5000", "5000-6500")}


def dictionary(
    source: str, target: str, split: Literal["train", "test"] | None = None
) -> BilingualDictionary:
    """Read the MUSE dictionary of one direction; a word may have several translations.

    Parameters
    ----------
    source, target : language codes; the other direction is another dictionary.
    split : "train" has the 5000 most frequent source words, "test" the next 1500, None both. The
        two have no source word in common, but they do have translations in common.

    Returns
    -------
    BilingualDictionary in the order of frequency, in lower case.

    Raises
    ------
    MissingLanguageError : no such direction; CorpusError, ... as the other corpora.

    References
    ----------
    Conneau, Lample, Ranzato, Denoyer & Jegou (2018), "Word translation without parallel data".
    """
    if split not in _PARTS:
        raise CorpusError(f"split: expected 'train', 'test' or None, got {split!r}")
    pairs = []
    for part in _PARTS[split]:
        file = find("muse", f"{source}-{target}", part)
        with opened(file) as content:
            pairs += _pairs(content, file)
    return BilingualDictionary(source, target, tuple(pairs))


def _pairs(content: bytes, file: Original) -> list[tuple[str, str]]:
    pairs = []
    for number, row in enumerate(lines(content, file.mirror), start=1):
        cells = row.split("\t")
        if len(cells) != 2 or not all(cell.strip() for cell in cells):
            raise CorruptFileError(
                f"{file.mirror}: line {number}: expected a word and its translation, got {row!r}"
            )
        pairs.append((cells[0], cells[1]))
    return pairs
