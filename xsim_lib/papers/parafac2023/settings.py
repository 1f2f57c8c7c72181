"""What the chapter of parafac2023 sets beyond the shared fields: models of one and of all languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from xsim_lib.papers.parafac2023.text import ScarceFamily, ScarceTexts
from xsim_lib.study.settings import PaperSettings, Strict
from xsim_lib.text.sources import Real, Source
from xsim_lib.training.pretraining import PretrainingSettings
from xsim_lib.training.zoo import ModelSpec

__all__ = ["Factorization", "LowResource", "Parafac2023Settings"]

MULTILINGUAL = "multilingual"
CONTROL = 1000  # added to the seed of every monolingual model


class Factorization(Strict):
    """What is compared, and how it is factorised.

    Attributes
    ----------
    sentences : annotated sentences per language, at most.
    min_words : a language with fewer words of a category has no slice of it (the paper: 100).
    layers : 0 is the embedding layer; None takes all.
    rank : components; None takes as many as the models have dimensions, as the paper does.
    tol, max_iter : the stopping rule of `factorization.parafac2` (the paper: 1e-8 and 100).
    max_length : longest sequence read, in sub-words; words beyond are left out.
    """

    sentences: int = Field(gt=1)
    min_words: int = Field(gt=1)
    layers: tuple[int, ...] | None = Field(None, min_length=1)
    rank: int | None = Field(None, gt=0)
    tol: float = Field(1e-8, ge=0, lt=1)
    max_iter: int = Field(100, gt=0)
    max_length: int = Field(gt=2)


class LowResource(Strict):
    """Languages that lose most of their training text, one at a time.

    Attributes
    ----------
    with_relatives, alone : languages of both kinds.
    share : of the text that is left to them (the paper: 0.1).
    sampling_exponent : of the models that draw rare languages more often (the paper: 0.3). A starved
        language is drawn with weight share**exponent instead of share, by repeating its text: batches
        stay as mixed as those of the other models.
    """

    with_relatives: tuple[str, ...]
    alone: tuple[str, ...]
    share: float = Field(gt=0, lt=1)
    sampling_exponent: float = Field(ge=0)


class Parafac2023Settings(PaperSettings):
    """One profile of the chapter.

    Attributes
    ----------
    control : training of the models of one language, where it differs from the shared `training`.
    factorization : representations and PARAFAC2.
    logographic : languages that are also trained and read in Latin letters (Figure 2b).
    related, diverse : sets of languages (section 5.2).
    low_resource : section 5.2 and appendix D.
    families : the true tree of real languages, in Newick; artificial families know their own.

    Notes
    -----
    As in the paper, all models have one vocabulary, learned on the full text of all languages, also
    those that are trained on less. Monolingual models start from the same random weights, the
    multilingual one from others.
    """

    control: dict[str, Any] = Field(default_factory=dict)
    factorization: Factorization
    logographic: tuple[str, ...]
    related: dict[str, tuple[str, ...]]
    diverse: tuple[str, ...]
    low_resource: LowResource
    families: str | None = None

    @model_validator(mode="after")
    def _languages(self) -> Parafac2023Settings:
        chosen = {
            "logographic": self.logographic,
            "diverse": self.diverse,
            "low_resource": (*self.low_resource.with_relatives, *self.low_resource.alone),
            **{f"related.{name}": own for name, own in self.related.items()},
        }
        for name, languages in chosen.items():
            for language in languages:
                if language not in self.languages:
                    known = ", ".join(self.languages)
                    raise ValueError(f"{name}: this profile has {known}; got {language!r}")
        for language in self.languages:
            if language not in self.source.annotated("pos", "test"):
                raise ValueError(f"languages: no annotated sentences of {language}")
        if self.trained:
            self.monolingual(self.languages[0], 0)
        return self

    @property
    def ahead(self) -> tuple[str, ...]:
        """None: all models start from random weights that they share, see `multilingual`."""
        return ()

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the experiment, in the order of figures."""
        return self.source.languages

    @property
    def starved(self) -> tuple[str, ...]:
        """Languages that are trained on few sentences, one at a time."""
        return (*self.low_resource.with_relatives, *self.low_resource.alone)

    def multilingual(
        self,
        seed: int,
        languages: Iterable[str] | None = None,
        starved: Iterable[str] = (),
        sampling_exponent: float | None = None,
        romanised: bool = False,
    ) -> ModelSpec:
        """Specify the model of all languages, or of some.

        Parameters
        ----------
        languages : what it is trained on; None for all.
        starved : these have `low_resource.share` of their text.
        sampling_exponent : draws starved languages with p ~ n**exponent, by repeating their text; None
            is 1, every sentence once.
        romanised : the logographic languages in Latin letters.

        Raises
        ------
        ValueError : a language this profile does not have, or a profile that trains nothing.
        """
        chosen = self.languages if languages is None else tuple(languages)
        training = self.spec(MULTILINGUAL, seed).training
        exponent = 1.0 if sampling_exponent is None else sampling_exponent
        times = max(1, round(self.low_resource.share ** (exponent - 1)))
        source = self._text(chosen, tuple(starved), romanised, times)
        return self._blank(seed).adapted(MULTILINGUAL, source, training)

    def monolingual(
        self, language: str, seed: int, starved: bool = False, romanised: bool = False
    ) -> ModelSpec:
        """Specify the control model of one language; arguments as in `multilingual`."""
        seed += CONTROL
        source = self._text((language,), (language,) if starved else (), romanised)
        training = self.spec(MULTILINGUAL, seed, **self.control).training
        return self._blank(seed).adapted(f"monolingual {language}", source, training)

    def shipped(self, name: str, seed: int) -> ModelSpec:
        """Specify a model of `ships`: "multilingual", or "monolingual en"."""
        kind, _, language = name.partition(" ")
        if kind == "monolingual":
            return self.monolingual(language, seed)
        return self.multilingual(seed) if name == MULTILINGUAL else super().shipped(name, seed)

    def read(self, romanised: bool = False) -> Source:
        """Return the source whose annotated sentences are read."""
        return self._text(self.languages, (), romanised)

    def _blank(self, seed: int) -> ModelSpec:
        """Random weights over the vocabulary of all languages, to train any model from."""
        whole = self.spec(MULTILINGUAL, seed)
        source = self._text(self.languages, (), False)
        nothing = PretrainingSettings(
            steps=0,
            learning_rate=whole.training.learning_rate,
            max_length=whole.training.max_length,
            evaluations=1,
            held_out=1,
            seed=seed,
        )
        return whole.model_copy(
            update={"name": "random weights", "source": source, "training": nothing}
        )

    def _text(
        self,
        languages: tuple[str, ...],
        starved: tuple[str, ...],
        romanised: bool,
        repeated: int = 1,
    ) -> Source:
        for language in (*languages, *starved):
            if language not in self.languages:
                known = ", ".join(self.languages)
                raise ValueError(f"languages: this profile has {known}; got {language!r}")
        latin = tuple(x for x in self.logographic if x in languages) if romanised else ()
        own = self.source.model_dump() | {"languages": languages, "romanised": latin}
        own["repeated"] = dict.fromkeys(starved, repeated) if repeated > 1 else {}
        share = self.low_resource.share
        if isinstance(self.source, Real):
            if starved:
                words = self.source.words
                words = words if isinstance(words, dict) else dict.fromkeys(languages, words)
                own["words"] = words | {x: max(1, round(share * words[x])) for x in starved}
            return ScarceTexts(**own)
        few = {x: max(1, round(share * self.source.sentences)) for x in starved}
        return ScarceFamily(**own, few=few)
