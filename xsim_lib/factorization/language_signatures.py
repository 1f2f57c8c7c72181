"""Signatures: what a PARAFAC2 solution says of each language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xsim_lib.indices import validation

if TYPE_CHECKING:
    from xsim_lib.factorization.solver import Parafac2
    from xsim_lib.indices.validation import Array


def signatures(solution: Parafac2, *, scale_free: bool = True) -> pd.DataFrame:
    r"""One signature per language: its row of A.

    .. math:: s_{ir} = a_{ir} \, \lVert B_{\cdot r} \rVert \, \lVert C_{\cdot r} \rVert

    Parameters
    ----------
    solution : of `parafac2` or `parafac2_tensorly`.
    scale_free : bool
        Take the lengths of the columns of B and C into A, as above, so that every direction has unit
        length, as the paper's text says. False is A itself, as the authors' code has it: the solver may then
        shift length between A, B and C of a component as it likes.

    Returns
    -------
    DataFrame, languages in rows, components (0 is the strongest on average) in columns; nan where
    the language had no slice.

    Notes
    -----
    P_i has orthonormal columns, so the columns of P_i B are as long as those of B. Components have
    no order of their own; the strongest first, by the scale-free values, in both variants.

    References
    ----------
    Zhao et al. (2023), Section 3.
    """
    a = np.asarray(solution.A, dtype=np.float64)
    free = a * np.linalg.norm(solution.B, axis=0) * np.linalg.norm(solution.C, axis=0)
    order = np.argsort(-np.nanmean(np.abs(free), axis=0), kind="stable")
    values = (free if scale_free else a)[:, order]
    return pd.DataFrame(values, index=pd.Index(solution.names, name="language"))


def mean_signatures(solution: Parafac2, *, scale_free: bool = True) -> pd.Series:
    """The paper's condensed value of each language: the mean of its signature."""
    return signatures(solution, scale_free=scale_free).mean(axis=1, skipna=False)


def order_agreement(solution: Parafac2) -> float:
    """Spearman correlation of the languages' order by raw and by scale-free mean signature."""
    values = [mean_signatures(solution, scale_free=s).dropna() for s in (False, True)]
    return float(values[0].corr(values[1], method="spearman"))


def cross_covariances(
    multilingual: Mapping[str, tuple[Sequence, Array]],
    monolingual: Mapping[str, tuple[Sequence, Array]],
) -> dict[str, np.ndarray | None]:
    r"""Slices for `parafac2`: covariance of each monolingual model with the multilingual one.

    .. math:: \Omega_\ell = Z_\ell^T Y_\ell / n

    with both sides centred.

    Parameters
    ----------
    multilingual, monolingual : language -> (token ids, representations)
        Ids are any hashable values, one per row of (n_tokens, n_features). Rows are matched by id, never by
        position, so each side may be in any order.

    Returns
    -------
    dict of language -> (n_monolingual_features, n_multilingual_features), in the order of
    `multilingual`; None where neither side has a token.

    Raises
    ------
    ValueError : the languages differ, a side repeats an id, has other ids than the other side, or
        other ids than rows, or a language has one token only.

    References
    ----------
    Zhao et al. (2023), Eq. 2; the division by n is that of the authors' code.
    """
    if set(multilingual) != set(monolingual):
        odd = sorted(set(multilingual) ^ set(monolingual))
        raise ValueError(f"monolingual: expected the languages of multilingual, differ in {odd}")
    slices: dict[str, np.ndarray | None] = {}
    for language, (ids, rows) in multilingual.items():
        other_ids, other_rows = monolingual[language]
        many, one = (
            _positions(f"{side}[{language!r}]", i, r)
            for side, i, r in (
                ("multilingual", ids, rows),
                ("monolingual", other_ids, other_rows),
            )
        )
        if many.keys() != one.keys():
            odd = next(iter(many.keys() ^ one.keys()))
            raise ValueError(
                f"monolingual[{language!r}]: expected the {len(many)} token ids of multilingual, got "
                f"{len(one)}; {odd!r} is on one side only"
            )
        if not many:
            slices[language] = None
            continue
        y = validation.rows(f"multilingual[{language!r}]", rows, min_samples=2).cpu().numpy()
        z = validation.rows(f"monolingual[{language!r}]", other_rows, min_samples=2).cpu().numpy()
        z = z[[one[token] for token in ids]]
        slices[language] = (z - z.mean(0)).T @ (y - y.mean(0)) / len(y)
    return slices


def _positions(name: str, ids: Sequence, rows: Array) -> dict:
    if len(ids) != len(rows):
        raise ValueError(f"{name}: expected one token id per row, got {len(ids)} and {len(rows)}")
    found = {token: k for k, token in enumerate(ids)}
    if len(found) != len(ids):
        twice = next(t for k, t in enumerate(ids) if found[t] != k)
        raise ValueError(f"{name}: expected each token id once, got {twice!r} twice")
    return found
