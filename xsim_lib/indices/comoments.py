"""The mergeable sums behind `moments`: what one pair of streams contributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from xsim_lib.indices import validation
from xsim_lib.indices.centred import Centred, Product, column_means

if TYPE_CHECKING:
    import torch

    from xsim_lib.indices.validation import Array

_PRECISION = ("resolution", "rounding")
# Rows handled at once. Adding a chunk rewrites a d x d matrix, so full moments need long chunks for
# matrix products to dominate; short chunks stay in the cache.
_CHUNK = 2048
_CHUNK_DIAGONAL = 512
_PANEL = (
    256  # columns; of a symmetric product only the panels on and above the diagonal are worked out
)


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
    what it takes to merge it. A diagonal object has only the means and the diagonal of s, and may
    know `norm2`, :math:`\|\sum \hat x_k \hat y_k^T\|_F^2`, of the whole. Leading dimensions (layers,
    say) are free.

    Two numbers tell which small directions are real (`xsim_lib.indices.canonical`): `resolution`, the relative
    spacing of the rows' own dtype, and `rounding`, that of the products.

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
    norm2: torch.Tensor | None = None
    diagonal: bool = False
    resolution: float = 0.0
    rounding: float = 0.0
    _known: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def from_rows(
        cls,
        x: Array,
        y: Array | None = None,
        *,
        diagonal: bool = False,
        dtype: torch.dtype | None = None,
        fast: bool = False,
    ) -> CoMoments:
        """Moments of x with y, or of x with itself when y is None; see `update`."""
        return cls(diagonal=diagonal).update(x, y, dtype=dtype, fast=fast)

    def update(
        self,
        x: Array,
        y: Array | None = None,
        *,
        dtype: torch.dtype | None = None,
        fast: bool = False,
    ) -> CoMoments:
        """Add a batch in place and return self.

        Parameters
        ----------
        x, y : (..., n_samples, n_features)
            Row k of both is the same sentence. Without y, x is paired with itself.
        dtype : torch dtype to accumulate in; None is float64.
        fast : multiply chunks of rows in float32 and add them up in `dtype`, in half the time. ANC,
            CKA and SVCCA keep about 7 digits; CCA and PWCCA refuse layers that need more.

        Raises
        ------
        ValueError : a value is not finite, the rows of x and y do not pair up, or the batch does
            not fit what was seen before.
        """
        options = {"min_samples": 1, "batched": True, "convert": False}
        if y is None:
            streams = [validation.rows("x", x, **options)]
        else:
            streams = list(validation.pair(x, y, same_features=self.diagonal, **options))
        pairs = [(0, len(streams) - 1)]
        (found,) = collect(streams, pairs, diagonal=self.diagonal, dtype=dtype, fast=fast)
        self.add(found)
        return self

    def add(self, other: CoMoments) -> None:
        """`merge` in place."""
        vars(self).update(vars(self + other))

    def known(self, name: str, work_out: Callable[[CoMoments], Any]) -> Any:
        """What `work_out` returns for this object, worked out once: pairs share it with a language."""
        if name not in self._known:
            self._known[name] = work_out(self)
        return self._known[name]

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
        return self._merged(other, into=None)

    __add__ = merge

    def _merged(self, other: CoMoments, into: torch.Tensor | None) -> CoMoments:
        """`merge` of two that are not empty; the sum of s is written to `into` (its own s, say)."""
        import torch

        if self.s.shape != other.s.shape:
            raise ValueError(
                f"other: expected sums of shape {tuple(self.s.shape)}, got {tuple(other.s.shape)}"
            )
        n = self.n + other.n
        # Both are moved to the common mean by the difference of the means, never by the means
        # themselves: that is what keeps the digits when the mean is 10 000 standard deviations.
        dx = other.mean_x - self.mean_x
        dy = dx if self._own and other._own else other.mean_y - self.mean_y
        a, b = -other.n / n, self.n / n
        sums = {}
        if not self.diagonal and self.quartic is not None and other.quartic is not None:
            moved, more = self._about(a, dx, dy), other._about(b, dx, dy)
            sums = {name: moved[name] + more[name] for name in moved}
        s = torch.add(self.s, other.s, out=into)
        left, right = (dx, dy) if self.diagonal else (dx.unsqueeze(-1), dy.unsqueeze(-2))
        s.addcmul_(left, right * (self.n * other.n / n))
        mean_x = self.mean_x - a * dx
        mean_y = mean_x if dy is dx else self.mean_y - a * dy
        precision = {k: max(getattr(self, k), getattr(other, k)) for k in _PRECISION}
        return CoMoments(n, mean_x, mean_y, s, diagonal=self.diagonal, **sums, **precision)

    @property
    def _own(self) -> bool:
        """Whether this is known to be a stream with itself."""
        return self.mean_x is self.mean_y

    def _about(self, step: float, dx: torch.Tensor, dy: torch.Tensor) -> dict[str, torch.Tensor]:
        """The sums but s of x + step dx and y + step dy, as the centred x and y each sum to zero."""
        n, s = self.n, self.s
        own = dx is dy
        dx = step * dx
        dy = dx if own else step * dy
        dx2, dy2 = (dx * dx).sum(-1), (dy * dy).sum(-1)
        s_dy = (s @ dy.unsqueeze(-1)).squeeze(-1)
        s_dx = s_dy if own else (s.mT @ dx.unsqueeze(-1)).squeeze(-1)
        px, py = self.spread_x.unsqueeze(-1), self.spread_y.unsqueeze(-1)
        return {
            "spread_x": self.spread_x + n * dx2,
            "spread_y": self.spread_y + n * dy2,
            "cubic_x": self.cubic_x + py * dx + 2 * s_dy + n * dy2.unsqueeze(-1) * dx,
            "cubic_y": self.cubic_y + px * dy + 2 * s_dx + n * dx2.unsqueeze(-1) * dy,
            "quartic": (
                self.quartic
                + 2 * (dx * self.cubic_x).sum(-1)
                + 2 * (dy * self.cubic_y).sum(-1)
                + dy2 * self.spread_x
                + dx2 * self.spread_y
                + 4 * (dx * s_dy).sum(-1)
                + n * dx2 * dy2
            ),
        }

    def diagonals(self) -> CoMoments:
        """What is left when only the diagonal of s is kept."""
        s = self.s if self.diagonal else self.s.diagonal(dim1=-2, dim2=-1).clone()
        precision = {k: getattr(self, k) for k in _PRECISION}
        return CoMoments(self.n, self.mean_x, self.mean_y, s, diagonal=True, **precision)

    def __getitem__(self, index: Any) -> CoMoments:
        """The moments of one entry (one layer, say) of the first leading dimension."""
        if self.n == 0 or self.mean_x.ndim < 2:
            raise ValueError("moments: expected a leading dimension to index, got none")
        state = self.state()
        tensors = {k: v[index] for k, v in state.items() if v.ndim}
        if self._own:
            tensors["mean_y"] = tensors["mean_x"]
        plain = {k: getattr(self, k) for k, v in state.items() if not v.ndim}
        return CoMoments(**plain, **tensors)

    def state(self) -> dict[str, torch.Tensor]:
        """Plain tensors (n and diagonal too), to save or to send to another rank; see `from_state`."""
        import torch

        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        return {k: torch.as_tensor(v) for k, v in values.items() if v is not None}

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> CoMoments:
        """The object whose `state` this is."""
        plain = {"n": int(state["n"]), "diagonal": bool(state["diagonal"])}
        plain |= {name: float(state[name]) for name in _PRECISION}
        return cls(**{**state, **plain})


def accumulated(found: CoMoments, more: CoMoments) -> CoMoments:
    """``found + more`` in the memory of `found`, which is not to be used any more."""
    return found._merged(more, into=found.s) if found.n and more.n else found + more


def total(parts: Iterable[CoMoments]) -> CoMoments:
    """The moments of all parts together, added in their order; no part is changed."""
    parts = [part for part in parts if part.n]
    found = sum(parts[1:2], parts[0])
    for part in parts[2:]:
        found = accumulated(found, part)
    return found


def collect(
    streams: Sequence[torch.Tensor],
    pairs: Sequence[tuple[int, int]],
    *,
    diagonal: bool = False,
    dtype: torch.dtype | None = None,
    fast: bool = False,
) -> list[CoMoments]:
    """Moments of some pairs of aligned streams, each chunk of a stream being centred once.

    Parameters
    ----------
    streams : (..., n_samples, n_features) each, validated.
    pairs : positions of two streams; (k, k) is stream k with itself.
    diagonal, dtype, fast : as `CoMoments.update`.
    """
    import torch

    size = _CHUNK_DIAGONAL if diagonal else _CHUNK
    # About the means of all rows, chunks simply add up.
    found = [Running() for _ in pairs]
    means = [column_means(stream, dtype or torch.float64) for stream in streams]
    options = {"diagonal": diagonal, "dtype": dtype, "fast": fast}
    for start in range(0, streams[0].shape[-2], size):
        chunks = [
            Centred.of(stream[..., start : start + size, :], mean, **options)
            for stream, mean in zip(streams, means, strict=True)
        ]
        for running, (i, j) in zip(found, pairs, strict=True):
            running.add(chunks[i], chunks[j])
    return [running.moments() for running in found]


def products(x: Centred, y: Centred) -> CoMoments:
    """The moments of one chunk."""
    running = Running()
    running.add(x, y)
    return running.moments()


class Running:
    """The moments of two streams whose chunks are centred on the same means."""

    def __init__(self) -> None:
        self._product, self._sums = Product(), {}

    def add(self, x: Centred, y: Centred) -> None:
        """Add a chunk of both."""
        import torch

        self._means = {"mean_x": x.mean, "mean_y": y.mean}
        self._precision = {
            "resolution": max(x.resolution, y.resolution),
            "rounding": torch.finfo(x.rows.dtype).eps,
        }
        more = {"n": x.rows.shape[-2]}
        if x.norms is None:
            more["s"] = (x.rows * y.rows).sum(dim=-2).to(x.mean.dtype)
        else:
            self._product.add(x, y)
            more["cubic_x"] = _weighted(x.rows, y.norms)
            more["cubic_y"] = more["cubic_x"] if x is y else _weighted(y.rows, x.norms)
            more["spread_x"], more["spread_y"] = x.norms.sum(-1), y.norms.sum(-1)
            more["quartic"] = (x.norms * y.norms).sum(-1)
        self._sums = {name: self._sums.get(name, 0) + value for name, value in more.items()}

    def moments(self) -> CoMoments:
        """All chunks together; after that none may be added."""
        found = {**self._means, **self._sums, **self._precision}
        if "s" in found:
            return CoMoments(**found, diagonal=True)
        return CoMoments(**found, s=self._product.total())


def _weighted(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (weights.to(rows.dtype).unsqueeze(-2) @ rows).squeeze(-2).to(weights.dtype)


def dead_neurons(moments: CoMoments) -> torch.Tensor:
    """Which neurons of x are constant, from the moments of x with itself: bool (..., d).

    A spread below the rounding of the neuron's mean counts as none.
    """
    import torch

    spread = moments.s if moments.diagonal else moments.s.diagonal(dim1=-2, dim2=-1)
    rounding = 64 * torch.finfo(spread.dtype).eps * moments.mean_x.abs()
    return spread <= moments.n * rounding.square()
