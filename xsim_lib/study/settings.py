"""What the settings of every chapter have in common, checked before anything is trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xsim_lib.tasks.finetuning import ClassifierSettings
from xsim_lib.text.sources import Source, split_pair
from xsim_lib.training.pretraining import PretrainingSettings
from xsim_lib.training.zoo import ModelSpec

__all__ = [
    "SCHEMES",
    "ClassificationSettings",
    "Group",
    "Live",
    "PaperSettings",
    "Scheme",
    "Strict",
    "Sweep",
]

SCHEMES = "schemes"  # the group of the models that no other group names


class Strict(BaseModel):
    """Settings that cannot be changed in place and refuse what they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassificationSettings(Strict):
    """Zero-shot classification: train on the first language, test on all of them."""

    languages: tuple[str, ...] = Field(min_length=1)
    train: int = Field(gt=0)
    test: int = Field(gt=0)
    settings: ClassifierSettings


class Sweep(Strict):
    """The learning-rate sweep: its own seed and length; its result is `learning_rates`."""

    learning_rates: tuple[float, ...] = Field(min_length=2)
    steps: int = Field(gt=0)
    seed: int = 0


class Scheme(Strict):
    """One model of a chapter: what differs from the shared settings, or a public model.

    Attributes
    ----------
    encoder, training : replace single values of the shared ones.
    learning_rate, vocabulary : of this model; a learning rate is needed unless `checkpoint` is given.
    languages : train on these languages of the source only.
    seed_offset : added to the seed, for a second random start of the same kind.
    in_place_of : the model of the paper that a trained one stands in for, which cannot be had at this scale.
    checkpoint : a name on the hub or a folder: this model is loaded instead of trained.
    revision, dtype : of the public model, see `xsim_lib.models.loading.load`.
    device : "auto" spreads a public model that is too large for one GPU over all of them.
    """

    encoder: dict[str, int | float | str | bool] = Field(default_factory=dict)
    learning_rate: float | None = Field(None, gt=0)
    training: dict[str, Any] = Field(default_factory=dict)
    vocabulary: int | None = Field(None, gt=0)
    languages: tuple[str, ...] | None = Field(None, min_length=1)
    seed_offset: int = 0
    in_place_of: str | None = Field(None, min_length=1)
    checkpoint: str | None = None
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    device: Literal["auto"] | None = None

    @model_validator(mode="after")
    def _trained_or_public(self) -> Scheme:
        own = {"revision", "dtype", "device"}
        given = self.model_fields_set - {"checkpoint"}
        if self.checkpoint is None:
            if self.learning_rate is None:
                raise ValueError("learning_rate: expected a number, or a checkpoint to load")
            if given & own:
                raise ValueError(f"{min(given & own)}: only a public checkpoint has it")
        elif given - own:
            raise ValueError(f"{min(given - own)}: a public checkpoint is loaded, not trained")
        return self


class Group(Strict):
    """Models that are compared with each other, and what differs from the chapter for them.

    Attributes
    ----------
    models : names, in the order of figures.
    source : the text they are trained and compared on.
    pairs, n_parallel : what they are compared on.
    sweep : the learning-rate sweep of these models.
    """

    models: tuple[str, ...] = Field(min_length=1)
    source: Source | None = None
    pairs: tuple[str, ...] | None = Field(None, min_length=1)
    n_parallel: int | None = Field(None, gt=3)
    sweep: Sweep | None = None


class Live(Strict):
    """What a notebook of a live build may cost, and what it leaves to the recorded runs for that.

    Attributes
    ----------
    budget : CPU-seconds of the machine that budgets were set on (`xsim_lib.workflow.budgets`), training included.
    parameters : of the notebook: fewer pairs, layers, rows or tasks than it measures otherwise, never others.
    """

    budget: float = Field(25, gt=0)
    parameters: dict[str, Any] = Field(default_factory=dict)


class PaperSettings(Strict):
    """One profile of one paper's chapter.

    Attributes
    ----------
    source : the languages and their text.
    pairs : language pairs to compare, such as ``en-fr``.
    n_parallel : aligned sentences per pair.
    truncate : cut them to this many tokens (the authors of anc2022: 100); None refuses longer ones.
    seeds : training seeds of a live build. The sweep's seed is never among them: settings are
        chosen on one seed and reported on others.
    recorded : notebook -> parameters of its recorded runs, which may measure more than a live build has
        time for: ``{"random_init": {"sources": ["en", "ru", "ar"]}}``.
    live : notebook -> its budget in a live build, and what it leaves out there. No part of any key.
    ships : models whose weights come with the library, of every seed of a live build (`zoo.shipping`).
    encoder, training, vocabulary : shared by all `models`, which override them.
    groups : sets of models that are compared with each other. A list of names will do; a mapping
        may give them text and pairs of their own. Models of no group are "schemes".
    """

    source: Source
    pairs: tuple[str, ...] = Field(min_length=1)
    n_parallel: int = Field(gt=3)
    truncate: int | None = Field(None, gt=2)
    seeds: tuple[int, ...] = Field(min_length=1)
    recorded: dict[str, dict[str, Any]] = Field(default_factory=dict)
    live: dict[str, Live] = Field(default_factory=dict)
    ships: tuple[str, ...] = ()
    vocabulary: int | None = Field(None, gt=0)
    lowercase: bool = False
    encoder: dict[str, int | float | str | bool] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    models: dict[str, Scheme] = Field(min_length=1)
    groups: dict[str, Group] = Field(default_factory=dict)
    classification: ClassificationSettings | None = None
    sweep: Sweep | None = None

    @field_validator("groups", mode="before")
    @classmethod
    def _lists_of_names(cls, groups: Any) -> Any:
        if not isinstance(groups, dict):
            return groups
        return {k: {"models": v} if isinstance(v, list | tuple) else v for k, v in groups.items()}

    @model_validator(mode="after")
    def _consistent(self) -> PaperSettings:
        for name in self.group_names:
            group = self.group(name)
            for model in group.models:
                self._known(model)
            for pair in group.pairs:
                group.source.check_languages(*split_pair(pair))
            sweep = group.sweep
            if sweep is not None and sweep.seed in self.seeds:
                raise ValueError(
                    f"seeds: expected seeds other than the sweep's ({sweep.seed}), got {self.seeds}"
                )
        for name in self.trained:
            self.spec(name, self.seeds[0])
        return self

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups of this profile; "schemes" unless every model is in another one."""
        found = list(self.groups)
        if SCHEMES not in found and self._ungrouped:
            found.insert(0, SCHEMES)
        return tuple(found)

    @property
    def trained(self) -> tuple[str, ...]:
        """The models that are trained here, not loaded."""
        return tuple(name for name, scheme in self.models.items() if scheme.checkpoint is None)

    @property
    def ahead(self) -> tuple[str, ...]:
        """Of these, the models that a live build trains before its pages: all of a group, or those that it asks for.

        Schemes are all trained: which snapshot of one is compared depends on the others.
        """
        asked = {m for page in self.live.values() for m in page.parameters.get("models", ())}
        found: list[str] = []
        for name in self.group_names:
            members = [m for m in self.group(name).models if m in self.trained]
            fewer = [m for m in members if m in asked]
            found += fewer if fewer and name != SCHEMES else members
        return tuple(dict.fromkeys(found))

    @property
    def schemes(self) -> tuple[str, ...]:
        """The models of the group "schemes", which are trained here and compared at equal loss."""
        if SCHEMES not in self.group_names:
            return ()
        return tuple(m for m in self.group(SCHEMES).models if m in self.trained)

    @property
    def _ungrouped(self) -> tuple[str, ...]:
        named = {model for group in self.groups.values() for model in group.models}
        return tuple(name for name in self.models if name not in named)

    def group(self, name: str) -> Group:
        """Return a group with everything it leaves to the chapter filled in.

        Raises
        ------
        ValueError : this profile has no such group; says which there are.
        """
        if name not in self.group_names:
            raise ValueError(f"group: this profile has {', '.join(self.group_names)}; got {name!r}")
        shared = {key: getattr(self, key) for key in ("source", "pairs", "n_parallel")}
        if name not in self.groups:
            return Group(models=self._ungrouped, **shared, sweep=self.sweep)
        own = self.groups[name]
        missing = {key: value for key, value in shared.items() if getattr(own, key) is None}
        if name == SCHEMES and own.sweep is None:
            missing["sweep"] = self.sweep
        return own.model_copy(update=missing)

    def source_of(self, model: str) -> Source:
        """Return the text that `model` is trained on.

        Raises
        ------
        ValueError : an unknown model, a language the source does not have, or groups that disagree.
        """
        scheme = self._known(model)
        found = {
            name: self.group(name).source
            for name in self.group_names
            if model in self.group(name).models
        }
        source = next(iter(found.values()), self.source)
        for name, other in found.items():
            if other != source:
                raise ValueError(
                    f"groups: {model} is in {next(iter(found))} and {name}, whose sources differ: it "
                    "can be trained on one only"
                )
        if scheme.languages is None:
            return source
        for language in scheme.languages:
            if language not in source.languages:
                known = ", ".join(source.languages)
                raise ValueError(f"languages: {model}: the source has {known}; got {language!r}")
        return source.model_copy(update={"languages": scheme.languages})

    def spec(self, name: str, seed: int, **training: Any) -> ModelSpec:
        """Specify the model `name` trained from `seed`; keywords override its training settings.

        Raises
        ------
        ValueError : an unknown model, a public one, or a value that does not fit.
        """
        scheme = self._known(name)
        if scheme.checkpoint is not None:
            raise ValueError(
                f"model: {name} is the public checkpoint {scheme.checkpoint!r}: it is loaded, not "
                "trained"
            )
        vocabulary = scheme.vocabulary or self.vocabulary
        if vocabulary is None:
            raise ValueError(f"vocabulary: expected a size, since {name} is trained; got None")
        return ModelSpec(
            name=name,
            source=self.source_of(name),
            vocabulary=vocabulary,
            lowercase=self.lowercase,
            encoder={**self.encoder, **scheme.encoder},
            training=PretrainingSettings(
                **{
                    **self.training,
                    **scheme.training,
                    "learning_rate": scheme.learning_rate,
                    "seed": seed + scheme.seed_offset,
                    **training,
                }
            ),
        )

    def shipped(self, name: str, seed: int) -> ModelSpec:
        """Specify a model of `ships`; chapters whose models are no single `models` say how.

        Raises
        ------
        ValueError : an unknown model.
        """
        return self.spec(name, seed)

    def _known(self, name: str) -> Scheme:
        if name not in self.models:
            raise ValueError(f"model: expected one of {', '.join(self.models)}; got {name!r}")
        return self.models[name]
