"""Settings of the pages on unseen languages and on scripts: treebanks, raw text, four kinds of model."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from xsim_lib.study.settings import Strict
from xsim_lib.tasks.parsing import ParserSettings
from xsim_lib.tasks.tagging import TaggerSettings
from xsim_lib.text.sources import Source
from xsim_lib.training.pretraining import PretrainingSettings
from xsim_lib.training.zoo import ModelSpec

__all__ = ["Monolingual", "Unseen"]


class Monolingual(Strict):
    """A model trained from scratch on the raw text of one language."""

    vocabulary: int = Field(gt=0)
    encoder: dict[str, int | float | str | bool]
    training: PretrainingSettings


class Unseen(Strict):
    """Languages with a small treebank and a little raw text, each fine-tuned on its own treebank.

    Attributes
    ----------
    source : raw text and treebanks; `languages` of the source are those with raw text.
    languages : those that no multilingual model was trained on, and what is known about each.
    scripts : languages that are tried in their own script and in Latin letters.
    train, test : sentences per language, at most.
    parsing, pos : how both tasks are fine-tuned.
    bilstm : values of these settings that differ for the BiLSTM, which starts from nothing.
    adaptation : the multilingual model's further training on the raw text.
    monolingual : the model from scratch.
    """

    source: Source
    languages: dict[str, str] = Field(min_length=1)
    scripts: tuple[str, ...] = Field(min_length=1)
    train: int = Field(gt=1)
    test: int = Field(gt=1)
    parsing: ParserSettings
    pos: TaggerSettings
    bilstm: dict[str, Any]
    adaptation: PretrainingSettings
    monolingual: Monolingual

    @model_validator(mode="after")
    def _complete(self) -> Unseen:
        for language in (*self.languages, *self.scripts):
            known = self.source.annotated("parsing", "train")
            if language not in known or language not in self.source.annotated("parsing", "test"):
                raise ValueError(
                    f"languages, scripts: trees are of {', '.join(known)}; got {language!r}"
                )
            if language not in self.source.languages:
                raise ValueError(
                    f"languages, scripts: raw text is of {', '.join(self.source.languages)}; "
                    f"got {language!r}"
                )
        for settings in (self.parsing, self.pos):
            type(settings)(**settings.model_dump() | self.bilstm)
        self.from_scratch(next(iter(self.languages)), 0)
        return self

    def adapted(
        self, model: ModelSpec, language: str, seed: int, *, romanised: bool = False
    ) -> ModelSpec:
        """Specify `model` after further training on the raw text of a language."""
        training = self.adaptation.model_copy(update={"seed": seed})
        return model.adapted(f"{model.name}+mlm", self.text_of(language, romanised), training)

    def from_scratch(self, language: str, seed: int) -> ModelSpec:
        """Specify a model that has seen the raw text of this language and nothing else."""
        own = self.monolingual
        return ModelSpec(
            name="monolingual",
            source=self.text_of(language, False),
            vocabulary=own.vocabulary,
            encoder=own.encoder,
            training=own.training.model_copy(update={"seed": seed}),
        )

    def text_of(self, language: str, romanised: bool) -> Source:
        """The source cut down to one language, in Latin letters if `romanised`."""
        latin = (language,) if romanised else ()
        return self.source.model_copy(update={"languages": (language,), "romanised": latin})
