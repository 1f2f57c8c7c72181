"""What training sees at which step: batches, languages, masks, and the settings that decide it."""

import numpy as np
import pytest
import small
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from xsim_lib.reading.batching import by_length
from xsim_lib.training.pretraining import IGNORED, PretrainingSettings, mask_tokens
from xsim_lib.training.pretraining.objectives import next_tokens, ordinary
from xsim_lib.training.pretraining.sentences import Sequences, Text, read_text, schedule


def settings(**changes):
    return small.SETTINGS.model_copy(update=changes)


# ---------------------------------------------------------------- masks
def _ids(rows=400, length=40, seed=0):
    """Rows of ordinary tokens between <s> and </s>, a third of each row padding."""
    tokenizer = small.tokenizer()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(
        len(tokenizer.all_special_ids), len(tokenizer), (rows, length), generator=generator
    )
    ids[:, 0] = tokenizer.bos_token_id
    ids[:, length * 2 // 3] = tokenizer.eos_token_id
    ids[:, length * 2 // 3 + 1 :] = tokenizer.pad_token_id
    return ids


def test_masks_follow_berts_recipe():
    tokenizer, ids = small.tokenizer(), _ids()
    specials = torch.tensor(tokenizer.all_special_ids)
    assert set(range(5)) == set(specials.tolist())  # _ids draws its ordinary tokens above them
    inputs, labels = mask_tokens(ids, tokenizer, 0.3, ordinary(tokenizer), seed=(1, 1))
    special, chosen = torch.isin(ids, specials), labels != IGNORED
    n = int((~special).sum())
    assert not (chosen & special).any()
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert chosen.sum() / n == pytest.approx(0.3, abs=0.02)
    masked = inputs[chosen] == tokenizer.mask_token_id
    kept = inputs[chosen] == ids[chosen]
    assert masked.float().mean() == pytest.approx(0.8, abs=0.03)
    assert kept.float().mean() == pytest.approx(0.1, abs=0.02)
    replaced = inputs[chosen][~masked & ~kept]
    assert not torch.isin(replaced, specials).any()
    assert len(replaced.unique()) > 100  # from the whole vocabulary


def test_at_least_one_token_is_masked_and_never_a_special_one():
    ids, tokenizer = _ids(rows=1, length=6), small.tokenizer()
    for step in range(20):
        _, labels = mask_tokens(ids, tokenizer, 1e-9, ordinary(tokenizer), seed=(0, step))
        (place,) = (labels != IGNORED).nonzero()[:, 1].tolist()
        assert 0 < place < 4


def test_masks_are_a_function_of_seed_and_step_alone():
    tokenizer, ids = small.tokenizer(), _ids(rows=20)
    words = ordinary(tokenizer)
    first = mask_tokens(ids, tokenizer, 0.3, words, seed=(1, 2))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = mask_tokens(ids, tokenizer, 0.3, words, seed=(1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for seed in ((1, 3), (2, 2), (2, 1)):
        other = mask_tokens(ids, tokenizer, 0.3, words, seed=seed)
        assert not torch.equal(first[1], other[1])


def test_random_tokens_come_from_the_words_they_may_come_from():
    tokenizer, ids = small.tokenizer(), _ids()
    inputs, labels = mask_tokens(ids, tokenizer, 0.3, torch.tensor([7, 11]), seed=(0, 1))
    chosen = labels != IGNORED
    changed = chosen & (inputs != tokenizer.mask_token_id) & (inputs != ids)
    assert set(inputs[changed].tolist()) == {7, 11}


def test_a_causal_model_predicts_every_token_but_the_first_and_the_padding():
    tokenizer, ids = small.tokenizer(), _ids(rows=3, length=9)
    labels = next_tokens(ids, tokenizer)
    assert (labels[:, 0] == IGNORED).all()
    assert torch.equal(labels[:, 1:7], ids[:, 1:7])  # </s> is predicted, too
    assert (labels[:, 7:] == IGNORED).all()


# ---------------------------------------------------------------- batches
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=200), st.integers(1, 200)
)  # fmt: skip
def test_by_length_takes_each_sentence_once_and_respects_the_limit(lengths, tokens):
    lengths = np.array(lengths)
    order = np.argsort(lengths, kind="stable")
    batches = list(by_length(order, lengths, tokens))
    assert np.concatenate(batches).tolist() == order.tolist()
    for batch, after in zip(batches, [*batches[1:], None], strict=True):
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens
        if after is not None:  # as full as it can be
            assert (len(batch) + 1) * lengths[after[0]] > tokens


def texts(*sizes, max_length=64):
    """One text of the first sentences of each language, or of the one language given."""
    tokenizer = small.tokenizer()
    found = []
    for language, n in zip(("en", "fr"), sizes, strict=False):
        lines = small.corpus()[language][:n]
        encoded = Sequences.encode(tokenizer, lines, max_length)
        found.append(Text(language, tokenizer, ordinary(tokenizer), lines, encoded, encoded))
    return found


def numbers(texts, wanted, skip=0):
    """The schedule as plain lists, to compare."""
    return [(text.language, rows.tolist()) for text, rows in schedule(texts, wanted, skip)]


def test_every_epoch_takes_each_sentence_once_in_an_order_of_its_own():
    stream = schedule(texts(80), settings(steps=10**4), 0)
    epochs = []
    for _ in range(3):
        epoch = []
        while len(epoch) < 80:
            epoch += next(stream)[1].tolist()
        assert sorted(epoch) == list(range(80))
        epochs.append(epoch)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("sizes", [(80,), (80, 40)])
def test_resuming_continues_the_stream_of_batches(sizes):
    wanted = settings(steps=60, sampling_exponent=0.7)  # several epochs
    whole = numbers(texts(*sizes), wanted)
    assert len(whole) == 60
    assert numbers(texts(*sizes), wanted, skip=47) == whole[47:]


@pytest.mark.parametrize(("exponent", "share"), [(1.0, 0.8), (0.5, 2 / 3), (0.0, 0.5)])
def test_languages_are_drawn_in_proportion_to_a_power_of_their_size(exponent, share):
    wanted = settings(steps=3000, sampling_exponent=exponent)
    drawn = [language for language, _ in numbers(texts(80, 20), wanted)]
    assert drawn.count("en") / 3000 == pytest.approx(share, abs=0.03)
    assert drawn != [
        language for language, _ in numbers(texts(80, 20), wanted.model_copy(update={"seed": 1}))
    ]


def test_a_sampling_exponent_keeps_languages_apart_and_none_mixes_them():
    corpus, tokenizer = small.corpus(), small.tokenizer()
    (mixed,) = read_text(corpus, tokenizer, settings(), own_words=False)
    assert mixed.language is None
    assert len(mixed.lines) == 2 * 70
    english, french = read_text(corpus, tokenizer, settings(sampling_exponent=1), own_words=False)
    assert (english.language, french.language) == ("en", "fr")
    assert english.lines + french.lines == mixed.lines
    assert set(english.lines) < set(corpus["en"])
    joined = np.concatenate([english.train.tokens, french.train.tokens])
    np.testing.assert_array_equal(joined, mixed.train.tokens)
    held_out = np.concatenate([english.held_out.tokens, french.held_out.tokens])
    np.testing.assert_array_equal(held_out, mixed.held_out.tokens)


def test_a_batch_holds_the_sentences_padded_on_the_right():
    tokenizer, lines = small.tokenizer(), list(small.corpus()["fr"][:9])
    sentences = Sequences.encode(tokenizer, lines, 8)
    rows = np.array([0, 8, 3])
    expected = tokenizer([lines[k] for k in rows], truncation=True, max_length=8, padding=True)
    got = sentences.batch(rows, tokenizer.pad_token_id)
    assert got.tolist() == expected["input_ids"]
    assert got.dtype == torch.int64


# ---------------------------------------------------------------- settings and errors
def test_the_learning_rate_rises_linearly_and_falls_linearly_to_almost_zero():
    wanted = settings(steps=100, warmup=0.1, learning_rate=2.0)
    rates = np.array([wanted.rate(step) for step in range(1, 101)])
    np.testing.assert_allclose(rates[:10], 2.0 * np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], 2.0 * np.arange(90, 0, -1) / 91)
    assert rates.argmax() == 9
    assert settings(steps=100, warmup=0.0, learning_rate=2.0).rate(1) == 2.0
    assert settings(steps=1, learning_rate=2.0).rate(1) == 2.0


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(12, 3, [4, 8, 12]), (10, 4, [2, 5, 8, 10]), (2, 10, [1, 2]), (5, 1, [5])],
)
def test_evaluations_are_evenly_spaced_and_the_last_step_is_one(steps, evaluations, expected):
    got = settings(steps=steps, evaluations=evaluations).evaluation_steps
    assert got == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1}, {"warmup": 1.0}, {"mask_rate": 0}, {"precision": "fp8"}, {"epochs": 3},
        {"objective": "nsp"}, {"sampling_exponent": -1}, {"seed": -1},
    ],
)  # fmt: skip
def test_wrong_settings_are_refused_by_name(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PretrainingSettings(**{"steps": 3, "learning_rate": 1e-3, **wrong})
