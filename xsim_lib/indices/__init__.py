"""Two aligned sets of rows in, a number out.

Row k of both sides, each (n_samples, n_features), is the same sentence. Indices take NumPy or torch on any
device, compute in float64 and return Python floats. Every second-order index also has an
``..._from_moments`` form that takes `moments.Moments` and never sees the rows. Importing this loads no torch.
"""

from xsim_lib.indices.canonical import (
    CanonicalCorrelations,
    cca,
    cca_from_moments,
    pwcca,
    pwcca_from_moments,
    svcca,
    svcca_from_moments,
)
from xsim_lib.indices.cka import linear_cka, linear_cka_from_moments, rbf_cka
from xsim_lib.indices.directions import (
    CkaDecomposition,
    eigen_decomposition_of_cka,
    eigen_decomposition_of_cka_from_moments,
    remove_directions,
    row_norm_outliers,
    top_direction_share,
)
from xsim_lib.indices.intervals import Interval, bootstrap, jackknife, shuffled
from xsim_lib.indices.neurons import (
    NeuronCorrelations,
    anc,
    anc_from_moments,
    neuron_correlations,
    neuron_correlations_from_moments,
)
from xsim_lib.indices.retrieval import matching_accuracy
from xsim_lib.indices.rotation import procrustes, procrustes_from_moments

__all__ = [
    "CanonicalCorrelations",
    "CkaDecomposition",
    "Interval",
    "NeuronCorrelations",
    "anc",
    "anc_from_moments",
    "bootstrap",
    "cca",
    "cca_from_moments",
    "eigen_decomposition_of_cka",
    "eigen_decomposition_of_cka_from_moments",
    "jackknife",
    "linear_cka",
    "linear_cka_from_moments",
    "matching_accuracy",
    "neuron_correlations",
    "neuron_correlations_from_moments",
    "procrustes",
    "procrustes_from_moments",
    "pwcca",
    "pwcca_from_moments",
    "rbf_cka",
    "remove_directions",
    "row_norm_outliers",
    "shuffled",
    "svcca",
    "svcca_from_moments",
    "top_direction_share",
]
