"""Where an experiment's text comes from: an artificial family or real corpora, behind one face.

Both kinds answer the same four questions (training text, parallel text of a pair, labelled pairs,
which languages), so that a notebook cannot tell which of the two it was given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from xsim_lib import artificial, corpora
from xsim_lib.texts import Classification, Corpus, ParallelCorpus

__all__ = ["Artificial", "Real", "Source", "split_pair"]


def split_pair(pair: str) -> tuple[str, str]:
    """Split ``"en-fr"`` into its two languages, or say what is wrong with it."""
    parts = pair.split("-")
    if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
        raise ValueError(f"pairs: expected two languages like 'en-fr', got {pair!r}")
    return parts[0], parts[1]


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    languages: tuple[str, ...]

    def check_languages(self, *wanted: str) -> None:
        for language in wanted:
            if language not in self.languages:
                raise ValueError(
                    f"language: this profile has {', '.join(self.languages)}; got {language!r}"
                )


class Artificial(_Source):
    """A family of artificial languages (`xsim_lib.artificial`).

    Attributes
    ----------
    preset : name of a preset family; `options` override its settings.
    sentences : training sentences per language.
    family_seed : the family is the same for every training seed, as real languages are.
    """

    kind: Literal["artificial"] = "artificial"
    preset: str = "european4"
    family_seed: int = 0
    sentences: int = Field(gt=0)
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def family(self) -> artificial.Family:
        return getattr(artificial.presets, self.preset)(self.family_seed, **self.options)

    @field_validator("preset")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in artificial.presets.__all__:
            raise ValueError(f"expected one of {', '.join(artificial.presets.__all__)}")
        return value

    def training(self) -> Corpus:
        return self.family.text(self.sentences, languages=list(self.languages), seed=0)

    def parallel(self, pair: str, n: int) -> ParallelCorpus:
        self.check_languages(*split_pair(pair))
        return self.family.parallel(n, languages=list(split_pair(pair)), seed=1)

    def classification(self, language: str, n: int, split: str) -> Classification:
        self.check_languages(language)
        return self.family.nli(language, n, seed={"train": 2, "test": 3}[split])


class Real(_Source):
    """Real text of the mirror or the public originals (`xsim_lib.corpora`).

    Attributes
    ----------
    words : training words per language, at most.
    domains : which files of each language, in order of preference; None takes all.
    parallel_corpora : for every pair, the corpus its aligned sentences come from.
    """

    kind: Literal["real"] = "real"
    words: int = Field(gt=0)
    domains: tuple[str, ...] | None = None
    parallel_corpora: dict[str, str]

    @model_validator(mode="after")
    def _known(self) -> Real:
        for pair, corpus in self.parallel_corpora.items():
            self.check_languages(*split_pair(pair))
            if corpus not in corpora.PARALLEL:
                known = ", ".join(sorted(corpora.PARALLEL))
                raise ValueError(
                    f"parallel_corpora: {pair}: expected one of {known}; got {corpus!r}"
                )
        return self

    def training(self) -> Corpus:
        return corpora.text(list(self.languages), domains=self.domains, n_words=self.words)

    def parallel(self, pair: str, n: int) -> ParallelCorpus:
        if pair not in self.parallel_corpora:
            known = ", ".join(self.parallel_corpora)
            raise ValueError(f"pairs: this profile has parallel text for {known}; got {pair!r}")
        return corpora.load_pair(self.parallel_corpora[pair], pair, n)

    def classification(self, language: str, n: int, split: str) -> Classification:
        data = corpora.xnli_extension_nli(language)
        # One file per language upstream: training takes its beginning, testing its end.
        if n > len(data) // 2:
            raise ValueError(f"n: expected at most {len(data) // 2} items of each split, got {n}")
        rows = slice(0, n) if split == "train" else slice(len(data) - n, len(data))
        return replace(
            data,
            premises=data.premises[rows],
            hypotheses=data.hypotheses[rows],
            labels=data.labels[rows],
        )


Source = Annotated[Artificial | Real, Field(discriminator="kind")]
