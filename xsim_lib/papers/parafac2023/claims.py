"""Predicates of parafac2023 on signatures, per language and layer. Trees and tables: `parafac2023_other`.

What the notebooks of the chapter record, by item:

``fig2a``
    metric "mean_signature", one row per language (pair_or_language) and layer, and "trend_tau" and
    "trend_q" per language (`factorization.layer_trends`).
``fig2b``
    "mean_signature", variant "romanised": all languages again, with the logographic ones romanised.
``fig3``
    "pearson_size" over languages, per layer, pair_or_language "all words" or a category of
    `morphology.CATEGORIES`; "mean_signature" per language and layer with task = category; "token_share"
    per language (0 to 1) with task = category.
``fig4``
    "pearson_characters", "pearson_ttr" and "pearson_size", as in ``fig3`` (with layers they are also the
    appendix' Figures 6 and 7).
``s5.1``
    the page of the public model: "mean_signature" and the three correlations, as above.
``s5.2``
    the page of language subsets: "chi2_p" at layers 0, 6 and 12 of 12, pair_or_language = the related set
    ("Germanic"), task = category, "" for all words.
``appD``
    the page of few data: "mean_signature" of all languages with variant "" (full data), of the starved ones
    also with "starved" and "starved, sampled"; task "with relatives" or "alone".

Everywhere task "" is all words; variant "" is the scale-free signature and "raw" that of the authors' code;
baseline "untrained" is an encoder that was not trained.
"""

from statistics import fmean, median

import pandas as pd
from scipy.stats import kendalltau

from xsim_lib.evidence.claims.measures import at_least, at_most, listing, peaks_inside, spearman
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import PAPER_DEPTH, NothingSelected, Records, paper_layers

EXCEPTIONS = frozenset(("ar", "id", "ja", "ko", "sv"))
LOGOGRAPHIC = ("zh", "ja")
WORDS = "all words"
FULL_DATA = 0.3
"""Mean signature with full data in the paper; the thresholds about few data are on this scale."""

_WITHOUT_CATEGORY = (WORDS, "Part of Speech")  # every word has a part of speech


def _by_language(r: Records, **chosen: str) -> pd.DataFrame:
    """Mean signatures over all words, languages in rows, the model's layers in columns."""
    chosen = {"task": "", "variant": "", "baseline": ""} | chosen
    frame = r.select(metric="mean_signature", **chosen).frame.dropna(subset=["layer"])
    table = frame.pivot_table(index="pair_or_language", columns="layer", values="value")
    if len(table) < 2 or table.isna().any(axis=None):
        raise NothingSelected("records: mean_signature of several languages at every layer wanted")
    return table.rename(columns=int)


def _rank(curve: pd.Series) -> float:
    """Rank correlation of a curve with its layer."""
    return spearman(curve, pd.Series(curve.index, index=curve.index))


@predicate("parafac2023.fig2a.mean_signature_falls_with_depth")
def mean_signature_falls_with_depth(r: Records) -> Outcome:
    """Mean over languages against the layer; Mann-Kendall's test is Kendall's tau with the layer."""
    curve = _by_language(r).mean()
    p = float(kendalltau(curve.index, curve).pvalue)
    measured = f"Spearman {_rank(curve):.2f} (at most -0.8), p {p:.3f}"
    try:
        control = _by_language(r, baseline="untrained").mean()
        note = f"untrained: Spearman {_rank(control):.2f}"
    except NothingSelected:
        note = ""
    return Outcome(at_most(_rank(curve), -0.8) and p < 0.05, measured, note)


@predicate("parafac2023.fig2a.mk_test_28_of_33")
def mk_test_28_of_33(r: Records) -> Outcome:
    """Falls: corrected p below 0.05 and a negative tau. The loose version of 80 % is only noted."""
    q, tau = (
        r.select(metric=m, variant="", baseline="")
        .frame.groupby("pair_or_language")["value"]
        .mean()
        for m in ("trend_q", "trend_tau")
    )
    falls = (q < 0.05) & (tau < 0)
    others = sorted(falls.index[~falls])
    measured = f"{falls.sum()} of {len(falls)}; not in {', '.join(others) or 'none'}"
    loose = "at least" if at_least(falls.mean(), 0.8) else "less than"
    return Outcome(set(others) == EXCEPTIONS, measured, f"{loose} 80 % of the languages")


@predicate("parafac2023.fig2a.spread_smallest_at_layer_6")
def spread_smallest_at_layer_6(r: Records) -> Outcome:
    """Variance over languages: smallest at layers 5 to 7 of 12, falling before 6 and rising after it."""
    spread = _by_language(r).var()
    depth = int(spread.index.max())
    below, above = (_rank(spread[paper_layers(depth, ends)]) for ends in ((0, 6), (6, PAPER_DEPTH)))
    lowest = int(spread.idxmin())
    holds = peaks_inside(-spread, 5, 7) and below < 0 < above
    measured = f"smallest at {lowest} of {depth}; Spearman {below:.2f} below and {above:.2f} above"
    return Outcome(holds, measured + " the middle")


@predicate("parafac2023.fig2a.chinese_japanese_lowest")
def chinese_japanese_lowest(r: Records) -> Outcome:
    """The two lowest languages at 10 of 13 layers, or the same share of another depth."""
    table = _by_language(r)
    r.select(metric="mean_signature", pair_or_language=LOGOGRAPHIC)  # raises where there is none
    both = [set(table[k].nsmallest(2).index) == set(LOGOGRAPHIC) for k in table]
    measured = f"the two lowest at {sum(both)} of {len(both)} layers"
    return Outcome(at_least(fmean(both), 10 / 13), measured)


@predicate("parafac2023.fig2b.romanisation_closes_gap", items=("fig2b", "fig2a"))
def romanisation_closes_gap(r: Records) -> Outcome:
    """Variance over languages, variants "romanised" and "": smaller above the embeddings only."""
    before, after = (_by_language(r, variant=v).var() for v in ("", "romanised"))
    smaller = after < before
    inner = smaller.drop(0)
    measured = (
        f"smaller at {inner.sum()} of {len(inner)} layers; embeddings {before[0]:.3g} before, "
        f"{after[0]:.3g} after"
    )
    return Outcome(inner.all() and not smaller[0], measured)


@predicate("parafac2023.s5.1.comparison_polarity_flat", items=("fig3",))
def comparison_polarity_flat(r: Records) -> Outcome:
    """Strength of the trend per category, and how many words show the two rare ones."""
    rare = ("Comparison", "Polarity")
    categories = [t for t in r.select(metric="mean_signature").unique("task") if t]
    strength = {t: abs(_rank(_by_language(r, task=t).mean())) for t in categories}
    shares = {t: r.mean("token_share", task=t) for t in rare}
    if missing := [t for t in rare if t not in strength]:
        raise NothingSelected(f"records: mean_signature of {missing[0]} is missing")
    middle = median(strength.values())
    holds = all(strength[t] < middle and shares[t] < 0.01 for t in rare)
    measured = f"{listing({t: strength[t] for t in rare})}, median {middle:.2f}; "
    return Outcome(holds, measured + f"shares {listing(shares, 3)}, less than 0.01")


def _pearson(r: Records, which: str, category: str = WORDS) -> float:
    """A correlation over languages, averaged over layers."""
    return r.mean(f"pearson_{which}", pair_or_language=category)


def _categories(r: Records, which: str) -> dict[str, float]:
    """The same for every category on its own."""
    names = r.select(metric=f"pearson_{which}").unique("pair_or_language")
    return {x: _pearson(r, which, x) for x in names if x not in _WITHOUT_CATEGORY}


@predicate("parafac2023.fig3.frequency_unrelated_overall", items=("fig3", "s5.1 public XLM-R"))
def frequency_unrelated_overall(r: Records) -> Outcome:
    """Metric "pearson_size" over all words."""
    found = _pearson(r, "size")
    return Outcome(abs(found) < 0.2, f"{found:+.2f}, expected within 0.2 of 0")


@predicate("parafac2023.fig3.frequency_fades_with_depth")
def frequency_fades_with_depth(r: Records) -> Outcome:
    """Size of "pearson_size" at layers 9 to 12 against 0 to 3, every category but Animacy."""
    strength = r.select(metric="pearson_size", variant="", baseline="").frame
    strength = Records(strength.assign(value=strength["value"].abs()))
    names = [x for x in strength.unique("pair_or_language") if x not in _WITHOUT_CATEGORY]
    low, high = (
        {x: strength.mean("pearson_size", ends, pair_or_language=x) for x in names}
        for ends in ((0, 3), (9, PAPER_DEPTH))
    )
    wanted = [x for x in names if x != "Animacy"]
    if not wanted:
        raise NothingSelected("records: pearson_size of single categories is missing")
    odd = [x for x in wanted if not high[x] < low[x]]
    measured = f"weaker above in {len(wanted) - len(odd)} of {len(wanted)} categories"
    return Outcome(not odd, measured + (f"; not in {', '.join(odd)}" if odd else ""))


def _all_negative(categories: dict[str, float]) -> tuple[bool, str]:
    """Whether the correlation is negative in every category, and a remark."""
    if not categories:
        return True, "categories were not measured"
    odd = [x for x, value in categories.items() if not value < 0]
    return not odd, f"{len(categories) - len(odd)} of {len(categories)} categories negative"


@predicate("parafac2023.fig4.unique_characters_negative", items=("fig4", "s5.1 public XLM-R"))
def unique_characters_negative(r: Records) -> Outcome:
    """Metric "pearson_characters" over all words and in every category."""
    found = _pearson(r, "characters")
    negative, note = _all_negative(_categories(r, "characters"))
    return Outcome(at_most(found, -0.5) and negative, f"{found:+.2f}, at most -0.5", note)


@predicate("parafac2023.fig4.ttr_negative", items=("fig4", "s5.1 public XLM-R"))
def ttr_negative(r: Records) -> Outcome:
    """Metric "pearson_ttr": negative everywhere and about as strong as "pearson_characters"."""
    found, characters = _pearson(r, "ttr"), _pearson(r, "characters")
    negative, note = _all_negative(_categories(r, "ttr"))
    alike = at_most(abs(abs(found) - abs(characters)), 0.2)
    measured = f"{found:+.2f}, characters {characters:+.2f}: expected within 0.2"
    return Outcome(found < 0 and negative and alike, measured, note)


@predicate("parafac2023.s5.1.public_xlmr_same_trends")
def public_xlmr_same_trends(r: Records) -> Outcome:
    """The three correlations as printed, and "mean_signature" low at both ends of the model."""
    printed = {"characters": -0.65, "ttr": -0.28, "size": -0.02}
    found = {which: _pearson(r, which) for which in printed}
    same = all(at_most(abs(found[which] - printed[which]), 0.1) for which in printed)
    curve = _by_language(r).mean()
    ends, inner = (curve.iloc[0], curve.iloc[-1]), float(curve.iloc[1:-1].mean())
    low = max(ends) < 0.5 * inner
    measured = f"{listing(found)}; signature {ends[0]:.3g} and {ends[1]:.3g} at the ends, {inner:.3g} inside"
    return Outcome(same and low, measured)


@predicate("parafac2023.s5.2.diverse_sets_vary_differently")
def diverse_sets_vary_differently(r: Records) -> Outcome:
    """Metric "chi2_p": every related set, layers 0, 6 and 12 of 12."""
    counts = {}
    for category in ("", "Number", "Person", "Tense", "Gender"):
        own = r.select(metric="chi2_p", task=category, variant="", baseline="")
        p = pd.concat([own.layers(k).frame["value"] for k in (0, 6, PAPER_DEPTH)])
        counts[category or WORDS] = (int((p < 0.05).sum()), len(p))
    gender = counts.pop("Gender")
    holds = all(k == n for k, n in counts.values()) and gender[0] == 0
    parts = [f"{name} {k} of {n}" for name, (k, n) in counts.items()]
    measured = f"significant: {', '.join(parts)} (all expected), Gender {gender[0]} of {gender[1]}"
    return Outcome(holds, measured + " (none expected)")


class _Starved:
    """Mean signatures with few data, on the scale on which the paper states them.

    Covariances have no unit of their own, so `FULL_DATA` is what all languages have on average over the
    layers above the embeddings when nothing is taken away.
    """

    def __init__(self, r: Records):
        self.r = r
        self.unit = FULL_DATA / r.mean("mean_signature", (1, PAPER_DEPTH))

    def languages(self, task: str) -> tuple[str, ...]:
        chosen = self.r.select(metric="mean_signature", variant="starved", baseline="", task=task)
        return chosen.unique("pair_or_language")

    def curve(self, language: str, variant: str) -> pd.Series:
        """Layers above the embeddings."""
        about = {"pair_or_language": language, "variant": variant}
        return self.unit * self.r.layers((1, PAPER_DEPTH)).curve("mean_signature", **about)


@predicate("parafac2023.s5.2.low_resource_with_relatives_safe", items=("appD",))
def low_resource_with_relatives_safe(r: Records) -> Outcome:
    """Variants "starved" and "", task "with relatives": the largest change at any layer."""
    table = _Starved(r)
    changes = {
        x: float((table.curve(x, "starved") - table.curve(x, "")).abs().max())
        for x in table.languages("with relatives")
    }
    measured = f"largest change {listing(changes)}; at most 0.05"
    return Outcome(at_most(max(changes.values()), 0.05), measured)


@predicate("parafac2023.s5.2.low_resource_isolates_collapse", items=("appD",))
def low_resource_isolates_collapse(r: Records) -> Outcome:
    """Variants "starved" and "", task "alone": means over the layers above the embeddings."""
    table = _Starved(r)
    languages = table.languages("alone")
    few, full = ({x: float(table.curve(x, v).mean()) for x in languages} for v in ("starved", ""))
    holds = at_most(max(few.values()), 0.1) and at_least(min(full.values()), 0.2)
    measured = f"few data: {listing(few)}, at most 0.1; all data: {listing(full)}, at least 0.2"
    return Outcome(holds, measured)


@predicate("parafac2023.appD.sampling_helps_little")
def sampling_helps_little(r: Records) -> Outcome:
    """Variants "starved, sampled" and "starved": the largest gain of a language."""
    table = _Starved(r)
    languages = r.select(variant="starved, sampled").unique("pair_or_language")
    gains = {
        x: float((table.curve(x, "starved, sampled") - table.curve(x, "starved")).mean())
        for x in languages
    }
    return Outcome(at_most(max(gains.values()), 0.05), f"gains {listing(gains)}; at most 0.05")
