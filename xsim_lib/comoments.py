"""The mergeable sums behind `moments`: what one pair of streams contributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from xsim_lib import validation

if TYPE_CHECKING:
    import torch

    from xsim_lib.validation import Array

# Rows handled at once. A merge rewrites a d x d matrix, so full moments need long chunks for matrix
# products to dominate; diagonal ones are cheap to merge and short chunks stay in the cache.
_CHUNK = 4096
_CHUNK_DIAGONAL = 512


@dataclass
class CoMoments:
    r"""Centred sums of products of two aligned streams, mergeable in any order.

    With :math:`\hat x_k = x_k - \bar x` and :math:`\hat y_k = y_k - \bar y`:

    =============  ======================================  ======================================
    field          value                                   shape
    =============  ======================================  ======================================
    n              number of samples seen                  int
    mean_x         :math:`\bar x`                          (..., d_x)
    mean_y         :math:`\bar y`                          (..., d_y)
    s              :math:`\sum \hat x_k \hat y_k^T`        (..., d_x, d_y), or its diagonal (..., d)
    spread_x       :math:`\sum |\hat x_k|^2`               (...)
    spread_y       :math:`\sum |\hat y_k|^2`               (...)
    cubic_x        :math:`\sum |\hat y_k|^2 \hat x_k`      (..., d_x)
    cubic_y        :math:`\sum |\hat x_k|^2 \hat y_k`      (..., d_y)
    quartic        :math:`\sum |\hat x_k|^2 |\hat y_k|^2`  (...)
    =============  ======================================  ======================================

    The last is what debiased CKA needs beyond second order, and the cubic ones and the spreads are
    what it takes to merge it. A diagonal object has only the means and the diagonal of s. Leading
    dimensions (layers, say) are free.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(12.0).reshape(6, 2)
    >>> seen = CoMoments()
    >>> for batch in (x[:4], x[4:]):
    ...     _ = seen.update(batch)
    >>> seen.n, seen.mean_x.tolist()
    (6, [5.0, 6.0])
    """

    n: int = 0
    mean_x: torch.Tensor | None = None
    mean_y: torch.Tensor | None = None
    s: torch.Tensor | None = None
    spread_x: torch.Tensor | None = None
    spread_y: torch.Tensor | None = None
    cubic_x: torch.Tensor | None = None
    cubic_y: torch.Tensor | None = None
    quartic: torch.Tensor | None = None
    diagonal: bool = False

    @classmethod
    def from_rows(
        cls,
        x: Array,
        y: Array | None = None,
        *,
        diagonal: bool = False,
        dtype: torch.dtype | None = None,
    ) -> CoMoments:
        """Moments of x with y, or of x with itself when y is None; see `update`."""
        return cls(diagonal=diagonal).update(x, y, dtype=dtype)

    def update(
        self, x: Array, y: Array | None = None, *, dtype: torch.dtype | None = None
    ) -> CoMoments:
        """Add a batch in place and return self.

        Parameters
        ----------
        x, y : (..., n_samples, n_features)
            Row k of both is the same sentence. Without y, x is paired with itself.
        dtype : torch dtype to accumulate in; None is float64.

        Raises
        ------
        ValueError : a value is not finite, the rows of x and y do not pair up, or the batch does
            not fit what was seen before.
        """
        if y is None:
            x = y = validation.rows("x", x, min_samples=1, batched=True, dtype=dtype)
        else:
            same = self.diagonal
            x, y = validation.pair(
                x, y, same_features=same, min_samples=1, batched=True, dtype=dtype
            )
        for left, right in centred(x, y, self.diagonal):
            self.add(products(left, right))
        return self

    def add(self, other: CoMoments) -> None:
        """`merge` in place."""
        vars(self).update(vars(self + other))

    def merge(self, other: CoMoments) -> CoMoments:
        """Moments of both streams together (Chan, Golub & LeVeque 1983); neither is changed.

        Raises
        ------
        ValueError : the two differ in features, leading dimensions or in being diagonal.
        """
        if self.diagonal != other.diagonal:
            raise ValueError(f"other: expected diagonal={self.diagonal}, got {other.diagonal}")
        if other.n == 0 or self.n == 0:
            return self if other.n == 0 else other
        if self.s.shape != other.s.shape:
            raise ValueError(
                f"other: expected sums of shape {tuple(self.s.shape)}, got {tuple(other.s.shape)}"
            )
        n = self.n + other.n
        # Both are moved to the common mean by the difference of the means, never by the means
        # themselves: that is what keeps the digits when the mean is 10 000 standard deviations.
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        a = self._about(-dx * (other.n / n), -dy * (other.n / n))
        b = other._about(dx * (self.n / n), dy * (self.n / n))
        sums = {name: a[name] + b[name] for name in a}
        mean_x, mean_y = self.mean_x + dx * (other.n / n), self.mean_y + dy * (other.n / n)
        return CoMoments(n=n, mean_x=mean_x, mean_y=mean_y, diagonal=self.diagonal, **sums)

    __add__ = merge

    def _about(self, dx: torch.Tensor, dy: torch.Tensor) -> dict[str, torch.Tensor]:
        """The sums of x + dx and y + dy, exact because the centred x and y each sum to zero."""
        n, s = self.n, self.s
        if self.diagonal:
            return {"s": s + n * dx * dy}
        sums = {"s": s + n * dx.unsqueeze(-1) * dy.unsqueeze(-2)}
        dx2, dy2 = (dx * dx).sum(-1), (dy * dy).sum(-1)
        sums["spread_x"], sums["spread_y"] = self.spread_x + n * dx2, self.spread_y + n * dy2
        s_dy = (s @ dy.unsqueeze(-1)).squeeze(-1)
        s_dx = (s.mT @ dx.unsqueeze(-1)).squeeze(-1)
        px, py = self.spread_x.unsqueeze(-1), self.spread_y.unsqueeze(-1)
        sums["cubic_x"] = self.cubic_x + py * dx + 2 * s_dy + n * dy2.unsqueeze(-1) * dx
        sums["cubic_y"] = self.cubic_y + px * dy + 2 * s_dx + n * dx2.unsqueeze(-1) * dy
        sums["quartic"] = (
            self.quartic
            + 2 * (dx * self.cubic_x).sum(-1)
            + 2 * (dy * self.cubic_y).sum(-1)
            + dy2 * self.spread_x
            + dx2 * self.spread_y
            + 4 * (dx * s_dy).sum(-1)
            + n * dx2 * dy2
        )
        return sums

    def __getitem__(self, index: Any) -> CoMoments:
        """The moments of one entry (one layer, say) of the first leading dimension."""
        if self.n == 0 or self.mean_x.ndim < 2:
            raise ValueError("moments: expected a leading dimension to index, got none")
        tensors = {k: v[index] for k, v in self.state().items() if v.ndim}
        return CoMoments(n=self.n, diagonal=self.diagonal, **tensors)

    def state(self) -> dict[str, torch.Tensor]:
        """Plain tensors (n and diagonal too), to save or to send to another rank; see `from_state`."""
        import torch

        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: torch.as_tensor(v) for k, v in values.items() if v is not None}

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> CoMoments:
        """The object whose `state` this is."""
        plain = {"n": int(state["n"]), "diagonal": bool(state["diagonal"])}
        return cls(**{**state, **plain})


class _Centred(NamedTuple):
    """A chunk of one stream: its mean, the centred rows and (for full moments) their squared norms."""

    mean: torch.Tensor
    rows: torch.Tensor
    norms: torch.Tensor | None


def centred(
    x: torch.Tensor, y: torch.Tensor, diagonal: bool
) -> Iterator[tuple[_Centred, _Centred]]:
    """Chunks of two streams, each with its mean taken out; one object if the streams are one."""
    size = _CHUNK_DIAGONAL if diagonal else _CHUNK

    def centre(stream: torch.Tensor, start: int) -> _Centred:
        chunk = stream[..., start : start + size, :]
        mean = chunk.mean(dim=-2)
        rows = chunk - mean.unsqueeze(-2)
        return _Centred(mean, rows, None if diagonal else (rows * rows).sum(dim=-1))

    for start in range(0, x.shape[-2], size):
        left = centre(x, start)
        yield left, left if x is y else centre(y, start)


def products(x: _Centred, y: _Centred) -> CoMoments:
    """The moments of one chunk."""
    n = x.rows.shape[-2]
    if x.norms is None:
        return CoMoments(n, x.mean, y.mean, (x.rows * y.rows).sum(dim=-2), diagonal=True)
    return CoMoments(
        n,
        x.mean,
        y.mean,
        s=x.rows.mT @ y.rows,
        spread_x=x.norms.sum(-1),
        spread_y=y.norms.sum(-1),
        cubic_x=(y.norms.unsqueeze(-2) @ x.rows).squeeze(-2),
        cubic_y=(x.norms.unsqueeze(-2) @ y.rows).squeeze(-2),
        quartic=(x.norms * y.norms).sum(-1),
    )


def dead_neurons(moments: CoMoments) -> torch.Tensor:
    """Which neurons of x are constant, from the moments of x with itself: bool (..., d).

    A spread below the rounding of the neuron's mean counts as none.
    """
    import torch

    spread = moments.s if moments.diagonal else moments.s.diagonal(dim1=-2, dim2=-1)
    rounding = 64 * torch.finfo(spread.dtype).eps * moments.mean_x.abs()
    return spread <= moments.n * rounding.square()
