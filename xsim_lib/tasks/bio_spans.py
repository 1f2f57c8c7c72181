"""Named entities as spans: what a sequence of BIO tags says, and how two sequences agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

__all__ = ["Convention", "entity_spans", "f1", "repair", "span_counts"]

#: How a tag ``I-`` that continues nothing is read; see `entity_spans`.
Convention = Literal["conlleval", "iob2", "repaired"]


def entity_spans(
    tags: Sequence[str], convention: Convention = "conlleval"
) -> set[tuple[str, int, int]]:
    """Entities of one sentence.

    Parameters
    ----------
    tags : (n_words,) ``O``, ``B-TYPE`` or ``I-TYPE``
    convention : how to read an ``I-`` that continues nothing, at the start of the sentence, after ``O``
        or after another type:

        - ``"conlleval"``, the script of the CoNLL shared tasks: it opens an entity. IOB1, where ``B-``
          only separates neighbours of one type, and IOB2, where it opens every entity, are both read
          as they were meant.
        - ``"iob2"``, strict: it belongs to no entity.
        - ``"repaired"``: strict after `repair`, as in the code of Wu, Conneau et al. (2020).

    Returns
    -------
    Set of (type, start, end), `end` one past the last word.

    Raises
    ------
    ValueError : another tag, or another convention.

    Notes
    -----
    ``"repaired"`` and ``"conlleval"`` find the same entities in every sequence: the repair matters only
    to a strict reader.
    """
    if convention not in ("conlleval", "iob2", "repaired"):
        raise ValueError(f"convention: expected conlleval, iob2 or repaired, got {convention!r}")
    found = set()
    kind, start = "", 0  # the entity that is open; no kind: none
    strict = convention != "conlleval"
    for place, tag in enumerate(repair(tags) if convention == "repaired" else tags):
        letter, _, other = tag.partition("-")
        if (letter == "O") == bool(other) or letter not in ("B", "I", "O"):
            raise ValueError(f"tags: word {place}: expected O, B-TYPE or I-TYPE, got {tag!r}")
        if letter == "I" and other == kind:
            continue
        if kind:
            found.add((kind, start, place))
        kind, start = (other, place) if letter == "B" or not strict else ("", 0)
    if kind:
        found.add((kind, start, len(tags)))
    return found


def repair(tags: Sequence[str]) -> list[str]:
    """Turn every ``I-`` that continues nothing into ``B-``: valid IOB2 with the same entities."""
    repaired, before = [], "O"
    for tag in tags:
        stray = tag.startswith("I-") and before[2:] != tag[2:]
        repaired.append(f"B{tag[1:]}" if stray else tag)
        before = tag
    return repaired


def span_counts(
    gold: Sequence[str], predicted: Sequence[str], convention: Convention = "conlleval"
) -> tuple[int, int, int]:
    """Entities of one sentence that are right, predicted, and in the gold standard.

    An entity is right if its type and both its ends are. The gold standard is read as conlleval reads
    it, whatever the `convention` for the predictions.

    Raises
    ------
    ValueError : unequal numbers of tags, or as `entity_spans`.
    """
    if len(gold) != len(predicted):
        raise ValueError(f"predicted: expected {len(gold)} tags like gold, got {len(predicted)}")
    wanted, got = entity_spans(gold), entity_spans(predicted, convention)
    return len(wanted & got), len(got), len(wanted)


def f1(sums: np.ndarray | Sequence[float]) -> float:
    r"""Harmonic mean of precision and recall.

    .. math:: F_1 = \frac{2 P R}{P + R} = \frac{2 \cdot \text{right}}{\text{predicted} + \text{gold}}

    Parameters
    ----------
    sums : (right, predicted, gold), added up over sentences (micro-average).

    Returns
    -------
    float in [0, 1]; 0 where there is nothing to find and nothing was found, as conlleval prints it.
    """
    right, predicted, gold = sums
    return float(2 * right / (predicted + gold)) if predicted + gold else 0.0
