"""Trees of heads: the best one is the best one, has one root, and nothing else passes for a tree."""

import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsim_lib.text.dependencies import best_trees, fault


@pytest.mark.parametrize(
    ("heads", "expected"),
    [
        ((0,), None),
        ((2, 3, 0), None),
        ((0, 3), (2, "expected another token")),
        ((0, -1), (2, "expected another token")),
        ((0, 2), (2, "expected another token")),
        ((0, 1, 0), (3, "expected one root, got 2")),
        ((2, 1), (1, "expected one root, got 0")),
        ((0, 3, 4, 3), (2, "token 2 never reaches the root")),
    ],
)
def test_faults_name_the_word(heads, expected):
    got = fault(heads)
    if expected is None:
        assert got is None
    else:
        assert got[0] == expected[0]
        assert expected[1] in got[1]


def total(scores, heads):
    return sum(scores[d, h] for d, h in enumerate(heads))


@given(st.integers(1, 4), st.integers(0, 10**6), st.booleans())
def test_no_tree_of_all_is_better(n, seed, ties):
    """Against every one of the (n + 1)^n assignments of heads."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, 3, (n, n + 1)) if ties else random.normal(size=(n, n + 1))
    (heads,) = best_trees(scores[None], [n])
    assert fault(heads) is None
    trees = [h for h in itertools.product(range(n + 1), repeat=n) if fault(h) is None]
    assert total(scores, heads) == pytest.approx(max(total(scores, h) for h in trees))


@given(st.integers(0, 10**6))
def test_the_padding_of_a_batch_changes_no_tree(seed):
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 9, 6)
    scores = random.normal(size=(6, 9, 10)) * 50
    together = best_trees(scores, lengths)
    for k, n in enumerate(lengths):
        (alone,) = best_trees(scores[k : k + 1, :n, : n + 1], [n])
        assert together[k, :n].tolist() == alone.tolist()
        assert (together[k, n:] == -1).all()


@pytest.mark.parametrize("seed", range(12))
def test_arcs_that_are_left_out_are_in_no_best_tree(seed):
    """Against networkx with all arcs, and a root that costs more than everything else."""
    random = np.random.default_rng(seed)
    n = 14
    scores = random.normal(size=(n, n + 1)) * random.choice([0.1, 1, 30])
    graph = networkx.DiGraph()
    for word, head in itertools.product(range(1, n + 1), range(n + 1)):
        if word != head:
            graph.add_edge(head, word, weight=scores[word - 1, head] - 1e4 * (head == 0))
    tree = networkx.maximum_spanning_arborescence(graph).edges
    (heads,) = best_trees(scores[None], [n])
    assert fault(heads) is None
    assert total(scores, heads) == pytest.approx(sum(scores[w - 1, h] for h, w in tree))


def test_one_root_even_where_every_word_would_rather_be_one():
    scores = np.zeros((1, 5, 6))
    scores[0, :, 0] = [10, 30, 20, 10, 10]
    (heads,) = best_trees(scores, [5])
    assert fault(heads) is None
    assert heads[1] == 0  # the word that gains most by it


def test_long_sentences_are_no_trouble():
    n = 300
    scores = np.zeros((1, n, n + 1))
    scores[0, np.arange(n), np.arange(n)] = 1.0  # a chain, deeper than Python's recursion likes
    assert best_trees(scores, [n]).tolist() == [list(range(n))]


@pytest.mark.parametrize(
    ("scores", "lengths", "message"),
    [
        (np.zeros((1, 3, 3)), [3], r"expected shape \(n_sentences, longest, longest \+ 1\), got"),
        (np.zeros((1, 3, 4)), [4], r"lengths: expected 1 integers in 1\.\.3, got \[4\]"),
        (np.zeros((1, 3, 4)), [0], r"lengths: expected 1 integers in 1\.\.3"),
        (np.full((1, 3, 4), np.nan), [3], "scores: expected finite numbers"),
    ],
)
def test_what_is_no_score_is_refused(scores, lengths, message):
    with pytest.raises(ValueError, match=message):
        best_trees(scores, lengths)
