"""Matching accuracy: is the nearest sentence on the other side the translation?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xsim_lib.indices import validation

if TYPE_CHECKING:
    import torch

    from xsim_lib.indices.validation import Array

__all__ = ["matching_accuracy"]

# Cosines closer than this are a tie: rounding in a matrix product depends on where in it a row
# stands, and must not decide between two copies of one sentence.
_TIE = 1e-12
_CHUNK_BYTES = 2**23


def matching_accuracy(
    x: Array,
    y: Array,
    *,
    centre: str | None = None,
    reverse: bool = False,
    details: bool = False,
) -> Any:
    r"""Share of sentences whose nearest neighbour on the other side is their translation.

    .. math:: \frac{1}{n} \sum_k \left[ k = \arg\max_j \cos(x_k, y_j) \right]

    Parameters
    ----------
    x, y : (n_samples, n_features)
        Row k of both is the same sentence.
    centre : None, "language" or "sentence"
        None: raw, as in the papers. "language" subtracts each side's mean row. "sentence" subtracts
        each row's own mean over features, which is what the variant called centred in the code of
        anc2022 does.
    reverse : bool
        Search x for each row of y instead of y for each row of x.
    details : bool
        Return the hits as a bool array (n_samples,) instead of their mean.

    Returns
    -------
    float in [0, 1]; chance is 1 / n_samples.

    Raises
    ------
    ValueError : shapes differ, n_samples < 2, a value is not finite, or `centre` is unknown.

    Notes
    -----
    Ties (cosines within 1e-12) go to the first row, so repeated sentences count once. A row of
    zeros has cosine 0 with everything. Memory beyond the rows is bounded: cosines are computed a
    block of rows at a time.

    References
    ----------
    Del & Fishel (2022), section 4; Pires, Schlinger & Garrette (2019).
    """
    import torch

    a, b = validation.pair(x, y, same_features=True)
    validation.one_of("centre", centre, (None, "language", "sentence"))
    if centre is not None:
        axis = 0 if centre == "language" else 1
        a, b = (side - side.mean(axis, keepdim=True) for side in (a, b))
    source, target = (_unit_rows(side) for side in ((b, a) if reverse else (a, b)))
    n = len(source)
    step = max(1, _CHUNK_BYTES // (8 * n))
    found = []
    for start in range(0, n, step):
        cosines = source[start : start + step] @ target.T
        best = cosines.amax(dim=1, keepdim=True)
        found.append((cosines >= best - _TIE).byte().argmax(dim=1))
    hits = torch.cat(found) == torch.arange(n, device=source.device)
    return hits.cpu().numpy() if details else hits.double().mean().item()


def _unit_rows(x: torch.Tensor) -> torch.Tensor:
    norms = x.norm(dim=1, keepdim=True)
    return x / norms.masked_fill(norms == 0, 1)
