"""Models with language-specific parts or vocabularies, from their specification to their views."""

import pytest
import small
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from xsim_lib.models import bilingual
from xsim_lib.models.bilingual import CodeSwitching
from xsim_lib.models.encoder import Encoder
from xsim_lib.training import zoo
from xsim_lib.training.pretraining import loop

KINDS = {
    "separate": {"tokenization": "separate", "vocabulary": 240},
    "prefixed": {"tokenization": "prefixed", "vocabulary": 240},
    "embeddings": {"tokenization": "separate", "vocabulary": 240, "separate_embeddings": True},
    "layers": {"separate_layers": (1, 2)},
    "switched": {"code_switch": CodeSwitching()},
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "cache"))


def spec(kind, **training):
    training = {"sampling_exponent": 0.7, "steps": 6, "evaluations": 2, **training}
    values = {**small.spec(kind, **training).model_dump(), **KINDS[kind]}
    return zoo.ModelSpec(**values)


def get(kind, **training):
    return zoo.get(spec(kind, **training), progress=False)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", KINDS)
def test_every_language_gets_a_plain_encoder_and_the_tokenizer_it_was_trained_with(kind):
    checkpoint = get(kind)
    views = checkpoint.views()
    assert list(views) == ["en", "fr"]
    for language, view in views.items():
        assert isinstance(view.model, Encoder)
        assert not view.model.training
        one = checkpoint.load(language=language)
        assert same(one.model.state_dict(), view.model.state_dict())
        assert one.tokenizer.get_vocab() == view.tokenizer.get_vocab()
        ids = view.tokenizer(small.corpus()[language][0], return_tensors="pt")["input_ids"]
        assert view.model(ids).last_hidden_state.isfinite().all()
        assert view.model.get_input_embeddings().weight.shape[0] > ids.max()
    english, french = (view.model for view in views.values())
    for name in (
        "word_embeddings",
        "position_embeddings",
        "embedding_norm",
        "layers.0",
        "layers.1",
    ):
        is_own = name in english.language_specific
        assert (english.get_submodule(name) is french.get_submodule(name)) != is_own
    assert english.language_specific == {
        "embeddings": ("word_embeddings", "position_embeddings", "embedding_norm"),
        "layers": ("layers.0", "layers.1"),
    }.get(kind, ())
    assert not same(checkpoint.views(3)["en"].model.state_dict(), english.state_dict())


def test_a_model_that_differs_by_language_is_not_loaded_without_one():
    for kind in ("separate", "prefixed", "embeddings", "layers"):
        checkpoint = get(kind, steps=2)
        for language in (None, "de"):
            with pytest.raises(ValueError, match=f"language: {kind} was trained on en, fr; got"):
                checkpoint.load(language=language)
    with pytest.raises(ValueError, match=r"step: layers has snapshots at \[1, 2\]; got 3"):
        checkpoint.load(3, "en")
    plain = zoo.get(small.spec(steps=2), progress=False)
    assert same(plain.load().model.state_dict(), plain.load(language="fr").model.state_dict())
    with pytest.raises(ValueError, match="language: small was trained on en, fr; got 'de'"):
        plain.load(language="de")


def test_code_switching_changes_what_is_trained_on():
    plain = zoo.ModelSpec(**{**spec("switched").model_dump(), "code_switch": None})
    plain = zoo.get(plain, progress=False)
    switched = get("switched")
    assert switched.directory != plain.directory
    assert not same(switched.load().model.state_dict(), plain.load().model.state_dict())
    assert switched.load().tokenizer.get_vocab() == plain.load().tokenizer.get_vocab()


def test_the_sentences_of_a_language_are_switched_by_its_own_dictionary(monkeypatch):
    found, real = [], zoo.switch

    def watch(sentences, words, settings, *, seed):
        found.append((set(sentences), words))
        return real(sentences, words, settings, seed=seed)

    monkeypatch.setattr(zoo, "switch", watch)
    get("switched", steps=12)
    source = small.SOURCE
    known = bilingual.translations([source.dictionary("en", "fr"), source.dictionary("fr", "en")])
    languages = set()
    for sentences, words in found:
        (language,) = (k for k in ("en", "fr") if sentences <= set(small.corpus()[k]))
        assert words == known[language]
        languages.add(language)
    assert languages == {"en", "fr"}


@pytest.mark.parametrize("kind", ["embeddings", "switched"])
def test_interrupted_training_ends_the_same(kind, monkeypatch, tmp_path):
    whole = get(kind).views()
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "other"))
    real = loop._step

    def step(*arguments):
        if arguments[-1] == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(loop, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        get(kind)
    monkeypatch.setattr(loop, "_step", real)
    for language, view in get(kind).views().items():
        assert same(view.model.state_dict(), whole[language].model.state_dict())


_RANK = """
import os, sys
import test_zoo_bilingual as tests
from safetensors.torch import save_file
view = tests.get("embeddings", steps=4).load(language="fr")
save_file(view.model.state_dict(), f"{sys.argv[1]}/{os.environ['RANK']}.safetensors")
"""


@pytest.mark.slow
def test_two_ranks_train_the_views_of_one_process(tmp_path, monkeypatch):
    small.two_ranks(_RANK, tmp_path)
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "alone"))
    expected = get("embeddings", steps=4).load(language="fr").model.state_dict()
    for rank in "01":
        got = load_file(tmp_path / f"{rank}.safetensors")
        for name, value in expected.items():
            torch.testing.assert_close(got[name], value, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- addresses
def test_only_models_with_language_specific_parts_depend_on_the_code_of_those():
    plain, own = get("embeddings"), zoo.get(small.spec(sampling_exponent=0.7), progress=False)
    parts = "xsim_lib.models.bilingual:BilingualForMaskedLM.forward"
    assert parts in plain.provenance["trace"]
    assert parts not in own.provenance["trace"]


# ---------------------------------------------------------------- specifications
@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("layers", {"training": small.SETTINGS}, "sampling_exponent: expected a number"),
        ("prefixed", {"training": small.SETTINGS}, "sampling_exponent: expected a number"),
        ("switched", {"training": small.SETTINGS}, "sampling_exponent: expected a number"),
        ("embeddings", {"tokenization": "joint"}, "tokenization: expected 'separate' .* 'joint'"),
        ("switched", {"tokenization": "separate"}, "tokenization: expected 'joint' .* 'separate'"),
        ("layers", {"separate_layers": (0,)}, r"separate_layers: expected numbers from 1 to 2"),
        ("layers", {"tokenization": "both"}, "tokenization"),
        ("layers", {"encoder": {"separate_layers": 1}}, "got 'separate_layers'"),
    ],
)
def test_specifications_that_contradict_themselves_are_refused(kind, changes, message):
    with pytest.raises(ValidationError, match=message):
        zoo.ModelSpec(**{**spec(kind).model_dump(), **changes})


def test_a_causal_model_and_adaptation_have_no_separate_parts():
    causal = {"encoder": {**small.ENCODER, "causal": True}}
    training = spec("layers").training.model_copy(update={"objective": "clm"})
    with pytest.raises(ValidationError, match="a causal model has none"):
        zoo.ModelSpec(**{**spec("layers").model_dump(), **causal, "training": training})
    with pytest.raises(ValidationError, match="start_from: only models without"):
        spec("layers").adapted("more", small.SOURCE, spec("layers").training)
