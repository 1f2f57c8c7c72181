"""PARAFAC2 and what is read from it: signatures, trees of languages, trends over layers."""

from xsim_lib.factorization.language_signatures import (
    cross_covariances,
    mean_signatures,
    order_agreement,
    signatures,
)
from xsim_lib.factorization.peer import parafac2_tensorly
from xsim_lib.factorization.phylogeny import (
    average_distances,
    compare_trees,
    cosine_distances,
    distance_agreement,
    misplaced,
    permutation_baseline,
    read_tree,
    upgma,
)
from xsim_lib.factorization.planted import Planted, congruence, plant
from xsim_lib.factorization.solver import Parafac2, parafac2
from xsim_lib.factorization.trends import layer_trends

__all__ = [
    "Parafac2",
    "Planted",
    "average_distances",
    "compare_trees",
    "congruence",
    "cosine_distances",
    "cross_covariances",
    "distance_agreement",
    "layer_trends",
    "mean_signatures",
    "misplaced",
    "order_agreement",
    "parafac2",
    "parafac2_tensorly",
    "permutation_baseline",
    "plant",
    "read_tree",
    "signatures",
    "upgma",
]
