"""The same factorisation by tensorly: version 0.10, and what 0.7 did when the paper was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from xsim_lib.factorization.solver import Parafac2, assembled, named, tensors
from xsim_lib.factorization.sweeps import (
    Factors,
    Slices,
    alternating_sweep,
    exact_error,
    projections,
)
from xsim_lib.indices import validation

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array


def parafac2_tensorly(
    slices: Mapping[str, Array | None] | Sequence[Array | None] | Array,
    rank: int,
    *,
    names: Sequence[str] | None = None,
    version: str = "0.7",
    max_iter: int = 100,
    tol: float = 1e-8,
    nonnegative: bool = True,
    linesearch: bool = False,
    inner: int = 5,
) -> Parafac2:
    """PARAFAC2 by tensorly 0.10, every argument passed; the defaults are the paper's call.

    Parameters
    ----------
    slices, rank, names, max_iter, nonnegative, inner : as in `parafac2`.
    version : "0.10" | "0.7"
        "0.10" is called; it stops when the error falls by less than `tol`. What 0.7 did is
        transcribed: no line search, the error from the residual, the end when the squared error
        falls by less than `tol` of itself or below 1e-13 of |X|^2, fewer passes over a non-negative A.
    linesearch : the line search of 0.10 (its function's default is True).

    Returns
    -------
    Parafac2
        `errors` are tensorly's own. With a line search it reports one for every sweep that was not a
        search, and may leave the last out of date: `error` is that of what is returned.

    Notes
    -----
    tensorly 0.10 warns of random columns when rank = n_columns, though none is left to be random.
    Without a line search the releases give equal errors sweep by sweep as long as A >= 0 does not bind.
    """
    validation.one_of("version", version, ("0.7", "0.10"))
    if version == "0.7" and linesearch:
        raise ValueError("linesearch: expected False with version 0.7, which has none, got True")
    validation.number("max_iter", max_iter, low=1, high=2**31, integer=True)
    validation.number("tol", tol, low=1e-300, high=1)
    values, labels = named(slices, names)
    given = tensors(values, labels, rank, "cpu")
    full = Slices.of([x.double() for x in given])
    if version == "0.7":
        factors, ps, errors, reason = _as_in_0_7(full, rank, max_iter, tol, nonnegative, inner)
    else:
        from tensorly.decomposition import parafac2

        found, errors = parafac2(
            [x.double().numpy() for x in given],
            rank,
            n_iter_max=max_iter,
            init="svd",
            svd="truncated_svd",
            normalize_factors=False,
            tol=tol,
            nn_modes=[0] if nonnegative else None,
            random_state=0,
            verbose=False,
            return_errors=True,
            n_iter_parafac=inner,
            linesearch=linesearch,
            mask=None,
        )
        factors = Factors(*(torch.from_numpy(f) for f in found[1]))
        each = [torch.from_numpy(p) for p in found[2]]
        ps = [torch.stack([each[i] for i in where.tolist()]) for where, _ in full.batches]
        reason = "tol" if len(errors) > 1 and abs(errors[-2] - errors[-1]) < tol else "max_iter"
    return assembled(
        full,
        factors,
        ps,
        labels,
        [x is not None for x in values],
        errors=errors,
        reason=reason,
        start_errors=errors[-1:],
    )


def _as_in_0_7(full, rank, max_iter, tol, nonnegative, inner):
    """Errors and passes over A as in the source of release 0.7.0 (`parafac2`, `hals_nnls`)."""
    low, n = full.low(), full.n_slices
    values, vectors = torch.linalg.eigh(low.gram())
    start = torch.ones(n, rank).to(values), torch.eye(rank).to(values)
    factors = Factors(*start, vectors.flip(-1)[:, :rank].contiguous())
    passes = int(1.5 + n / (rank + 1)) + 2 if nonnegative else 0
    errors, ps = [], []
    for step in range(max_iter):
        ps = projections(full, factors, "eigen")
        factors, _ = alternating_sweep(low, factors, inner=inner, passes=passes, method="eigen")
        errors.append(exact_error(full, factors, ps))
        if step and (
            abs(errors[-2] ** 2 - errors[-1] ** 2) < tol * errors[-2] ** 2
            or errors[-1] ** 2 < 1e-13
        ):
            return factors, ps, errors, "tol"
    return factors, ps, errors, "max_iter"
