"""Claims: all there, in our words, with predicates that repeat what the printed numbers say."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from xsim_lib.evidence import chapters, claims, records
from xsim_lib.evidence import printed as reported
from xsim_lib.evidence.claims.judging import judge
from xsim_lib.evidence.claims.registry import Claim, Outcome
from xsim_lib.evidence.records import Records, merge_records

ALL = claims.all_claims()
DECIDED = [claim for claim in ALL if claims.predicate_of(claim)]
# The paper prints only a range for these, so there are no numbers to apply the predicate to.
ONLY_A_RANGE = {"anc2022.fig9.pwcca_svcca_half_to_08"}
CHECKABLE = [
    claim
    for claim in DECIDED
    if claim.printed.verdict != "not_checkable" and claim.id not in ONLY_A_RANGE
]
PRINTED = {paper: reported.as_records(paper) for paper in {claim.paper for claim in DECIDED}}
COLLAPSE = claims.claim_named("anc2022.fig1.normformer_cka_collapse")


def ids(found):
    return [claim.id for claim in found]


def changed(found, **columns):
    return Records(found.frame.assign(**columns))


# ------------------------------------------------------------------ the texts
def test_every_paper_claims_something_and_every_claim_has_an_id_of_its_own():
    """That none gets lost is held by tests/golden/verdicts.csv, which names each of them."""
    assert len(set(ids(ALL))) == len(ALL)
    assert {claim.paper for claim in ALL} == set(chapters.names())


def test_every_statement_is_one_sentence_of_its_own():
    assert len({claim.statement for claim in ALL}) == len(ALL)
    for claim in ALL:
        assert not re.search(r"[.!?] [A-Z]", claim.statement), claim.id
        assert len(claim.statement) <= 161, claim.id


def test_no_statement_is_copied_from_a_paper():
    data = os.environ.get("XSIM_DATA")
    folder = Path(data or "absent").parent / "papers" / "text"
    if not folder.is_dir():
        pytest.skip("the texts of the papers are not at hand")
    words = [_words(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.txt"))]
    longest = 8  # words in a row; shorter runs are names and phrases that anybody would use
    known = {run for text in words for run in _runs(text, longest)}
    assert len(known) > 10000
    for claim in ALL:
        copied = [" ".join(run) for run in _runs(_words(claim.statement), longest) if run in known]
        assert not copied, f"{claim.id}: {copied}"


def _words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def _runs(words, length):
    return [tuple(words[k : k + length]) for k in range(len(words) - length + 1)]


def test_a_claim_is_validated():
    good = claims.claim_named(COLLAPSE.id).model_dump()
    for change, message in (
        ({"id": "anc2022.fig2.other"}, "expected anc2022.fig1.NAME, got 'anc2022.fig2.other'"),
        ({"kind": "guess"}, "kind"),
        ({"statement": "no full stop at the end of this"}, "statement"),
        ({"threshold": 1}, "threshold"),
        ({"scale": {"levels": ["huge"], "note": ""}}, "levels"),
    ):
        with pytest.raises(pydantic.ValidationError, match=message):
            Claim.model_validate({**good, **change})


def test_looking_up():
    assert ids(claims.claims_of("anc2022", "fig7")) == [
        "anc2022.fig7.second_seed_collapse", "anc2022.fig7.same_as_fig1"
    ]  # fmt: skip
    both = {claim.item for claim in claims.claims_of("anc2022", "fig6")}
    assert both == {"fig6", "fig5_6"}
    with pytest.raises(ValueError, match="paper: expected one of anc2022"):
        claims.claims_of("anc2021")
    with pytest.raises(ValueError, match=r"item: anc2022 has claims on table1.*got 'fig10'"):
        claims.claims_of("anc2022", "fig10")
    with pytest.raises(ValueError, match=r"there is anc2022\.fig7\.second_seed_collapse"):
        claims.claim_named("anc2022.fig7.third_seed")
    assert [i.item for i in claims.items_without_claim("parafac2023")][1] == "table2"


def test_a_predicate_belongs_to_one_known_claim():
    with pytest.raises(ValueError, match="has a predicate already"):
        claims.predicate(COLLAPSE.id)(lambda r: Outcome(True, ""))
    with pytest.raises(ValueError, match=r"no claim 'anc2022\.fig1\.nothing'"):
        claims.predicate("anc2022.fig1.nothing")


def test_examples_in_the_docstrings():
    for module in (claims, reported):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed


# ------------------------------------------------------------------ the predicates
def test_every_claim_has_a_predicate():
    assert ids(DECIDED) == ids(ALL)


@pytest.mark.parametrize("claim", CHECKABLE, ids=ids(CHECKABLE))
def test_predicate_repeats_the_verdict_on_the_printed_numbers(claim):
    printed = PRINTED[claim.paper]
    outcome = claims.predicate_of(claim)(printed)
    assert outcome.holds is (claim.printed.verdict == "holds")
    assert outcome.measured
    assert not outcome.vacuous
    again = claims.predicate_of(claim)(changed(printed, value=printed.frame["value"]))
    assert again == outcome


def planted(item, rows, **constant):
    common = {"paper": "anc2022", "item": item, "profile": "mini", "seed": 0} | constant
    return Records.of([{**common, **row} for row in rows])


def layered(item, metric, model, values, **more):
    last = len(values) - 1
    rows = [
        {"pair_or_language": p, "layer": k, "n_layers": last, "value": v, "metric": metric}
        for p in ("en-fr", "en-et", "en-bg")
        for k, v in enumerate(values)
    ]
    return planted(item, rows, model=model, **more)


FLAT = [0.3] + [0.6] * 11 + [0.5]
FALLEN = [0.3] + [0.6] * 5 + [0.02] * 7


def random_cell(metric, variant, value):
    return {"metric": metric, "variant": variant, "value": value, "model": "random"}


TUNED = "scale_normformer_tuned"
UNPRINTED = [
    (
        "anc2022.fig8.tuned_cka_misses_6_11",
        lambda cls: merge_records(
            [
                layered("fig8", "cka", TUNED, FALLEN),
                planted("fig8", [{"layer": 12, "n_layers": 12, "value": cls, "metric": "cka"}],
                        model=TUNED, variant="cls"),
            ]
        ),
        0.5,
        0.03,
    ),
    ("anc2022.fig8.tuned_anc_sees_all_layers", lambda low: layered("fig8", "anc", TUNED, [0.1, *[low] * 12]), 0.3, 0.29),
    (
        "anc2022.fig9.pwcca_svcca_half_to_08",
        lambda top: merge_records(
            [
                layered("fig9", "pwcca", "scale_normformer", [0.5] * 13),
                layered("fig9", "svcca", "scale_normformer", [top] * 13),
                layered("fig1", "cka", "scale_normformer", FALLEN),
            ]
        ),
        0.8,
        0.81,
    ),
    (
        "anc2022.s4.3.index_changes_conclusion",
        lambda sign: merge_records(
            [
                layered("s4.3", "cka", "bert-base-multilingual-cased", [k / 20 for k in range(13)]),
                layered("s4.3", "pwcca", "bert-base-multilingual-cased",
                        [0.5 + sign * k / 40 for k in range(13)], variant="cls"),
            ]
        ),
        -1,
        1,
    ),
    (
        "anc2022.s3.invariances",
        lambda svcca: planted("s3", [
            random_cell("cca", "", 0.4), random_cell("cca", "linear", 0.4),
            random_cell("svcca", "", 0.4), random_cell("svcca", "linear", svcca),
            random_cell("cka", "", 0.4), random_cell("cka", "linear", 0.3), random_cell("cka", "orthogonal", 0.4),
        ]),
        0.4,
        0.35,
    ),
    (
        "anc2022.s5.1.anc_definition",
        lambda rotated: planted("s5.1", [
            random_cell("anc", "", 0.4), random_cell("anc", "rescaled", 0.4),
            random_cell("anc", "rotated", rotated), random_cell("anc_signed", "", 0.1),
        ]),
        0.2,
        0.4,
    ),
    (
        "anc2022.s5.1.anc_needs_one_network",
        lambda anc: planted("s5.1", [
            {"metric": "anc", "value": anc}, {"metric": "anc", "value": 0.1, "baseline": "shuffled_units"},
            {"metric": "cka", "value": 0.7},
        ], model="two_seeds"),
        0.14,
        0.16,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("claim", "make", "yes", "no"), UNPRINTED, ids=[u[0] for u in UNPRINTED])
def test_predicate_without_printed_numbers_tells_planted_cases_apart(claim, make, yes, no):
    predicate = claims.predicate_of(claim)
    assert predicate(make(yes)).holds is True
    assert predicate(make(no)).holds is False


def test_every_predicate_is_tested_one_way_or_the_other():
    mine = [c for c in DECIDED if c.paper == "anc2022"]
    checkable = [c for c in CHECKABLE if c.paper == "anc2022"]
    assert {u[0] for u in UNPRINTED} | set(ids(checkable)) == set(ids(mine))


def test_a_missing_pair_is_not_averaged_away():
    two_pairs = PRINTED["anc2022"].select(item="fig1", pair_or_language=["en-fr", "en-et"])
    with pytest.raises(records.NothingSelected, match="'en-bg' is missing"):
        claims.predicate_of(COLLAPSE)(two_pairs)


@pytest.mark.parametrize("depth", [2, 3, 4, 6, 8, 24])
def test_the_collapse_is_found_in_networks_of_any_depth(depth):
    half = depth / 2
    curve = [0.3] + [0.7 if k < half else 0.02 for k in range(1, depth + 1)]
    found = layered("fig1", "cka", "scale_normformer", curve)
    # Between embeddings and output a 2-layer network has one layer, which is deep already.
    assert claims.predicate_of(COLLAPSE)(found).holds is (depth > 2)


def test_claims_that_presuppose_the_collapse_say_so():
    flat = merge_records(
        [
            layered("fig1", "cka", "scale_normformer", FLAT),
            layered("fig2", "matching", "scale_normformer", [0.6] * 13, n=1000),
            layered("fig4", "anc", "scale_normformer", FLAT),
        ]
    )
    same = judge(claims.claim_named("anc2022.fig1.collapse_same_for_all_pairs"), flat, "mini")
    assert same.verdict == "not_testable_here"
    assert "only meaningful with the collapse" in same.reason
    match = judge(claims.claim_named("anc2022.fig2.deep_layers_still_match"), flat, "mini")
    assert match.verdict == "holds"
    assert "presupposes the CKA collapse, which does not appear here" in match.reason
    assert "chance 0.001 with 1000 candidates, so 0.1 is 100 x chance" in match.reason
    seen = judge(claims.claim_named("anc2022.fig4.anc_sees_deep_normformer"), flat, "mini")
    assert seen.verdict == "fails"
    assert "presupposes that CKA collapses" in seen.reason


def test_reading_claims_and_records_loads_no_torch():
    code = "import sys, xsim_lib.evidence.claims as c; c.verdict_table({}, 'mini'); print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == "False"


def test_equal_transfer_is_not_claimed_where_nothing_transfers():
    """Three encoders at chance agree to the digit; calling that equal transfer would be empty."""
    rows = [
        {"model": m, "pair_or_language": x, "task": "nli", "metric": "accuracy", "value": v}
        for m in ("scale_post", "scale_pre", "scale_normformer")
        for x, v in {"en": 0.65, "fr": 0.34, "bg": 0.33}.items()
    ]
    records = Records.of(rows, paper="anc2022", item="table1", profile="mini", seed=1)
    verdict = claims.judge(claims.claim_named("anc2022.table1.equal_transfer"), records, "mini")
    assert verdict.verdict == "not_testable_here"
    assert "presupposes transfer" in verdict.reason
