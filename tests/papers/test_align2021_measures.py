"""What the tables of align2021 compute: signs and intervals as said."""

import numpy as np
import pandas as pd
import pytest
import small
import torch
from scipy.stats import spearmanr

from xsim_lib.models.random_init import layer_list
from xsim_lib.papers.align2021 import measures


# ---------------------------------------------------------------- RANDOM-INIT
def test_layers_are_counted_from_one_and_reset_two_by_two():
    model = small.loaded(num_hidden_layers=4)
    assert measures.layer_pairs(model) == {"layers 1-2": (1, 2), "layers 3-4": (3, 4)}
    before, after = (layer_list(m)[1] for m in (model, measures.reset(model, (3, 4), seed=0)))
    same = [
        all(torch.equal(a, b) for a, b in zip(x.parameters(), y.parameters(), strict=True))
        for x, y in zip(before, after, strict=True)
    ]
    assert same == [True, True, False, False]
    with pytest.raises(ValueError, match="even number of layers, got 3"):
        measures.layer_pairs(small.loaded(num_hidden_layers=3))


def _table(**values):
    return pd.DataFrame(
        {
            "pair_or_language": [f"en-{k}" for k in values],
            "task": "pos",
            "metric": "accuracy",
            "value": list(values.values()),
            "lower": [v - 3 for v in values.values()],
            "upper": [v + 4 for v in values.values()],
            "n": 10,
        }
    )


def test_a_change_is_after_minus_before_and_no_narrower_than_either():
    after, before = _table(en=90.0, fr=50.0), _table(en=91.0, fr=60.0)
    found = measures.score_changes(after, before, "accuracy").set_index("pair_or_language")
    assert found["value"].to_dict() == {"en-en": -1.0, "en-fr": -10.0}
    assert set(found["metric"]) == {"delta_accuracy"}
    assert (found["value"] - found["lower"]).tolist() == pytest.approx([5.0, 5.0])  # hypot(3, 4)


def test_gaps_are_target_minus_source_of_targets_only():
    found = measures.gaps(_table(en=90.0, fr=70.0, tr=40.0, X=55.0), "accuracy", "en")
    assert dict(zip(found["pair_or_language"], found["value"], strict=True)) == {
        "en-fr": -20.0,
        "en-tr": -50.0,
    }


# ---------------------------------------------------------------- correlation
def test_rank_correlation_is_scipys_with_an_interval_around_it():
    random = np.random.default_rng(0)
    x = random.standard_normal(12).round(1)
    y = (x + random.standard_normal(12)).round(1)
    found = measures.rank_correlation(x, y)
    assert found.estimate == pytest.approx(spearmanr(x, y).statistic)
    assert -1 <= found.lower < found.estimate < found.upper <= 1
    again = measures.rank_correlation(np.exp(x), y)
    assert again == pytest.approx(found)  # only ranks count


def test_nothing_is_known_where_a_side_does_not_vary():
    assert measures.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) == (0, -1, 1)
    with pytest.raises(ValueError, match="4 or more"):
        measures.rank_correlation([1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="finite"):
        measures.rank_correlation([1, 2, 3, np.nan], [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("scores", "name"),
    [((90, 0, 90), "easy"), ((80, 90, 90), "intermediate"), ((80, 89, 90), "hard")],
)
def test_a_language_is_as_hard_as_the_simplest_model_that_beats_the_baseline(scores, name):
    assert measures.category(*scores) == name
