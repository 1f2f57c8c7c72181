"""Trees of languages from distances between signatures, and how near they come to a known tree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage, to_tree
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from xsim_lib import validation
from xsim_lib.artificial.tree import Node, newick, parse_newick


def cosine_distances(signatures: pd.DataFrame) -> pd.DataFrame:
    r"""Distances between languages.

    .. math:: d_{ij} = 1 - \cos(s_i, s_j)

    Parameters
    ----------
    signatures : languages in rows, components in columns; a row of nan is a language without one.

    Returns
    -------
    DataFrame (languages, languages) in [0, 2], in [0, 1] for non-negative signatures; nan where a
    language has no signature.

    Raises
    ------
    ValueError : a signature is all 0, so it has no direction; names it.
    """
    zero = signatures.index[(signatures == 0).all(axis=1)]
    if len(zero):
        raise ValueError(f"signatures: expected a value other than 0, got zeros for {zero[0]!r}")
    values = squareform(pdist(signatures.to_numpy(dtype=np.float64), "cosine"))
    absent = signatures.isna().any(axis=1).to_numpy()
    values[absent], values[:, absent] = np.nan, np.nan
    return pd.DataFrame(values, index=signatures.index, columns=signatures.index)


def average_distances(tables: Iterable[pd.DataFrame], *, missing: float = 1.0) -> pd.DataFrame:
    """Distances averaged over categories.

    Parameters
    ----------
    tables : one per category, of `cosine_distances`; languages may differ.
    missing : distance of a pair in a category that one of them lacks: 1 in the paper, which puts languages
        with few categories far from all others. nan leaves such a pair out of its average instead.

    Returns
    -------
    DataFrame of all languages; nan where a pair shares no category and `missing` is nan.
    """
    tables = list(tables)
    if not tables:
        raise ValueError("tables: expected at least one category, got none")
    languages = list(dict.fromkeys(name for table in tables for name in table.index))
    stacked = np.stack([t.reindex(index=languages, columns=languages).to_numpy() for t in tables])
    if not math.isnan(missing):
        stacked = np.where(np.isnan(stacked), missing, stacked)
    counts = (~np.isnan(stacked)).sum(0)
    total = np.nansum(stacked, axis=0)
    mean = np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)
    np.fill_diagonal(mean, 0)
    return pd.DataFrame(mean, index=languages, columns=languages)


def distance_agreement(one: pd.DataFrame, two: pd.DataFrame) -> float:
    """Spearman correlation of two tables of distances, over the pairs of languages that both have.

    Pairs are not independent, so no p-value comes with it; -1 to 1, nan where a table does not vary.

    Raises
    ------
    ValueError : the languages differ.
    """
    if set(one.index) != set(two.index):
        odd = sorted(set(one.index) ^ set(two.index))
        raise ValueError(f"two: expected the languages of one, differ in {', '.join(odd)}")
    upper = np.triu_indices(len(one), 1)
    pairs = [x.loc[one.index, one.index].to_numpy(np.float64)[upper] for x in (one, two)]
    return float(pd.Series(pairs[0]).corr(pd.Series(pairs[1]), method="spearman"))


def upgma(distances: pd.DataFrame) -> str:
    """Tree of average linkage as a Newick string; branch lengths add up to the distances it implies.

    Parameters
    ----------
    distances : (languages, languages), symmetric, 0 on the diagonal, without nan: drop languages first.
    """
    values = distances.to_numpy(dtype=np.float64)
    if list(distances.index) != list(distances.columns):
        raise ValueError("distances: expected the same languages in rows and columns")
    if len(values) < 2:
        raise ValueError(f"distances: expected at least 2 languages, got {len(values)}")
    if np.isnan(values).any():
        without = distances.index[np.isnan(values).any(axis=1)]
        raise ValueError(f"distances: expected numbers, got nan for {', '.join(map(str, without))}")
    names = [str(name) for name in distances.index]
    odd = [name for name in names if not name or set(name) & set("(),;: ")]
    if odd:
        raise ValueError(f"distances: expected names without '(),;:' and blanks, got {odd[0]!r}")

    def node(cluster, above: float) -> Node:
        length = max(0.0, above - cluster.dist) / 2
        if cluster.is_leaf():
            return Node(names[cluster.id], length)
        below = (cluster.get_left(), cluster.get_right())
        return Node("", length, tuple(node(part, cluster.dist) for part in below))

    root = to_tree(linkage(squareform(values, checks=True), "average"))
    return newick(node(root, root.dist), digits=17)


@dataclass(frozen=True)
class TreeAgreement:
    """How near two rooted trees over the same leaves are.

    Attributes
    ----------
    triplets : share of the triples of leaves resolved by the true tree that the other resolves alike;
        1/3 by chance, whatever the shape.
    cophenetic : Spearman correlation of the distances between leaves along both trees.
    robinson_foulds : clades that only one tree has, as a share of all clades of both; 0 is equal, 1 none
        in common. Leaves and the root do not count.
    """

    triplets: float
    cophenetic: float
    robinson_foulds: float


def compare_trees(found: str, truth: str) -> TreeAgreement:
    """Compare a tree with the true one.

    Parameters
    ----------
    found, truth : Newick strings over the same leaves. Without branch lengths each edge counts 1.

    Raises
    ------
    ValueError : not Newick, other leaves, or the true tree resolves no triple.

    References
    ----------
    Robinson & Foulds (1981), for rooted trees.
    """
    return _agreement(_Tree.of(found), _Tree.of(truth))


def permutation_baseline(
    found: str, truth: str, *, permutations: int = 999, seed: int = 0
) -> pd.DataFrame:
    """Agreement with the true tree beside that of the same tree with its leaves shuffled.

    Parameters
    ----------
    found, truth : as in `compare_trees`.
    permutations : shufflings of the names of `found`; its shape stays.
    seed : of the shufflings.

    Returns
    -------
    DataFrame, one row per measure: value, mean, low and high (2.5 and 97.5 %) of the shuffled, and p, the
    share of shufflings (the tree itself counted) at least as near to the truth.
    """
    validation.number("permutations", permutations, low=1, high=10**6, integer=True)
    tree, true = _Tree.of(found), _Tree.of(truth)
    value = _agreement(tree, true)
    rng = np.random.default_rng(seed)
    shuffled = pd.DataFrame(
        [vars(_agreement(tree.renamed(rng), true)) for _ in range(permutations)]
    )
    rows = []
    for name, one in vars(value).items():
        nearer = shuffled[name] <= one if name == "robinson_foulds" else shuffled[name] >= one
        low, high = shuffled[name].quantile([0.025, 0.975])
        p = (1 + nearer.sum()) / (1 + permutations)
        rows.append((name, one, shuffled[name].mean(), low, high, p))
    return pd.DataFrame(rows, columns=["measure", "value", "mean", "low", "high", "p"])


def misplaced(tree: str, group: Iterable[str]) -> int:
    r"""How far a group of languages is from being a clade: what the nearest clade has wrong.

    .. math:: \min_v |L(v) \mathbin{\triangle} G|

    over all nodes v with the leaves L(v) below them, leaves and the root included.

    Parameters
    ----------
    tree : Newick string.
    group : at least two of its leaves.

    Returns
    -------
    int: languages too many plus languages too few; 0 is a clade, at most one less than the group has.

    Raises
    ------
    ValueError : fewer than two languages, or one that the tree does not have.
    """
    wanted, clades = set(group), []

    def walk(node: Node) -> set[str]:
        below = set().union(*map(walk, node.children)) if node.children else {node.name}
        clades.append(below)
        return below

    everything = walk(parse_newick(tree))
    if len(wanted) < 2:
        raise ValueError(f"group: expected at least 2 languages, got {', '.join(wanted) or 'none'}")
    if not wanted <= everything:
        unknown = sorted(wanted - everything)
        raise ValueError(f"group: the tree has {', '.join(sorted(everything))}; got {unknown[0]!r}")
    return min(len(clade ^ wanted) for clade in clades)


@dataclass(frozen=True)
class _Tree:
    """Leaves in alphabetical order, and between every two: path length and depth of their ancestor."""

    root: Node
    leaves: tuple[str, ...]
    paths: np.ndarray
    depths: np.ndarray

    @classmethod
    def of(cls, text: str) -> _Tree:
        root = parse_newick(text)
        if not _total(root):
            root = _unit(root)
        return cls._from(root)

    @classmethod
    def _from(cls, root: Node) -> _Tree:
        above: dict[str, list[tuple[int, float]]] = {}

        def walk(node: Node, path: list[tuple[int, float]]):
            path = [*path, (id(node), node.length)]
            if not node.children:
                if node.name in above:
                    raise ValueError(f"tree: expected each leaf once, got {node.name!r} twice")
                above[node.name] = path
            for child in node.children:
                walk(child, path)

        walk(root, [])
        names = tuple(sorted(above))
        paths, depths = np.zeros((2, len(names), len(names)))
        for (i, a), (j, b) in combinations(enumerate(names), 2):
            shared = sum(p[0] == q[0] for p, q in zip(above[a], above[b], strict=False))
            length = sum(x for _, x in above[a][shared:]) + sum(x for _, x in above[b][shared:])
            paths[i, j] = paths[j, i] = length
            depths[i, j] = depths[j, i] = shared
        # Sums of the same lengths in another order: without rounding, equal distances are no ties.
        return cls(root, names, np.round(paths / (paths.max() or 1), 9), depths)

    def renamed(self, rng: np.random.Generator) -> _Tree:
        order = rng.permutation(len(self.leaves))
        names = {name: self.leaves[k] for name, k in zip(self.leaves, order, strict=True)}

        def rename(node: Node) -> Node:
            name = "" if node.children else names[node.name]
            return Node(name, node.length, tuple(map(rename, node.children)))

        inverse = np.argsort(order)
        where = np.ix_(inverse, inverse)
        return _Tree(rename(self.root), self.leaves, self.paths[where], self.depths[where])


def _agreement(found: _Tree, true: _Tree) -> TreeAgreement:
    if found.leaves != true.leaves:
        odd = sorted(set(found.leaves) ^ set(true.leaves))
        raise ValueError(f"truth: expected the leaves of found, differ in {', '.join(odd)}")
    triples = np.array(list(combinations(range(len(true.leaves)), 3))).reshape(-1, 3)
    expected, got = _outgroups(true.depths, triples), _outgroups(found.depths, triples)
    resolved = expected >= 0
    if not resolved.any():
        raise ValueError("truth: expected a tree that resolves a triple of leaves, got a star")
    upper = np.triu_indices(len(true.leaves), 1)
    return TreeAgreement(
        triplets=float((expected == got)[resolved].mean()),
        cophenetic=float(spearmanr(found.paths[upper], true.paths[upper]).statistic),
        robinson_foulds=_robinson_foulds(found.root, true.root),
    )


def _outgroups(depths: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Which of three leaves splits off first: 0, 1, 2, or -1 where the tree does not say."""
    i, j, k = triples.T
    inner = np.stack([depths[j, k], depths[i, k], depths[i, j]])
    return np.where((inner == inner.max(0)).sum(0) == 1, inner.argmax(0), -1)


def _robinson_foulds(found: Node, true: Node) -> float:
    one, two = _clades(found), _clades(true)
    return len(one ^ two) / (len(one) + len(two)) if one or two else 0.0


def _clades(root: Node) -> set[frozenset[str]]:
    """The leaves below every node but the root and the leaves."""
    found = set()

    def walk(node: Node) -> frozenset[str]:
        if not node.children:
            return frozenset((node.name,))
        below = frozenset().union(*map(walk, node.children))
        if node is not root:
            found.add(below)
        return below

    walk(root)
    return found


def _total(node: Node) -> float:
    return node.length + sum(map(_total, node.children))


def _unit(node: Node) -> Node:
    return Node(node.name, 1.0, tuple(map(_unit, node.children)))
