"""Settings of the pages that join models of single languages by a rotation (Figures 4 to 8)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xsim_lib.study.settings import Strict
from xsim_lib.tasks.parsing import ParserSettings
from xsim_lib.tasks.tagging import TaggerSettings

__all__ = ["Joining"]


class Joining(Strict):
    """What the pages on monolingual models read and fine-tune.

    Attributes
    ----------
    words : sentences per language over which words in context are averaged, and counted for the
        baseline vectors.
    folds : parts of the dictionary that are tested in turn, each with a rotation fitted on the others;
        None takes the dictionary's own parts for training and for testing, once.
    sentences : of the parallel sentences of a pair, so many fit the rotation and the rest are searched.
    linked : parallel sentences whose linked words are the dictionary of words in context.
    layers : hidden states that are joined, 0 the embedding layer; None for all.
    new_layers : trained on top of the joined state (the paper: 4, with encoders of 8).
    tasks : what the new layers learn.
    train, test : annotated sentences per language, at most.
    parsing, ner, pos : how each task is learned.
    """

    words: int = Field(gt=1)
    folds: int | None = Field(None, gt=1)
    sentences: int = Field(gt=1)
    linked: int = Field(gt=0)
    layers: tuple[int, ...] | None = Field(None, min_length=1)
    new_layers: int = Field(4, gt=0)
    tasks: tuple[Literal["parsing", "ner", "pos"], ...] = Field(min_length=1)
    train: int = Field(gt=1)
    test: int = Field(gt=1)
    parsing: ParserSettings
    ner: TaggerSettings
    pos: TaggerSettings
