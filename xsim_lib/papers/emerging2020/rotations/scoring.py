"""How well one rotation joins two models: tables of word translation and sentence retrieval.

Both come with the controls that say what a number is worth: no rotation ("unmapped"), and a rotation
fitted on shuffled pairs ("shuffled"). An untrained encoder is measured by calling these with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xsim_lib.indices import matching_accuracy, validation
from xsim_lib.indices.intervals import share_interval
from xsim_lib.papers.emerging2020.rotations.maps import Alignment, align, retrieve
from xsim_lib.papers.emerging2020.rotations.vectors import WordVectors
from xsim_lib.text.types import BilingualDictionary

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array

__all__ = ["BASELINES", "sentence_retrieval", "word_translation"]

BASELINES = ("unmapped", "shuffled")


def word_translation(
    one: WordVectors,
    two: WordVectors,
    train: BilingualDictionary,
    test: BilingualDictionary,
    *,
    at: Sequence[int] = (1, 5, 10),
    method: str = "csls",
    neighbours: int = 10,
    baselines: Sequence[str] = BASELINES,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit a rotation on some translations and look up others, in both directions.

    Parameters
    ----------
    one, two : words of the source and of the target language; both with as many layers and features.
        All of them are candidates.
    train : translations the rotation is fitted on.
    test : translations that are looked up. Words of `train` do not count as source words here.
    at : a translation counts if it is among so many words found.
    method, neighbours : see `retrieve`.
    baselines : some of "unmapped" and "shuffled"; the measurement itself is always there.
    seed : of the shuffling.

    Returns
    -------
    DataFrame: layer, metric ("precision_at_1", ...), value, lower, upper (95 %, over words), n (words
        looked up), baseline, variant ("" for source to target, "reverse"). `attrs["n_train"]` is the
        number of pairs the rotation was fitted on.

    Raises
    ------
    ValueError : layers or features differ, or too few translations are among the words.

    References
    ----------
    Wu, Conneau et al. (2020), section 5.1.1.
    """
    _check_baselines(baselines)
    if one.vectors.shape[::2] != two.vectors.shape[::2]:
        raise ValueError(
            f"two: expected {one.vectors.shape[0]} layers of {one.vectors.shape[2]} features like "
            f"one, got {two.vectors.shape[0]} of {two.vectors.shape[2]}"
        )
    known = _numbers(one.words), _numbers(two.words)
    fitted = _rows(train, *known)
    if not len(fitted):
        raise ValueError("train: expected translations among the words of both sides, got none")
    gold = {}
    for variant, side in (("", 0), ("reverse", 1)):
        trained = {known[side].get(pair[side]) for pair in train.pairs}
        wanted: dict[int, set[int]] = {}
        for row in _rows(test, *known).tolist():
            if row[side] not in trained:
                wanted.setdefault(row[side], set()).add(row[1 - side])
        if len(wanted) < 2:
            raise ValueError(
                f"test: expected at least 2 words that have vectors and are not in train, "
                f"got {len(wanted)} ({variant or 'source to target'})"
            )
        gold[variant] = wanted
    rows = []
    for layer in range(len(one.vectors)):
        x, y = one.vectors[layer], two.vectors[layer]
        for baseline, a, b in _mapped(x, y, fitted, baselines, seed):
            for variant, sides in (("", (a, b)), ("reverse", (b, a))):
                wanted = gold[variant]
                found = retrieve(
                    *sides, queries=list(wanted), method=method, neighbours=neighbours, at=max(at)
                )
                for k in at:
                    hits = [
                        bool(set(f[:k]) & g)
                        for f, g in zip(found.tolist(), wanted.values(), strict=True)
                    ]
                    rows.append(
                        {"layer": layer, "metric": f"precision_at_{k}", **_share(hits)}
                        | {"baseline": baseline, "variant": variant}
                    )
    table = pd.DataFrame(rows)
    table.attrs["n_train"] = len(fitted)
    return table


def sentence_retrieval(
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    *,
    baselines: Sequence[str] = BASELINES,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit a rotation on some parallel sentences and find the translations of others by cosine.

    Parameters
    ----------
    train : two (n_layers, n_train, n_features): row k of both is the same sentence, pooled.
        With about as many sentences as features or more, a rotation can align the sentences' lengths
        and function words well enough for an *untrained* encoder to succeed. Take few, and show that
        encoder beside the trained one.
    test : two (n_layers, n_test, n_features), other sentences; not used to normalise.
    baselines, seed : as in `word_translation`.

    Returns
    -------
    DataFrame: layer, metric "retrieval", value, lower, upper (95 %, over sentences), n, baseline,
        variant ("" for source to target, "reverse"). Chance is 1 / n_test.

    Raises
    ------
    ValueError : shapes differ, or as `align`.

    References
    ----------
    Wu, Conneau et al. (2020), section 5.1.3; `similarity.matching_accuracy` finds the neighbours.
    """
    _check_baselines(baselines)
    checked = {}
    for name, sides in (("train", train), ("test", test)):
        checked[name] = validation.pair(*sides, same_features=True, batched=True)
    if checked["train"][0].shape[::2] != checked["test"][0].shape[::2]:
        raise ValueError(
            f"test: expected layers and features as in train {tuple(checked['train'][0].shape)}, "
            f"got {tuple(checked['test'][0].shape)}"
        )
    rows = []
    for layer, (x, y, a, b) in enumerate(zip(*checked["train"], *checked["test"], strict=True)):
        for baseline, one, two in _mapped(x, y, None, baselines, seed, a, b):
            for variant, reverse in (("", False), ("reverse", True)):
                hits = matching_accuracy(one, two, reverse=reverse, details=True)
                rows.append(
                    {"layer": layer, "metric": "retrieval", **_share(hits)}
                    | {"baseline": baseline, "variant": variant}
                )
    return pd.DataFrame(rows)


def _mapped(x, y, pairs, baselines: Sequence[str], seed: int, a=None, b=None):
    """Both sides in the common space of the measurement and of every baseline.

    The map is fitted on x and y and applied to a and b; to x and y themselves where these are None.
    """
    a, b = (x, y) if a is None else (a, b)
    fitted = align(x, y, pairs)
    yield "", fitted.map_source(a), fitted.map_target(b)
    if "unmapped" in baselines:
        yield "unmapped", fitted.source(a), fitted.target(b)
    if "shuffled" in baselines:
        rotation = align(x, y, pairs, shuffle=seed).rotation
        shuffled = Alignment(fitted.source, fitted.target, rotation)
        yield "shuffled", shuffled.map_source(a), shuffled.map_target(b)


def _rows(
    dictionary: BilingualDictionary, one: Mapping[str, int], two: Mapping[str, int]
) -> np.ndarray:
    """Translations of which both words have vectors, as row numbers (n_pairs, 2)."""
    found = [(one[a], two[b]) for a, b in dictionary.pairs if a in one and b in two]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _numbers(words: Sequence[str]) -> dict[str, int]:
    return {word: k for k, word in enumerate(words)}


def _share(hits: Sequence[bool] | np.ndarray) -> dict[str, float | int]:
    share = share_interval(int(np.sum(hits)), len(hits))
    return {"value": share.estimate, "lower": share.lower, "upper": share.upper, "n": len(hits)}


def _check_baselines(baselines: Sequence[str]) -> None:
    for name in baselines:
        validation.one_of("baselines", name, BASELINES)
