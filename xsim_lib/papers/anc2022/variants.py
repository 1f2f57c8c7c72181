"""Every variant of an index on the same vectors, and what each of them does to the claims of anc2022."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from xsim_lib import indices
from xsim_lib.evidence import claims
from xsim_lib.evidence.records import Records
from xsim_lib.figures.plots import Column
from xsim_lib.indices.intervals import jackknife, share_interval
from xsim_lib.papers.anc2022 import authors_code

if TYPE_CHECKING:
    from xsim_lib.indices.validation import Array

__all__ = [
    "DEFINITIONS",
    "GROUPS",
    "ITEMS",
    "METRICS",
    "VARIANTS",
    "Variant",
    "changed_claims",
    "distances",
    "judged",
    "measure_variants",
    "shown",
    "variant_columns",
    "whole_text",
]  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One way to compute `metric`; `name` is what records call it, "" for the paper's definition."""

    metric: str
    name: str
    function: Callable[[Array, Array], float]


#: The paper's definitions, as the other pages use them.
DEFINITIONS = (
    Variant("anc", "", indices.anc),
    Variant("cka", "", indices.linear_cka),
    Variant("svcca", "", indices.svcca),
    Variant("pwcca", "", indices.pwcca),
    Variant("matching", "", indices.matching_accuracy),
)


def _both(x: Array, y: Array, *, details: bool) -> np.ndarray:
    find = partial(indices.matching_accuracy, x, y, details=details)
    return np.concatenate([find(), find(reverse=True)])


#: What the authors' code does instead, or also has.
VARIANTS = (
    Variant("anc", "signed", partial(indices.anc, signed=True)),
    Variant("anc", "signed, float32", authors_code.script_anc),
    Variant("anc", "dead left out", authors_code.live_anc),
    Variant("cka", "float32", authors_code.single_precision_cka),
    Variant("cka", "debiased", partial(indices.linear_cka, debiased=True)),
    Variant("cka", "debiased branch", authors_code.debiased_branch),
    Variant("svcca", "99 % variance", partial(indices.svcca, variance=0.99)),
    Variant("svcca", "singular values", authors_code.singular_value_svcca),
    Variant("pwcca", "uncentred weights", authors_code.uncentred_pwcca),
    Variant("matching", "sentence-centred", partial(indices.matching_accuracy, centre="sentence")),
    Variant("matching", "language-centred", partial(indices.matching_accuracy, centre="language")),
    Variant("matching", "both directions", _both),
)

#: Which metrics the claims about an item read.
ITEMS: Mapping[str, tuple[str, ...]] = {
    "fig1": ("cka",),
    "fig2": ("matching",),
    "fig4": ("anc", "cka"),
    "fig7": ("cka",),
    "fig9": ("pwcca", "svcca", "cka"),
}


METRICS = tuple(d.metric for d in DEFINITIONS)
PAPER = "paper"
TEXT = "text and layers"
#: Tables of the page: which metrics a variant replaces at once, and which variants there are.
GROUPS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **{
        title: (metrics, tuple(v.name for v in VARIANTS if v.metric in metrics))
        for title, metrics in (
            ("ANC", ("anc",)),
            ("CKA", ("cka",)),
            ("matching", ("matching",)),
            ("SVCCA and PWCCA", ("svcca", "pwcca")),
        )
    },
    TEXT: (METRICS, ("no special tokens", "cut")),
}


@dataclass(frozen=True)
class _Rows:
    """Aligned rows that add up like moments, so that `jackknife` can leave blocks of them out."""

    x: Tensor
    y: Tensor

    n = property(lambda self: len(self.x))

    def __add__(self, other: _Rows) -> _Rows:
        return _Rows(torch.cat([self.x, other.x]), torch.cat([self.y, other.y]))


def measure_variants(
    x: Tensor, y: Tensor, variants: Sequence[Variant], *, blocks: int = 10, baseline: str = ""
) -> Iterator[dict[str, Any]]:
    """Rows for `Run.record`: every variant at every layer.

    Parameters
    ----------
    x, y : (n_layers + 1, n_samples, n_features)
    variants : of `DEFINITIONS` and `VARIANTS`.
    blocks : of the jackknife that gives `lower` and `upper` (95 %); a share of hits has that of
        `share_interval`, since fewer sentences would be fewer candidates. 0 for values alone.
    baseline : what x and y are: "" for the measurement itself, else "shuffled" or "untrained".
    """
    for layer, (a, b) in enumerate(zip(x.double(), y.double(), strict=True)):
        place = {"layer": layer, "n_layers": len(x) - 1, "n": len(a), "baseline": baseline}
        for variant in variants:
            names = {"metric": variant.metric, "variant": variant.name}
            if variant.metric == "matching":
                hits = variant.function(a, b, details=True)
                found = share_interval(int(hits.sum()), len(hits))
                ends = {"lower": found.lower, "upper": found.upper} if blocks else {}
                yield {**names, **place, "value": found.estimate, **ends}
            elif not blocks:
                yield {**names, **place, "value": float(variant.function(a, b))}
            else:
                parts = [_Rows(a[k::blocks], b[k::blocks]) for k in range(blocks)]
                found = jackknife(lambda r, of=variant.function: of(r.x, r.y), parts)
                ends = {"lower": found.lower, "upper": found.upper}
                yield {**names, **place, "value": found.estimate, **ends}


def whole_text(name: str, metrics: Sequence[str]) -> tuple[Variant, ...]:
    """`DEFINITIONS` of some metrics under the name of another way to turn text into vectors."""
    return tuple(Variant(d.metric, name, d.function) for d in DEFINITIONS if d.metric in metrics)


def variant_columns(records: Records, metric: str, titles: Mapping[str, str]) -> list[Column]:
    """One column of `plots.layers` per variant of a metric: `titles` maps its name to its heading."""
    frame = records.frame
    frame = frame[frame["metric"] == metric]
    return [
        Column(title, Records(frame[frame["variant"] == name].assign(variant="")))
        for name, title in titles.items()
    ]


def distances(records: Records) -> pd.DataFrame:
    """How far every variant lies from the paper's definition on the same vectors.

    Returns
    -------
    DataFrame by metric and variant: means over everything else of the measurement and its baselines, the
    width of the intervals, the mean and the largest distance to the definition at one layer.
    """
    frame = records.frame.dropna(subset=["layer"])
    place = ["metric", "model", "pair_or_language", "layer", "seed"]
    own = frame[frame["baseline"] == ""]
    definition = own[own["variant"] == ""].set_index(place)["value"].rename("definition")
    own = own.join(definition, on=place)
    own["distance"] = (own["value"] - own["definition"]).abs()
    own["interval"] = own["upper"] - own["lower"]
    by = ["metric", "variant"]
    table = frame.pivot_table("value", by, "baseline", sort=False)
    table = table.rename(columns={"": "trained"}).rename_axis(columns=None)
    table["interval"] = own.groupby(by)["interval"].mean()
    table["mean distance"] = own.groupby(by)["distance"].mean()
    table["largest"] = own.groupby(by)["distance"].max()
    return table.rename(index={"": PAPER}, level="variant")


def judged(records: Records, profile: str) -> dict[str, pd.DataFrame]:
    """What the claims become when a variant takes the place of the paper's definition.

    Parameters
    ----------
    records : rows of `measure_variants` with model, pair and seed.
    profile : as in `claims.judge`.

    Returns
    -------
    For each of `GROUPS` a table with columns claim, variant, verdict, condition, measured. `verdict` is
    the rule's own; `condition` ("holds", "fails" or "") the predicate on the mean over seeds, whatever
    the rule says about scale: at smoke, for instance, the rule decides nothing.
    """
    found = {}
    for group, (metrics, names) in GROUPS.items():
        tables = [
            _with_variant(records, metrics, name, profile).assign(variant=name or PAPER)
            for name in ("", *names)
        ]
        if group == TEXT:
            frame = records.frame
            upper = Records(frame[frame["layer"] > 0])
            tables.append(
                _with_variant(upper, metrics, "", profile).assign(variant="layer 0 skipped")
            )
        found[group] = pd.concat(tables, ignore_index=True)
    return found


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """One table of `judged` for readers: a row per claim, a column per variant.

    A condition that the rule does not decide on stands in parentheses; an empty cell is a claim that does
    not read the index, a dash one that lacks what it reads.
    """
    words = found["verdict"].where(
        found["verdict"] != "not_testable_here", "(" + found["condition"] + ")"
    )
    found = found.assign(shown=words.replace("()", "\N{EN DASH}"))
    table = found.pivot(index="claim", columns="variant", values="shown").fillna("")
    return table.loc[found["claim"].unique(), found["variant"].unique()].rename_axis(columns=None)


def changed_claims(found: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The claims whose condition a variant turns round, with what was measured either way."""
    table = pd.concat(found.values())
    paper = table[table["variant"] == PAPER].drop_duplicates("claim").set_index("claim")
    before = paper.loc[table["claim"]]
    other = table["condition"].to_numpy() != before["condition"].to_numpy()
    return pd.DataFrame(
        {
            "claim": table["claim"],
            "variant": table["variant"],
            "the paper's definition": (before["condition"] + ": " + before["measured"]).to_numpy(),
            "the variant": table["condition"] + ": " + table["measured"],
        }
    )[other & (table["condition"] != "").to_numpy()].reset_index(drop=True)


def _with_variant(
    records: Records, metrics: Sequence[str], name: str, profile: str
) -> pd.DataFrame:
    frame = records.frame
    own = frame[(frame["variant"] == name) & frame["metric"].isin(metrics)]
    rest = frame[(frame["variant"] == "") & ~frame["metric"].isin(own["metric"])]
    together = pd.concat([own.assign(variant=""), rest])
    rows = []
    for item, read in ITEMS.items():
        replaced = set(read) & set(own["metric"])
        if not replaced:
            continue
        here = Records(together.assign(item=item))
        others = Records(here.frame[~here.frame["metric"].isin(replaced)])
        for claim in claims.claims_of("anc2022", item):
            if claim.item == item and _condition(claim, others) is None:
                rows.append(_decided(claim, here, profile))
    return pd.DataFrame(rows, columns=["claim", "verdict", "condition", "measured"])


def _condition(claim: claims.Claim, records: Records) -> claims.Outcome | None:
    """The predicate on the mean over seeds; None if the records lack a metric, a model or a layer."""
    try:
        mean = records if len(records.seeds) <= 1 else records.mean_over_seeds()
        return claims.predicate_of(claim)(mean)
    except LookupError:
        return None


def _decided(claim: claims.Claim, records: Records, profile: str) -> dict[str, str]:
    row = {"claim": claim.id.removeprefix("anc2022.")}
    outcome = _condition(claim, records)
    if outcome is None:
        lacks = {"verdict": "not_testable_here", "condition": ""}
        return {**row, **lacks, "measured": "lacks what the claim reads"}
    condition = "holds" if outcome.holds else "fails"
    verdict = claims.judge(claim, records, profile).verdict
    return {**row, "verdict": verdict, "condition": condition, "measured": outcome.measured}
