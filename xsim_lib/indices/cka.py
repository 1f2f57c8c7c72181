"""Centred kernel alignment: linear (biased, debiased) and with a Gaussian kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xsim_lib.indices import validation
from xsim_lib.indices.moments import Moments, constant_sides

if TYPE_CHECKING:
    import torch

    from xsim_lib.indices.moments import CoMoments
    from xsim_lib.indices.validation import Array


def linear_cka(x: Array, y: Array, *, debiased: bool = False) -> float:
    r"""Linear centred kernel alignment of two aligned representations.

    .. math:: \mathrm{CKA}(X, Y) =
        \frac{\|\hat X^T \hat Y\|_F^2}{\|\hat X^T \hat X\|_F \, \|\hat Y^T \hat Y\|_F}

    Parameters
    ----------
    x : (n_samples, n_features_x)
    y : (n_samples, n_features_y)
        Row k of both is the same sentence.
    debiased : bool
        Use the unbiased estimate of HSIC (Song et al.) in all three places. The biased value of
        independent data grows with n_features / n_samples (0.97 at n = 25, d = 768); the debiased
        one is near 0 at any size.

    Returns
    -------
    float in [0, 1]; in [-1, 1] if debiased.

    Raises
    ------
    ValueError : rows differ, n_samples < 2 (4 if debiased), a value is not finite, or all rows of
        one side are equal (0 / 0).

    Notes
    -----
    Invariant to orthogonal maps and isotropic scaling of either side, not to other linear maps: a
    single direction with a large variance can decide the value (see `eigen_decomposition_of_cka`).
    Computed in feature space (d x d), or in sample space (n x n) when n is smaller.

    References
    ----------
    Kornblith et al. (2019), "Similarity of neural network representations revisited"; Song et al.
    (2012), "Feature selection via dependence maximization", Eq. 5; Nguyen et al. (2021).
    """
    a, b = validation.pair(x, y, min_samples=4 if debiased else 2)
    if len(a) >= min(a.shape[1], b.shape[1]):
        return linear_cka_from_moments(Moments.from_rows(a, b), debiased=debiased)
    validation.varies("x", a, "CKA")
    validation.varies("y", b, "CKA")
    a, b = a - a.mean(0), b - b.mean(0)
    return _kernel_cka(a @ a.T, b @ b.T, debiased)


def linear_cka_from_moments(moments: Moments, *, debiased: bool = False) -> Any:
    """`linear_cka` as a function of full moments; one value per leading dimension (layer).

    Unless debiased, diagonal moments that know the norms of the whole (`norm2`) are enough.

    Raises
    ------
    ValueError : diagonal moments; too few samples; debiased with moments that `partial` returned
        (fourth-order sums are gone); or one side is constant (in a batch: nan at that entry).
    """
    lean = not debiased and moments.xy.norm2 is not None
    moments.require(min_samples=4 if debiased else 2, full=not lean)
    if debiased and moments.xy.quartic is None:
        raise ValueError(
            "moments: debiased CKA needs fourth-order sums, which partial() does not keep; "
            "regress the covariates out of the rows and use linear_cka"
        )
    hsic = _unbiased if debiased else _squared_norm
    value = _ratio(hsic(moments.xy), hsic(moments.xx), hsic(moments.yy), debiased)
    return validation.result(value, constant_sides(moments, "linear CKA"))


def rbf_cka(
    x: Array, y: Array, *, bandwidth: float | str = "median", debiased: bool = False
) -> float:
    r"""Centred kernel alignment with a Gaussian kernel, as in align2021.

    .. math:: K_{ij} = \exp\left(-\frac{|x_i - x_j|^2}{2 \sigma^2}\right), \qquad
        \sigma^2 = \text{bandwidth}^2 \cdot \operatorname{median}_{x_i \ne x_j} |x_i - x_j|^2

    for each side with its own median; then CKA is HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).

    Parameters
    ----------
    x, y : (n_samples, n_features_x), (n_samples, n_features_y)
    bandwidth : "median" or a positive number
        The number is the width as a fraction of the median distance; "median" is 1, the authors'.
    debiased : bool
        The authors use the biased HSIC, which is high for small n whatever the data (0.98 for
        independent data at n = 25, d = 768). True uses the unbiased one.

    Returns
    -------
    float in [0, 1]; in [-1, 1] if debiased.

    Raises
    ------
    ValueError : as `linear_cka`; `bandwidth` is neither "median" nor a positive number.

    Notes
    -----
    Needs the rows, and memory for two n x n matrices: 1.6 GB at n = 10 000. Distances that rounding
    cannot tell from zero (duplicate sentences) do not enter the median.

    References
    ----------
    Muller et al. (2021), section 5; Kornblith et al. (2019), section 3.
    """
    factor = 1.0
    if bandwidth != "median":
        factor = float(validation.number("bandwidth", bandwidth, low=1e-6, high=1e6))
    a, b = validation.pair(x, y, min_samples=4 if debiased else 2)
    validation.varies("x", a, "CKA")
    validation.varies("y", b, "CKA")
    return _kernel_cka(_gaussian_kernel(a, factor), _gaussian_kernel(b, factor), debiased)


def _squared_norm(moments: CoMoments) -> torch.Tensor:
    if moments.norm2 is not None:
        return moments.norm2
    return moments.known("norm2", lambda m: m.s.square().sum((-2, -1)))


def _unbiased(moments: CoMoments) -> torch.Tensor:
    """Unbiased HSIC of two linear kernels times n (n - 3), from moments.

    The estimator is unchanged by shifting the data, and for centred data every sum of kernel
    entries it uses without their diagonal is minus a sum of the diagonal.
    """
    n = moments.n
    product = moments.spread_x * moments.spread_y / ((n - 1) * (n - 2))
    return _squared_norm(moments) - moments.quartic * n / (n - 2) + product


def _ratio(xy: torch.Tensor, xx: torch.Tensor, yy: torch.Tensor, debiased: bool) -> torch.Tensor:
    # Both self terms are sums of squares; rounding alone can take them below zero. Roots are taken
    # first, so that no product of two fourth powers overflows.
    value = xy / xx.clamp(min=0).sqrt() / yy.clamp(min=0).sqrt()
    return value.clamp(-1 if debiased else 0, 1)


def _kernel_cka(k: torch.Tensor, m: torch.Tensor, debiased: bool) -> float:
    """CKA of two kernel matrices, which are overwritten."""
    for kernel in (k, m):
        if debiased:
            kernel.fill_diagonal_(0)
        else:
            means = kernel.mean(0)
            kernel -= means
            kernel -= (means - means.mean()).unsqueeze(1)
    n = len(k)

    def hsic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        value = a.reshape(-1) @ b.reshape(-1)
        if debiased:
            sums_a, sums_b = a.sum(0), b.sum(0)
            value += sums_a.sum() * sums_b.sum() / ((n - 1) * (n - 2))
            value -= 2 / (n - 2) * (sums_a @ sums_b)
        return value

    value = _ratio(hsic(k, m), hsic(k, k), hsic(m, m), debiased)
    return validation.result(value)


def _gaussian_kernel(x: torch.Tensor, factor: float) -> torch.Tensor:
    x = x - x.mean(0)
    squares = (x * x).sum(1)
    distances = (x @ x.T).mul_(-2)
    scale = squares + squares.unsqueeze(1)
    distances += scale
    distances[distances <= 1e-13 * scale] = 0
    distances.fill_diagonal_(0)
    del scale
    variance = factor**2 * _median_of_positive(distances)
    return distances.div_(-2 * variance).exp_()


def _median_of_positive(values: torch.Tensor) -> torch.Tensor:
    """Median of the entries above zero of a matrix without negative entries."""
    zeros = int((values == 0).sum())
    count = values.numel() - zeros
    flat = values.reshape(-1)
    low = flat.kthvalue(zeros + (count + 1) // 2).values
    return (low + flat.kthvalue(zeros + count // 2 + 1).values) / 2
