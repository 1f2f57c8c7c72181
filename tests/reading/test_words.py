"""Words are read at their first sub-word, and those that do not fit are counted."""

import numpy as np
import pytest
import small
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.reading.words import Ragged, WordEncoder, encode_words

LINES = [line.split() for line in small.corpus()["en"][:20]]


@pytest.fixture
def encoder():
    return WordEncoder(small.loaded("normformer")).eval()


def test_rows_of_unequal_length_are_padded():
    ragged = Ragged([[1, 2, 3], [], [4]])
    assert ragged.lengths.tolist() == [3, 0, 1]
    assert ragged.pad(np.array([2, 0, 1]), 9).tolist() == [[4, 9, 9], [1, 2, 3], [9, 9, 9]]
    assert ragged.pad(np.array([1]), 9).shape == (1, 0)


def test_sub_words_are_those_of_the_running_text():
    read = encode_words(small.tokenizer(), LINES, 128)
    assert read.n_cut == 0
    whole = small.tokenizer()([" ".join(words) for words in LINES])["input_ids"]
    assert [row["input_ids"] for row in read.rows] == whole


def test_first_points_at_the_first_sub_word_of_every_word():
    tokenizer = small.tokenizer()
    read = encode_words(tokenizer, LINES, 128)
    pieces = {w: tokenizer(w, add_special_tokens=False)["input_ids"] for row in LINES for w in row}
    assert max(map(len, pieces.values())) > 1  # else first and last would be the same
    for words, row in zip(LINES, read.rows, strict=True):
        ends = [*row["first"][1:], len(row["input_ids"]) - 1]
        found = [row["input_ids"][a:b] for a, b in zip(row["first"], ends, strict=True)]
        assert found == [pieces[word] for word in words]


def test_a_state_is_the_models_own_at_the_first_sub_word(encoder):
    read = encoder.read(LINES, 128)
    chosen = np.array([3, 0, 7])
    batch = read.batch(chosen)
    with torch.no_grad():
        states = encoder(**batch)
        for row, number in enumerate(chosen):
            ids = torch.tensor([read.rows[number]["input_ids"]])
            alone = encoder.model(ids).last_hidden_state[0, read.rows[number]["first"]]
            torch.testing.assert_close(
                states[row, : len(LINES[number])], alone, rtol=1e-4, atol=1e-5
            )
    present = read.present(chosen)
    assert present.shape == states.shape[:2]
    assert present.sum(1).tolist() == [len(LINES[k]) for k in chosen]


def test_words_beyond_the_longest_sequence_are_counted(encoder):
    tokenizer = small.tokenizer()
    words = max(LINES, key=len)
    whole = encode_words(tokenizer, [words], 128).rows[0]
    limit = len(whole["input_ids"]) - 4
    read = encode_words(tokenizer, [words, words[:1]], limit)
    fits = [place for place in whole["first"] if place < limit - 1]
    assert read.rows[0]["first"] == fits
    assert len(read.rows[0]["input_ids"]) == limit
    assert read.rows[0]["input_ids"][-1] == tokenizer.eos_token_id
    assert read.n_cut == len(words) - len(fits) > 0
    assert (read.counts.tolist(), read.n_read.tolist()) == ([len(words), 1], [len(fits), 1])
    # The model's own limit wins over a longer one.
    assert max(encoder.read([words * 40], 10**6).lengths) == 128


def test_a_word_that_normalisation_removes_is_unknown():
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "a": 2}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]"
    )
    read = encode_words(tokenizer, [["a", "\u200b", "A"]], 10)
    assert read.rows == [{"input_ids": [2, 0, 2], "first": [0, 1, 2], "end": 3}]
    assert read.edges(0) == [0, 1, 2, 3]
    nothing = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")
    nothing.unk_token = None
    with pytest.raises(ValueError, match=r"leaves nothing of .* and has no unknown token"):
        encode_words(nothing, [["\u200b"]], 10)


def test_the_given_model_is_copied_in_float32():
    given = small.loaded()
    half = LoadedModel("half", given.model.bfloat16().requires_grad_(False), given.tokenizer)
    encoder = WordEncoder(half)
    assert (encoder.model.dtype, half.model.dtype) == (torch.float32, torch.bfloat16)
    assert all(p.requires_grad for p in encoder.parameters())
    assert encoder.width == small.ENCODER["hidden_size"]


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ("a dog", "expected sequences of words, got one string 'a dog'"),
        ([], "at least one, got none"),
        ([["a"], []], r"number 1: expected a sequence of words, got \[\]"),
        ([["a"], "dog"], "number 1: expected a sequence of words, got 'dog'"),
        ([["a", " "]], "number 0: expected words, got ' '"),
        ([["a", 3]], "number 0: expected words, got 3"),
    ],
)
def test_what_is_no_sentence_is_refused(sentences, message):
    with pytest.raises(ValueError, match=message):
        encode_words(small.tokenizer(), sentences, 64)


def test_a_limit_without_room_is_refused():
    with pytest.raises(ValueError, match=r"max_length: expected at least 3 .* got 2"):
        encode_words(small.tokenizer(), [["a"]], 2)
