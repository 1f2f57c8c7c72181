"""What is counted between languages of an artificial family."""

import pytest

from xsim_lib.text.artificial import comparing, presets, relabelling
from xsim_lib.text.artificial.spec import LanguageSpec


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("kala", "kala", 0),
        ("kala", "kal", 1 / 4),
        ("kala", "pala", 1 / 4),
        ("ab", "cd", 1),
        ("", "x", 1),
    ],
)
def test_the_edit_distance_counts_changes_over_the_longer_word(one, two, expected):
    assert comparing.edit_distance(one, two) == comparing.edit_distance(two, one) == expected


def test_frequencies_differ_by_the_share_of_words_that_would_have_to_change():
    assert comparing.frequency_difference(["a b", "a b"], ["b a"]) == 0
    assert comparing.frequency_difference(["a b"], ["c d"]) == 1
    assert comparing.frequency_difference(["a a a b"], ["a b b b"]) == pytest.approx(0.5)


def test_ranks_begin_at_one_and_only_words_of_letters_count():
    found = comparing.ranked_frequencies(["b a a .", "a 7 c b"])
    assert dict(found) == {
        1: pytest.approx(3 / 6),
        2: pytest.approx(2 / 6),
        3: pytest.approx(1 / 6),
    }


def test_relatives_have_words_nearer_to_each_other_than_strangers_do():
    pairs = [("en", "fr"), ("en", "et")]
    near, far = comparing.word_distances(presets.european4(seed=0), pairs)
    assert near < far
    strange = comparing.word_distances(
        presets.european4(seed=0, cognates=False, borrowings=()), pairs
    )
    assert near < min(strange)


def test_a_relabelling_sets_only_what_a_language_has():
    for settings in (relabelling.ONE_WORDING, relabelling.WITHOUT_FILLERS, relabelling.ONE_GRAMMAR):
        assert set(settings) <= set(LanguageSpec.model_fields)
