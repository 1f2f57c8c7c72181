"""What the chapter of emerging2020 sets beyond the shared fields: ten kinds of bilingual model, and tasks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from xsim_lib.models.bilingual import CodeSwitching
from xsim_lib.papers.emerging2020.rotation_settings import Joining
from xsim_lib.papers.emerging2020.table1_names import METRICS, ROWS
from xsim_lib.study.settings import ClassificationSettings, PaperSettings, Strict
from xsim_lib.tasks.parsing import ParserSettings
from xsim_lib.tasks.tagging import TaggerSettings
from xsim_lib.text.sources import split_pair
from xsim_lib.training.zoo import ModelSpec

__all__ = ["BilingualTransferSettings", "Emerging2020Settings"]

_MODELS = ("bilingual", "monolingual")
_TWICE = "'"  # en' is English once more
_APART = 1000  # between the seeds of languages; no run has a seed as high


class BilingualTransferSettings(Strict):
    """Fine-tuning in the first language and reading in the second.

    Attributes
    ----------
    train, test : sentences per language, at most.
    ner, parsing : how each task is fine-tuned; `Settings.classification` says so of inference.
    """

    train: int = Field(gt=1)
    test: int = Field(gt=1)
    ner: TaggerSettings
    parsing: ParserSettings


class Emerging2020Settings(PaperSettings):
    """One profile of the chapter. `models` has two entries, "bilingual" and "monolingual".

    Attributes
    ----------
    rows : kinds of bilingual model that are measured, named as the rows of Table 1.
    tasks : what is fine-tuned.
    classification : items and fine-tuning of "nli", and the languages that have them.
    transfer : treebanks and fine-tuning of "ner" and "parsing".
    other_domain : domain of the second language's text in row "Wiki-CC".
    code_switching : of row "Extra anchors".
    joining : what the pages on monolingual models measure.
    """

    rows: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[Literal["nli", "ner", "parsing"], ...] = Field(tuple(METRICS), min_length=1)
    classification: ClassificationSettings
    transfer: BilingualTransferSettings
    other_domain: str
    code_switching: CodeSwitching = CodeSwitching()
    joining: Joining

    @model_validator(mode="after")
    def _buildable(self) -> Emerging2020Settings:
        if set(self.models) != set(_MODELS):
            raise ValueError(f"models: expected {', '.join(_MODELS)}; got {', '.join(self.models)}")
        for row in self.rows:
            self.bilingual(row, self.pairs[0], self.seeds[0])
        return self

    @property
    def trained(self) -> tuple[str, ...]:
        """None ahead of the pages: every model is of some pair or language, see `bilingual`."""
        return ()

    def bilingual(self, row: str, pair: str, seed: int) -> ModelSpec:
        """Specify a model of two languages.

        Parameters
        ----------
        row : what it shares, one of the rows of Table 1.
        pair : "en-fr", or "en-en'" for English that is treated as two languages (with row "Sep Emb").

        Raises
        ------
        ValueError : an unknown row or language.
        """
        if row not in ROWS:
            raise ValueError(f"row: expected one of {', '.join(ROWS)}; got {row!r}")
        languages = split_pair(pair)
        self.source.check_languages(*languages)
        changes: dict[str, Any] = {"languages": languages}
        if row == "Wiki-CC":
            changes["domains"] = self._other_domain(languages)
        source = self.source.model_copy(update=changes)
        return self._changed(
            "bilingual", seed, name=f"{row} {pair}", source=source, **self._parts(row)
        )

    def monolingual(self, language: str, seed: int) -> ModelSpec:
        """Specify a model of one language, each from a random start of its own; "en'" is English again.

        Raises
        ------
        ValueError : an unknown language.
        """
        self.source.check_languages(language)
        own = language.removesuffix(_TWICE)
        source = self.source.model_copy(update={"languages": (own,)})
        # Models that are to be compared must not start from the same random weights.
        known = self.source.known
        start = seed + _APART * (known.index(own) + len(known) * (own != language))
        return self._changed("monolingual", start, name=language, source=source)

    def shipped(self, name: str, seed: int) -> ModelSpec:
        """Specify a model of `ships`: "monolingual en", or a row and a pair, "Default en-fr"."""
        first, _, last = name.rpartition(" ")
        if first == "monolingual":
            return self.monolingual(last, seed)
        return self.bilingual(first, last, seed)

    def tasks_of(self, pair: str) -> tuple[str, ...]:
        """The tasks that can be learned in the first language of a pair and tested in both."""
        source, target = split_pair(pair)
        found = []
        for name in self.tasks:
            if name == "nli":
                train = test = self.classification.languages
            else:
                train, test = (self.source.annotated(name, split) for split in ("train", "test"))
            if source in train and {source, target} <= set(test):
                found.append(name)
        return tuple(found)

    @property
    def third(self) -> int:
        """Number of layers in the lower third: the 3 of the paper's 8 in "L1-3"."""
        return round(self._depth / 3)

    @property
    def most(self) -> int:
        """Number of layers in the lower three quarters: the 6 of the paper's 8 in "L1-6"."""
        return round(3 / 4 * self._depth)

    @property
    def _depth(self) -> int:
        return int({**self.encoder, **self.models["bilingual"].encoder}["num_hidden_layers"])

    def _parts(self, row: str) -> dict[str, Any]:
        """What a row of the table says about vocabularies and about what languages share."""
        if row in ("Default anchors", "No anchors"):
            return {"tokenization": "separate" if row == "Default anchors" else "prefixed"}
        if row == "Extra anchors":
            return {"code_switch": self.code_switching}
        parts: dict[str, Any] = {}
        if row.startswith("Sep Emb"):
            parts = {"tokenization": "separate", "separate_embeddings": True}
        if row.endswith(("L1-3", "L1-6")):
            last = self.third if row.endswith("3") else self.most
            parts["separate_layers"] = tuple(range(1, last + 1))
        return parts

    def _other_domain(self, languages: tuple[str, str]) -> dict[str, Any]:
        """The domains of both languages of the row "Wiki-CC"."""
        if self.source.kind == "artificial":
            return {**self.source.domains, languages[1]: self.other_domain}
        usual = self.source.domains
        own = usual.get(languages[0]) if isinstance(usual, dict) else usual
        return {languages[1]: (self.other_domain,)} | ({languages[0]: own} if own else {})

    def _changed(self, model: str, seed: int, **changes: Any) -> ModelSpec:
        spec = self.spec(model, seed)
        values = {name: getattr(spec, name) for name in ModelSpec.model_fields}
        return ModelSpec(**values | changes)
