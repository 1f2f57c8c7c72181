"""Trees of languages from their signatures, and what pages record of how near to the true tree they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import pandas as pd

from xsim_lib import factorization
from xsim_lib.papers.parafac2023.signature_run import ALL, EVERY_WORD

if TYPE_CHECKING:
    from dendropy import Tree

    from xsim_lib.papers.parafac2023.signature_run import Signatures

__all__ = [
    "category_distances",
    "clade_rows",
    "layer_tree_rows",
    "specific_categories",
    "tree_rows",
]


def specific_categories(found: Signatures) -> list[str]:
    """The categories with a solution, without those that every word has."""
    return [c for c in found.categories if c not in (ALL, EVERY_WORD)]


def category_distances(found: Signatures, layer: int) -> pd.DataFrame:
    """Cosine distances between languages at a layer, averaged over `specific_categories` as for Figure 8b.

    Returns
    -------
    DataFrame (languages, languages); a pair counts as 1 in a category that one of the two lacks.
    """
    names = specific_categories(found)
    tables = [factorization.cosine_distances(found.table(layer, c)) for c in names]
    languages = list(found.languages)
    return factorization.average_distances(tables).loc[languages, languages]


def tree_rows(
    tree: Tree, truth: Tree, groups: Mapping[str, Sequence[str]], *, permutations: int, seed: int
) -> list[dict]:
    """How near a tree comes to the true one, and how near it comes with its leaves shuffled.

    Parameters
    ----------
    tree, truth : Newick strings over the same languages.
    groups : name -> languages that should be a clade.
    permutations, seed : of the shuffling, see `factorization.permutation_baseline`.

    Returns
    -------
    Rows with metric and value: each measure ("triplets", "cophenetic", "robinson_foulds") itself, its p
    ("triplets_p") and its mean over shufflings ("triplets_shuffled"); then "misplaced" of every group, its
    name as pair_or_language.
    """
    table = factorization.permutation_baseline(tree, truth, permutations=permutations, seed=seed)
    rows = []
    for line in table.itertuples():
        rows.append({"metric": line.measure, "value": line.value})
        rows.append({"metric": f"{line.measure}_p", "value": line.p})
        rows.append({"metric": f"{line.measure}_shuffled", "value": line.mean})
    return rows + [
        {"metric": "misplaced", "value": factorization.misplaced(tree, own), "pair_or_language": x}
        for x, own in groups.items()
    ]


def layer_tree_rows(trees: Mapping[int, Tree], truth: Tree, n_layers: int) -> list[dict]:
    """How near the tree of every layer comes to the true one, and how alike the trees of two layers are.

    Parameters
    ----------
    trees : layer -> Newick string.
    n_layers : of the models, the embedding layer not counted.

    Returns
    -------
    Rows with metric and value: "triplets_by_layer" and its siblings, with layer and n_layers; then
    "tree_correlation", with both layers ("0-3") as pair_or_language.
    """
    rows = [
        {"metric": f"{name}_by_layer", "value": value, "layer": layer, "n_layers": n_layers}
        for layer, tree in trees.items()
        for name, value in vars(factorization.compare_trees(tree, truth)).items()
    ]
    return rows + [
        {
            "metric": "tree_correlation",
            "value": factorization.compare_trees(trees[a], trees[b]).cophenetic,
            "pair_or_language": f"{a}-{b}",
        }
        for a, b in combinations(trees, 2)
    ]


def clade_rows(tree: Tree, languages: Sequence[str]) -> list[dict]:
    """Whether the tree has the clades that the text of the paper finds in Figure 8b.

    These are Arabic with Hebrew, and all languages but Chinese and Japanese.

    Returns
    -------
    Rows with metric "clade", value 1.0 or 0.0, and pair_or_language "all but zh-ja" or "ar-he"; none of a
    pair that is not among the `languages`.
    """
    every = set(languages)
    clades = {"all but zh-ja": ({"zh", "ja"}, True), "ar-he": ({"ar", "he"}, False)}
    return [
        {
            "metric": "clade",
            "value": float(
                factorization.misplaced(tree, sorted(every - pair if outside else pair)) == 0
            ),
            "pair_or_language": name,
        }
        for name, (pair, outside) in clades.items()
        if pair <= every
    ]
