"""Settings of every experiment per profile: data, not code, checked before anything is trained."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from xsim_lib.finetuning import ClassifierSettings
from xsim_lib.pretraining import PretrainingSettings
from xsim_lib.sources import Source, split_pair
from xsim_lib.zoo import ModelSpec

__all__ = ["PROFILES", "Classification", "Settings", "papers", "settings"]

PROFILES = ("smoke", "mini", "real", "paper")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Classification(_Strict):
    """Zero-shot classification: train on the first language, test on all of them."""

    languages: tuple[str, ...] = Field(min_length=1)
    train: int = Field(gt=0)
    test: int = Field(gt=0)
    settings: ClassifierSettings


class Sweep(_Strict):
    """The learning-rate sweep: its own seed and length; its result is `learning_rates`."""

    learning_rates: tuple[float, ...] = Field(min_length=2)
    steps: int = Field(gt=0)
    seed: int = 0


class Scheme(_Strict):
    """One model of a chapter: what differs from the shared settings."""

    encoder: dict[str, int | float | str | bool] = Field(default_factory=dict)
    learning_rate: float = Field(gt=0)
    seed_offset: int = 0


class Settings(_Strict):
    """One profile of one paper's chapter.

    Attributes
    ----------
    source : the languages and their text.
    pairs : language pairs to compare, such as ``en-fr``.
    n_parallel : aligned sentences per pair.
    seeds : training seeds of a live build. The sweep's seed is never among them: settings are
        chosen on one seed and reported on others.
    encoder, training, vocabulary : shared by all `models`, which override them.
    """

    source: Source
    pairs: tuple[str, ...] = Field(min_length=1)
    n_parallel: int = Field(gt=3)
    seeds: tuple[int, ...] = Field(min_length=1)
    vocabulary: int = Field(gt=0)
    lowercase: bool = False
    encoder: dict[str, int | float | str | bool]
    training: dict[str, Any]
    models: dict[str, Scheme]
    classification: Classification | None = None
    sweep: Sweep | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        for pair in self.pairs:
            self.source.check_languages(*split_pair(pair))
        if self.sweep is not None and self.sweep.seed in self.seeds:
            raise ValueError(
                f"seeds: expected seeds other than the sweep's ({self.sweep.seed}), got {self.seeds}"
            )
        for name in self.models:
            self.spec(name, self.seeds[0])
        return self

    def spec(self, name: str, seed: int, **training: Any) -> ModelSpec:
        """Specify the model `name` trained from `seed`; keywords override its training settings."""
        if name not in self.models:
            known = ", ".join(self.models)
            raise ValueError(f"model: expected one of {known}; got {name!r}")
        scheme = self.models[name]
        return ModelSpec(
            name=name,
            source=self.source,
            vocabulary=self.vocabulary,
            lowercase=self.lowercase,
            encoder={**self.encoder, **scheme.encoder},
            training=PretrainingSettings(
                **{
                    **self.training,
                    "learning_rate": scheme.learning_rate,
                    "seed": seed + scheme.seed_offset,
                    **training,
                }
            ),
        )


def papers() -> list[str]:
    """The papers that have settings."""
    return sorted(f.name[:-5] for f in files(__name__).iterdir() if f.name.endswith(".yaml"))


@cache
def _load(paper: str) -> dict[str, Any]:
    if paper not in papers():
        raise ValueError(f"paper: expected one of {', '.join(papers())}; got {paper!r}")
    return yaml.safe_load(files(__name__).joinpath(f"{paper}.yaml").read_text(encoding="utf-8"))


def settings(paper: str, profile: str, **overrides: Any) -> Settings:
    """Settings of a paper's chapter at a profile, with a notebook's overrides applied.

    Raises
    ------
    ValueError : unknown paper or profile, or a value that does not fit, named with what was expected.
    """
    table = _load(paper)
    if profile not in table:
        raise ValueError(f"profile: {paper} has {', '.join(table)}; got {profile!r}")
    values = {**table[profile], **{k: v for k, v in overrides.items() if v is not None}}
    try:
        return Settings(**values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}, got {e['input']!r}"
            for e in error.errors()
        )
        raise ValueError(f"{paper} at profile {profile!r}: {problems}") from error
