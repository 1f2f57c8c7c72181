"""PARAFAC2 of many slices at once: the joint factorisation behind signatures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from xsim_lib.factorization import diagnostics
from xsim_lib.factorization.descent import Descent, Options, SavedSweeps
from xsim_lib.factorization.sweeps import Factors, Slices, exact_error, projections
from xsim_lib.indices import validation

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array


@dataclass(frozen=True)
class Parafac2:
    """X_i ~ P_i B diag(a_i) C^T for every slice i.

    Attributes
    ----------
    A : (n_slices, rank); row i belongs to `names[i]`, nan where that slice was missing.
    B : (rank, rank)
    C : (n_columns, rank)
    projections : P_i (n_rows_i, rank) with orthonormal columns; None where the slice was missing.
    names : the languages, in the order they came.
    errors : |X - M| / |X| after every sweep of the start that was kept; never rises. A sweep whose
        extrapolation failed repeats the error before it.
    error : |X - M| / |X| of what is returned, from the residual itself in float64.
    converged : the stopping rule or `target_error` was met, rather than `max_iter` used up.
    reason : "tol" | "target" | "max_iter"
    start_errors : last error of every start.
    fit, core_consistency, degeneracy : see `diagnostics`.
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    projections: tuple[np.ndarray | None, ...]
    names: tuple[str, ...]
    errors: tuple[float, ...]
    error: float
    converged: bool
    reason: str
    start_errors: tuple[float, ...]
    fit: float
    core_consistency: float
    degeneracy: float

    @property
    def missing(self) -> tuple[str, ...]:
        """Languages without a slice."""
        pairs = zip(self.names, self.projections, strict=True)
        return tuple(name for name, p in pairs if p is None)

    def reconstruction(self, name: str) -> np.ndarray:
        """The model of one slice (n_rows, n_columns)."""
        validation.one_of("name", name, tuple(n for n in self.names if n not in self.missing))
        i = self.names.index(name)
        return (self.projections[i] @ (self.B * self.A[i])) @ self.C.T


def parafac2(
    slices: Mapping[str, Array | None] | Sequence[Array | None] | Array,
    rank: int,
    *,
    names: Sequence[str] | None = None,
    target_error: float | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
    starts: int = 1,
    init: str = "svd",
    seed: int = 0,
    nonnegative: bool = False,
    accelerate: bool = True,
    inner: int | None = None,
    compression: float | str = "auto",
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 20,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float64,
) -> Parafac2:
    r"""PARAFAC2 by accelerated alternating least squares, batched over slices.

    .. math:: \min \sum_i \lVert X_i - P_i B \operatorname{diag}(a_i) C^T \rVert_F^2
        \quad \text{subject to } P_i^T P_i = I

    Parameters
    ----------
    slices : name -> (n_rows_i, n_columns), or the slices in the order of `names`
        All have the same columns (the multilingual model's), each its own number of rows (at least
        `rank`). None is a language without this slice: it keeps its name, its row of A is nan.
    rank : number of components, at most n_columns and the rows of every slice.
    names : one per slice; slice_0, slice_1, ... if not given. A mapping brings its own.
    target_error : stop as soon as |X - M| / |X| is at most this.
    tol : stop when the squared error has fallen by less than `tol` of itself per sweep, on average
        over the last 5. (tensorly 0.7 compares two sweeps by the same measure, 0.10 the error itself.)
    max_iter : sweeps per start at most.
    starts : each runs to its end, the best is kept.
    init : "svd" | "random"
        The first start is tensorly's "svd" (A = 1, B = I, C the leading right singular vectors of all
        slices) or random in `seed`, as all others are.
    seed : of the random starts.
    nonnegative : A >= 0, as in the paper's calls (`nn_modes=[0]`).
    accelerate : extrapolate between sweeps (`acceleration.Extrapolation`); False is plain ALS.
    inner : updates of A, B and C per update of the P_i. None: 5 without acceleration (as tensorly);
        with it the first sweeps are made with 5 and with 1, and the better way goes on with 2 or 1.
    compression : "auto" | "off" | number in [0, 1)
        First work on the leading right singular directions of all slices, and on as few rows: those
        that leave out at most this share of |X|^2 (0: lossless), or max(96, 2 * rank) of them ("auto").
        When that stops paying, the sweeps go on with all data, so nothing is lost at the end.
    checkpoint : file that keeps the state every `checkpoint_every` sweeps; an interrupted call
        repeated with the same arguments goes on from there and gives the same digits.
    device : torch device; None is that of the first tensor, the CPU for arrays.
    dtype : torch.float64 | torch.float32. Errors are summed in float64 in both.

    Returns
    -------
    Parafac2

    Raises
    ------
    ValueError, TypeError : an argument is out of range, columns differ, a slice has fewer rows than
        `rank`, a value is not finite, all values are 0, or the checkpoint is of another call.

    Notes
    -----
    The orthogonal factors come from eigenvectors of rank x rank Gram matrices (CPU) or products alone
    (GPU). The scale of a component is free to move between A, B and C: see `signatures`. The sign is
    fixed so that each column of A has a positive sum.

    References
    ----------
    Kiers, ten Berge & Bro (1999), "PARAFAC2 - Part I"; Zhao et al. (2023), Eq. 1.
    """
    data, labels = named(slices, names)
    options = Options(
        rank=validation.number("rank", rank, low=1, high=2**31, integer=True),
        target_error=target_error,
        tol=validation.number("tol", tol, low=0, high=1),
        max_iter=validation.number("max_iter", max_iter, low=1, high=2**31, integer=True),
        starts=validation.number("starts", starts, low=1, high=2**31, integer=True),
        seed=validation.number("seed", seed, low=0, high=2**63 - 1, integer=True),
        nonnegative=bool(nonnegative),
        accelerate=bool(accelerate),
        inner=inner
        if inner is None
        else validation.number("inner", inner, low=1, high=100, integer=True),
        compression=_compression(compression),
        dtype=str(validation.one_of("dtype", dtype, (torch.float64, torch.float32))),
        init=validation.one_of("init", init, ("svd", "random")),
    )
    if target_error is not None:
        validation.number("target_error", target_error, low=0, high=1)
    validation.number("checkpoint_every", checkpoint_every, low=1, high=2**31, integer=True)
    full = Slices.of([x.to(dtype) for x in tensors(data, labels, rank, device)])
    if not full.squared_norm > 0:
        raise ValueError("slices: expected a value other than 0, got zeros only")
    store = SavedSweeps(checkpoint, checkpoint_every, options, full) if checkpoint else None
    return _result(full, Descent(full, options, store), labels, [x is not None for x in data])


def _result(
    full: Slices, descent: Descent, labels: tuple[str, ...], has_slice: list[bool]
) -> Parafac2:
    runs = descent.runs()
    best = min(runs, key=lambda run: run.errors[-1])
    factors = best.factors
    sign = torch.where(factors.A.sum(0) < 0, -1.0, 1.0).to(factors.A)
    factors = factors._replace(A=factors.A * sign, C=factors.C * sign)
    return assembled(
        full,
        factors,
        projections(full, factors, descent.method),
        labels,
        has_slice,
        errors=best.errors,
        reason=best.reason,
        start_errors=[run.errors[-1] for run in runs],
    )


def assembled(
    full: Slices,
    factors: Factors,
    batches: list[torch.Tensor],
    labels: tuple[str, ...],
    has_slice: list[bool],
    *,
    errors: Sequence[float],
    reason: str,
    start_errors: Sequence[float],
) -> Parafac2:
    """Factors and the P_i of each batch as `Parafac2`: names put back, error and diagnostics added."""
    error = exact_error(full, factors, batches)
    where = [i for i, present in enumerate(has_slice) if present]
    rows = np.full((len(labels), factors.A.shape[1]), np.nan)
    rows[where] = factors.A.cpu().numpy()
    placed: list[np.ndarray | None] = [None] * len(labels)
    for (positions, _), ps in zip(full.batches, batches, strict=True):
        for position, p in zip(positions.tolist(), ps.cpu().numpy(), strict=True):
            placed[where[position]] = p
    return Parafac2(
        A=rows,
        B=factors.B.cpu().numpy(),
        C=factors.C.cpu().numpy(),
        projections=tuple(placed),
        names=labels,
        errors=tuple(map(float, errors)),
        error=error,
        converged=reason != "max_iter",
        reason=reason,
        start_errors=tuple(map(float, start_errors)),
        fit=1 - error**2,
        core_consistency=diagnostics.core_consistency(full, factors, batches),
        degeneracy=diagnostics.degeneracy(factors),
    )


def named(slices, names) -> tuple[list, tuple[str, ...]]:
    """Slices and their names, in order; raises ValueError where they do not fit."""
    if isinstance(slices, Mapping):
        if names is not None:
            raise ValueError("names: expected None beside a mapping, which names its slices itself")
        values, labels = list(slices.values()), tuple(map(str, slices))
    else:
        values = list(slices)
        labels = tuple(f"slice_{i}" for i in range(len(values)))
        labels = labels if names is None else tuple(map(str, names))
    if len(labels) != len(values):
        raise ValueError(f"names: expected {len(values)}, one per slice, got {len(labels)}")
    twice = sorted({name for name in labels if labels.count(name) > 1})
    if twice:
        raise ValueError(f"names: expected each once, got {twice[0]!r} twice")
    if all(x is None for x in values):
        raise ValueError(f"slices: expected at least one that is not None, got {len(values)}")
    return values, labels


def tensors(values: list, labels: tuple[str, ...], rank: int, device) -> list[torch.Tensor]:
    """Those slices that are there, checked."""
    found, first = [], None
    for name, value in zip(labels, values, strict=True):
        if value is None:
            continue
        x = validation.rows(f"slices[{name!r}]", value, min_samples=1)
        first = first or (name, x.shape[1])
        if x.shape[1] != first[1]:
            raise ValueError(
                f"slices[{name!r}]: expected {first[1]} columns like {first[0]!r}, got {x.shape[1]}"
            )
        limit = min(x.shape)
        if rank > limit:
            raise ValueError(
                f"rank: expected at most {limit}, the smaller side of slices[{name!r}] "
                f"{tuple(x.shape)}, got {rank}"
            )
        found.append(x.to(device) if device is not None else x)
    return found


def _compression(value: float | str) -> float | str:
    if isinstance(value, str):
        return validation.one_of("compression", value, ("auto", "off"))
    if validation.number("compression", value, low=0, high=1) == 1:
        raise ValueError(f"compression: expected a share below 1, got {value!r}")
    return value
