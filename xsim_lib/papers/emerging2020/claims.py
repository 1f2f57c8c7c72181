"""Predicates of emerging2020: what makes a bilingual model bilingual (Table 1, Figure 3).

Those on the similarity of models, Figures 4 to 8, are in `emerging2020_models`.

Records they expect, of item "table1": zero-shot scores in points (0-100), metric "accuracy" of task
"nli", "f1" of "ner" and "las" of "parsing"; models named as the table's rows ("Default", "Wiki-CC", ...,
"Sep L1-6": the lower three quarters); pairs "en-fr", "en-ru", "en-zh", close, middle and far. Model
"Default" with baseline "untrained" is the control.
"""

from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean

from xsim_lib.evidence.claims.measures import at_least, at_most, listing, ratio
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import NothingSelected, Records
from xsim_lib.papers.emerging2020.table1_names import (  # fmt: skip
    ALL_SEPARATE,
    CHAINS,
    DEFAULT,
    EXTRA,
    LOWER_MOST,
    METRICS,
    MOST,
    NONE,
    OTHER_DOMAIN,
    PAIRS,
    ROWS,
    SEPARATE,
    SOME,
    THIRD,
)

NEEDED = 2
"""Points that pre-training must add for statements about transfer to mean anything."""


class Table1:
    """The zero-shot scores of Table 1, of the tasks that a claim is about."""

    def __init__(self, r: Records, *tasks: str):
        self.r, self.tasks = r, tasks or tuple(METRICS)

    def score(self, model: str, task: str, pair: str) -> float:
        return self.r.mean(METRICS[task], model=model, task=task, pair_or_language=pair)

    def mean(self, model: str, task: str) -> float:
        return fmean(self.score(model, task, pair) for pair in PAIRS)

    def costs(self, one: str, other: str) -> dict[str, float]:
        """By task, how much worse `other` is than `one`, on average over the pairs."""
        return {task: self.mean(one, task) - self.mean(other, task) for task in self.tasks}

    def gain(self, task: str, pair: str) -> float:
        return self.score(EXTRA, task, pair) - self.score(SOME, task, pair)

    @property
    def vacuous(self) -> str:
        for task in self.tasks:
            try:
                control = fmean(
                    self.r.mean(METRICS[task], model=DEFAULT, task=task, pair_or_language=pair, baseline="untrained")
                    for pair in PAIRS
                )  # fmt: skip
            except NothingSelected:
                continue
            trained = self.mean(DEFAULT, task)
            if trained - control <= NEEDED:
                return (
                    f"presupposes transfer in {task}: {trained:.1f} with pre-training, "
                    f"{control:.1f} without"
                )
        return ""

    def outcome(self, holds: bool, measured: str) -> Outcome:
        return Outcome(holds, measured, vacuous=self.vacuous)


def _within(value: float, low: float, high: float) -> bool:
    return at_least(value, low) and at_most(value, high)


def _falls(values: Iterable[float]) -> bool:
    return all(a > b for a, b in pairwise(values))


def _named(found: Iterable[str], what: str) -> str:
    return f"{what}: {', '.join(found) or 'none'}"


@predicate("emerging2020.table1.domain_mismatch_modest")
def domain_mismatch_modest(r: Records) -> Outcome:
    """Mean cost of another domain, by task."""
    table = Table1(r)
    cost = table.costs(DEFAULT, OTHER_DOMAIN)
    modest = _within(cost["nli"], 1, 3) and _within(cost["parsing"], 1, 3)
    return table.outcome(
        modest and cost["ner"] > 6,
        f"cost {listing(cost, 1)}; 1 to 3 expected, in ner more than 6",
    )


@predicate("emerging2020.table1.domain_zh_ner_small")
def domain_zh_ner_small(r: Records) -> Outcome:
    """Cost of another domain in NER of the far language."""
    table = Table1(r, "ner")
    cost = table.score(DEFAULT, "ner", "en-zh") - table.score(OTHER_DOMAIN, "ner", "en-zh")
    return table.outcome(_within(cost, 1, 3), f"cost {cost:.1f}; expected 1 to 3")


@predicate("emerging2020.table1.anchors_not_required")
def anchors_not_required(r: Records) -> Outcome:
    """Mean cost of having no anchors, by task; vocabularies are learned separately in both models."""
    table = Table1(r)
    cost = table.costs(SOME, NONE)
    kept = {task: ratio(table.mean(NONE, task), table.mean(SOME, task)) for task in table.tasks}
    holds = (
        at_most(max(cost["nli"], cost["parsing"]), 1.5)
        and cost["ner"] > 2
        and at_most(cost["ner"], 3)
        and all(at_least(share, 0.95) for share in kept.values())
    )
    measured = f"cost {listing(cost, 1)} (at most 1.5, in ner 2 to 3); kept {listing(kept)}"
    return table.outcome(holds, measured)


@predicate("emerging2020.table1.more_anchors_help")
def more_anchors_help(r: Records) -> Outcome:
    """Mean scores without anchors, with those that are there, and with more."""
    table = Table1(r)
    values = {t: [table.mean(m, t) for m in (NONE, SOME, EXTRA)] for t in table.tasks}
    measured = "; ".join(f"{t} {'/'.join(f'{x:.1f}' for x in v)}" for t, v in values.items())
    holds = all(at_least(b, a) for v in values.values() for a, b in pairwise(v))
    return table.outcome(holds, measured + "; expected to rise")


@predicate("emerging2020.table1.anchors_help_distant_pairs_more")
def anchors_help_distant_pairs_more(r: Records) -> Outcome:
    """Gain from extra anchors of the far and the close pair, in NLI and NER."""
    table = Table1(r, "nli", "ner")
    gains = {t: (table.gain(t, "en-zh"), table.gain(t, "en-fr")) for t in table.tasks}
    holds = all(far > 3 and far > close for far, close in gains.values())
    parts = [f"{t} zh {far:+.1f}, fr {close:+.1f}" for t, (far, close) in gains.items()]
    return table.outcome(holds, "; ".join(parts) + "; zh above 3 and above fr expected")


@predicate("emerging2020.table1.no_anchors_zh_ner_up")
def no_anchors_zh_ner_up(r: Records) -> Outcome:
    """NER of the far language without anchors and with them."""
    table = Table1(r, "ner")
    none, some = (table.score(m, "ner", "en-zh") for m in (NONE, SOME))
    return table.outcome(none > some, f"{none:.1f} without anchors, {some:.1f} with them")


@predicate("emerging2020.table1.joint_bpe_contributes_little")
def joint_bpe_contributes_little(r: Records) -> Outcome:
    """Differences between joint and separate sub-words in all cells; identical ones are suspicious."""
    table = Table1(r)
    cells = {
        (t, p): table.score(DEFAULT, t, p) - table.score(SOME, t, p)
        for t in table.tasks
        for p in PAIRS
    }
    same = not any(d for (t, _), d in cells.items() if t != "nli")
    worst = max(map(abs, cells.values()))
    measured = f"largest difference {worst:.1f} (at most 1)"
    measured += "; all cells of ner and parsing identical" if same else ""
    return table.outcome(at_most(worst, 1) and not same, measured)


@predicate("emerging2020.table1.shared_softmax_helps")
def shared_softmax_helps(r: Records) -> Outcome:
    """Mean cost of separate embeddings beyond that of having no anchors, by task."""
    table = Table1(r)
    cost = table.costs(NONE, SEPARATE)
    holds = _within(cost["nli"], 2.5, 4) and all(
        _within(cost[t], 0.5, 2) for t in ("ner", "parsing")
    )
    return table.outcome(holds, f"cost {listing(cost, 1)}; expected 2.5 to 4, then 0.5 to 2")


@predicate("emerging2020.table1.fewer_shared_layers_worse")
def fewer_shared_layers_worse(r: Records) -> Outcome:
    """Both chains of ever fewer shared layers, in every pair and task."""
    table = Table1(r)
    wrong = [
        f"{t} {p} {b}"
        for t in table.tasks
        for p in PAIRS
        for chain in CHAINS
        for a, b in pairwise(chain)
        if table.score(b, t, p) >= table.score(a, t, p)
    ]
    return table.outcome(not wrong, _named(wrong, "not worse than with more shared"))


@predicate("emerging2020.table1.six_separate_layers_random")
def six_separate_layers_random(r: Records) -> Outcome:
    """Scores with separate embeddings and three quarters of the layers separate."""
    table = Table1(r)
    best = {t: max(table.score(MOST, t, p) for p in PAIRS) for t in table.tasks}
    limits = {"nli": 36, "ner": 10, "parsing": 10}
    holds = all(at_most(best[t], limits[t]) for t in table.tasks)
    return table.outcome(holds, f"best pair {listing(best, 1)}; at most {listing(limits, 0)}")


@predicate("emerging2020.table1.three_separate_layers_still_fine")
def three_separate_layers_still_fine(r: Records) -> Outcome:
    """Share of the default's mean score with separate embeddings and lower third."""
    table = Table1(r)
    kept = {t: ratio(table.mean(THIRD, t), table.mean(DEFAULT, t)) for t in table.tasks}
    holds = all(at_least(share, 0.85) for share in kept.values())
    return table.outcome(holds, f"kept {listing(kept)}; at least 0.85")


@predicate("emerging2020.table1.distant_pairs_lose_most")
def distant_pairs_lose_most(r: Records) -> Outcome:
    """Relative loss of every pair by separating layers, two settings, every task."""
    table = Table1(r)
    parts, holds = [], True
    for model in (THIRD, LOWER_MOST):
        for t in table.tasks:
            loss = [1 - ratio(table.score(model, t, p), table.score(DEFAULT, t, p)) for p in PAIRS]
            holds &= _falls(reversed(loss))
            parts.append(f"{model} {t} {'/'.join(f'{x:.2f}' for x in loss)}")
    return table.outcome(holds, "; ".join(parts) + " (fr/ru/zh); expected to rise")


@predicate("emerging2020.table1.own_capacity_does_not_help")
def own_capacity_does_not_help(r: Records) -> Outcome:
    """Every model with separate parts against the default, in every pair and task."""
    table = Table1(r)
    wrong = [
        f"{m} {t} {p}"
        for t in table.tasks
        for p in PAIRS
        for m in ALL_SEPARATE
        if table.score(m, t, p) >= table.score(DEFAULT, t, p)
    ]
    return table.outcome(not wrong, _named(wrong, "not below the default"))


@predicate("emerging2020.table1.language_similarity_matters")
def language_similarity_matters(r: Records) -> Outcome:
    """Order of the pairs in every row and task."""
    table = Table1(r)
    share = {
        t: fmean(_falls([table.score(m, t, p) for p in PAIRS]) for m in ROWS) for t in table.tasks
    }
    measured = f"share of rows with fr > ru > zh: {listing(share, 1)}; all expected"
    return table.outcome(min(share.values()) == 1, measured)


@predicate("emerging2020.table1.extra_anchors_close_gap")
def extra_anchors_close_gap(r: Records) -> Outcome:
    """Close minus far pair, with extra anchors and by default, by task."""
    table = Table1(r)
    gap = {
        m: {t: table.score(m, t, "en-fr") - table.score(m, t, "en-zh") for t in table.tasks}
        for m in (DEFAULT, EXTRA)
    }
    closer = all(gap[EXTRA][t] < gap[DEFAULT][t] for t in table.tasks)
    rising = _falls(reversed([gap[DEFAULT][t] for t in METRICS]))
    measured = (
        f"gap by default {listing(gap[DEFAULT], 1)}; with extra anchors {listing(gap[EXTRA], 1)}"
    )
    return table.outcome(closer and rising, measured)


@predicate("emerging2020.fig3.sharing_is_main_factor", items=("table1",))
def sharing_is_main_factor(r: Records) -> Outcome:
    """Largest mean loss by separating parameters against those by domain and by anchors, by task."""
    table = Table1(r)
    worst = {t: max(table.costs(DEFAULT, m)[t] for m in ALL_SEPARATE) for t in table.tasks}
    domain, anchors = table.costs(DEFAULT, OTHER_DOMAIN), table.costs(DEFAULT, NONE)
    holds = all(
        worst[t] > max(domain[t], anchors[t]) and at_most(max(domain[t], anchors[t]), 7)
        for t in table.tasks
    )
    measured = f"separate parameters {listing(worst, 1)}; domain {listing(domain, 1)}; no anchors {listing(anchors, 1)}"
    return table.outcome(holds, measured)
