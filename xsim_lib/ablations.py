"""Zero-shot scores of a bilingual model, whatever its two languages share: Table 1 of emerging2020.

The first language's view of a model is fine-tuned with everything frozen that belongs to that language
alone. The second language is then read with its own parts and its own vocabulary. Scores are kept under a
name made of everything that decides them, so that a page that was killed goes on where it stopped.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor

from xsim_lib import paths
from xsim_lib.bilingual import in_language
from xsim_lib.classifier import Classifier, ClassifierSettings, encode, pad
from xsim_lib.finetuning import evaluate
from xsim_lib.fitting import fit, freeze, seeded, weights_hash
from xsim_lib.hashing import atomic_write, code_hash, stable_hash
from xsim_lib.models import LoadedModel, untrained
from xsim_lib.parsing import Parser, ParserSettings, evaluate_parser, finetune_parser
from xsim_lib.tagging import Tagger, TaggerSettings, evaluate_tagger, finetune_tagger
from xsim_lib.texts import Classification, Treebank

__all__ = ["METRICS", "Task", "fine_tuned", "scores", "sharing", "untrained_views"]

METRICS = {"nli": "accuracy", "ner": "f1", "parsing": "las"}
_POINTS = 100  # the paper prints scores as 73.6
_CODE = tuple(
    f"xsim_lib.{name}"
    for name in (
        *(
            "ablations",
            "attachment",
            "batching",
            "bilingual",
            "classifier",
            "finetuning",
            "fitting",
        ),
        *("models", "parsing", "resampling", "scores", "spans", "tagging", "trees", "words"),
        "wordtask",
    )
)


@dataclass(frozen=True)
class Task:
    """What is learned in the first language of a pair, and where it is tried.

    Attributes
    ----------
    name : "nli", "ner" or "parsing".
    settings : of the fine-tuning; its seed is that of the run.
    train : labelled text of the first language.
    tests : labelled text per language of the pair, the first one among them.

    Raises
    ------
    ValueError : another task, or no test in the language of `train`.
    """

    name: str
    settings: ClassifierSettings | TaggerSettings | ParserSettings
    train: Classification | Treebank
    tests: Mapping[str, Classification | Treebank]

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
        """The score that the table shows: accuracy, span F1 or LAS."""
        return METRICS[self.name]

    @cached_property
    def data_hash(self) -> str:
        return stable_hash({"train": self.train, "tests": dict(self.tests)})


def fine_tuned(
    loaded: LoadedModel, task: Task, *, progress: bool = True
) -> Classifier | Tagger | Parser:
    """Fine-tune a copy of one language's view; what is that language's own stays as it was.

    Raises
    ------
    ValueError : see `finetune_classifier`, `finetune_tagger`, `finetune_parser`.
    """
    frozen = loaded.model.language_specific
    if task.name == "nli":
        return _classifier(loaded, task, frozen, progress)
    options = {"frozen": frozen, "progress": progress}
    if task.name == "parsing":
        return finetune_parser(loaded, task.train, task.settings, **options)
    return finetune_tagger(loaded, task.train, task.settings, task="ner", **options)


def scores(views: Mapping[str, LoadedModel], task: Task, *, progress: bool = True) -> pd.DataFrame:
    """Fine-tune in the first language and score every language, once.

    Parameters
    ----------
    views : language -> the same pre-trained model as that language sees it (`Checkpoint.views`).

    Returns
    -------
    DataFrame, ready for `Run.record`: pair_or_language ("en-en", "en-fr"), task, metric, value, lower,
    upper in points (0-100), n (items, entities or words), and variant: "" but for "en-en", which every
    pair has; there "of en-fr" says whose it is. Intervals (95 %) are over the test items.

    Raises
    ------
    ValueError : a test in a language without a view.

    References
    ----------
    Wu, Conneau et al. (2020), sections 3.2 and 4.3.
    """
    missing = [language for language in task.tests if language not in views]
    if missing:
        raise ValueError(f"views: expected {', '.join(task.tests)}; got {', '.join(views)}")
    folder = paths.cache_dir() / "ablations" / stable_hash(_key(views, task))[:16]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scores.json"
    with FileLock(folder / "lock"):
        if not file.is_file():
            tuned = fine_tuned(views[task.source], task, progress=progress)
            rows = [
                _read(_seen_by(tuned, language, views, task), task, language, data)
                for language, data in task.tests.items()
            ]
            with atomic_write(file) as temporary:
                temporary.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    found = pd.DataFrame(json.loads(file.read_text(encoding="utf-8")))
    own = found["pair_or_language"] == f"{task.source}-{task.source}"
    others = found.loc[~own, "pair_or_language"].unique()
    return found.assign(variant=np.where(own, f"of {', '.join(others)}", ""))


def sharing(
    views: Mapping[str, LoadedModel], sentences: Mapping[str, Sequence[str]]
) -> dict[str, int | float]:
    """Count what the first language of a pair shares with the second.

    Parameters
    ----------
    views : two languages, each with the model as it sees it, from one call of `Checkpoint.views`.
    sentences : text of both, from which the sub-words in use are collected.

    Returns
    -------
    pieces : different sub-words in the first language's sentences. anchors : those of them that have
        the same embedding as a sub-word in the second language's. own layers : layers that the second
        language does not use. own : share of the first view's weights that the second does not use, in
        [0, 1] (of one embedding table, the rows of pieces are not told apart).

    Raises
    ------
    ValueError : not two languages, or sentences of others.
    """
    if len(views) != 2 or set(views) != set(sentences):
        raise ValueError(
            f"views, sentences: expected the same two languages, got {', '.join(views)} and "
            f"{', '.join(sentences)}"
        )
    one, two = views.values()
    first, second = (_pieces(view, sentences[language]) for language, view in views.items())
    theirs = {id(p) for p in two.model.parameters()}
    own = [p for p in one.model.parameters() if id(p) not in theirs]
    one_table = one.model.word_embeddings.weight is two.model.word_embeddings.weight
    return {
        "pieces": len(first),
        "anchors": len(first & second) if one_table else 0,
        "own layers": sum(id(next(x.parameters())) not in theirs for x in one.model.layers),
        "own": sum(p.numel() for p in own) / sum(p.numel() for p in one.model.parameters()),
    }


def untrained_views(views: Mapping[str, LoadedModel], seed: int) -> dict[str, LoadedModel]:
    """The same model before any training, seen by the same languages.

    Raises
    ------
    ValueError : a model with language-specific parts, whose first weights were drawn together.
    """
    for language, view in views.items():
        if view.model.language_specific:
            raise ValueError(
                f"views: expected a model without language-specific parts, got {language} with "
                f"{', '.join(view.model.language_specific)}"
            )
    first = untrained(next(iter(views.values())), seed)
    return {
        language: LoadedModel(first.name, first.model, view.tokenizer)
        for language, view in views.items()
    }


def _key(views: Mapping[str, LoadedModel], task: Task) -> dict:
    """Everything that decides the scores."""
    used = {language: views[language] for language in task.tests}
    return {
        "weights": {language: weights_hash(view.model) for language, view in used.items()},
        # Weights do not tell how many heads read them.
        "configs": {k: view.model.config.to_dict() for k, view in used.items()},
        "tokenizers": {k: stable_hash(view.tokenizer.get_vocab()) for k, view in used.items()},
        "own": views[task.source].model.language_specific,
        "task": task.name,
        "data": task.data_hash,
        "settings": task.settings,
        "code": _code(),
        "torch": torch.__version__,
        "device": views[task.source].model.device.type,
    }


def _pieces(view: LoadedModel, sentences: Sequence[str]) -> set[int]:
    """Ids in use, without the special ones."""
    encoded = view.tokenizer(list(sentences), add_special_tokens=False)["input_ids"]
    return {piece for row in encoded for piece in row} - set(view.tokenizer.all_special_ids)


@cache
def _code() -> str:
    """Read once: it takes longer than a cell at profile smoke."""
    return code_hash(*_CODE)


def _classifier(
    loaded: LoadedModel, task: Task, frozen: tuple[str, ...], progress: bool
) -> Classifier:
    """`finetuning.finetune_classifier` with frozen parts."""
    with seeded(task.settings.seed, loaded.model.device):
        encoder = copy.deepcopy(loaded.model.base_model).float().requires_grad_(True)
        freeze(encoder, frozen)
        classifier = Classifier(
            LoadedModel(loaded.name, encoder, loaded.tokenizer),
            task.settings,
            task.train.label_names,
            pairs=task.train.hypotheses is not None,
        )
        rows, classifier.truncated = encode(classifier, task.train)
        labels = torch.tensor(task.train.labels)

        def loss(chosen: np.ndarray) -> Tensor:
            found = classifier(**pad(classifier, [rows[k] for k in chosen]))
            return F.cross_entropy(found, labels[chosen].to(found.device))

        lengths = [len(row["input_ids"]) for row in rows]
        title = f"{task.source} nli"
        classifier.losses = fit(
            classifier, lengths, loss, task.settings, description=title, progress=progress
        )
    return classifier.eval()


def _seen_by(
    tuned: Classifier | Tagger | Parser, language: str, views: Mapping[str, LoadedModel], task: Task
) -> Classifier | Tagger | Parser:
    return tuned if language == task.source else in_language(tuned, views[language])


def _read(
    model: Classifier | Tagger | Parser, task: Task, language: str, data: Classification | Treebank
) -> dict:
    if task.name == "nli":
        found = evaluate(model, data)
        value = found.accuracy
    else:
        parsing = task.name == "parsing"
        found = evaluate_parser(model, data)["las"] if parsing else evaluate_tagger(model, data)
        value = found.value
    ends = {"value": value, "lower": found.lower, "upper": found.upper}
    return {
        "pair_or_language": f"{task.source}-{language}",
        "task": task.name,
        "metric": task.metric,
        **{name: _POINTS * number for name, number in ends.items()},
        "n": found.n,
    }
