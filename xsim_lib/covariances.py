"""Covariances of two models' states of the same words, per layer and morphosyntactic category.

They are kept under a name made of everything that decides them: weights, sentences, code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from xsim_lib import paths
from xsim_lib.batching import by_length
from xsim_lib.categories import CATEGORIES, categories
from xsim_lib.factorization import cross_covariances
from xsim_lib.fitting import weights_hash
from xsim_lib.hashing import atomic_write, code_hash, stable_hash
from xsim_lib.loading import token_limit
from xsim_lib.models import LoadedModel
from xsim_lib.texts import Treebank
from xsim_lib.words import encode_words

__all__ = ["ALL", "cached_code_hash", "covariances", "kept_arrays", "word_states"]

ALL = ""  # the category of every word
_BATCH = 8192  # tokens, padding included
_CODE = tuple(
    f"xsim_lib.{m}" for m in ("covariances", "words", "models", "categories", "factorization")
)


def covariances(
    multilingual: LoadedModel, monolingual: LoadedModel, bank: Treebank, max_length: int
) -> dict[str, np.ndarray]:
    """Read annotated sentences with two models and let their states vary together.

    Parameters
    ----------
    bank : annotated sentences of the language.
    max_length : longest sequence, in sub-words. Words that either model does not read are left out.

    Returns
    -------
    dict : ``"layer/category"`` -> (n_monolingual_features, n_multilingual_features) in float32, see
    `factorization.cross_covariances`, for all layers and all categories with two words or more; and
    "counts", the words of `ALL` and each of `CATEGORIES`.

    Raises
    ------
    ValueError : the models differ in depth.
    """
    depths = [m.model.config.num_hidden_layers for m in (multilingual, monolingual)]
    if depths[0] != depths[1]:
        raise ValueError(
            f"monolingual: expected {depths[0]} layers as {multilingual.name} has, "
            f"{monolingual.name} has {depths[1]}"
        )
    key = {
        "models": [_identity(m) for m in (multilingual, monolingual)],
        "words": [[(t.form, t.feats) for t in s.tokens] for s in bank.sentences],
        "max_length": max_length,
        "code": cached_code_hash(*_CODE),
    }

    def compute() -> dict[str, np.ndarray]:
        sides = [word_states(m, bank, max_length) for m in (multilingual, monolingual)]
        both = set(sides[0][0]) & set(sides[1][0])  # another tokenizer may cut sentences elsewhere
        shown = {
            (s, w): categories(token.feats)
            for s, sentence in enumerate(bank.sentences)
            for w, token in enumerate(sentence.tokens)
            if (s, w) in both
        }
        found: dict[str, np.ndarray] = {"counts": np.zeros(1 + len(CATEGORIES), dtype=np.int64)}
        for number, category in enumerate((ALL, *CATEGORIES)):
            members = {w for w, own in shown.items() if category == ALL or category in own}
            found["counts"][number] = len(members)
            if len(members) < 2:
                continue
            ids, rows = zip(*(_of(members, *side) for side in sides), strict=True)
            for layer in range(depths[0] + 1):
                one = {bank.language: (ids[0], rows[0][layer])}
                other = {bank.language: (ids[1], rows[1][layer])}
                slices = cross_covariances(one, other)
                found[f"{layer}/{category}"] = slices[bank.language].astype(np.float32)
        return found

    return kept_arrays("covariances", key, compute)


def _of(
    members: set[tuple[int, int]], ids: list[tuple[int, int]], states: Tensor
) -> tuple[list[tuple[int, int]], Tensor]:
    places = [k for k, word in enumerate(ids) if word in members]
    return [ids[k] for k in places], states[:, places].double()


@torch.no_grad()
def word_states(
    loaded: LoadedModel, bank: Treebank, max_length: int
) -> tuple[list[tuple[int, int]], Tensor]:
    r"""State of every word at every layer: the mean over its sub-words.

    Parameters
    ----------
    bank : annotated sentences; only their words are read.
    max_length : longest sequence; sub-words beyond are not read.

    Returns
    -------
    ids, states : (sentence, word) of every word that was read, from 0, and (n_layers + 1, n_words,
        n_features) in float32 on the CPU, in that order.
    """
    forms = [[token.form for token in sentence.tokens] for sentence in bank.sentences]
    read = encode_words(loaded.tokenizer, forms, min(max_length, token_limit(loaded)))
    ids = [(s, w) for s, n in enumerate(read.n_read) for w in range(n)]
    first_word = np.cumsum(read.n_read) - read.n_read
    # Words stand between the special tokens; the last one ends where those after the sentence start.
    after = loaded.tokenizer.num_special_tokens_to_add() - read.rows[0]["first"][0]
    owners = []
    for row, start in zip(read.rows, first_word, strict=True):
        edges = [*row["first"], len(row["input_ids"]) - after]
        owner = np.full(len(row["input_ids"]), -1)
        owner[edges[0] : edges[-1]] = start + np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        owners.append(owner)
    model, out = loaded.model, None
    order = np.argsort(read.lengths, kind="stable")
    for chosen in by_length(order, read.lengths, _BATCH):
        batch = read.batch(chosen)
        states = torch.stack(
            model(
                input_ids=batch["input_ids"].to(model.device),
                attention_mask=batch["attention_mask"].to(model.device),
                output_hidden_states=True,
            ).hidden_states
        )
        states = states.float().cpu()
        if out is None:
            out = states.new_zeros(len(states), len(ids), states.shape[-1])
        for k, sentence in enumerate(chosen):
            owner = torch.from_numpy(owners[sentence])
            inside = owner >= 0
            out.index_add_(1, owner[inside], states[:, k, : len(owner)][:, inside])
    pieces = np.bincount(np.concatenate(owners)[np.concatenate(owners) >= 0], minlength=len(ids))
    return ids, out / torch.from_numpy(pieces).float()[:, None]


@cache
def cached_code_hash(*modules: str) -> str:
    """`hashing.code_hash`, read once per process."""
    return code_hash(*modules)


def _identity(loaded: LoadedModel) -> str:
    backend = loaded.tokenizer.backend_tokenizer.to_str()
    return stable_hash([weights_hash(loaded.model), loaded.model.config.to_dict(), backend])


def kept_arrays(
    kind: str, key: Mapping, compute: Callable[[], Mapping[str, object]]
) -> dict[str, np.ndarray]:
    """Read arrays that were kept under `key`; where there are none, compute and keep them."""
    path = paths.cache_dir() / "signatures" / kind / f"{stable_hash(key)[:24]}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            with atomic_write(path) as temporary:
                np.savez(temporary, **compute())
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}
