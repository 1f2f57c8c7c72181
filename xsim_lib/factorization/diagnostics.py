"""How far a PARAFAC2 solution can be read component by component."""

from __future__ import annotations

import torch

from xsim_lib.factorization.sweeps import Factors, Slices


def core_consistency(slices: Slices, factors: Factors, ps: list[torch.Tensor]) -> float:
    r"""Share of the free cores of the slices that stands on their diagonals, in percent.

    .. math:: 100 \left(1 - \frac{\sum_i \lVert G_i - \operatorname{diag}(a_i) \rVert^2}
        {\sum_i \lVert a_i \rVert^2}\right), \qquad G_i = B^+ P_i^T X_i (C^T)^+

    with the columns of B and C at unit length and their norms in A. 100: letting every component of B interact with every
    one of C in each slice would find nothing more; near 0 or below: the components are not trilinear.

    Notes
    -----
    Bro & Kiers' (2003) core consistency asks the same of one core shared by all slices, which needs
    rank <= n_slices; the paper's rank 768 with 33 languages has no such core, a core per slice it has.
    """
    a, b, c = (f.double() for f in factors)
    sizes = b.norm(dim=0) * c.norm(dim=0)
    a = a * sizes
    left, right = (torch.linalg.pinv(f / _norms(f)) for f in (b, c))
    off = 0.0
    for (where, x), p in zip(slices.batches, ps, strict=True):
        cores = left @ (p.double().mT @ x.double()) @ right.T
        off += float((cores - torch.diag_embed(a[where])).square().sum())
    return 100 * (1 - off / float(a.square().sum()))


def degeneracy(factors: Factors) -> float:
    """Lowest product of the cosines of two components in A, B and C; near -1 they cancel each other."""
    cosines = torch.ones((), dtype=torch.float64, device=factors.B.device)
    for f in factors:
        unit = f.double() / _norms(f.double())
        cosines = cosines * (unit.T @ unit)
    if len(cosines) < 2:
        return 0.0
    return float(cosines.fill_diagonal_(1.0).min())


def _norms(f: torch.Tensor) -> torch.Tensor:
    return f.norm(dim=0).clamp(min=torch.finfo(f.dtype).tiny)
