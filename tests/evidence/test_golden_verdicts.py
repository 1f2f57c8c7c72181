"""No verdict moves unnoticed: every claim on the recorded tables and on the numbers that the papers print.

`tests/golden/verdicts.csv` holds what each claim says, judged on the committed tables of ``results/PROFILE``
alone (whether these are stale, and what a build measured, is no matter here) and on the printed numbers
("printed": the verdict of the claim's YAML file, and what its predicate finds). A change that is wanted:

    python -m pytest tests/evidence/test_golden_verdicts.py --update-golden

and a line in CHANGELOG.md with its reason.
"""

import csv
import io
from functools import cache

import pytest

from xsim_lib.evidence import claims, printed, records
from xsim_lib.evidence.records import NothingSelected

COLUMNS = ("claim", "source", "verdict", "measured")
REMEDY = (
    "These claims moved. If they should: add a line with the reason to CHANGELOG.md and run "
    "`python -m pytest tests/evidence/test_golden_verdicts.py --update-golden`"
)


@pytest.fixture(scope="module")
def now(repository):
    """The file as it would be written today."""
    rows = _on_printed_numbers()
    for folder in sorted(path for path in (repository / "results").iterdir() if path.is_dir()):
        rows += _on_recorded_tables(folder)
    order = {claim.id: place for place, claim in enumerate(claims.all_claims())}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(rows, key=lambda row: (order[row[0]], row[1])))
    return text.getvalue()


def _on_recorded_tables(folder):
    recorded = records.merge_records(
        [records.read_records(file) for file in sorted(folder.glob("*.csv"))]
    )
    table = claims.verdict_table({"recorded": recorded}, folder.name)
    return table.assign(source=folder.name)[list(COLUMNS)].to_numpy().tolist()


def _on_printed_numbers():
    numbers = cache(printed.as_records)
    rows = []
    for claim in claims.all_claims():
        try:
            outcome = claims.predicate_of(claim)(numbers(claim.paper))
            measured = f"condition {'met' if outcome.holds else 'not met'}: {outcome.measured}"
        except NothingSelected:
            measured = "the paper prints no numbers for the predicate"
        rows.append([claim.id, "printed", claim.printed.verdict, measured])
    return rows


def _moved(before, after):
    """The rows that differ, one a line."""
    old, new = (
        {tuple(row[:2]): " | ".join(row[2:]) for row in csv.reader(io.StringIO(text))}
        for text in (before, after)
    )
    return [
        f"{claim} ({source}): {old.get((claim, source), 'no row')} -> {new.get((claim, source), 'no row')}"
        for claim, source in old | new
        if old.get((claim, source)) != new.get((claim, source))
    ]


def test_verdicts_and_what_was_measured_stay_as_they_are(golden, now):
    moved = _moved(golden("verdicts.csv", now), now)
    assert not moved, "\n".join([REMEDY, *moved])


def test_every_claim_is_judged_on_every_recorded_profile_and_on_the_printed_numbers(now):
    rows = [tuple(row[:2]) for row in csv.reader(io.StringIO(now))][1:]
    sources = ("mini", "printed", "real")
    assert rows == [(claim.id, source) for claim in claims.all_claims() for source in sources]


def test_a_claim_that_moved_comes_or_goes_is_named():
    before = "claim,source,verdict,measured\na,mini,holds,0.5\nb,mini,fails,0.1\nc,mini,fails,1\n"
    after = "claim,source,verdict,measured\na,mini,holds,0.6\nb,mini,fails,0.1\nd,mini,fails,1\n"
    assert _moved(before, before) == []
    assert _moved(before, after) == [
        "a (mini): holds | 0.5 -> holds | 0.6",
        "c (mini): fails | 1 -> no row",
        "d (mini): no row -> fails | 1",
    ]
