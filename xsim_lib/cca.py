"""Canonical correlation analysis and its truncated (SVCCA) and weighted (PWCCA) relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xsim_lib import validation
from xsim_lib.moments import Moments, constant_sides

if TYPE_CHECKING:
    import numpy as np
    import torch

    from xsim_lib.validation import Array


@dataclass(frozen=True)
class CanonicalCorrelations:
    """Canonical correlations and their summaries.

    Attributes
    ----------
    correlations : (..., k), descending, in [0, 1]; 0 beyond the smaller rank of the two sides.
    mean : mean canonical correlation over the smaller rank.
    mean_squared : mean squared canonical correlation over the smaller rank, the R^2 of Eq. 1.
    """

    correlations: np.ndarray
    mean: Any
    mean_squared: Any


def cca(x: Array, y: Array, *, squared: bool = False, details: bool = False) -> Any:
    r"""Canonical correlation analysis of two aligned representations.

    .. math:: \bar\rho = \frac{1}{p} \sum_{i=1}^{p} \rho_i, \qquad
        R^2_{\mathrm{CCA}} = \frac{1}{p} \|Q_Y^T Q_X\|_F^2 = \frac{1}{p} \sum_{i=1}^{p} \rho_i^2

    with Q an orthonormal basis of the centred columns and p the smaller rank of the two.

    Parameters
    ----------
    x : (n_samples, n_features_x)
    y : (n_samples, n_features_y)
        Row k of both is the same sentence.
    squared : bool
        Return R^2_CCA (Eq. 1 of anc2022) instead of the mean canonical correlation.
    details : bool
        Return `CanonicalCorrelations`, with all of them and both summaries.

    Returns
    -------
    float in [0, 1], or `CanonicalCorrelations`.

    Raises
    ------
    ValueError : rows differ, a value is not finite, one side is constant, or n_samples is less than
        n_features + 2: one side then spans every direction and all correlations are 1 by
        arithmetic. Below n_features_x + n_features_y + 1 samples some still are.

    Notes
    -----
    Invariant to any invertible linear map of either side. Independent data give about
    R^2 = max(n_features) / (n_samples - 1). Directions with a variance below d * 1e-15 of the
    largest (after scaling neurons to equal variance) count as absent, so dead and duplicate neurons
    do no harm.

    References
    ----------
    Hotelling (1936); Del & Fishel (2022), Eq. 1; Kornblith et al. (2019), Table 1.
    """
    return cca_from_moments(
        Moments.from_rows(x, y, min_samples=2), squared=squared, details=details
    )


def cca_from_moments(moments: Moments, *, squared: bool = False, details: bool = False) -> Any:
    """`cca` as a function of full moments; one value per leading dimension (layer)."""
    parts, _ = _cca_parts(moments, "CCA")
    return _summary(parts, constant_sides(moments, "CCA"), squared, details)


def svcca(
    x: Array,
    y: Array,
    *,
    components: int | None = 20,
    variance: float | None = None,
    squared: bool = False,
    details: bool = False,
) -> Any:
    """CCA of the top principal components of either side.

    Parameters
    ----------
    x : (n_samples, n_features_x)
    y : (n_samples, n_features_y)
        Row k of both is the same sentence.
    components : int
        Number of components kept per side (the authors of anc2022 keep 20), or as many as the side
        has if that is less. Ignored when `variance` is given.
    variance : number in (0, 1]
        Keep the fewest components that explain this share of each side's variance (0.99 in
        Raghu et al.).
    squared, details : as in `cca`.

    Returns
    -------
    float in [0, 1], or `CanonicalCorrelations`.

    Raises
    ------
    ValueError : rows differ, a value is not finite, one side is constant, an option is out of range,
        or n_samples is less than kept components + 2 (all correlations would be 1 by arithmetic).

    Notes
    -----
    Invariant to orthogonal maps and isotropic scaling, but not to every invertible linear map as CCA
    is: such a map changes which directions are the top ones. Works with fewer samples than features.

    References
    ----------
    Raghu et al. (2017), "SVCCA".
    """
    moments = Moments.from_rows(x, y, min_samples=2)
    options = {"components": components, "variance": variance}
    return svcca_from_moments(moments, **options, squared=squared, details=details)


def svcca_from_moments(
    moments: Moments,
    *,
    components: int | None = 20,
    variance: float | None = None,
    squared: bool = False,
    details: bool = False,
) -> Any:
    """`svcca` as a function of full moments; one value per leading dimension (layer)."""
    moments.require()
    if variance is not None:
        components = None
        validation.number("variance", variance, low=1e-9, high=1)
    else:
        validation.number("components", components, low=1, high=2**31, integer=True)
    bases = [_basis(s, components, variance) for s in (moments.sxx, moments.syy)]
    kept = max(int(basis.rank.max()) for basis in bases)
    if moments.n < kept + 2:
        raise ValueError(
            f"n_samples: svcca with {kept} components needs at least {kept + 2} samples, got "
            f"{moments.n}; with fewer all canonical correlations are 1 by arithmetic"
        )
    parts = _correlate(*bases, moments.sxy)
    return _summary(parts, constant_sides(moments, "SVCCA"), squared, details)


def pwcca(x: Array, y: Array) -> float:
    r"""Canonical correlations weighted by how much of x their directions account for.

    .. math:: \frac{\sum_i \alpha_i \rho_i}{\sum_i \alpha_i}, \qquad
        \alpha_i = \sum_j |\langle h_i, \hat x_j \rangle|

    where h_i are the canonical variates of x (unit norm) and x_j its neurons.

    Parameters
    ----------
    x : (n_samples, n_features_x), the side that gives the weights: pwcca(x, y) != pwcca(y, x).
    y : (n_samples, n_features_y)

    Returns
    -------
    float in [0, 1].

    Raises
    ------
    ValueError : as `cca`.

    Notes
    -----
    Invariant to invertible linear maps of y, not of x (the weights change). Since the variates sum
    to zero, centred and raw x give the same weights.

    References
    ----------
    Morcos, Raghu & Bengio (2018), "Insights on representational similarity".
    """
    return pwcca_from_moments(Moments.from_rows(x, y, min_samples=2))


def pwcca_from_moments(moments: Moments) -> Any:
    """`pwcca` as a function of full moments; one value per leading dimension (layer)."""
    parts, (basis, scale) = _cca_parts(moments, "PWCCA")
    # <h_i, x_j> = (a_i^T Sxx)_j with h_i = X a_i: no rows needed.
    projections = parts.left.mT @ (basis.values.sqrt().unsqueeze(-1) * basis.vectors.mT)
    weights = (projections * scale.unsqueeze(-2)).abs().sum(-1) * parts.used
    value = (weights * parts.correlations).sum(-1) / weights.sum(-1)
    return validation.result(value, constant_sides(moments, "PWCCA"))


class _Basis(NamedTuple):
    """Principal directions kept: unit vectors in columns, eigenvalues (0 = not kept), their number."""

    vectors: torch.Tensor
    values: torch.Tensor
    rank: torch.Tensor


class _Parts(NamedTuple):
    left: torch.Tensor
    correlations: torch.Tensor
    used: torch.Tensor


def _cca_parts(moments: Moments, name: str) -> tuple[_Parts, tuple[_Basis, torch.Tensor]]:
    d = max(moments.require().sxx.shape[-1], moments.syy.shape[-1])
    if moments.n < d + 2:
        both = moments.sxx.shape[-1] + moments.syy.shape[-1] + 1
        raise ValueError(
            f"n_samples: {name} of {d} features needs at least {d + 2} samples, got {moments.n}; "
            f"with fewer all canonical correlations are 1 by arithmetic (below {both} some are)"
        )
    # CCA does not see the scale of a neuron, but eigenvalues do: equal variances keep the small
    # directions of a layer with outlier neurons above rounding.
    scales = [s.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt() for s in (moments.sxx, moments.syy)]
    inverses = [scale.reciprocal().masked_fill(scale == 0, 0) for scale in scales]
    left, right = inverses[0].unsqueeze(-1), inverses[1].unsqueeze(-2)
    bases = [
        _basis(v.unsqueeze(-1) * s * v.unsqueeze(-2), None, None)
        for v, s in zip(inverses, (moments.sxx, moments.syy), strict=True)
    ]
    return _correlate(*bases, left * moments.sxy * right), (bases[0], scales[0])


def _basis(s: torch.Tensor, components: int | None, variance: float | None) -> _Basis:
    """Top eigenvectors of a positive semi-definite matrix, without its null space."""
    import torch

    values, vectors = torch.linalg.eigh(s)
    values, vectors = values.flip(-1).clamp(min=0), vectors.flip(-1)
    # d * eps, as in numpy.linalg.matrix_rank; 4 for the rounding of the sums of products.
    floor = 4 * values.shape[-1] * torch.finfo(s.dtype).eps * values[..., :1]
    kept = values > floor
    if components is not None:
        kept[..., components:] = False
    if variance is not None:
        before = values.cumsum(-1) - values
        kept &= before < (variance - 1e-12) * values.sum(-1, keepdim=True)
    rank = kept.sum(-1)
    width = max(1, int(rank.max()))
    return _Basis(vectors[..., :width], (values * kept)[..., :width], rank)


def _correlate(x: _Basis, y: _Basis, sxy: torch.Tensor) -> _Parts:
    """Canonical correlations: singular values of the cross products of two whitened bases."""
    import torch

    def whiten(basis: _Basis) -> torch.Tensor:
        inverse = basis.values.rsqrt().masked_fill(basis.values == 0, 0)
        return basis.vectors * inverse.unsqueeze(-2)

    left, values, _ = torch.linalg.svd(whiten(x).mT @ sxy @ whiten(y), full_matrices=False)
    rank = torch.minimum(x.rank, y.rank)
    used = torch.arange(values.shape[-1], device=values.device) < rank.unsqueeze(-1)
    return _Parts(left, values.clamp(0, 1) * used, used)


def _summary(
    parts: _Parts, undefined: dict[str, torch.Tensor], squared: bool, details: bool
) -> Any:
    count = parts.used.sum(-1)
    mean = validation.result(parts.correlations.sum(-1) / count, undefined)
    mean_squared = validation.result(parts.correlations.square().sum(-1) / count, undefined)
    if details:
        return CanonicalCorrelations(parts.correlations.cpu().numpy(), mean, mean_squared)
    return mean_squared if squared else mean
