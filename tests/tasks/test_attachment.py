"""Attachment scores: what counts, what does not, and that the official scorer says the same."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsim_lib.tasks.attachment import UNREAD, attachment_scores, official_counts
from xsim_lib.text import corpora
from xsim_lib.text.types import Token, Treebank, TreebankSentence


def bank(*sentences, tasks=("pos", "parsing")):
    """Sentences as tuples (form, tag, head, relation)."""
    return Treebank(
        "toy",
        "en",
        [
            TreebankSentence(
                f"s{k}", tuple(Token(f, f, tag, {}, head, rel) for f, tag, head, rel in rows)
            )
            for k, rows in enumerate(sentences)
        ],
        tasks,
    )


GOLD = bank(
    [
        ("dogs", "NOUN", 2, "nsubj"),
        ("bark", "VERB", 0, "root"),
        ("loudly", "ADV", 2, "advmod:manner"),
        (".", "PUNCT", 2, "punct"),
    ],
    [("go", "VERB", 0, "root"), ("%", "SYM", 1, "dep")],
)
GUESS = bank(
    [
        ("dogs", "NOUN", 2, "obj"),  # wrong relation
        ("bark", "VERB", 0, "root"),
        ("loudly", "ADV", 2, "advmod"),  # wrong subtype
        (".", "PUNCT", 1, "punct"),  # wrong head
    ],
    [("go", "VERB", 0, "root"), ("%", "SYM", 1, "dep")],
)


@pytest.mark.parametrize(
    ("subtypes", "punctuation", "uas", "las", "n"),
    [
        (False, False, 4 / 4, 3 / 4, 4),
        (True, False, 4 / 4, 2 / 4, 4),
        (False, True, 5 / 6, 4 / 6, 6),
        (True, True, 5 / 6, 3 / 6, 6),
    ],
)
def test_each_convention_counts_what_it_says(subtypes, punctuation, uas, las, n):
    got = attachment_scores(GOLD, GUESS, subtypes=subtypes, punctuation=punctuation)
    assert got["uas"].value == pytest.approx(uas)
    assert got["las"].value == pytest.approx(las)
    assert got["uas"].n == got["las"].n == n
    for score in got.values():
        assert score.lower <= score.value <= score.upper


def test_the_right_trees_score_one_without_doubt():
    for score in attachment_scores(GOLD, GOLD, subtypes=True, punctuation=True).values():
        assert (score.value, score.lower, score.upper, score.cut) == (1, 1, 1, 0)


def test_words_that_were_not_read_are_wrong_even_where_their_head_is_right():
    first, second = GOLD.sentences
    tokens = [replace(t, deprel=UNREAD) if t.form == "loudly" else replace(t) for t in first.tokens]
    guess = replace(GOLD, sentences=(replace(first, tokens=tuple(tokens)), second))
    got = attachment_scores(GOLD, guess)
    assert (got["uas"].value, got["las"].value) == (3 / 4, 3 / 4)
    assert (got["uas"].n, got["uas"].cut) == (4, 1)
    assert official_counts(GOLD, guess) == (5, 5, 6)


# -- the official scorer -------------------------------------------------------------------------------------------


@st.composite
def pairs(draw):
    """A gold treebank and a guess in which the end of a sentence may be unread."""
    sides = ([], [])
    for _ in range(draw(st.integers(2, 4))):
        n = draw(st.integers(1, 7))
        read = draw(st.integers(1, n))
        words = [
            (draw(st.sampled_from(["a", "a b", "ñ", "."])), draw(st.sampled_from(["X", "PUNCT"])))
            for _ in range(n)
        ]
        for side, known in zip(sides, (n, read), strict=True):
            order = draw(st.permutations(range(1, known + 1)))
            heads = {order[0]: 0}
            for k, word in enumerate(order[1:], start=1):
                heads[word] = draw(st.sampled_from(order[:k]))
            names = [draw(st.sampled_from(["dep", "acl", "acl:relcl"])) for _ in range(known)]
            rows = [(*words[k], heads[k + 1], names[k]) for k in range(known)]
            side.append(rows + [(*words[k], order[0], UNREAD) for k in range(known, n)])
    return bank(*sides[0]), bank(*sides[1])


@given(pairs(), st.booleans())
def test_the_official_scorer_agrees(banks, subtypes):
    """`attachment_scores` would raise otherwise; here the other way round, from the scorer's counts."""
    gold, guess = banks
    got = attachment_scores(gold, guess, subtypes=subtypes, punctuation=True)
    heads, labelled, words = official_counts(gold, guess, subtypes=subtypes)
    assert got["uas"].value == pytest.approx(heads / words)
    assert got["las"].value == pytest.approx(labelled / words)
    assert got["uas"].n == words


def test_a_difference_from_the_official_scorer_is_an_error(monkeypatch):
    monkeypatch.setattr("xsim_lib.tasks.attachment.official_counts", lambda *_, **__: (1, 1, 6))
    with pytest.raises(RuntimeError, match=r"udtools counts .* \(1, 1, 6\), we \(5, 4, 6\)"):
        attachment_scores(GOLD, GUESS, punctuation=True)
    attachment_scores(GOLD, GUESS)  # a convention it does not know


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="predicted: expected 2 sentences, got 1"):
        attachment_scores(GOLD, GUESS.head(1))
    first, second = GUESS.sentences
    other = replace(second, tokens=(replace(second.tokens[0], form="went"), second.tokens[1]))
    with pytest.raises(ValueError, match="sentence 2: expected the words 'go %', got 'went"):
        attachment_scores(GOLD, replace(GUESS, sentences=(first, replace(other, text=""))))
    with pytest.raises(ValueError, match="toy is annotated for ner; got task 'parsing'"):
        attachment_scores(replace(GOLD, tasks=("ner",)), GUESS)
    dots = bank([(".", "PUNCT", 0, "root")], [("!", "PUNCT", 0, "root")])
    with pytest.raises(ValueError, match="toy has only punctuation, nothing to score"):
        attachment_scores(dots, dots)


@pytest.mark.real_data
def test_a_real_treebank():
    if not os.environ.get("XSIM_DATA"):
        pytest.skip("XSIM_DATA is not set: no mirror of the real corpora")
    gold = corpora.treebank("PUD-fr").head(200)
    chains = replace(
        gold,
        sentences=tuple(
            replace(s, tokens=tuple(replace(t, head=k) for k, t in enumerate(s.tokens)))
            for s in gold.sentences
        ),
    )
    for subtypes in (False, True):
        got = attachment_scores(gold, chains, subtypes=subtypes, punctuation=True)
        assert 0.05 < got["uas"].value < 0.4
        assert got["uas"].lower < got["uas"].value < got["uas"].upper
