"""Slices whose components are known, and how near a solution comes to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from xsim_lib.indices import validation

if TYPE_CHECKING:
    from xsim_lib.factorization.solver import Parafac2


@dataclass(frozen=True)
class Planted:
    """Slices made of components, and these components.

    Attributes
    ----------
    slices : name -> (width, width).
    signatures : languages in rows, components in columns: the length of each component in each slice.
    directions : (width, n_components), the columns of C at unit length.
    """

    slices: dict[str, np.ndarray]
    signatures: pd.DataFrame
    directions: np.ndarray


def plant(
    n_languages: int,
    width: int,
    n_components: int,
    *,
    noise: float = 0.0,
    fall: float = 0.0,
    seed: int = 0,
) -> Planted:
    r"""Slices of the model itself, as alike as those of encoders: one multilingual side, many others.

    .. math:: X_i = P_i B \operatorname{diag}(a_i) C^T + \sigma \frac{\lVert X \rVert}{\lVert E \rVert} E_i

    Parameters
    ----------
    n_languages, width : number of slices, and rows and columns of each.
    n_components : columns of B and C, at most `width`.
    noise : :math:`\sigma`, the length of the noise relative to that of all slices.
    fall : component r is :math:`r^{-fall}` as strong as the first one; 0: all alike.
    seed : of everything that is drawn: a uniform in [0.3, 2], B the identity and 0.4 of a normal matrix
        whose columns have unit length on average, C and E normal, P orthonormal.

    Raises
    ------
    ValueError : a number is out of range, such as more components than `width`.
    """
    validation.number("n_languages", n_languages, low=2, high=10**4, integer=True)
    validation.number("width", width, low=2, high=10**5, integer=True)
    validation.number("n_components", n_components, low=1, high=width, integer=True)
    validation.number("noise", noise, low=0, high=100)
    validation.number("fall", fall, low=0, high=10)
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.3, 2, (n_languages, n_components))
    a *= (1 + np.arange(n_components)) ** -float(fall)
    mixing = rng.normal(size=(n_components, n_components)) / np.sqrt(n_components)
    b, c = np.eye(n_components) + 0.4 * mixing, rng.normal(size=(width, n_components))
    rotations = np.linalg.qr(rng.normal(size=(n_languages, width, n_components)))[0]
    x = (rotations @ b * a[:, None]) @ c.T
    e = rng.normal(size=x.shape)
    x += noise * np.linalg.norm(x) / np.linalg.norm(e) * e
    lengths = np.linalg.norm(c, axis=0)
    names = [f"language {k + 1}" for k in range(n_languages)]
    return Planted(
        dict(zip(names, x, strict=True)),
        pd.DataFrame(a * np.linalg.norm(b, axis=0) * lengths, index=names),
        c / lengths,
    )


def congruence(found: Parafac2 | Planted, truth: Parafac2 | Planted) -> float:
    r"""Smallest cosine of the signatures of two solutions, or of one and the truth.

    .. math:: \min\Bigl(\min_\ell |\cos(s_{\ell\cdot}, t_{\ell\pi})|, \;
        \min_r |\cos(s_{\cdot r}, t_{\cdot\pi(r)})|\Bigr)

    with the matching :math:`\pi` of components that has the largest sum of
    :math:`|\cos(s_{\cdot r}, t_{\cdot q})| |\cos(c_r, d_q)|`. A row is the signature of a language,
    a column what one component is in all languages. Lengths of components count as in
    `signatures` without scale; the order of components does not.

    Parameters
    ----------
    found, truth : of the same languages; where one has more components, its best matching ones are compared.

    Returns
    -------
    float in [0, 1]; 1 are equal signatures. Positive signatures that have nothing to do with each other
    do not give 0 but the cosine of positive vectors, so an unrelated pair belongs beside it.

    Raises
    ------
    ValueError : the languages differ, or one lacks a signature.
    """
    sides = []
    for name, side in (("found", found), ("truth", truth)):
        table, c = _components(side)
        if table.isna().any(axis=None):
            without = table.index[table.isna().any(axis=1)]
            raise ValueError(
                f"{name}: expected a signature of every language, none of {without[0]!r}"
            )
        sides.append((table, c))
    (s, c), (t, d) = sides
    if list(s.index) != list(t.index):
        odd = sorted(set(s.index) ^ set(t.index)) or "their order"
        raise ValueError(f"truth: expected the languages of found, differ in {odd}")
    s, t = s.to_numpy(), t.to_numpy()
    columns = np.abs(_cosines(s, t))
    chosen = linear_sum_assignment(-columns * np.abs(_cosines(c, d)))
    rows = _unit(np.abs(s[:, chosen[0]]).T) * _unit(np.abs(t[:, chosen[1]]).T)
    return float(min(columns[chosen].min(), rows.sum(0).min()))


def _components(side: Parafac2 | Planted) -> tuple[pd.DataFrame, np.ndarray]:
    """Signatures and directions, component by component."""
    if isinstance(side, Planted):
        return side.signatures, side.directions
    lengths = np.linalg.norm(side.B, axis=0) * np.linalg.norm(side.C, axis=0)
    return pd.DataFrame(side.A * lengths, index=list(side.names)), side.C


def _unit(x: np.ndarray) -> np.ndarray:
    """Columns at unit length; a column of zeros stays."""
    return x / np.maximum(np.linalg.norm(x, axis=0), np.finfo(float).tiny)


def _cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _unit(x).T @ _unit(y)
