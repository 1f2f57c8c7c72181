"""One rotation from one representation space to another, and retrieval across it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import orthogonal_procrustes

from xsim_lib.indices import validation

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from xsim_lib.indices.validation import Array

__all__ = ["Alignment", "Normalisation", "align", "iterative_normalisation", "retrieve"]

METHODS = ("csls", "cosine")
_CHUNK_BYTES = 2**26
_ZERO = 1e-12


@dataclass(frozen=True)
class Normalisation:
    """The rounds of `iterative_normalisation`, for vectors that had no part in it.

    Attributes
    ----------
    means : (n_rounds, n_features), what was subtracted after each scaling to unit length.
    """

    means: torch.Tensor

    def __call__(self, x: Array) -> torch.Tensor:
        """Vectors (..., n_features) after the same rounds: of unit length, float64."""
        import torch

        vectors = torch.as_tensor(x).double()
        for mean in self.means.to(vectors.device):
            vectors = _unit(vectors) - mean
        return _unit(vectors)


@dataclass(frozen=True)
class Alignment:
    """A map that brings two spaces together.

    Attributes
    ----------
    source, target : normalisation of either side.
    rotation : (n_features, n_features), orthogonal; applied to the source.
    """

    source: Normalisation
    target: Normalisation
    rotation: torch.Tensor

    def map_source(self, x: Array) -> torch.Tensor:
        """Source vectors (..., n_features), normalised and rotated into the common space."""
        vectors = self.source(x)
        return vectors @ self.rotation.to(vectors.device)

    def map_target(self, y: Array) -> torch.Tensor:
        """Target vectors (..., n_features), normalised: the common space is theirs."""
        return self.target(y)


def iterative_normalisation(
    x: Array, *, tolerance: float = 1e-6, max_rounds: int = 1000
) -> Normalisation:
    r"""Make every row a unit vector and the mean row zero, both at once.

    .. math:: x_i \leftarrow x_i / \|x_i\|, \quad x_i \leftarrow x_i - \tfrac{1}{n} \sum_j x_j

    in turn, until the mean of the unit vectors is no longer than `tolerance`. A rotation keeps lengths
    and angles, so two spaces that it should carry into each other must agree in both.

    Parameters
    ----------
    x : (n_samples, n_features)

    Returns
    -------
    Normalisation; calling it with `x` gives the normalised rows.

    Raises
    ------
    ValueError : fewer than 2 rows, a value that is not finite, a row without a direction (zero, or
        the mean of all rows), or no convergence in `max_rounds`.

    References
    ----------
    Zhang, Xu, Kawarabayashi, Jegelka & Boyd-Graber (2019), "Are girls neko or shojo?", section 3.
    """
    import torch

    rows = validation.rows("x", x)
    means = []
    for _ in range(max_rounds):
        zero = rows.norm(dim=1) < _ZERO
        if zero.any():
            what = "is the mean of all rows" if means else "is zero"
            raise ValueError(f"x: row {int(zero.nonzero()[0])} {what} and has no direction")
        rows = _unit(rows)
        mean = rows.mean(0)
        if mean.norm() <= tolerance:
            kept = torch.stack(means) if means else rows.new_zeros(0, rows.shape[1])
            return Normalisation(kept)
        means.append(mean)
        rows = rows - mean
    raise ValueError(
        f"x: expected rows whose normalisation converges in {max_rounds} rounds, got a mean of "
        f"length {mean.norm():.1e} (tolerance {tolerance:.0e})"
    )


def align(
    x: Array,
    y: Array,
    pairs: Sequence[tuple[int, int]] | np.ndarray | None = None,
    *,
    shuffle: int | None = None,
) -> Alignment:
    r"""Learn the rotation that carries vectors of one space to their partners in another.

    .. math:: W = \arg\min_{W^T W = I} \| X W - Y \|_F = U V^T, \quad U \Sigma V^T = X^T Y

    with X and Y the partners after `iterative_normalisation` of all of `x` and of all of `y`.

    Parameters
    ----------
    x : (n_x, n_features)
    y : (n_y, n_features)
    pairs : (n_pairs, 2) int, rows of `x` and their partners in `y`. None: row k with row k.
    shuffle : seed; the partners are put in random order first, as a baseline for what a rotation
        does without knowing who belongs to whom.

    Returns
    -------
    Alignment

    Raises
    ------
    ValueError : numbers of features differ, no pair, pairs that are not rows, or as
        `iterative_normalisation`.

    Notes
    -----
    Only the rotation sees pairs; rows without a partner help to normalise. With fewer pairs than
    features the rotation is not determined on the rest of the space.

    References
    ----------
    Schonemann (1966); Smith et al. (2017); Wu, Conneau et al. (2020), section 5.1.
    """
    import torch

    a, b = validation.rows("x", x), validation.rows("y", y)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"y: expected {a.shape[1]} features like x, got {b.shape[1]}")
    left, right = _pairs(pairs, len(a), len(b))
    if shuffle is not None:
        right = np.random.default_rng(shuffle).permutation(right)
    source, target = iterative_normalisation(a), iterative_normalisation(b)
    rotation, _ = orthogonal_procrustes(
        source(a)[left].cpu().numpy(), target(b)[right].cpu().numpy()
    )
    return Alignment(source, target, torch.as_tensor(rotation, device=a.device))


def retrieve(
    x: Array,
    y: Array,
    *,
    queries: Sequence[int] | np.ndarray | None = None,
    method: str = "csls",
    neighbours: int = 10,
    at: int = 1,
) -> np.ndarray:
    r"""Find the rows of one side that are most similar to rows of the other.

    .. math:: \mathrm{CSLS}(x, y) = 2 \cos(x, y) - r_Y(x) - r_X(y)

    with :math:`r_Y(x)` the mean cosine of x with its `neighbours` nearest rows of y, and
    :math:`r_X(y)` likewise: a row that is near everything (a hub) is near nothing in particular.

    Parameters
    ----------
    x : (n_x, n_features)
    y : (n_y, n_features)
        All rows of both sides take part in the means, asked for or not.
    queries : rows of `x` to search for; None for all.
    method : {"csls", "cosine"}
    at : how many to find.

    Returns
    -------
    int (n_queries, at): rows of `y`, the most similar first. Ties go to the earlier row.

    Raises
    ------
    ValueError : numbers of features differ, `neighbours` or `at` exceed the rows, unknown method.

    References
    ----------
    Conneau, Lample, Ranzato, Denoyer & Jegou (2018), section 2.3.
    """
    import torch

    a, b = (validation.rows(n, v, min_samples=1) for n, v in (("x", x), ("y", y)))
    validation.one_of("method", method, METHODS)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"y: expected {a.shape[1]} features like x, got {b.shape[1]}")
    if not 1 <= at <= len(b):
        raise ValueError(f"at: expected 1 to {len(b)} rows of y, got {at}")
    if method == "csls" and not 1 <= neighbours <= min(len(a), len(b)):
        raise ValueError(
            f"neighbours: expected 1 to {min(len(a), len(b))}, the rows of the smaller side; "
            f"got {neighbours}"
        )
    a, b = _unit(a), _unit(b)
    penalty = _density(b, a, neighbours) if method == "csls" else b.new_zeros(len(b))
    chosen = a if queries is None else a[torch.as_tensor(np.asarray(queries), device=a.device)]
    found = []
    for part in chosen.split(_step(len(b))):
        # r_Y(x) is the same for all candidates of x and cannot change their order.
        scores = 2 * part @ b.T - penalty
        found.append(torch.sort(scores, dim=1, descending=True, stable=True).indices[:, :at])
    return torch.cat(found).cpu().numpy()


def _density(x: torch.Tensor, y: torch.Tensor, neighbours: int) -> torch.Tensor:
    """Mean cosine of every row of x with its nearest rows of y."""
    import torch

    parts = x.split(_step(len(y)))
    return torch.cat([(part @ y.T).topk(neighbours, dim=1).values.mean(1) for part in parts])


def _step(columns: int) -> int:
    return max(1, _CHUNK_BYTES // (8 * columns))


def _pairs(pairs, n_x: int, n_y: int) -> tuple[np.ndarray, np.ndarray]:
    if pairs is None:
        if n_x != n_y:
            raise ValueError(f"y: expected {n_x} rows like x (or pairs), got {n_y}")
        return np.arange(n_x), np.arange(n_x)
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1:] != (2,) or not len(pairs):
        raise ValueError(f"pairs: expected shape (n_pairs, 2) with n_pairs > 0, got {pairs.shape}")
    for column, n in enumerate((n_x, n_y)):
        if pairs[:, column].min() < 0 or pairs[:, column].max() >= n:
            raise ValueError(
                f"pairs: expected rows 0 to {n - 1} in column {column}, "
                f"got {pairs[:, column].min()} to {pairs[:, column].max()}"
            )
    return pairs[:, 0], pairs[:, 1]


def _unit(x: torch.Tensor) -> torch.Tensor:
    norms = x.norm(dim=-1, keepdim=True)
    return x / norms.masked_fill(norms == 0, 1)
