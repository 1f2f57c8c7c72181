"""Predicates of parafac2023 on trees, on the method itself and on the printed tables.

What the notebooks of the chapter record, by item:

``s2``
    "congruence" (smallest |cosine| of true and found signatures of matched components, noise-free) and
    "start_agreement" (the same between random starts), one row per start (pair_or_language); variant
    "full rank" of "start_agreement" for as many components as dimensions.
``fig5``
    "mean_distance" of each language (pair_or_language) to all others, layers 0, 6 and 12 of 12.
``fig8a``
    of the tree at layer 6 of 12, without a layer in the rows: "robinson_foulds" (normalised, to the true
    tree) and "robinson_foulds_p" (`factorization.permutation_baseline`), and "misplaced" per group of
    languages (pair_or_language, "Germanic"): how many languages the nearest clade has too many or too few.
    Baseline "lexical" of "robinson_foulds": the tree from words in common alone. "tree_correlation": the
    cophenetic correlation of the trees of two layers (pair_or_language "0-6").
``fig8b``
    "robinson_foulds" and "clade" (1 or 0; pair_or_language "ar-he", and "all but zh-ja"), variant
    "categories"; baseline "presence" of "robinson_foulds": the tree from the table of which language
    has which category, without any model.

The tables are arithmetic on `xsim_lib.evidence.printed`. A task is read by its first metric, accuracy or F1.
"""

import pandas as pd

from xsim_lib.evidence import printed
from xsim_lib.evidence.claims.measures import at_least, at_most, listing
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import NothingSelected, Records
from xsim_lib.indices.fisher import pearson_p

FAR = frozenset(("ar", "zh", "hi", "ja", "ko"))
TABLES = ("table4", "table5", "table6", "table7")
SAME_MODEL = "XLM-R"


@predicate("parafac2023.s2.parafac2_recovers_factors")
def parafac2_recovers_factors(r: Records) -> Outcome:
    """The worst start: against the planted signatures and against other starts."""
    worst = {
        metric: float(r.select(metric=metric, variant="", baseline="").frame["value"].min())
        for metric in ("congruence", "start_agreement")
    }
    full = r.select(metric="start_agreement", variant="full rank").frame["value"].min()
    holds = all(at_least(value, 0.99) for value in worst.values())
    measured = f"{listing(worst, 3)}; at least 0.99"
    return Outcome(holds, measured, f"starts agree to {full:.3f} at full rank")


@predicate("parafac2023.fig5.five_outliers")
def five_outliers(r: Records) -> Outcome:
    """Metric "mean_distance": the five largest at layers 0, 6 and 12."""
    found = {}
    for layer in (0, 6, 12):
        frame = r.select(metric="mean_distance", variant="", baseline="").layers(layer).frame
        far = frame.groupby("pair_or_language")["value"].mean().nlargest(len(FAR))
        found[layer] = sorted(far.index)
    measured = "; ".join(f"layer {k}: {', '.join(names)}" for k, names in found.items())
    return Outcome(all(set(names) == FAR for names in found.values()), measured)


@predicate("parafac2023.fig8a.tree_matches_families")
def tree_matches_families(r: Records) -> Outcome:
    """Metrics "misplaced", "robinson_foulds" and "robinson_foulds_p"."""
    groups = r.select(metric="misplaced", variant="", baseline="").frame
    misplaced = groups.groupby("pair_or_language", sort=False)["value"].mean()
    distance, p = r.mean("robinson_foulds"), r.mean("robinson_foulds_p")
    try:
        note = f"words in common alone: {r.mean('robinson_foulds', baseline='lexical'):.2f}"
    except NothingSelected:
        note = ""
    measured = (
        f"misplaced {listing(misplaced.to_dict(), 0)} (at most 1); Robinson-Foulds {distance:.2f}, "
        f"p {p:.3f}"
    )
    return Outcome(at_most(misplaced.max(), 1) and p < 0.05, measured, note)


@predicate("parafac2023.fig8a.trees_similar_across_layers")
def trees_similar_across_layers(r: Records) -> Outcome:
    """Metric "tree_correlation": the median over pairs of layers."""
    middle = r.select(metric="tree_correlation", variant="", baseline="").frame["value"].median()
    return Outcome(at_least(middle, 0.5), f"median {middle:.2f}, at least 0.5")


@predicate("parafac2023.fig8b.average_tree_fits_better", items=("fig8b", "fig8a"))
def average_tree_fits_better(r: Records) -> Outcome:
    """Metrics "clade" and "robinson_foulds", variant "categories" against the tree over all words."""
    sisters, outside = (
        r.mean("clade", variant="categories", pair_or_language=x) == 1
        for x in ("ar-he", "all but zh-ja")
    )
    average, words = (r.mean("robinson_foulds", variant=v) for v in ("categories", ""))
    presence = r.mean("robinson_foulds", variant="categories", baseline="presence")
    measured = (
        f"ar and he {'are' if sisters else 'are not'} sisters, zh and ja "
        f"{'are' if outside else 'are not'} outside; distance {average:.2f} against {words:.2f}"
    )
    note = f"which language has which category alone gives {presence:.2f}"
    return Outcome(sisters and outside and average < words, measured, note)


def _first(r: Records, *items: str) -> pd.DataFrame:
    """Printed correlations by the first metric of each task."""
    frame = r.select(item=items).frame
    return frame[frame["metric"].isin(["pearson_accuracy", "pearson_f1"])]


@predicate("parafac2023.table1.equals_layer_12_rows", items=("table1", *TABLES), printed=True)
def equals_layer_12_rows(r: Records) -> Outcome:
    """Cell by cell, all metrics."""
    key = ["model", "task", "metric"]
    frame = r.frame[r.frame["metric"].str.startswith("pearson") & (r.frame["layer"] == 12)]
    summary, full = (
        frame[(frame["item"] == "table1") == first].set_index(key)["value"]
        for first in (True, False)
    )
    different = summary.index.symmetric_difference(full.index).tolist()
    both = summary.index.intersection(full.index)
    different += both[(summary[both] != full[both]).to_numpy()].tolist()
    return Outcome(not different, f"{len(different)} of {len(summary)} cells differ")


@predicate("parafac2023.table1.xlmr_correlates_best", items=("table1",), printed=True)
def xlmr_correlates_best(r: Records) -> Outcome:
    """The largest value of every task, shared or not."""
    table = _first(r, "table1").pivot(index="task", columns="model", values="value")
    best = table[SAME_MODEL] >= table.max(axis=1)
    others = ", ".join(table.index[~best])
    measured = f"{best.sum()} of {len(best)} tasks" + (f"; not {others}" if others else "")
    return Outcome(best.all(), measured)


@predicate("parafac2023.table1.signature_indicates_performance", items=("table1",), printed=True)
def signature_indicates_performance(r: Records) -> Outcome:
    """Positive everywhere, and half of the cells significant for their number of languages."""
    languages = r.select(metric="n_languages").frame.set_index("task")["value"]
    table = _first(r, "table1")
    p = pearson_p(table["value"], languages[table["task"]])
    significant, smallest = int((p < 0.05).sum()), float(table["value"].min())
    measured = f"smallest {smallest:.2f}; {significant} of {len(table)} significant, half expected"
    return Outcome(smallest > 0 and 2 * significant >= len(table), measured)


def _layers(r: Records) -> pd.DataFrame:
    """Tables 4 to 7: (model, task) in rows, layers in columns."""
    found = _first(r, *TABLES)
    return found.pivot(index=["model", "task"], columns="layer", values="value")


@predicate("parafac2023.tables4_7.last_layers_best_for_most_tasks", items=TABLES, printed=True)
def last_layers_best_for_most_tasks(r: Records) -> Outcome:
    """The largest correlation, shared or not, at layer 11 or 12 for more than half of the models' tasks."""
    table = _layers(r)
    best = table.eq(table.max(axis=1), axis=0)
    last = best[[11, 12]].any(axis=1)
    middle = best[6] & ~last
    measured = f"{last.sum()} of {len(best)} at layers 11 and 12, {middle.sum()} at layer 6"
    return Outcome(2 * last.sum() > len(best), measured)


@predicate("parafac2023.tables4_7.pos_pawsx_high_everywhere", items=TABLES, printed=True)
def pos_pawsx_high_everywhere(r: Records) -> Outcome:
    """The smallest value over models and layers."""
    lowest = _layers(r).min(axis=1).groupby("task").min()
    found = {task: float(lowest[task]) for task in ("PAWS-X", "pos")}
    return Outcome(at_least(min(found.values()), 0.5), f"smallest {listing(found)}; at least 0.5")


@predicate("parafac2023.tables4_7.xnli_only_last_layer", items=TABLES, printed=True)
def xnli_only_last_layer(r: Records) -> Outcome:
    """Layer 12 against the best of the others, every model."""
    table = _layers(r).xs("XNLI", level="task")
    top, below = table[12], table.drop(columns=12).max(axis=1)
    holds = (top > below).all() and at_least(top.min(), 0.2) and at_most(below.max(), 0.25)
    parts = [f"{model} {top[model]:.2f}, next {below[model]:.2f}" for model in table.index]
    return Outcome(holds, "; ".join(parts))


@predicate("parafac2023.table3.language_property_lists", items=("table3",), printed=True)
def language_property_lists(r: Records) -> Outcome:
    """Pairs of category and language in the table and in the list by language."""
    table = set(r.frame[["model", "pair_or_language"]].itertuples(index=False, name=None))
    # Records of two items may not repeat a key, so the second one is read here.
    by_language = printed.read_printed("parafac2023", "appendixA_list")
    pairs = set(by_language[["series", "pair_or_language"]].itertuples(index=False, name=None))
    measured = (
        f"{len(table)} against {len(pairs)} pairs: {len(table - pairs)} only in the table, "
        f"{len(pairs - table)} only in the list"
    )
    return Outcome(table == pairs, measured)


@predicate("parafac2023.appB.protocol", items=("appendixB.2", "s4"), printed=True)
def protocol(r: Records) -> Outcome:
    """Sequences per language in the longest training that the appendix allows."""
    steps, languages = r.mean("max_steps"), r.mean("n_languages")
    own, shared = (
        r.mean("global_batch_size", model=m) for m in ("RoBERTa (mono)", "XLM-R (multi)")
    )
    multilingual, monolingual = steps * shared / languages, steps * own
    measured = f"{multilingual:.0f} against {monolingual:.0f} sequences per language"
    return Outcome(multilingual < monolingual, measured)
