"""The page on artificial languages: its parameters are checked, and its families differ only in what was asked for."""

import pytest

from xsim_lib.study.family_page import changed_family, family_settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"profile": "tiny"}, r"profile: expected one of .*; got 'tiny'"),
        ({"seed": True}, r"seed: expected an integer >= 0, got True"),
        ({"seed": -1}, r"seed: expected an integer >= 0, got -1"),
        ({"options": "anchors"}, r"options: expected a mapping .* got 'anchors'"),
        ({"width": 0}, r"width: expected an integer >= 1 or None, got 0"),
        ({"width": 7}, r"7"),  # the heads do not divide it
    ],
)
def test_a_wrong_parameter_is_named_before_anything_is_made(wrong, message):
    with pytest.raises(ValueError, match=message):
        family_settings(**{"profile": "smoke", "seed": 0, "options": {}, "width": None} | wrong)


def test_the_page_of_real_text_shows_the_family_of_mini():
    real, _ = family_settings("real", 0, {}, None)
    mini, encoder = family_settings("mini", 0, {}, 64)
    assert real.source == mini.source
    assert encoder["hidden_size"] == 64


def test_changes_come_after_options_and_leave_the_rest():
    settings, _ = family_settings("smoke", 0, {}, None)
    options = {"anchors": 0.5, "every": {"drop": 0.0}}
    own = changed_family(settings.source, 3, options).spec
    other = changed_family(settings.source, 3, options, anchors=0.25, every={"synonyms": 0.0}).spec
    assert (own.seed, own.anchors, other.anchors) == (3, 0.5, 0.25)
    assert {language.drop for language in other.languages.values()} == {0.0}
    assert {language.synonyms for language in other.languages.values()} == {0.0}
    assert own.trees == other.trees
