"""Fine-tuning in one language and reading in others: kept, resumable, with signs and intervals as said."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import small
import torch
from scipy.stats import spearmanr

from xsim_lib import kernels, profiles, transfer
from xsim_lib.bilstm import BiLSTM
from xsim_lib.cka import rbf_cka
from xsim_lib.parsing import ParserSettings
from xsim_lib.random_init import layer_list
from xsim_lib.sources import Artificial
from xsim_lib.tagging import TaggerSettings
from xsim_lib.transfer import Task

SOURCE = Artificial(languages=("en", "fr", "bg"), sentences=1)
POS = TaggerSettings(steps=3, batch_size=8, learning_rate=1e-3)
PARSING = ParserSettings(steps=2, batch_size=8, learning_rate=1e-3, arc=8, label=4)


def task(name="pos", settings=POS, targets=("en", "fr", "bg"), n=20):
    tests = {language: SOURCE.treebank(language, n, "test") for language in targets}
    return Task(name, settings, SOURCE.treebank("en", 30, "train"), tests)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    return tmp_path / "finetuned"


# ---------------------------------------------------------------- scores
def test_scores_are_points_and_x_is_the_mean_over_the_other_languages(cache):
    found = transfer.scores(small.loaded(), task(), progress=False).set_index("pair_or_language")
    assert list(found.index) == ["en-en", "en-fr", "en-bg", "en-X"]
    others = found.loc[["en-fr", "en-bg"]]
    for column in ("value", "lower", "upper"):
        assert found.loc["en-X", column] == pytest.approx(others[column].mean())
    assert (found["lower"] <= found["value"]).all()
    assert (found["value"] <= found["upper"]).all()
    assert found["value"].max() > 1  # points, not shares
    assert set(found["task"]) == {"pos"}
    assert set(found["metric"]) == {"accuracy"}


def test_the_same_run_is_made_once_and_another_one_anew(cache, monkeypatch):
    made = []
    real = transfer.finetune_tagger

    def counted(*args, **options):
        made.append(options["directory"])
        return real(*args, **options)

    monkeypatch.setattr(transfer, "finetune_tagger", counted)
    model = small.loaded()
    first = transfer.scores(model, task(), progress=False)
    pd.testing.assert_frame_equal(transfer.scores(model, task(), progress=False), first)
    assert len(made) == 1
    kept = transfer.fine_tuned(model, task(), progress=False)
    assert torch.equal(kept.head.weight, real(model, task().train, POS, task="pos").head.weight)
    other = replace(task(), settings=POS.model_copy(update={"seed": 1}))
    transfer.scores(model, other, keep=False, progress=False)
    assert made[-1] is None
    assert len(list(cache.glob("*/model"))) == 1  # the other one was not to be kept
    assert len(list(cache.glob("*/scores.*.json"))) == 2


def test_other_test_sentences_are_other_scores_of_the_same_model(cache):
    model = small.loaded()
    transfer.scores(model, task(), progress=False)
    transfer.scores(model, task(n=10), progress=False)
    assert len(list(cache.glob("*/model"))) == 1
    assert len(list(cache.glob("*/scores.*.json"))) == 2


def test_parsing_gives_both_attachment_scores(cache):
    found = transfer.scores(small.loaded(), task("parsing", PARSING), keep=False, progress=False)
    assert set(found["metric"]) == {"uas", "las"}
    by = found.set_index(["metric", "pair_or_language"])["value"]
    assert (by["uas"] >= by["las"]).all()


def test_what_is_wrong_with_a_task_is_named():
    with pytest.raises(ValueError, match="name: expected parsing, pos, ner; got 'nli'"):
        task("nli")
    with pytest.raises(ValueError, match="tests: expected the source 'en' among fr"):
        task(targets=("fr",))


# ---------------------------------------------------------------- RANDOM-INIT
def test_layers_are_counted_from_one_and_reset_two_by_two():
    model = small.loaded(num_hidden_layers=4)
    assert transfer.layer_pairs(model) == {"layers 1-2": (1, 2), "layers 3-4": (3, 4)}
    before, after = (layer_list(m)[1] for m in (model, transfer.reset(model, (3, 4), seed=0)))
    same = [
        all(torch.equal(a, b) for a, b in zip(x.parameters(), y.parameters(), strict=True))
        for x, y in zip(before, after, strict=True)
    ]
    assert same == [True, True, False, False]
    with pytest.raises(ValueError, match="even number of layers, got 3"):
        transfer.layer_pairs(small.loaded(num_hidden_layers=3))


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
    found = transfer.changes(after, before, "accuracy").set_index("pair_or_language")
    assert found["value"].to_dict() == {"en-en": -1.0, "en-fr": -10.0}
    assert set(found["metric"]) == {"delta_accuracy"}
    assert (found["value"] - found["lower"]).tolist() == pytest.approx([5.0, 5.0])  # hypot(3, 4)


def test_gaps_are_target_minus_source_of_targets_only():
    found = transfer.gaps(_table(en=90.0, fr=70.0, tr=40.0, X=55.0), "accuracy", "en")
    assert dict(zip(found["pair_or_language"], found["value"], strict=True)) == {
        "en-fr": -20.0,
        "en-tr": -50.0,
    }


# ---------------------------------------------------------------- correlation
def test_rank_correlation_is_scipys_with_an_interval_around_it():
    random = np.random.default_rng(0)
    x = random.standard_normal(12).round(1)
    y = (x + random.standard_normal(12)).round(1)
    found = transfer.rank_correlation(x, y)
    assert found.estimate == pytest.approx(spearmanr(x, y).statistic)
    assert -1 <= found.lower < found.estimate < found.upper <= 1
    again = transfer.rank_correlation(np.exp(x), y)
    assert again == pytest.approx(found)  # only ranks count


def test_nothing_is_known_where_a_side_does_not_vary():
    assert transfer.rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) == (0, -1, 1)
    with pytest.raises(ValueError, match="4 or more"):
        transfer.rank_correlation([1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="finite"):
        transfer.rank_correlation([1, 2, 3, np.nan], [1, 2, 3, 4])


# ---------------------------------------------------------------- RBF CKA over layers
def test_rbf_rows_have_every_layer_with_baselines_and_intervals():
    model, text = small.loaded(), {"en-fr": small.parallel("en-fr", 40)}
    found = kernels.rbf_rows(model, text, blocks=4)
    assert set(found["baseline"]) == {"", "shuffled", "length_matched", "untrained"}
    own = found[(found["baseline"] == "") & (found["metric"] == "cka_rbf")]
    assert own["layer"].tolist() == [0, 1, 2]
    assert (own["lower"] < own["value"]).all()
    assert (own["value"] < own["upper"]).all()
    shuffled = found[(found["baseline"] == "shuffled") & (found["metric"] == "cka_rbf")]
    assert (own["value"].to_numpy() > shuffled["value"].to_numpy()).all()
    debiased = found[(found["baseline"] == "shuffled") & (found["metric"] == "cka_rbf_debiased")]
    assert debiased["value"].abs().max() < shuffled["value"].min()
    with pytest.raises(ValueError, match="baselines: expected any of shuffled"):
        kernels.rbf_rows(model, text, baselines=("random",))


def test_batches_of_the_authors_share_nearly_all_sentences():
    assert len(np.unique(np.concatenate(kernels.authors_batches(25)))) == 28
    assert len(np.unique(np.concatenate(kernels.separate_batches(25)))) == 100
    random = np.random.default_rng(0)
    x, y = (torch.from_numpy(random.standard_normal((100, 20))) for _ in range(2))
    overlapping = kernels.in_batches(x, y, kernels.authors_batches(25))
    separate = kernels.in_batches(x, y, kernels.separate_batches(25))
    assert overlapping[0] == separate[0] == pytest.approx(rbf_cka(x[:25], y[:25]))
    assert overlapping.std() < separate.std()
    assert overlapping.mean() > 0.5  # of independent data: the bias of small batches


# ---------------------------------------------------------------- unseen languages
def test_a_bilstm_is_scored_like_an_encoder_and_kept_by_its_own_words(cache):
    own = replace(task(targets=("en",)), tests={"en": SOURCE.treebank("en", 20, "test")})
    words = [[token.form for token in s.tokens] for s in own.train.sentences]
    models = [BiLSTM(words, seed=0), BiLSTM(words, seed=1), BiLSTM(words[:5], seed=0)]
    found = [transfer.scores(m, own, progress=False) for m in models]
    assert [len(f) for f in found] == [1, 1, 1]  # one language has no mean over others
    assert list(found[0]["pair_or_language"]) == ["en-en"]
    assert len(list(cache.iterdir())) == 3
    assert transfer.scores(models[0], own, progress=False).equals(found[0])
    (row,) = transfer.own_scores(models[0], own, progress=False).to_dict("records")
    assert row == found[0].iloc[0].to_dict() | {"pair_or_language": "en"}


@pytest.mark.parametrize(
    ("scores", "name"),
    [((90, 0, 90), "easy"), ((80, 90, 90), "intermediate"), ((80, 89, 90), "hard")],
)
def test_a_language_is_as_hard_as_the_simplest_model_that_beats_the_baseline(scores, name):
    assert transfer.category(*scores) == name


# ---------------------------------------------------------------- settings
def test_the_chapters_settings_name_tasks_that_can_be_fine_tuned():
    settings = profiles.settings("align2021", "smoke")
    made = settings.task("ner", "ar", 3)
    assert (made.name, made.source, made.settings.seed) == ("ner", "ar", 3)
    assert tuple(made.tests) == settings.transfer.targets
    assert "gsw" not in made.tests  # unseen languages are no targets
    with pytest.raises(ValueError, match="task: expected one of parsing, pos, ner; got 'nli'"):
        settings.task("nli", "en", 1)
    with pytest.raises(ValueError, match="got 'xx'"):
        settings.task("pos", "xx", 1)
    with pytest.raises(ValueError, match=r"sources, targets: parsing has train .*got 'xx'"):
        profiles.settings("align2021", "smoke", sources=["xx"])


def test_entities_of_real_text_are_tested_where_they_are_annotated():
    settings = profiles.settings("align2021", "real")
    assert settings.tested("ner") == ("en", "de", "pt", "ru", "sv", "zh")
    assert len(settings.tested("pos")) == 18
    with pytest.raises(ValueError, match="parsing has train sentences in en; got 'ru'"):
        profiles.settings("align2021", "real", sources=["en", "ru"])
