"""Word vectors, word translation and sentence retrieval: by hand, on planted spaces, on small encoders."""

import numpy as np
import pytest
import small
import torch
from scipy.stats import ortho_group

from xsim_lib.models.encoder import EncoderConfig, EncoderForMaskedLM, LoadedModel
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.papers.emerging2020 import rotations
from xsim_lib.papers.emerging2020.rotations import WordVectors
from xsim_lib.reading.sentences import encode
from xsim_lib.text.sources import Artificial, Real
from xsim_lib.text.types import BilingualDictionary, ParallelCorpus
from xsim_lib.text.word_links import AlignedSentence

LINES = [line.split() for line in small.corpus()["en"][:40]]


def states(loaded, words):
    """Hidden states of a sentence, layer by layer, without its special tokens."""
    ids = loaded.tokenizer(" ".join(words), return_tensors="pt")["input_ids"]
    with torch.no_grad():
        found = loaded.model(ids, output_hidden_states=True).hidden_states
    return torch.stack(found)[:, 0, 1:-1].double()


def pieces(loaded, word):
    return loaded.tokenizer(word, add_special_tokens=False)["input_ids"]


# ---------------------------------------------------------------- vectors
def test_embedding_vectors_are_rows_of_the_table():
    loaded = small.loaded()
    words = sorted({word for line in LINES for word in line})
    whole = rotations.embedding_vectors(loaded, words)
    assert 0 < len(whole.words) < len(words)
    table = loaded.model.get_input_embeddings().weight
    for word, vector in zip(whole.words, whole.vectors[0], strict=True):
        assert torch.equal(vector, table[pieces(loaded, word)[0]].double())
        assert len(pieces(loaded, word)) == 1
    every = rotations.embedding_vectors(loaded, words, whole=False)
    assert every.words == tuple(words)
    cut = next(k for k, word in enumerate(words) if len(pieces(loaded, word)) > 1)
    mean = table[pieces(loaded, words[cut])].double().mean(0)
    assert torch.allclose(every.vectors[0, cut], mean)
    with pytest.raises(ValueError, match="one sub-word of small_pre, got none"):
        rotations.embedding_vectors(loaded, [words[cut]])


def test_contextual_vectors_are_means_over_all_sub_words_of_all_occurrences():
    loaded = small.loaded()
    counts = {}
    for line in LINES:
        for word in line:
            counts.setdefault(word.lower(), []).append(1)
    wanted = [w for w, n in counts.items() if 2 <= len(n) <= 5]
    found = rotations.contextual_vectors(loaded, LINES, [*wanted, "absent"])
    assert found.words == tuple(wanted)
    assert found.vectors.shape == (3, len(wanted), 16)
    for word in wanted[:5]:
        parts = []
        for line in LINES:
            vectors, start = states(loaded, line), 0
            for token in line:
                stop = start + len(pieces(loaded, token))
                if token.lower() == word:
                    parts.append(vectors[:, start:stop])
                start = stop
        mean = torch.cat(parts, dim=1).mean(1)
        assert torch.allclose(found.vectors[:, wanted.index(word)], mean, atol=1e-5)
    often = rotations.contextual_vectors(loaded, LINES, wanted, min_count=4)
    assert set(often.words) == {w for w in wanted if len(counts[w]) >= 4}
    with pytest.raises(ValueError, match="none of 1 occurs 1 times"):
        rotations.contextual_vectors(loaded, LINES, ["absent"])


def test_a_word_that_the_longest_sequence_cuts_does_not_count():
    loaded = small.loaded()
    line = max(LINES, key=len)
    words = [w.lower() for w in line]
    last = max(k for k, w in enumerate(words) if words.count(w) == 1)
    length = 2 + sum(len(pieces(loaded, w)) for w in line[: last + 1])
    kept = rotations.contextual_vectors(loaded, [line], set(words), max_length=length + 1)
    cut = rotations.contextual_vectors(loaded, [line], set(words), max_length=length - 1)
    assert words[last] in kept.words
    assert words[last] not in cut.words


def test_aligned_states_are_those_of_first_sub_words():
    one, two = small.loaded(), small.loaded("post", seed=1)
    french = [line.split() for line in small.corpus()["fr"][:40]]
    sentences = [
        AlignedSentence(tuple(a), tuple(b), ((0, 1), (2, 0)))
        for a, b in zip(LINES, french, strict=True)
    ]
    x, y = rotations.aligned_states(one, two, sentences)
    assert x.shape == y.shape == (3, 80, 16)
    starts = np.cumsum([0, *(len(pieces(one, w)) for w in LINES[7])])
    assert torch.allclose(x[:, 15].double(), states(one, LINES[7])[:, starts[2]], atol=1e-5)
    starts = np.cumsum([0, *(len(pieces(two, w)) for w in french[7])])
    assert torch.allclose(y[:, 14].double(), states(two, french[7])[:, starts[1]], atol=1e-5)
    top, _ = rotations.aligned_states(one, two, sentences, layers=[2])
    assert torch.equal(top[0], x[2])
    with pytest.raises(ValueError, match="expected some links"):
        rotations.aligned_states(one, two, [s._replace(links=()) for s in sentences])


def test_count_vectors_put_words_of_like_contexts_together():
    rng = np.random.default_rng(0)
    lines = [
        [f"{'ab'[kind]}{rng.integers(5)}", f"{'xy'[kind]}{rng.integers(5)}", "the"]
        for kind in rng.integers(0, 2, 400)
    ]
    words = [f"{group}{k}" for group in "ab" for k in range(5)]
    found = rotations.count_vectors(lines, words, 2)
    x = torch.nn.functional.normalize(found.vectors[0], dim=1)
    cosines = (x @ x.T).numpy()
    assert found.words == tuple(words)
    assert min(cosines[:5, :5].min(), cosines[5:, 5:].min()) > cosines[:5, 5:].max() + 0.2
    assert torch.equal(found.vectors, rotations.count_vectors(lines, words, 2).vectors)
    with pytest.raises(ValueError, match="size: expected 1 to 9"):
        rotations.count_vectors(lines, words, 10)


# ---------------------------------------------------------------- word translation
def planted_words(noise, n=120, d=10, seed=0):
    """Two vocabularies with a planted rotation; two words of the first share a translation."""
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.standard_normal((2, n, d)))
    y = x @ torch.tensor(ortho_group.rvs(d, random_state=seed))
    y = y + noise * torch.tensor(rng.standard_normal(y.shape))
    order = rng.permutation(n)
    one = WordVectors(tuple(f"a{k}" for k in range(n)), x)
    two = WordVectors(tuple(f"b{k}" for k in order), y[:, order])
    pairs = [(f"a{k}", f"b{k}") for k in range(n)]
    train = BilingualDictionary("a", "b", (*pairs[:60], ("a1", "unknown")))
    test = BilingualDictionary("a", "b", (*pairs[60:], ("a60", "b3"), ("a0", "b0")))
    return one, two, train, test


def cell(table, column="value", **wanted):
    rows = table
    for name, value in (
        {"baseline": "", "variant": "", "metric": "precision_at_1"} | wanted
    ).items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows[column].item()


def test_words_are_translated_through_a_planted_rotation():
    table = rotations.word_translation(*planted_words(0.05))
    assert table.attrs["n_train"] == 60
    for layer in (0, 1):
        for variant in ("", "reverse"):
            assert cell(table, layer=layer, variant=variant) == 1
            for baseline in ("unmapped", "shuffled"):
                assert cell(table, layer=layer, variant=variant, baseline=baseline) < 0.1
    # a0 is a word of the training pairs; b3 as well, in the other direction.
    assert cell(table, "n", layer=0) == 60
    assert cell(table, "n", layer=0, variant="reverse") == 60


def test_precision_falls_with_noise_and_rises_with_the_number_found():
    values = [
        cell(rotations.word_translation(*planted_words(noise), baselines=()), layer=0)
        for noise in (0.2, 1.0, 4.0)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[2] + 0.5
    table = rotations.word_translation(*planted_words(1.0), at=(1, 5, 20), baselines=())
    found = [cell(table, layer=0, metric=f"precision_at_{k}") for k in (1, 5, 20)]
    assert found[0] < found[1] < found[2]
    assert cell(table, "lower", layer=0) < found[0] < cell(table, "upper", layer=0)


def test_what_word_translation_needs():
    one, two, train, test = planted_words(0.1)
    with pytest.raises(ValueError, match="test: expected at least 2 words"):
        rotations.word_translation(one, two, train, train)
    other = BilingualDictionary("a", "b", (("x", "y"),))
    with pytest.raises(ValueError, match="train: expected translations among the words"):
        rotations.word_translation(one, two, other, test)
    with pytest.raises(ValueError, match="two: expected 2 layers of 10 features"):
        rotations.word_translation(one, WordVectors(two.words, two.vectors[:1]), train, test)
    with pytest.raises(ValueError, match="baselines: expected one of 'unmapped', 'shuffled'"):
        rotations.word_translation(one, two, train, test, baselines=("random",))
    with pytest.raises(ValueError, match="expected different words, got 'a0' twice"):
        WordVectors(("a0", "a0"), one.vectors[:, :2])


# ---------------------------------------------------------------- sentence retrieval
def test_sentences_are_found_through_a_planted_rotation():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 260, 8)) + 2
    y = x @ ortho_group.rvs(8, random_state=0)
    y[1] = rng.standard_normal((260, 8))
    table = rotations.sentence_retrieval((x[:, :60], y[:, :60]), (x[:, 60:], y[:, 60:]))
    for variant in ("", "reverse"):
        here = {"metric": "retrieval", "variant": variant}
        assert cell(table, layer=0, **here) == 1
        assert cell(table, layer=1, **here) < 0.05
        assert cell(table, layer=0, baseline="unmapped", **here) < 0.2
        assert cell(table, layer=0, baseline="shuffled", **here) < 0.2
    assert cell(table, "n", layer=0, metric="retrieval") == 200
    with pytest.raises(ValueError, match="test: expected layers and features"):
        rotations.sentence_retrieval((x, y), (x[:1], y[:1]))


def test_a_random_encoder_is_near_chance_with_few_pairs_and_on_words():
    """The protocols of the pages; with many pairs an untrained encoder finds sentences, too."""
    source = Artificial(preset="graded5", languages=("en", "ru"), sentences=400)
    corpus = source.training()
    sides = []
    for seed, language in enumerate(("en", "ru")):
        tokenizer = train_tokenizer(
            type(corpus)(language, {language: corpus[language]}), 150, max_length=128
        )
        sizes = small.ENCODER | {"hidden_size": 32, "vocab_size": len(tokenizer)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = EncoderForMaskedLM(EncoderConfig(norm="pre", **sizes))
        sides.append(LoadedModel(language, model.encoder.eval(), tokenizer))
    lines = source.parallel("en-ru", 900).sentences
    x, y = (encode(m, lines[m.name], pooling="mean_words") for m in sides)

    def found(n):
        table = rotations.sentence_retrieval(
            (x[:, :n], y[:, :n]), (x[:, 700:], y[:, 700:]), baselines=()
        )
        return table.groupby("layer")["value"].mean().max()

    assert found(30) < 0.03  # chance is 1 / 200
    assert found(600) > 2 * found(30)
    words = [
        rotations.contextual_vectors(
            m,
            [line.split() for line in corpus[m.name]],
            {pair[k] for pair in source.dictionary("en", "ru").pairs},
        )
        for k, m in enumerate(sides)
    ]
    splits = (source.dictionary("en", "ru", split) for split in ("train", "test"))
    table = rotations.word_translation(*words, *splits, baselines=())
    assert table[table["metric"] == "precision_at_1"]["value"].max() < 0.2


# ---------------------------------------------------------------- aligners
def test_ibm_1_finds_the_words_of_an_artificial_pair():
    source = Artificial(preset="graded5", languages=("en", "fr"), sentences=10)
    gold = rotations.aligned_words(source, "en-fr", 400)
    assert gold == source.aligned("en-fr", 400)
    got = rotations.align_words([r.source for r in gold], [r.target for r in gold])
    assert [row[:2] for row in got] == [row[:2] for row in gold]
    both = sum(len(set(a.links) & set(b.links)) for a, b in zip(gold, got, strict=True))
    assert both / sum(len(row.links) for row in gold) > 0.7
    # The truth does not link punctuation and particles, an aligner does.
    assert both / sum(len(row.links) for row in got) > 0.6
    other = rotations.align_words([r.source for r in gold], [r.target for r in gold[1:] + gold[:1]])
    chance = sum(len(set(a.links) & set(b.links)) for a, b in zip(gold, other, strict=True))
    assert chance < both / 4


def test_real_sentences_are_cut_into_words_and_aligned(monkeypatch):
    lines = {
        "en": ["The cat sleeps.", "The dog sleeps."],
        "fr": ["Le chat dort.", "Le chien dort."],
    }
    monkeypatch.setattr(Real, "parallel", lambda self, pair, n: ParallelCorpus("made up", lines))
    source = Real(languages=("en", "fr"), words=10)
    first, second = rotations.aligned_words(source, "en-fr", 2)
    assert first.source == ("The", "cat", "sleeps", ".")
    assert {(first.source[a], first.target[b]) for a, b in first.links} >= {("cat", "chat")}
    assert {(second.source[a], second.target[b]) for a, b in second.links} >= {("dog", "chien")}
    assert rotations.split_words("L’été, qu'il dit: «non» 3,5") == (
        *("L’été", ",", "qu'il", "dit", ":", "«", "non", "»", "3", ",", "5"),
    )
    with pytest.raises(ValueError, match="target: expected as many sentences as source"):
        rotations.align_words([["a"]], [])
    with pytest.raises(ValueError, match="source: sentence 0 has no words"):
        rotations.align_words([[]], [["a"]])
