"""What only the authors' code of anc2022 computes, where it differs from the paper and from this library.

Written anew from a reading of the public repository (snapshot c8a25a5); nothing is copied. Variants
that the library has anyway (signed ANC, sentence-centred matching) are options of `indices`;
`xsim_lib.papers.anc2022.variants` runs all of them and judges the claims with each.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from xsim_lib import indices
from xsim_lib.indices import validation

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array

__all__ = [
    "debiased_branch", "far_apart", "live_anc", "script_anc", "single_precision_cka",
    "singular_value_svcca", "uncentred_pwcca",
]  # fmt: skip


def script_anc(x: Array, y: Array) -> float:
    """ANC of the script in the authors' instructions: single precision, signed, no absolute value.

    Parameters
    ----------
    x, y : (n_samples, n_features), as in `indices.anc`.

    Returns
    -------
    float in [-1, 1]; a constant neuron counts as 0, up to what rounding in its mean makes of it.
    """
    a, b = (side - side.mean(0) for side in _single(x, y))
    return torch.nn.functional.cosine_similarity(a, b, dim=0).mean().item()


def live_anc(x: Array, y: Array) -> float:
    """ANC over the neurons that vary on both sides only; the authors' code and ours count all of them.

    Raises
    ------
    ValueError : as `indices.anc`, or there is no such neuron.
    """
    found = indices.neuron_correlations(x, y)
    if found.dead.all():
        raise ValueError("x, y: every neuron is constant on one side")
    return float(np.abs(found.values[~found.dead]).mean())


def single_precision_cka(x: Array, y: Array) -> float:
    """Linear CKA in feature space in single precision, as in the authors' code (biased)."""
    a, b = (side - side.mean(0) for side in _single(x, y))
    norm = torch.linalg.matrix_norm
    return ((norm(a.T @ b) ** 2) / (norm(a.T @ a) * norm(b.T @ b))).item()


def debiased_branch(x: Array, y: Array) -> float:
    r"""The "debiased" CKA of the file that the authors copied, as far as its result tells.

    .. math:: \frac{\mathrm{HSIC}(X, Y)}{\mathrm{HSIC}(X, X) \, \mathrm{HSIC}(Y, Y)}

    with the unbiased estimates times n (n - 3): the root in the denominator is missing. On the data where
    the right value is .944 the branch returned 4.5e-11; a missing root is our reconstruction of that,
    and gives values of that size. It depends on the unit of measurement: twice the activations, a
    sixteenth of the value.
    """
    a, b = (side - side.mean(0) for side in validation.pair(x, y, min_samples=4))
    n = len(a)

    def hsic(one: Tensor, two: Tensor) -> Tensor:
        p, q = one.square().sum(1), two.square().sum(1)
        total = (one.T @ two).square().sum() - n / (n - 2) * (p @ q)
        return total + p.sum() * q.sum() / ((n - 1) * (n - 2))

    return (hsic(a, b) / (hsic(a, a) * hsic(b, b))).item()


def singular_value_svcca(
    x: Array, y: Array, *, rate: float = 0.99, details: bool = False
) -> float | tuple[int, int]:
    """SVCCA that keeps directions while the sum of *singular values* stays below a rate.

    The usual rule takes the fewest directions that reach a share of the *variance* of centred rows.
    Here rows are not centred, values are not squared, and the direction that would reach the rate is left
    out, so there is always one too few.

    Parameters
    ----------
    x, y : (n_samples, n_features_x), (n_samples, n_features_y)
    rate : share of the sum of singular values.
    details : return the numbers of directions kept instead.

    Raises
    ------
    ValueError : the first direction reaches the rate by itself, so that none is left.
    """
    kept = []
    for name, side in zip("xy", validation.pair(x, y), strict=True):
        u, values, _ = torch.linalg.svd(side, full_matrices=False)
        number = int((values.cumsum(0) / values.sum() < rate).sum())
        if not number:
            raise ValueError(f"{name}: its first singular value exceeds the rate {rate}")
        kept.append((u * values)[:, :number])
    if details:
        return tuple(side.shape[1] for side in kept)
    return indices.cca(*kept)


def uncentred_pwcca(x: Array, y: Array) -> float:
    r"""PWCCA whose weights come from rows that are not centred.

    .. math:: \alpha_i = \sum_j |\langle X a_i, x_j \rangle|

    with the canonical directions a_i of centred data (variates of unit norm). Without the mean taken out,
    X a_i are neither orthogonal nor of unit norm, and are not made so. Equal to `indices.pwcca`
    if the mean of every neuron of x is 0.

    Raises
    ------
    ValueError : as `indices.pwcca`.
    """
    indices.pwcca(x, y)  # checks
    a, b = validation.pair(x, y)
    left, right = (torch.linalg.svd(side - side.mean(0), full_matrices=False) for side in (a, b))
    ranks = [int((s > 1e-7 * s[0]).sum()) for _, s, _ in (left, right)]
    u, correlations, _ = torch.linalg.svd(
        left[0][:, : ranks[0]].T @ right[0][:, : ranks[1]], full_matrices=False
    )
    directions = left[2][: ranks[0]].T / left[1][: ranks[0]] @ u
    weights = ((a @ directions).T @ a).abs().sum(1)
    return (weights @ correlations.clamp(0, 1) / weights.sum()).item()


def far_apart(seed: int = 0) -> pd.DataFrame:
    """Small data on which a variant and the definition are far apart: columns case, variant, value."""
    random = np.random.default_rng(seed)
    rows = []

    def add(case: str, **values: float) -> None:
        rows.extend(
            {"case": case, "variant": k.replace("_", " "), "value": v} for k, v in values.items()
        )

    x = random.standard_normal((1000, 5))
    x[:, 4] = 1.0
    add("four perfect neurons, one dead", counted=indices.anc(x, x), left_out=live_anc(x, x))
    for n in (100, 1000, 10_000):
        x, y = random.standard_normal((2, n, 256))
        signed = abs(indices.anc(x, y, signed=True))
        add(f"independent data, n = {n:,}", absolute=indices.anc(x, y), signed=signed)
    shared = random.standard_normal((1000, 100))
    x, y = (10 * (shared + 0.25 * random.standard_normal((1000, 100))) for _ in range(2))
    add(
        "similar data, CKA",
        biased=indices.linear_cka(x, y),
        debiased=indices.linear_cka(x, y, debiased=True),
        debiased_branch=debiased_branch(x, y),
    )
    x, y = (
        shared[:, :20] + 0.3 * random.standard_normal((1000, 20)) + random.standard_normal(20)
        for _ in range(2)
    )
    match = partial(indices.matching_accuracy, x, y)
    add(
        "both languages shifted as a whole, matching",
        raw=match(),
        sentence_centred=match(centre="sentence"),
        language_centred=match(centre="language"),
    )
    add("the same, PWCCA", centred=indices.pwcca(y, x), uncentred=uncentred_pwcca(y, x))
    return pd.DataFrame(rows)


def _single(x: Array, y: Array) -> tuple[Tensor, Tensor]:
    a, b = validation.pair(x, y, same_features=True)
    return a.float(), b.float()
