"""What the chapter of align2021 sets beyond the shared fields: tasks, treebanks, fine-tuning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from xsim_lib.papers.align2021.unseen import Unseen
from xsim_lib.study.settings import PaperSettings, Strict
from xsim_lib.tasks.parsing import ParserSettings
from xsim_lib.tasks.tagging import TaggerSettings

__all__ = ["Align2021Settings", "TransferSettings"]


class TransferSettings(Strict):
    """Fine-tuning in a source language and reading in others.

    Attributes
    ----------
    targets : languages of the models' training text; "X" is the mean over those that are not the
        source.
    train, test : sentences per language, at most.
    parsing, pos, ner : how each task is fine-tuned.
    """

    targets: tuple[str, ...] = Field(min_length=2)
    train: int = Field(gt=1)
    test: int = Field(gt=1)
    parsing: ParserSettings
    pos: TaggerSettings
    ner: TaggerSettings


class Align2021Settings(PaperSettings):
    """One profile of the chapter.

    Attributes
    ----------
    sources : languages to fine-tune in. A live build takes English only; recorded runs take all three
        of the paper's RANDOM-INIT table where there are treebanks to train on.
    tasks : what is fine-tuned.
    transfer : treebanks and fine-tuning.
    scaling : the same for the models of growing size, which are more and trained for less time.
    unseen : languages without a model, on their own small treebanks.
    """

    sources: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[Literal["parsing", "pos", "ner"], ...] = Field(min_length=1)
    transfer: TransferSettings
    scaling: TransferSettings
    unseen: Unseen

    @model_validator(mode="after")
    def _annotated(self) -> Align2021Settings:
        for task in self.tasks:
            train, test = (self.source.annotated(task, split) for split in ("train", "test"))
            for split, wanted, known in (
                ("train", self.sources, train),
                ("test", self.sources, test),
                ("test", () if task == "ner" else self.transfer.targets, test),
            ):
                for language in wanted:
                    if language not in known:
                        raise ValueError(
                            f"sources, targets: {task} has {split} sentences in "
                            f"{', '.join(known) or 'no language'}; got {language!r}"
                        )
        return self

    def tested(self, task: str, *, scaling: bool = False) -> tuple[str, ...]:
        """The targets that are annotated for a task (corpora of entities are few)."""
        known = self.source.annotated(task, "test")
        chosen = self.scaling if scaling else self.transfer
        return tuple(language for language in chosen.targets if language in known)
