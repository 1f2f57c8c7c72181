"""A chunk of representations about a mean, and sums of products of two: what `comoments` is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# A symmetric product needs only the panels of columns on and above its diagonal; to copy them to below
# it pays from some number of rows on.
_PANEL = 256
_ROWS = 1024


@dataclass
class Centred:
    """A chunk of one stream: a mean and, about it, the rows and (for full moments) their norms."""

    mean: torch.Tensor
    rows: torch.Tensor
    norms: torch.Tensor | None
    resolution: float

    @classmethod
    def of(
        cls,
        chunk: torch.Tensor,
        mean: torch.Tensor | None = None,
        *,
        diagonal: bool = False,
        dtype: torch.dtype | None = None,
        fast: bool = False,
    ) -> Centred:
        """Centre a chunk (..., n, d) on a mean (None: its own); the rest as `CoMoments.update`."""
        import torch

        wanted = dtype or torch.float64
        resolution = torch.finfo(chunk.dtype).eps if chunk.is_floating_point() else 0.0
        if mean is None:
            mean = column_means(chunk, wanted)
        if fast and chunk.dtype == torch.float32:
            near = mean.to(chunk.dtype)
            rows = chunk - near.unsqueeze(-2)
            rows -= (mean - near).to(chunk.dtype).unsqueeze(-2)  # what float32 lacks of the mean
        else:
            rows = chunk.to(wanted) - mean.unsqueeze(-2)
            rows = rows.to(torch.float32) if fast else rows
        # Without writing the squares down.
        norms = None if diagonal else torch.linalg.vector_norm(rows, dim=-1).to(wanted).square()
        return cls(mean, rows, norms, resolution)

    @cached_property
    def columns(self) -> torch.Tensor:
        """The rows, turned."""
        return self.rows.mT.contiguous()

    @cached_property
    def packed(self) -> list[torch.Tensor]:
        """`columns` as oneDNN takes them, one per leading entry."""
        return _packed(self.columns)


def column_means(stream: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Mean row of a stream (..., n, d), without a copy of it in another dtype."""
    n = stream.shape[-2]
    parts = stream.split(_ROWS, dim=-2)
    return sum(part.to(dtype).sum(dim=-2) for part in parts) / n


class Product:
    """The sum over chunks of the products of two streams."""

    def __init__(self) -> None:
        self.s: torch.Tensor | None = None
        self._panels = False

    def add(self, x: Centred, y: Centred) -> None:
        """Add a chunk of both; of a stream with itself little more than half is worked out."""
        import torch

        # For float32 on a CPU oneDNN takes half the time of what `@` is bound to.
        onednn = x.rows.dtype == torch.float32 and x.rows.device.type == "cpu"
        onednn = onednn and torch.backends.mkldnn.is_available()
        d, n = x.rows.shape[-1], x.rows.shape[-2]
        if self.s is None:
            self._panels = x is y and d > _PANEL and n >= _ROWS
            if not self._panels and not onednn:
                self.s = (x.rows.mT @ y.rows).to(x.mean.dtype)
                return
            self.s = x.mean.new_zeros(*x.rows.shape[:-2], d, y.rows.shape[-1])
        left = x.columns if onednn else x.rows.mT
        for start in range(0, d, _PANEL) if self._panels else ():
            rows, columns = slice(start, start + _PANEL), slice(start, None)
            panel, rest = left[..., rows, :], left[..., columns, :]
            into = self.s[..., rows, columns]
            if onednn:
                _add_by_onednn(into, _packed(panel), _packed(rest))
            else:
                _add(into, panel, rest.mT)
        if not self._panels and onednn:
            _add_by_onednn(self.s, x.packed, y.packed)
        elif not self._panels:
            _add(self.s, left, y.rows)

    def total(self) -> torch.Tensor:
        """The sum; after that nothing may be added."""
        for start in range(_PANEL, self.s.shape[-1], _PANEL) if self._panels else ():
            above = self.s[..., start - _PANEL : start, start:]
            self.s[..., start:, start - _PANEL : start] = above.mT
        return self.s


def _packed(columns: torch.Tensor) -> list[torch.Tensor]:
    return [entry.to_mkldnn() for entry in columns.reshape(-1, *columns.shape[-2:])]


def _add_by_onednn(into: torch.Tensor, a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    from torch.nn.functional import linear

    for k, (left, right) in enumerate(zip(a, b, strict=True)):
        entry = into if into.ndim == 2 else into.view(-1, *into.shape[-2:])[k]
        entry += linear(left, right).to_dense()


def _add(into: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """Add a product in place, in its own precision where that is the sum's."""
    if a.dtype == into.dtype and into.ndim == 2:
        into.addmm_(a, b)
    elif a.dtype == into.dtype and into.ndim == 3:
        into.baddbmm_(a, b)
    else:
        into += a @ b
