"""A vocabulary is a function of its text, loses nothing, and marks words and sentences."""

import pytest
from transformers import AutoTokenizer

from xsim_lib.models.tokenization import SPECIAL, train_tokenizer
from xsim_lib.text.types import Corpus

LINES = (
    "the old dog saw the young cat, and the cat saw the dog!",
    "a dog and a cat; the cat (young) and the old dog.",
    "young dogs see old cats: the old see the young?",
)
ESTONIAN = ("vana koer nägi noort kassi.", "kass ja koer, noored ja vanad!", "Õige, öösel ei näe.")


@pytest.fixture(scope="module")
def corpus():
    return Corpus("animals", {"en": LINES, "et": ESTONIAN})


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return train_tokenizer(corpus, 90, max_length=24)


def test_training_is_deterministic(corpus, tokenizer):
    """Ties between merges are common in small texts; a hash order must not decide them."""
    for _ in range(3):
        again = train_tokenizer(corpus, 90, max_length=24)
        assert again.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_the_vocabulary_has_the_size_asked_for(corpus, tokenizer):
    assert len(tokenizer) == 90
    assert sorted(tokenizer.get_vocab().values()) == list(range(90))
    assert len(train_tokenizer(corpus, 70)) == 70


def test_special_tokens_come_first_and_wrap_sentences_and_pairs(tokenizer):
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL.values())) == [0, 1, 2, 3, 4]
    assert {name: getattr(tokenizer, name) for name in SPECIAL} == SPECIAL
    bare = tokenizer("the dog", add_special_tokens=False)["input_ids"]
    other = tokenizer("a cat", add_special_tokens=False)["input_ids"]
    assert tokenizer("the dog")["input_ids"] == [0, *bare, 2]
    assert tokenizer("the dog", "a cat")["input_ids"] == [0, *bare, 2, 2, *other, 2]


def test_batches_are_padded_on_the_right_and_masked(tokenizer):
    batch = tokenizer(["the dog", "a cat and a dog"], padding=True)
    short, long = (sum(mask) for mask in batch["attention_mask"])
    assert short < long == len(batch["input_ids"][0])
    assert batch["input_ids"][0][short:] == [1] * (long - short)
    assert batch["attention_mask"][0] == [1] * short + [0] * (long - short)


def test_long_sentences_are_cut_to_the_length_the_model_takes(tokenizer):
    assert tokenizer.model_max_length == 24
    ids = tokenizer(LINES[0] * 3, truncation=True)["input_ids"]
    assert len(ids) == 24
    assert (ids[0], ids[-1]) == (0, 2)


@pytest.mark.parametrize("line", [*LINES, *ESTONIAN])
def test_text_comes_back(line, tokenizer):
    ids = tokenizer(line)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == line


def test_punctuation_stands_alone_and_words_are_marked_at_their_start(tokenizer):
    tokens = tokenizer.tokenize("the cat (young), dog.")
    assert [t for t in tokens if not t.strip("▁").isalpha() and t != "▁"] == ["(", ")", ",", "."]
    assert tokens[0].startswith("▁")
    assert "".join(tokens) == "▁the▁cat▁(young),▁dog."
    mixed = [
        token
        for token in tokenizer.get_vocab()
        if token not in SPECIAL.values()
        and any(c.isalpha() for c in token)
        and any(not c.isalpha() and c != "▁" for c in token)
    ]
    assert mixed == []
    assert not any("▁" in token[1:] for token in tokenizer.get_vocab())  # no sub-word spans words


def test_runs_of_punctuation_are_never_merged():
    corpus = Corpus("dots", {"en": ("no... no... (no), (no), no?!", "(no), no... no?!")})
    vocabulary = train_tokenizer(corpus, 40).get_vocab()
    assert {".", ",", "(", ")", "?", "!"} <= set(vocabulary)
    assert not {"..", "...", "),", "?!"} & set(vocabulary)


def test_frequent_words_are_whole_and_unknown_characters_are_unk(tokenizer):
    assert "▁the" in tokenizer.get_vocab()
    assert tokenizer.unk_token_id in tokenizer("ж")["input_ids"]


def test_lowercase_and_compatibility_forms_fold():
    corpus = Corpus("case", {"en": ("Cat CAT cat", "a ﬁne cat")})
    folded = train_tokenizer(corpus, 30, lowercase=True)
    assert folded("CAT")["input_ids"] == folded("cat")["input_ids"]
    assert folded("ﬁne")["input_ids"] == folded("fine")["input_ids"]
    kept = train_tokenizer(corpus, 30)
    assert kept("CAT")["input_ids"] != kept("cat")["input_ids"]


def test_all_languages_share_one_vocabulary(tokenizer):
    for line in (*LINES, *ESTONIAN):
        assert tokenizer.unk_token_id not in tokenizer(line)["input_ids"]


@pytest.mark.parametrize("lines", [("ab ba", "cc"), ("a½b ab",), ("ab",), ("Aa aA",)])
def test_the_smallest_vocabulary_holds_every_character_and_one_less_is_refused(lines):
    """NFKC may add characters (½ is 1, a slash and 2) as well as merge them."""
    corpus = Corpus("tiny", {"aa": lines})
    with pytest.raises(ValueError, match=r"vocabulary: expected at least \d+ .* got 3") as caught:
        train_tokenizer(corpus, 3)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    tokenizer = train_tokenizer(corpus, least)
    assert len(tokenizer) == least
    for line in lines:
        assert tokenizer.unk_token_id not in tokenizer(line)["input_ids"]
    with pytest.raises(ValueError, match=rf"expected at least {least} .* tiny .* got {least - 1}"):
        train_tokenizer(corpus, least - 1)


def test_saved_tokenizers_come_back_exactly(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert (loaded.model_max_length, loaded.padding_side) == (24, "right")
    assert {name: getattr(loaded, name) for name in SPECIAL} == SPECIAL
    for line in (*LINES, *ESTONIAN):
        assert loaded(line)["input_ids"] == tokenizer(line)["input_ids"]
    assert loaded("a", "b")["input_ids"] == tokenizer("a", "b")["input_ids"]
