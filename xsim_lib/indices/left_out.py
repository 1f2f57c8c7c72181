"""Everything but one block of sentences, for each block: what jackknife intervals of moments need.

An index of a pair needs three pairs of streams, two of which (the languages with themselves) other
pairs need too. Each is left out once here, and only as much of it as the index asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from xsim_lib.indices.comoments import CoMoments, total
from xsim_lib.indices.intervals import leave_one_out

if TYPE_CHECKING:
    import torch

__all__ = ["LeftOut"]


class LeftOut:
    """All blocks of one pair of streams together, and without each block in turn.

    Parameters
    ----------
    blocks : moments of disjoint blocks, none empty. One block leaves nothing out.
    """

    def __init__(self, blocks: Sequence[CoMoments]) -> None:
        self.blocks = list(blocks)

    @cached_property
    def whole(self) -> CoMoments:
        """All blocks together."""
        return total(self.blocks)

    @cached_property
    def full(self) -> list[CoMoments]:
        """All blocks together, then all but each: as much memory as the blocks again."""
        return [self.whole, *(leave_one_out(self.blocks) if len(self.blocks) > 1 else [])]

    @cached_property
    def lean(self) -> list[CoMoments]:
        """As `full`, but only the diagonals and the norms: enough for ANC and CKA."""
        import torch

        parts = [block.diagonals() for block in self.blocks]
        found = [self.whole.diagonals(), *(leave_one_out(parts) if len(parts) > 1 else [])]
        if not self.whole.diagonal:
            norms = [_norm2(self.whole.s)]
            if len(parts) > 1:
                room = torch.empty_like(self.whole.s)
                norms += [self._norm2_without(block, room) for block in self.blocks]
            for part, norm2 in zip(found, norms, strict=True):
                part.norm2 = norm2
        return found

    def _norm2_without(self, block: CoMoments, room: torch.Tensor) -> torch.Tensor:
        r"""Squared norm of everything but a block, in one pass over both.

        With the block's mean off the whole one by :math:`\delta`, what is left sums to
        :math:`S - S_j - \frac{n n_j}{n - n_j} \delta_x \delta_y^T`, and is never written down.
        """
        import torch

        whole = self.whole
        dx, dy = block.mean_x - whole.mean_x, block.mean_y - whole.mean_y
        weight = whole.n * block.n / (whole.n - block.n)
        rest = torch.sub(whole.s, block.s, out=room)
        across = (dx * (rest @ dy.unsqueeze(-1)).squeeze(-1)).sum(-1)
        dx2, dy2 = dx.square().sum(-1), dy.square().sum(-1)
        return _norm2(rest) - 2 * weight * across + weight**2 * dx2 * dy2


def _norm2(s: torch.Tensor) -> torch.Tensor:
    """Squared Frobenius norm, without writing the squares down."""
    flat = s.reshape(*s.shape[:-2], 1, -1)
    return (flat @ flat.mT)[..., 0, 0]
