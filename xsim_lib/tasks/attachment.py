"""Attachment scores of dependency trees: share of words with the right head, and with the right relation too."""

from __future__ import annotations

import io

import numpy as np

from xsim_lib.tasks.shares import Score, score, share
from xsim_lib.text.types import Treebank

__all__ = ["UNREAD", "attachment_scores", "official_counts"]

#: Relation of a word that the parser never saw, because the sentence was too long for it.
UNREAD = "_"
_NOT_SCORED = ("PUNCT", "SYM")


def attachment_scores(
    gold: Treebank, predicted: Treebank, *, subtypes: bool = False, punctuation: bool = False
) -> dict[str, Score]:
    r"""Unlabelled and labelled attachment score.

    .. math:: \mathrm{UAS} = \frac{1}{n} \sum_{i=1}^{n} [\hat h_i = h_i], \qquad
        \mathrm{LAS} = \frac{1}{n} \sum_{i=1}^{n} [\hat h_i = h_i \wedge \hat r_i = r_i]

    Parameters
    ----------
    gold, predicted : Treebank
        The same sentences of the same words.
    subtypes : bool
        Compare whole relations (``acl:relcl``) instead of the universal part (``acl``).
    punctuation : bool
        Score every word, as the shared tasks do. By default words that the gold standard tags PUNCT or SYM are left
        out, as in the code of Wu & Conneau et al. (2020).

    Returns
    -------
    ``{"uas": Score, "las": Score}``, with bootstrap intervals over sentences; `Score.n` counts words. A word that the
    parser could not read (relation `UNREAD`) is wrong in both, whatever its head.

    Raises
    ------
    ValueError : the words differ, nothing is left to score, or a treebank without trees.

    Notes
    -----
    With `punctuation` the numbers are those of the official scorer of Universal Dependencies, which knows no other
    convention: it is run, and a difference would be an error. Cite with either number which of the two it is.

    References
    ----------
    Zeman et al. (2018), CoNLL 2018 shared task, section 5.
    """
    for bank in (gold, predicted):
        bank.require("parsing")
    right = _compare(gold, predicted, subtypes)
    heads, relations, scored, unread = (right[:, k] for k in range(4))
    if punctuation:
        scored = np.ones(len(scored), dtype=bool)
        official = official_counts(gold, predicted, subtypes=subtypes)
        own = (int(heads.sum()), int((heads & relations).sum()), len(heads))
        if official != own:
            raise RuntimeError(f"udtools counts (heads, labelled, words) {official}, we {own}")
    if not scored.any():
        raise ValueError(f"gold: {gold.name} has only punctuation, nothing to score")
    starts = np.cumsum([0, *map(len, gold.sentences[:-1])])
    counts = {"uas": heads & scored, "las": heads & relations & scored}
    words = np.add.reduceat(scored.astype(np.int64), starts)
    return {
        name: score(
            np.stack([np.add.reduceat(hits.astype(np.int64), starts), words], axis=1),
            share,
            int(words.sum()),
            cut=int((unread & scored).sum()),
        )
        for name, hits in counts.items()
    }


def official_counts(
    gold: Treebank, predicted: Treebank, *, subtypes: bool = False
) -> tuple[int, int, int]:
    """Count with udtools, the official scorer: right heads, right heads with right relations, words."""
    from udtools import udeval

    texts: tuple[list[str], list[str]] = ([], [])
    for right, guess in zip(gold.sentences, predicted.sentences, strict=True):
        for k, (answer, token) in enumerate(zip(right.tokens, guess.tokens, strict=True), start=1):
            head = token.head
            if token.deprel == UNREAD:
                # The scorer takes no "no answer": a head that is wrong, and makes no cycle.
                head = 0 if answer.head else 1
            texts[0].append(_line(k, answer.form, answer.head, answer.deprel, subtypes))
            texts[1].append(_line(k, answer.form, head, token.deprel, subtypes))
        for lines in texts:
            lines.append("")
    loaded = [
        # Several roots: unread words may have become roots.
        udeval.load_conllu(io.StringIO("\n".join(lines) + "\n"), "", {"multiple_roots_okay": True})
        for lines in texts
    ]
    found = udeval.evaluate(*loaded)
    return found["UAS"].correct, found["LAS"].correct, found["UAS"].gold_total


def _line(number: int, form: str, head: int, relation: str, subtypes: bool) -> str:
    # The scorer cuts a relation at its colon.
    relation = relation.replace(":", "~") if subtypes else relation
    return f"{number}\t{form}\t_\t_\t_\t_\t{head}\t{relation}\t_\t_"


def _compare(gold: Treebank, predicted: Treebank, subtypes: bool) -> np.ndarray:
    """For every word: right head, right relation, no punctuation, unread; bool (n_words, 4)."""
    if len(gold) != len(predicted):
        raise ValueError(f"predicted: expected {len(gold)} sentences, got {len(predicted)}")
    rows = []
    for number, (right, guess) in enumerate(
        zip(gold.sentences, predicted.sentences, strict=True), start=1
    ):
        if [t.form for t in right.tokens] != [t.form for t in guess.tokens]:
            raise ValueError(
                f"predicted: sentence {number}: expected the words {right.text!r}, got {guess.text!r}"
            )
        for answer, token in zip(right.tokens, guess.tokens, strict=True):
            unread = token.deprel == UNREAD
            relations = (answer.deprel, token.deprel)
            if not subtypes:
                relations = tuple(relation.partition(":")[0] for relation in relations)
            rows.append(
                (
                    token.head == answer.head and not unread,
                    relations[0] == relations[1] and not unread,
                    answer.upos not in _NOT_SCORED,
                    unread,
                )
            )
    return np.array(rows, dtype=bool)
