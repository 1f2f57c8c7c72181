"""What the pages of align2021 fine-tune, and where it is tested: settings in, labelled text out."""

from __future__ import annotations

from xsim_lib.papers.align2021.settings import Align2021Settings
from xsim_lib.papers.align2021.unseen import Unseen
from xsim_lib.tasks.bilstm import BiLSTM
from xsim_lib.tasks.transfer import Task

__all__ = ["transfer_task", "unseen_task", "untrained_bilstm"]


def transfer_task(
    settings: Align2021Settings, name: str, source: str, seed: int, *, scaling: bool = False
) -> Task:
    """What a run with `seed` fine-tunes for a task in a source language, and where it is tested.

    Parameters
    ----------
    scaling : with the settings of the models of growing size.

    Raises
    ------
    ValueError : a task or a source language that this profile does not have.
    """
    if name not in settings.tasks:
        raise ValueError(f"task: expected one of {', '.join(settings.tasks)}; got {name!r}")
    known = settings.source.annotated(name, "train")
    if source not in known:
        raise ValueError(f"source: {name} can be learned in {', '.join(known)}; got {source!r}")
    chosen = settings.scaling if scaling else settings.transfer
    targets = settings.tested(name, scaling=scaling)
    tests = {x: settings.source.treebank(x, chosen.test, "test", name) for x in targets}
    return Task(
        name,
        getattr(chosen, name).model_copy(update={"seed": seed}),
        settings.source.treebank(source, chosen.train, "train", name),
        tests,
    )


def unseen_task(
    unseen: Unseen,
    name: str,
    language: str,
    seed: int,
    *,
    romanised: bool = False,
    bilstm: bool = False,
) -> Task:
    """Fine-tuning on the language's own treebank, and its test sentences.

    Parameters
    ----------
    name : "parsing" or "pos".
    romanised : the words in Latin letters.
    bilstm : with the settings of that baseline.

    Raises
    ------
    ValueError : another task, or a language without a treebank.
    """
    if name not in ("parsing", "pos"):
        raise ValueError(f"name: expected parsing or pos, got {name!r}")
    settings = getattr(unseen, name)
    changes = (unseen.bilstm if bilstm else {}) | {"seed": seed}
    source = unseen.text_of(language, romanised)
    return Task(
        name,
        type(settings)(**settings.model_dump() | changes),
        source.treebank(language, unseen.train, "train", name),
        {language: source.treebank(language, unseen.test, "test", name)},
    )


def untrained_bilstm(task: Task) -> BiLSTM:
    """Return an untrained BiLSTM that knows the words of the task's treebank."""
    sentences = [[token.form for token in s.tokens] for s in task.train.sentences]
    return BiLSTM(sentences, seed=task.settings.seed)
