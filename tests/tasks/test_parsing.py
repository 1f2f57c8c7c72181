"""The parser learns what is planted, always gives trees, and changes nothing that it should not."""

from dataclasses import replace

import numpy as np
import pytest
import small
import torch

from xsim_lib.tasks.attachment import UNREAD
from xsim_lib.tasks.bilstm import BiLSTM
from xsim_lib.tasks.parsing import (
    ParserSettings,
    evaluate_parser,
    finetune_parser,
    load_parser,
    parse,
)
from xsim_lib.text.types import Treebank, TreebankSentence

SETTINGS = ParserSettings(
    steps=3, batch_size=16, learning_rate=5e-3, max_length=64, arc=32, label=16, dropout=0.1
)


def bank(n, language="en", seed=3):
    return small.SOURCE.family.treebank(language, n, seed=seed)


def planted(n, seed, plant):
    """Short sentences of the family whose tokens are replaced by `plant(position, token, root)`."""
    sentences = []
    for s in bank(n, seed=seed).sentences:
        if len(s) > 9:
            continue
        root = next(k for k, t in enumerate(s.tokens, start=1) if t.head == 0)
        tokens = [plant(k, token, root) for k, token in enumerate(s.tokens, start=1)]
        sentences.append(TreebankSentence(s.sent_id, tuple(tokens)))
    return Treebank("planted", "en", sentences)


def chain(k, token, root):
    """Every word hangs from the one before it; the relation shows in the word."""
    relation = "punct" if token.upos == "PUNCT" else "dep:word"
    return replace(token, head=k - 1, deprel=relation if k > 1 else "root")


def star(k, token, root):
    """All words hang from one, which stands anywhere and always looks the same."""
    if k == root:
        return replace(token, form="ijij", head=0, deprel="root")
    return replace(token, head=root, deprel="dep")


LONGER = SETTINGS.model_copy(update={"steps": 400, "batch_size": 32, "subtypes": True})


def test_head_is_the_previous_word():
    train, test = planted(1500, 3, chain), planted(150, 5, chain)
    encoder = BiLSTM([[t.form for t in s.tokens] for s in train.sentences])
    parser = finetune_parser(encoder, train, LONGER, progress=False)
    for options in ({}, {"subtypes": True}, {"punctuation": True}):
        got = evaluate_parser(parser, test, **options)
        assert (got["uas"].value, got["las"].value) == (1, 1)
    assert len(parser.losses) == 400
    assert np.mean(parser.losses[-20:]) < 0.1 * parser.losses[0]


def test_the_root_is_trained():
    """Before any search for trees, one word of a sentence prefers the root, and it is the right one."""
    train, test = planted(1500, 3, star), planted(150, 5, star)
    encoder = small.loaded(hidden_size=32, intermediate_size=64)
    start = finetune_parser(encoder, train, SETTINGS, progress=False)
    parser = finetune_parser(encoder, train, LONGER, progress=False)
    assert not torch.equal(parser.head.root, start.head.root)
    assert evaluate_parser(parser, test)["las"].value > 0.95
    read = parser.words.read([[t.form for t in s.tokens] for s in test.sentences], 64)
    right = []
    with torch.inference_mode():
        for number, sentence in enumerate(test.sentences):
            arcs, *_ = parser.head(parser.words(**read.batch(np.array([number]))))
            itself = torch.eye(len(sentence), dtype=torch.bool)
            arcs[0, :, 1:].masked_fill_(itself, float("-inf"))
            best = arcs[0].argmax(-1).tolist()
            right.append([h == 0 for h in best] == [t.head == 0 for t in sentence.tokens])
    assert np.mean(right) > 0.9


def test_even_an_untrained_parser_gives_trees_with_one_root():
    parser = finetune_parser(small.loaded(), bank(20), SETTINGS, progress=False)
    with torch.no_grad():  # far from any treebank
        for parameter in parser.head.parameters():
            parameter.normal_()
    sentences = parse(parser, bank(60, "fr", seed=5)).sentences  # each checks that it is a tree
    greedy = {tuple(t.head for t in s.tokens) for s in sentences}
    assert len(greedy) > 20
    for sentence in sentences:
        assert [t.deprel == "root" for t in sentence.tokens] == [
            t.head == 0 for t in sentence.tokens
        ]


def test_the_batch_changes_no_tree():
    parser = finetune_parser(small.loaded(), bank(60), SETTINGS, progress=False)
    test = bank(30, "fr", seed=5)
    assert parse(parser, test, batch=1) == parse(parser, test, batch=30)
    assert not parser.training


def test_words_that_do_not_fit_stay_in_the_denominator():
    settings = SETTINGS.model_copy(update={"max_length": 8})
    train, test = bank(40), bank(30, seed=5)
    parser = finetune_parser(small.loaded(), train, settings, progress=False)
    parsed = parse(parser, test)
    unread = sum(t.deprel == UNREAD for s in parsed.sentences for t in s.tokens)
    assert 0 < unread < sum(map(len, test.sentences))
    assert parser.cut > 0
    got = evaluate_parser(parser, test, punctuation=True)
    assert got["uas"].n == sum(map(len, test.sentences))
    assert got["uas"].cut == unread
    assert got["uas"].value <= 1 - unread / got["uas"].n
    whole = finetune_parser(small.loaded(), train, SETTINGS, progress=False)
    assert evaluate_parser(whole, test)["uas"].cut == 0


def test_words_of_one_letter_and_words_without_a_piece_are_parsed():
    odd = replace(bank(2).sentences[0].tokens[0], form="\ufe0f\u200b", head=0, deprel="root")
    words = Treebank("odd", "en", [TreebankSentence("1", (odd,)), *bank(3).sentences])
    parser = finetune_parser(small.loaded(), words, SETTINGS, progress=False)
    (alone, *_) = parse(parser, words).sentences
    assert [(t.head, t.deprel) for t in alone.tokens] == [(0, "root")]
    assert np.isfinite(parser.losses).all()


def test_a_sentence_of_which_no_head_was_read_teaches_nothing_and_breaks_nothing():
    tokens = bank(1).sentences[0].tokens
    heads = [len(tokens)] * (len(tokens) - 1) + [0]
    back = TreebankSentence("1", tuple(map(lambda t, h: replace(t, head=h), tokens, heads)))
    settings = SETTINGS.model_copy(update={"max_length": 4, "steps": 2})
    words = Treebank("far", "en", [back])
    parser = finetune_parser(small.loaded(), words, settings, progress=False)
    assert parser.losses == (0.0, 0.0)


def test_frozen_parts_keep_their_weights_and_the_caller_keeps_everything():
    model = small.loaded()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    parser = finetune_parser(
        model, bank(40), SETTINGS, progress=False, frozen=["word_embeddings", "layers.0"]
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    after = parser.words.model.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {n for n in before if n.startswith(("word_embeddings.", "layers.0."))}
    assert all(torch.equal(before[n], value) for n, value in model.model.state_dict().items())
    with pytest.raises(ValueError, match=r"frozen: 'layers\.9' names no parameters"):
        finetune_parser(model, bank(5), SETTINGS, progress=False, frozen=["layers.9"])
    with pytest.raises(ValueError, match="frozen: expected a sequence of names, got one string"):
        finetune_parser(model, bank(5), SETTINGS, progress=False, frozen="layers.0")


@pytest.mark.parametrize("kind", ["encoder", "BiLSTM"])
def test_a_parser_is_kept_and_found_again(tmp_path, kind):
    train, test = bank(40), bank(20, "fr", seed=5)
    encoder = small.loaded()
    if kind == "BiLSTM":
        encoder = BiLSTM([[t.form for t in s.tokens] for s in train.sentences])
    folder = tmp_path / "parser"
    made = finetune_parser(encoder, train, SETTINGS, directory=folder, progress=False)
    changed = (folder / "parser.json").stat().st_mtime_ns
    found = finetune_parser(encoder, train, SETTINGS, directory=folder, progress=False)
    assert (folder / "parser.json").stat().st_mtime_ns == changed
    for other in (found, load_parser(folder)):
        assert parse(other, test) == parse(made, test)
        assert (other.relations, other.losses, other.cut) == (made.relations, made.losses, made.cut)
    again = finetune_parser(encoder, train, SETTINGS, progress=False)
    assert again.losses == made.losses
    with pytest.raises(ValueError, match="holds a parser with another train"):
        finetune_parser(encoder, bank(41), SETTINGS, directory=folder, progress=False)
    with pytest.raises(ValueError, match=r"no parser\.json in"):
        load_parser(tmp_path)


def test_what_cannot_be_parsed_is_refused():
    names = replace(bank(5), tasks=("ner",))
    with pytest.raises(ValueError, match="annotated for ner; got task 'parsing'"):
        finetune_parser(small.loaded(), names, SETTINGS, progress=False)
    parser = finetune_parser(small.loaded(), bank(5), SETTINGS, progress=False)
    with pytest.raises(ValueError, match="annotated for ner; got task 'parsing'"):
        evaluate_parser(parser, names)
    with pytest.raises(ValueError, match="subtypes: expected False, the parser was trained with"):
        evaluate_parser(parser, bank(5), subtypes=True)
    with pytest.raises(ValueError, match="batch: expected an integer >= 1, got 0"):
        parse(parser, bank(5), batch=0)
