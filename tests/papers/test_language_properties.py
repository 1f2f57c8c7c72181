"""Characters, type-token ratios and their correlation with a number per language."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from xsim_lib.papers.parafac2023.language_properties import (
    property_correlations,
    type_token_ratio,
    unique_characters,
)
from xsim_lib.text.types import Token, Treebank, TreebankSentence


def test_rare_characters_do_not_count():
    text = ["a" * 600, "b" * 390, "c" * 9, "x"]
    assert unique_characters(text) == 3
    assert unique_characters(text, coverage=1) == 4
    assert unique_characters(text, coverage=0.6) == 1
    assert unique_characters(text, coverage=0.601) == 2


def test_white_space_is_no_character_and_every_other_is():
    assert unique_characters(["a b", "a\tb\u3000", "漢 字."], coverage=1) == 5


@pytest.mark.parametrize(
    ("lines", "coverage", "message"),
    [([" "], 0.9, "lines: expected a character"), (["a"], 0, "coverage"), (["a"], 1.1, "coverage")],
)
def test_text_without_characters_and_shares_outside_are_refused(lines, coverage, message):
    with pytest.raises(ValueError, match=message):
        unique_characters(lines, coverage=coverage)


def test_type_token_ratio_counts_lemmas_over_all_sentences():
    def sentence(number, *lemmas):
        tokens = [
            Token(form=f"{x}s", lemma=x, upos="NOUN", feats={}, head=k, deprel="dep")
            for k, x in enumerate(lemmas)
        ]
        return TreebankSentence(str(number), tuple(tokens))

    bank = Treebank("bank", "en", (sentence(1, "a", "b", "a"), sentence(2, "b")))
    assert type_token_ratio(bank) == 2 / 4


def test_correlations_are_pearsons_with_its_p_and_interval():
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.normal(size=(9, 2)), index=list("abcdefghi"), columns=[0, 3])
    properties = pd.Series(rng.normal(size=9), index=list("ihgfedcba"))
    found = property_correlations(values, properties)
    for layer in (0, 3):
        expected = pearsonr(values[layer], properties[values.index])
        interval = expected.confidence_interval(0.95)
        assert found.loc[layer, ["value", "p"]].tolist() == pytest.approx(list(expected))
        assert found.loc[layer, ["lower", "upper"]].tolist() == pytest.approx(list(interval))
    assert found["n"].tolist() == [9, 9]


def test_a_language_without_a_value_is_left_out_and_so_is_a_column_of_too_few():
    values = pd.DataFrame(
        {0: [1, 2, 3, 5.0, np.nan], 1: [1, 2, 3, np.nan, np.nan]}, index=list("abcde")
    )
    found = property_correlations(values, pd.Series([2.0, 1, 4, 3, 99], index=list("abcde")))
    assert found["n"].to_dict() == {0: 4}
    constant = property_correlations(values.fillna(0) * 0, pd.Series(range(5), index=list("abcde")))
    assert constant.empty
    with pytest.raises(ValueError, match="none for e"):
        property_correlations(values, pd.Series([1.0, 2, 3, 4], index=list("abcd")))
