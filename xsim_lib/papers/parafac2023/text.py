"""The text of parafac2023: made or read once per process, some languages of it scarce or repeated."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from pydantic import Field

from xsim_lib.text import corpora
from xsim_lib.text.sources import Artificial, Real
from xsim_lib.text.types import Corpus

__all__ = ["ScarceFamily", "ScarceTexts"]


class ScarceFamily(Artificial):
    """A family whose text is made once per process, and of which some languages have little of it.

    Attributes
    ----------
    few : language -> number of training sentences, the first ones of its text.
    repeated : language -> how often its text is read where that of others is read once.
    """

    few: dict[str, int] = Field(default_factory=dict)
    repeated: dict[str, int] = Field(default_factory=dict)

    def training(self) -> Corpus:
        return _text(ScarceFamily, self.model_dump_json())

    def made(self) -> Corpus:
        """The same, made anew."""
        whole = super().training()
        lines = {x: whole[x][: self.few.get(x)] for x in whole.languages}
        return replace(whole, sentences={x: v * self.repeated.get(x, 1) for x, v in lines.items()})


class ScarceTexts(Real):
    """Real text that is read once per process: `words` of each language, from treebanks first.

    The training sentences of a treebank are cut into words as its test sentences are; raw text fills
    up what they lack. `repeated` is as in `ScarceFamily`.
    """

    repeated: dict[str, int] = Field(default_factory=dict)

    def training(self) -> Corpus:
        return _text(ScarceTexts, self.model_dump_json())

    def made(self) -> Corpus:
        """The same, read anew."""
        lines = {x: self._lines(x) * self.repeated.get(x, 1) for x in self.languages}
        return Corpus("treebanks and text", lines)

    def _lines(self, language: str) -> list[str]:
        wanted = self.words[language] if isinstance(self.words, dict) else self.words
        lines: list[str] = []
        if "train" in self.treebanks[language]:
            bank = self._treebank(self.treebanks, language, "train")
            for sentence in bank.sentences:
                if wanted <= 0:
                    break
                lines.append(" ".join(token.form for token in sentence.tokens))
                wanted -= len(sentence)
        if wanted > 0:
            lines += corpora.monolingual_text([language], n_words=wanted)[language]
        return [self._written(language)(line) for line in lines]


@cache
def _text(kind: type[ScarceFamily | ScarceTexts], settings: str) -> Corpus:
    # The vocabulary of every model is that of the whole text, which is asked for once per model.
    return kind.model_validate_json(settings).made()
