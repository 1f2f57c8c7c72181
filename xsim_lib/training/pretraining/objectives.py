"""What is hidden from a model and what it has to predict: from token ids to inputs and labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from xsim_lib.training.pretraining.settings import PretrainingSettings

IGNORED = -100  # the label of a position that is not to be predicted


def training_examples(
    ids: Tensor,
    tokenizer: PreTrainedTokenizerBase,
    words: Tensor,
    settings: PretrainingSettings,
    *,
    seed: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Inputs and labels of a batch (n, length), for the objective of `settings`."""
    if settings.objective == "clm":
        return ids, next_tokens(ids, tokenizer)
    return mask_tokens(ids, tokenizer, settings.mask_rate, words, seed=seed)


def next_tokens(ids: Tensor, tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """Labels (n, length) of a causal model: every token but the first of a row and the padding."""
    labels = ids.masked_fill(ids == tokenizer.pad_token_id, IGNORED)
    labels[:, 0] = IGNORED
    return labels


def mask_tokens(
    ids: Tensor,
    tokenizer: PreTrainedTokenizerBase,
    rate: float,
    words: Tensor,
    *,
    seed: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """BERT's corruption: choose `rate` of the ordinary tokens; 80 % mask, 10 % random, 10 % kept.

    Returns the corrupted ids and the labels (the original id where chosen, -100 elsewhere), both
    shaped like `ids`. Random tokens are drawn from `words`. At least one token is always chosen, so
    no batch is without a loss.
    """
    generator = torch.Generator().manual_seed(mix(*seed))
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    draw = torch.rand(ids.shape, generator=generator).masked_fill(special, 2.0)
    chosen = draw < rate
    chosen.view(-1)[draw.view(-1).argmin()] = True
    labels = torch.where(chosen, ids, IGNORED)
    kind = torch.rand(ids.shape, generator=generator)
    random = words[torch.randint(len(words), ids.shape, generator=generator)]
    inputs = torch.where(chosen & (kind < 0.8), tokenizer.mask_token_id, ids)
    return torch.where(chosen & (kind >= 0.9), random, inputs), labels


def ordinary(*tokenizers: PreTrainedTokenizerBase) -> Tensor:
    """Ids (n,) of all sub-words of these tokenizers that are no special tokens, in ascending order."""
    ids = {i for t in tokenizers for i in t.get_vocab().values()}
    return torch.tensor(sorted(ids - {i for t in tokenizers for i in t.all_special_ids}))


def mix(a: int, b: int) -> int:
    """One well-mixed 63-bit seed out of two numbers."""
    return int(np.random.SeedSequence([a, b]).generate_state(1, np.uint64)[0] >> np.uint64(1))
