"""What the pages of emerging2020 fine-tune, and where it is tested: settings in, labelled text out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from xsim_lib.papers.emerging2020.rotation_settings import Joining
from xsim_lib.papers.emerging2020.settings import Emerging2020Settings
from xsim_lib.tasks.transfer import Task
from xsim_lib.text.sources import Source, split_pair
from xsim_lib.text.types import Classification, Treebank

__all__ = ["joined_task", "pair_task"]


def pair_task(settings: Emerging2020Settings, name: str, pair: str, seed: int) -> Task:
    """What a run with `seed` fine-tunes in the first language of a pair, and where it is tested.

    Raises
    ------
    ValueError : a task that this profile does not have, or not in both languages.
    """
    if name not in settings.tasks:
        raise ValueError(f"task: expected one of {', '.join(settings.tasks)}; got {name!r}")
    if name not in settings.tasks_of(pair):
        raise ValueError(f"pair: {name} cannot be tested in both languages of {pair!r}")
    source, target = split_pair(pair)
    own = settings.classification if name == "nli" else settings.transfer
    training = own.settings if name == "nli" else getattr(own, name)
    return Task(
        name,
        training.model_copy(update={"seed": seed}),
        _labelled(settings, name, source, "train"),
        {language: _labelled(settings, name, language, "test") for language in (source, target)},
    )


def joined_task(
    joining: Joining, name: str, source: Source, languages: Sequence[str], seed: int
) -> Task:
    """What a run with `seed` learns in the first language and is tried on in those that have a test.

    Raises
    ------
    ValueError : the first language has no annotated sentences to train on.
    """
    tested = source.annotated(name, "test")
    return Task(
        name,
        getattr(joining, name).model_copy(update={"seed": seed}),
        source.treebank(languages[0], joining.train, "train", name),
        {
            language: source.treebank(language, joining.test, "test", name)
            for language in languages
            if language in tested
        },
    )


def _labelled(
    settings: Emerging2020Settings, task: str, language: str, split: Literal["train", "test"]
) -> Classification | Treebank:
    if task == "nli":
        return settings.source.classification(
            language, getattr(settings.classification, split), split
        )
    return settings.source.treebank(language, getattr(settings.transfer, split), split, task)
