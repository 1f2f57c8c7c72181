"""Features of Universal Dependencies as the categories of parafac2023."""

from pathlib import Path

import pandas as pd
import pytest

import xsim_lib.reported
from xsim_lib.categories import CATEGORIES, categories, category_counts


def test_the_categories_are_those_of_the_papers_table():
    folder = Path(xsim_lib.reported.__file__).parent
    table = pd.read_csv(folder / "parafac2023_table3.csv")
    assert set(table["series"]) == set(CATEGORIES)
    assert len(CATEGORIES) == 17


@pytest.mark.parametrize(
    ("feats", "expected"),
    [
        ({}, set()),
        ({"NumType": "Card", "Foreign": "Yes"}, set()),
        ({"Case": "Acc,Nom", "Gender": "Fem"}, {"Case", "Gender"}),
        ({"Degree": "Pos"}, set()),
        ({"Degree": "Cmp"}, {"Comparison"}),
        ({"VerbForm": "Fin"}, {"Finiteness"}),
        ({"VerbForm": "Part"}, set()),
        ({"VerbForm": "Inf,Part"}, {"Finiteness"}),
        ({"Tense": "Pres"}, {"Tense"}),
        ({"Tense": "Imp"}, {"Tense", "Aspect"}),
        ({"Voice": "Act"}, {"Voice"}),
        ({"Voice": "Cau"}, {"Valency"}),
        ({"Voice": "Cau,Pass"}, {"Valency", "Voice"}),
        ({"Number[psor]": "Plur"}, {"Possession"}),
        ({"Definite": "Cons"}, {"Possession"}),
        ({"Definite": "Def"}, {"Definiteness"}),
    ],
)
def test_a_word_shows_the_categories_of_its_features(feats, expected):
    assert categories(feats) == expected | {"Part of Speech"}


def test_counts_are_of_words():
    counts = category_counts([{"Case": "Nom", "Number": "Sing"}, {"Case": "Acc"}, {}])
    assert list(counts) == list(CATEGORIES)
    assert (counts["Case"], counts["Number"], counts["Part of Speech"]) == (2, 1, 3)
    assert counts["Voice"] == 0
