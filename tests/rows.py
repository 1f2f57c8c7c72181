"""Rows of two representations, and how closely an index of them must agree with its textbook form."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

EXACT = {"rel": 1e-9, "abs": 1e-9}
few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def related(seed=0, n=60, dx=6, dy=6, noise=1.0):
    """Two representations that share part of their variance, with unequal neuron scales and means."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dx)) * rng.uniform(0.5, 3, dx) + rng.normal(size=dx)
    y = x @ rng.normal(size=(dx, dy)) + noise * rng.normal(size=(n, dy)) * rng.uniform(0.5, 3, dy)
    return x, y
