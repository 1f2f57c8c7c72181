"""Sentences that come as words: one state per word, that of its first sub-word.

Taggers and parsers give one answer per word, encoders one state per sub-word. As in the papers, a word
is read at its first sub-word; the others only serve as context. A word beyond the longest sequence has
no state: it is counted, and whoever scores must score it as wrong, or the tail of long sentences would
leave the denominator.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.loading import load, quiet_transformers, token_limit
from xsim_lib.reading.batching import by_length

_BATCH_TOKENS = 8192  # padding included

__all__ = [
    "Ragged",
    "Sentences",
    "WordEncoder",
    "Words",
    "check_sentences",
    "encode_words",
    "states_of_words",
]


class Ragged:
    """Rows of integers of unequal length, stored end to end, so that a batch costs no Python loop.

    Parameters
    ----------
    rows : sequence of sequences of int
        Rows may be empty.
    """

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        rows = list(rows)
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._values = np.fromiter(
            chain.from_iterable(rows), dtype=np.int64, count=int(self.lengths.sum())
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def pad(self, chosen: np.ndarray, fill: int) -> np.ndarray:
        """Rows `chosen` as one int64 array (n_chosen, longest), `fill` on the right."""
        lengths = self.lengths[chosen]
        columns = np.arange(int(lengths.max(initial=0)))
        inside = columns < lengths[:, None]
        out = np.full(inside.shape, fill)
        out[inside] = self._values[(self._starts[chosen][:, None] + columns)[inside]]
        return out


class Sentences:
    """Sentences ready for some encoder, in batches.

    Attributes
    ----------
    lengths : (n_sentences,) int, steps the encoder takes, for batches of nearly one length.
    counts : (n_sentences,) int, words.
    n_read : (n_sentences,) int, words that have a state: the first ones of the sentence.
    """

    lengths: np.ndarray
    counts: np.ndarray
    n_read: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def n_cut(self) -> int:
        """Number of words that did not fit; they count as wrong."""
        return int(self.counts.sum() - self.n_read.sum())

    def batch(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Arguments of the encoder's `forward` for the sentences numbered `chosen`."""
        raise NotImplementedError

    def present(self, chosen: np.ndarray) -> Tensor:
        """Which cells (n, words) of a batch hold a word: bool, on the CPU."""
        lengths = torch.from_numpy(self.n_read[chosen])
        return torch.arange(int(lengths.max())) < lengths[:, None]


class Words(Sentences):
    """Sentences as sub-words, with the place of every word.

    Parameters
    ----------
    rows : (n_sentences,) dicts
        ``input_ids``: sub-words, special ones included; ``first``: where in them each word starts, for
        the words that fit; ``end``: where the last of these ends.
    counts : (n_sentences,) int, words of each sentence, with those that did not fit.
    padding : id that fills the rows of a batch.
    """

    def __init__(self, rows: list[dict[str, list[int]]], counts: np.ndarray, padding: int) -> None:
        self.rows, self.counts, self.padding = rows, counts, padding
        self._ids = Ragged(row["input_ids"] for row in rows)
        self._first = Ragged(row["first"] for row in rows)
        self.lengths, self.n_read = self._ids.lengths, self._first.lengths

    def edges(self, sentence: int) -> list[int]:
        """Where each word that was read starts, and where the last one ends: its sub-words lie between two of these."""
        row = self.rows[sentence]
        return [*row["first"], row["end"]]

    def batch(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Some sentences as tensors, padded on the right.

        Parameters
        ----------
        chosen : (n,) int, numbers of the sentences.

        Returns
        -------
        ``input_ids`` and ``attention_mask`` (n, sub-words), ``first`` (n, words) with 0 where the
        sentence has no more words. All int64, on the CPU.
        """
        ids = torch.from_numpy(self._ids.pad(chosen, self.padding))
        lengths = torch.from_numpy(self.lengths[chosen])
        return {
            "input_ids": ids,
            "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
            "first": torch.from_numpy(self._first.pad(chosen, 0)),
        }


def encode_words(
    tokenizer: PreTrainedTokenizerBase, sentences: Sequence[Sequence[str]], max_length: int
) -> Words:
    """Cut words into sub-words and remember where each word starts.

    Parameters
    ----------
    sentences : (n_sentences,) sequences of words.
    max_length : longest sequence, special tokens included. What is longer loses its end.

    Returns
    -------
    Words. A word of which nothing is left after the tokenizer's normalisation is the unknown token, so
    that every word has a place.

    Raises
    ------
    ValueError : no sentences, a sentence without words, an empty word, or no room for one sub-word.

    Notes
    -----
    Every word is cut alone, as if white space stood before it (what all tokenizers of transformers do
    with text that is given as words), and each different word once.
    """
    sentences = check_sentences(sentences)
    before, after = _specials(tokenizer)
    room = max_length - len(before) - len(after)
    if room < 1:
        raise ValueError(
            f"max_length: expected at least {len(before) + len(after) + 1} with this tokenizer's "
            f"special tokens, got {max_length}"
        )
    different = list(dict.fromkeys(chain.from_iterable(sentences)))
    pieces = dict(zip(different, _pieces(tokenizer, different), strict=True))
    rows = []
    for words in sentences:
        ids: list[int] = []
        first: list[int] = []
        for word in words:
            if len(ids) >= room:
                break
            first.append(len(before) + len(ids))
            ids += pieces[word]
        ids = before + ids[:room]
        rows.append({"input_ids": ids + after, "first": first, "end": len(ids)})
    counts = np.array([len(words) for words in sentences])
    return Words(rows, counts, tokenizer.pad_token_id)


@torch.no_grad()
def states_of_words(
    loaded: LoadedModel, read: Words, chosen: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Read sentences of words, in batches of nearly one length.

    Parameters
    ----------
    chosen : numbers of the sentences to read; None for all.

    Yields
    ------
    rows, states : numbers of the sentences of a batch, and their hidden states (n_layers + 1, n_rows, length,
        n_features), the embedding layer first, on the model's device. `Words.edges` says where words lie.
    """
    device = loaded.model.device
    order = np.arange(len(read)) if chosen is None else chosen
    order = order[np.argsort(read.lengths[order], kind="stable")]
    for rows in by_length(order, read.lengths, _BATCH_TOKENS):
        batch = read.batch(rows)
        states = loaded.model(
            input_ids=batch["input_ids"].to(device),
            attention_mask=batch["attention_mask"].to(device),
            output_hidden_states=True,
        ).hidden_states
        yield rows, torch.stack([state.to(device) for state in states])


class WordEncoder(nn.Module):
    """An encoder that reads words: what the heads of taggers and parsers stand on.

    Parameters
    ----------
    loaded : LoadedModel
        Not changed: the base model is copied, in float32, with nothing frozen.

    Attributes
    ----------
    model, tokenizer, name : the copy, and what it came with.
    width : number of features of a word's state.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__()
        if len(set(getattr(loaded.model, "hf_device_map", {"": 0}).values())) > 1:
            raise ValueError(f"loaded: {loaded.name} is spread over devices; load it on one")
        self.name, self.tokenizer = loaded.name, loaded.tokenizer
        base = copy.deepcopy(loaded.model.base_model)
        self.model: PreTrainedModel = base.float().requires_grad_(True)
        self.width = int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def loaded(self) -> LoadedModel:
        """The encoder as every other function takes it, for comparing its representations."""
        return LoadedModel(f"{self.name} (fine-tuned)", self.model, self.tokenizer)

    def read(self, sentences: Sequence[Sequence[str]], max_length: int) -> Words:
        """`encode_words` within the length that the model takes."""
        return encode_words(self.tokenizer, sentences, min(max_length, token_limit(self.loaded)))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, first: Tensor) -> Tensor:
        """States (n, words, width) of a batch made by `Words.batch`; any where there is no word."""
        device = self.device
        states = self.model(
            input_ids.to(device), attention_mask=attention_mask.to(device)
        ).last_hidden_state
        n, length, width = states.shape
        places = first.to(device) + length * torch.arange(n, device=device)[:, None]
        return F.embedding(places, states.reshape(n * length, width))

    def save(self, directory: Path) -> None:
        """Write the encoder and its tokenizer into a new folder, readable by `loading.load`."""
        with quiet_transformers():
            self.model.save_pretrained(directory)
            self.tokenizer.save_pretrained(directory)

    @classmethod
    def load(cls, directory: Path) -> WordEncoder:
        """Load what `save` wrote, in evaluation mode."""
        return cls(load(directory)).eval()


def check_sentences(sentences: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Sentences as a list, or an error that says which of them is not a sequence of words."""
    if isinstance(sentences, str):
        raise ValueError(f"sentences: expected sequences of words, got one string {sentences!r}")
    sentences = list(sentences)
    if not sentences:
        raise ValueError("sentences: expected at least one, got none")
    for number, words in enumerate(sentences):
        if isinstance(words, str) or not len(words):
            raise ValueError(
                f"sentences: number {number}: expected a sequence of words, got {words!r}"
            )
        for word in words:
            if not isinstance(word, str) or not word.strip():
                raise ValueError(f"sentences: number {number}: expected words, got {word!r}")
    return sentences


def _pieces(tokenizer: PreTrainedTokenizerBase, words: list[str]) -> list[list[int]]:
    encoded = tokenizer(
        [[word] for word in words], is_split_into_words=True, add_special_tokens=False
    )["input_ids"]
    empty = [word for word, ids in zip(words, encoded, strict=True) if not ids]
    if empty and tokenizer.unk_token_id is None:
        raise ValueError(
            f"sentences: the tokenizer leaves nothing of {empty[0]!r} and has no unknown token"
        )
    return [ids or [tokenizer.unk_token_id] for ids in encoded]


def _specials(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before and after a sentence, found by trying it on one word."""
    whole = tokenizer("a")["input_ids"]
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    raise ValueError(f"tokenizer: cannot tell the special tokens around {bare} in {whole}")
