"""Features of Universal Dependencies as the categories of parafac2023."""

import pandas as pd
import pytest

from xsim_lib.evidence import chapters
from xsim_lib.papers.parafac2023.morphology import (
    CATEGORIES,
    morphological_categories,
)


def test_the_categories_are_those_of_the_papers_table():
    table = pd.read_csv(chapters.folder("parafac2023") / "printed" / "table3.csv")
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
    assert morphological_categories(feats) == expected | {"Part of Speech"}
