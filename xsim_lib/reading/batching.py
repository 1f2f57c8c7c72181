"""Batches of sentences of nearly equal length, so that almost no computation goes into padding."""

from collections.abc import Iterator

import numpy as np


def by_length(order: np.ndarray, lengths: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """Cut `order` (sentence numbers sorted by length) into batches of at most `tokens`, padding included.

    A sentence longer than `tokens` is a batch of its own.
    """
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop - start + 1) * lengths[order[stop]] <= tokens:
            stop += 1
        yield order[start:stop]
        start = stop
