"""Dependency trees as heads: what is wrong with one, and the best one under scores of arcs.

Words are numbered from 1 and head 0 is the root, as in CoNLL-U.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["best_trees", "fault"]


def fault(heads: Sequence[int]) -> tuple[int, str] | None:
    """Say why heads are no dependency tree.

    Parameters
    ----------
    heads : (n_words,) int
        Head of word 1, 2, ...

    Returns
    -------
    None for a tree; else (number of the word at fault, reason): a head outside the sentence or the
    word itself, not exactly one root, or a cycle.
    """
    n = len(heads)
    for word, head in enumerate(heads, start=1):
        if not 0 <= head <= n or head == word:
            return word, f"token {word}: expected another token in 0..{n}, got {head}"
    roots = [word for word, head in enumerate(heads, start=1) if head == 0]
    if len(roots) != 1:
        return (roots[1] if roots else 1), f"expected one root, got {len(roots)}"
    reached = {0}
    for word in range(1, n + 1):
        path, node = [], word
        while node not in reached and len(path) <= n:
            path.append(node)
            node = heads[node - 1]
        if node not in reached:
            return word, f"token {word} never reaches the root"
        reached.update(path)
    return None


def best_trees(scores: np.ndarray, lengths: Sequence[int]) -> np.ndarray:
    r"""The dependency tree with the largest sum of arc scores, one per sentence.

    .. math:: \hat h = \arg\max_{h \text{ a tree with one root}} \sum_{d=1}^{n} s_{d, h_d}

    Parameters
    ----------
    scores : (n_sentences, longest, longest + 1)
        ``scores[k, d - 1, h]`` is the score of head h for word d of sentence k; h = 0 is the root.
    lengths : (n_sentences,) int in 1..longest
        Number of words; scores beyond are not read.

    Returns
    -------
    int64 (n_sentences, longest): heads, -1 beyond the sentence.

    Raises
    ------
    ValueError : another shape, a length outside 1..longest, or a score that is not finite.

    Notes
    -----
    A tree has one root, so taking a constant from all scores of the root changes no order among trees.
    The constant is chosen such that one word prefers the root. Where the best head of every word then
    gives a tree, no tree is better, and it is taken. Only sentences with cycles go through Edmonds'
    algorithm (networkx), and only with the arcs that a best tree can have: it is slow on many arcs.

    References
    ----------
    Edmonds (1967), "Optimum branchings"; Fulkerson (1974), "Packing rooted directed cuts in a weighted
    directed graph", for which arcs a best tree can have.
    """
    scores = np.array(scores, dtype=np.float64)
    lengths = np.asarray(lengths, dtype=np.int64)
    if scores.ndim != 3 or scores.shape[2] != scores.shape[1] + 1:
        raise ValueError(
            f"scores: expected shape (n_sentences, longest, longest + 1), got {scores.shape}"
        )
    count, longest = scores.shape[:2]
    if lengths.shape != (count,) or ((lengths < 1) | (lengths > longest)).any():
        raise ValueError(f"lengths: expected {count} integers in 1..{longest}, got {lengths}")
    word = np.arange(1, longest + 1)
    inside = word <= lengths[:, None]
    allowed = np.arange(longest + 1) <= lengths[:, None]
    arcs = inside[:, :, None] & allowed[:, None, :] & (word[:, None] != np.arange(longest + 1))
    if not np.isfinite(scores[arcs]).all():
        raise ValueError("scores: expected finite numbers for all arcs, got inf or nan")
    scores[~arcs] = -np.inf
    if longest > 1:
        # How much each word would rather be the root than anything else: between the first and the second.
        gain = np.where(inside, scores[:, :, 0], -np.inf)
        gain[lengths > 1] -= np.where(inside, scores[:, :, 1:].max(-1), 0)[lengths > 1]
        first, second = -np.partition(-gain, 1, axis=1)[:, :2].T
        shift = np.where(lengths > 1, (first + second) / 2, 0)
        scores[:, :, 0] -= shift[:, None]
    heads = np.where(inside, scores.argmax(-1), 0)
    one_root = ((heads == 0) & inside).sum(1) == 1
    # Follow all heads at once, twice as far each time: in a tree every word arrives at 0.
    node = np.concatenate([np.zeros((count, 1), dtype=np.int64), heads], axis=1)
    for _ in range(int(np.ceil(np.log2(longest + 1)))):
        node = np.take_along_axis(node, node, axis=1)
    for k in np.flatnonzero(~(one_root & (node == 0).all(1))):
        n = lengths[k]
        heads[k, :n] = _edmonds(scores[k, :n, : n + 1])
    heads[~inside] = -1
    return heads


def _edmonds(scores: np.ndarray) -> np.ndarray:
    """The best tree of one sentence, scores (n_words, n_words + 1), -inf for no arc."""
    import networkx

    loss = (scores.max(1, keepdims=True) - scores).T
    # More than trees can differ by: the best arborescence has no more roots than it needs.
    loss[0] += len(scores) * loss[np.isfinite(loss)].max() + 1
    heads, words = np.nonzero(_tight(loss))
    graph = networkx.DiGraph()
    graph.add_weighted_edges_from(
        zip(heads.tolist(), (words + 1).tolist(), loss[heads, words].tolist(), strict=True)
    )
    tree = np.zeros(len(scores), dtype=np.int64)
    for head, word in networkx.minimum_spanning_arborescence(graph).edges:
        tree[word - 1] = head
    return tree


def _tight(loss: np.ndarray) -> np.ndarray:
    """Which arcs (n_words + 1 heads, n_words) a best tree can have.

    A set of words has to be entered from outside. As long as some strongly connected set has no free
    way in, all its ways in become cheaper by the cheapest of them: no tree gains on another by that,
    for all of them pay it. In the end the arcs that have become free hold a best tree.
    """
    from scipy.sparse.csgraph import connected_components

    cost = np.column_stack([np.full(len(loss), np.inf), loss])
    almost = 1e-12 * loss[np.isfinite(loss)].max()
    while True:
        free = cost <= almost
        count, part = connected_components(free, connection="strong")
        entered = np.zeros(count, dtype=bool)
        entered[part[0]] = True
        entered[part[(free & (part[:, None] != part)).any(0)]] = True
        if entered.all():
            return free[:, 1:]
        for closed in np.flatnonzero(~entered):
            ways = np.ix_(part != closed, part == closed)
            cost[ways] -= cost[ways].min()
