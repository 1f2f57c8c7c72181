"""RBF CKA over layers as in align2021, with baselines, and what its authors' batches do to it.

Unlike the indices of `comparison`, this one is no function of moments: it needs the vectors of both
sides at once, and for every pair of languages two kernel matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from xsim_lib.indices.cka import rbf_cka
from xsim_lib.indices.intervals import jackknife_interval, shuffled
from xsim_lib.models.encoder import LoadedModel, untrained
from xsim_lib.reading.sentences import encode
from xsim_lib.text.types import ParallelCorpus, count_words

__all__ = ["authors_batches", "in_batches", "rbf_rows", "separate_batches"]

_METRICS = {"cka_rbf": False, "cka_rbf_debiased": True}
_BASELINES = ("shuffled", "length_matched", "untrained")


def rbf_rows(
    loaded: LoadedModel,
    parallel: Mapping[str, ParallelCorpus],
    *,
    baselines: Sequence[str] = _BASELINES,
    blocks: int = 10,
    seed: int = 0,
    truncate: int | None = None,
) -> pd.DataFrame:
    """RBF CKA, biased as the authors' and unbiased, of every pair at every layer.

    Parameters
    ----------
    loaded, parallel, seed, truncate : as in `comparison.compare`.
    baselines : any of shuffled, length_matched, untrained, as in `comparison.compare`.
    blocks : sentences are dealt into this many blocks for the jackknife interval; below 2 gives none.

    Returns
    -------
    DataFrame with the columns of `comparison.compare`; metrics "cka_rbf" and "cka_rbf_debiased".

    Raises
    ------
    ValueError : an unknown baseline, or anything `encode` and `rbf_cka` refuse.
    """
    for name in baselines:
        if name not in _BASELINES:
            raise ValueError(f"baselines: expected any of {', '.join(_BASELINES)}; got {name!r}")
    rows = list(_passes(loaded, parallel, baselines, blocks, seed, truncate))
    if "untrained" in baselines:
        fresh = untrained(loaded, seed)
        rows += [
            {**row, "baseline": "untrained"}
            for row in _passes(fresh, parallel, (), blocks, seed, truncate)
        ]
    return pd.DataFrame(rows)


def in_batches(
    x: Tensor, y: Tensor, batches: Sequence[np.ndarray], *, debiased: bool = False
) -> np.ndarray:
    """RBF CKA of every batch of aligned rows (n_samples, n_features): (n_batches,)."""
    return np.array([rbf_cka(x[rows], y[rows], debiased=debiased) for rows in batches])


def authors_batches(size: int, count: int = 4) -> list[np.ndarray]:
    """Batches that begin at sentence 0, 1, 2, ...: ``size + count - 1`` different ones in all.

    So the authors' code cuts them. Their spread says how much one sentence in `size` matters, not how
    much the sample does.
    """
    return [np.arange(start, start + size) for start in range(count)]


def separate_batches(size: int, count: int = 4) -> list[np.ndarray]:
    """As many batches of the same size, without a sentence in common."""
    return [np.arange(start, start + size) for start in range(0, size * count, size)]


def _passes(
    loaded: LoadedModel,
    parallel: Mapping[str, ParallelCorpus],
    baselines: Sequence[str],
    blocks: int,
    seed: int,
    truncate: int | None,
) -> Iterator[dict]:
    known: dict[tuple, Tensor] = {}
    for pair, corpus in parallel.items():
        sides = []
        for language in pair.split("-"):
            text = corpus[language]
            if text not in known:
                known[text] = encode(loaded, text, truncate=truncate)
            sides.append(known[text])
        x, y = sides
        n, last = x.shape[1], len(x) - 1
        lengths = [count_words(line) for line in corpus[pair.split("-")[0]]]
        orders = {
            "shuffled": shuffled(n, seed),
            "length_matched": shuffled(n, seed, lengths),
        }
        rest = [np.flatnonzero(np.arange(n) % blocks != k) for k in range(blocks)]
        sizes = [n - len(kept) for kept in rest]
        for layer in range(last + 1):
            a, b = x[layer], y[layer]
            place = {"pair_or_language": pair, "layer": layer, "n_layers": last, "n": n}
            for metric, debiased in _METRICS.items():
                value = rbf_cka(a, b, debiased=debiased)
                row = {**place, "metric": metric, "value": value, "variant": ""}
                ends = {"lower": None, "upper": None}
                if blocks > 1:
                    left_out = in_batches(a, b, rest, debiased=debiased)
                    _, lower, upper = jackknife_interval([value, *left_out], sizes)
                    ends = {"lower": lower, "upper": upper}
                yield {**row, **ends, "baseline": ""}
                for kind in baselines:
                    if kind in orders:
                        other = rbf_cka(a, b[orders[kind]], debiased=debiased)
                        yield {
                            **row,
                            "lower": None,
                            "upper": None,
                            "value": other,
                            "baseline": kind,
                        }
