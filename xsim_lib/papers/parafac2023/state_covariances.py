"""Covariances of two models' states of the same words, per layer and morphosyntactic category.

They are kept under everything that decides them: weights, the tokenizers' rules, sentences.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xsim_lib.evidence import cache
from xsim_lib.factorization import cross_covariances
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.models.loading import token_limit
from xsim_lib.papers.parafac2023.morphology import CATEGORIES, morphological_categories
from xsim_lib.reading.words import encode_words, states_of_words
from xsim_lib.text.types import Treebank

__all__ = ["ALL", "covariances_of_states", "word_states"]

ALL = ""  # the category of every word


def covariances_of_states(
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
        "models": [model_hash(m) for m in (multilingual, monolingual)],
        "words": [[(t.form, t.feats) for t in s.tokens] for s in bank.sentences],
        "max_length": max_length,
    }

    def compute() -> dict[str, np.ndarray]:
        sides = [word_states(m, bank, max_length) for m in (multilingual, monolingual)]
        both = set(sides[0][0]) & set(sides[1][0])  # another tokenizer may cut sentences elsewhere
        shown = {
            (s, w): morphological_categories(token.feats)
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

    return cache.cached_arrays("covariances", key, compute)


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
    owners = []
    for sentence, start in enumerate(first_word):
        edges = read.edges(sentence)
        owner = np.full(read.lengths[sentence], -1)
        owner[edges[0] : edges[-1]] = start + np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        owners.append(owner)
    out = None
    for chosen, states in states_of_words(loaded, read):
        states = states.float().cpu()
        if out is None:
            out = states.new_zeros(len(states), len(ids), states.shape[-1])
        for k, sentence in enumerate(chosen):
            owner = torch.from_numpy(owners[sentence])
            inside = owner >= 0
            out.index_add_(1, owner[inside], states[:, k, : len(owner)][:, inside])
    pieces = np.bincount(np.concatenate(owners)[np.concatenate(owners) >= 0], minlength=len(ids))
    return ids, out / torch.from_numpy(pieces).float()[:, None]
