"""Average neuron-wise correlation: neurons of one network, across two languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xsim_lib.indices import validation
from xsim_lib.indices.moments import Moments, dead_neurons

if TYPE_CHECKING:
    import torch

    from xsim_lib.indices.validation import Array

__all__ = [
    "NeuronCorrelations",
    "anc",
    "anc_from_moments",
    "neuron_correlations",
    "neuron_correlations_from_moments",
]


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
