"""What the pages on joined models share: words in folds, and CKA of two encoders (Figures 4 and 7)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from torch import Tensor

from xsim_lib.indices.cka import linear_cka_from_moments
from xsim_lib.indices.intervals import jackknife, shuffled
from xsim_lib.indices.moments import Moments
from xsim_lib.papers.emerging2020.rotations import WordVectors, word_translation
from xsim_lib.text.sources import Source, split_pair
from xsim_lib.text.types import BilingualDictionary

__all__ = ["Parts", "between", "dictionary_parts", "translated"]

Parts = list[tuple[BilingualDictionary, BilingualDictionary]]

_BLOCKS = 20  # of sentences, for the jackknife
_INDICES = {"cka": False, "cka_debiased": True}


def dictionary_parts(source: Source, pair: str, folds: int | None) -> Parts:
    """Parts of a dictionary to fit a rotation on and to test it on, without a word in common.

    Parameters
    ----------
    folds : every translation is tested in one of so many parts, and fits the rotation of the others;
        words that are linked by translations stay together. None: the dictionary's own two parts.

    Raises
    ------
    ValueError : no such pair, or fewer groups of linked words than folds.
    """
    one, two = split_pair(pair)
    if folds is None:
        return [(source.dictionary(one, two, "train"), source.dictionary(one, two, "test"))]
    import networkx

    whole = source.dictionary(one, two)
    graph = networkx.Graph(((0, a), (1, b)) for a, b in whole.pairs)
    fold = {
        node: number % folds
        for number, group in enumerate(networkx.connected_components(graph))
        for node in group
    }
    parts = []
    for k in range(folds):
        rows = {
            tested: tuple(p for p in whole.pairs if (fold[0, p[0]] == k) == tested)
            for tested in (False, True)
        }
        if not (rows[False] and rows[True]):
            raise ValueError(f"folds: expected fewer, {pair} has no word for part {k} of {folds}")
        parts.append((replace(whole, pairs=rows[False]), replace(whole, pairs=rows[True])))
    return parts


def translated(
    one: WordVectors,
    two: WordVectors,
    parts: Parts,
    *,
    baselines: Sequence[str] = ("unmapped", "shuffled"),
    seed: int = 0,
) -> pd.DataFrame:
    r"""Word translation by CSLS over all parts of a dictionary, every part with a rotation of its own.

    .. math:: p = \sum_k \tfrac{n_k}{n} p_k, \qquad h = \sqrt{\sum_k (\tfrac{n_k}{n} h_k)^2}

    with p_k the precision on the n_k words of part k and h_k the distance to an end of its interval:
    the parts are different words.

    Parameters
    ----------
    one, two, baselines, seed : as in `rotations.word_translation`.

    Returns
    -------
    DataFrame as of `rotations.word_translation`; n is the number of words of all parts.

    Raises
    ------
    ValueError : as `rotations.word_translation`; the first part that it refuses decides.
    """
    options = {"baselines": baselines, "seed": seed}
    found = pd.concat([word_translation(one, two, *part, **options) for part in parts])
    rows = []
    for key, part in found.groupby(["layer", "metric", "baseline", "variant"], sort=False):
        weight = part["n"] / part["n"].sum()
        value = float((weight * part["value"]).sum())
        ends = {
            end: value + sign * math.hypot(*(weight * (part[end] - part["value"])))
            for end, sign in (("lower", -1), ("upper", 1))
        }
        key = dict(zip(["layer", "metric", "baseline", "variant"], key, strict=True))
        rows.append({**key, "value": value, **ends, "n": int(part["n"].sum())})
    return pd.DataFrame(rows)


def between(
    x: Tensor, y: Tensor, *, lengths: Sequence[int] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Linear CKA of the same sentences in two encoders at every layer, with its floor.

    Parameters
    ----------
    x, y : (n_layers + 1, n_sentences, n_features)
        Row k of both is the same sentence.
    lengths : (n_sentences,) number of words; also pairs every sentence with another of (nearly) that
        length.
    seed : of the shuffling.

    Returns
    -------
    DataFrame: layer, n_layers, metric ("cka", "cka_debiased"), value in [0, 1] (debiased: [-1, 1]),
        lower, upper (95 %, jackknife over blocks of sentences), n, baseline ("", "shuffled",
        "length_matched").

    Raises
    ------
    ValueError : shapes differ, or fewer than 40 sentences.

    References
    ----------
    Wu, Conneau et al. (2020), section 5.2; Kornblith et al. (2019).
    """
    n, last = x.shape[1], len(x) - 1
    if n < 2 * _BLOCKS:
        raise ValueError(f"x: expected at least {2 * _BLOCKS} sentences for intervals, got {n}")
    blocks = [
        Moments.from_rows(x[:, rows], y[:, rows]) for rows in np.array_split(np.arange(n), _BLOCKS)
    ]
    orders = {"shuffled": shuffled(n, seed)}
    if lengths is not None:
        orders["length_matched"] = shuffled(n, seed, lengths)
    floors = {kind: Moments.from_rows(x, y[:, order]) for kind, order in orders.items()}
    rows = []
    for metric, debiased in _INDICES.items():

        def index(moments: Moments, debiased: bool = debiased) -> np.ndarray:
            return np.asarray(linear_cka_from_moments(moments, debiased=debiased))

        measured = jackknife(index, blocks)
        curves = {"": measured} | {kind: (index(m), None, None) for kind, m in floors.items()}
        for baseline, (value, lower, upper) in curves.items():
            for layer in range(last + 1):
                ends = (None, None) if lower is None else (lower[layer], upper[layer])
                row = {"layer": layer, "n_layers": last, "metric": metric, "n": n}
                row |= {"value": float(value[layer]), "lower": ends[0], "upper": ends[1]}
                rows.append(row | {"baseline": baseline})
    return pd.DataFrame(rows)
