"""Transfer: what is learned in one language is read in others, whatever is learned.

A task is fitted on labelled text of its source and scored on that of other languages: ``fit`` takes an encoder and
gives it a trained head, ``score`` says how well that reads a language, ``predict`` is its own. A fine-tuned model
and its scores are kept (`evidence.cache`) under everything that decides them: weights, the tokenizer's rules, text,
settings. So pages that need the same one train it once, and a page that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from xsim_lib.evidence import cache
from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.tasks.bilstm import BiLSTM
from xsim_lib.tasks.classifier import Classifier, ClassifierSettings
from xsim_lib.tasks.finetuning import evaluate_classifier, finetune_classifier
from xsim_lib.tasks.parsing import Parser, ParserSettings, evaluate_parser, finetune_parser
from xsim_lib.tasks.shares import Score
from xsim_lib.tasks.tagging import Tagger, TaggerSettings, evaluate_tagger, finetune_tagger
from xsim_lib.text.types import Classification, Treebank

__all__ = ["MEAN", "METRICS", "Task", "fine_tuned", "own_scores", "scores"]

MEAN = "X"  # the mean over all targets but the source
_POINTS = 100  # the papers print scores as 90.0


class _Kind(NamedTuple):
    metric: str  # the score that tables show
    fit: Callable[..., Classifier | Parser | Tagger]
    score: Callable[..., Mapping[str, Score]]


_KINDS = {
    "nli": _Kind("accuracy", finetune_classifier, lambda *a: {"accuracy": evaluate_classifier(*a)}),
    "parsing": _Kind("las", finetune_parser, evaluate_parser),
    "pos": _Kind("accuracy", partial(finetune_tagger, task="pos"), lambda *a: {"accuracy": evaluate_tagger(*a)}),
    "ner": _Kind("f1", partial(finetune_tagger, task="ner"), lambda *a: {"f1": evaluate_tagger(*a)}),
}  # fmt: skip
METRICS = {name: kind.metric for name, kind in _KINDS.items()}


@dataclass(frozen=True)
class Task:
    """What is learned, in which language, and where it is tried.

    Attributes
    ----------
    name : "nli", "parsing", "pos" or "ner".
    settings : of the fine-tuning; its seed is that of the run.
    train : labelled text of the source language.
    tests : labelled text per language, the source among them.

    Raises
    ------
    ValueError : another task, text that is labelled for another one, or no test in the language of `train`.
    """

    name: str
    settings: ClassifierSettings | ParserSettings | TaggerSettings
    train: Classification | Treebank
    tests: Mapping[str, Classification | Treebank]

    def __post_init__(self) -> None:
        if self.name not in METRICS:
            raise ValueError(f"name: expected {', '.join(METRICS)}; got {self.name!r}")
        kind = Classification if self.name == "nli" else Treebank
        for name, text in (("train", self.train), *self.tests.items()):
            if not isinstance(text, kind):
                where = name if name == "train" else f"tests, {name}"
                raise ValueError(
                    f"{where}: {self.name} expected a {kind.__name__}, got a {type(text).__name__}"
                )
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

    def fit(
        self,
        encoder: LoadedModel | BiLSTM,
        *,
        frozen: Sequence[str] = (),
        directory: Path | None = None,
        progress: bool = True,
    ) -> Classifier | Parser | Tagger:
        """Train a copy of an encoder, with a new head, on `train`; see `finetune_classifier` and its siblings.

        Raises
        ------
        ValueError : a BiLSTM for "nli", which reads words and no sentences; and what these refuse.
        """
        if self.name == "nli" and isinstance(encoder, BiLSTM):
            raise ValueError("encoder: nli expected a transformer, got a BiLSTM, which reads words")
        options = {"frozen": frozen, "directory": directory, "progress": progress}
        return _KINDS[self.name].fit(encoder, self.train, self.settings, **options)

    def score(self, model: Classifier | Parser | Tagger, language: str) -> list[dict]:
        """How well a fitted model reads one of the languages of `tests`: one row per metric.

        Returns
        -------
        pair_or_language ("en-fr"), task, metric, value, lower, upper in points (0-100), n (items, words or
        entities). Intervals (95 %) are over sentences.
        """
        return [
            {
                "pair_or_language": f"{self.source}-{language}",
                "task": self.name,
                "metric": metric,
                **{end: _POINTS * getattr(score, end) for end in ("value", "lower", "upper")},
                "n": score.n,
            }
            for metric, score in _KINDS[self.name].score(model, self.tests[language]).items()
        ]


def fine_tuned(
    loaded: LoadedModel | BiLSTM, task: Task, *, progress: bool = True
) -> Classifier | Parser | Tagger:
    """Fine-tune a copy of a model for a task, or fetch it from the cache folder.

    Raises
    ------
    ValueError : see `Task.fit`.
    """
    folder = cache.cached_folder(
        "finetuned",
        _key(loaded, task),
        lambda new: task.fit(loaded, directory=new, progress=progress),
    )
    return task.fit(loaded, directory=folder, progress=progress)  # finds it there


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

    def measure() -> list[dict]:
        model = (
            fine_tuned(loaded, task, progress=progress)
            if keep
            else task.fit(loaded, progress=progress)
        )
        return [row for language in task.tests for row in task.score(model, language)]

    key = {**_key(loaded, task), "tests": task.test_hash}
    found = pd.DataFrame(cache.cached_rows("scores", key, measure))
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


def _key(loaded: LoadedModel | BiLSTM, task: Task) -> dict:
    """Everything that decides the fine-tuned model but the code."""
    model = loaded if isinstance(loaded, BiLSTM) else loaded.model
    return {
        "model": model_hash(loaded),
        "train": task.train_hash,
        "task": task.name,
        "settings": task.settings,
        "torch": torch.__version__,
        "device": model.device.type,
    }


def _means(found: pd.DataFrame, source: str) -> pd.DataFrame:
    others = found[found["pair_or_language"] != f"{source}-{source}"]
    means = others.groupby(["task", "metric"], sort=False, as_index=False).agg(
        {"value": "mean", "lower": "mean", "upper": "mean", "n": "sum"}
    )
    return means.assign(pair_or_language=f"{source}-{MEAN}")
