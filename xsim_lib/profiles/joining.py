"""Settings of the pages that join models of single languages by a rotation (Figures 4 to 7)."""

from __future__ import annotations

from pydantic import Field

from xsim_lib.profiles.common import Strict

__all__ = ["Joining"]


class Joining(Strict):
    """What the pages on monolingual models read.

    Attributes
    ----------
    words : sentences per language that words in context are averaged over.
    sentences : parallel sentences of every pair.
    """

    words: int = Field(gt=1)
    sentences: int = Field(gt=3)
