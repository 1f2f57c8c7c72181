"""What is shared is one object, what is not is nowhere shared, and every language draws from its own."""

import copy
import json
import re

import numpy as np
import pytest
import small
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from xsim_lib.models.bilingual import (
    BilingualForMaskedLM,
    CodeSwitching,
    in_language,
    language_tokenizers,
    switch,
    table_size,
    translations,
    with_parts_of,
)
from xsim_lib.models.encoder import EncoderConfig, LoadedModel, count_parameters
from xsim_lib.models.tokenization import SPECIAL, train_tokenizer
from xsim_lib.tasks.tagging import TaggerSettings, evaluate_tagger, finetune_tagger
from xsim_lib.text.types import BilingualDictionary, Corpus
from xsim_lib.training.pretraining import loop, objectives, pretrain

SEPARATIONS = {
    "embeddings": {"separate_embeddings": True},
    "layer 1": {"separate_layers": (1,)},
    "both": {"separate_embeddings": True, "separate_layers": (2, 1)},
}
each_separation = pytest.mark.parametrize("own", SEPARATIONS.values(), ids=SEPARATIONS)
EMBEDDINGS = ("word_embeddings", "position_embeddings", "embedding_norm")


# ---------------------------------------------------------------- vocabularies
@pytest.fixture(scope="module")
def vocabularies():
    return {
        kind: language_tokenizers(small.corpus(), 240, kind, max_length=64)
        for kind in ("separate", "prefixed")
    }


def _alone(language):
    corpus = Corpus("one", {language: small.corpus()[language]})
    return train_tokenizer(corpus, 120, max_length=64)


@pytest.mark.parametrize("kind", ["separate", "prefixed"])
@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_language_is_segmented_by_what_was_learned_on_its_own_text(vocabularies, kind, language):
    alone, tokenizer = _alone(language), vocabularies[kind][language]
    for other in ("en", "fr"):  # its own rules, whatever it reads
        for line in small.corpus()[other][:20]:
            assert tokenizer.tokenize(line) == alone.tokenize(line)
    line = small.corpus()[language][0]
    assert tokenizer.decode(tokenizer(line)["input_ids"], skip_special_tokens=True) == line
    assert len(tokenizer) == 120


@pytest.mark.parametrize("kind", ["separate", "prefixed"])
def test_pieces_are_anchors_or_belong_to_one_language(vocabularies, kind):
    english, french = (vocabularies[kind][k].get_vocab() for k in ("en", "fr"))
    both = english.keys() & french.keys()
    special = set(SPECIAL.values())
    assert both > special  # the two languages have strings in common
    common = both if kind == "separate" else special
    assert {p for p in both if english[p] == french[p]} == common
    ids = {*english.values(), *french.values()}
    assert len(ids) == 240 - len(common)  # and no id stands for two pieces
    assert ids == set(range(table_size(vocabularies[kind].values())))
    assert [english[s] for s in SPECIAL.values()] == [0, 1, 2, 3, 4]


def test_language_tokenizers_come_back_exactly(vocabularies, tmp_path):
    for kind, tokenizers in vocabularies.items():
        tokenizers["fr"].save_pretrained(tmp_path / kind)
        loaded = AutoTokenizer.from_pretrained(tmp_path / kind)
        assert loaded.get_vocab() == tokenizers["fr"].get_vocab()
        assert (loaded.model_max_length, loaded.padding_side) == (64, "right")
        for line in small.corpus()["fr"][:10]:
            assert loaded(line)["input_ids"] == tokenizers["fr"](line)["input_ids"]


def test_separate_tables_are_counted_from_zero_each():
    found = language_tokenizers(small.corpus(), 240, "separate", separate_embeddings=True)
    for language, tokenizer in found.items():
        assert tokenizer.get_vocab() == _alone(language).get_vocab()


def test_a_vocabulary_that_cannot_hold_a_languages_characters_is_refused():
    with pytest.raises(ValueError, match=r"vocabulary: expected at least \d+ .*\(en\).* got 10"):
        language_tokenizers(small.corpus(), 20, "prefixed")


# ---------------------------------------------------------------- views
def build(own, sizes=(120, 120), seed=0):
    torch.manual_seed(seed)
    options = {**small.ENCODER, **own, "max_position_embeddings": 64}
    return BilingualForMaskedLM(
        {
            language: EncoderConfig(vocab_size=size, **options)
            for language, size in zip(("en", "fr"), sizes, strict=True)
        }
    )


def _own(own):
    layers = tuple(f"layers.{number - 1}" for number in sorted(own.get("separate_layers", ())))
    return (*(EMBEDDINGS if own.get("separate_embeddings") else ()), *layers)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        yield


@each_separation
def test_views_are_made_of_the_same_objects_but_for_what_is_separate(own):
    english, french = build(own).views.values()
    assert english.encoder.language_specific == _own(own)
    parts = [*EMBEDDINGS, "layers.0", "layers.1", "last_norm"]
    for name in parts:
        a, b = english.encoder.get_submodule(name), french.encoder.get_submodule(name)
        assert (a is not b) == (name in _own(own)), name
        if name in _own(own) and name != "embedding_norm":
            assert not {id(p) for p in a.parameters()} & {id(p) for p in b.parameters()}
            assert not any(
                torch.equal(x, y)
                for x, y in zip(a.parameters(), b.parameters(), strict=True)
                if x.dim() == 2
            )
    assert english.head.transform is french.head.transform
    assert english.head.norm is french.head.norm
    assert (english.head.bias is not french.head.bias) == ("separate_embeddings" in own)


@each_separation
def test_a_batch_gives_gradients_to_the_shared_parts_and_its_own_languages(own):
    model = build(own)
    ids = torch.randint(5, 120, (4, 9))
    model(ids, labels=ids, language="fr").loss.backward()
    english, french = model.views.values()
    assert all(p.grad is not None and p.grad.any() for p in french.parameters())
    shared = {id(p) for p in french.parameters()}
    alone = [p for p in english.parameters() if id(p) not in shared]
    assert alone
    assert all(p.grad is None for p in alone)


@each_separation
def test_views_come_back_sharing_what_they_shared_and_every_weight_is_stored_once(own, tmp_path):
    model = build(own, sizes=(120, 130 if "separate_embeddings" in own else 120))
    model.save_pretrained(tmp_path / "m")
    stored = load_file(tmp_path / "m" / "model.safetensors")
    assert sum(value.numel() for value in stored.values()) == count_parameters(model)
    torch.manual_seed(9)
    before = torch.get_rng_state()
    again = BilingualForMaskedLM.from_pretrained(tmp_path / "m")
    assert torch.equal(torch.get_rng_state(), before)
    expected, got = model.state_dict(), again.state_dict()
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert count_parameters(again) == count_parameters(model)
    assert again.views["fr"].encoder.language_specific == _own(own)


@pytest.mark.parametrize("wrong", ["missing", "unknown"])
def test_a_weight_that_is_missing_or_unknown_is_an_error(tmp_path, wrong):
    build(SEPARATIONS["both"]).save_pretrained(tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    (name,) = (n for n in tensors if n.endswith("fr.encoder.word_embeddings.weight"))
    if wrong == "missing":
        del tensors[name]
    else:
        tensors["views.de.x"] = torch.ones(1)
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(RuntimeError, match=re.escape("de.x" if wrong == "unknown" else name)):
        BilingualForMaskedLM.from_pretrained(tmp_path / "m")


def test_views_that_cannot_share_are_refused():
    with pytest.raises(ValueError, match=r"configs: fr: expected vocab_size=120 .* got 130"):
        build(SEPARATIONS["layer 1"], sizes=(120, 130))
    with pytest.raises(ValueError, match="at least two languages, got en"):
        BilingualForMaskedLM({"en": EncoderConfig(**small.ENCODER)})


# ---------------------------------------------------------------- training
def _words_drawn_from(tmp_path, monkeypatch, model, tokenizers):
    """Language -> the ids that training and evaluation drew random words from."""
    seen, real = {}, objectives.mask_tokens

    def watch(ids, tokenizer, rate, words, *, seed):
        language = next(k for k, t in tokenizers.items() if t is tokenizer)
        seen.setdefault(language, set()).add(tuple(words.tolist()))
        return real(ids, tokenizer, rate, words, seed=seed)

    monkeypatch.setattr(objectives, "mask_tokens", watch)
    wanted = small.SETTINGS.model_copy(update={"sampling_exponent": 1.0, "steps": 8})
    pretrain(model, tokenizers, small.corpus(), wanted, tmp_path, progress=False)
    return {language: [set(ids) for ids in found] for language, found in seen.items()}


def test_separate_embeddings_draw_random_words_and_the_softmax_within_the_language(
    tmp_path, monkeypatch
):
    tokenizers = language_tokenizers(small.corpus(), 250, "separate", separate_embeddings=True)
    lines = {"en": small.corpus()["en"], "fr": small.corpus()["fr"]}
    # Another size for French, so that a mix-up could not go unnoticed.
    tokenizers["fr"] = train_tokenizer(Corpus("fr", {"fr": lines["fr"]}), 140, max_length=64)
    model = build(SEPARATIONS["both"], sizes=(125, 140))
    drawn = _words_drawn_from(tmp_path, monkeypatch, model, tokenizers)
    assert drawn == {"en": [set(range(5, 125))], "fr": [set(range(5, 140))]}
    ids = torch.tensor([[0, 7, 2]])
    assert model.views["en"](ids).logits.shape == (1, 3, 125)
    assert model.views["fr"](ids).logits.shape == (1, 3, 140)


def test_a_shared_table_draws_random_words_of_both_languages(tmp_path, monkeypatch, vocabularies):
    tokenizers = vocabularies["prefixed"]
    model = build(SEPARATIONS["layer 1"], sizes=(235, 235))
    drawn = _words_drawn_from(tmp_path, monkeypatch, model, tokenizers)
    assert drawn == {"en": [set(range(5, 235))], "fr": [set(range(5, 235))]}


def test_training_never_moves_the_parts_of_a_language_that_is_not_drawn(tmp_path, monkeypatch):
    model, tokenizer = build(SEPARATIONS["both"], sizes=(200, 200)), small.tokenizer()
    before = copy.deepcopy(model.state_dict())
    real = loop.schedule
    monkeypatch.setattr(loop, "schedule", lambda texts, *rest: real(texts[1:], *rest))
    wanted = small.SETTINGS.model_copy(update={"sampling_exponent": 1.0})
    pretrain(model, tokenizer, small.corpus(), wanted, tmp_path, progress=False)
    after = model.state_dict()
    own = [f"views.en.encoder.{name}." for name in _own(SEPARATIONS["both"])]
    own.append("views.en.head.bias")
    frozen = {name for name in before if torch.equal(before[name], after[name])}
    assert frozen == {name for name in before if name.startswith(tuple(own))}


# ---------------------------------------------------------------- fine-tuning
def test_what_was_learned_in_one_language_is_read_with_the_others_own_parts():
    source = small.SOURCE
    tokenizers = language_tokenizers(small.corpus(), 240, "separate", separate_embeddings=True)
    model = build(SEPARATIONS["both"] | {"separate_layers": (1,)})
    english, french = (
        LoadedModel("two", model.views[k].encoder.eval(), tokenizers[k]) for k in ("en", "fr")
    )
    own = english.model.language_specific
    settings = TaggerSettings(steps=3, batch_size=4, learning_rate=1e-2, max_length=64)
    bank = source.treebank("en", 20, "train")
    tagger = finetune_tagger(english, bank, settings, task="pos", progress=False, frozen=own)
    other = in_language(tagger, french)
    assert other.words.tokenizer is french.tokenizer
    assert torch.equal(other.head.weight, tagger.head.weight)
    tuned, got = tagger.words.model.state_dict(), other.words.model.state_dict()
    for name in got:
        is_own = name.startswith(own)
        if is_own:
            assert torch.equal(tuned[name], english.model.state_dict()[name])  # it was frozen
        expected = french.model.state_dict() if is_own else tuned
        assert torch.equal(got[name], expected[name]), name
    assert not torch.equal(
        tuned["layers.1.attention.out.weight"], english.model.layers[1].attention.out.weight
    )
    test = source.treebank("fr", 20, "test")
    assert evaluate_tagger(other, test).n == evaluate_tagger(tagger, test).n
    tagger.words.model.layers[1].attention.out.weight.data.zero_()  # copies, not the same objects
    assert got["layers.1.attention.out.weight"].any()


def test_models_with_other_separate_parts_do_not_transfer():
    first, second = (
        LoadedModel("m", build(SEPARATIONS[k]).views["en"].encoder, small.tokenizer())
        for k in ("both", "layer 1")
    )
    with pytest.raises(ValueError, match="view: expected the language-specific parts"):
        with_parts_of(first, second)


# ---------------------------------------------------------------- code-switching
def _dictionary():
    return BilingualDictionary(
        "en", "fr", (("dog", "chien"), ("cat", "chat"), ("cat", "minou"), ("cat", "chat"))
    )


def test_translations_are_grouped_by_word_and_language():
    other = BilingualDictionary("en", "et", (("dog", "koer"),))
    assert translations([_dictionary(), other]) == {
        "en": {"dog": ("chien", "koer"), "cat": ("chat", "minou")}
    }


def test_dictionary_words_are_replaced_and_everything_else_stays():
    words = translations([_dictionary()])["en"]
    everything = CodeSwitching(share=1, most=1)
    lines = ["the dog, (cat) ... dogs", "Dog !", "- - -"]
    results = {tuple(switch(lines, words, everything, seed=(1, k))) for k in range(20)}
    assert results == {
        ("the chien, (chat) ... dogs", "chien !", "- - -"),
        ("the chien, (minou) ... dogs", "chien !", "- - -"),
    }


def test_thirty_percent_of_the_dictionarys_words_are_replaced_and_a_batch_keeps_most():
    words = translations([_dictionary()])["en"]
    lines = ["dog a b c d e f g"] * 1000
    replaced = sum("chien" in line for line in switch(lines, words, CodeSwitching(), seed=(0, 1)))
    assert replaced / 1000 == pytest.approx(0.3, abs=0.04)
    lines = ["cat dog ."] * 500  # 1000 words, all in the dictionary
    counts = []
    for step in range(3):
        changed = switch(lines, words, CodeSwitching(), seed=(0, step))
        tokens = np.array([line.split() for line in changed])
        counts.append((tokens[:, 0] != "cat").sum() + (tokens[:, 1] != "dog").sum())
        assert 0.3 < (tokens[:, 1] != "dog").mean() / (2 * 0.15) < 1.7  # not the first ones only
        assert (tokens[250:] != ["cat", "dog", "."]).any()
    assert counts == [150, 150, 150]


def test_switching_is_a_function_of_its_seed_and_an_empty_dictionary_changes_nothing():
    words, lines = translations([_dictionary()])["en"], ["cat dog"] * 40
    first = switch(lines, words, CodeSwitching(), seed=(1, 2))
    assert first == switch(lines, words, CodeSwitching(), seed=(1, 2))
    assert first != switch(lines, words, CodeSwitching(), seed=(1, 3))
    assert switch(lines, {}, CodeSwitching(), seed=(1, 2)) == lines


def test_settings_of_code_switching_are_shares():
    assert json.loads(CodeSwitching().model_dump_json()) == {"share": 0.3, "most": 0.15}
    with pytest.raises(ValueError, match="share"):
        CodeSwitching(share=1.1)
