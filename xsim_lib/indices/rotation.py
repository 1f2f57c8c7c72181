"""What is left of the distance between two representations after the best rotation: Procrustes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xsim_lib.indices import validation
from xsim_lib.indices.moments import Moments, constant_sides

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array

__all__ = ["procrustes", "procrustes_from_moments"]


def procrustes(x: Array, y: Array) -> float:
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
    return procrustes_from_moments(Moments.from_rows(x, y, min_samples=2))


def procrustes_from_moments(moments: Moments) -> Any:
    """`procrustes` as a function of full moments; one value per leading dimension."""
    import torch

    moments.require()
    norms = moments.xx.spread_x.sqrt() * moments.yy.spread_x.sqrt()
    overlap = torch.linalg.svdvals(moments.sxy).sum(-1) / norms
    value = (2 - 2 * overlap).clamp(0, 2).sqrt()
    return validation.result(value, constant_sides(moments, "the Procrustes distance"))
