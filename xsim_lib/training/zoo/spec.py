"""The specification of a trained model, checked before anything is trained."""

from __future__ import annotations

import inspect
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xsim_lib.models.bilingual import CodeSwitching
from xsim_lib.models.encoder import EncoderConfig
from xsim_lib.text.sources import Source
from xsim_lib.training.pretraining import PretrainingSettings

# Of the tokenizer, of the training, of the specification itself.
_OURS = {
    "vocab_size",
    "max_position_embeddings",
    "separate_embeddings",
    "separate_layers",
    "kwargs",
}


class ModelSpec(BaseModel):
    """Everything that determines a trained model.

    Attributes
    ----------
    name : what figures call it, such as ``scale_post``.
    source : the text it is trained on.
    vocabulary : number of sub-words.
    encoder : keyword arguments of `EncoderConfig`.
    training : `PretrainingSettings`; its seed also draws the initial weights.
    tokenization : "joint", one vocabulary learned on all languages together; "separate" and
        "prefixed", one per language (`bilingual.language_tokenizers`).
    separate_embeddings, separate_layers : parts that every language has for itself
        (`BilingualForMaskedLM`); layers are counted from 1.
    code_switch : replace words by translations from the source's dictionaries while training.
    start_from : go on from the end of this model, with its tokenizer and sizes, on `source`; made
        by `adapted`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Source
    vocabulary: int = Field(gt=0)
    lowercase: bool = False
    encoder: dict[str, int | float | str | bool]
    training: PretrainingSettings
    tokenization: Literal["joint", "separate", "prefixed"] = "joint"
    separate_embeddings: bool = False
    separate_layers: tuple[int, ...] = ()
    code_switch: CodeSwitching | None = None
    start_from: ModelSpec | None = None

    @field_validator("encoder")
    @classmethod
    def _fits(cls, value: dict) -> dict:
        # A configuration of transformers keeps any keyword, so a typo would train the default.
        known = [n for n in inspect.signature(EncoderConfig).parameters if n not in _OURS]
        for name in value:
            if name not in known:
                raise ValueError(f"expected any of {', '.join(known)}; got {name!r}")
        EncoderConfig(**value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        causal = bool(self.encoder.get("causal", False))
        if causal != (self.training.objective == "clm"):
            raise ValueError(
                f"objective: expected {'clm' if causal else 'mlm'!r} for an encoder with "
                f"causal={causal}, got {self.training.objective!r}"
            )
        EncoderConfig(**self.encoder, separate_layers=self.separate_layers)
        if self.has_views and causal:
            raise ValueError("separate_layers, separate_embeddings: a causal model has none")
        if self.separate_embeddings and self.tokenization != "separate":
            raise ValueError(
                "tokenization: expected 'separate' with separate_embeddings, got "
                f"{self.tokenization!r}"
            )
        if self.is_bilingual and self.training.sampling_exponent is None:
            raise ValueError(
                "sampling_exponent: expected a number, since a batch of this model is of one "
                "language; got None"
            )
        if self.code_switch is not None and self.tokenization != "joint":
            raise ValueError(
                f"tokenization: expected 'joint' with code_switch, got {self.tokenization!r}"
            )
        if self.start_from is not None:
            self._continues(self.start_from)
        return self

    def _continues(self, start: ModelSpec) -> None:
        if self.is_bilingual or start.is_bilingual:
            raise ValueError("start_from: only models without language-specific parts go on")
        for name in ("vocabulary", "lowercase", "encoder"):
            if getattr(self, name) != getattr(start, name):
                raise ValueError(
                    f"start_from: expected the {name} of {start.name}, {getattr(start, name)}; "
                    f"got {getattr(self, name)}"
                )
        if self.training.max_length > start.training.max_length:
            raise ValueError(
                f"max_length: {start.name} takes {start.training.max_length} tokens, "
                f"got {self.training.max_length}"
            )

    @property
    def has_views(self) -> bool:
        """Whether some weights belong to one language."""
        return self.separate_embeddings or bool(self.separate_layers)

    @property
    def needs_language(self) -> bool:
        """Whether the model is another one for every language: by its weights or its tokenizer."""
        return self.has_views or self.tokenization != "joint"

    @property
    def is_bilingual(self) -> bool:
        """Whether `xsim_lib.models.bilingual` has a part in it."""
        return self.needs_language or self.code_switch is not None

    def adapted(self, name: str, source: Source, training: PretrainingSettings) -> ModelSpec:
        """Specify this model trained further, on other text: adaptation before fine-tuning."""
        changes = {"name": name, "source": source, "training": training, "start_from": self}
        return type(self)(
            **{**{key: getattr(self, key) for key in type(self).model_fields}, **changes}
        )
