"""Zero-shot scores of a bilingual model, whatever its two languages share: Table 1 of emerging2020.

The first language's view of a model is fine-tuned with everything frozen that belongs to that language
alone. The second language is then read with its own parts and its own vocabulary. Scores are kept under a
name made of everything that decides them, so that a page that was killed goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from xsim_lib.evidence import cache
from xsim_lib.models.bilingual import in_language
from xsim_lib.models.encoder import LoadedModel, untrained
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.tasks.classifier import Classifier
from xsim_lib.tasks.parsing import Parser
from xsim_lib.tasks.tagging import Tagger
from xsim_lib.tasks.transfer import Task

__all__ = [
    "Task",
    "bilingual_scores",
    "fine_tuned_bilingual",
    "sharing",
    "untrained_views",
]


def fine_tuned_bilingual(
    loaded: LoadedModel, task: Task, *, progress: bool = True
) -> Classifier | Tagger | Parser:
    """Fine-tune a copy of one language's view; what is that language's own stays as it was.

    Raises
    ------
    ValueError : see `Task.fit`.
    """
    return task.fit(loaded, frozen=loaded.model.language_specific, progress=progress)


def bilingual_scores(
    views: Mapping[str, LoadedModel], task: Task, *, progress: bool = True
) -> pd.DataFrame:
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

    def measure() -> list[dict]:
        tuned = fine_tuned_bilingual(views[task.source], task, progress=progress)
        return [
            row
            for language in task.tests
            for row in task.score(_seen_by(tuned, language, views, task), language)
            if row["metric"] == task.metric
        ]

    found = pd.DataFrame(cache.cached_rows("scores", _key(views, task), measure))
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
    """Everything that decides the scores but the code."""
    used = {language: views[language] for language in task.tests}
    return {
        "views": {language: model_hash(view) for language, view in used.items()},
        "own": views[task.source].model.language_specific,
        "task": task.name,
        "data": [task.train_hash, task.test_hash],
        "settings": task.settings,
        "torch": torch.__version__,
        "device": views[task.source].model.device.type,
    }


def _pieces(view: LoadedModel, sentences: Sequence[str]) -> set[int]:
    """Ids in use, without the special ones."""
    encoded = view.tokenizer(list(sentences), add_special_tokens=False)["input_ids"]
    return {piece for row in encoded for piece in row} - set(view.tokenizer.all_special_ids)


def _seen_by(
    tuned: Classifier | Tagger | Parser,
    language: str,
    views: Mapping[str, LoadedModel],
    task: Task,
) -> Classifier | Tagger | Parser:
    return tuned if language == task.source else in_language(tuned, views[language])
