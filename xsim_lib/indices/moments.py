r"""Mergeable one-pass moments of two aligned streams of representations.

Every second-order index (ANC, linear CKA, CCA, SVCCA, PWCCA, Procrustes) is a function of the means
and the centred sums of products. Batches, blocks and ranks each contribute a small object; adding
the objects gives what one pass over all rows would have given, in any order. Memory is
O(layers * d^2), whatever the number of sentences.

`CoMoments` holds the sums for one pair of streams (or one stream with itself); `Moments` bundles
the three of them an index needs. Accumulate `CoMoments` per language and per pair when several
pairs share a language, and bundle at the end: ``Moments(xx=of["en"], yy=of["fr"], xy=of["en-fr"])``;
`shared_moments` does so for arrays that are there as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xsim_lib.indices import validation
from xsim_lib.indices.comoments import CoMoments, collect, dead_neurons
from xsim_lib.indices.intervals import Interval, jackknife

if TYPE_CHECKING:
    import torch

    from xsim_lib.indices.validation import Array

__all__ = [
    "CoMoments",
    "Interval",
    "Moments",
    "constant_sides",
    "dead_neurons",
    "jackknife",
    "partial",
    "shared_moments",
]


@dataclass
class Moments:
    """What every second-order index of an aligned pair is a function of.

    Build it from rows (`from_rows`), in batches (``Moments.empty().update(x, y)``), by adding
    objects of other batches, blocks or ranks, or from three `CoMoments` accumulated elsewhere.

    Attributes
    ----------
    xx, yy, xy : CoMoments of x with itself, of y with itself, of x with y.
    n : number of samples.
    mean_x, mean_y : (..., d)
    sxx, syy, sxy : (..., d, d) centred sums of products; (..., d), their diagonals, if `diagonal`.

    Raises
    ------
    ValueError : the three did not see the same number of samples, features or layers.
    """

    xx: CoMoments
    yy: CoMoments
    xy: CoMoments

    def __post_init__(self) -> None:
        for name in ("yy", "xy"):
            part = getattr(self, name)
            if part.n != self.xx.n or part.diagonal != self.xx.diagonal:
                raise ValueError(
                    f"{name}: expected n={self.xx.n} and diagonal={self.xx.diagonal} like xx, "
                    f"got n={part.n} and diagonal={part.diagonal}"
                )
        if self.n:
            got, want = _shapes(self.xy), (_shapes(self.xx)[0], _shapes(self.yy)[0])
            if got != want:
                raise ValueError(f"xy: expected means of shapes {want} like xx and yy, got {got}")

    @classmethod
    def empty(cls, *, diagonal: bool = False) -> Moments:
        """No samples yet. `diagonal` keeps only what ANC needs: O(d) instead of O(d^2)."""
        return cls(*(CoMoments(diagonal=diagonal) for _ in range(3)))

    @classmethod
    def from_rows(
        cls,
        x: Array,
        y: Array,
        *,
        diagonal: bool = False,
        dtype: torch.dtype | None = None,
        fast: bool = False,
        min_samples: int = 1,
    ) -> Moments:
        """Moments of aligned rows; parameters and errors as `CoMoments.update`."""
        options = {"dtype": dtype, "fast": fast, "min_samples": min_samples}
        return cls.empty(diagonal=diagonal).update(x, y, **options)

    def update(
        self,
        x: Array,
        y: Array,
        *,
        dtype: torch.dtype | None = None,
        fast: bool = False,
        min_samples: int = 1,
    ) -> Moments:
        """Add a batch of aligned rows in place and return self; see `CoMoments.update`."""
        checks = {"same_features": self.diagonal, "min_samples": min_samples}
        streams = validation.pair(x, y, batched=True, convert=False, **checks)
        options = {"diagonal": self.diagonal, "dtype": dtype, "fast": fast}
        found = collect(streams, [(0, 0), (1, 1), (0, 1)], **options)
        for part, more in zip((self.xx, self.yy, self.xy), found, strict=True):
            part.add(more)
        return self

    def merge(self, other: Moments) -> Moments:
        """Moments of both streams together; neither is changed."""
        return Moments(self.xx + other.xx, self.yy + other.yy, self.xy + other.xy)

    __add__ = merge

    def __getitem__(self, index: Any) -> Moments:
        """The moments of one entry (one layer, say) of the first leading dimension."""
        return Moments(self.xx[index], self.yy[index], self.xy[index])

    n = property(lambda self: self.xx.n)
    diagonal = property(lambda self: self.xx.diagonal)
    mean_x = property(lambda self: self.xx.mean_x)
    mean_y = property(lambda self: self.yy.mean_x)
    sxx = property(lambda self: self.xx.s)
    syy = property(lambda self: self.yy.s)
    sxy = property(lambda self: self.xy.s)

    def require(self, *, min_samples: int = 2, full: bool = True, batched: bool = True) -> Moments:
        """Return self, or raise ValueError: too few samples, only diagonals kept, or several layers."""
        if self.n < min_samples:
            raise ValueError(f"moments: expected at least {min_samples} samples, got {self.n}")
        if full and self.diagonal:
            raise ValueError("moments: expected full sums of products, got diagonal=True")
        if not batched and self.mean_x.ndim > 1:
            lead = tuple(self.mean_x.shape[:-1])
            raise ValueError(
                f"moments: expected one pair, got leading dimensions {lead}; index them"
            )
        return self

    def state(self) -> dict[str, torch.Tensor]:
        """Plain tensors, named "xx.n" and so on, to save or to send to another rank."""
        parts = {"xx": self.xx, "yy": self.yy, "xy": self.xy}
        return {f"{p}.{k}": v for p, part in parts.items() for k, v in part.state().items()}

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> Moments:
        """The object whose `state` this is."""
        parts = {"xx": {}, "yy": {}, "xy": {}}
        for name, value in state.items():
            part, field = name.split(".")
            parts[part][field] = value
        return cls(**{p: CoMoments.from_state(s) for p, s in parts.items()})


def shared_moments(
    rows: Mapping[str, Array],
    pairs: Iterable[tuple[str, str]],
    *,
    diagonal: bool = False,
    dtype: torch.dtype | None = None,
    fast: bool = False,
) -> dict[tuple[str, str], Moments]:
    """Moments of many pairs of aligned representations that share languages.

    A language is centred and multiplied with itself once, not once per pair, and what an index works
    out from one language alone (the factorizations of CCA, say) is worked out once as well.

    Parameters
    ----------
    rows : name -> (..., n_samples, n_features)
        Row k of all of them is the same sentence; leading dimensions, if any, are layers.
    pairs : names of two of them each.
    diagonal : keep only what ANC needs.
    dtype, fast : as in `CoMoments.update`.

    Returns
    -------
    dict pair -> Moments, equal to ``Moments.from_rows(rows[x], rows[y])``. Moments of a language
    are one object in all its pairs: add further batches with ``+``, not in place.

    Raises
    ------
    ValueError : an unknown name, no pair, or what `Moments.from_rows` refuses.

    Examples
    --------
    >>> import numpy as np
    >>> from xsim_lib.indices import linear_cka_from_moments
    >>> en, fr, et = np.random.default_rng(0).normal(size=(3, 100, 4))
    >>> found = shared_moments({"en": en, "fr": fr, "et": et}, [("en", "fr"), ("en", "et")])
    >>> {pair: round(linear_cka_from_moments(m), 3) for pair, m in found.items()}
    {('en', 'fr'): 0.037, ('en', 'et'): 0.034}
    """
    pairs = list(dict.fromkeys(pairs))
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    if not pairs:
        raise ValueError("pairs: expected at least one, got none")
    for name in names:
        if name not in rows:
            raise ValueError(f"pairs: expected names among {', '.join(rows)}; got {name!r}")
    checks = {"min_samples": 1, "batched": True, "convert": False}
    streams = [validation.rows(name, rows[name], **checks) for name in names]
    for name, stream in zip(names, streams, strict=True):
        validation.aligned((names[0], streams[0]), (name, stream), same_features=diagonal)
    at = {name: k for k, name in enumerate(names)}
    wanted = [(k, k) for k in at.values()] + [(at[x], at[y]) for x, y in pairs]
    options = {"diagonal": diagonal, "dtype": dtype, "fast": fast}
    found = collect(streams, wanted, **options)
    return {
        (x, y): Moments(found[at[x]], found[at[y]], xy)
        for (x, y), xy in zip(pairs, found[len(names) :], strict=True)
    }


def partial(moments: Moments, k: int) -> Moments:
    r"""Regress the last `k` features of both sides out of the rest of both sides.

    .. math:: S_{xy \cdot z} = S_{xy} - S_{xz} S_{zz}^{+} S_{zy}, \qquad z = [z_x, z_y]

    and likewise for x with itself and y with itself (Frisch, Waugh & Lovell). Append covariates
    such as sentence length to the columns of both representations, collect moments as usual, and
    call this before the index: no second pass, and no regression per sentence.

    Parameters
    ----------
    moments : full moments of ``[features_x, z_x]`` and ``[features_y, z_y]``.
    k : number of covariates per side, at the end. Those of both languages act jointly on both.

    Returns
    -------
    Moments of the residuals. Their `n` is the degrees of freedom left (n minus the number of
    linearly independent covariates); do not add further batches to them. A neuron the covariates
    explain to 12 digits is dead afterwards. Debiased CKA is not available from the result (it needs
    the residuals' fourth-order sums): regress the rows and call `linear_cka` on them instead.

    Raises
    ------
    ValueError : diagonal moments, k out of range, or no degrees of freedom left.
    """
    import torch

    moments.require()
    size = min(moments.sxx.shape[-1], moments.syy.shape[-1])
    validation.number("k", k, low=1, high=size - 1, integer=True)
    sxx, syy, sxy = moments.sxx, moments.syy, moments.sxy
    xz = torch.cat([sxx[..., :-k, -k:], sxy[..., :-k, -k:]], dim=-1)
    yz = torch.cat([sxy.mT[..., :-k, -k:], syy[..., :-k, -k:]], dim=-1)
    zz = torch.cat(
        [
            torch.cat([sxx[..., -k:, -k:], sxy[..., -k:, -k:]], dim=-1),
            torch.cat([sxy.mT[..., -k:, -k:], syy[..., -k:, -k:]], dim=-1),
        ],
        dim=-2,
    )
    # Lengths of two languages are nearly collinear and digits often equal, so the inverse is a
    # pseudo-inverse, taken on correlations so that a covariate's unit of measurement is irrelevant.
    scale = zz.diagonal(dim1=-2, dim2=-1).sqrt()
    scale = scale.reciprocal().masked_fill(scale == 0, 0.0)
    correlations = scale.unsqueeze(-1) * zz * scale.unsqueeze(-2)
    rank = int(torch.linalg.matrix_rank(correlations, rtol=1e-10, hermitian=True).max())
    inverse = torch.linalg.pinv(correlations, rtol=1e-10, hermitian=True)
    inverse = scale.unsqueeze(-1) * inverse * scale.unsqueeze(-2)
    n = moments.n - rank
    if n < 2:
        raise ValueError(
            f"moments: expected more than {rank + 1} samples to regress {rank} covariates out, "
            f"got {moments.n}"
        )

    dead_x, rxx = _residual(sxx[..., :-k, :-k], xz @ inverse @ xz.mT)
    dead_y, ryy = _residual(syy[..., :-k, :-k], yz @ inverse @ yz.mT)
    rxy = sxy[..., :-k, :-k] - xz @ inverse @ yz.mT
    rxy = rxy.masked_fill(dead_x.unsqueeze(-1) | dead_y.unsqueeze(-2), 0.0)
    mean_x, mean_y = moments.mean_x[..., :-k], moments.mean_y[..., :-k]
    px, py = (r.diagonal(dim1=-2, dim2=-1).sum(-1) for r in (rxx, ryy))
    precision = {"resolution": moments.xy.resolution, "rounding": moments.xy.rounding}
    return Moments(
        xx=CoMoments(n, mean_x, mean_x, rxx, px, px, **precision),
        yy=CoMoments(n, mean_y, mean_y, ryy, py, py, **precision),
        xy=CoMoments(n, mean_x, mean_y, rxy, px, py, **precision),
    )


def _residual(total: torch.Tensor, explained: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is left of a sum of squares, with the neurons that have nothing left set to zero."""
    left = total - explained
    diagonal = total.diagonal(dim1=-2, dim2=-1)
    dead = left.diagonal(dim1=-2, dim2=-1) <= 1e-12 * diagonal
    return dead, left.masked_fill(dead.unsqueeze(-1) | dead.unsqueeze(-2), 0.0)


def _shapes(part: CoMoments) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(part.mean_x.shape), tuple(part.mean_y.shape)


def constant_sides(moments: Moments, index: str) -> dict[str, torch.Tensor]:
    """Why `index` is undefined -> where: a side all of whose neurons are constant."""
    return {
        f"{name}: all rows are equal, so {index} is undefined (0 / 0)": dead_neurons(side).all(-1)
        for name, side in (("x", moments.xx), ("y", moments.yy))
    }
