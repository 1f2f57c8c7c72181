"""Words in folds and CKA of two encoders: nothing tested that was fitted, and values that are known."""

import numpy as np
import pytest
import small
import torch
from scipy.stats import ortho_group

from xsim_lib.indices.cka import linear_cka
from xsim_lib.papers.emerging2020 import joined_models
from xsim_lib.papers.emerging2020.rotations import WordVectors, word_translation
from xsim_lib.papers.emerging2020.tasks import joined_task
from xsim_lib.study import profiles
from xsim_lib.text.types import BilingualDictionary


def words(part, side):
    return {pair[side] for pair in part.pairs}


@pytest.mark.parametrize("folds", [2, 3])
def test_every_translation_is_tested_once_and_shares_no_word_with_what_fits(folds):
    parts = joined_models.dictionary_parts(small.SOURCE, "en-fr", folds)
    assert len(parts) == folds
    whole = small.SOURCE.dictionary("en", "fr").pairs
    assert sorted(p for _, test in parts for p in test.pairs) == sorted(whole)
    for fit, test in parts:
        assert sorted((*fit.pairs, *test.pairs)) == sorted(whole)
        assert not words(fit, 0) & words(test, 0)
        assert not words(fit, 1) & words(test, 1)
    counts = [len(words(test, 0)) for _, test in parts]
    assert max(counts) < 2 * min(counts)


def test_without_folds_the_dictionary_has_parts_of_its_own():
    ((fit, test),) = joined_models.dictionary_parts(small.SOURCE, "en-fr", None)
    assert fit == small.SOURCE.dictionary("en", "fr", "train")
    assert test == small.SOURCE.dictionary("en", "fr", "test")
    with pytest.raises(ValueError, match="folds: expected fewer, en-fr has no word for part"):
        joined_models.dictionary_parts(small.SOURCE, "en-fr", 10_000)


def planted(n=60, noise=0.0):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, n, 8))
    y = np.stack([layer @ ortho_group.rvs(8, random_state=k) for k, layer in enumerate(x)])
    y += noise * rng.normal(size=y.shape)
    one = WordVectors(tuple(f"a{k}" for k in range(n)), torch.from_numpy(x))
    two = WordVectors(tuple(f"b{k}" for k in range(n)), torch.from_numpy(y))
    pairs = [(f"a{k}", f"b{k}") for k in range(n)]
    parts = [
        tuple(
            BilingualDictionary("a", "b", tuple(p for k, p in enumerate(pairs) if test == (k % 3 == fold)))
            for test in (False, True)
        )
        for fold in range(3)
    ]  # fmt: skip
    return one, two, parts


def cell(table, **equal):
    wanted = {"layer": 0, "metric": "precision_at_1", "baseline": "", "variant": ""} | equal
    for column, value in wanted.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def test_a_planted_rotation_is_found_in_every_fold_and_not_without_its_pairs():
    one, two, parts = planted()
    found = joined_models.translated(one, two, parts)
    for layer in (0, 1):
        for variant in ("", "reverse"):
            assert cell(found, layer=layer, variant=variant)["value"] == 1
        assert cell(found, layer=layer, baseline="shuffled")["value"] < 0.2
        assert cell(found, layer=layer, baseline="unmapped")["value"] < 0.2
    assert set(found["n"]) == {60}


def test_folds_are_pooled_by_their_words():
    one, two, parts = planted(noise=0.7)
    uneven = [
        parts[0],
        (parts[1][0], BilingualDictionary("a", "b", parts[1][1].pairs[:5])),
    ]
    pooled = cell(joined_models.translated(one, two, uneven, baselines=()))
    single = [cell(word_translation(one, two, *part, baselines=())) for part in uneven]
    n = np.array([row["n"] for row in single])
    assert list(n) == [20, 5]
    assert pooled["n"] == 25
    value = np.array([row["value"] for row in single])
    assert 0 < pooled["value"] < 1
    assert pooled["value"] == pytest.approx(n @ value / 25)
    below = n / 25 * (value - [row["lower"] for row in single])
    assert pooled["value"] - pooled["lower"] == pytest.approx(np.hypot(*below))


def encoders(n=200, shared=True):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3, n, 6)) * np.array([3, 2, 1, 1, 1, 0.5])
    y = np.stack([layer @ ortho_group.rvs(6, random_state=k) for k, layer in enumerate(x)])
    return torch.from_numpy(x), torch.from_numpy(y if shared else rng.normal(size=x.shape))


def test_cka_of_rotated_states_is_one_and_of_independent_ones_its_floor():
    x, y = encoders()
    found = joined_models.between(x, y, lengths=[k % 5 for k in range(200)])
    assert set(found["baseline"]) == {"", "shuffled", "length_matched"}
    own = found[found["baseline"] == ""]
    assert own["value"].to_numpy() == pytest.approx(1)
    assert set(own["n_layers"]) == {2}
    debiased = found[found["metric"] == "cka_debiased"]
    assert debiased[debiased["baseline"] != ""]["value"].abs().max() < 0.1
    other = joined_models.between(*encoders(shared=False))
    other = other[(other["metric"] == "cka_debiased") & (other["baseline"] == "")]
    assert ((other["lower"] < 0) & (other["upper"] > 0)).sum() >= 2


def test_cka_between_encoders_is_that_of_the_rows():
    x, _ = encoders()
    y = x + torch.from_numpy(np.random.default_rng(2).normal(size=x.shape))
    found = joined_models.between(x, y)
    for metric, debiased in (("cka", False), ("cka_debiased", True)):
        rows = found[(found["metric"] == metric) & (found["baseline"] == "")].set_index("layer")
        for layer in range(3):
            value = linear_cka(x[layer], y[layer], debiased=debiased)
            assert rows["value"][layer] == pytest.approx(value)
            assert rows["lower"][layer] < value < rows["upper"][layer]
    with pytest.raises(ValueError, match="x: expected at least 40 sentences for intervals, got 39"):
        joined_models.between(x[:, :39], y[:, :39])


def test_what_a_profile_lets_the_new_layers_learn():
    settings = profiles.paper_settings("emerging2020", "smoke")
    task = joined_task(settings.joining, "ner", settings.source, ["en", "zh"], 7)
    assert (task.source, list(task.tests), task.settings.seed) == ("en", ["en", "zh"], 7)
    assert len(task.train) == settings.joining.train
    first, again = (settings.monolingual(x, 3).training.seed for x in ("en", "en'"))
    starts = {
        settings.monolingual(x, 3).training.seed for x in ("en", "fr", "de", "ru", "zh", "en'")
    }
    assert len(starts) == 6  # a common start would be a common space
    assert (first, settings.monolingual("en'", 3).source.languages) == (3, ("en",))
    assert again != first
