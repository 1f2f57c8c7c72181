"""Canonical correlation analysis and its truncated (SVCCA) and weighted (PWCCA) relatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from xsim_lib.indices import validation
from xsim_lib.indices.moments import Moments, constant_sides

if TYPE_CHECKING:
    import numpy as np
    import torch

    from xsim_lib.indices.moments import CoMoments
    from xsim_lib.indices.validation import Array

# A value was rounded several times on its way (in a layer norm, say), each time by less than its
# spacing: no direction of less variance than 16 squared spacings is anything but that.
_ROUNDINGS = 16
# How far above rounding the smallest direction must be for a Cholesky factor, whatever the matrix.
_SAFE = 100
_SAFEST = 1e-7


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
    largest (after scaling neurons to equal variance), or below what rounding of the values to their
    dtype gives, count as absent, so dead, duplicate and layer-normed neurons do no harm.

    References
    ----------
    Hotelling (1936); Del & Fishel (2022), Eq. 1; Kornblith et al. (2019), Table 1.
    """
    return cca_from_moments(
        Moments.from_rows(x, y, min_samples=2), squared=squared, details=details
    )


def cca_from_moments(moments: Moments, *, squared: bool = False, details: bool = False) -> Any:
    """`cca` as a function of full moments; one value per leading dimension (layer).

    Raises
    ------
    ValueError : diagonal moments, too few samples, a constant side (in a batch: nan at that entry), or
        moments from products in float32 that are not exact enough for the smallest directions.
    """
    left, right = _cca_sides(moments, "CCA")
    values = moments.xy.known("correlations", lambda xy: _correlations(left, xy.s, right))
    return _summary(values, (left, right), constant_sides(moments, "CCA"), squared, details)


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
    sides = [
        part.known(
            f"principal {components} {variance}", lambda p: _principal(p, components, variance)
        )
        for part in (moments.xx, moments.yy)
    ]
    kept = max(int(side.rank.max()) for side in sides)
    if moments.n < kept + 2:
        raise ValueError(
            f"n_samples: svcca with {kept} components needs at least {kept + 2} samples, got "
            f"{moments.n}; with fewer all canonical correlations are 1 by arithmetic"
        )
    values = _correlations(sides[0], moments.sxy, sides[1])
    return _summary(values, sides, constant_sides(moments, "SVCCA"), squared, details)


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
    """`pwcca` as a function of full moments; parameters and errors as `cca_from_moments`."""
    left, right = _cca_sides(moments, "PWCCA")
    # <h_i, x_j> = (a_i^T Sxx)_j with h_i = X a_i: no rows needed.
    variates, correlations = moments.xy.known("variates", lambda xy: _variates(left, xy.s, right))
    used = _used(correlations, left, right)
    weights = (variates.mT @ left.neurons).abs().sum(-1) * used
    value = (weights * correlations * used).sum(-1) / weights.sum(-1)
    return validation.result(value, constant_sides(moments, "PWCCA"))


class _Side(NamedTuple):
    """Directions kept of one language: W in columns, with W^T S W = 1, and W^T S; 0 = not kept."""

    whitening: torch.Tensor
    neurons: torch.Tensor
    rank: torch.Tensor


def _cca_sides(moments: Moments, name: str) -> tuple[_Side, _Side]:
    d = max(moments.require().sxx.shape[-1], moments.syy.shape[-1])
    if moments.n < d + 2:
        both = moments.sxx.shape[-1] + moments.syy.shape[-1] + 1
        raise ValueError(
            f"n_samples: {name} of {d} features needs at least {d + 2} samples, got {moments.n}; "
            f"with fewer all canonical correlations are 1 by arithmetic (below {both} some are)"
        )
    return moments.xx.known("whitened", _whitened), moments.yy.known("whitened", _whitened)


def _whitened(part: CoMoments) -> _Side:
    """All directions of a language that are more than rounding."""
    import torch

    # CCA does not see the scale of a neuron, but eigenvalues do: equal variances keep the small
    # directions of a layer with outlier neurons above rounding.
    scale = part.s.diagonal(dim1=-2, dim2=-1).clamp(min=0).sqrt()
    inverse = scale.reciprocal().masked_fill(scale == 0, 0)
    s = inverse.unsqueeze(-1) * part.s * inverse.unsqueeze(-2)
    noise = _noise(part) * inverse.square()
    # A Cholesky factor costs a tenth of the eigenvectors, and any basis of the same directions gives
    # the same correlations. It serves where the smallest eigenvalue is surely no rounding.
    factor, failed = torch.linalg.cholesky_ex(s)
    eye = torch.eye(s.shape[-1], dtype=s.dtype, device=s.device).expand_as(s)
    white = torch.linalg.solve_triangular(factor, eye, upper=False).mT
    smallest = 1 / white.square().sum((-2, -1))
    floor = noise.amax(-1) + _relative_floor(part) * torch.linalg.matrix_norm(s)
    safe = (failed == 0) & (smallest > (_SAFE * floor).clamp(min=_SAFEST))
    neurons, rank = factor.mT, torch.full_like(failed, s.shape[-1], dtype=torch.int64)
    if not bool(safe.all()):
        basis = _basis(s, noise, _relative_floor(part), None, None)
        lost = (~safe & (basis.rank < (scale > 0).sum(-1))).any()
        if part.rounding > torch.finfo(torch.float64).eps and bool(lost):
            raise ValueError(
                "moments: products in float32 cannot tell the smallest directions of one side from "
                "rounding; collect the moments in float64 (without fast=True) for CCA"
            )
        lost = s.shape[-1] - basis.values.shape[-1]
        basis_white = torch.nn.functional.pad(_whiten(basis), (0, lost))
        basis_neurons = basis.values.sqrt().unsqueeze(-1) * basis.vectors.mT
        basis_neurons = torch.nn.functional.pad(basis_neurons, (0, 0, 0, lost))
        here = safe.unsqueeze(-1).unsqueeze(-1)
        white = torch.where(here, white, basis_white)
        neurons = torch.where(here, neurons, basis_neurons)
        rank = torch.where(safe, rank, basis.rank)
        width = max(1, int(rank.max()))
        white, neurons = white[..., :width], neurons[..., :width, :]
    return _Side(inverse.unsqueeze(-1) * white, neurons * scale.unsqueeze(-2), rank)


class _Basis(NamedTuple):
    """Principal directions kept: unit vectors in columns, eigenvalues (0 = not kept), their number."""

    vectors: torch.Tensor
    values: torch.Tensor
    rank: torch.Tensor


def _basis(
    s: torch.Tensor,
    noise: torch.Tensor,
    relative: float,
    components: int | None,
    variance: float | None,
) -> _Basis:
    """Top eigenvectors of a positive semi-definite matrix, without its null space."""
    import torch

    values, vectors = torch.linalg.eigh(s)
    values, vectors = values.flip(-1).clamp(min=0), vectors.flip(-1)
    # What rounding of the rows alone would give each direction, whatever the others hold.
    floor = (vectors.square() * noise.unsqueeze(-1)).sum(-2) + relative * values[..., :1]
    kept = values > floor
    if components is not None:
        kept[..., components:] = False
    if variance is not None:
        before = values.cumsum(-1) - values
        kept &= before < (variance - 1e-12) * values.sum(-1, keepdim=True)
    rank = kept.sum(-1)
    width = max(1, int(rank.max()))
    return _Basis(vectors[..., :width], (values * kept)[..., :width], rank)


def _principal(part: CoMoments, components: int | None, variance: float | None) -> _Side:
    """The leading principal components of a language."""
    basis = _basis(part.s, _noise(part), _relative_floor(part), components, variance)
    neurons = basis.values.sqrt().unsqueeze(-1) * basis.vectors.mT
    return _Side(_whiten(basis), neurons, basis.rank)


def _noise(part: CoMoments) -> torch.Tensor:
    """Sum of squares that rounding of its values to their dtype can give each neuron."""
    squares = part.n * part.mean_x.square() + part.s.diagonal(dim1=-2, dim2=-1).clamp(min=0)
    return _ROUNDINGS * part.resolution**2 * squares


def _relative_floor(part: CoMoments) -> float:
    import torch

    # d * eps, as in numpy.linalg.matrix_rank; 4 for the rounding of the sums of products.
    return 4 * part.s.shape[-1] * max(part.rounding, torch.finfo(part.s.dtype).eps)


def _whiten(basis: _Basis) -> torch.Tensor:
    inverse = basis.values.rsqrt().masked_fill(basis.values == 0, 0)
    return basis.vectors * inverse.unsqueeze(-2)


def _used(values: torch.Tensor, x: _Side, y: _Side) -> torch.Tensor:
    """Which correlations count: as many as the smaller rank."""
    import torch

    rank = torch.minimum(x.rank, y.rank)
    return torch.arange(values.shape[-1], device=values.device) < rank.unsqueeze(-1)


def _correlations(x: _Side, sxy: torch.Tensor, y: _Side) -> torch.Tensor:
    """Canonical correlations: singular values of the cross products of two whitened bases."""
    import torch

    return torch.linalg.svdvals(x.whitening.mT @ sxy @ y.whitening).clamp(0, 1)


def _variates(x: _Side, sxy: torch.Tensor, y: _Side) -> tuple[torch.Tensor, torch.Tensor]:
    """Canonical variates of x in its whitened basis, in columns, and their correlations."""
    import torch

    # Left singular vectors as eigenvectors: half the time of a decomposition that gives the right
    # ones too. Their images are the singular values, with all digits, which eigenvalues lose.
    cross = x.whitening.mT @ sxy @ y.whitening
    vectors = torch.linalg.eigh(cross @ cross.mT).eigenvectors.flip(-1)
    values = (cross.mT @ vectors).norm(dim=-2)
    return vectors, values.clamp(0, 1)


def _summary(
    values: torch.Tensor,
    sides: tuple[_Side, _Side],
    undefined: dict[str, torch.Tensor],
    squared: bool,
    details: bool,
) -> Any:
    used = _used(values, *sides)
    values, count = values * used, used.sum(-1)
    mean = validation.result(values.sum(-1) / count, undefined)
    mean_squared = validation.result(values.square().sum(-1) / count, undefined)
    if details:
        return CanonicalCorrelations(values.cpu().numpy(), mean, mean_squared)
    return mean_squared if squared else mean
