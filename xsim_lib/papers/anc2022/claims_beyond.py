"""Predicates of anc2022 beyond the normalisation study: public checkpoints, appendices, arithmetic.

The records they expect are named in each docstring. Models of the public checkpoints are called as
the paper's table calls them ("xlm-roberta-xl", "xglm-2.9B"), without the owner on the hub.
"""

from statistics import median

from xsim_lib.evidence.claims.measures import (  # fmt: skip
    EARLY,
    above_first,
    above_last,
    at_least,
    at_most,
    depth_of_peak,
    grid,
    layer_curves,
    listing,
    peaks_inside,
    span,
    spearman,
)
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import NothingSelected, Records
from xsim_lib.papers.anc2022.claims import NORMFORMER, PAIRS

MBERT, XLMR = "bert-base-multilingual-cased", "xlm-roberta-base"
FIG3_PAIRS = ("en-et", "en-lt", "en-lv", "en-fr", "en-pl")
TUNED = "scale_normformer_tuned"
ENCODERS = ("xlm-roberta-base", "xlm-roberta-large", "xlm-roberta-xl", "xlm-roberta-xxl")
DECODERS = ("xglm-564M", "xglm-1.7B", "xglm-2.9B", "xglm-4.5B", "xglm-7.5B")


def _fig3(r: Records) -> Records:
    return grid(r, "anc", (MBERT, XLMR), FIG3_PAIRS)


@predicate("anc2022.fig3.align_then_predict")
def align_then_predict(r: Records) -> Outcome:
    """Metric "anc" of mBERT and XLM-R base, item "fig3": the mean curve over the five pairs."""
    found = {m: _fig3(r).curve("anc", model=m) for m in (MBERT, XLMR)}
    shapes = [
        peaks_inside(c, 4, 11)
        and at_least(above_first(c), 0.2)
        and at_least(above_last(c), 0.05)
        and c.iloc[-1] > c.iloc[0]
        for c in found.values()
    ]
    return Outcome(all(shapes), _shapes(found))


def _shapes(found) -> str:
    return "; ".join(
        f"{m}: peak at depth {depth_of_peak(c):.2f}, rise {above_first(c):.2f}, fall {above_last(c):.2f}"
        for m, c in found.items()
    )


@predicate("anc2022.fig3.peak_about_0.7")
def peak_about_07(r: Records) -> Outcome:
    """Metric "anc", item "fig3": the largest value and the largest mean over pairs."""
    r = _fig3(r)
    top = max(curve.max() for curve in layer_curves(r).values())
    mean = max(r.curve("anc", model=m).max() for m in (MBERT, XLMR))
    holds = at_least(top, 0.65) and at_most(top, 0.75) and at_least(mean, 0.6)
    return Outcome(
        holds, f"largest {top:.2f} (0.65 to 0.75 asked), largest mean {mean:.2f} (0.6 asked)"
    )


@predicate("anc2022.fig3.mbert_more_distant")
def mbert_more_distant(r: Records) -> Outcome:
    """Metric "anc", item "fig3", layers 6..11: mean and spread over the pairs, mBERT against XLM-R."""
    r = _fig3(r)
    level = {m: r.mean("anc", layers=(6, 11), model=m) for m in (MBERT, XLMR)}
    spread = {
        m: span(r.mean("anc", layers=(6, 11), model=m, pair_or_language=p) for p in FIG3_PAIRS)
        for m in (MBERT, XLMR)
    }
    holds = level[MBERT] < level[XLMR] and spread[MBERT] > spread[XLMR]
    return Outcome(holds, f"ANC 6-11 {listing(level, 3)}; spread over pairs {listing(spread, 3)}")


@predicate("anc2022.fig3.pair_order")
def fig3_pair_order(r: Records) -> Outcome:
    """Metric "anc", item "fig3": en-fr above en-pl above the other three, at every layer."""
    found = layer_curves(_fig3(r))
    leads = []
    for m in (MBERT, XLMR):
        leads.append((found[m, "en-fr"] - found[m, "en-pl"]).min())
        leads += [(found[m, "en-pl"] - found[m, p]).min() for p in ("en-et", "en-lt", "en-lv")]
    return Outcome(min(leads) > 0, f"smallest lead over the next pair {min(leads):+.3f}")


@predicate("anc2022.fig5.mlm_all_sizes_same_pattern")
def mlm_all_sizes(r: Records) -> Outcome:
    """Metric "anc", item "fig5", the four XLM-R models; the mean over the pairs of the records."""
    return _all_sizes(r, ENCODERS, 0.25, 0.9)


@predicate("anc2022.fig6.clm_all_sizes_same_pattern")
def clm_all_sizes(r: Records) -> Outcome:
    """Metric "anc", item "fig6", the five XGLM models; the mean over the pairs of the records."""
    return _all_sizes(r, DECODERS, 0.2, 0.8)


def _all_sizes(r: Records, models: tuple[str, ...], first: float, last: float) -> Outcome:
    found = {m: r.curve("anc", model=m) for m in models}
    shapes = [
        at_least(depth_of_peak(c), first)
        and at_most(depth_of_peak(c), last)
        and at_least(above_first(c), 0.2)
        and at_least(above_last(c), 0.05)
        for c in found.values()
    ]
    return Outcome(all(shapes), _shapes(found))


@predicate("anc2022.fig5_6.peak_height_independent", items=("fig5", "fig6"))
def peak_height_independent(r: Records) -> Outcome:
    """Metric "anc", items "fig5" and "fig6", all nine models: range of the peaks of the mean curves."""
    peaks = [r.curve("anc", model=m).max() for m in ENCODERS + DECODERS]
    measured = f"peaks {min(peaks):.2f} to {max(peaks):.2f}; range at most 0.10"
    return Outcome(at_most(span(peaks), 0.10), measured)


@predicate("anc2022.fig5_6.final_drop_larger_in_clm", items=("fig5", "fig6"))
def final_drop_larger_in_clm(r: Records) -> Outcome:
    """Metric "anc", items "fig5" and "fig6": median fall of XGLM against XLM-R without the large one."""
    found = {m: r.curve("anc", model=m) for m in ENCODERS + DECODERS}
    encoders = [m for m in ENCODERS if m != "xlm-roberta-large"]
    falls = [median(above_last(found[m]) for m in group) for group in (DECODERS, encoders)]
    depths = [median(depth_of_peak(found[m]) for m in group) for group in (DECODERS, encoders)]
    measured = "median fall {:.2f} (XGLM), {:.2f} (XLM-R)".format(*falls)
    return Outcome(
        falls[0] > falls[1], measured + "; median depth of the peak {:.2f}, {:.2f}".format(*depths)
    )


@predicate("anc2022.fig8.tuned_cka_misses_6_11")
def tuned_cka_misses(r: Records) -> Outcome:
    """Metric "cka" of "scale_normformer_tuned", item "fig8": mean-pooled layers, and variant "cls"."""
    pooled = grid(r, "cka", (TUNED,), PAIRS)
    early, deep = pooled.mean("cka", layers=EARLY), pooled.mean("cka", layers=(6, 11))
    cls = r.mean("cka", layers=12, variant="cls", model=TUNED)
    measured = (
        f"CKA {early:.3f} in layers 1-5, {deep:.3f} in 6-11, {cls:.3f} of the last CLS vector"
    )
    return Outcome(deep < 0.25 * early and at_least(cls, 2 * deep), measured)


@predicate("anc2022.fig8.tuned_anc_sees_all_layers")
def tuned_anc_sees_all_layers(r: Records) -> Outcome:
    """Metric "anc" of "scale_normformer_tuned", item "fig8": the smallest value of layers 1..12."""
    low = min(
        curve.min()
        for curve in layer_curves(grid(r, "anc", (TUNED,), PAIRS).layers((1, 12))).values()
    )
    return Outcome(at_least(low, 0.3), f"smallest ANC {low:.3f}; at least 0.3")


@predicate("anc2022.fig9.pwcca_svcca_half_to_08", items=("fig9", "fig1"))
def pwcca_svcca_half_to_08(r: Records) -> Outcome:
    """Metrics "pwcca", "svcca" (fig9) and "cka" (fig9 or fig1) of scale_normformer, layers 6..12."""
    deep = {
        m: layer_curves(grid(r, m, (NORMFORMER,), PAIRS).layers((6, 12)))
        for m in ("pwcca", "svcca", "cka")
    }
    both = [(curve, deep["cka"][key]) for m in ("pwcca", "svcca") for key, curve in deep[m].items()]
    low, high = min(c.min() for c, _ in both), max(c.max() for c, _ in both)
    lead = min((c - cka).min() for c, cka in both)
    holds = at_least(low, 0.5) and at_most(high, 0.8) and at_least(lead, 0.4)
    measured = (
        f"{low:.2f} to {high:.2f} (0.5 to 0.8 asked), smallest lead over CKA {lead:.2f} (0.4 asked)"
    )
    return Outcome(holds, measured)


@predicate("anc2022.s4.3.index_changes_conclusion")
def index_changes_conclusion(r: Records) -> Outcome:
    """Metrics "pwcca", "cka" (and "svcca" if there) of mBERT, item "s4.3", variants "" (mean), "cls".

    Spearman of layer and similarity over layers 1..8, of the mean over the pairs.
    """
    r = r.select(model=MBERT)
    trend = {}
    for metric in ("pwcca", "svcca", "cka"):
        for pooling, variant in (("cls", "cls"), ("mean", "")):
            try:
                curve = r.layers((1, 8)).curve(metric, variant=variant)
            except NothingSelected:
                if (metric, pooling) in (("pwcca", "cls"), ("cka", "mean")):
                    raise
                continue
            trend[f"{metric}+{pooling}"] = spearman(curve, curve.index.to_series())
    return Outcome(
        trend["pwcca+cls"] < 0 < trend["cka+mean"], f"Spearman with depth {listing(trend)}"
    )


@predicate("anc2022.s3.invariances")
def invariances(r: Records) -> Outcome:
    """Metrics "cca", "svcca", "cka", item "s3", model "random", variants "", "linear", "orthogonal".

    "linear": one side times a random invertible matrix; "orthogonal": times a rotation and a scale.
    """
    value = {
        (m, v): r.mean(m, variant=v, model="random")
        for m in ("cca", "svcca", "cka")
        for v in ("", "linear", "orthogonal" if m == "cka" else "")
    }
    moved = {m: abs(value[m, "linear"] - value[m, ""]) for m in ("cca", "svcca", "cka")}
    turned = abs(value["cka", "orthogonal"] - value["cka", ""])
    holds = moved["cca"] < 1e-6 and turned < 1e-6 and moved["cka"] > 0.01 and moved["svcca"] < 1e-6
    text = ", ".join(f"{m} {change:.1e}" for m, change in moved.items())
    note = "SVCCA is the doubtful part: its truncation depends on the coordinates"
    return Outcome(
        holds, f"change under a linear map: {text}; CKA under a rotation {turned:.1e}", note
    )


@predicate("anc2022.s5.1.anc_definition")
def anc_definition(r: Records) -> Outcome:
    """Metric "anc", item "s5.1", model "random", variants "", "rescaled", "rotated"; "anc_signed".

    "rescaled": every unit of one side times its own non-zero number plus another; "rotated": one side
    times a rotation. The gap between "anc" and "anc_signed" is reported where both are there.
    """
    plain, rescaled, rotated = (
        r.mean("anc", variant=v, model="random") for v in ("", "rescaled", "rotated")
    )
    holds = abs(rescaled - plain) < 1e-6 and abs(rotated - plain) > 1e-6
    measured = f"ANC {plain:.3f}, rescaled {rescaled:.3f}, rotated {rotated:.3f}"
    try:
        gap = plain - r.mean("anc_signed", model="random")
    except NothingSelected:
        return Outcome(holds, measured)
    return Outcome(holds, f"{measured}; absolute minus signed {gap:.3f}")


@predicate("anc2022.s5.1.anc_needs_one_network")
def anc_needs_one_network(r: Records) -> Outcome:
    """Metrics "anc" (baselines "", "shuffled_units") and "cka", item "s5.1", model "two_seeds".

    The same sentences in two networks of different random starts; means over all layers.
    """
    across = r.mean("anc", model="two_seeds")
    chance = r.mean("anc", model="two_seeds", baseline="shuffled_units")
    cka = r.mean("cka", model="two_seeds")
    holds = at_most(across, 1.5 * chance) and at_least(cka, 0.5)
    measured = (
        f"ANC {across:.3f} against {chance:.3f} with shuffled units (1.5 x allowed), CKA {cka:.2f}"
    )
    return Outcome(holds, measured)


@predicate("anc2022.table2.architectures", items=("table2",), printed=True)
def architectures(r: Records) -> Outcome:
    """Printed table 2: the blocks alone must fit into the stated size, and XLM-R base is 768 wide."""
    wrong = []
    for model in ENCODERS + DECODERS:
        size, depth, width = (
            r.mean(m, model=model) for m in ("n_parameters", "n_layers", "n_hidden_units")
        )
        if 12 * depth * width**2 > size:
            wrong.append(
                f"{model}: {12 * depth * width**2:.1e} parameters in the blocks of {size:.1e}"
            )
        if model == "xlm-roberta-base" and width != 768:
            wrong.append(f"{model}: width {width:.0f} instead of 768")
    return Outcome(not wrong, "; ".join(wrong) or "every size and width fits")


@predicate("anc2022.abstract.up_to_85x", items=("table2", "s1", "abstract"), printed=True)
def up_to_85x(r: Records) -> Outcome:
    """Printed sizes of XLM-R XXL (table 2) and mBERT (introduction) against the printed ratio."""
    largest = r.mean("n_parameters", model="xlm-roberta-xxl")
    times = largest / r.mean("n_parameters", model="mBERT")
    stated = r.mean("size_ratio", item="abstract")
    return Outcome(round(times) == round(stated), f"{times:.1f} times, {stated:.0f} stated")


@predicate("anc2022.s4.1.training_exposure", items=("s4.1",), printed=True)
def training_exposure(r: Records) -> Outcome:
    """Printed batches times batch size over sentences."""
    seen = r.mean("n_batches") * r.mean("batch_size_sentences")
    passes = seen / r.mean("n_training_sentences")
    return Outcome(10 <= passes <= 11, f"{passes:.2f} passes; 10 to 11 asked")
