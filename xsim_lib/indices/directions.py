"""Why CKA failed: which directions carry it, which kill it, and what is left without them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xsim_lib.indices import validation
from xsim_lib.indices.moments import CoMoments, Moments, constant_sides

if TYPE_CHECKING:
    import torch

    from xsim_lib.indices.validation import Array


@dataclass(frozen=True)
class CkaDecomposition:
    r"""Linear CKA split by pairs of principal directions, the largest variance first.

    Attributes
    ----------
    cka : the linear (biased) CKA; equals ``contributions.sum()``.
    contributions : (d_x, d_y), the part of `cka` that direction i of x and j of y carry together.
    x_shares, y_shares : (d,), what each direction carries in all, as a share of `cka`; sums to 1.
    x_variances, y_variances : (d,), :math:`\lambda_i / \sum \lambda`; sums to 1.
    x_weights, y_weights : (d,), :math:`\lambda_i^2 / \sum \lambda^2`; sums to 1. A direction's
        weight in the denominator. A direction whose weight is near 1 and whose share is near 0 is
        what drags CKA down: no other direction can make up for it.
    x_directions, y_directions : (d, d), unit vectors in columns.
    """

    cka: float
    contributions: np.ndarray
    x_shares: np.ndarray
    y_shares: np.ndarray
    x_variances: np.ndarray
    y_variances: np.ndarray
    x_weights: np.ndarray
    y_weights: np.ndarray
    x_directions: np.ndarray
    y_directions: np.ndarray


def eigen_decomposition_of_cka(x: Array, y: Array) -> CkaDecomposition:
    r"""Split linear CKA by eigen-directions of the two representations.

    .. math:: \mathrm{CKA} = \sum_{ij} \frac{\lambda_i \mu_j \langle u_i, v_j \rangle^2}
        {\sqrt{\sum_i \lambda_i^2} \sqrt{\sum_j \mu_j^2}}

    with :math:`\lambda_i, u_i` (:math:`\mu_j, v_j`) the eigenvalues and eigenvectors of the centred
    Gram matrix of x (of y): a principal component enters with the product of two variances.

    Parameters
    ----------
    x : (n_samples, n_features_x)
    y : (n_samples, n_features_y)
        Row k of both is the same sentence.

    Returns
    -------
    CkaDecomposition

    Raises
    ------
    ValueError : as `linear_cka`.

    References
    ----------
    Kornblith et al. (2019), Eq. 14; Del & Fishel (2022), section 5.
    """
    return eigen_decomposition_of_cka_from_moments(Moments.from_rows(x, y, min_samples=2))


def eigen_decomposition_of_cka_from_moments(moments: Moments) -> CkaDecomposition:
    """`eigen_decomposition_of_cka` as a function of full moments of one pair (one layer).

    Raises
    ------
    ValueError : diagonal moments, a leading dimension (index it first), or a constant side.
    """
    moments.require(batched=False)
    undefined = constant_sides(moments, "CKA")
    (lx, ux), (ly, uy) = (_eigen(s) for s in (moments.sxx, moments.syy))
    contributions = (ux.T @ moments.sxy @ uy).square() / (lx.norm() * ly.norm())
    cka = validation.result(contributions.sum(), undefined)
    # Directions that share nothing have no shares to split.
    total = contributions.sum().clamp(min=np.finfo(np.float64).tiny)
    parts = {
        "contributions": contributions,
        "x_shares": contributions.sum(1) / total,
        "y_shares": contributions.sum(0) / total,
        "x_variances": lx / lx.sum(),
        "y_variances": ly / ly.sum(),
        "x_weights": (lx / lx.norm()).square(),
        "y_weights": (ly / ly.norm()).square(),
        "x_directions": ux,
        "y_directions": uy,
    }
    return CkaDecomposition(cka=cka, **{name: v.cpu().numpy() for name, v in parts.items()})


def remove_directions(x: Array, k: int) -> Array:
    """Project the top `k` principal directions out of a representation.

    Parameters
    ----------
    x : (n_samples, n_features)
    k : number of directions, from 0 to n_features.

    Returns
    -------
    (n_samples, n_features), float64; numpy or torch as x. The mean of each neuron is kept.

    Raises
    ------
    ValueError : k out of range, n_samples < 2, or a value is not finite.

    References
    ----------
    Mu & Viswanath (2018), "All-but-the-top" (who remove the mean as well).
    """
    import torch

    rows = validation.rows("x", x)
    validation.number("k", k, low=0, high=rows.shape[1], integer=True)
    _, directions = _eigen(CoMoments.from_rows(rows).s)
    top = directions[:, :k]
    left = rows - ((rows - rows.mean(0)) @ top) @ top.T
    return left if isinstance(x, torch.Tensor) else left.numpy()


def top_direction_share(x: Array, k: int = 1) -> float:
    r"""Share of the variance in the top `k` principal directions.

    .. math:: \sum_{i \le k} \lambda_i \Big/ \sum_i \lambda_i

    Parameters
    ----------
    x : (n_samples, n_features)
    k : number of directions, from 1 to n_features.

    Returns
    -------
    float in (0, 1]: near 1 means one direction is nearly all that CKA sees.

    Raises
    ------
    ValueError : k out of range, all rows equal, n_samples < 2, or a value is not finite.
    """
    rows = validation.rows("x", x)
    validation.number("k", k, low=1, high=rows.shape[1], integer=True)
    validation.varies("x", rows, "a share of the variance")
    values, _ = _eigen(CoMoments.from_rows(rows).s)
    return validation.result(values[:k].sum() / values.sum())


def row_norm_outliers(x: Array) -> float:
    """Largest centred row norm over the median one: how far the most extreme sentence stands out.

    Parameters
    ----------
    x : (n_samples, n_features)

    Returns
    -------
    float, at least 1. Gaussian data give about 1.2 at d = 768; collapsed layers give tens.

    Raises
    ------
    ValueError : all rows are equal, half of them equal the mean row, n_samples < 2, or a value is not
        finite.
    """
    rows = validation.rows("x", x)
    validation.varies("x", rows, "an outlying row")
    norms = (rows - rows.mean(0)).norm(dim=1)
    middle = norms.quantile(0.5)
    reason = "x: the median row equals the mean row, so there is no scale to compare with"
    return validation.result(norms.max() / middle, {reason: middle == 0})


def _eigen(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues, largest first and not below zero, and eigenvectors in columns."""
    import torch

    values, vectors = torch.linalg.eigh(s)
    return values.flip(-1).clamp(min=0), vectors.flip(-1)
