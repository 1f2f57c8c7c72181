"""Predicates of anc2022 on the normalisation study: Table 1 and Figures 1, 2, 4 and 7.

They expect models "scale_post", "scale_pre", "scale_normformer" and "scale_normformer-v2" (another
random start of the same kind) and the pairs of the paper. Layers are those of the paper's 12-layer
networks; `xsim_lib.evidence.records.paper_layers` says what that means for other depths. A difference between
two neighbouring layers of the paper is taken between the last layer of the lower range and the first
of the upper one.
"""

from statistics import fmean

import pandas as pd

from xsim_lib.evidence.claims.measures import (  # fmt: skip
    EARLY,
    above_first,
    above_last,
    at_least,
    at_most,
    grid,
    layer_curves,
    listing,
    peaks_inside,
    ratio,
    span,
    spearman,
)
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import NothingSelected, Records

PAIRS = ("en-fr", "en-et", "en-bg")
POST, PRE, NORMFORMER, SECOND = "scale_post", "scale_pre", "scale_normformer", "scale_normformer-v2"
MODELS = (POST, PRE, NORMFORMER)
DEEP = (6, 12)


def _accuracy(r: Records, model: str, language: str) -> float:
    return r.mean("accuracy", model=model, pair_or_language=language, task="nli")


def _without_transfer(r: Records) -> str:
    """Why statements about transfer are empty, if the mean over fr and bg is within .05 of chance."""
    mean = fmean(_accuracy(r, m, x) for m in MODELS for x in ("fr", "bg"))
    if mean >= 1 / 3 + 0.05:
        return ""
    return f"presupposes transfer, which is absent here (mean of fr and bg {mean:.3f}, chance .333)"


@predicate("anc2022.table1.equal_transfer")
def equal_transfer(r: Records) -> Outcome:
    """Metric "accuracy", task "nli", languages fr and bg: largest spread over the three models."""
    spreads = {x: span(_accuracy(r, m, x) for m in MODELS) for x in ("fr", "bg")}
    measured = f"spread {listing(spreads, 3)}; at most 0.02"
    return Outcome(at_most(max(spreads.values()), 0.02), measured, vacuous=_without_transfer(r))


@predicate("anc2022.table1.gap_7_to_9_points")
def gap_7_to_9_points(r: Records) -> Outcome:
    """Metric "accuracy", task "nli", languages en, fr, bg: English minus the target, every model."""
    gaps = [_accuracy(r, m, "en") - _accuracy(r, m, x) for m in MODELS for x in ("fr", "bg")]
    holds = at_least(min(gaps), 0.07) and at_most(max(gaps), 0.09)
    measured = f"gaps {min(gaps):.3f} to {max(gaps):.3f}; expected 0.07 to 0.09"
    return Outcome(holds, measured, vacuous=_without_transfer(r))


@predicate("anc2022.table1.no_gain_no_loss")
def no_gain_no_loss(r: Records) -> Outcome:
    """Metric "accuracy", task "nli", languages en, fr, bg: difference to scale_post."""
    differences = {
        f"{m} {x}": _accuracy(r, m, x) - _accuracy(r, POST, x)
        for m in (PRE, NORMFORMER)
        for x in ("en", "fr", "bg")
    }
    worst = max(differences, key=lambda name: abs(differences[name]))
    size = abs(differences[worst])
    measured = f"largest difference {differences[worst]:+.3f} ({worst})"
    return Outcome(at_most(size, 0.02), measured, vacuous=_without_transfer(r))


@predicate("anc2022.fig1.post_pre_cka_high")
def post_pre_cka_high(r: Records) -> Outcome:
    """Metric "cka" of scale_post and scale_pre: mean of layers 1..11 and the smallest value."""
    r = grid(r, "cka", (POST, PRE), PAIRS)
    mean = r.mean("cka", layers=(1, 11))
    low = min(curve.min() for curve in layer_curves(r).values())
    holds = at_least(mean, 0.5) and at_least(low, 0.4)
    return Outcome(holds, f"mean {mean:.2f} (0.5 asked), smallest {low:.2f} (0.4 asked)")


@predicate("anc2022.fig1.normformer_rise_0_5")
def normformer_rise(r: Records) -> Outcome:
    """Metric "cka" of scale_normformer: rise from layer 0 to 4 and steps of layers 0..5, each pair."""
    r = grid(r, "cka", (NORMFORMER,), PAIRS)
    rise = min(
        r.mean("cka", layers=4, pair_or_language=p) - r.mean("cka", layers=0, pair_or_language=p)
        for p in PAIRS
    )
    steps = [curve.diff().min() for curve in layer_curves(r.layers((0, 5))).values()]
    holds = at_least(rise, 0.2) and at_least(min(steps), 0)
    return Outcome(
        holds, f"rise 0-4 at least {rise:.2f} (0.2 asked), smallest step {min(steps):+.3f}"
    )


def _collapse(r: Records, model: str) -> Outcome:
    r = grid(r, "cka", (model,), PAIRS)
    early, deep = r.mean("cka", layers=EARLY), r.mean("cka", layers=DEEP)
    below, above = layer_curves(r.layers(EARLY)), layer_curves(r.layers(DEEP))
    drops = [below[key].iloc[-1] - above[key].iloc[0] for key in below]
    holds = deep < 0.10 and deep < 0.25 * early and at_least(min(drops), 0.5)
    measured = (
        f"CKA {early:.3f} in layers 1-5, {deep:.3f} in 6-12; smallest drop between {min(drops):.2f}"
    )
    return Outcome(holds, measured)


@predicate("anc2022.fig1.normformer_cka_collapse")
def normformer_cka_collapse(r: Records) -> Outcome:
    """Metric "cka" of scale_normformer: level of layers 6..12 against 1..5, and the step between."""
    return _collapse(r, NORMFORMER)


@predicate("anc2022.fig1.post_pre_no_collapse")
def post_pre_no_collapse(r: Records) -> Outcome:
    """Metric "cka" of scale_post and scale_pre: mean of layers 6..11 over mean of 1..5."""
    r = grid(r, "cka", (POST, PRE), PAIRS)
    ratios = {
        m: ratio(r.mean("cka", layers=(6, 11), model=m), r.mean("cka", layers=EARLY, model=m))
        for m in (POST, PRE)
    }
    holds = at_least(min(ratios.values()), 0.8)
    return Outcome(holds, f"ratio {listing(ratios)}; at least 0.8")


@predicate("anc2022.fig1.collapse_same_for_all_pairs")
def collapse_same_for_all_pairs(r: Records) -> Outcome:
    """Metric "cka" of scale_normformer: range over the pairs in layers 6..12 and in 0..4.

    Without a collapse there are no collapsed layers to compare, so the outcome is vacuous.
    """
    collapse = _collapse(r, NORMFORMER)
    r = grid(r, "cka", (NORMFORMER,), PAIRS)
    deep, early = _over_pairs(r.layers(DEEP)).max(), _over_pairs(r.layers((0, 4))).mean()
    missing = f"only meaningful with the collapse, which is absent here ({collapse.measured})"
    measured = (
        f"range over pairs {deep:.3f} in 6-12 (0.03 allowed), {early:.3f} in 0-4 (0.04 asked)"
    )
    holds = at_most(deep, 0.03) and at_least(early, 0.04)
    return Outcome(holds, measured, vacuous="" if collapse.holds else missing)


def _over_pairs(r: Records) -> pd.Series:
    """Range over the pairs at each layer."""
    table = pd.DataFrame({pair: curve for (_, pair), curve in layer_curves(r).items()})
    return table.max(axis=1) - table.min(axis=1)


@predicate("anc2022.fig2.deep_layers_still_match", items=("fig2", "fig1"))
def deep_layers_still_match(r: Records) -> Outcome:
    """Metric "matching" of scale_normformer in layers 6..12; "cka" (fig2 or fig1) for the contrast.

    The paper has 10000 candidates and asks for 1000 times chance. The number 0.1 is kept as it is: with
    1000 candidates or fewer no accuracy could be 1000 times chance.
    """
    deep = grid(r, "matching", (NORMFORMER,), PAIRS).layers(DEEP)
    lowest = min(curve.min() for curve in layer_curves(deep).values())
    french = layer_curves(deep)[NORMFORMER, "en-fr"].min()
    notes = [_against_chance(deep), _contrast(r)]
    holds = french > 0.5 and at_least(lowest, 0.1)
    measured = f"layers 6-12: en-fr at least {french:.2f} (0.5 asked), any pair at least {lowest:.3f} (0.1 asked)"
    return Outcome(holds, measured, note="; ".join(note for note in notes if note))


def _against_chance(r: Records) -> str:
    candidates = r.unique("n")
    if not candidates:
        return ""
    n = int(max(candidates))
    return f"chance {1 / n:.2g} with {n} candidates, so 0.1 is {0.1 * n:.0f} x chance (1000 x in the paper)"


def _contrast(r: Records) -> str:
    try:
        collapse = _collapse(r, NORMFORMER)
    except NothingSelected:
        return "no CKA beside it here, so the contrast to CKA is not judged"
    word = "appears" if collapse.holds else "does not appear"
    return f"the claim presupposes the CKA collapse, which {word} here ({collapse.measured})"


@predicate("anc2022.fig2.decline_is_slight")
def decline_is_slight(r: Records) -> Outcome:
    """Metric "matching" of scale_normformer: last layer over the best, each pair."""
    found = layer_curves(grid(r, "matching", (NORMFORMER,), PAIRS))
    kept = {pair: ratio(curve.iloc[-1], curve.max()) for (_, pair), curve in found.items()}
    return Outcome(at_least(min(kept.values()), 0.6), f"last/best {listing(kept)}; at least 0.6")


@predicate("anc2022.fig2.french_highest")
def french_highest(r: Records) -> Outcome:
    """Metric "matching" of scale_normformer: order of the pairs at every layer, level at layer 0."""
    found = layer_curves(grid(r, "matching", (NORMFORMER,), PAIRS))
    by_pair = {pair: curve for (_, pair), curve in found.items()}
    lead = min((by_pair["en-fr"] - by_pair[pair]).min() for pair in PAIRS[1:])
    first = max(curve.loc[0] for curve in by_pair.values())
    measured = f"smallest lead of en-fr {lead:+.3f}; layer 0 at most {first:.3f} (below 0.15 asked)"
    return Outcome(at_least(lead, 0) and first < 0.15, measured)


@predicate("anc2022.fig7.second_seed_collapse")
def second_seed_collapse(r: Records) -> Outcome:
    """Metric "cka" of scale_normformer-v2: the condition of fig1.normformer_cka_collapse."""
    return _collapse(r, SECOND)


@predicate("anc2022.fig7.same_as_fig1", items=("fig7", "fig1"))
def same_as_fig1(r: Records) -> Outcome:
    """Metric "cka" of scale_normformer-v2 (fig7) and scale_normformer (fig7 or fig1), all layers."""
    found = layer_curves(grid(r, "cka", (NORMFORMER, SECOND), PAIRS))
    largest = max((found[NORMFORMER, p] - found[SECOND, p]).abs().max() for p in PAIRS)
    return Outcome(at_most(largest, 0.10), f"largest difference {largest:.3f}; at most 0.10")


@predicate("anc2022.fig4.anc_sees_deep_normformer", items=("fig4", "fig1"))
def anc_sees_deep_normformer(r: Records) -> Outcome:
    """Metrics "anc" (fig4) and "cka" (fig4 or fig1) of scale_normformer, layers 6..11 and 1..5."""
    levels = {}
    for metric in ("anc", "cka"):
        part = grid(r, metric, (NORMFORMER,), PAIRS)
        levels[metric] = part.mean(metric, layers=(6, 11)), part.mean(metric, layers=EARLY)
    (anc, anc_early), (cka, cka_early) = levels["anc"], levels["cka"]
    collapsed = cka < 0.25 * cka_early
    note = (
        ""
        if collapsed
        else "the claim presupposes that CKA collapses there, which it does not here"
    )
    measured = (
        f"layers 6-11 (1-5): ANC {anc:.2f} ({anc_early:.2f}), CKA {cka:.2f} ({cka_early:.2f})"
    )
    return Outcome(anc > 0.4 and at_least(anc, 0.9 * anc_early) and collapsed, measured, note=note)


@predicate("anc2022.fig4.align_then_predict_all_norms")
def align_then_predict_all_norms(r: Records) -> Outcome:
    """Metric "anc" of the three models, each pair: place of the peak, rise before and fall after."""
    found = layer_curves(grid(r, "anc", MODELS, PAIRS)).values()
    rise, fall = min(above_first(c) for c in found), min(above_last(c) for c in found)
    inside = sum(peaks_inside(c, 4, 11) for c in found)
    holds = inside == len(found) and at_least(rise, 0.15) and at_least(fall, 0.05)
    measured = (
        f"{inside} of {len(found)} peaks in layers 4-11; rise at least {rise:.2f} (0.15 asked), "
    )
    return Outcome(holds, measured + f"fall at least {fall:.2f} (0.05 asked)")


@predicate("anc2022.fig4.post_pre_consistent_with_cka", items=("fig4", "fig1"))
def post_pre_consistent_with_cka(r: Records) -> Outcome:
    """Metrics "anc" (fig4) and "cka" (fig4 or fig1) of scale_post, scale_pre.

    Spearman over layers within each pair, averaged over the pairs.
    """
    anc, cka = (layer_curves(grid(r, metric, (POST, PRE), PAIRS)) for metric in ("anc", "cka"))
    rho = {m: fmean(spearman(anc[m, p], cka[m, p]) for p in PAIRS) for m in (POST, PRE)}
    return Outcome(min(rho.values()) > 0.5, f"Spearman {listing(rho)}; above 0.5 asked")


@predicate("anc2022.fig4.pair_order")
def pair_order(r: Records) -> Outcome:
    """Metric "anc" of the three models, mean of layers 1..12: French, Estonian, Bulgarian."""
    r = grid(r, "anc", MODELS, PAIRS)
    means = {
        m: [r.mean("anc", layers=(1, 12), model=m, pair_or_language=p) for p in PAIRS]
        for m in MODELS
    }
    holds = all(fr > et > bg for fr, et, bg in means.values())
    text = "; ".join(f"{m} " + " ".join(f"{v:.2f}" for v in values) for m, values in means.items())
    return Outcome(holds, f"fr et bg: {text}")
