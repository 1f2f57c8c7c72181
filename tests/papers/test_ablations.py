"""Ten kinds of bilingual model: what they share, what fine-tuning leaves alone, scores that are made once."""

import copy
from dataclasses import replace

import pandas as pd
import pytest
import torch

from xsim_lib.evidence import paths
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.papers.emerging2020 import ablations
from xsim_lib.papers.emerging2020.table1_names import METRICS, ROWS
from xsim_lib.papers.emerging2020.tasks import pair_task
from xsim_lib.study import profiles
from xsim_lib.tasks.finetuning import evaluate_classifier
from xsim_lib.tasks.parsing import evaluate_parser
from xsim_lib.tasks.tagging import evaluate_tagger
from xsim_lib.tasks.transfer import Task
from xsim_lib.training import zoo

SETTINGS = profiles.paper_settings("emerging2020", "smoke", training={"steps": 1}, n_parallel=40)
each_task = pytest.mark.parametrize("name", METRICS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Views of a kind of model of English and French, each trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XSIM_CACHE", str(tmp_path_factory.mktemp("zoo")))
        found = {}

        def views(row):
            if row not in found:
                found[row] = zoo.get(SETTINGS.bilingual(row, "en-fr", 1), progress=False)
            return found[row].views()

        yield views


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cache_dir", lambda: tmp_path)
    return tmp_path


def task(name, **changes):
    found = pair_task(SETTINGS, name, "en-fr", 1)
    return replace(
        found, settings=found.settings.model_copy(update={"learning_rate": 1e-2, **changes})
    )


def parts(model):
    """The encoder of a classifier, tagger or parser, and its tokenizer."""
    holder = getattr(model, "words", model)
    return holder.model.state_dict(), holder.tokenizer


# ---------------------------------------------------------------- fine-tuning
@each_task
def test_the_other_language_is_read_with_its_own_parts_and_what_was_learned(made, name):
    views = made("Sep Emb + L1-3")
    own = tuple(f"{part}." for part in views["en"].model.language_specific)
    assert own[-1] == "layers.0."
    wanted = task(name)
    tuned = ablations.fine_tuned_bilingual(views["en"], wanted, progress=False)
    other = ablations._seen_by(tuned, "fr", views, wanted)
    (before, _), (english, _), (french, tokenizer) = parts(views["en"]), parts(tuned), parts(other)
    assert tokenizer is views["fr"].tokenizer
    theirs = views["fr"].model.state_dict()
    moved = set()
    for key, value in french.items():
        if key.startswith(own):
            assert torch.equal(english[key], before[key]), key  # frozen
            assert torch.equal(value, theirs[key]), key
        else:
            assert torch.equal(value, english[key]), key
            moved |= {key} if not torch.equal(english[key], before[key]) else set()
    assert len(moved) > 20
    for key, value in tuned.head.state_dict().items():
        assert torch.equal(value, other.head.state_dict()[key])
    read = {"nli": evaluate_classifier, "ner": evaluate_tagger, "parsing": evaluate_parser}[name]
    assert read(other, wanted.tests["fr"]) != read(tuned, wanted.tests["fr"])  # it matters


def test_a_classifier_without_own_parts_learns_all_of_the_encoder(made):
    views = made("Default")
    tuned = ablations.fine_tuned_bilingual(views["en"], task("nli", steps=4), progress=False)
    before = views["en"].model.state_dict()
    still = [k for k, v in parts(tuned)[0].items() if torch.equal(v, before[k])]
    assert still == []
    assert len(tuned.losses) == 4
    assert not tuned.training


# ---------------------------------------------------------------- scores
@each_task
def test_scores_are_points_of_both_languages_made_once(made, kept, monkeypatch, name):
    calls = []
    real = ablations.fine_tuned_bilingual

    def counted(*args, **options):
        calls.append(args[1].name)
        return real(*args, **options)

    monkeypatch.setattr(ablations, "fine_tuned_bilingual", counted)
    views, wanted = made("Sep Emb"), task(name)
    found = ablations.bilingual_scores(views, wanted, progress=False)
    assert found["pair_or_language"].tolist() == ["en-en", "en-fr"]
    assert found["variant"].tolist() == ["of en-fr", ""]
    assert set(found["metric"]) == {METRICS[name]}
    assert ((found["lower"] >= 0) & (found["lower"] <= found["value"])).all()
    assert ((found["value"] <= found["upper"]) & (found["upper"] <= 100)).all()
    assert found["upper"].max() > 1  # points, not shares
    pd.testing.assert_frame_equal(ablations.bilingual_scores(views, wanted, progress=False), found)
    assert calls == [name]
    assert len(list(kept.glob("scores/*.trace.json"))) == 1
    tuned = real(views["en"], wanted, progress=False)
    other = ablations._seen_by(tuned, "fr", views, wanted)
    if name == "nli":
        value = evaluate_classifier(other, wanted.tests["fr"]).value
    elif name == "ner":
        value = evaluate_tagger(other, wanted.tests["fr"]).value
    else:
        value = evaluate_parser(other, wanted.tests["fr"])["las"].value
    assert found["value"][1] == pytest.approx(100 * value)


@pytest.mark.slow
def test_whatever_decides_the_scores_makes_them_anew(made, kept):
    default, wanted = made("Default"), task("ner")
    other = {**default, "fr": made("Default anchors")["fr"]}
    fewer = replace(wanted, tests={"en": wanted.tests["en"]})
    for views, one in (
        (default, wanted),
        (other, wanted),
        (default, fewer),
        (default, task("ner", seed=2)),
        (made("Sep Emb"), wanted),
    ):
        ablations.bilingual_scores(views, one, progress=False)
    assert len(list(kept.glob("scores/*.trace.json"))) == 5
    # The same weights, read by other heads.
    heads = {language: copy.deepcopy(view) for language, view in default.items()}
    for view in heads.values():
        view.model.config.num_attention_heads *= 2
    ablations.bilingual_scores(heads, wanted, progress=False)
    assert len(list(kept.glob("scores/*.trace.json"))) == 6


def test_a_score_that_was_interrupted_is_made_again_whole(made, kept, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Task, "score", killed)
        with pytest.raises(KeyboardInterrupt):
            ablations.bilingual_scores(made("Default"), task("ner"), progress=False)
    assert list(kept.glob("scores/*.json")) == []
    assert len(ablations.bilingual_scores(made("Default"), task("ner"), progress=False)) == 2


def test_errors_say_what_was_expected(made):
    wanted = task("ner")
    with pytest.raises(ValueError, match="name: expected nli, parsing, pos, ner; got 'qa'"):
        replace(wanted, name="qa")
    with pytest.raises(ValueError, match="tests: expected the source 'en' among fr"):
        Task("ner", wanted.settings, wanted.train, {"fr": wanted.tests["fr"]})
    views = made("Default")
    with pytest.raises(ValueError, match="views: expected en, fr; got en"):
        ablations.bilingual_scores({"en": views["en"]}, wanted)
    with pytest.raises(ValueError, match=r"without language-specific parts, got en with layers\.0"):
        ablations.untrained_views(made("Sep L1-3"), 1)
    with pytest.raises(ValueError, match="expected the same two languages, got en and en, fr"):
        ablations.sharing({"en": views["en"]}, {"en": ["a"], "fr": ["a"]})


# ---------------------------------------------------------------- controls and counts
def test_the_untrained_model_is_one_for_both_languages_and_has_their_tokenizers(made):
    views = made("Default anchors")
    control = ablations.untrained_views(views, 1)
    assert control["en"].model is control["fr"].model
    for language, view in control.items():
        assert view.tokenizer is views[language].tokenizer
    trained = views["en"].model.state_dict()
    assert not torch.equal(control["en"].model.state_dict()["layers.0.attention.out.weight"],
                           trained["layers.0.attention.out.weight"])  # fmt: skip


def test_what_is_shared_is_counted_in_the_models(made):
    text = SETTINGS.source.parallel("en-fr", SETTINGS.n_parallel).sentences
    found = pd.DataFrame({row: ablations.sharing(made(row), text) for row in ROWS}).T
    assert found.loc["Default", "anchors"] > found.loc["Default anchors", "anchors"] > 0
    for row in ("No anchors", "Sep Emb", "Sep Emb + L1-3", "Sep Emb + L1-6"):
        assert found.loc[row, "anchors"] == 0, row
    layers = found["own layers"].to_dict()
    assert {row: n for row, n in layers.items() if n} == {
        "Sep Emb + L1-3": 1, "Sep Emb + L1-6": 3, "Sep L1-3": 1, "Sep L1-6": 3,
    }  # fmt: skip
    for row in ("Default", "Wiki-CC", "Default anchors", "No anchors", "Extra anchors"):
        assert found.loc[row, "own"] == 0, row
    chain = found.loc[["Default", "Sep Emb", "Sep Emb + L1-3", "Sep Emb + L1-6"], "own"]
    assert chain.is_monotonic_increasing
    one = made("Sep L1-3")["en"].model
    layer = sum(p.numel() for p in one.layers[0].parameters())
    whole = sum(p.numel() for p in one.parameters())
    assert found.loc["Sep L1-3", "own"] == pytest.approx(layer / whole)


def test_anchors_are_pieces_in_use_by_hand(made):
    view = made("Default")["en"]
    pieces = view.tokenizer("a b", add_special_tokens=False)["input_ids"]
    both = {"en": LoadedModel("x", view.model, view.tokenizer), "fr": view}
    found = ablations.sharing(both, {"en": ["a b"], "fr": ["b"]})
    assert (found["pieces"], found["anchors"]) == (len(set(pieces)), 1)
