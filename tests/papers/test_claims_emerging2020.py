"""Predicates of emerging2020: on the printed table with one cell changed, and on planted records."""

import numpy as np
import pytest

from xsim_lib.evidence import claims, printed
from xsim_lib.evidence.claims.judging import judge
from xsim_lib.evidence.records import Records, merge_records
from xsim_lib.papers.emerging2020 import table1_names as table1

PRINTED = printed.as_records("emerging2020")
PAIRS = ("en-fr", "en-ru", "en-zh")
ALL = (*PAIRS, "en-de", "en-en'")


def judged(claim, *parts):
    return claims.predicate_of(f"emerging2020.{claim}")(merge_records(parts))


def rows(item, cells, **constant):
    common = {"paper": "emerging2020", "item": item, "profile": "mini", "seed": 1} | constant
    return Records.of([{**common, **cell} for cell in cells])


def edited(change, **where):
    """The printed numbers, of Table 1 unless `where` says else, with `change` added to some of them."""
    frame = PRINTED.frame
    chosen = [frame[c].eq(v).fillna(False) for c, v in ({"item": "table1"} | where).items()]
    mask = np.logical_and.reduce([rows.to_numpy(dtype=bool) for rows in chosen])
    assert mask.any()
    return Records(frame.assign(value=frame["value"] + change * mask))


# ---------------------------------------------------------------- Table 1
@pytest.mark.parametrize(
    ("claim", "change", "where"),
    [
        ("table1.domain_mismatch_modest", 2.5, {"model": "Wiki-CC", "task": "nli"}),
        ("table1.domain_mismatch_modest", 1.0, {"model": "Wiki-CC", "task": "ner"}),
        ("table1.domain_zh_ner_small", -2, {"model": "Wiki-CC", "task": "ner"}),
        ("table1.anchors_not_required", -1, {"model": "No anchors", "task": "nli"}),
        ("table1.anchors_not_required", 1, {"model": "No anchors", "task": "ner"}),
        ("table1.anchors_help_distant_pairs_more", -1, {"model": "Extra anchors", "task": "ner"}),
        (
            "table1.anchors_help_distant_pairs_more",
            4,
            {"model": "Extra anchors", "task": "nli", "pair_or_language": "en-fr"},
        ),
        ("table1.no_anchors_zh_ner_up", -2, {"model": "No anchors", "task": "ner"}),
        ("table1.shared_softmax_helps", -2, {"model": "Sep Emb", "task": "parsing"}),
        (
            "table1.fewer_shared_layers_worse",
            2,
            {"model": "Sep Emb", "task": "nli", "pair_or_language": "en-fr"},
        ),
        ("table1.three_separate_layers_still_fine", -3, {"model": "Sep Emb + L1-3", "task": "ner"}),
        (
            "table1.own_capacity_does_not_help",
            7,
            {"model": "Sep L1-3", "task": "nli", "pair_or_language": "en-zh"},
        ),
        (
            "table1.extra_anchors_close_gap",
            -5,
            {"model": "Extra anchors", "pair_or_language": "en-zh"},
        ),
        ("fig3.sharing_is_main_factor", -6, {"model": "No anchors", "task": "ner"}),
        ("fig3.sharing_is_main_factor", -40, {"model": "Wiki-CC", "task": "nli"}),
    ],
)
def test_one_cell_of_the_printed_table_decides(claim, change, where):
    assert judged(claim, PRINTED).holds
    assert not judged(claim, edited(change, **where)).holds


@pytest.mark.parametrize(
    ("claim", "change", "where"),
    [
        ("table1.more_anchors_help", 1, {"model": "Extra anchors", "task": "ner"}),
        (
            "table1.six_separate_layers_random",
            -47,
            {"model": "Sep Emb + L1-6", "pair_or_language": "en-fr"},
        ),
        ("table1.joint_bpe_contributes_little", 0.1, {"model": "Default", "task": "parsing"}),
    ],
)
def test_what_the_printed_numbers_lack(claim, change, where):
    assert not judged(claim, PRINTED).holds
    assert judged(claim, edited(change, **where)).holds


def scores(model, by_pair, baseline="", tasks=tuple(table1.METRICS)):
    return rows(
        "table1",
        [
            {"task": task, "metric": table1.METRICS[task], "pair_or_language": pair, "value": value}
            for task in tasks
            for pair, value in zip(PAIRS, by_pair, strict=True)
        ],
        model=model,
        baseline=baseline,
    )


def graded(steps=20):
    """Every row of the table falls with distance, and the more is separate the lower."""
    lost = {"Sep Emb": 3, "Sep L1-3": 4, "Sep Emb + L1-3": 5, "Sep L1-6": 15, "Sep Emb + L1-6": 25}
    return [
        scores(m, [80 - lost.get(m, 0) - steps * k * (1 + lost.get(m, 0) / 25) for k in range(3)])
        for m in table1.ROWS
    ]


def test_a_graded_table():
    assert judged("table1.language_similarity_matters", *graded()).holds
    assert judged("table1.distant_pairs_lose_most", *graded()).holds
    assert not judged("table1.language_similarity_matters", *graded(steps=-1)).holds
    assert not judged("table1.distant_pairs_lose_most", *graded(steps=-1)).holds
    assert not judged("table1.distant_pairs_lose_most", PRINTED).holds
    assert not judged("table1.language_similarity_matters", PRINTED).holds


@pytest.mark.parametrize(("control", "empty"), [((79, 59, 39), True), ((50, 40, 30), False)])
def test_where_nothing_is_transferred_the_table_says_nothing(control, empty):
    found = judged(
        "table1.own_capacity_does_not_help", *graded(), scores("Default", control, "untrained")
    )
    assert bool(found.vacuous) is empty
    assert "presupposes transfer in nli" in found.vacuous or not empty


def test_a_claim_on_one_task_needs_only_that_task():
    parts = [
        scores(m, v, tasks=("ner",)) for m, v in (("Default", (9, 8, 7)), ("Wiki-CC", (8, 7, 5)))
    ]
    assert judged("table1.domain_zh_ner_small", *parts).holds
    found = judge(
        claims.claim_named("emerging2020.table1.domain_mismatch_modest"),
        merge_records(parts),
        "mini",
    )
    assert found.reason.startswith("not yet measured")


# ---------------------------------------------------------------- words and sentences
def curve(item, metric, values, pairs=PAIRS, model="Monolingual", **more):
    last = len(values) - 1
    cells = [
        {"pair_or_language": p, "layer": k, "n_layers": last, "value": v, "metric": metric}
        for p in pairs
        for k, v in enumerate(values)
    ]
    return rows(item, cells, model=model, **more)


def single(value, model="Monolingual", **more):
    cells = [{"pair_or_language": p, "value": value, "metric": "precision_at_1"} for p in PAIRS]
    return rows("fig4", cells, model=model, **more)


def test_embedding_tables_against_baseline_vectors():
    claim = "fig4a.embeddings_align_better_than_fasttext"
    contexts = curve("fig4", "precision_at_1", [0.9] * 5)  # layers are another measurement
    assert judged(claim, single(0.5), single(0.4, "Baseline vectors"), contexts).holds
    assert not judged(claim, single(0.5), single(0.6, "Baseline vectors"), contexts).holds


@pytest.mark.parametrize(
    ("values", "limit", "holds"),
    [
        ([0.1, 0.2, 0.2, 0.3, 0.4], 0.5, True),
        ([0.1, 0.2, 0.2, 0.3, 0.4], 0.35, False),
        ([0.4, 0.2, 0.2, 0.1, 0.1], 0.5, False),
    ],
)
def test_contextual_vectors_rise_with_depth_below_the_baseline(values, limit, holds):
    parts = (
        curve("fig4", "precision_at_1", values),
        single(limit, "Baseline vectors", variant="contextual"),
        single(0.99),  # the embedding table is no layer
    )
    assert judged("fig4b.contextual_word_alignment", *parts).holds is holds


def test_sentences_are_retrieved_from_lower_layers():
    claim = "fig6.retrieval_best_at_lower_layers"
    low, high = [0.2, 0.5, 0.6, 0.4, 0.3], [0.2, 0.3, 0.4, 0.6, 0.5]
    assert judged(claim, curve("fig6", "retrieval", low)).holds
    assert not judged(claim, curve("fig6", "retrieval", high)).holds
    assert not judged(claim, curve("fig6", "retrieval", [v / 3 for v in low])).holds
    assert not judged(claim, curve("fig6", "retrieval", [0.9, 0.96, 0.9, 0.9, 0.9])).holds
    control = {"baseline": "untrained"}
    weak = judged(
        claim, curve("fig6", "retrieval", low), curve("fig6", "retrieval", [0.05] * 5, **control)
    )
    strong = judged(
        claim, curve("fig6", "retrieval", low), curve("fig6", "retrieval", [0.4] * 5, **control)
    )
    assert not weak.vacuous
    assert "untrained 0.40" in strong.vacuous


@pytest.mark.parametrize("broken", ["", "words", "contexts", "sentences"])
def test_a_rotation_must_be_worth_tenfold_at_all_three_levels(broken):
    parts = []
    for baseline in ("unmapped", "shuffled"):
        height = {k: 0.2 if k == broken and baseline == "shuffled" else 0.02 for k in
                  ("words", "contexts", "sentences")}  # fmt: skip
        parts += [
            single(height["words"], baseline=baseline),
            curve("fig4", "precision_at_1", [height["contexts"]] * 3, baseline=baseline),
            curve("fig6", "retrieval", [height["sentences"]] * 3, baseline=baseline),
        ]
    parts += [
        single(0.4),
        curve("fig4", "precision_at_1", [0.1, 0.1, 0.3]),
        curve("fig6", "retrieval", [0.1, 0.5, 0.1]),
    ]
    assert judged("s5.1.monolingual_models_alignable", *parts).holds is (not broken)


# ---------------------------------------------------------------- transfer through a rotation
def joined_models(mapped, joint=(60, 60), extra=(1, 0), peak=2):
    """Best scores (parsing, ner) at layer `peak` of 4; `extra` is what a rotation adds to biMLM."""
    parts = []
    for task, metric, k in (("parsing", "las", 0), ("ner", "f1", 1)):
        heights = {"MLM align": mapped[k], "biMLM": joint[k], "biMLM align": joint[k] + extra[k]}
        for model, height in heights.items():
            values = [height - 5 * abs(layer - peak) for layer in range(5)]
            parts.append(curve("fig5", metric, values, model=model, task=task))
    return parts


def test_joined_monolingual_models_transfer_less_than_a_bilingual_one():
    claim = "fig5.mono_alignment_transfers"
    assert judged(claim, *joined_models((50, 40))).holds
    assert not judged(claim, *joined_models((50, 29))).holds
    assert not judged(claim, *joined_models((50, 61))).holds
    assert judged("fig5.ner_gap_larger_than_parsing", *joined_models((50, 40))).holds
    assert not judged("fig5.ner_gap_larger_than_parsing", *joined_models((40, 50))).holds


@pytest.mark.parametrize(("peak", "holds"), [(0, False), (1, True), (3, True), (4, False)])
def test_middle_layers_are_joined_best(peak, holds):
    assert judged("fig5.middle_layers_best", *joined_models((50, 40), peak=peak)).holds is holds


def test_a_rotation_helps_a_bilingual_model_in_parsing_only():
    claim = "fig8.map_helps_bilingual_parsing_only"
    assert judged(claim, *joined_models((50, 40), extra=(1, 0.4))).holds
    assert not judged(claim, *joined_models((50, 40), extra=(1, 0.6))).holds
    assert not judged(claim, *joined_models((50, 40), extra=(-1, 0))).holds


def test_the_page_of_figure_5_shows_figure_8_as_well():
    shown = {claim.item for claim in claims.claims_of("emerging2020", "fig5")}
    assert shown == {"fig5", "fig8"}
    assert {c.item for c in claims.claims_of("emerging2020", "fig4")} == {"fig4a", "fig4b", "s5.1"}
    assert "fig3" in {c.item for c in claims.claims_of("emerging2020", "table1")}


# ---------------------------------------------------------------- CKA
@pytest.mark.parametrize(
    ("claim", "change", "where"),
    [
        ("fig7.average_order", -0.2, {"model": "Bilingual", "pair_or_language": "en-fr"}),
        ("fig7.first_layers_most_similar", 0.5, {"model": "Monolingual", "layer": 8}),
        ("fig7.first_layers_most_similar", 0.2, {"model": "Bilingual", "layer": 4}),
        ("fig7.related_pairs_more_similar", 0.1, {"model": "Bilingual", "pair_or_language": "en-zh"}),
        ("fig7.layer7_dip", 0.2, {"model": "Monolingual", "layer": 7, "pair_or_language": "en-ru"}),
        ("fig7.average_row_arithmetic", 0.1, {"model": "Random", "layer": 3}),
    ],
)  # fmt: skip
def test_one_change_to_the_printed_similarities_decides(claim, change, where):
    assert judged(claim, PRINTED).holds
    assert not judged(claim, edited(change, item="fig7", **where)).holds


def similarities(bilingual, monolingual=0.5, random=0.3):
    values = dict(zip(ALL, bilingual, strict=True))
    return [
        curve("fig7", "cka", [level] * 5, pairs=[pair], model=model)
        for pair, value in values.items()
        for model, level in (("Bilingual", value), ("Monolingual", monolingual), ("Random", random))
    ]


def test_planted_similarities():
    shrinking = similarities((0.8, 0.7, 0.6, 0.8, 0.9))
    assert judged("fig7.gap_shrinks_with_distance", *shrinking).holds
    assert judged("fig7.order_in_every_layer", *shrinking).holds
    assert not judged(
        "fig7.gap_shrinks_with_distance", *similarities((0.8, 0.7, 0.75, 0.8, 0.9))
    ).holds
    assert not judged(
        "fig7.gap_shrinks_with_distance", *similarities((0.8, 0.7, 0.6, 0.8, 0.7))
    ).holds
    found = judged("fig7.order_in_every_layer", *similarities((0.4, 0.7, 0.6, 0.8, 0.9)))
    assert not found.holds
    assert found.measured.startswith("Bilingual below Monolingual in 5 of 25 cells")


def test_cka_and_retrieval_must_go_together():
    claim, cka = "fig7.cka_tracks_retrieval", [0.5, 0.7, 0.6, 0.4, 0.2]
    alike = curve("fig6", "retrieval", [0.4, 0.62, 0.5, 0.3, 0.1])
    other = curve("fig6", "retrieval", [0.1, 0.2, 0.3, 0.5, 0.6])
    assert judged(claim, curve("fig7", "cka", cka), alike).holds
    assert not judged(claim, curve("fig7", "cka", cka), other).holds
    assert not judged(claim, curve("fig7", "cka", [0.5] * 5), alike).holds
    with pytest.raises(ValueError, match="different layers"):
        judged(claim, curve("fig7", "cka", cka[:4]), alike)


def test_the_stated_schedule_is_too_much():
    found = claims.predicate_of("emerging2020.s3.1.training_volume")(PRINTED)
    assert not found.holds
    assert found.measured.startswith("7.9e+12 tokens")
    assert judged(
        "s3.1.training_volume", edited(-199.8e3, item="s3.1", metric="batches_per_epoch")
    ).holds
