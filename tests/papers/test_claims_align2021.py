"""Predicates of align2021 on planted records: what the slides do not print, and what makes a claim empty."""

import pytest

from xsim_lib.evidence import claims
from xsim_lib.evidence.records import Records, merge_records


def judged(claim, *parts):
    return claims.predicate_of(f"align2021.{claim}")(merge_records(parts))


def rows(item, *cells, task="parsing"):
    common = {"paper": "align2021", "item": item, "profile": "mini", "seed": 1, "task": task}
    return Records.of([{**common, **cell} for cell in cells])


def curve(values, variant="", item="cka"):
    last = len(values) - 1
    cells = [
        {"metric": "cka_rbf", "pair_or_language": "en-de", "layer": k, "n_layers": last}
        | {"value": v, "variant": variant, "model": "multilingual"}
        for k, v in enumerate(values)
    ]
    return rows(item, *cells, task="")


RISING = [0.3, 0.4, 0.5, 0.7, 0.8, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6, 0.5, 0.4]


def test_alignment_peaks_in_the_lower_half():
    assert judged("cka.alignment_in_lower_part", curve(RISING)).holds
    assert not judged("cka.alignment_in_lower_part", curve(sorted(RISING))).holds
    assert not judged("cka.alignment_in_lower_part", curve(sorted(RISING, reverse=True))).holds


def test_fine_tuning_may_change_the_upper_layers_only():
    kept = [v - (0.3 if k > 8 else 0.05) for k, v in enumerate(RISING)]
    lost = [v - (0.2 if k == 2 else 0.0) for k, v in enumerate(RISING)]
    claim = "cka.preserved_by_fine_tuning"
    assert judged(claim, curve(RISING), curve(kept, "fine-tuned parsing")).holds
    assert not judged(claim, curve(RISING), curve(lost, "fine-tuned parsing")).holds
    both = [curve(RISING), curve(kept, "fine-tuned parsing"), curve(lost, "fine-tuned pos")]
    assert not judged(claim, *both).holds


@pytest.mark.parametrize(("upper", "holds"), [(0.4, True), (0.9, False)])
def test_similarity_tells_more_below_than_on_top(upper, holds):
    cells = [
        {"metric": "spearman", "layer": k, "n_layers": 12, "value": 0.7 if k <= 8 else upper}
        for k in range(13)
    ]
    parts = [rows("spearman_by_layer", *cells, task=task) for task in ("parsing", "pos")]
    assert judged("spearman_by_layer.figure", *parts).holds is holds


def unseen(**scores):
    return rows(
        "unseen",
        *(
            {"metric": "las", "model": model, "pair_or_language": language, "value": value}
            for language, values in scores.items()
            for model, value in zip(("multilingual", "multilingual+mlm", "bilstm"), values, strict=True)
        ),
    )  # fmt: skip


def test_the_three_categories():
    as_told = unseen(gsw=(60, 65, 55), wo=(40, 55, 50), ug=(30, 35, 50))
    assert judged("unseen.three_categories", as_told).holds
    assert judged("unseen.mlm_adaptation_helps", as_told).holds
    for wrong in (
        unseen(gsw=(50, 65, 55), wo=(40, 55, 50), ug=(30, 35, 50)),
        unseen(gsw=(60, 65, 55), wo=(40, 45, 50), ug=(30, 35, 50)),
        unseen(gsw=(60, 65, 55), wo=(40, 55, 50), ug=(30, 55, 50)),
    ):
        found = judged("unseen.three_categories", wrong)
        assert not found.holds
        assert found.measured.count("not as expected") == 1


def script(**changes):
    return rows(
        "script",
        *(
            {"metric": "las", "model": "multilingual", "pair_or_language": language, "variant": v}
            | {"value": value, "lower": value - 2, "upper": value + 2}
            for language, change in changes.items()
            for v, value in (("", 40.0), ("romanised", 40.0 + change))
        ),
    )


def test_transliteration_must_move_scores_beyond_noise_and_up_for_unseen_languages():
    assert judged("script.transliteration_rescues_uyghur", script(ug=5)).holds
    assert not judged("script.transliteration_rescues_uyghur", script(ug=-1)).holds
    claim = "script.holds_for_other_languages"
    assert judged(claim, script(ug=5, myv=4, ru=-6)).holds
    assert not judged(claim, script(ug=5, myv=-4, ru=-6)).holds  # an unseen language must gain
    assert not judged(claim, script(ug=5, myv=4, ru=-1)).holds  # within noise


@pytest.mark.parametrize(("scores", "holds"), [((30, 40, 50), True), ((30, 50, 40), False)])
def test_larger_models_transfer_better(scores, holds):
    cells = [
        {"metric": metric, "model": f"size{k}", "pair_or_language": "en-X", "value": value}
        for k, score in enumerate(scores)
        for metric, value in (("las", score), ("parameters", 10.0 ** (k + 4)))
    ]
    assert judged("scaling.mlqa_grows_with_parameters", rows("scaling", *cells)).holds is holds


def random_init(groups, depth, control):
    """Deltas of two sources; cross-lingual ones by group, the same language hardly moves."""
    cells = [
        {
            "metric": "las",
            "pair_or_language": f"{s}-X",
            "value": v,
            "baseline": b,
            "n_layers": depth,
        }
        for s in ("en", "ru")
        for b, v in (("", 50.0), ("untrained", control))
    ]
    for group, delta in groups.items():
        for source in ("en", "ru"):
            for pair, value in ((f"{source}-X", delta), (f"{source}-{source}", -0.5)):
                cells.append(
                    {"metric": "delta_las", "pair_or_language": pair, "value": value}
                    | {"variant": f"layers {group}", "n_layers": depth}
                )
    return rows("randominit", *cells)


def test_random_init_of_six_layers_is_read_at_relative_depth():
    found = random_init({"1-2": -15, "3-4": -4, "5-6": 0.5}, 6, control=20.0)
    assert judged("randominit.lower_layers_critical", found).holds
    assert judged("randominit.two_modules", found).holds
    assert judged("randominit.upper_layers_free", found).measured.startswith("+0.50")
    flat = random_init({"1-2": -1, "3-4": -4, "5-6": 0.5}, 6, control=20.0)
    assert not judged("randominit.lower_layers_critical", flat).holds
    assert not judged("randominit.two_modules", flat).holds


def test_nothing_can_be_lost_where_nothing_is_transferred():
    found = random_init({"1-2": -15, "3-4": -4, "5-6": 0.5}, 6, control=49.0)
    assert "presupposes transfer" in judged("randominit.lower_layers_critical", found).vacuous
