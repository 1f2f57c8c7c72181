"""From records to verdicts: the rule over seeds, the gate of scale, and the table of all claims.

A verdict is decided in this order.

1. No predicate, or records that lack what it reads: ``not_testable_here``, "not yet measured".
2. Profile smoke: ``not_testable_here``; it only checks that the code runs.
3. The claim presupposes what these records do not show: ``not_testable_here``.
4. The claim needs a scale that the profile does not reach: ``not_testable_here``, with the numbers.
5. The predicate is true on the mean over seeds and on at least 80 % of the seeds: ``holds``. False
   on the mean and on at least 80 % of the seeds: ``fails``. Otherwise the seeds disagree:
   ``not_testable_here``, with the numbers.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from xsim_lib.evidence import printed
from xsim_lib.evidence.claims.registry import Claim, Outcome, Predicate, all_claims, predicate_of
from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.evidence.records import NothingSelected, Records

__all__ = ["VERDICT_COLUMNS", "Verdict", "judge", "per_seed", "verdict_table", "write_verdicts"]

VERDICT_COLUMNS = ("claim", "paper", "item", "profile", "verdict", "measured", "seeds", "reason")
HOLDS, FAILS, NOT_TESTABLE = "holds", "fails", "not_testable_here"
NOT_MEASURED = "not yet measured"
SOURCES = ("live", "recorded")
NOTHING: Mapping[str, str] = MappingProxyType({})

_TINY = frozenset({"tiny_synthetic", "tiny_uncertain", "arithmetic"})
_REACHED = {"smoke": _TINY, "mini": _TINY, "real": _TINY | {"real_text"}}  # "paper" reaches all


@dataclass(frozen=True)
class Verdict:
    """What the records say about a claim; `seeds` is how many of them the predicate could judge."""

    claim: str
    paper: str
    item: str
    profile: str
    verdict: str
    measured: str
    seeds: int
    reason: str


def judge(claim: Claim, records: Records | None, profile: str, *, source: str = "") -> Verdict:
    """Judge one claim on one set of records.

    Parameters
    ----------
    records : of any papers, items and seeds, all of one profile; None where there are none. Claims about
        the printed numbers themselves ignore them.
    profile : "smoke", "mini", "real" or "paper".
    source : what the records are, in words; starts the reason.

    Returns
    -------
    Verdict by the rule in the documentation of this module.

    Raises
    ------
    ValueError : unknown profile, or records of another profile.
    """
    _check_profile(profile, records)
    predicate = predicate_of(claim)
    if predicate is None:
        return _verdict(claim, profile, NOT_TESTABLE, "", 0, NOT_MEASURED)
    if predicate.printed:
        records, source = printed.as_records(claim.paper), "arithmetic on the printed numbers"
    records = _relevant(predicate, records)
    if records is None:
        return _verdict(claim, profile, NOT_TESTABLE, "", 0, NOT_MEASURED)
    outcomes, incomplete = _outcomes(predicate, records)
    if not outcomes:
        return _verdict(claim, profile, NOT_TESTABLE, "", 0, f"{NOT_MEASURED}: {incomplete}")
    complete = records.select(seed=list(outcomes))
    mean = _applied(predicate, complete if len(outcomes) == 1 else complete.mean_over_seeds())
    verdict, why = _decide(claim, profile, mean, [outcome.holds for outcome in outcomes.values()])
    left_out = len(records.seeds) - len(outcomes)
    parts = (source, why, mean.note, f"{left_out} incomplete seed(s) left out" if left_out else "")
    seeds = 0 if predicate.printed else len(outcomes)
    return _verdict(claim, profile, verdict, mean.measured, seeds, *parts)


def per_seed(predicate: Predicate, records: Records) -> dict[int, Outcome]:
    """What a predicate finds on every seed that has all that it reads."""
    own = _relevant(predicate, records)
    return {} if own is None else _outcomes(predicate, own)[0]


def verdict_table(
    records_by_source: Mapping[str, Records | None],
    profile: str,
    *,
    states: Mapping[str, str] = NOTHING,
    contradicted: Mapping[str, str] = NOTHING,
    only: Collection[Claim] | None = None,
) -> pd.DataFrame:
    """Judge all claims, or some.

    Parameters
    ----------
    records_by_source : "live" (what this build measured, usually one seed) and "recorded" (the committed
        run of several seeds); either may be missing, None or empty. Rows of other profiles are ignored.
    profile : whose verdicts these are.
    states : recorded table (``anc2022.fig4``) -> how far it is to be trusted, a word for the reader.
    contradicted : the same for tables that measuring again has contradicted -> by what.
    only : the claims to judge; None for all.

    Returns
    -------
    DataFrame with `VERDICT_COLUMNS`, one row per claim in the order of the papers. A verdict stands on
    the recorded run where there is one, whatever its state, unless it is contradicted, else on the live
    one; `reason` says which, and what the other one measured.

    Raises
    ------
    ValueError : unknown source or profile.
    """
    unknown = [source for source in records_by_source if source not in SOURCES]
    if unknown:
        raise ValueError(f"records_by_source: expected {' or '.join(SOURCES)}, got {unknown[0]!r}")
    _check_profile(profile, None)
    mine = {name: _of_profile(records_by_source.get(name), profile) for name in SOURCES}
    rows = [
        _judge_sources(claim, mine, profile, states, contradicted) for claim in only or all_claims()
    ]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def write_verdicts(table: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Write a verdict table as CSV; the file appears whole or not at all.

    Raises
    ------
    ValueError : columns other than `VERDICT_COLUMNS`.
    """
    if tuple(table.columns) != VERDICT_COLUMNS:
        raise ValueError(f"table: expected columns {VERDICT_COLUMNS}, got {tuple(table.columns)}")
    path = Path(path)
    with atomic_write(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    return path


def _decide(claim: Claim, profile: str, mean: Outcome, seeds: list[bool]) -> tuple[str, str]:
    agree = sum(holds == mean.holds for holds in seeds)
    if profile == "smoke":
        return NOT_TESTABLE, "smoke only checks that the code runs"
    if mean.vacuous:
        return NOT_TESTABLE, mean.vacuous
    reached = _REACHED.get(profile)
    if reached is not None and not reached.intersection(claim.scale.levels):
        return (
            NOT_TESTABLE,
            f"needs {' or '.join(claim.scale.levels)}; this is only what {profile} shows",
        )
    count = f"{agree} of {len(seeds)} seeds agree with their mean" if len(seeds) > 1 else ""
    if 5 * agree < 4 * len(seeds):
        return NOT_TESTABLE, f"seeds disagree: {sum(seeds)} of {len(seeds)} satisfy the condition"
    if mean.holds:
        return HOLDS, count
    uncertain = reached is not None and not (reached - {"tiny_uncertain"}).intersection(
        claim.scale.levels
    )
    caution = (
        "a different outcome at this scale does not speak against the paper" if uncertain else ""
    )
    return FAILS, "; ".join(part for part in (count, caution) if part)


def _relevant(predicate: Predicate, records: Records | None) -> Records | None:
    """The rows that a predicate may read; None if its own item was not measured."""
    if records is None:
        return None
    try:
        own = records.select(paper=predicate.paper, item=predicate.items[0])
    except NothingSelected:
        return None
    # Figures that are only borrowed may have been measured with more seeds than the item itself.
    borrowing = records.select(paper=predicate.paper).of_items(*predicate.items)
    return borrowing.select(seed=list(own.seeds))


def _outcomes(predicate: Predicate, records: Records) -> tuple[dict[int, Outcome], str]:
    """Outcome of every seed that has all the predicate reads, and what the last of the others lacks."""
    outcomes, lacks = {}, ""
    for seed in records.seeds:
        try:
            outcomes[seed] = _applied(predicate, records.select(seed=seed))
        except NothingSelected as missing:
            lacks = str(missing)
    return outcomes, lacks


def _applied(predicate: Predicate, records: Records) -> Outcome:
    try:
        return predicate(records)
    except Exception as error:
        error.add_note(f"while judging {predicate.claim}")
        raise


def _judge_sources(
    claim: Claim,
    mine: Mapping[str, Records | None],
    profile: str,
    states: Mapping[str, str],
    contradicted: Mapping[str, str],
) -> tuple:
    live = judge(claim, mine["live"], profile)
    predicate = predicate_of(claim)
    if predicate is None or predicate.printed:
        return _row(live)
    from_live = f"this build, {_seeds(live)}" if live.seeds else ""
    recorded = judge(claim, mine["recorded"], profile)
    if not recorded.seeds:
        return _row(live, from_live)
    rows = _relevant(predicate, mine["recorded"])
    tables = [f"{claim.paper}.{item}" for item in rows.unique("item")]
    against = [
        f"recorded {t} is contradicted {contradicted[t]}" for t in tables if t in contradicted
    ]
    if against:
        return _row(live, from_live, "; ".join(against))
    name = "recorded real" if profile == "real" else "recorded"
    words = dict.fromkeys(states[table] for table in tables if table in states)
    label = ", ".join((name, _seeds(recorded), *words))
    beside = f"this build, {_seeds(live)}: {live.measured}" if live.seeds else ""
    return _row(recorded, label, beside)


def _seeds(verdict: Verdict) -> str:
    return "one seed" if verdict.seeds == 1 else f"{verdict.seeds} seeds"


def _of_profile(records: Records | None, profile: str) -> Records | None:
    if records is None or profile not in records.unique("profile"):
        return None
    return records.select(profile=profile)


def _check_profile(profile: str, records: Records | None) -> None:
    if profile not in (*_REACHED, "paper"):
        raise ValueError(f"profile: expected {', '.join(_REACHED)} or paper, got {profile!r}")
    others = [p for p in records.unique("profile") if p != profile] if records is not None else []
    if others:
        raise ValueError(f"records: expected profile {profile!r} only, got {', '.join(others)} too")


def _verdict(
    claim: Claim, profile: str, verdict: str, measured: str, seeds: int, *reasons: str
) -> Verdict:
    reason = "; ".join(part for part in reasons if part)
    return Verdict(claim.id, claim.paper, claim.item, profile, verdict, measured, seeds, reason)


def _row(verdict: Verdict, source: str = "", beside: str = "") -> tuple:
    reason = "; ".join(part for part in (source, verdict.reason, beside) if part)
    fields = {column: getattr(verdict, column) for column in VERDICT_COLUMNS}
    return tuple({**fields, "reason": reason}.values())
