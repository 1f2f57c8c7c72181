"""Rows on whether PARAFAC2 finds planted components: random starts and solvers held against the truth."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import pandas as pd

from xsim_lib import factorization
from xsim_lib.factorization import Parafac2, Planted

__all__ = ["distance_order", "mean_order", "solver_rows", "start_rows"]


def mean_order(one: pd.DataFrame, two: pd.DataFrame) -> float:
    """Rank correlation of the languages' mean signatures; tables have languages in rows, components in columns."""
    return one.mean(axis=1).corr(two.mean(axis=1), method="spearman")


def distance_order(one: pd.DataFrame, two: pd.DataFrame) -> float:
    """Rank correlation of the cosine distances between languages, of the same tables."""
    distances = map(factorization.cosine_distances, (one, two))
    return factorization.distance_agreement(*distances)


def start_rows(starts: Mapping[str, Parafac2], truth: Planted) -> list[dict]:
    """Hold solutions from several random starts against the planted components, and against each other.

    Parameters
    ----------
    starts : name -> solution for the slices of `truth`.

    Returns
    -------
    Rows with pair_or_language, metric and value. Of a start ("1"): "congruence", "order_truth",
    "distance_truth", "error" and "sweeps". Of two ("1-2"): "start_agreement" (their congruence), "order_starts"
    and "distance_starts".
    """
    tables = {name: factorization.signatures(one) for name, one in starts.items()}
    rows = []
    for name, one in starts.items():
        found = {
            "congruence": factorization.congruence(one, truth),
            "order_truth": mean_order(tables[name], truth.signatures),
            "distance_truth": distance_order(tables[name], truth.signatures),
            "error": one.error,
            "sweeps": len(one.errors),
        }
        rows += _of(name, found)
    for a, b in combinations(starts, 2):
        found = {
            "start_agreement": factorization.congruence(starts[a], starts[b]),
            "order_starts": mean_order(tables[a], tables[b]),
            "distance_starts": distance_order(tables[a], tables[b]),
        }
        rows += _of(f"{a}-{b}", found)
    return rows


def solver_rows(one: Parafac2, truth: Planted) -> list[dict]:
    """Hold one solver's solution against the planted components.

    Returns
    -------
    Rows with metric and value: "solver_error", "solver_congruence", "solver_order", "solver_distances",
    "solver_core_consistency" and "solver_sweeps".
    """
    own = factorization.signatures(one)
    found = {
        "solver_error": one.error,
        "solver_congruence": factorization.congruence(one, truth),
        "solver_order": mean_order(own, truth.signatures),
        "solver_distances": distance_order(own, truth.signatures),
        "solver_core_consistency": one.core_consistency,
        "solver_sweeps": len(one.errors),
    }
    return [{"metric": m, "value": v} for m, v in found.items()]


def _of(name: str, found: Mapping[str, float]) -> list[dict]:
    return [{"metric": m, "value": v, "pair_or_language": name} for m, v in found.items()]
