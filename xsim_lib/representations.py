"""Sentences in, pooled representations per layer out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from xsim_lib.batching import by_length
from xsim_lib.models import LoadedModel

POOLINGS = ("mean", "mean_words", "first")


@torch.no_grad()
def encode(
    loaded: LoadedModel,
    sentences: Sequence[str],
    *,
    pooling: str = "mean",
    batch_tokens: int = 8192,
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

    Returns
    -------
    (n_layers + 1, n_samples, n_features) on the model's device; layer 0 is the embedding layer.

    Raises
    ------
    ValueError : unknown pooling, no sentence, or a sentence longer than the model can read.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling: expected one of {', '.join(POOLINGS)}; got {pooling!r}")
    if not sentences:
        raise ValueError("sentences: expected at least one sentence, got none")
    model, tokenizer = loaded.model, loaded.tokenizer
    ids = tokenizer(list(sentences))["input_ids"]
    lengths = np.array([len(row) for row in ids])
    limit = getattr(model.config, "max_position_embeddings", None) or lengths.max()
    if lengths.max() > limit:
        row = int(lengths.argmax())
        raise ValueError(
            f"sentences: sentence {row} has {lengths[row]} tokens, {loaded.name} reads at most {limit}"
        )
    special = torch.tensor(tokenizer.all_special_ids, device=model.device)
    out: Tensor | None = None
    for rows in by_length(np.argsort(lengths, kind="stable"), lengths, batch_tokens):
        batch = torch.full((len(rows), int(lengths[rows].max())), tokenizer.pad_token_id)
        for k, row in enumerate(rows):
            batch[k, : lengths[row]] = torch.tensor(ids[row])
        batch = batch.to(model.device)
        attention = batch != tokenizer.pad_token_id
        states = model(
            input_ids=batch, attention_mask=attention, output_hidden_states=True
        ).hidden_states
        pooled = torch.stack([_pool(h, batch, attention, special, pooling) for h in states])
        if out is None:
            out = pooled.new_empty(pooled.shape[0], len(sentences), pooled.shape[2])
        out[:, torch.as_tensor(rows, device=model.device)] = pooled
    return out


def _pool(hidden: Tensor, ids: Tensor, attention: Tensor, special: Tensor, pooling: str) -> Tensor:
    if pooling == "first":
        return hidden[:, 0]
    kept = attention & ~torch.isin(ids, special) if pooling == "mean_words" else attention
    weights = kept.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
