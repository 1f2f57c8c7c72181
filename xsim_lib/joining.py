"""What the pages on joined models share: words in folds, CKA of two encoders, transfer through a rotation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor

from xsim_lib import paths
from xsim_lib.aligned import AlignedSentence
from xsim_lib.alignment import (
    Alignment,
    WordVectors,
    align,
    aligned_states,
    word_translation,
)
from xsim_lib.bilingual import in_language
from xsim_lib.cka import linear_cka_from_moments
from xsim_lib.fitting import weights_hash
from xsim_lib.hashing import atomic_write, code_hash, stable_hash
from xsim_lib.loading import token_limit
from xsim_lib.models import LoadedModel
from xsim_lib.moments import Moments
from xsim_lib.parsing import Parser, evaluate_parser, finetune_parser
from xsim_lib.resampling import jackknife, shuffled
from xsim_lib.sources import Source, split_pair
from xsim_lib.tagging import Tagger, evaluate_tagger, finetune_tagger
from xsim_lib.texts import BilingualDictionary, Treebank
from xsim_lib.transfer import Task
from xsim_lib.words import encode_words

__all__ = ["Parts", "between", "dictionaries", "rotations", "transferred", "translated"]

Parts = list[tuple[BilingualDictionary, BilingualDictionary]]

_BLOCKS = 20  # of sentences, for the jackknife
_INDICES = {"cka": False, "cka_debiased": True}
_POINTS = 100  # scores of tasks are recorded as 90.0
_CODE = tuple(
    f"xsim_lib.{name}"
    for name in (
        *("alignment", "attachment", "batching", "bilingual", "fitting", "models", "parsing"),
        *("scores", "spans", "tagging", "trees", "words", "wordtask"),
    )
)


# ---------------------------------------------------------------- words
def dictionaries(source: Source, pair: str, folds: int | None) -> Parts:
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
    one, two, baselines, seed : as in `alignment.word_translation`.

    Returns
    -------
    DataFrame as of `alignment.word_translation`; n is the number of words of all parts.

    Raises
    ------
    ValueError : as `alignment.word_translation`; the first part that it refuses decides.
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


# ---------------------------------------------------------------- CKA of two encoders
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


# ---------------------------------------------------------------- transfer through a rotation
def rotations(
    source: LoadedModel,
    target: LoadedModel,
    sentences: Sequence[AlignedSentence],
    layers: Sequence[int],
    *,
    shuffle: int | None = None,
) -> dict[int, Alignment]:
    """Fit the rotation of every layer on words in context that are linked.

    All words of both sides normalise it, not only the linked ones. So the side of the target model
    does not depend on the other language, as long as its sentences are the same.

    Parameters
    ----------
    source, target : models of the second and of the first language of the sentences: it is the
        first one's space in which tasks are learned.
    sentences : words of the target model's language as `source`, as `aligned_words` gives them for a
        pair such as "en-fr".
    shuffle : as in `alignment.align`.

    Returns
    -------
    Layer -> Alignment from the space of `source` to that of `target`.

    Raises
    ------
    ValueError : no link, or anything that `alignment.align` refuses.
    """
    states, starts, known = [], [], []
    for model, side in ((target, "source"), (source, "target")):
        words, limit = [getattr(row, side) for row in sentences], token_limit(model)
        n_read = encode_words(model.tokenizer, words, limit).n_read
        every = [
            AlignedSentence(row, row, tuple((k, k) for k in range(n)))
            for row, n in zip(words, n_read, strict=True)
        ]
        states.append(aligned_states(model, model, every, layers=layers, max_length=limit)[0])
        starts.append(np.cumsum(n_read) - n_read)
        known.append(n_read)
    pairs = [
        (starts[1][row] + b, starts[0][row] + a)
        for row, sentence in enumerate(sentences)
        for a, b in sentence.links
        if a < known[0][row] and b < known[1][row]
    ]
    if not pairs:
        raise ValueError("sentences: expected some links between words, got none")
    return {
        layer: align(states[1][k], states[0][k], pairs, shuffle=shuffle)
        for k, layer in enumerate(layers)
    }


def transferred(
    learned: LoadedModel, read: Mapping[str, tuple[str, LoadedModel]], task: Task
) -> pd.DataFrame:
    """Train the new layers of a joined encoder in one language and read others, once.

    Scores are kept under names made of everything that decides them (weights, sentences, settings,
    code), so what was measured before is looked up, and a page that was killed goes on.

    Parameters
    ----------
    learned : encoder of the task's source language, made by `alignment.join`.
    read : label -> language, and its encoder joined in the same way.

    Returns
    -------
    DataFrame: label, pair_or_language ("en-fr"), task, metric ("las", "f1", "accuracy", ...), value,
        lower, upper in points (0-100), n.

    Raises
    ------
    ValueError : a language that the task has no test for; and see `finetune_parser`, `finetune_tagger`.
    """
    for label, (language, _) in read.items():
        if language not in task.tests:
            raise ValueError(f"read: {label}: {task.name} is tested in {', '.join(task.tests)}")
    about = {"task": task.name, "settings": task.settings, "train": task.train_hash}
    folder = paths.cache_dir() / "joined" / _key(learned, **about)
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        label: folder / f"{_key(view, test=task.tests[language])}.json"
        for label, (language, view) in read.items()
    }
    with FileLock(folder / "lock"):
        model = None
        for label, (language, view) in read.items():
            if files[label].is_file():
                continue
            if model is None:
                model = _learned(learned, task)
            bank = task.tests[language]
            rows = _scores(in_language(model, view), task, language, bank)
            with atomic_write(files[label]) as temporary:
                temporary.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return pd.DataFrame(
        [
            {"label": label, **row}
            for label, file in files.items()
            for row in json.loads(file.read_text(encoding="utf-8"))
        ]
    )


def _key(loaded: LoadedModel, **others: object) -> str:
    key = {
        "weights": weights_hash(loaded.model),
        "config": loaded.model.config.to_dict(),
        "tokenizer": stable_hash(loaded.tokenizer.get_vocab()),
        "code": code_hash(*_CODE, __name__),
        "torch": torch.__version__,
        "device": loaded.model.device.type,
        **others,
    }
    return stable_hash(key)[:16]


def _learned(loaded: LoadedModel, task: Task) -> Parser | Tagger:
    options = {"progress": False, "frozen": ("lower",)}
    if task.name == "parsing":
        return finetune_parser(loaded, task.train, task.settings, **options)
    return finetune_tagger(loaded, task.train, task.settings, task=task.name, **options)


def _scores(model: Parser | Tagger, task: Task, language: str, bank: Treebank) -> list[dict]:
    if task.name == "parsing":
        found = evaluate_parser(model, bank)
    else:
        found = {task.metric: evaluate_tagger(model, bank)}
    return [
        {
            "pair_or_language": f"{task.source}-{language}",
            "task": task.name,
            "metric": metric,
            **{end: _POINTS * getattr(score, end) for end in ("value", "lower", "upper")},
            "n": score.n,
        }
        for metric, score in found.items()
    ]
