"""Predicates of emerging2020 on the similarity of models: Figures 4 to 8 and the stated schedule.

Records they expect, by item. The depth of the encoders stands in `n_layers`; layers of the paper, which
has 8, are read as relative depths. Shares lie in 0-1, scores of tasks in points (0-100).

fig4
    Metric "precision_at_1" of word translation, variant "" (source to target; "reverse" is not read),
    model "Monolingual": without a layer for the embedding table (4a), with one for averaged
    contextual vectors (4b). Model "Baseline vectors", without a layer: variant "" on the words of 4a,
    "contextual" on those of 4b. Baselines "unmapped" and "shuffled" of "Monolingual".
fig5
    Metrics "las" (task "parsing") and "f1" (task "ner") per layer that is joined, pairs "en-fr",
    "en-ru", "en-zh"; models "biMLM", "biMLM align" (with a rotation on top, the paper's Figure 8) and
    "MLM align" (two monolingual models).
fig6
    Metric "retrieval" of sentences per layer, variant "", model "Monolingual"; baselines "unmapped",
    "shuffled" and "untrained".
fig7
    Metric "cka" per layer, models "Bilingual", "Monolingual" and "Random" (an untrained encoder on the
    side that is not English), pairs "en-en'", "en-fr", "en-de", "en-ru", "en-zh".
"""

from collections.abc import Callable
from statistics import fmean

import pandas as pd

from xsim_lib.evidence.claims.measures import (
    at_least,
    at_most,
    depth_of_peak,
    listing,
    ratio,
    spearman,
)
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import NothingSelected, Records
from xsim_lib.papers.emerging2020.table1_names import METRICS, PAIRS

MONOLINGUAL, BILINGUAL, RANDOM = "Monolingual", "Bilingual", "Random"
VECTORS = "Baseline vectors"
JOINT, JOINT_MAPPED, MAPPED = "biMLM", "biMLM align", "MLM align"
PARAPHRASE = "en-en'"
RELATED = ("en-fr", "en-de")
CKA_PAIRS = (PARAPHRASE, *RELATED, "en-ru", "en-zh")
_AVERAGE = "layers mean(0-8)"


# ---------------------------------------------------------------- words and sentences
def _pairs(r: Records, metric: str) -> tuple[str, ...]:
    """The pairs of which the monolingual models were joined."""
    return r.select(metric=metric, model=MONOLINGUAL, baseline="").unique("pair_or_language")


def _table(r: Records, pair: str, baseline: str = "") -> float:
    """Word translation by the embedding table."""
    return r.mean(
        "precision_at_1", model=MONOLINGUAL, pair_or_language=pair, baseline=baseline, layer=None
    )


def _by_layer(r: Records, metric: str, pair: str, baseline: str = "") -> pd.Series:
    return r.curve(metric, model=MONOLINGUAL, pair_or_language=pair, baseline=baseline)


def _vectors(r: Records, pair: str, variant: str = "") -> float:
    return r.mean("precision_at_1", model=VECTORS, pair_or_language=pair, variant=variant)


@predicate("emerging2020.fig4a.embeddings_align_better_than_fasttext", items=("fig4",))
def embeddings_align_better_than_fasttext(r: Records) -> Outcome:
    """Word translation by the embedding table and by the baseline vectors, every pair."""
    found = {p: (_table(r, p), _vectors(r, p)) for p in _pairs(r, "precision_at_1")}
    holds = all(at_least(ours, theirs) for ours, theirs in found.values())
    parts = [f"{p} {ours:.2f} against {theirs:.2f}" for p, (ours, theirs) in found.items()]
    return Outcome(holds, "; ".join(parts))


@predicate("emerging2020.fig4b.contextual_word_alignment", items=("fig4",))
def contextual_word_alignment(r: Records) -> Outcome:
    """Word translation by contextual vectors over layers, every pair, against the baseline vectors."""
    parts, holds = [], True
    for pair in _pairs(r, "precision_at_1"):
        curve, limit = _by_layer(r, "precision_at_1", pair), _vectors(r, pair, "contextual")
        trend = spearman(curve, pd.Series(curve.index, curve.index))
        holds &= trend > 0 and curve.max() < limit
        parts.append(
            f"{pair} rank correlation with depth {trend:+.2f}, best {curve.max():.2f} of {limit:.2f}"
        )
    return Outcome(holds, "; ".join(parts))


@predicate("emerging2020.fig6.retrieval_best_at_lower_layers")
def retrieval_best_at_lower_layers(r: Records) -> Outcome:
    """Sentence retrieval of every pair: depth and height of the peak."""
    curves = {p: _by_layer(r, "retrieval", p) for p in _pairs(r, "retrieval")}
    depths = {p: depth_of_peak(c) for p, c in curves.items()}
    best = {p: float(c.max()) for p, c in curves.items()}
    holds = at_most(max(depths.values()), 4 / 8) and all(
        at_least(value, 0.3) and value < 0.95 for value in best.values()
    )
    measured = f"best at depth {listing(depths)} (at most 0.5): {listing(best)} (0.3 to 0.95)"
    return Outcome(holds, measured, vacuous=_without_training(r, best))


def _without_training(r: Records, best: dict[str, float]) -> str:
    """Why retrieval says nothing about training: an untrained encoder does half as well."""
    for pair, value in best.items():
        try:
            control = float(_by_layer(r, "retrieval", pair, "untrained").max())
        except NothingSelected:
            continue
        if control >= value / 2:
            return f"presupposes a test that training matters for: {pair} {value:.2f}, untrained {control:.2f}"
    return ""


@predicate("emerging2020.s5.1.monolingual_models_alignable", items=("fig4", "fig6"))
def monolingual_models_alignable(r: Records) -> Outcome:
    """The rotation against none and against one of shuffled pairs: words, in context, sentences."""

    def best(metric: str) -> Callable[[str, str], float]:
        return lambda pair, baseline: float(_by_layer(r, metric, pair, baseline).max())

    levels = {
        "words": ("precision_at_1", lambda pair, baseline: _table(r, pair, baseline)),
        "in context": ("precision_at_1", best("precision_at_1")),
        "sentences": ("retrieval", best("retrieval")),
    }
    parts, holds = [], True
    for name, (metric, value) in levels.items():
        for pair in _pairs(r, metric):
            rotated = value(pair, "")
            control = max(value(pair, "unmapped"), value(pair, "shuffled"))
            holds &= at_least(rotated, 10 * control) and rotated > 0
            parts.append(f"{name} {pair} {rotated:.2f} ({control:.3f})")
    return Outcome(holds, "; ".join(parts) + "; tenfold expected")


# ---------------------------------------------------------------- transfer through a rotation
def _layers(r: Records, model: str, task: str, pair: str) -> pd.Series:
    return r.curve(METRICS[task], model=model, task=task, pair_or_language=pair)


def _best(r: Records, model: str, task: str, pair: str) -> float:
    return float(_layers(r, model, task, pair).max())


def _cells() -> list[tuple[str, str]]:
    return [(task, pair) for task in ("parsing", "ner") for pair in PAIRS]


@predicate("emerging2020.fig5.mono_alignment_transfers")
def mono_alignment_transfers(r: Records) -> Outcome:
    """Best layers of joined monolingual models and of a bilingual one, tasks "parsing" and "ner"."""
    parts, holds = [], True
    for task, pair in _cells():
        joint, mapped = (_best(r, m, task, pair) for m in (JOINT, MAPPED))
        below = mapped < joint or (task, pair) == ("parsing", "en-fr")
        holds &= below and at_least(mapped, joint / 2)
        parts.append(f"{task} {pair} {mapped:.1f} of {joint:.1f}")
    return Outcome(holds, "; ".join(parts) + "; half or more, but less, except parsing en-fr")


@predicate("emerging2020.fig5.middle_layers_best")
def middle_layers_best(r: Records) -> Outcome:
    """Depth of the best layer of joined monolingual models, by task and pair."""
    depths = {f"{t} {p}": depth_of_peak(_layers(r, MAPPED, t, p)) for t, p in _cells()}
    middle = sum(2 / 8 <= depth <= 6 / 8 for depth in depths.values())
    measured = f"depth {listing(depths)}: {middle} of {len(depths)} at .25 to .75; most expected"
    return Outcome(2 * middle > len(depths), measured)


@predicate("emerging2020.fig5.ner_gap_larger_than_parsing")
def ner_gap_larger_than_parsing(r: Records) -> Outcome:
    """Mean relative gap between the best layers of joined and of bilingual models, by task."""
    gaps = {
        task: fmean(1 - ratio(_best(r, MAPPED, task, p), _best(r, JOINT, task, p)) for p in PAIRS)
        for task in ("ner", "parsing")
    }
    return Outcome(gaps["ner"] > gaps["parsing"], f"relative gap {listing(gaps)}")


@predicate("emerging2020.fig8.map_helps_bilingual_parsing_only", items=("fig5",))
def map_helps_bilingual_parsing_only(r: Records) -> Outcome:
    """What a rotation adds to the best layer of a bilingual model, by task and pair."""
    gain = {c: _best(r, JOINT_MAPPED, *c) - _best(r, JOINT, *c) for c in _cells()}
    parsing = {p: gain["parsing", p] for p in PAIRS}
    ner = {p: gain["ner", p] for p in PAIRS}
    holds = (
        min(parsing.values()) > 0
        and max(parsing, key=parsing.get) == "en-fr"
        and at_most(max(ner.values()), 0.5)
    )
    measured = (
        f"parsing {listing(parsing, 1)} (above 0, en-fr most); ner {listing(ner, 1)} (at most 0.5)"
    )
    return Outcome(holds, measured)


# ---------------------------------------------------------------- CKA
def _cka(r: Records, model: str, pair: str) -> pd.Series:
    return r.curve("cka", model=model, pair_or_language=pair)


def _average(r: Records, model: str, pair: str) -> float:
    return float(_cka(r, model, pair).mean())


def _relative(curve: pd.Series) -> pd.Series:
    """The curve over relative depth, 0 for the embedding layer and 1 for the last layer."""
    return curve.set_axis(curve.index / curve.index.max())


@predicate("emerging2020.fig7.average_order")
def average_order(r: Records) -> Outcome:
    """CKA averaged over layers: bilingual, monolingual, random, every pair."""
    found = {p: [_average(r, m, p) for m in (BILINGUAL, MONOLINGUAL, RANDOM)] for p in CKA_PAIRS}
    holds = all(a > b > c for a, b, c in found.values())
    parts = [f"{p} {'/'.join(f'{x:.2f}' for x in v)}" for p, v in found.items()]
    return Outcome(holds, "; ".join(parts) + "; expected to fall")


@predicate("emerging2020.fig7.order_in_every_layer")
def order_in_every_layer(r: Records) -> Outcome:
    """The same in every layer."""
    above = {(BILINGUAL, MONOLINGUAL): 0, (MONOLINGUAL, RANDOM): 0}
    cells = 0
    for pair in CKA_PAIRS:
        cells += len(_cka(r, BILINGUAL, pair))
        for one, other in above:
            below = _cka(r, one, pair) - _cka(r, other, pair) < -1e-9
            above[one, other] += int(below.sum())
    parts = [f"{one} below {other} in {n} of {cells} cells" for (one, other), n in above.items()]
    return Outcome(not any(above.values()), "; ".join(parts))


@predicate("emerging2020.fig7.first_layers_most_similar")
def first_layers_most_similar(r: Records) -> Outcome:
    """Depth of the peak, and the lower half against the upper, every pair, both kinds of model."""
    late, rising = [], []
    for model in (BILINGUAL, MONOLINGUAL):
        for pair in CKA_PAIRS:
            curve = _relative(_cka(r, model, pair))
            if curve.idxmax() > 3 / 8:
                late.append(f"{model} {pair}")
            if curve[curve.index <= 4 / 8].mean() <= curve[curve.index > 4 / 8].mean():
                rising.append(f"{model} {pair}")
    measured = (
        f"peak above depth .375: {', '.join(late) or 'none'}; "
        f"upper half not below the lower: {', '.join(rising) or 'none'}"
    )
    return Outcome(not late and not rising, measured)


@predicate("emerging2020.fig7.gap_shrinks_with_distance")
def gap_shrinks_with_distance(r: Records) -> Outcome:
    """Bilingual minus monolingual CKA, averaged over layers: en', then fr and de, then ru, then zh."""
    gap = {p: _average(r, BILINGUAL, p) - _average(r, MONOLINGUAL, p) for p in CKA_PAIRS}
    related = [gap[p] for p in RELATED]
    holds = (
        at_least(gap[PARAPHRASE], max(related))
        and at_least(min(related), gap["en-ru"])
        and at_least(gap["en-ru"], gap["en-zh"])
    )
    return Outcome(holds, listing(gap))


@predicate("emerging2020.fig7.related_pairs_more_similar")
def related_pairs_more_similar(r: Records) -> Outcome:
    """CKA of bilingual models, averaged over layers: fr and de, then ru, then zh."""
    found = {p: _average(r, BILINGUAL, p) for p in (*RELATED, "en-ru", "en-zh")}
    holds = min(found[p] for p in RELATED) > found["en-ru"] > found["en-zh"]
    return Outcome(holds, listing(found))


@predicate("emerging2020.fig7.layer7_dip")
def layer7_dip(r: Records) -> Outcome:
    """CKA of monolingual models at the last layer but one, and at its neighbours, every pair."""
    ends = {p: _cka(r, MONOLINGUAL, p).tolist()[-3:] for p in CKA_PAIRS}
    parts = [f"{p} {'/'.join(f'{x:.2f}' for x in v)}" for p, v in ends.items()]
    holds = all(b < min(a, c) for a, b, c in ends.values())
    return Outcome(holds, "; ".join(parts) + " (last three layers)")


@predicate("emerging2020.fig7.average_row_arithmetic", printed=True)
def average_row_arithmetic(r: Records) -> Outcome:
    """The printed averages against the means of the printed layers."""
    off = max(
        abs(_average(r, m, p) - r.mean("cka", model=m, pair_or_language=p, variant=_AVERAGE))
        for m in (BILINGUAL, MONOLINGUAL, RANDOM)
        for p in CKA_PAIRS
    )
    return Outcome(at_most(off, 0.01), f"largest deviation {off:.4f}; at most 0.01")


@predicate("emerging2020.fig7.cka_tracks_retrieval", items=("fig7", "fig6"))
def cka_tracks_retrieval(r: Records) -> Outcome:
    """Correlation over layers of "cka" and "retrieval" between monolingual models, every pair."""
    found = {}
    for pair in _pairs(r, "retrieval"):
        cka, retrieval = _cka(r, MONOLINGUAL, pair), _by_layer(r, "retrieval", pair)
        if not cka.index.equals(retrieval.index):
            raise ValueError(f"{pair}: cka and retrieval were measured on different layers")
        varies = min(cka.std(), retrieval.std()) > 0
        found[pair] = float(cka.corr(retrieval)) if varies else 0.0
    return Outcome(min(found.values()) > 0.9, f"{listing(found)}; above 0.9 expected")


# ---------------------------------------------------------------- the schedule
@predicate("emerging2020.s3.1.training_volume", printed=True)
def training_volume(r: Records) -> Outcome:
    """Tokens of the stated schedule against what would be plausible."""
    parts = ("n_epochs", "batches_per_epoch", "n_gpus", "batch_size_per_gpu")
    tokens = r.mean("sequence_length_tokens")
    for part in parts:
        tokens *= r.mean(part)
    return Outcome(at_most(tokens, 1e12), f"{tokens:.1e} tokens; plausible up to 1e12")
