"""Predicates of align2021, the slides on RANDOM-INIT, CKA and unseen languages.

Scores are in points (LAS 90.0), as the slides print them. A cell of the RANDOM-INIT table is named by
source and target ("en-en", "en-X": the mean over the other languages) and by the layers that were
re-initialised (variant "layers 1-2"); the pairs of the paper's 12 layers are translated to the same
relative depth of other networks. Tasks are "parsing", "pos" and "ner".
"""

from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean

from xsim_lib.evidence.claims.measures import above_last, at_least, at_most, depth_of_peak, listing
from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import PAPER_DEPTH, NothingSelected, Records

MULTILINGUAL, ADAPTED, BASELINE = "multilingual", "multilingual+mlm", "bilstm"
EASY, INTERMEDIATE, HARD = "gsw", "wo", "ug"
UNSEEN = frozenset(("gsw", "wo", "ug", "myv", "bxr", "fo", "pcm", "bm", "mt", "olo"))
"""Languages of the chapter that no model was pre-trained on, artificial and real."""


def _las(r: Records, pair: str) -> float:
    return r.mean("las", pair_or_language=pair, task="parsing")


def _no_transfer(r: Records) -> str:
    """Why statements about transfer are empty: pre-training adds less than two points to it."""
    try:
        trained, control = (
            _las(r, "en-X"),
            r.mean("las", pair_or_language="en-X", baseline="untrained"),
        )
    except NothingSelected:
        return ""
    if trained - control > 2:
        return ""
    return f"presupposes transfer: {trained:.1f} with pre-training, {control:.1f} without"


@predicate("align2021.parsing.nontrivial_transfer")
def nontrivial_transfer(r: Records) -> Outcome:
    """Metric "las", task "parsing", pairs "en-en" and "en-X"; baseline "untrained" for the control."""
    target, source = _las(r, "en-X"), _las(r, "en-en")
    measured = f"en-X {target:.1f} of {source:.1f} ({target / source:.2f}; at least 0.5)"
    return Outcome(at_least(target, 0.5 * source), measured, vacuous=_no_transfer(r))


@predicate("align2021.parsing.related_languages_better")
def related_languages_better(r: Records) -> Outcome:
    """Metric "las", task "parsing": fr > de > ru > mean over the targets."""
    values = {x: _las(r, f"en-{x}") for x in ("fr", "de", "ru", "X")}
    return Outcome(
        _falls(values.values()), listing(values, 1) + "; expected to fall", vacuous=_no_transfer(r)
    )


def _falls(values: Iterable[float]) -> bool:
    values = list(values)
    return all(a > b for a, b in pairwise(values))


class _Table:
    """The RANDOM-INIT table of one task: what re-initialising a group of layers costs."""

    def __init__(self, r: Records, task: str = "parsing"):
        # Where tables of several tasks are there, the slides' statements are about parsing.
        self.r = r.select(task=task)
        found = self.r.select(metric="delta_las", baseline="").frame
        depth = found["n_layers"].fillna(PAPER_DEPTH).astype(int)
        if depth.nunique() > 1:
            raise ValueError(f"n_layers: one depth expected, got {sorted(depth.unique())}")
        self.depth = int(depth.iloc[0])
        self.sources = tuple(dict.fromkeys(p.split("-")[0] for p in found["pair_or_language"]))
        groups = {
            v: tuple(map(int, v.removeprefix("layers ").split("-"))) for v in found["variant"]
        }
        self.groups = dict(sorted(groups.items(), key=lambda item: item[1]))

    def delta(self, pair: str, group: str) -> float:
        return self.r.mean("delta_las", pair_or_language=pair, variant=group)

    def same(self, source: str, group: str) -> float:
        return self.delta(f"{source}-{source}", group)

    def cross(self, source: str, group: str) -> float:
        return self.delta(f"{source}-X", group)

    def between(self, first: int, last: int) -> list[str]:
        """Groups that lie in layers first..last of 12."""
        inside = [
            name
            for name, (a, b) in self.groups.items()
            if (first - 1) * self.depth <= (a - 1) * PAPER_DEPTH
            and b * PAPER_DEPTH <= last * self.depth
        ]
        if not inside:
            raise NothingSelected(f"records: no group of layers within {first}..{last} of 12")
        return inside

    @property
    def vacuous(self) -> str:
        """Nothing can be lost where nothing is transferred."""
        for source in self.sources:
            try:
                trained = self.r.mean("las", pair_or_language=f"{source}-X")
                control = self.r.mean("las", pair_or_language=f"{source}-X", baseline="untrained")
            except NothingSelected:
                continue
            if trained - control <= 2:
                return (
                    f"presupposes transfer from {source}: {trained:.1f} with pre-training, "
                    f"{control:.1f} without"
                )
        return ""


@predicate("align2021.randominit.same_language_small_drop")
def same_language_small_drop(r: Records) -> Outcome:
    """Metric "delta_las", pairs such as "en-en", variants such as "layers 1-2"."""
    table = _Table(r)
    deltas = [table.same(s, g) for s in table.sources for g in table.groups]
    largest, mean = max(deltas, key=abs), fmean(map(abs, deltas))
    measured = f"largest {largest:+.2f} (at most 2.2), mean {mean:.2f} (at most 1)"
    return Outcome(at_most(abs(largest), 2.2) and at_most(mean, 1), measured)


@predicate("align2021.randominit.lower_layers_critical")
def lower_layers_critical(r: Records) -> Outcome:
    """The lowest group against the others ("en-X") and against the source itself ("en-en")."""
    table = _Table(r)
    lowest = next(iter(table.groups))
    holds, parts = True, []
    for source in table.sources:
        cross = {g: table.cross(source, g) for g in table.groups}
        same = table.same(source, lowest)
        worst = min(cross, key=cross.get) == lowest
        holds &= worst and cross[lowest] < 0 and at_least(-cross[lowest], 5 * abs(same))
        parts.append(f"{source}: {cross[lowest]:+.2f} against {same:+.2f}")
    return Outcome(holds, f"{lowest}: " + ", ".join(parts), vacuous=table.vacuous)


@predicate("align2021.randominit.upper_layers_free")
def upper_layers_free(r: Records) -> Outcome:
    """Groups in the last third of the network, every source's "X"."""
    table = _Table(r)
    deltas = [table.cross(s, g) for s in table.sources for g in table.between(9, PAPER_DEPTH)]
    measured = f"{min(deltas):+.2f} to {max(deltas):+.2f}; expected -0.5 to 1.0"
    holds = at_least(min(deltas), -0.5) and at_most(max(deltas), 1.0)
    return Outcome(holds, measured, vacuous=table.vacuous)


@predicate("align2021.randominit.monotone_with_depth")
def monotone_with_depth(r: Records) -> Outcome:
    """The change to "X", group by group from the bottom."""
    table = _Table(r)
    steps = {}
    for source in table.sources:
        cross = [table.cross(source, g) for g in table.groups]
        steps[source] = min(b - a for a, b in pairwise(cross))
    measured = f"smallest step upwards {listing(steps)}; expected none below 0"
    return Outcome(at_least(min(steps.values()), 0), measured, vacuous=table.vacuous)


@predicate("align2021.randominit.two_modules")
def two_modules(r: Records) -> Outcome:
    """Critical: the loss is at least 3 points on "X" and at most 2.2 on the source."""
    table = _Table(r)
    critical = [
        (s, g)
        for s in table.sources
        for g in table.groups
        if at_most(table.cross(s, g), -3) and at_least(table.same(s, g), -2.2)
    ]
    wanted = {(s, g) for s in table.sources for g in table.between(1, 4)}
    free = {(s, g) for s in table.sources for g in table.between(9, PAPER_DEPTH)}
    named = ", ".join(f"{s} {g.removeprefix('layers ')}" for s, g in critical) or "none"
    holds = wanted <= set(critical) and not free & set(critical)
    return Outcome(holds, f"critical: {named}", vacuous=table.vacuous)


@predicate("align2021.randominit.relative_loss_by_source")
def relative_loss_by_source(r: Records) -> Outcome:
    """The loss from the lowest group over the reference score: en, then ar, then ru."""
    table = _Table(r)
    lowest = next(iter(table.groups))
    relative = {
        s: -table.cross(s, lowest) / table.r.mean("las", pair_or_language=f"{s}-X")
        for s in ("en", "ar", "ru")
    }
    return Outcome(_falls(relative.values()), listing(relative, 3), vacuous=table.vacuous)


@predicate("align2021.cka.alignment_in_lower_part")
def alignment_in_lower_part(r: Records) -> Outcome:
    """Metric "cka_rbf", pair "en-de", every layer, before fine-tuning (variant "")."""
    curve = r.curve("cka_rbf", pair_or_language="en-de")
    depth, rise = depth_of_peak(curve), float(curve.max() - curve.iloc[0])
    holds = rise > 0 and 3 / 12 <= depth <= 8 / 12 and above_last(curve) > 0
    measured = f"rises by {rise:.2f} to {curve.max():.2f} at depth {depth:.2f}, ends at {curve.iloc[-1]:.2f}"
    return Outcome(holds, measured + "; expected a peak at .25 to .67")


@predicate("align2021.cka.preserved_by_fine_tuning")
def preserved_by_fine_tuning(r: Records) -> Outcome:
    """Metric "cka_rbf", pair "en-de": variants "fine-tuned TASK" against "", layers 1-8 of 12."""
    tuned = [v for v in r.select(metric="cka_rbf").unique("variant") if v.startswith("fine-tuned")]
    if not tuned:
        raise NothingSelected("records: cka_rbf has no variant 'fine-tuned ...' here")
    before = r.select(pair_or_language="en-de").layers((1, 8)).curve("cka_rbf")
    changes = {
        v: (r.select(pair_or_language="en-de").layers((1, 8)).curve("cka_rbf", variant=v) - before)
        .abs()
        .max()
        for v in tuned
    }
    return Outcome(
        at_most(max(changes.values()), 0.1),
        f"largest change {listing(changes)}; at most 0.1",
    )


@predicate("align2021.spearman.similarity_predicts_transfer")
def similarity_predicts_transfer(r: Records) -> Outcome:
    """Metric "spearman" of CKA with target minus source score, per task."""
    found = {task: r.mean("spearman", task=task) for task in ("parsing", "pos", "ner")}
    strong = min(found["parsing"], found["pos"])
    return Outcome(at_least(strong, 0.7) and found["ner"] > 0, listing(found))


@predicate("align2021.spearman.ner_weaker")
def ner_weaker(r: Records) -> Outcome:
    """Metric "spearman", tasks "parsing", "pos" and "ner"."""
    found = {task: r.mean("spearman", task=task) for task in ("parsing", "pos", "ner")}
    gap = min(found["parsing"], found["pos"]) - found["ner"]
    return Outcome(at_least(gap, 0.2), f"{listing(found)}: difference {gap:.2f}, at least 0.2")


@predicate("align2021.spearman_by_layer.figure")
def spearman_by_layer(r: Records) -> Outcome:
    """Metric "spearman" per layer, tasks "parsing" and "pos": layers 1-8 above 9-12 on average."""
    lower = r.mean("spearman", (1, 8), task=["parsing", "pos"])
    upper = r.mean("spearman", (9, 12), task=["parsing", "pos"])
    return Outcome(lower > upper, f"layers 1-8 {lower:.2f}, layers 9-12 {upper:.2f}")


@predicate("align2021.unseen.inventory_17", printed=True)
def inventory_17(r: Records) -> Outcome:
    """Rows of the printed table against the announced number."""
    rows = len(r.select(metric="n_sentences"))
    announced = r.mean("n_unseen_languages")
    return Outcome(rows == announced, f"{rows} rows, {announced:.0f} announced")


@predicate("align2021.unseen.data_size_not_decisive", printed=True)
def data_size_not_decisive(r: Records) -> Outcome:
    """Sentences of raw text as printed: Uyghur (hard) against Wolof (intermediate)."""
    hard, middle = (r.mean("n_sentences", pair_or_language=x) for x in (HARD, INTERMEDIATE))
    return Outcome(hard > middle, f"{hard:.0f} against {middle:.0f}")


def _scores(r: Records, language: str) -> dict[str, float]:
    return {
        model: r.mean("las", model=model, pair_or_language=language, task="parsing")
        for model in (MULTILINGUAL, ADAPTED, BASELINE)
    }


@predicate("align2021.unseen.three_categories")
def three_categories(r: Records) -> Outcome:
    """Metric "las" of three models fine-tuned on each language itself: gsw, wo and ug."""
    easy, middle, hard = (_scores(r, x) for x in (EASY, INTERMEDIATE, HARD))
    found = {
        EASY: easy[MULTILINGUAL] >= easy[BASELINE],
        INTERMEDIATE: middle[MULTILINGUAL] < middle[BASELINE] <= middle[ADAPTED],
        HARD: max(hard[MULTILINGUAL], hard[ADAPTED]) < hard[BASELINE],
    }
    parts = [
        f"{x} {'as' if found[x] else 'not as'} expected ({listing(scores, 1)})"
        for x, scores in zip(found, (easy, middle, hard), strict=True)
    ]
    return Outcome(all(found.values()), "; ".join(parts))


@predicate("align2021.unseen.mlm_adaptation_helps")
def mlm_adaptation_helps(r: Records) -> Outcome:
    """Metric "las" on wo: adapted above unadapted and at least the BiLSTM."""
    found = _scores(r, INTERMEDIATE)
    holds = found[ADAPTED] > found[MULTILINGUAL] and found[ADAPTED] >= found[BASELINE]
    return Outcome(holds, f"wo: {listing(found, 1)}")


@predicate("align2021.script.transliteration_rescues_uyghur")
def transliteration_rescues_uyghur(r: Records) -> Outcome:
    """Metric "las" on ug, variants "" (own script) and "romanised"."""
    own, latin = (
        r.mean("las", pair_or_language=HARD, task="parsing", variant=v, model=MULTILINGUAL)
        for v in ("", "romanised")
    )
    return Outcome(latin > own, f"own script {own:.1f}, Latin {latin:.1f}")


@predicate("align2021.script.holds_for_other_languages")
def holds_for_other_languages(r: Records) -> Outcome:
    """Every other language measured in both scripts: the change exceeds the 95 % half-widths; up if unseen."""
    mine = r.select(metric="las", task="parsing", model=MULTILINGUAL, baseline="")
    languages = [
        x for x in mine.select(variant="romanised").unique("pair_or_language") if x != HARD
    ]
    if not languages:
        raise NothingSelected("records: only ug was measured in two scripts")
    changes, holds = {}, True
    for language in languages:
        own, latin = (
            mine.select(pair_or_language=language, variant=v).frame for v in ("", "romanised")
        )
        changes[language] = float(latin["value"].mean() - own["value"].mean())
        noise = max(float((f["upper"] - f["lower"]).mean()) / 2 for f in (own, latin))
        holds &= abs(changes[language]) > noise and (
            language not in UNSEEN or changes[language] > 0
        )
    return Outcome(holds, f"Latin minus own script: {listing(changes, 1)}")


@predicate("align2021.scaling.mlqa_grows_with_parameters")
def grows_with_parameters(r: Records) -> Outcome:
    """Metrics "parameters" and the cross-lingual score "las" ("en-X") of every model."""
    sizes = r.select(metric="parameters", baseline="").frame.groupby("model")["value"].mean()
    scores = {m: r.mean("las", model=m, pair_or_language="en-X") for m in sizes.sort_values().index}
    values = list(scores.values())
    grows = all(b > a for a, b in pairwise(values))
    return Outcome(
        grows, f"by size: {listing(scores, 1)}; expected to grow (LAS here, not MLQA's F1)"
    )
