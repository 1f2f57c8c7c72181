"""Do the signatures of two sets of languages vary differently: what section 5.2's page records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from xsim_lib.papers.parafac2023.variances import variance_tests

if TYPE_CHECKING:
    from xsim_lib.papers.parafac2023.signature_run import Signatures

__all__ = ["DIVERSE", "chance_rows", "set_means", "set_rows"]

DIVERSE = "diverse"  # the set that every other one is compared with


def set_means(found: Signatures, category: str, layer: int, languages: Sequence[str]) -> pd.Series:
    """Mean signatures of those languages that have the category; empty if it has no solution."""
    if (layer, category) not in found.solutions:
        return pd.Series(dtype=float)
    return found.means(category)[layer].reindex(list(languages)).dropna()


def set_rows(
    found: Mapping[str, Signatures],
    sets: Mapping[str, Sequence[str]],
    *,
    categories: Sequence[str],
    layers: Sequence[int],
    variant: str = "",
    relative: bool = False,
) -> list[dict]:
    """Compare the diverse set with each related one, for every category and layer.

    Parameters
    ----------
    found : name of a set -> signatures that its languages have in its model.
    sets : name -> languages, `DIVERSE` among them.
    variant : of the rows.
    relative : also compare values divided by the mean of their set, as the variant "relative".

    Returns
    -------
    Rows with pair_or_language (the related set), task (category), layer, variant, metric ("variance_ratio",
    "chi2_p", "f_p", see `variance_tests`), value and n (languages of both sets). A category that fewer than two
    languages of a set have gives none.
    """
    rows = []
    for name in sets:
        if name == DIVERSE:
            continue
        for category in categories:
            for layer in layers:
                pair = [set_means(found[x], category, layer, sets[x]) for x in (DIVERSE, name)]
                place = {"pair_or_language": name, "task": category, "layer": layer}
                rows += [place | {"variant": variant} | row for row in _tests(*pair)]
                if relative:
                    scaled = _tests(*(x / x.mean() for x in pair))
                    rows += [place | {"variant": "relative"} | row for row in scaled]
    return rows


def chance_rows(
    values: np.ndarray, n_diverse: int, n_related: int, draws: int, rng: np.random.Generator
) -> list[dict]:
    """How often the tests call two sets different that are drawn at random from the same languages.

    Parameters
    ----------
    values : (n_languages,) mean signatures in one model.
    n_diverse, n_related : sizes of both sets; the first is cut where there are too few languages for both.
    draws : pairs of sets, drawn with `rng`.

    Returns
    -------
    Rows with metric ("chi2_p_below_05", "f_p_below_05") and value, a share of the draws.
    """
    n, m = min(n_diverse, len(values) - n_related), n_related
    drawn = (rng.permutation(values) for _ in range(draws))
    found = [variance_tests(x[:n], x[n : n + m]) for x in drawn]
    return [
        {
            "metric": f"{test}_below_05",
            "value": np.mean([getattr(one, test) < 0.05 for one in found]),
        }
        for test in ("chi2_p", "f_p")
    ]


def _tests(sample: pd.Series, reference: pd.Series) -> list[dict]:
    """Ratio of variances and both tests, where they can be had."""
    if min(len(sample), len(reference)) < 2 or reference.nunique() < 2:
        return []
    test = variance_tests(sample, reference)
    found = {"variance_ratio": test.ratio, "chi2_p": test.chi2_p, "f_p": test.f_p}
    n = len(sample) + len(reference)
    return [{"metric": m, "value": v, "n": n} for m, v in found.items()]
