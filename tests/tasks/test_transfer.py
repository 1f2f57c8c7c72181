"""Fine-tuning in one language and reading in others: kept, resumable, with signs and intervals as said."""

from dataclasses import replace

import pandas as pd
import pytest
import small
import torch

from xsim_lib.tasks import tagging, transfer
from xsim_lib.tasks.bilstm import BiLSTM
from xsim_lib.tasks.parsing import ParserSettings
from xsim_lib.tasks.tagging import TaggerSettings
from xsim_lib.tasks.transfer import Task
from xsim_lib.text.sources import Artificial

SOURCE = Artificial(languages=("en", "fr", "bg"), sentences=1)
POS = TaggerSettings(steps=3, batch_size=8, learning_rate=1e-3)
PARSING = ParserSettings(steps=2, batch_size=8, learning_rate=1e-3, arc=8, label=4)


def task(name="pos", settings=POS, targets=("en", "fr", "bg"), n=20):
    tests = {language: SOURCE.treebank(language, n, "test") for language in targets}
    return Task(name, settings, SOURCE.treebank("en", 30, "train"), tests)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    return tmp_path


def kept_of(cache) -> tuple[int, int]:
    """How many fine-tuned models and tables of scores there are."""
    models, scores = cache.glob("finetuned/*.trace.json"), cache.glob("scores/*.json.trace.json")
    return len(list(models)), len(list(scores))


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
    real = tagging._fit

    def counted(*args):
        made.append(args)
        return real(*args)

    monkeypatch.setattr(tagging, "_fit", counted)
    model = small.loaded()
    first = transfer.scores(model, task(), progress=False)
    pd.testing.assert_frame_equal(transfer.scores(model, task(), progress=False), first)
    assert len(made) == 1
    kept = transfer.fine_tuned(model, task(), progress=False)
    assert len(made) == 1
    alone = tagging.finetune_tagger(model, task().train, POS, task="pos")
    assert torch.equal(kept.head.weight, alone.head.weight)
    other = replace(task(), settings=POS.model_copy(update={"seed": 1}))
    transfer.scores(model, other, keep=False, progress=False)
    assert kept_of(cache) == (1, 2)  # the other model was not to be kept


def test_other_test_sentences_are_other_scores_of_the_same_model(cache):
    model = small.loaded()
    transfer.scores(model, task(), progress=False)
    transfer.scores(model, task(n=10), progress=False)
    assert kept_of(cache) == (1, 2)


def test_parsing_gives_both_attachment_scores(cache):
    found = transfer.scores(small.loaded(), task("parsing", PARSING), keep=False, progress=False)
    assert set(found["metric"]) == {"uas", "las"}
    by = found.set_index(["metric", "pair_or_language"])["value"]
    assert (by["uas"] >= by["las"]).all()


def test_what_is_wrong_with_a_task_is_named():
    with pytest.raises(ValueError, match="name: expected nli, parsing, pos, ner; got 'qa'"):
        task("qa")
    with pytest.raises(ValueError, match="tests: expected the source 'en' among fr"):
        task(targets=("fr",))
    with pytest.raises(ValueError, match="train: nli expected a Classification, got a Treebank"):
        task("nli")


# ---------------------------------------------------------------- unseen languages
def test_a_bilstm_is_scored_like_an_encoder_and_kept_by_its_own_words(cache):
    own = replace(task(targets=("en",)), tests={"en": SOURCE.treebank("en", 20, "test")})
    words = [[token.form for token in s.tokens] for s in own.train.sentences]
    models = [BiLSTM(words, seed=0), BiLSTM(words, seed=1), BiLSTM(words[:5], seed=0)]
    found = [transfer.scores(m, own, progress=False) for m in models]
    assert [len(f) for f in found] == [1, 1, 1]  # one language has no mean over others
    assert list(found[0]["pair_or_language"]) == ["en-en"]
    assert kept_of(cache) == (3, 3)
    assert transfer.scores(models[0], own, progress=False).equals(found[0])
    (row,) = transfer.own_scores(models[0], own, progress=False).to_dict("records")
    assert row == found[0].iloc[0].to_dict() | {"pair_or_language": "en"}
