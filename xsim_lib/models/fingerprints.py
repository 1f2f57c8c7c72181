"""Which model this is: its weights, its settings, and the rules by which its tokenizer cuts text."""

from __future__ import annotations

import hashlib
import json

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.models.encoder import LoadedModel

__all__ = ["model_hash", "tokenizer_hash", "weights_hash"]


def model_hash(loaded: LoadedModel | nn.Module) -> str:
    """Sha256 (hex) over everything about a model that decides what it makes of a text.

    Two models of one hash give the same representations: same weights, same settings (weights do not tell
    how many heads read them) and a tokenizer with the same rules. Names and paths are no part of it.
    """
    if not isinstance(loaded, LoadedModel):  # it cuts text itself
        return stable_hash([weights_hash(loaded), *loaded.vocabularies])
    config = {k: v for k, v in loaded.model.config.to_dict().items() if not k.startswith("_")}
    rules = tokenizer_hash(loaded.tokenizer)
    return stable_hash([weights_hash(loaded.model), json.dumps(config, sort_keys=True, default=str), rules])  # fmt: skip


def weights_hash(model: nn.Module) -> str:
    """Sha256 (hex) over the name, type, shape and value of everything a model's state holds."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """Sha256 (hex) over a tokenizer's rules: normalizer, pre-tokenizer, model with its vocabulary, special tokens.

    Notes
    -----
    Two tokenizers with one vocabulary may cut the same text differently. How the last call padded and
    truncated also stands in the tokenizer's own description, and is left out.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # written in Python: its class holds the rules
        rules = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        rules = json.loads(backend.to_str())
        rules = {k: v for k, v in rules.items() if k not in ("padding", "truncation")}
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items()}
    limits = [tokenizer.model_max_length, tokenizer.truncation_side]
    return stable_hash([rules, special, limits])
