"""Trees of languages from distances between signatures, and how near they come to a known tree."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from xsim_lib.indices import validation

if TYPE_CHECKING:
    import dendropy  # imported where it is used: 50 ms


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


def read_tree(text: str) -> dendropy.Tree:
    """Rooted tree from a Newick string such as ``"((en:0.3,fr:0.3):0.3,bg:0.6);"``.

    Parameters
    ----------
    text : one tree, ending in ``;``. Upper case differs from lower case, and ``_`` is no blank.

    Returns
    -------
    dendropy.Tree; a branch without a length has None.

    Raises
    ------
    ValueError : not one tree in Newick, a leaf without a name or one that occurs twice, a length below 0;
        names the string.

    Examples
    --------
    >>> tree = read_tree("((en:0.3,fr:0.3):0.3,bg:0.6);")
    >>> [leaf.taxon.label for leaf in tree.leaf_node_iter()]
    ['en', 'fr', 'bg']
    """
    import dendropy

    try:
        trees = dendropy.TreeList.get(
            data=text, schema="newick", rooting="force-rooted", preserve_underscores=True,
            taxon_namespace=dendropy.TaxonNamespace(is_case_sensitive=True),
            case_sensitive_taxon_labels=True,
        )  # fmt: skip
    except dendropy.utility.error.DataParseError as error:
        raise ValueError(f"tree {text!r}: expected Newick; {error}") from error
    if len(trees) != 1:
        raise ValueError(f"tree {text!r}: expected one tree, got {len(trees)}")
    (tree,) = trees
    if any(leaf.taxon is None for leaf in tree.leaf_node_iter()):
        raise ValueError(f"tree {text!r}: expected a name for each leaf, got none")
    for edge in tree.edges():
        if not (edge.length or 0) >= 0:
            raise ValueError(f"tree {text!r}: expected branch lengths >= 0, got {edge.length}")
    return tree


def upgma(distances: pd.DataFrame) -> dendropy.Tree:
    """Tree of average linkage; branch lengths add up to the distances it implies.

    Parameters
    ----------
    distances : (languages, languages), symmetric, 0 on the diagonal, without nan: drop languages first.

    Returns
    -------
    dendropy.Tree, rooted and binary; all leaves are equally far from the root.

    Raises
    ------
    ValueError : other languages in rows than in columns, one twice, fewer than two, or a nan.

    Notes
    -----
    By `scipy.cluster.hierarchy.linkage`: of equally near pairs DendroPy's `upgma_tree` joins others, so
    trees of tied distances would change with it.

    References
    ----------
    Sokal & Michener (1958).
    """
    import dendropy

    values = distances.to_numpy(dtype=np.float64)
    if list(distances.index) != list(distances.columns):
        raise ValueError("distances: expected the same languages in rows and columns")
    if len(values) < 2:
        raise ValueError(f"distances: expected at least 2 languages, got {len(values)}")
    if np.isnan(values).any():
        without = distances.index[np.isnan(values).any(axis=1)]
        raise ValueError(f"distances: expected numbers, got nan for {', '.join(map(str, without))}")
    names = distances.index.map(str)
    if names.has_duplicates:
        twice = names[names.duplicated()][0]
        raise ValueError(f"distances: expected each language once, got {twice!r} twice")
    taxa = dendropy.TaxonNamespace(names, is_case_sensitive=True)
    nodes, heights = [dendropy.Node(taxon=taxon) for taxon in taxa], [0.0] * len(taxa)
    for *pair, height, _ in linkage(squareform(values, checks=True), "average"):
        joined = dendropy.Node()
        for k in map(int, pair):
            nodes[k].edge.length = max(0.0, float(height) - heights[k]) / 2
            joined.add_child(nodes[k])
        nodes.append(joined)
        heights.append(float(height))
    return dendropy.Tree(seed_node=nodes[-1], taxon_namespace=taxa, is_rooted=True)


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


def compare_trees(found: dendropy.Tree, truth: dendropy.Tree) -> TreeAgreement:
    """Compare a tree with the true one.

    Parameters
    ----------
    found, truth : of `upgma` or `read_tree`, over the same leaves; both are taken as rooted. Without
        branch lengths each edge counts 1.

    Raises
    ------
    ValueError : other leaves, or the true tree resolves no triple.

    References
    ----------
    Robinson & Foulds (1981), for rooted trees.
    """
    return _agreement(_Measured.of(found), _Measured.of(truth))


def permutation_baseline(
    found: dendropy.Tree, truth: dendropy.Tree, *, permutations: int = 999, seed: int = 0
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

    Raises
    ------
    ValueError : as in `compare_trees`, or `permutations` is not an integer from 1 to 1 000 000.
    """
    validation.number("permutations", permutations, low=1, high=10**6, integer=True)
    tree, true = _Measured.of(found), _Measured.of(truth)
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


def misplaced(tree: dendropy.Tree, group: Iterable[str]) -> int:
    r"""How far a group of languages is from being a clade: what the nearest clade has wrong.

    .. math:: \min_v |L(v) \mathbin{\triangle} G|

    over all nodes v with the leaves L(v) below them, leaves and the root included.

    Parameters
    ----------
    tree : of `upgma` or `read_tree`.
    group : at least two of its leaves.

    Returns
    -------
    int: languages too many plus languages too few; 0 is a clade, at most one less than the group has.

    Raises
    ------
    ValueError : fewer than two languages, or one that the tree does not have.
    """
    wanted = set(group)
    clades = [{leaf.taxon.label for leaf in node.leaf_iter()} for node in tree]
    everything = clades[0]
    if len(wanted) < 2:
        raise ValueError(f"group: expected at least 2 languages, got {', '.join(wanted) or 'none'}")
    if not wanted <= everything:
        unknown = sorted(wanted - everything)
        raise ValueError(f"group: the tree has {', '.join(sorted(everything))}; got {unknown[0]!r}")
    return min(len(clade ^ wanted) for clade in clades)


@dataclass(frozen=True)
class _Measured:
    """A tree as arrays, which are renamed in no time.

    Attributes
    ----------
    leaves : names, in alphabetical order.
    paths, depths : (n_leaves, n_leaves), path length between two leaves and depth of their ancestor.
    clades : (n_clades, n_leaves) bool, which leaves are below each inner node but the root.
    """

    leaves: tuple[str, ...]
    paths: np.ndarray
    depths: np.ndarray
    clades: np.ndarray

    @classmethod
    def of(cls, tree: dendropy.Tree) -> _Measured:
        leaves = tuple(sorted((x.taxon for x in tree.leaf_node_iter()), key=lambda x: x.label))
        for one, two in pairwise(leaves):
            if one.label == two.label:
                raise ValueError(f"tree: expected each leaf once, got {one.label!r} twice")
        between, weighted = tree.phylogenetic_distance_matrix(), tree.length() > 0
        paths, depths = np.zeros((2, len(leaves), len(leaves)))
        for (i, a), (j, b) in combinations(enumerate(leaves), 2):
            paths[i, j] = paths[j, i] = between.distance(a, b, weighted)
            depths[i, j] = depths[j, i] = between.mrca(a, b).level()
        below = [
            {leaf.taxon for leaf in node.leaf_iter()}
            for node in tree.internal_nodes(exclude_seed_node=True)
        ]
        clades = np.array([[x in own for x in leaves] for own in below]).reshape(-1, len(leaves))
        # Sums of the same lengths in another order: without rounding, equal distances are no ties.
        paths = np.round(paths / (paths.max() or 1), 9)
        return cls(tuple(x.label for x in leaves), paths, depths, clades)

    def renamed(self, rng: np.random.Generator) -> _Measured:
        inverse = np.argsort(rng.permutation(len(self.leaves)))
        where = np.ix_(inverse, inverse)
        return _Measured(
            self.leaves, self.paths[where], self.depths[where], self.clades[:, inverse]
        )


def _agreement(found: _Measured, true: _Measured) -> TreeAgreement:
    if found.leaves != true.leaves:
        odd = sorted({*found.leaves} ^ {*true.leaves})
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
        robinson_foulds=_robinson_foulds(found.clades, true.clades),
    )


def _outgroups(depths: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Which of three leaves splits off first: 0, 1, 2, or -1 where the tree does not say."""
    i, j, k = triples.T
    inner = np.stack([depths[j, k], depths[i, k], depths[i, j]])
    return np.where((inner == inner.max(0)).sum(0) == 1, inner.argmax(0), -1)


def _robinson_foulds(found: np.ndarray, true: np.ndarray) -> float:
    one, two = ({row.tobytes() for row in clades} for clades in (found, true))
    return len(one ^ two) / (len(found) + len(true)) if len(found) + len(true) else 0.0
