"""The numerics of PARAFAC2: orthogonal factors, least squares updates, one alternating sweep.

Slices of equal height form one batch, so that 33 languages are a handful of batched products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch


class Factors(NamedTuple):
    """X_i ~ P_i B diag(a_i) C^T with A (n_slices, rank), B (rank, rank), C (n_columns, rank)."""

    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor


@dataclass(frozen=True)
class Slices:
    """Slices in batches of equal height.

    Attributes
    ----------
    batches : (positions, slices (n, n_rows, n_columns)) for every height.
    squared_norm : |X|^2 of the original slices, summed in float64.
    discarded : the part of it that compression left out of `batches`.
    """

    batches: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    squared_norm: float
    discarded: float = 0.0

    @classmethod
    def of(cls, slices: list[torch.Tensor]) -> Slices:
        heights = [len(x) for x in slices]
        batches = []
        for height in sorted(set(heights)):
            where = [i for i, h in enumerate(heights) if h == height]
            stacked = torch.stack([slices[i] for i in where])
            batches.append((torch.tensor(where, device=stacked.device), stacked))
        return cls(tuple(batches), sum(squares(x) for _, x in batches))

    @property
    def n_columns(self) -> int:
        return self.batches[0][1].shape[-1]

    @property
    def n_slices(self) -> int:
        return sum(len(where) for where, _ in self.batches)

    def gram(self) -> torch.Tensor:
        """Sum of X_i^T X_i."""
        return sum(torch.tensordot(x, x, ([0, 1], [0, 1])) for _, x in self.batches)

    def low(self) -> Slices:
        """Rows rotated so that no slice is taller than wide; nothing is lost."""
        batches = []
        for where, x in self.batches:
            tall = x.shape[1] > x.shape[2]
            batches.append((where, torch.linalg.qr(x, mode="r").R if tall else x))
        return Slices(tuple(batches), self.squared_norm, self.discarded)

    def narrow(self, basis: torch.Tensor) -> Slices:
        """Columns expressed in an orthonormal `basis` (n_columns, width); what it misses is counted."""
        batches = tuple((where, x @ basis) for where, x in self.batches)
        kept = sum(squares(x) for _, x in batches)
        return Slices(batches, self.squared_norm, max(0.0, self.squared_norm - kept)).low()


def squares(x: torch.Tensor) -> float:
    """Sum of squares in float64, whatever the dtype: in float32 the error formula cancels to 0."""
    return sum(float(part.double().square().sum()) for part in x)


def inner_product(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x.double() * y.double()).sum())


def polar(m: torch.Tensor, method: str = "eigen") -> torch.Tensor:
    r"""Orthonormal factor of the polar decomposition of each matrix: the P that maximises <P, M>.

    .. math:: P = M (M^T M)^{-1/2}

    Parameters
    ----------
    m : (n, n_rows, rank), n_rows >= rank.
    method : "eigen" | "newton-schulz"
        Eigenvectors of the small Gram matrices (fastest on a CPU), or matrix products alone (on a
        GPU, where batched eigensolvers are slow).

    Returns
    -------
    (n, n_rows, rank) with orthonormal columns, also where a matrix is rank-deficient: there any
    completion maximises <P, M>, and the one that comes at hand is taken.
    """
    if method == "newton-schulz":
        return _by_products(m)
    values, vectors = torch.linalg.eigh(m.mT @ m)
    s = values.clamp(min=0).sqrt()
    # Squaring loses half the digits: below sqrt(eps) of the largest, directions are noise.
    poor = s[:, 0] <= 1e2 * torch.finfo(m.dtype).eps ** 0.5 * s[:, -1]
    if bool(poor.all()):
        return _completed(m, vectors)
    p = torch.empty_like(m)
    if bool(poor.any()):
        p[poor] = _completed(m[poor], vectors[poor])
        m, s, vectors = m[~poor], s[~poor], vectors[~poor]
    good = m @ ((vectors / s[:, None]) @ vectors.mT)
    if bool((s[:, 0] < 1e-2 * s[:, -1]).any()):
        good = _orthonormalised(good)
    p[~poor] = good
    return p


def _completed(m: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Polar factors of deficient matrices: M V has orthogonal columns, QR completes the empty ones."""
    v = vectors.flip(
        -1
    )  # the largest first, so that noise is made orthogonal to them and not they to it
    q, r = torch.linalg.qr(m @ v)
    sign = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(m.dtype)
    return (q * sign[:, None]) @ v.mT


def _orthonormalised(p: torch.Tensor) -> torch.Tensor:
    """One Newton-Schulz step: an error of 1e-8 in P^T P becomes one of 1e-16."""
    return 1.5 * p - 0.5 * (p @ (p.mT @ p))


def _by_products(m: torch.Tensor) -> torch.Tensor:
    p = _newton_schulz(m)
    for attempt in ("shifted", "eigen"):
        off = (p.mT @ p - torch.eye(m.shape[-1], dtype=m.dtype, device=m.device)).abs()
        failed = ~(off.amax((-2, -1)) < 1e3 * torch.finfo(m.dtype).eps * m.shape[-1])
        if not bool(failed.any()):
            break
        if attempt == "shifted":
            # Directions that are absent get a length that the iteration can raise to 1.
            one = torch.eye(*m.shape[1:], dtype=m.dtype, device=m.device)
            shift = 1e5 * torch.finfo(m.dtype).eps * _norm_bounds(m[failed])
            p[failed] = _newton_schulz(m[failed] + shift * one)
        else:
            p[failed] = polar(m[failed])
    return p


def _norm_bounds(m: torch.Tensor) -> torch.Tensor:
    """At least the spectral norm of each matrix, (n, 1, 1)."""
    bound = (m.abs().sum(-1).amax(-1) * m.abs().sum(-2).amax(-1)).sqrt()
    return bound.clamp(min=torch.finfo(m.dtype).tiny)[:, None, None]


def _newton_schulz(m: torch.Tensor) -> torch.Tensor:
    """Polar factor by the scaled iteration of Chen & Chow (2014), two products a step."""
    x = m / _norm_bounds(m)
    low = (
        10 * torch.finfo(m.dtype).eps
    )  # of the largest singular value; smaller ones do not get to 1
    while low < 1 - 1e-3:
        scale = (3 / (1 + low + low * low)) ** 0.5
        x = scale * x
        x = 1.5 * x - 0.5 * (x @ (x.mT @ x))
        low = scale * low * (3 - scale**2 * low**2) / 2
    for _ in range(3):
        x = _orthonormalised(x)
    return x


def solve_normal_equations(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """`right` @ inverse(`gram`) for a positive semi-definite `gram`, the normal equations of a factor."""
    scale = gram.diagonal().clamp(min=torch.finfo(gram.dtype).tiny).rsqrt()
    scaled = gram * scale[:, None] * scale
    lower, info = torch.linalg.cholesky_ex(scaled)
    if not info.item():
        return torch.cholesky_solve((right * scale).T, lower).T * scale
    values, vectors = torch.linalg.eigh(scaled)
    floor = len(values) * torch.finfo(gram.dtype).eps * values[-1]
    inverse = torch.where(values > floor, values.reciprocal(), torch.zeros_like(values))
    return ((right * scale) @ vectors * inverse) @ vectors.T * scale


def nonnegative(gram: torch.Tensor, right: torch.Tensor, start: torch.Tensor, passes: int):
    """Least squares under A >= 0 by coordinate descent over columns (HALS), from `start`.

    On the CPU, where a loop over small columns is not a loop over kernel launches.
    """
    g, w, a = gram.cpu().numpy(), right.cpu().numpy(), start.clamp(min=0).cpu().numpy().copy()
    for _ in range(passes):
        for r in range(len(g)):
            if g[r, r] > 0:
                a[:, r] = (a[:, r] + (w[:, r] - a @ g[r]) / g[r, r]).clip(min=0)
    return torch.from_numpy(a).to(start)


def projections(slices: Slices, factors: Factors, method: str) -> list[torch.Tensor]:
    """P_i of every batch, given the other factors."""
    a, b, c = factors
    return [polar(((x @ c) * a[where, None]) @ b.T, method) for where, x in slices.batches]


def alternating_sweep(
    slices: Slices, factors: Factors, *, inner: int, passes: int, method: str
) -> tuple[Factors, float]:
    """Update P, then A, B and C `inner` times; return them and the relative error |X - M| / |X|.

    `passes` over the columns of A keep it non-negative; with none it is free.
    """
    a, b, c = factors
    on_c = [x @ c for _, x in slices.batches]
    ps = [
        polar((xc * a[where, None]) @ b.T, method)
        for (where, _), xc in zip(slices.batches, on_c, strict=True)
    ]
    # Z_i = P_i^T X_i C serves the updates of A and of B.
    zs = [p.mT @ xc for p, xc in zip(ps, on_c, strict=True)]
    del on_c
    ys = None
    for step in range(inner):
        if step:
            zs = [y @ c for y in ys]
        cc = c.T @ c
        right = torch.empty_like(a)
        for (where, _), z in zip(slices.batches, zs, strict=True):
            right[where] = (z * b).sum(1)
        gram = (b.T @ b) * cc
        a = nonnegative(gram, right, a, passes) if passes else solve_normal_equations(gram, right)
        right = sum(
            (z * a[where, None]).sum(0) for (where, _), z in zip(slices.batches, zs, strict=True)
        )
        b = solve_normal_equations((a.T @ a) * cc, right)
        if inner > 1 and ys is None:
            ys = [p.mT @ x for p, (_, x) in zip(ps, slices.batches, strict=True)]
        # With a single update P^T X is not worth its product.
        rights = (
            torch.tensordot(
                x if ys is None else ys[k],
                (ps[k] @ (b * a[where, None])) if ys is None else b * a[where, None],
                ([0, 1], [0, 1]),
            )
            for k, (where, x) in enumerate(slices.batches)
        )
        right = sum(rights)
        gram = (a.T @ a) * (b.T @ b)
        c = solve_normal_equations(gram, right)
    new = Factors(a, b, c)
    # |X|^2 - 2 <X, M> + |M|^2 needs no residual, but what is left of it must not be rounding.
    a, b, c = (f.double() for f in new)
    model = inner_product((a.T @ a) * (b.T @ b), c.T @ c)
    share = (slices.squared_norm - 2 * inner_product(right, c) + model) / slices.squared_norm
    if share > 1e4 * torch.finfo(right.dtype).eps:
        return new, share**0.5
    return new, exact_error(slices, new, ps)


def exact_error(slices: Slices, factors: Factors, ps: list[torch.Tensor]) -> float:
    """|X - M| / |X| from the residual itself, slice by slice in float64."""
    a, b, c = (f.double() for f in factors)
    total = slices.discarded
    for (where, x), p in zip(slices.batches, ps, strict=True):
        for i, one, q in zip(where.tolist(), x, p, strict=True):
            total += float((one.double() - (q.double() @ (b * a[i])) @ c.T).square().sum())
    return (total / slices.squared_norm) ** 0.5
