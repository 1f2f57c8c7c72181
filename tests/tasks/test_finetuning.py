"""Fine-tuning learns what can be learned, from a copy, and says what it scored on."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from xsim_lib.indices.intervals import share_interval
from xsim_lib.models.encoder import Encoder, EncoderConfig, EncoderForMaskedLM, LoadedModel
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.tasks.classifier import encode_labelled, pad
from xsim_lib.tasks.finetuning import (
    ClassifierSettings,
    evaluate_classifier,
    finetune_classifier,
    load_classifier,
)
from xsim_lib.tasks.shares import Score
from xsim_lib.text.types import Classification, Corpus

NAMES = ("animal", "plant")
WORDS = (("dog", "cat", "cow"), ("oak", "fir", "elm"))
FILLERS = ("the", "an", "old", "one", "sees", "by", "here", "now")
FAST = ClassifierSettings(
    steps=120, batch_size=16, learning_rate=3e-3, pooling="mean", hidden_layer=False
)
BRIEF = FAST.model_copy(update={"steps": 4})


def sentences(n, seed, name="kinds", language="en"):
    """One telling word per sentence, anywhere among one to five fillers."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=n).tolist()
    lines = []
    for label in labels:
        words = list(random.choice(FILLERS, size=random.integers(1, 6)))
        words.insert(random.integers(len(words) + 1), random.choice(WORDS[label]))
        lines.append(" ".join(words))
    return Classification(name, language, lines, None, labels, NAMES)


def pairs(n, seed):
    """Label 1 where the two sentences speak of the same word: no single sentence gives it away."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=n).tolist()
    premises, hypotheses = [], []
    for label in labels:
        first, other = random.choice(("dog", "oak"), size=2, replace=False)
        premises.append(f"{random.choice(FILLERS)} {first}")
        hypotheses.append(first if label else other)
    return Classification("same", "en", premises, hypotheses, labels, ("other", "same"))


@pytest.fixture(scope="module")
def tokenizer():
    lines = sentences(300, 9).premises
    return train_tokenizer(Corpus("kinds", {"en": lines}), 80, max_length=24)


@pytest.fixture
def loaded(tokenizer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = EncoderConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=24,
        )
        return LoadedModel("tiny", Encoder(config).eval(), tokenizer)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(x, y):
    return x.keys() == y.keys() and all(torch.equal(x[key], y[key]) for key in x)


@pytest.mark.parametrize("hidden_layer", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_random_encoder_learns_two_classes_and_is_not_changed(pooling, hidden_layer, loaded):
    before, state = weights(loaded.model), torch.random.get_rng_state()
    settings = FAST.model_copy(update={"pooling": pooling, "hidden_layer": hidden_layer})
    classifier = finetune_classifier(loaded, sentences(300, 0), settings, progress=False)
    score = evaluate_classifier(classifier, sentences(200, 1))
    assert score.value > 0.9
    assert score.n == 200
    assert 0.8 < score.lower < score.value <= score.upper <= 1
    assert len(classifier.losses) == settings.steps
    assert np.mean(classifier.losses[-20:]) < 0.5 * np.mean(classifier.losses[:5])

    assert same(weights(loaded.model), before)
    assert not loaded.model.training
    assert torch.equal(torch.random.get_rng_state(), state)


def test_pairs_are_read_together(loaded):
    """Only attention between the two sentences can solve this: each alone is uninformative."""
    settings = FAST.model_copy(update={"steps": 250, "pooling": "first"})
    classifier = finetune_classifier(loaded, pairs(400, 0), settings, progress=False)
    assert evaluate_classifier(classifier, pairs(200, 1)).value > 0.9
    row = encode_labelled(classifier, pairs(1, 1))[0][0]["input_ids"]
    tokens = loaded.tokenizer.convert_ids_to_tokens(row)
    assert (tokens[0], tokens[-1], tokens.count("</s>")) == ("<s>", "</s>", 3)


def test_the_seed_decides_everything(loaded):
    data = sentences(60, 0)
    settings = BRIEF.model_copy(update={"dropout": 0.3})
    first = finetune_classifier(loaded, data, settings, progress=False)
    torch.rand(5)  # the caller's own random numbers must not matter
    again = finetune_classifier(loaded, data, settings, progress=False)
    assert same(weights(first), weights(again))
    assert first.losses == again.losses
    seeded = settings.model_copy(update={"seed": 1})
    other = finetune_classifier(loaded, data, seeded, progress=False)
    assert not same(weights(first), weights(other))


def test_the_whole_encoder_is_trained_and_offered_for_comparison(loaded):
    loaded.model.requires_grad_(False)  # frozen by the caller: the copy is trained all the same
    classifier = finetune_classifier(loaded, sentences(60, 0), BRIEF, progress=False)
    encoder = classifier.encoder
    assert encoder.name == "tiny (fine-tuned)"
    assert encoder.tokenizer is loaded.tokenizer
    assert not encoder.model.training
    before, after = loaded.model.state_dict(), encoder.model.state_dict()
    unchanged = [name for name in before if torch.equal(before[name], after[name])]
    assert unchanged == []
    batch = loaded.tokenizer(["the dog"], return_tensors="pt")
    assert len(encoder.model(**batch, output_hidden_states=True).hidden_states) == 3


def test_language_models_and_half_precision_are_trained_as_float32_encoders(loaded):
    model = EncoderForMaskedLM(loaded.model.config).bfloat16().eval()
    given = LoadedModel("mlm", model, loaded.tokenizer)
    classifier = finetune_classifier(given, sentences(60, 0), BRIEF, progress=False)
    assert isinstance(classifier.model, Encoder)
    assert classifier.model.dtype == torch.float32
    assert model.dtype == torch.bfloat16


def test_scores_are_counted_by_hand_and_ignore_batch_and_label_order(loaded):
    classifier = finetune_classifier(loaded, sentences(60, 0), BRIEF, progress=False)
    data = sentences(37, 2)
    with torch.no_grad():
        best = [
            classifier(**loaded.tokenizer([line], return_tensors="pt")).argmax().item()
            for line in data.premises
        ]
    correct = sum(x == y for x, y in zip(best, data.labels, strict=True))
    expected = Score(*share_interval(correct, 37), 37)
    assert 0 < correct < 37  # after four steps the score still depends on every item
    assert [evaluate_classifier(classifier, data, batch=size) for size in (1, 5, 64)] == [
        expected
    ] * 3

    swapped = Classification(
        "kinds", "en", data.premises, None, [1 - label for label in data.labels], NAMES[::-1]
    )
    assert evaluate_classifier(classifier, swapped) == expected


def test_evaluation_restores_the_mode_and_uses_no_dropout(loaded):
    settings = BRIEF.model_copy(update={"dropout": 0.9})
    classifier = finetune_classifier(loaded, sentences(60, 0), settings, progress=False)
    assert not classifier.training
    classifier.train()
    assert evaluate_classifier(classifier, sentences(50, 3)) == evaluate_classifier(
        classifier.train(), sentences(50, 3)
    )
    assert classifier.training


def test_frozen_parts_stay_and_the_rest_learns(loaded):
    tuned = finetune_classifier(
        loaded, sentences(60, 0), BRIEF, progress=False, frozen=("layers.0",)
    )
    before = loaded.model.base_model.state_dict()
    still = {k for k, v in tuned.model.state_dict().items() if torch.equal(v, before[k])}
    assert still == {k for k in before if k.startswith("layers.0.")}


def test_a_kept_classifier_with_other_frozen_parts_is_another_one(loaded, tmp_path):
    finetune_classifier(
        loaded,
        sentences(60, 0),
        BRIEF,
        directory=tmp_path / "c",
        progress=False,
        frozen=("layers.0",),
    )
    with pytest.raises(ValueError, match="directory: "):
        finetune_classifier(
            loaded, sentences(60, 0), BRIEF, directory=tmp_path / "c", progress=False
        )


def test_schedule_warms_up_and_decays_to_nothing():
    settings = ClassifierSettings(steps=10, learning_rate=1.0, warmup=0.2)
    rates = [settings.rate(step) for step in range(1, 11)]
    assert rates[:2] == [0.5, 1.0]
    assert np.allclose(np.diff(rates[1:]), -1 / 9)
    assert rates[-1] == pytest.approx(1 / 9)


# --- what the encoder is given ------------------------------------------------------------------


def test_long_items_are_cut_and_counted(loaded):
    words = "dog cat cow oak fir elm " * 6
    data = Classification("long", "en", [words, "dog", words], None, [0, 1, 0], NAMES)
    classifier = finetune_classifier(loaded, data, BRIEF, progress=False)
    assert classifier.truncated == 2
    assert evaluate_classifier(classifier, data).cut == 2
    assert [len(row["input_ids"]) for row in encode_labelled(classifier, data)[0]][::2] == [24, 24]

    tight = BRIEF.model_copy(update={"max_length": 8})
    both = Classification("long", "en", ["dog", "oak"], [words, "oak"], [0, 1], NAMES)
    classifier = finetune_classifier(loaded, both, tight, progress=False)
    rows, cut = encode_labelled(classifier, both)
    assert cut == 1
    assert len(rows[0]["input_ids"]) == 8
    dog = loaded.tokenizer("dog", add_special_tokens=False)["input_ids"]
    assert rows[0]["input_ids"][1 : len(dog) + 1] == dog  # the longer sentence loses its end first


def test_padding_does_not_change_scores(loaded):
    classifier = finetune_classifier(loaded, sentences(60, 0), BRIEF, progress=False)
    rows, _ = encode_labelled(classifier, sentences(9, 4))
    with torch.no_grad():
        together = classifier(**pad(classifier, rows))
        alone = torch.cat([classifier(**pad(classifier, [row])) for row in rows])
    assert len({len(row["input_ids"]) for row in rows}) > 1
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_bert_is_told_which_sentence_is_which(tokenizer):
    from tokenizers.processors import TemplateProcessing

    backend = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    berts = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>")
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    model = BertModel(config, add_pooling_layer=False)
    classifier = finetune_classifier(
        LoadedModel("bert", model, berts), pairs(8, 0), BRIEF, progress=False
    )
    batch = pad(classifier, encode_labelled(classifier, pairs(8, 0))[0])
    assert set(batch["token_type_ids"].unique().tolist()) == {0, 1}
    assert batch["token_type_ids"].shape == batch["input_ids"].shape


# --- keeping it -----------------------------------------------------------------------------------


def test_a_kept_classifier_comes_back_exactly_and_is_not_trained_again(loaded, tmp_path):
    data, folder = sentences(60, 0), tmp_path / "kept" / "c"
    trained = finetune_classifier(loaded, data, BRIEF, directory=folder, progress=False)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for again in (
        load_classifier(folder),
        finetune_classifier(loaded, data, BRIEF, directory=folder, progress=False),
    ):
        assert same(weights(again), weights(trained))
        assert (again.losses, again.label_names, again.pairs) == (trained.losses, NAMES, False)
        assert (again.settings, again.name) == (BRIEF, "tiny")
        assert not again.training
        assert evaluate_classifier(again, data) == evaluate_classifier(trained, data)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in folder.parent.iterdir()] == ["c"]  # nothing temporary is left


def test_another_run_does_not_take_over_a_folder(loaded, tmp_path):
    data = sentences(60, 0)
    finetune_classifier(loaded, data, BRIEF, directory=tmp_path / "c", progress=False)
    other = BRIEF.model_copy(update={"seed": 7})
    with pytest.raises(ValueError, match="holds a classifier with another settings"):
        finetune_classifier(loaded, data, other, directory=tmp_path / "c", progress=False)
    with torch.no_grad():
        loaded.model.last_norm = torch.nn.Identity()
        next(loaded.model.parameters()).add_(1)
    with pytest.raises(ValueError, match="another encoder and train"):
        finetune_classifier(
            loaded, sentences(60, 5), BRIEF, directory=tmp_path / "c", progress=False
        )
    with pytest.raises(ValueError, match=r"no classifier\.json in"):
        load_classifier(tmp_path)
    with pytest.raises(ValueError, match="holds other files"):
        finetune_classifier(loaded, data, BRIEF, directory=tmp_path, progress=False)


# --- errors ---------------------------------------------------------------------------------------


def test_disagreeing_data_is_refused_with_both_sides_named(loaded):
    classifier = finetune_classifier(loaded, sentences(60, 0), BRIEF, progress=False)
    other = Classification("moods", "fr", ["the dog"], None, [0], ("sad", "glad"))
    with pytest.raises(ValueError, match=r"moods \(fr\) .* sad, glad; .* animal, plant"):
        evaluate_classifier(classifier, other)
    paired = Classification("kinds", "fr", ["the dog"], ["a cow"], [0], NAMES)
    with pytest.raises(ValueError, match="expected single sentences as in training, got pairs"):
        evaluate_classifier(classifier, paired)
    with pytest.raises(ValueError, match="batch: expected an integer >= 1, got 0"):
        evaluate_classifier(classifier, sentences(5, 0), batch=0)
    one = Classification("kinds", "en", ["the dog", "a cat"], None, [0, 0], NAMES)
    with pytest.raises(ValueError, match="at least two labels in use"):
        finetune_classifier(loaded, one, BRIEF, progress=False)


def test_divergence_is_an_error_with_the_learning_rate(loaded):
    wild = FAST.model_copy(update={"learning_rate": 1e30, "warmup": 0.0})
    with pytest.raises(
        ValueError, match=r"learning_rate: training diverged at step \d+ with 1e\+30"
    ):
        finetune_classifier(loaded, sentences(60, 0), wild, progress=False)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"pooling": "max"}, {"epochs": 3}, {"warmup": 1}])
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClassifierSettings(**wrong)


def test_progress_shows_the_loss_and_the_time_left(loaded, capfd):
    finetune_classifier(loaded, sentences(60, 0), BRIEF)
    shown = capfd.readouterr().err
    assert "en: 100%" in shown
    assert "loss=" in shown
    assert "4/4" in shown
