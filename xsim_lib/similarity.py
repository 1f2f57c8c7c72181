"""Indices between two aligned representations, each (n_samples, n_features).

Row k of both sides is the same sentence. Indices take numpy or torch on any device, compute in
float64 and return Python floats. Every second-order index also has an ``..._from_moments`` form
that takes `xsim_lib.moments.Moments` and never sees the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsim_lib import validation
from xsim_lib.cca import (
    CanonicalCorrelations,
    cca,
    cca_from_moments,
    pwcca,
    pwcca_from_moments,
    svcca,
    svcca_from_moments,
)
from xsim_lib.cka import linear_cka, linear_cka_from_moments, rbf_cka
from xsim_lib.directions import (
    CkaDecomposition,
    eigen_decomposition_of_cka,
    eigen_decomposition_of_cka_from_moments,
    remove_directions,
    row_norm_outliers,
    top_direction_share,
)
from xsim_lib.moments import Moments, constant_sides, dead_neurons
from xsim_lib.resampling import Interval, bootstrap, jackknife, shuffled

if TYPE_CHECKING:
    import torch

    from xsim_lib.validation import Array

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
    "procrustes_distance",
    "procrustes_distance_from_moments",
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

# Cosines closer than this are a tie: rounding in a matrix product depends on where in it a row
# stands, and must not decide between two copies of one sentence.
_TIE = 1e-12
_CHUNK_BYTES = 2**23


@dataclass(frozen=True)
class NeuronCorrelations:
    """Correlation of each neuron with itself across two languages.

    Attributes
    ----------
    values : (..., n_features), in [-1, 1]; 0 for a dead neuron.
    dead : (..., n_features) bool, neurons that are constant on at least one side.
    n_dead : number of dead neurons; one per leading dimension.
    """

    values: np.ndarray
    dead: np.ndarray

    @property
    def n_dead(self) -> Any:
        count = self.dead.sum(-1)
        return int(count) if count.ndim == 0 else count


def anc(x: Array, y: Array, *, signed: bool = False) -> float:
    r"""Average neuron-wise correlation of two aligned representations.

    .. math:: \mathrm{ANC}(X, Y) = \frac{1}{d} \sum_{i=1}^{d} |\operatorname{corr}(x_i, y_i)|

    Parameters
    ----------
    x, y : (n_samples, n_features)
        Row k of both is the same sentence; column i of both is the same neuron of one network.
    signed : bool
        Average the correlations themselves, as the authors' script does, instead of their absolute
        values (Eq. 4).

    Returns
    -------
    float in [0, 1]; in [-1, 1] if `signed`. Independent data give about sqrt(2 / (pi n)), not 0.

    Raises
    ------
    ValueError : shapes differ, n_samples < 2, or a value is not finite.

    Notes
    -----
    Invariant to shifting and rescaling each neuron (by a positive factor if `signed`); not to
    rotations or permutations of neurons, on purpose. A constant neuron has no correlation: it
    counts as 0 and stays in d; `neuron_correlations` says how many there are.

    References
    ----------
    Del & Fishel (2022), Eq. 3-4.
    """
    return anc_from_moments(_diagonal(x, y), signed=signed)


def anc_from_moments(moments: Moments, *, signed: bool = False) -> Any:
    """`anc` as a function of moments (diagonal is enough); one value per leading dimension."""
    values, _ = _correlations(moments)
    return validation.result((values if signed else values.abs()).mean(-1))


def neuron_correlations(x: Array, y: Array) -> NeuronCorrelations:
    r"""Pearson correlation of each neuron across the two sides.

    .. math:: r_i = \frac{\hat x_i^T \hat y_i}{\|\hat x_i\| \, \|\hat y_i\|}

    Parameters
    ----------
    x, y : (n_samples, n_features), as in `anc`.

    Returns
    -------
    NeuronCorrelations, with `values`, which of them are `dead`, and their number `n_dead`.

    Raises
    ------
    ValueError : as `anc`.
    """
    return neuron_correlations_from_moments(_diagonal(x, y))


def neuron_correlations_from_moments(moments: Moments) -> NeuronCorrelations:
    """`neuron_correlations` as a function of moments (diagonal is enough)."""
    values, dead = _correlations(moments)
    return NeuronCorrelations(values.cpu().double().numpy(), dead.cpu().numpy())


def procrustes_distance(x: Array, y: Array) -> float:
    r"""Distance left after the best rotation and scaling of one side onto the other.

    .. math:: d(X, Y) = \min_{Q^T Q = I} \left\| \frac{\hat X}{\|\hat X\|_F} -
        \frac{\hat Y}{\|\hat Y\|_F} Q \right\|_F =
        \sqrt{2 - 2 \frac{\|\hat X^T \hat Y\|_*}{\|\hat X\|_F \|\hat Y\|_F}}

    Parameters
    ----------
    x : (n_samples, n_features_x)
    y : (n_samples, n_features_y)
        Row k of both is the same sentence. The narrower side is padded with zeros.

    Returns
    -------
    float in [0, sqrt(2)]: 0 when a rotation, shift and scaling maps one side to the other.

    Raises
    ------
    ValueError : rows differ, n_samples < 2, a value is not finite, or one side is constant.

    Notes
    -----
    A metric. Values below 1e-7 are rounding: the square root halves the digits near zero.

    References
    ----------
    Schonemann (1966); Williams et al. (2021), "Generalized shape metrics".
    """
    return procrustes_distance_from_moments(Moments.from_rows(x, y, min_samples=2))


def procrustes_distance_from_moments(moments: Moments) -> Any:
    """`procrustes_distance` as a function of full moments; one value per leading dimension."""
    import torch

    moments.require()
    norms = moments.xx.spread_x.sqrt() * moments.yy.spread_x.sqrt()
    overlap = torch.linalg.svdvals(moments.sxy).sum(-1) / norms
    value = (2 - 2 * overlap).clamp(0, 2).sqrt()
    return validation.result(value, constant_sides(moments, "the Procrustes distance"))


def matching_accuracy(
    x: Array,
    y: Array,
    *,
    centre: str | None = None,
    reverse: bool = False,
    details: bool = False,
) -> Any:
    r"""Share of sentences whose nearest neighbour on the other side is their translation.

    .. math:: \frac{1}{n} \sum_k \left[ k = \arg\max_j \cos(x_k, y_j) \right]

    Parameters
    ----------
    x, y : (n_samples, n_features)
        Row k of both is the same sentence.
    centre : None, "language" or "sentence"
        None: raw, as in the papers. "language" subtracts each side's mean row. "sentence" subtracts
        each row's own mean over features, which is what the variant called centred in the code of
        anc2022 does.
    reverse : bool
        Search x for each row of y instead of y for each row of x.
    details : bool
        Return the hits as a bool array (n_samples,) instead of their mean.

    Returns
    -------
    float in [0, 1]; chance is 1 / n_samples.

    Raises
    ------
    ValueError : shapes differ, n_samples < 2, a value is not finite, or `centre` is unknown.

    Notes
    -----
    Ties (cosines within 1e-12) go to the first row, so repeated sentences count once. A row of
    zeros has cosine 0 with everything. Memory beyond the rows is bounded: cosines are computed a
    block of rows at a time.

    References
    ----------
    Del & Fishel (2022), section 4; Pires, Schlinger & Garrette (2019).
    """
    import torch

    a, b = validation.pair(x, y, same_features=True)
    validation.one_of("centre", centre, (None, "language", "sentence"))
    if centre is not None:
        axis = 0 if centre == "language" else 1
        a, b = (side - side.mean(axis, keepdim=True) for side in (a, b))
    source, target = (_unit_rows(side) for side in ((b, a) if reverse else (a, b)))
    n = len(source)
    step = max(1, _CHUNK_BYTES // (8 * n))
    found = []
    for start in range(0, n, step):
        cosines = source[start : start + step] @ target.T
        best = cosines.amax(dim=1, keepdim=True)
        found.append((cosines >= best - _TIE).byte().argmax(dim=1))
    hits = torch.cat(found) == torch.arange(n, device=source.device)
    return hits.cpu().numpy() if details else hits.double().mean().item()


def _diagonal(x: Array, y: Array) -> Moments:
    return Moments.from_rows(x, y, diagonal=True, min_samples=2)


def _correlations(moments: Moments) -> tuple[torch.Tensor, torch.Tensor]:
    moments.require(full=False)
    xx, yy, xy = moments.sxx, moments.syy, moments.sxy
    if not moments.diagonal:
        if xy.shape[-1] != xy.shape[-2]:
            raise ValueError(
                f"y: expected {xy.shape[-2]} columns like x (the same neurons), got {xy.shape[-1]}"
            )
        xx, yy, xy = (s.diagonal(dim1=-2, dim2=-1) for s in (xx, yy, xy))
    dead = dead_neurons(moments.xx) | dead_neurons(moments.yy)
    # Two roots, not the root of the product, which overflows first.
    values = xy / xx.sqrt() / yy.sqrt()
    return values.clamp(-1, 1).masked_fill(dead, 0), dead


def _unit_rows(x: torch.Tensor) -> torch.Tensor:
    norms = x.norm(dim=1, keepdim=True)
    return x / norms.masked_fill(norms == 0, 1)
