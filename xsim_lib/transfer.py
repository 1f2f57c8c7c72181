"""Fine-tune in one language, read in others: what several pages of align2021 share.

A fine-tuned model and its scores are kept under a name made of everything that decides them (weights,
treebanks, settings, code). So pages that need the same one train it once, and a page that was killed
goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from scipy.stats import rankdata

from xsim_lib import paths
from xsim_lib.bilstm import BiLSTM
from xsim_lib.fitting import weights_hash
from xsim_lib.hashing import atomic_write, code_hash, stable_hash
from xsim_lib.models import LoadedModel
from xsim_lib.parsing import Parser, ParserSettings, evaluate_parser, finetune_parser
from xsim_lib.random_init import layer_list, reinitialise
from xsim_lib.resampling import Interval
from xsim_lib.tagging import Tagger, TaggerSettings, evaluate_tagger, finetune_tagger
from xsim_lib.texts import Treebank

__all__ = [
    "MEAN",
    "METRICS",
    "Task",
    "category",
    "changes",
    "fine_tuned",
    "gaps",
    "layer_pairs",
    "own_scores",
    "rank_correlation",
    "reset",
    "scores",
]

MEAN = "X"  # the mean over all targets but the source
METRICS = {"parsing": "las", "pos": "accuracy", "ner": "f1"}
_POINTS = 100  # the slides print scores as 90.0
_RESET = 1000  # no model starts from these seeds: the layers must not get their own weights back
_CODE = tuple(
    f"xsim_lib.{name}"
    for name in (
        *("attachment", "batching", "fitting", "models", "parsing", "scores", "spans", "tagging"),
        *("trees", "words", "wordtask"),
    )
)


@dataclass(frozen=True)
class Task:
    """What is learned, in which language, and where it is tried.

    Attributes
    ----------
    name : "parsing", "pos" or "ner".
    settings : of the fine-tuning; its seed is that of the run.
    train : sentences of the source language.
    tests : sentences per language, the source among them.
    """

    name: str
    settings: ParserSettings | TaggerSettings
    train: Treebank
    tests: Mapping[str, Treebank]

    def __post_init__(self) -> None:
        if self.name not in METRICS:
            raise ValueError(f"name: expected {', '.join(METRICS)}; got {self.name!r}")
        if self.source not in self.tests:
            raise ValueError(
                f"tests: expected the source {self.source!r} among {', '.join(self.tests)}"
            )

    @property
    def source(self) -> str:
        return self.train.language

    @property
    def metric(self) -> str:
        """The score that tables show: LAS, accuracy or span F1."""
        return METRICS[self.name]

    @cached_property
    def train_hash(self) -> str:
        return stable_hash(self.train)

    @cached_property
    def test_hash(self) -> str:
        return stable_hash(dict(self.tests))


def fine_tuned(
    loaded: LoadedModel | BiLSTM, task: Task, *, progress: bool = True
) -> Parser | Tagger:
    """Fine-tune a copy of a model for a task, or fetch it from the cache folder.

    Raises
    ------
    ValueError : see `finetune_parser`, `finetune_tagger`.
    """
    folder = _folder(loaded, task)
    with FileLock(folder / "lock"):
        return _fit(loaded, task, folder / "model", progress)


def scores(
    loaded: LoadedModel | BiLSTM, task: Task, *, keep: bool = True, progress: bool = True
) -> pd.DataFrame:
    """Fine-tune a copy of a model and score it in every language, once.

    Parameters
    ----------
    keep : also keep the fine-tuned model. RANDOM-INIT makes many that nobody asks for again.

    Returns
    -------
    DataFrame, ready for `Run.record`: pair_or_language ("en-fr"), task, metric, value, lower, upper
        in points (0-100), n (words or entities). The pair "en-X" is the mean over the other languages.

    Notes
    -----
    Intervals are over sentences. Those of the mean are the means of the languages' ends: right if
    all languages err on the same sentences, too wide if they do not.
    """
    folder = _folder(loaded, task)
    file = folder / f"scores.{task.test_hash[:16]}.json"
    with FileLock(folder / "lock"):
        if not file.is_file():
            model = _fit(loaded, task, folder / "model" if keep else None, progress)
            rows = [
                row
                for language, bank in task.tests.items()
                for row in _read(model, task, language, bank)
            ]
            with atomic_write(file) as temporary:
                temporary.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    found = pd.DataFrame(json.loads(file.read_text(encoding="utf-8")))
    return pd.concat([found, _means(found, task.source)], ignore_index=True)


def own_scores(loaded: LoadedModel | BiLSTM, task: Task, *, progress: bool = True) -> pd.DataFrame:
    """Fine-tune a copy of a model on a language's own treebank and score it there: one row per metric.

    Returns
    -------
    DataFrame as of `scores`, with the language ("ug") instead of a pair. The fine-tuned model is not
    kept.
    """
    found = scores(loaded, task, keep=False, progress=progress)
    own = found[found["pair_or_language"] == f"{task.source}-{task.source}"]
    return own.assign(pair_or_language=task.source)


def reset(
    loaded: LoadedModel, layers: tuple[int, int], *, initialisation: str = "bert", seed: int
) -> LoadedModel:
    """RANDOM-INIT of layers first..last, counted from 1 as in the paper's table."""
    first, last = layers
    return reinitialise(
        loaded, range(first - 1, last), initialisation=initialisation, seed=_RESET + seed
    )


def layer_pairs(loaded: LoadedModel) -> dict[str, tuple[int, int]]:
    """Neighbouring layers two by two, by name: ``{"layers 1-2": (1, 2), ...}``.

    Raises
    ------
    ValueError : fewer than two layers, or an odd number of them.
    """
    n_layers = len(layer_list(loaded)[1])
    if n_layers < 2 or n_layers % 2:
        raise ValueError(f"loaded: expected an even number of layers, got {n_layers}")
    return {f"layers {k}-{k + 1}": (k, k + 1) for k in range(1, n_layers, 2)}


def changes(after: pd.DataFrame, before: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows ``delta_METRIC``: score `after` minus `before`, pair by pair.

    The interval takes the two scores as independent. They are of the same sentences, so it is
    rather too wide.
    """
    one, two = (
        frame[frame["metric"] == metric].set_index("pair_or_language") for frame in (after, before)
    )
    return _difference(one, two.loc[one.index], f"delta_{metric}")


def gaps(found: pd.DataFrame, metric: str, source: str) -> pd.DataFrame:
    """Rows ``gap_METRIC`` of every target: its score minus that of the source language.

    The sign is that of the slides' positive correlations: a gap is negative, and the closer to zero
    the better the transfer. (As source minus target, every correlation would change its sign.)
    """
    table = found[found["metric"] == metric].set_index("pair_or_language")
    targets = [p for p in table.index if p not in (f"{source}-{source}", f"{source}-{MEAN}")]
    own = table.loc[[f"{source}-{source}"] * len(targets)].set_axis(targets)
    return _difference(table.loc[targets], own, f"gap_{metric}")


def rank_correlation(
    one: Sequence[float] | np.ndarray,
    two: Sequence[float] | np.ndarray,
    *,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Spearman's rank correlation with a percentile bootstrap over the items (languages).

    .. math:: \rho = \operatorname{corr}(\operatorname{rank} x, \operatorname{rank} y)

    Parameters
    ----------
    one, two : (n_items,)
        At least 4; ties get their mean rank.

    Returns
    -------
    Interval of floats in [-1, 1]. Where one side does not vary there is no correlation: 0, and the
    interval is everything, -1 to 1. Draws in which a side does not vary are left out.

    Raises
    ------
    ValueError : shapes differ, fewer than 4 items, or a value is not finite.
    """
    x, y = (np.asarray(side, dtype=np.float64) for side in (one, two))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 4:
        raise ValueError(
            f"one, two: expected two equal rows of 4 or more, got {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("one, two: expected finite numbers")
    draws = np.random.default_rng(seed).integers(0, len(x), (n_resamples, len(x)))
    (whole,) = _spearman(x[None], y[None])
    if np.isnan(whole):
        return Interval(0.0, -1.0, 1.0)
    drawn = _spearman(x[draws], y[draws])
    lower, upper = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float(whole), float(lower), float(upper))


def _spearman(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of every row; nan where one does not vary."""
    a, b = (rankdata(side, axis=1) for side in (x, y))
    a, b = (side - side.mean(1, keepdims=True) for side in (a, b))
    scale = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.where(scale > 0, (a * b).sum(1) / np.where(scale > 0, scale, 1), np.nan)


def category(multilingual: float, adapted: float, baseline: float) -> str:
    """Call an unseen language "easy", "intermediate" or "hard" by three scores on its own treebank.

    Parameters
    ----------
    multilingual, adapted : of the multilingual model as it is, and after training on raw text.
    baseline : of a model that was trained on nothing but the treebank.
    """
    if multilingual >= baseline:
        return "easy"
    return "intermediate" if adapted >= baseline else "hard"


def _folder(loaded: LoadedModel | BiLSTM, task: Task) -> Path:
    bilstm = isinstance(loaded, BiLSTM)
    model = loaded if bilstm else loaded.model
    vocabulary = (loaded.words, loaded.letters) if bilstm else loaded.tokenizer.get_vocab()
    key = {
        "weights": weights_hash(model),
        "tokenizer": stable_hash(vocabulary),
        "train": task.train_hash,
        "task": task.name,
        "settings": task.settings,
        "code": code_hash(*_CODE),
        "torch": torch.__version__,
        "device": model.device.type,
    }
    folder = paths.cache_dir() / "finetuned" / stable_hash(key)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fit(
    loaded: LoadedModel | BiLSTM, task: Task, directory: Path | None, progress: bool
) -> Parser | Tagger:
    options = {"directory": directory, "progress": progress}
    if task.name == "parsing":
        return finetune_parser(loaded, task.train, task.settings, **options)
    return finetune_tagger(loaded, task.train, task.settings, task=task.name, **options)


def _read(model: Parser | Tagger, task: Task, language: str, bank: Treebank) -> list[dict]:
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


def _means(found: pd.DataFrame, source: str) -> pd.DataFrame:
    others = found[found["pair_or_language"] != f"{source}-{source}"]
    means = others.groupby(["task", "metric"], sort=False, as_index=False).agg(
        {"value": "mean", "lower": "mean", "upper": "mean", "n": "sum"}
    )
    return means.assign(pair_or_language=f"{source}-{MEAN}")


def _difference(one: pd.DataFrame, two: pd.DataFrame, metric: str) -> pd.DataFrame:
    value = one["value"] - two["value"]
    below, above = (
        np.hypot(one["value"] - one["lower"], two["upper"] - two["value"]),
        np.hypot(one["upper"] - one["value"], two["value"] - two["lower"]),
    )
    columns = {"value": value, "lower": value - below, "upper": value + above, "n": one["n"]}
    return pd.DataFrame(columns).assign(task=one["task"], metric=metric).reset_index()
