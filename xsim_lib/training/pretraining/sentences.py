"""Text as a model reads it: token ids, what is held out, and which sentences come at which step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xsim_lib.reading.batching import by_length
from xsim_lib.text.types import Corpus
from xsim_lib.training.pretraining.objectives import ordinary
from xsim_lib.training.pretraining.settings import PretrainingSettings


@dataclass(frozen=True)
class Sequences:
    """Token ids of many sentences, stored end to end."""

    tokens: np.ndarray
    ends: np.ndarray  # ends[k] is where sentence k stops

    @classmethod
    def encode(
        cls, tokenizer: PreTrainedTokenizerBase, sentences: Sequence[str], max_length: int
    ) -> Sequences:
        ids = tokenizer(list(sentences), truncation=True, max_length=max_length)["input_ids"]
        tokens = np.fromiter((t for row in ids for t in row), dtype=np.int32)
        return cls(tokens, np.cumsum([len(row) for row in ids]))

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.diff(self.ends, prepend=0)

    def batch(self, rows: np.ndarray, pad: int) -> Tensor:
        """Rows as (n, longest) ids, padded on the right."""
        out = torch.full((len(rows), int(self.lengths[rows].max())), pad)
        for k, row in enumerate(rows):
            start = self.ends[row - 1] if row else 0
            out[k, : self.ends[row] - start] = torch.from_numpy(self.tokens[start : self.ends[row]])
        return out


@dataclass(frozen=True)
class Text:
    """Sentences that share batches, and the tokenizer that reads them.

    Attributes
    ----------
    language : None where the languages are mixed.
    words : ids from which the masked objective draws its random tokens.
    lines : the training sentences, of which `train` is the encoded form.
    """

    language: str | None
    tokenizer: PreTrainedTokenizerBase
    words: Tensor
    lines: tuple[str, ...]
    train: Sequences
    held_out: Sequences


def read_text(
    corpus: Corpus,
    tokenizers: PreTrainedTokenizerBase | Mapping[str, PreTrainedTokenizerBase],
    settings: PretrainingSettings,
    *,
    own_words: bool,
) -> list[Text]:
    """Hold sentences out and encode the rest: one text, or one per language if batches are.

    Parameters
    ----------
    own_words : bool
        Random tokens come from the language's own tokenizer, not from all of them.

    Raises
    ------
    ValueError : a language with no more sentences than are to be held out.
    """
    parts = {language: split(corpus, language, settings.held_out) for language in corpus.languages}
    if settings.sampling_exponent is None:
        train = [line for kept, _ in parts.values() for line in kept]
        parts = {None: (train, [line for _, held_out in parts.values() for line in held_out])}
    if not isinstance(tokenizers, Mapping):
        tokenizers = dict.fromkeys(parts, tokenizers)
    everyone = ordinary(*tokenizers.values())
    return [
        Text(
            language,
            tokenizers[language],
            ordinary(tokenizers[language]) if own_words else everyone,
            tuple(train),
            Sequences.encode(tokenizers[language], train, settings.max_length),
            Sequences.encode(tokenizers[language], held_out, settings.max_length),
        )
        for language, (train, held_out) in parts.items()
    ]


def schedule(
    texts: Sequence[Text], settings: PretrainingSettings, skip: int
) -> Iterator[tuple[Text, np.ndarray]]:
    """Which text and which of its sentences are the batch of step `skip` + 1, ..., `steps`."""
    several = len(texts) > 1
    streams = [
        _epochs(t.train, settings, *([k + 1] if several else [])) for k, t in enumerate(texts)
    ]
    sizes = np.array([len(text.lines) for text in texts], dtype=np.float64)
    weights = sizes ** (settings.sampling_exponent or 0.0)
    random = np.random.default_rng(np.random.SeedSequence(settings.seed, spawn_key=(1,)))
    drawn = random.choice(len(texts), size=settings.steps, p=weights / weights.sum())
    for step, number in enumerate(drawn):
        rows = next(streams[number])
        if step >= skip:
            yield texts[number], rows


def _epochs(
    sentences: Sequences, settings: PretrainingSettings, *stream: int
) -> Iterator[np.ndarray]:
    """Batches of sentences of (nearly) one length, in a new random order every epoch, forever."""
    epoch = 0
    while True:
        random = np.random.default_rng([settings.seed, epoch, *stream])
        shuffled = random.permutation(len(sentences.ends))
        order = shuffled[np.argsort(sentences.lengths[shuffled], kind="stable")]
        batches = list(by_length(order, sentences.lengths, settings.tokens_per_step))
        for index in random.permutation(len(batches)):
            yield batches[index]
        epoch += 1


def split(corpus: Corpus, language: str, n: int) -> tuple[list[str], list[str]]:
    """Sentences to train on, and `n` that are held out."""
    lines = corpus.sentences[language]
    if len(lines) <= n:
        raise ValueError(
            f"corpus: expected more than {n} sentences (held_out) in {language}, got {len(lines)}"
        )
    # Evenly spaced, because real text comes domain after domain.
    chosen = set(np.linspace(0, len(lines) - 1, n).astype(int).tolist())
    kept = [line for k, line in enumerate(lines) if k not in chosen]
    return kept, [line for k, line in enumerate(lines) if k in chosen]
