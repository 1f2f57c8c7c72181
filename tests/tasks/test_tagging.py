"""A tagger learns what can be learned, keeps still what is frozen, and is wrong where it could not read."""

import numpy as np
import pytest
import small
import torch

from xsim_lib.models.encoder import Encoder, EncoderConfig, LoadedModel
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.tasks.bilstm import BiLSTM, BiLSTMSettings
from xsim_lib.tasks.bio_spans import f1, span_counts
from xsim_lib.tasks.shares import score, share
from xsim_lib.tasks.tagging import (
    TaggerSettings,
    evaluate_tagger,
    finetune_tagger,
    load_tagger,
    tag,
)
from xsim_lib.text.types import Corpus, Token, Treebank, TreebankSentence
from xsim_lib.training.fitting import FinetuningSettings, fit, freeze

TABLE = {"dog": "NOUN", "cat": "NOUN", "sees": "VERB", "runs": "VERB", "old": "ADJ", "it": "PRON"}
NAMES = {"anna": "PER", "otto": "PER", "rome": "LOC", "oslo": "LOC"}
FAST = TaggerSettings(steps=120, batch_size=16, learning_rate=5e-3)
BRIEF = FAST.model_copy(update={"steps": 4})


def treebank(n, seed, *, most=6, name="toy"):
    """Words in random order: the tag depends on the word alone, ``I-`` on the word before."""
    random = np.random.default_rng(seed)
    sentences = []
    for number in range(n):
        words = random.choice([*TABLE, *NAMES], size=random.integers(2, most + 1)).tolist()
        tokens, before = [], ""
        for place, word in enumerate(words):
            kind = NAMES.get(word, "")
            entity = f"{'I' if kind == before else 'B'}-{kind}" if kind else "O"
            tokens.append(Token(word, word, TABLE.get(word, "PROPN"), {}, place, "dep", entity))
            before = kind
        sentences.append(TreebankSentence(str(number), tuple(tokens)))
    return Treebank(name, "en", tuple(sentences))


def bilstm(**settings):
    forms = [[token.form for token in s.tokens] for s in treebank(200, 0).sentences]
    return BiLSTM(forms, BiLSTMSettings(**settings), seed=1)


def transformer():
    """Fresh weights, and a vocabulary with every word of the toy language."""
    lines = [s.text for s in treebank(200, 0).sentences]
    tokenizer = train_tokenizer(Corpus("toy", {"en": lines}), 80, max_length=128)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Encoder(
            EncoderConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
            )
        )
    return LoadedModel("fresh", model.eval(), tokenizer)


ENCODERS = {"transformer": transformer, "bilstm": bilstm}
each_encoder = pytest.mark.parametrize("kind", ENCODERS)


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(x, y):
    return x.keys() == y.keys() and all(torch.equal(x[key], y[key]) for key in x)


# --- learning -------------------------------------------------------------------------------------


@each_encoder
def test_a_random_encoder_learns_the_table_and_is_not_changed(kind):
    encoder = ENCODERS[kind]()
    module = encoder if kind == "bilstm" else encoder.model
    before, state = weights(module), torch.random.get_rng_state()
    tagger = finetune_tagger(encoder, treebank(200, 0), FAST, task="pos", progress=False)
    result = evaluate_tagger(tagger, treebank(100, 1))
    assert result.value > 0.97
    assert result.lower <= result.value <= result.upper <= 1
    assert result.n == sum(len(s) for s in treebank(100, 1).sentences)
    assert (result.cut, tagger.cut) == (0, 0)
    assert len(tagger.losses) == FAST.steps
    assert np.mean(tagger.losses[-10:]) < 0.2 < np.mean(tagger.losses[:5])
    assert same(weights(module), before)
    assert torch.equal(torch.random.get_rng_state(), state)


@each_encoder
def test_entities_need_the_word_before(kind):
    settings = FAST.model_copy(update={"steps": 250})
    tagger = finetune_tagger(
        ENCODERS[kind](), treebank(300, 0), settings, task="ner", progress=False
    )
    assert tagger.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert evaluate_tagger(tagger, treebank(100, 1)).value > 0.9


def test_a_bilstm_reads_the_spelling_of_words_it_never_saw():
    random = np.random.default_rng(0)

    def endings(n):
        stems = ["".join(random.choice(list("bdfgklmnprst"), size=4)) for _ in range(n)]
        ends = random.choice(["a", "i"], size=n)
        tokens = [
            Token(stem + end, stem, {"a": "NOUN", "i": "VERB"}[end], {}, k % 4, "dep")
            for k, (stem, end) in enumerate(zip(stems, ends, strict=True))
        ]
        rows = [tuple(tokens[k : k + 4]) for k in range(0, n, 4)]
        return Treebank("endings", "xx", [TreebankSentence(str(k), r) for k, r in enumerate(rows)])

    train = endings(400)
    encoder = BiLSTM([[token.form for token in s.tokens] for s in train.sentences], seed=0)
    assert len(encoder.words) < 20  # nearly every word is seen once, and so is unknown
    tagger = finetune_tagger(encoder, train, FAST, task="pos", progress=False)
    assert evaluate_tagger(tagger, endings(200)).value > 0.95


def test_the_seed_decides_everything():
    settings = BRIEF.model_copy(update={"dropout": 0.3})

    def run(**change):
        torch.rand(3)  # the caller's own random numbers must not matter
        return finetune_tagger(
            small.loaded(dropout=0.1),
            treebank(50, 0),
            settings.model_copy(update=change),
            task="pos",
            progress=False,
        )

    first = run()
    assert same(weights(first), weights(run()))
    assert not same(weights(first), weights(run(seed=1)))


# --- frozen parts ---------------------------------------------------------------------------------


def test_frozen_parts_keep_every_bit_and_the_rest_is_trained():
    loaded = small.loaded()
    frozen = ("word_embeddings", "layers.0", "layers.1.attention.qkv.bias")
    tagger = finetune_tagger(
        loaded, treebank(50, 0), BRIEF, task="pos", frozen=frozen, progress=False
    )
    before, after = loaded.model.state_dict(), tagger.words.model.state_dict()
    unchanged = {name for name in before if torch.equal(before[name], after[name])}
    expected = {name for name in before if name.startswith(("word_embeddings.", "layers.0."))} | {
        "layers.1.attention.qkv.bias"
    }
    assert unchanged == expected
    assert all(p.requires_grad for p in loaded.model.parameters())


@pytest.mark.parametrize("name", ["layers.7", "layer", "layers.0.attention.qk", "dropout"])
def test_a_part_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match=f"frozen: '{name}' names no parameters of Encoder"):
        finetune_tagger(small.loaded(), treebank(9, 0), BRIEF, task="pos", frozen=[name])


def test_one_name_alone_and_a_model_without_freedom_are_refused():
    with pytest.raises(ValueError, match="sequence of names, got one string 'layers'"):
        finetune_tagger(small.loaded(), treebank(9, 0), BRIEF, task="pos", frozen="layers")
    layer = torch.nn.Linear(2, 2)
    freeze(layer, ["weight", "bias"])
    with pytest.raises(ValueError, match="module: expected parameters to train, got none"):
        fit(layer, [1, 2], lambda rows: layer.weight.sum(), FinetuningSettings())


# --- scoring --------------------------------------------------------------------------------------


def test_words_beyond_the_longest_sequence_count_as_wrong():
    data = treebank(60, 2, most=30)
    settings = FAST.model_copy(update={"max_length": 24})
    tagger = finetune_tagger(small.loaded(), data, settings, task="pos", progress=False)
    predicted = tag(tagger, data)
    gold = [[token.upos for token in s.tokens] for s in data.sentences]
    assert [len(row) for row in predicted] == [len(row) for row in gold]
    missing = sum(label is None for row in predicted for label in row)
    right = sum(
        x == y for a, b in zip(gold, predicted, strict=True) for x, y in zip(a, b, strict=True)
    )
    n = sum(map(len, gold))
    result = evaluate_tagger(tagger, data)
    assert (result.n, result.cut, tagger.cut) == (n, missing, missing)
    assert result.value == pytest.approx(right / n)
    assert missing > 0.2 * n
    assert result.value <= 1 - missing / n < right / (n - missing)  # dropping them would flatter


def test_entities_beyond_the_longest_sequence_are_not_found():
    data = treebank(60, 2, most=30)
    settings = FAST.model_copy(update={"max_length": 24})
    tagger = finetune_tagger(small.loaded(), data, settings, task="ner", progress=False)
    gold = [[token.entity for token in s.tokens] for s in data.sentences]
    filled = [[label or "O" for label in row] for row in tag(tagger, data)]
    for convention in ("conlleval", "iob2", "repaired"):
        counts = [span_counts(g, p, convention) for g, p in zip(gold, filled, strict=True)]
        result = evaluate_tagger(tagger, data, convention=convention)
        assert result.value == pytest.approx(f1(np.sum(counts, axis=0)))
        assert result.n == sum(len(x) > 0 and x[2] for x in counts)
    assert result.cut > 0


@each_encoder
def test_the_batch_does_not_change_the_result(kind):
    tagger = finetune_tagger(ENCODERS[kind](), treebank(50, 0), BRIEF, task="pos", progress=False)
    data = treebank(23, 1)
    results = [tag(tagger.train(), data, batch=size) for size in (1, 7, 64)]
    assert results[0] == results[1] == results[2]
    assert tagger.training
    with pytest.raises(ValueError, match="batch: expected an integer >= 1, got 0"):
        tag(tagger, data, batch=0)


def test_the_interval_is_over_sentences():
    """100 sentences, all right or all wrong: words are no independent trials."""
    counts = np.array([(10, 10)] * 80 + [(0, 10)] * 20)
    result = score(counts, share, 1000)
    assert result.value == pytest.approx(0.8)
    assert result.upper - result.lower == pytest.approx(
        2 * 1.96 * (0.8 * 0.2 / 100) ** 0.5, rel=0.15
    )
    assert score(counts, share, 1000) == result
    with pytest.raises(ValueError, match="expected at least 2 for an interval, got 1"):
        score(counts[:1], share, 10)


# --- keeping it -----------------------------------------------------------------------------------


@each_encoder
def test_a_kept_tagger_comes_back_exactly_and_is_not_trained_again(kind, tmp_path):
    encoder, data, folder = ENCODERS[kind](), treebank(50, 0), tmp_path / "kept" / "t"
    run = {"task": "ner", "directory": folder, "progress": False}
    trained = finetune_tagger(encoder, data, BRIEF, **run)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    state = torch.random.get_rng_state()
    for again in (load_tagger(folder), finetune_tagger(encoder, data, BRIEF, **run)):
        assert same(weights(again), weights(trained))
        assert (again.labels, again.task, again.settings) == (trained.labels, "ner", BRIEF)
        assert (again.losses, again.words.name) == (trained.losses, trained.words.name)
        assert tag(again, data) == tag(trained, data)
        assert not again.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in folder.parent.iterdir()] == ["t"]  # nothing temporary is left


def test_another_run_does_not_take_over_a_folder(tmp_path):
    run = {"directory": tmp_path / "t", "progress": False}
    data = treebank(50, 0)
    finetune_tagger(small.loaded(), data, BRIEF, task="pos", **run)
    with pytest.raises(ValueError, match="holds a tagger with another task"):
        finetune_tagger(small.loaded(), data, BRIEF, task="ner", **run)
    other, changed = small.loaded(seed=1), BRIEF.model_copy(update={"seed": 7})
    with pytest.raises(ValueError, match="another encoder and frozen"):
        finetune_tagger(other, data, BRIEF, task="pos", frozen=["layers.0"], **run)
    with pytest.raises(ValueError, match="another train and settings"):
        finetune_tagger(small.loaded(), treebank(50, 1), changed, task="pos", **run)
    with pytest.raises(ValueError, match=r"no tagger\.json in"):
        load_tagger(tmp_path)


# --- errors ---------------------------------------------------------------------------------------


def test_data_that_cannot_be_learned_or_scored_is_refused():
    plain = Treebank("plain", "en", treebank(1, 0).sentences[:1])
    one = TreebankSentence("1", (Token("dog", "dog", "NOUN", {}, 0, "root"),))
    dull = Treebank("dull", "en", (one, one))
    with pytest.raises(ValueError, match="task: expected pos or ner, got 'chunks'"):
        finetune_tagger(small.loaded(), plain, BRIEF, task="chunks")
    with pytest.raises(ValueError, match=r"two tags to tell apart, got \{'NOUN'\} in dull"):
        finetune_tagger(small.loaded(), dull, BRIEF, task="pos")
    with pytest.raises(ValueError, match=r"two tags to tell apart, got \{'O'\} in dull"):
        finetune_tagger(small.loaded(), dull, BRIEF, task="ner")
    tagger = finetune_tagger(small.loaded(), treebank(50, 0), BRIEF, task="ner", progress=False)
    with pytest.raises(ValueError, match=r"dull \(en\) has no entities"):
        evaluate_tagger(tagger, dull)
    trees = Treebank("trees", "en", plain.sentences, ("pos", "parsing"))
    for run in (
        lambda: finetune_tagger(small.loaded(), trees, BRIEF, task="ner"),
        lambda: evaluate_tagger(tagger, trees),
    ):
        with pytest.raises(ValueError, match="trees is annotated for pos, parsing; got task 'ner'"):
            run()
    odd = TreebankSentence("1", (Token("x", "x", "X", {}, 0, "root", "B-ORG"),))
    with pytest.raises(ValueError, match="entities of type ORG; the tagger learned LOC, PER"):
        evaluate_tagger(tagger, Treebank("odd", "en", (odd, odd)))


def test_divergence_is_an_error_with_the_learning_rate():
    wild = FAST.model_copy(update={"learning_rate": 1e30, "warmup": 0.0})
    with pytest.raises(ValueError, match=r"training diverged at step \d+ with 1e\+30"):
        finetune_tagger(small.loaded(), treebank(50, 0), wild, task="pos", progress=False)


@pytest.mark.parametrize("wrong", [{"spelling": 3}, {"width": 0}, {"heads": 2}, {"dropout": 1.0}])
def test_sizes_of_a_bilstm_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BiLSTMSettings(**wrong)
