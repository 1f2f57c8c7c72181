"""The types of text refuse what would silently misalign or empty an experiment."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsim_lib.text.types import (
    BilingualDictionary,
    Classification,
    Corpus,
    ParallelCorpus,
    Token,
    Treebank,
    TreebankSentence,
    count_words,
    covariates,
)

SENTENCES = {"en": ("one two", "three"), "et": ("üks kaks", "kolm")}


def parallel():
    return ParallelCorpus("toy", SENTENCES)


def tree(*heads, deprel="dep"):
    return tuple(Token(f"w{k}", f"w{k}", "NOUN", {}, head, deprel) for k, head in enumerate(heads))


def test_importing_the_types_loads_no_torch():
    code = "import sys, xsim_lib.text.types, xsim_lib.text.corpora; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_pair_keeps_the_alignment():
    x, y = parallel().pair("et", "en")
    assert list(zip(x, y, strict=True)) == [("üks kaks", "one two"), ("kolm", "three")]


def test_head_of_a_parallel_corpus_stays_parallel_and_never_gives_less_than_asked():
    assert parallel().head(1).sentences == {"en": ("one two",), "et": ("üks kaks",)}
    with pytest.raises(ValueError, match=r"n: toy has 2 aligned sentences, got 3"):
        parallel().head(3)
    with pytest.raises(ValueError, match="n: expected an integer >= 1, got 0"):
        parallel().head(0)


def test_head_of_monolingual_text_takes_what_there_is():
    corpus = Corpus("toy", {"en": ("a", "b", "c"), "fr": ("d",)})
    assert corpus.head(2).sentences == {"en": ("a", "b"), "fr": ("d",)}
    assert type(parallel().head(1)) is ParallelCorpus


def test_unequal_lengths_are_named():
    with pytest.raises(ValueError, match=r"^et: expected 2 sentences like en, got 1$"):
        ParallelCorpus("toy", {"en": ("a", "b"), "et": ("c",)})
    Corpus("toy", {"en": ("a", "b"), "et": ("c",)})  # monolingual text may differ


@pytest.mark.parametrize("empty", ["", "  ", "\t"])
def test_an_empty_sentence_is_named_with_its_line(empty):
    with pytest.raises(ValueError, match=r"^et: line 2 is empty$"):
        ParallelCorpus("toy", {"en": ("a", "b"), "et": ("c", empty)})


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ({}, "sentences: expected a non-empty mapping"),
        ({"en": ()}, "en: no sentences"),
        ({"en": "abc"}, "en: expected a sequence of sentences, got one string 'abc'"),
        ({"en": ("a", None)}, "en: line 2: expected a string, got None"),
        ({" ": ("a",)}, "language: expected a non-empty string"),
    ],
)
def test_what_is_no_text_is_refused(sentences, message):
    with pytest.raises(ValueError, match=message):
        Corpus("toy", sentences)


def test_asking_for_another_language_says_which_there_are():
    with pytest.raises(ValueError, match="language: toy has en, et; got 'fr'"):
        parallel().pair("en", "fr")


def test_a_corpus_cannot_be_changed_through_what_it_was_made_from():
    lists = {"en": ["a", "b"]}
    corpus = Corpus("toy", lists)
    lists["en"].append("c")
    assert corpus.sentences == {"en": ("a", "b")}
    with pytest.raises(dataclasses.FrozenInstanceError):
        corpus.name = "other"


def test_equal_corpora_are_interchangeable_across_processes():
    copy = pickle.loads(pickle.dumps(parallel()))
    assert copy == parallel()
    assert hash(copy) == hash(parallel())
    assert copy.fingerprint == parallel().fingerprint


def test_the_fingerprint_sees_every_change_but_the_order_of_languages():
    reference = parallel().fingerprint
    changed = [
        ParallelCorpus("toy2", SENTENCES),
        ParallelCorpus("toy", {"en": SENTENCES["en"], "fr": SENTENCES["et"]}),
        ParallelCorpus("toy", {"en": SENTENCES["et"], "et": SENTENCES["en"]}),
        ParallelCorpus("toy", {k: v[::-1] for k, v in SENTENCES.items()}),
        ParallelCorpus("toy", {"en": ("one", "two three"), "et": SENTENCES["et"]}),
        parallel().head(1),
        Corpus("toy", SENTENCES),
    ]
    prints = {corpus.fingerprint for corpus in changed}
    assert reference not in prints
    assert len(prints) == len(changed)
    assert ParallelCorpus("toy", dict(reversed(SENTENCES.items()))).fingerprint == reference


def test_the_fingerprint_knows_where_a_sentence_ends():
    assert (
        Corpus("a", {"x": ("ab", "c")}).fingerprint != Corpus("a", {"x": ("a", "bc")}).fingerprint
    )


def test_classification_checks_lengths_and_labels():
    names = ("yes", "no")
    good = Classification("toy", "en", ("a", "b"), ("c", "d"), (0, np.int64(1)), names)
    assert len(good) == 2
    assert good.labels == (0, 1)
    assert good.head(1).hypotheses == ("c",)
    assert Classification("toy", "en", ("a",), None, (1,), names).head(1).hypotheses is None
    with pytest.raises(ValueError, match="hypotheses: expected 2 like premises, got 1"):
        dataclasses.replace(good, hypotheses=("c",))
    with pytest.raises(ValueError, match="labels: expected 2 like premises, got 3"):
        dataclasses.replace(good, labels=(0, 1, 0))
    for bad in (2, -1, True, 0.5):
        with pytest.raises(ValueError, match=r"labels: row 1: expected an integer in 0\.\.1, got"):
            dataclasses.replace(good, labels=(0, bad))
    with pytest.raises(ValueError, match="label_names: expected at least two different names"):
        dataclasses.replace(good, label_names=("yes", "yes"))
    with pytest.raises(ValueError, match="n: toy has 2 items in en, got 3"):
        good.head(3)


def test_classification_fingerprints_tell_labels_and_columns_apart():
    names = ("yes", "no")
    items = [
        Classification("toy", "en", ("a", "b"), ("c", "d"), (0, 1), names),
        Classification("toy", "en", ("a", "b"), ("c", "d"), (1, 0), names),
        Classification("toy", "en", ("c", "d"), ("a", "b"), (0, 1), names),
        Classification("toy", "en", ("a", "b"), None, (0, 1), names),
        Classification("toy", "et", ("a", "b"), ("c", "d"), (0, 1), names),
    ]
    assert len({item.fingerprint for item in items}) == len(items)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"upos": "CONJ"}, "upos: expected one of ADJ .* got 'CONJ' for 'w'"),
        ({"head": -1}, "head: expected an integer >= 0, got -1"),
        ({"entity": "PER"}, "entity: expected O, B-TYPE or I-TYPE, got 'PER'"),
        ({"form": ""}, "form: expected a non-empty string"),
        ({"feats": "Case=Nom"}, "feats: expected a mapping"),
        ({"deprel": ""}, "deprel: expected a non-empty string"),
    ],
)
def test_a_token_says_what_is_wrong_with_it(change, message):
    token = Token("w", "w", "NOUN", {"Case": "Nom"}, 0, "root", "B-PER")
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(token, **change)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ((), "sentence 's' has none"),
        ((0, 3), r"token 2: expected another token in 0\.\.2, got 3"),
        ((0, 2), r"token 2: expected another token in 0\.\.2, got 2"),
        ((0, 0), "expected one root, got 2"),
        ((0, 3, 2), "token 2 never reaches the root"),
    ],
)
def test_what_is_no_tree_is_refused(heads, message):
    with pytest.raises(ValueError, match=message):
        TreebankSentence("s", tree(*heads))


@given(st.integers(1, 12).flatmap(lambda n: st.permutations(range(1, n + 1))), st.randoms())
def test_every_tree_is_accepted(order, random):
    heads = {order[0]: 0}
    for k, node in enumerate(order[1:], start=1):
        heads[node] = random.choice(order[:k])
    sentence = TreebankSentence("s", tree(*(heads[k] for k in sorted(heads))))
    assert len(sentence) == len(order)


def test_text_of_a_tree_is_its_forms_unless_given():
    tokens = tree(2, 0)
    assert TreebankSentence("s", tokens).text == "w0 w1"
    assert TreebankSentence("s", tokens, "w0w1").text == "w0w1"
    bank = Treebank("toy", "en", [TreebankSentence(str(k), tokens) for k in range(3)])
    assert [s.sent_id for s in bank.head(2).sentences] == ["0", "1"]
    with pytest.raises(ValueError, match="treebank toy has none"):
        Treebank("toy", "en", ())


def test_a_dictionary_keeps_several_translations_and_no_empty_word():
    pairs = [("a", "x"), ("a", "y")]
    assert BilingualDictionary("en", "fr", pairs).pairs == (("a", "x"), ("a", "y"))
    with pytest.raises(ValueError, match="row 1: expected two non-empty words"):
        BilingualDictionary("en", "fr", [("a", "x"), ("b", " ")])
    with pytest.raises(ValueError, match="en-fr dictionary is empty"):
        BilingualDictionary("en", "fr", ())


def test_covariates_count_words_marks_and_digits():
    got = covariates(["Hi, you 22!", "“Non” ٣", "a"])
    assert got.dtype == np.float64
    assert got.tolist() == [[3, 2, 2], [2, 2, 1], [1, 0, 0]]


def test_scripts_without_spaces_have_a_length_at_all():
    assert count_words("我们走。") > count_words("我们。")
    assert count_words("我们 go home") == 4
    assert count_words("우리는 간다") == 2  # Korean has spaces


@given(st.lists(st.sampled_from(["a", "bc", "é"]), min_size=1, max_size=9))
def test_words_of_spaced_text_are_what_split_gives(words):
    assert count_words("  ".join(words)) == len(words)
