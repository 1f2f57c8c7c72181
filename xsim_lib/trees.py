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
    Where the best head of every word already gives one tree, no tree is better, and it is taken. Only
    the other sentences go through Edmonds' algorithm (networkx). The single root that Universal
    Dependencies asks for is exact: all arcs from the root lose one constant, larger than any
    difference between trees, so the best tree has as few of them as possible, which is one.

    References
    ----------
    Chu & Liu (1965); Edmonds (1967), "Optimum branchings".
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
    import networkx

    dependents, candidates = np.nonzero(np.isfinite(scores))
    weights = scores[dependents, candidates]
    penalty = (len(scores) + 1) * (weights.max() - weights.min()) + 1
    weights = weights - penalty * (candidates == 0)
    graph = networkx.DiGraph()
    graph.add_weighted_edges_from(
        zip(candidates.tolist(), (dependents + 1).tolist(), weights.tolist(), strict=True)
    )
    heads = np.zeros(len(scores), dtype=np.int64)
    for head, dependent in networkx.maximum_spanning_arborescence(graph).edges:
        heads[dependent - 1] = head
    return heads
