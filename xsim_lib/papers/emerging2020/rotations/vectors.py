"""Vectors of words: from the embedding table, averaged over contexts, or counted from text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.loading import token_limit
from xsim_lib.reading.words import Words, encode_words, states_of_words
from xsim_lib.text.word_links import AlignedSentence

__all__ = [
    "WordVectors",
    "aligned_states",
    "contextual_vectors",
    "count_vectors",
    "embedding_vectors",
]


@dataclass(frozen=True)
class WordVectors:
    """One vector per word and layer.

    Attributes
    ----------
    words : (n_words,) different strings.
    vectors : (n_layers, n_words, n_features) float64.
    """

    words: tuple[str, ...]
    vectors: Tensor

    def __post_init__(self) -> None:
        if self.vectors.ndim != 3 or self.vectors.shape[1] != len(self.words):
            raise ValueError(
                f"vectors: expected shape (n_layers, {len(self.words)}, n_features), "
                f"got {tuple(self.vectors.shape)}"
            )
        if len(set(self.words)) != len(self.words):
            twice = Counter(self.words).most_common(1)[0][0]
            raise ValueError(f"words: expected different words, got {twice!r} twice")


def embedding_vectors(
    loaded: LoadedModel, words: Iterable[str], *, whole: bool = True
) -> WordVectors:
    """Look words up in the embedding table, alone and without position.

    Parameters
    ----------
    words : repeated ones count once.
    whole : leave out words that the tokenizer cuts, as the paper does. Otherwise these have the mean
        of their sub-words.

    Returns
    -------
    WordVectors with one layer.

    Raises
    ------
    ValueError : no word is left.

    References
    ----------
    Wu, Conneau et al. (2020), section 5.1.1, Figure 4a.
    """
    words = list(dict.fromkeys(words))
    rows = loaded.tokenizer(
        [[word] for word in words], is_split_into_words=True, add_special_tokens=False
    )["input_ids"]
    unknown = loaded.tokenizer.unk_token_id
    found = {
        word: row
        for word, row in zip(words, rows, strict=True)
        if row and unknown not in row and (len(row) == 1 or not whole)
    }
    if not found:
        raise ValueError(f"words: expected some that are one sub-word of {loaded.name}, got none")
    table = loaded.model.get_input_embeddings().weight.detach().double()
    vectors = torch.stack([table[row].mean(0) for row in found.values()])
    return WordVectors(tuple(found), vectors[None])


@torch.no_grad()
def contextual_vectors(
    loaded: LoadedModel,
    sentences: Sequence[Sequence[str]],
    words: Iterable[str],
    *,
    max_length: int = 128,
    min_count: int = 1,
    key: Callable[[str], str] = str.lower,
    advance: Callable[[int], object] | None = None,
) -> WordVectors:
    """Average what a model makes of words, at every layer, over all their occurrences.

    Parameters
    ----------
    sentences : sequences of words, as the model should read them.
    words : those wanted.
    max_length : longest sequence, special tokens included; a word that it cuts is not counted.
    min_count : words that occur less often are left out.
    key : what is looked up in `words`; dictionaries are in lower case.
    advance : called with the number of sentences of every batch that is done.

    Returns
    -------
    WordVectors of n_layers + 1 layers, the embedding layer first, in the order of `words`. A word that
    is cut into sub-words has the mean over them.

    Raises
    ------
    ValueError : none of the words occurs as often; and see `encode_words`.

    References
    ----------
    Wu, Conneau et al. (2020), section 5.1.1, Figure 4b.
    """
    words = tuple(dict.fromkeys(words))
    number = {word: k for k, word in enumerate(words)}
    read = _read(loaded, sentences, max_length)
    # The last word of a sequence as long as can be may have lost its end.
    whole = read.n_read - (read.lengths >= min(max_length, token_limit(loaded)))
    chosen = [
        np.array([number.get(key(word), -1) for word in row[:kept]], dtype=np.int64)
        for row, kept in zip(sentences, whole, strict=True)
    ]
    # Sentences in which no wanted word occurs need not be read.
    useful = np.array([k for k, row in enumerate(chosen) if (row >= 0).any()], dtype=np.int64)
    pieces = np.zeros(len(words))
    counts = np.zeros(len(words), dtype=np.int64)
    sums: Tensor | None = None
    for rows, states in states_of_words(loaded, read, useful):
        places, owners = [], []
        for line, row in enumerate(rows):
            first = read.edges(row)
            for k in np.flatnonzero(chosen[row] >= 0):
                span = range(first[k], first[k + 1])
                places += [line * states.shape[2] + place for place in span]
                owners += [chosen[row][k]] * len(span)
                counts[chosen[row][k]] += 1
        flat = states.flatten(1, 2)[:, torch.tensor(places, device=states.device)].double()
        if sums is None:
            sums = flat.new_zeros(len(flat), len(words), flat.shape[-1])
        sums.index_add_(1, torch.tensor(owners, device=sums.device), flat)
        pieces += np.bincount(owners, minlength=len(words))
        if advance is not None:
            advance(len(rows))
    kept = np.flatnonzero(counts >= min_count)
    if sums is None or not len(kept):
        raise ValueError(f"words: none of {len(words)} occurs {min_count} times in the sentences")
    means = (
        sums[:, torch.as_tensor(kept)] / torch.as_tensor(pieces[kept], device=sums.device)[:, None]
    )
    return WordVectors(tuple(words[k] for k in kept), means)


@torch.no_grad()
def aligned_states(
    one: LoadedModel,
    two: LoadedModel,
    sentences: Sequence[AlignedSentence],
    *,
    layers: Sequence[int] | None = None,
    max_length: int = 128,
) -> tuple[Tensor, Tensor]:
    """States of words that translate each other in a sentence: a dictionary of words in context.

    Parameters
    ----------
    one, two : models of the source and of the target language.
    sentences : links of words beyond `max_length` are left out.
    layers : numbers of hidden states, 0 the embedding layer; None for all.

    Returns
    -------
    Two tensors (n_layers, n_links, n_features): row k of both is the same link. A word's state is
    that of its first sub-word, the one that taggers and parsers read.

    Raises
    ------
    ValueError : no link, or see `encode_words`.

    References
    ----------
    Wu, Conneau et al. (2020), section 5.1.2.
    """
    sides = [[row.source for row in sentences], [row.target for row in sentences]]
    read = [_read(m, side, max_length) for m, side in zip((one, two), sides, strict=True)]
    links = [
        (row, a, b)
        for row, sentence in enumerate(sentences)
        for a, b in sentence.links
        if a < read[0].n_read[row] and b < read[1].n_read[row]
    ]
    if not links:
        raise ValueError("sentences: expected some links between words, got none")
    rows, *words = (np.array(column) for column in zip(*links, strict=True))
    return tuple(
        _first_states(model, side, rows, places, layers)
        for model, side, places in zip((one, two), read, words, strict=True)
    )


def count_vectors(
    sentences: Sequence[Sequence[str]],
    words: Iterable[str],
    size: int,
    *,
    window: int = 4,
    min_count: int = 1,
    key: Callable[[str], str] = str.lower,
    seed: int = 0,
) -> WordVectors:
    r"""Vectors without any network, from how often words stand near each other: a baseline.

    .. math:: U \sqrt{\Sigma} \;\text{of}\; \max\left(0,
        \log \frac{\#(w, c) \sum \#}{\#(w) \, \#(c)^{3/4} / \text{norm}}\right)

    Parameters
    ----------
    sentences : sequences of words; all are contexts.
    words : those wanted.
    size : number of features; fewer than words and contexts.
    window : words on each side that are near; nearer ones count more (1 / distance).

    Returns
    -------
    WordVectors with one layer.

    Raises
    ------
    ValueError : too few words occur `min_count` times.

    References
    ----------
    Levy, Goldberg & Dagan (2015): what word2vec's skip-grams factorise, with smoothed contexts.
    """
    lines = [[key(word) for word in sentence] for sentence in sentences]
    total = Counter(word for line in lines for word in line)
    number = {word: k for k, word in enumerate(total)}
    wanted = [w for w in dict.fromkeys(words) if total[w] >= max(1, min_count)]
    if not 1 <= size < min(len(wanted), len(number)):
        raise ValueError(
            f"size: expected 1 to {min(len(wanted), len(number)) - 1}, fewer than the "
            f"{len(wanted)} words found; got {size}"
        )
    near: Counter[tuple[int, int]] = Counter()
    for line in lines:
        ids = [number[word] for word in line]
        for distance in range(1, window + 1):
            for pair in zip(ids, ids[distance:], strict=False):
                near[pair] += 1 / distance
    cells = np.array(list(near), dtype=np.int64).reshape(-1, 2)
    shape = (len(number), len(number))
    counts = scipy.sparse.coo_array((np.array(list(near.values())), cells.T), shape=shape).tocsr()
    counts = (counts + counts.T)[[number[w] for w in wanted]].tocoo()
    contexts = np.asarray(counts.sum(0)).ravel() ** 0.75
    rows = np.asarray(counts.sum(1)).ravel()
    expected = rows[counts.row] * (contexts / contexts.sum())[counts.col]
    counts.data = np.maximum(0, np.log(counts.data / expected))
    start = np.random.default_rng(seed).standard_normal(min(counts.shape))
    left, spread, _ = scipy.sparse.linalg.svds(counts.tocsr(), k=size, v0=start)
    return WordVectors(tuple(wanted), torch.from_numpy(left * np.sqrt(spread))[None])


def _read(loaded: LoadedModel, sentences: Sequence[Sequence[str]], max_length: int) -> Words:
    return encode_words(loaded.tokenizer, sentences, min(max_length, token_limit(loaded)))


def _first_states(
    loaded: LoadedModel,
    read: Words,
    rows: np.ndarray,
    words: np.ndarray,
    layers: Sequence[int] | None,
) -> Tensor:
    """States (n_layers, n_links, n_features) of the first sub-words of words of sentences."""
    out: Tensor | None = None
    for part, states in states_of_words(loaded, read, np.unique(rows)):
        states = states if layers is None else states[list(layers)]
        line = {row: k for k, row in enumerate(part)}
        mine = np.flatnonzero(np.isin(rows, part))
        places = [read.rows[rows[k]]["first"][words[k]] for k in mine]
        lines = [line[rows[k]] for k in mine]
        if out is None:
            out = states.new_empty(len(states), len(rows), states.shape[-1])
        out[:, torch.as_tensor(mine)] = states[:, torch.tensor(lines), torch.tensor(places)]
    return out
