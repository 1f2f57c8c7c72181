"""Real text in Latin letters: nothing gets lost, languages of one script are told apart."""

import pytest

from xsim_lib.text.romanisation import romanise


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Нынче Эрзянь кель", "myv", "Nynche Erzyan kel"),
        ("ئۇيغۇر تىلى", "ug", "uyghur tili"),
        ("Київ", "uk", "Kyiv"),
        ("и", "uk", "y"),
        ("и", "ru", "i"),
        ("我们 走。", "zh", "women zou."),
        ("エストニア", None, "esutonia"),
        ("già", "it", "gia"),
        ("plain text, 12.", "en", "plain text, 12."),
    ],
)
def test_what_uroman_gives(text, language, expected):
    assert romanise(text, language) == expected


@pytest.mark.parametrize("text", ["\u200b", "\ufe0f", ""])
def test_no_word_becomes_empty(text):
    assert romanise(text) == text


def test_only_text_is_romanised():
    with pytest.raises(ValueError, match="text: expected a string, got None"):
        romanise(None)
