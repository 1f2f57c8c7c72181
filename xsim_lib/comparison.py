"""`compare`: one pass of a model over parallel text, every index at every layer, with its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial as bind
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from xsim_lib import similarity
from xsim_lib.models import LoadedModel, untrained
from xsim_lib.moments import CoMoments, Moments, partial
from xsim_lib.representations import encode
from xsim_lib.resampling import jackknife, shuffled
from xsim_lib.sources import split_pair
from xsim_lib.texts import ParallelCorpus, covariates

__all__ = ["BASELINES", "INDICES", "compare"]

# Functions of the moments of a pair; each gives one value per layer.
_OF_MOMENTS: dict[str, Callable[[Moments], Any]] = {
    "anc": similarity.anc_from_moments,
    "anc_signed": bind(similarity.anc_from_moments, signed=True),
    "cka": similarity.linear_cka_from_moments,
    "cka_debiased": bind(similarity.linear_cka_from_moments, debiased=True),
    "cca": similarity.cca_from_moments,
    "svcca": similarity.svcca_from_moments,
    "pwcca": similarity.pwcca_from_moments,
    "procrustes": similarity.procrustes_distance_from_moments,
}
# Functions of the rows themselves, which are then kept until the end.
_OF_ROWS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "matching": similarity.matching_accuracy,
    "matching_centred": bind(similarity.matching_accuracy, centre="language"),
}
INDICES = (*_OF_MOMENTS, *_OF_ROWS)
BASELINES = ("shuffled", "length_matched", "untrained")
CHUNK = 2048  # sentences held at once; shuffled pairs are exchanged within a chunk
# Debiased CKA needs sums of fourth order, which regression on covariates does not leave behind.
_NOT_PARTIAL = ("cka_debiased", *_OF_ROWS)


@dataclass
class _Sums:
    """Moments of one pair, per block of sentences; the self-moments are shared between pairs."""

    xx: list[CoMoments]
    yy: list[CoMoments]
    xy: list[CoMoments]

    def blocks(self) -> list[Moments]:
        return [
            Moments(*parts) for parts in zip(self.xx, self.yy, self.xy, strict=True) if parts[0].n
        ]

    def total(self) -> Moments:
        first, *rest = self.blocks()
        for block in rest:
            first = first + block
        return first


@dataclass
class _Collector:
    """Moments of all pairs of one model, filled chunk by chunk."""

    blocks: int
    own: dict[tuple, list[CoMoments]] = field(default_factory=dict)
    cross: dict[tuple, list[CoMoments]] = field(default_factory=dict)

    def add(self, table: dict, key: tuple, x: Tensor, y: Tensor | None = None) -> None:
        sums = table.setdefault(key, [CoMoments() for _ in range(self.blocks)])
        for block, rows in enumerate(_blocks(x.shape[1], self.blocks)):
            if len(rows):
                sums[block].update(x[:, rows], None if y is None else y[:, rows])

    def sums(self, x: tuple, y: tuple, kind: str) -> _Sums:
        # A shuffled partner has the same sentences, hence the same moments, as a whole; only per
        # block would they differ, and baselines are reported without intervals.
        return _Sums(self.own[x], self.own[y], self.cross[(x, y, kind)])


def compare(
    loaded: LoadedModel,
    parallel: Mapping[str, ParallelCorpus],
    *,
    indices: Sequence[str] = ("anc", "cka"),
    baselines: Sequence[str] = BASELINES,
    partial_out: bool = False,
    pooling: str = "mean",
    blocks: int = 20,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure how similar two languages are to one model, layer by layer.

    Each language is read once. Only moments are kept (and, for matching, the pooled vectors), so
    memory does not grow with the number of sentences.

    Parameters
    ----------
    loaded : LoadedModel
    parallel : mapping of a pair such as ``"en-fr"`` to its aligned sentences.
    indices : any of `INDICES`.
    baselines : any of `BASELINES`. "shuffled" pairs every sentence with another one,
        "length_matched" with another one of (nearly) the same number of words, "untrained" measures
        a freshly initialised copy of the model on the right pairs.
    partial_out : also give every index after regressing sentence length, punctuation and digits of
        both languages out of both sides (variant "partial").
    pooling : see `encode`.
    blocks : sentences are dealt into this many blocks for the jackknife interval.
    seed : of the shuffles and of the untrained copy.

    Returns
    -------
    DataFrame with columns pair_or_language, layer, n_layers, metric, value, lower, upper (95 %), n,
    baseline ("" for the measurement itself), variant. Ready for `Run.record`.

    Raises
    ------
    ValueError : an unknown index or baseline, a pair whose corpus lacks a language, fewer sentences
        than two blocks need, or anything `encode` refuses.
    """
    _check(indices, "indices", INDICES)
    _check(baselines, "baselines", BASELINES)
    shuffles = [b for b in BASELINES[:2] if b in baselines]
    arguments = {"indices": indices, "partial_out": partial_out, "pooling": pooling}
    rows = list(_measure(loaded, parallel, shuffles, blocks, seed, progress, **arguments))
    if "untrained" in baselines:
        fresh = untrained(loaded, seed)
        for row in _measure(fresh, parallel, [], blocks, seed, progress, **arguments):
            rows.append({**row, "baseline": "untrained"})
    return pd.DataFrame(rows)


def _measure(
    loaded: LoadedModel,
    parallel: Mapping[str, ParallelCorpus],
    shuffles: list[str],
    blocks: int,
    seed: int,
    progress: bool,
    *,
    indices: Sequence[str],
    partial_out: bool,
    pooling: str,
) -> Iterator[dict]:
    of_moments = [i for i in indices if i in _OF_MOMENTS]
    of_rows = [i for i in indices if i in _OF_ROWS]
    collectors = {"": _Collector(blocks)} if of_moments else {}
    if partial_out:
        collectors["partial"] = _Collector(blocks)
    kept: dict[tuple, list[Tensor]] = {}
    sides = {pair: _sides(pair, corpus) for pair, corpus in parallel.items()}
    longest = max(len(corpus) for corpus in parallel.values())
    if longest < 2 * blocks:
        raise ValueError(f"parallel: expected at least {2 * blocks} sentences, got {longest}")
    starts = tqdm(
        range(0, longest, CHUNK), desc=loaded.name, unit="chunk", disable=not progress, leave=False
    )
    for start in starts:
        seen: dict[tuple, tuple[Tensor, Tensor]] = {}
        for x, y in sides.values():
            for side in (x, y):
                lines = side[1][start : start + CHUNK]
                if side in seen or not lines:
                    continue
                vectors = encode(loaded, lines, pooling=pooling)
                extra = torch.as_tensor(covariates(lines), device=vectors.device)
                seen[side] = vectors, extra
                if of_rows:
                    kept.setdefault(side, []).append(vectors)
                for variant, collector in collectors.items():
                    collector.add(collector.own, side, _columns(vectors, extra, variant))
        for x, y in sides.values():
            if x not in seen or not collectors:
                continue
            orders = {"": np.arange(len(seen[x][1]))}
            for kind in shuffles:
                groups = seen[y][1][:, 0].cpu() if kind == "length_matched" else None
                orders[kind] = shuffled(len(seen[y][1]), seed + start, groups)
            for variant, collector in collectors.items():
                left, right = (_columns(*seen[s], variant) for s in (x, y))
                for kind, order in orders.items():
                    collector.add(collector.cross, (x, y, kind), left, right[:, order])
    for pair, (x, y) in sides.items():
        base = {"pair_or_language": pair, "n": len(parallel[pair])}
        for variant, collector in collectors.items():
            for kind in ("", *shuffles):
                sums = collector.sums(x, y, kind)
                for metric in of_moments:
                    if variant and metric in _NOT_PARTIAL:
                        continue
                    yield from _rows(metric, sums, base, kind, variant, x, y)
        for metric in of_rows:
            left, right = (torch.cat(kept[side], dim=1) for side in (x, y))
            orders = {"": np.arange(left.shape[1])}
            if "shuffled" in shuffles:
                orders["shuffled"] = shuffled(left.shape[1], seed)
            for kind, order in orders.items():
                values = [_OF_ROWS[metric](a, b[order]) for a, b in zip(left, right, strict=True)]
                yield from _layers(values, None, metric, base | {"baseline": kind, "variant": ""})


def _rows(
    metric: str, sums: _Sums, base: dict, kind: str, variant: str, x: tuple, y: tuple
) -> Iterator[dict]:
    width = covariates(("x",)).shape[1]
    index = _OF_MOMENTS[metric]
    function = (lambda m: index(partial(m, width))) if variant else index
    row = base | {"baseline": kind, "variant": variant}
    if kind:
        yield from _layers(np.atleast_1d(function(sums.total())), None, metric, row)
        return
    interval = jackknife(function, sums.blocks())
    ends = np.stack([np.atleast_1d(interval.lower), np.atleast_1d(interval.upper)])
    yield from _layers(np.atleast_1d(interval.estimate), ends, metric, row)


def _layers(
    values: Sequence[float], ends: np.ndarray | None, metric: str, row: dict
) -> Iterator[dict]:
    for layer, value in enumerate(values):
        lower, upper = (None, None) if ends is None else ends[:, layer]
        yield row | {
            "layer": layer,
            "n_layers": len(values) - 1,
            "metric": metric,
            "value": float(value),
            "lower": lower,
            "upper": upper,
        }


def _columns(vectors: Tensor, extra: Tensor, variant: str) -> Tensor:
    """The vectors of every layer in float64, with the covariates as last columns for "partial"."""
    vectors = vectors.double()
    if variant != "partial":
        return vectors
    return torch.cat([vectors, extra.expand(len(vectors), -1, -1)], dim=-1)


def _blocks(n: int, blocks: int) -> list[np.ndarray]:
    """Deal n sentences into blocks like cards, so that a corpus sorted by topic does no harm."""
    return [np.arange(start, n, blocks) for start in range(blocks)]


def _sides(pair: str, corpus: ParallelCorpus) -> tuple[tuple, tuple]:
    x, y = split_pair(pair)
    return (x, corpus[x]), (y, corpus[y])


def _check(given: Sequence[str], name: str, known: Sequence[str]) -> None:
    if isinstance(given, str):
        raise ValueError(f"{name}: expected a list of names, got the string {given!r}")
    for item in given:
        if item not in known:
            raise ValueError(f"{name}: expected any of {', '.join(known)}; got {item!r}")
