"""Settings of emerging2020: every row of the table is the model that the paper describes."""

import pytest

from xsim_lib.papers.emerging2020.table1_names import ALL_SEPARATE, PAIRS, ROWS
from xsim_lib.papers.emerging2020.tasks import pair_task
from xsim_lib.study import profiles

EVERY = sorted(profiles._load("emerging2020"))
each = pytest.mark.parametrize("profile", EVERY)


def settings(profile="smoke", **overrides):
    return profiles.paper_settings("emerging2020", profile, **overrides)


@each
def test_rows_differ_in_one_respect_each(profile):
    found = settings(profile)
    pair = found.pairs[0]
    default = found.bilingual("Default", pair, 1)
    assert not default.needs_language
    assert default.tokenization == "joint"
    varied = {"name", "source", "tokenization", "separate_embeddings", "separate_layers", "code_switch"}  # fmt: skip
    for row in ROWS:
        spec = found.bilingual(row, pair, 1)
        assert spec.source.languages == ("en", pair[-2:])
        same = spec.model_dump(exclude=varied)
        assert same == default.model_dump(exclude=varied), row
        assert spec.separate_embeddings == row.startswith("Sep Emb")
        assert bool(spec.separate_layers) == ("L1" in row)
        assert (spec.code_switch is not None) == (row == "Extra anchors")
        assert (spec.source == default.source) == (row != "Wiki-CC")
    assert found.bilingual("Default anchors", pair, 1).tokenization == "separate"
    assert found.bilingual("No anchors", pair, 1).tokenization == "prefixed"


@each
def test_thirds_and_three_quarters_are_of_the_depth_there_is(profile):
    found = settings(profile)
    depth = found.encoder["num_hidden_layers"]
    lower = found.bilingual("Sep L1-3", found.pairs[0], 1).separate_layers
    most = found.bilingual("Sep Emb + L1-6", found.pairs[0], 1).separate_layers
    assert lower == tuple(range(1, round(depth / 3) + 1))
    assert most == tuple(range(1, round(3 * depth / 4) + 1))
    assert 0 < len(lower) < len(most) < depth


def test_another_domain_is_that_of_the_second_language_alone():
    found = settings()
    default = found.bilingual("Default", "en-zh", 1).source.training()
    other = found.bilingual("Wiki-CC", "en-zh", 1).source.training()
    assert other["en"] == default["en"]
    assert other["zh"] != default["zh"]


def test_english_again_has_another_start_and_the_same_text():
    found = settings()
    one, again = (found.monolingual(x, 1) for x in ("en", "en'"))
    assert one.source.training() == again.source.training()
    assert one.training.seed != again.training.seed
    assert one.training == again.training.model_copy(update={"seed": one.training.seed})
    twice = found.bilingual("Sep Emb", "en-en'", 1)
    assert twice.separate_embeddings
    text = twice.source.training()
    assert text["en"] == text["en'"]


@each
def test_every_pair_has_a_task_and_every_task_data(profile):
    found = settings(profile)
    assert set(found.tasks) == {name for pair in found.pairs for name in found.tasks_of(pair)}
    assert set(found.rows) <= set(ROWS)
    assert found.group("tables").models == ("bilingual",)
    assert found.trained == ()  # no model of all five languages is made ahead of the pages


@pytest.mark.parametrize("profile", ["smoke", "mini"])
def test_artificial_languages_have_every_row_pair_and_task(profile):
    found = settings(profile)
    measured = found.recorded.get("table1_ablations", {}).get("rows", found.rows)
    assert tuple(measured) == ROWS
    assert set(found.rows) <= set(ROWS)
    assert found.pairs == PAIRS
    assert all(found.tasks_of(pair) == ("nli", "ner", "parsing") for pair in PAIRS)
    task = pair_task(found, "nli", "en-ru", 3)
    assert task.source == "en"
    assert list(task.tests) == ["en", "ru"]
    assert task.settings.seed == 3
    assert task.settings.pooling == "mean"


def test_errors_name_what_was_expected():
    found = settings()
    with pytest.raises(ValueError, match=r"row: expected one of Default, .*; got 'Defualt'"):
        found.bilingual("Defualt", "en-fr", 1)
    with pytest.raises(ValueError, match=r"language: this profile has .*; got 'xx'"):
        found.bilingual("Default", "en-xx", 1)
    with pytest.raises(ValueError, match=r"language: this profile has .*; got 'xx'"):
        found.monolingual("xx", 1)
    with pytest.raises(ValueError, match="task: expected one of ner; got 'nli'"):
        pair_task(settings(tasks=["ner"]), "nli", "en-fr", 1)
    with pytest.raises(ValueError, match="pair: nli cannot be tested in both languages of 'en-de'"):
        pair_task(found, "nli", "en-de", 1)
    with pytest.raises(ValueError, match="row: expected one of"):
        settings(rows=["Sep"])
    with pytest.raises(ValueError, match=r"expected bilingual, monolingual; got .*, third"):
        settings(models={"third": {"learning_rate": 1e-3}})


def test_the_separate_rows_are_those_the_claims_speak_of():
    parts = {row for row in ROWS if settings().bilingual(row, "en-fr", 1).has_views}
    assert parts == set(ALL_SEPARATE)
