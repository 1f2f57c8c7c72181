"""What two languages share in one model, and what they do not.

The ablations of Wu, Conneau et al. (2020), sections 4.2 and 4.3: sub-word vocabularies with and without
common pieces (anchors), more anchors by code-switching, and embeddings or lower layers that belong to
one language. A model with language-specific parts is one plain `EncoderForMaskedLM` per language, its
*view*. The views are made of the same modules wherever a part is shared, so whatever takes an encoder
takes a view, and what is trained in one language is trained in all.
"""

from __future__ import annotations

import copy
import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_model, save_model
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast
from transformers.modeling_outputs import MaskedLMOutput

from xsim_lib.models.encoder import EncoderConfig, EncoderForMaskedLM, LoadedModel
from xsim_lib.models.tokenization import SPECIAL, train_tokenizer
from xsim_lib.text.types import BilingualDictionary, Corpus

__all__ = [
    "BilingualForMaskedLM",
    "CodeSwitching",
    "in_language",
    "language_tokenizers",
    "switch",
    "table_size",
    "translations",
    "with_parts_of",
]


class CodeSwitching(BaseModel):
    """Words replaced by their translations while a model is trained: extra anchors.

    Attributes
    ----------
    share : probability that a word of the dictionary is replaced.
    most : share of a batch's words that may be replaced at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(0.3, gt=0, le=1)
    most: float = Field(0.15, gt=0, le=1)


class BilingualForMaskedLM(nn.Module):
    """One masked language model per language, made of the same modules where nothing separates them.

    Parameters
    ----------
    configs : language -> EncoderConfig
        Equal but for `vocab_size`, which may differ where the embeddings are separate.
        `separate_embeddings` separates words, positions, their norm and (tied to the words) the
        softmax with its bias; `separate_layers` names layers, from 1.

    Attributes
    ----------
    views : language -> `EncoderForMaskedLM`

    Raises
    ------
    ValueError : fewer than two languages, or configs that cannot share what they should.
    """

    def __init__(self, configs: Mapping[str, EncoderConfig]) -> None:
        super().__init__()
        if len(configs) < 2:
            raise ValueError(f"configs: expected at least two languages, got {', '.join(configs)}")
        self.views = nn.ModuleDict(
            {language: EncoderForMaskedLM(config) for language, config in configs.items()}
        )
        first, *others = self.views.values()
        for language, view in zip(list(configs)[1:], others, strict=True):
            _share(first, view, language)

    @property
    def config(self) -> EncoderConfig:
        """What the views have in common."""
        return next(iter(self.views.values())).config

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        language: str,
    ) -> MaskedLMOutput:
        """Apply the view of one language."""
        return self.views[language](input_ids, attention_mask=attention_mask, labels=labels)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``model.safetensors``, every weight once, and ``views.json`` into a new folder."""
        folder = Path(folder)
        folder.mkdir(parents=True)
        save_model(self, str(folder / "model.safetensors"))
        configs = {language: view.config.to_dict() for language, view in self.views.items()}
        (folder / "views.json").write_text(json.dumps(configs, indent=1), encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> BilingualForMaskedLM:
        """Load what `save_pretrained` wrote; a weight missing or too many is an error."""
        configs = json.loads((Path(folder) / "views.json").read_text(encoding="utf-8"))
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, then replaced
            model = cls({k: EncoderConfig.from_dict(config) for k, config in configs.items()})
        load_model(model, str(Path(folder) / "model.safetensors"), strict=True)
        return model


def language_tokenizers(
    corpus: Corpus,
    vocabulary: int,
    kind: Literal["separate", "prefixed"],
    *,
    separate_embeddings: bool = False,
    lowercase: bool = False,
    max_length: int = 512,
) -> dict[str, PreTrainedTokenizerFast]:
    """Learn a sub-word vocabulary for each language on its own text.

    Parameters
    ----------
    vocabulary : int
        Sub-words of all languages together: each gets an equal part, special tokens included.
    kind : {"separate", "prefixed"}
        ``"separate"``: a piece that two vocabularies contain is one piece, with one embedding (an
        anchor). ``"prefixed"``: a piece belongs to the language that learned it, as if it were
        written ``en:piece``; only special tokens are common. Both segment alike.
    separate_embeddings : bool
        Each language counts its pieces from 0, for an embedding table of its own.

    Raises
    ------
    ValueError : a language's part of `vocabulary` cannot hold its characters.

    References
    ----------
    Wu, Conneau et al. (2020), section 4.2.
    """
    learned = {
        language: train_tokenizer(
            Corpus(f"{corpus.name} ({language})", {language: corpus[language]}),
            vocabulary // len(corpus.languages),
            lowercase=lowercase,
            max_length=max_length,
        )
        for language in corpus.languages
    }
    if separate_embeddings:
        return learned
    special, table, numbered = set(SPECIAL.values()), {}, {}
    for language, tokenizer in learned.items():
        ids, pieces = {}, tokenizer.get_vocab()
        for piece in sorted(pieces, key=pieces.get):
            common = piece in special or kind == "separate"
            ids[piece] = table.setdefault(piece if common else (language, piece), len(table))
        numbered[language] = _renumbered(tokenizer, ids, max_length)
    return numbered


def table_size(tokenizers: Iterable[PreTrainedTokenizerFast]) -> int:
    """Rows of an embedding table that all these tokenizers share."""
    return 1 + max(max(tokenizer.get_vocab().values()) for tokenizer in tokenizers)


def translations(
    dictionaries: Iterable[BilingualDictionary],
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Language -> word -> its translations into all the other languages, each once."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for dictionary in dictionaries:
        words = found.setdefault(dictionary.source, {})
        for word, translation in dictionary.pairs:
            words.setdefault(word, {})[translation] = None
    return {
        language: {word: tuple(options) for word, options in words.items()}
        for language, words in found.items()
    }


def switch(
    sentences: Sequence[str],
    words: Mapping[str, Sequence[str]],
    settings: CodeSwitching,
    *,
    seed: tuple[int, int],
) -> list[str]:
    """Replace some words by one of their translations.

    Parameters
    ----------
    sentences : words are what stands between white space, without punctuation at its ends.
    words : word -> translations, all equally likely. A word that is not in it is looked up in lower
        case.

    Returns
    -------
    As many sentences. Of the words in the dictionary each is replaced with probability
    `settings.share`; if these are more than `settings.most` of all words, a random part of them.

    References
    ----------
    Wu, Conneau et al. (2020), section 4.2, "Extra anchors".
    """
    random = np.random.default_rng(seed)
    tokens = [sentence.split() for sentence in sentences]
    known, total = [], 0
    for row, sentence in enumerate(tokens):
        for place, token in enumerate(sentence):
            start, stop = _core(token)
            total += stop > start
            options = words.get(token[start:stop]) or words.get(token[start:stop].lower())
            if options:
                known.append((row, place, start, stop, options))
    chosen = np.flatnonzero(random.random(len(known)) < settings.share)
    limit = math.floor(settings.most * total)
    if len(chosen) > limit:
        chosen = random.permutation(chosen)[:limit]
    for number in chosen:
        row, place, start, stop, options = known[number]
        token = tokens[row][place]
        replacement = options[random.integers(len(options))]
        tokens[row][place] = token[:start] + replacement + token[stop:]
    return [" ".join(sentence) for sentence in tokens]


def with_parts_of(tuned: LoadedModel, view: LoadedModel) -> LoadedModel:
    """Read another language with what was learned in one.

    Parameters
    ----------
    tuned : LoadedModel
        A view after fine-tuning, its language-specific parts (`Encoder.language_specific`) frozen.
    view : LoadedModel
        The other language's view of the same pre-trained model.

    Returns
    -------
    LoadedModel : the language-specific parts and the tokenizer of `view`, the rest of `tuned`; copies.

    Raises
    ------
    ValueError : the two differ in what is language-specific.
    """
    names = view.model.language_specific
    if tuned.model.language_specific != names:
        raise ValueError(
            f"view: expected the language-specific parts {tuned.model.language_specific} of "
            f"{tuned.name}, got {names}"
        )
    model = copy.deepcopy(tuned.model)
    model.config = copy.deepcopy(view.model.config)
    for name in names:
        part = copy.deepcopy(view.model.get_submodule(name))
        model.set_submodule(name, part.to(device=model.device, dtype=model.dtype))
    return LoadedModel(tuned.name, model.eval(), view.tokenizer)


def in_language(tuned: nn.Module, view: LoadedModel) -> nn.Module:
    """Copy a fine-tuned classifier, tagger or parser so that it reads another language.

    See `with_parts_of`, which this applies to its encoder; the head is the same.
    """
    tuned = copy.deepcopy(tuned)
    holder = getattr(tuned, "words", tuned)  # taggers and parsers keep their encoder there
    loaded = with_parts_of(LoadedModel(holder.name, holder.model, holder.tokenizer), view)
    holder.model, holder.tokenizer = loaded.model, loaded.tokenizer
    return tuned.eval()


def _share(first: EncoderForMaskedLM, view: EncoderForMaskedLM, language: str) -> None:
    """Put the modules of `first` in place of those of `view`, but for what is language-specific."""
    own = set(first.encoder.language_specific)
    differing = {"vocab_size"} if first.config.separate_embeddings else set()
    a, b = first.config.to_dict(), view.config.to_dict()
    for key in (a.keys() | b.keys()) - differing:
        if a.get(key) != b.get(key):
            raise ValueError(
                f"configs: {language}: expected {key}={a.get(key)} as in the first language, "
                f"got {b.get(key)}"
            )
    for name, module in first.encoder.named_children():
        if name == "layers":
            for number, layer in enumerate(module):
                if f"layers.{number}" not in own:
                    view.encoder.layers[number] = layer
        elif name not in own:
            setattr(view.encoder, name, module)
    view.head.transform, view.head.norm = first.head.transform, first.head.norm
    if not first.config.separate_embeddings:
        view.head.bias = first.head.bias


def _renumbered(
    tokenizer: PreTrainedTokenizerFast, ids: Mapping[str, int], max_length: int
) -> PreTrainedTokenizerFast:
    """The same segmentation with other ids; the special tokens keep theirs."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    content["model"]["vocab"] = dict(ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(content)),
        model_max_length=max_length,
        padding_side="right",
        **SPECIAL,
    )


def _core(token: str) -> tuple[int, int]:
    """Where a word starts and stops between the punctuation around it; an empty stretch if it is none."""
    inside = [k for k, c in enumerate(token) if unicodedata.category(c)[0] not in "PS"]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)
