"""A chunk of representations about its mean, and the product of two: what `comoments` adds up."""

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
    """A chunk of one stream: its mean and, about it, the rows and (for full moments) their norms."""

    mean: torch.Tensor
    rows: torch.Tensor
    norms: torch.Tensor | None
    resolution: float

    @classmethod
    def of(
        cls,
        chunk: torch.Tensor,
        *,
        diagonal: bool = False,
        dtype: torch.dtype | None = None,
        fast: bool = False,
    ) -> Centred:
        """Centre a chunk (..., n, d); parameters as `CoMoments.update`."""
        import torch

        wanted = dtype or torch.float64
        resolution = torch.finfo(chunk.dtype).eps if chunk.is_floating_point() else 0.0
        rows = chunk if fast and chunk.dtype == torch.float32 else chunk.to(wanted)
        mean = rows.mean(dim=-2)
        rows = rows - mean.unsqueeze(-2)
        if rows.dtype != wanted:  # a mean in float32 is not exact enough
            rest = rows.mean(dim=-2)
            rows -= rest.unsqueeze(-2)
            mean = mean.to(wanted) + rest
        elif fast:
            rows = rows.to(torch.float32)
        norms = None if diagonal else rows.square().sum(dim=-1).to(wanted)
        return cls(mean, rows, norms, resolution)

    @cached_property
    def columns(self) -> torch.Tensor:
        """The rows, turned."""
        return self.rows.mT.contiguous()

    @cached_property
    def packed(self) -> list[torch.Tensor]:
        """`columns` as oneDNN takes them, one per leading entry."""
        return [entry.to_mkldnn() for entry in self.columns.reshape(-1, *self.columns.shape[-2:])]


def product(x: Centred, y: Centred) -> torch.Tensor:
    """Sums of products over the rows; of a stream with itself little more than half is worked out."""
    import torch

    # For float32 on a CPU oneDNN takes half the time of what `@` is bound to.
    packed = x.rows.dtype == torch.float32 and x.rows.device.type == "cpu"
    packed = packed and torch.backends.mkldnn.is_available()
    if x is y and x.rows.shape[-1] > _PANEL and x.rows.shape[-2] >= _ROWS:
        return _symmetric(x.columns if packed else x.rows.mT, packed)
    if not packed:
        return x.rows.mT @ y.rows
    entries = [_by_onednn(a, b) for a, b in zip(x.packed, y.packed, strict=True)]
    return torch.stack(entries).reshape(*x.rows.shape[:-2], *entries[0].shape)


def _symmetric(columns: torch.Tensor, packed: bool) -> torch.Tensor:
    """The product of a matrix with its own transpose."""
    import torch

    d = columns.shape[-2]
    s = columns.new_empty(*columns.shape[:-1], d)
    for start in range(0, d, _PANEL):
        panel, rest = columns[..., start : start + _PANEL, :], columns[..., start:, :]
        if packed:
            flat = [v.reshape(-1, *v.shape[-2:]) for v in (panel, rest)]
            pairs = [[v.to_mkldnn() for v in pair] for pair in zip(*flat, strict=True)]
            block = torch.stack([_by_onednn(*pair) for pair in pairs])
            block = block.reshape(*columns.shape[:-2], *block.shape[-2:])
        else:
            block = panel @ rest.mT
        s[..., start : start + _PANEL, start:] = block
        s[..., start:, start : start + _PANEL] = block.mT
    return s


def _by_onednn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    from torch.nn.functional import linear

    return linear(a, b).to_dense()
