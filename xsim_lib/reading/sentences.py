"""Sentences in, pooled representations per layer out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.loading import token_limit
from xsim_lib.reading.batching import by_length

POOLINGS = ("mean", "mean_words", "first")
_PART = 2000  # sentences tokenised at once when only their lengths are wanted


@torch.no_grad()
def encode(
    loaded: LoadedModel,
    sentences: Sequence[str],
    *,
    pooling: str = "mean",
    batch_tokens: int = 8192,
    truncate: int | None = None,
    advance: Callable[[int], object] | None = None,
) -> Tensor:
    r"""Sentence representations at every layer.

    .. math:: z_l = \frac{1}{|T|} \sum_{t \in T} h_{l,t}

    Parameters
    ----------
    loaded : LoadedModel
    sentences : (n_samples,) str
    pooling : {"mean", "mean_words", "first"}
        The set T of tokens: all tokens, special ones included, as the authors of anc2022 do; all but
        the special tokens; or the first token only.
    batch_tokens : int
        Sentences are sorted by length and cut into batches of at most this many tokens, so that
        little is padding. The result does not depend on it beyond rounding.
    truncate : int, optional
        Cut sentences to this many tokens, special ones included (the authors of anc2022: 100).
        None refuses sentences that are too long for the model.
    advance : called with the number of sentences of every batch that is done.

    Returns
    -------
    (n_layers + 1, n_samples, n_features) on the model's device; layer 0 is the embedding layer. A
    model in half precision is pooled in float32, so that its rounding is not added to.

    Raises
    ------
    ValueError : unknown pooling, no sentence, or a sentence longer than the model can read.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling: expected one of {', '.join(POOLINGS)}; got {pooling!r}")
    if not sentences:
        raise ValueError("sentences: expected at least one sentence, got none")
    model, tokenizer = loaded.model, loaded.tokenizer
    ids = _token_ids(loaded, sentences, truncate)
    lengths = np.array([len(row) for row in ids])
    check_lengths(loaded, lengths, "sentences", first=0)
    special = torch.tensor(tokenizer.all_special_ids, device=model.device)
    out: Tensor | None = None
    for rows in by_length(np.argsort(lengths, kind="stable"), lengths, batch_tokens):
        batch = torch.full((len(rows), int(lengths[rows].max())), tokenizer.pad_token_id)
        # Not "is no padding token": a causal model may pad with the token that ends its sentences.
        attention = torch.arange(batch.shape[1]) < torch.as_tensor(lengths[rows]).unsqueeze(1)
        for k, row in enumerate(rows):
            batch[k, : lengths[row]] = torch.tensor(ids[row])
        batch, attention = batch.to(model.device), attention.to(model.device)
        states = model(
            input_ids=batch, attention_mask=attention, output_hidden_states=True
        ).hidden_states
        pooled = torch.stack([_pool(h, batch, attention, special, pooling) for h in states])
        if out is None:
            out = pooled.new_empty(pooled.shape[0], len(sentences), pooled.shape[2])
        out[:, torch.as_tensor(rows, device=model.device)] = pooled
        if advance is not None:
            advance(len(rows))
    return out


def token_lengths(loaded: LoadedModel, sentences: Sequence[str]) -> np.ndarray:
    """Count the tokens of every sentence, special ones included: int (n_samples,)."""
    counts = []
    for start in range(0, len(sentences), _PART):
        ids = loaded.tokenizer(list(sentences[start : start + _PART]), verbose=False)["input_ids"]
        counts += [len(row) for row in ids]
    return np.array(counts)


def check_lengths(loaded: LoadedModel, lengths: np.ndarray, where: str, *, first: int) -> None:
    """Raise ValueError for the longest sentence if the model cannot read it.

    `where` starts the message; `first` is the number that the first sentence goes by.
    """
    limit = token_limit(loaded)
    if lengths.max() <= limit:
        return
    row = int(lengths.argmax())
    more = int((lengths > limit).sum()) - 1
    raise ValueError(
        f"{where}: sentence {row + first} has {lengths[row]} tokens, {loaded.name} reads at most "
        f"{limit}{f' ({more} more are too long)' if more else ''}. Shorten or drop it in all "
        f"languages, or cut every sentence to N <= {limit} tokens with truncate=N (--truncate N; "
        "the authors of anc2022 used 100)"
    )


def check_truncate(loaded: LoadedModel, truncate: int) -> None:
    """Raise ValueError unless sentences can be cut to this many tokens, special ones included."""
    low, high = loaded.tokenizer.num_special_tokens_to_add() + 1, token_limit(loaded)
    if not low <= truncate <= high:
        raise ValueError(
            f"truncate: expected {low} to {high} tokens for {loaded.name}, got {truncate}"
        )


def _token_ids(
    loaded: LoadedModel, sentences: Sequence[str], truncate: int | None
) -> list[list[int]]:
    if truncate is None:
        return loaded.tokenizer(list(sentences), verbose=False)["input_ids"]
    check_truncate(loaded, truncate)
    return loaded.tokenizer(list(sentences), truncation=True, max_length=truncate)["input_ids"]


def _pool(hidden: Tensor, ids: Tensor, attention: Tensor, special: Tensor, pooling: str) -> Tensor:
    # A model spread over several devices leaves its layers where they were computed.
    hidden = hidden.to(ids.device, torch.promote_types(hidden.dtype, torch.float32))
    if pooling == "first":
        return hidden[:, 0]
    kept = attention & ~torch.isin(ids, special) if pooling == "mean_words" else attention
    weights = kept.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
