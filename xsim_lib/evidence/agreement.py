"""Whether measuring again gives what a recorded table says.

What was measured through given weights must come out the same on any machine. Training is chaotic: the same
seed ends elsewhere on another processor. So trained rows are held to their digits only where processor, BLAS
and versions are those of the recorded run; elsewhere the new seed must lie where the recorded seeds let us
expect it, for every number that the claims of the table are decided by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from xsim_lib.evidence import claims, records
from xsim_lib.evidence.columns import FORWARD, TRAINED
from xsim_lib.evidence.records import KEY, Records

__all__ = [
    "CONTRADICTED",
    "NOT_COMPARABLE",
    "REPEATED",
    "SHIPPED",
    "Agreement",
    "Table",
    "agreement_with",
    "with_tolerances",
]

REPEATED, CONTRADICTED, NOT_COMPARABLE = "repeated", "contradicted", "not comparable"
ROWS, STATISTICS = "rows", "statistics"

FORWARD_TOLERANCE, TRAINED_TOLERANCE = 1e-3, 1e-6  # of values above 1, that share of them
KEPT_DIGITS = 6  # of a CSV file
FEWEST_SEEDS = 3
MOST_ROWS = 20  # contradicting rows that are kept

# Checkpoints that ship are called after their contents: "scale_post.1-350d4559".
SHIPPED = re.compile(r"\.\d+-[0-9a-f]{8}$")

_SEEDLESS = [column for column in KEY if column != "seed"]
# A minus within a word ("layers 1-5", "L1-3") belongs to a name, not to a number.
_NUMBER = re.compile(r"(?<![\w.-])[-+]?\d+(?:\.(?P<decimals>\d+))?(?:e[-+]?\d+)?(?!\w)")


@dataclass(frozen=True)
class Table:
    """Measurements of one figure or table of a paper, and their provenance."""

    records: Records
    made: Mapping

    @classmethod
    def read(cls, path: Path) -> Table:
        """Read a record file and the provenance beside it.

        Raises
        ------
        FileNotFoundError : one of the two is missing.
        ValueError : the file is damaged, or is not the one that the provenance was written for.
        """
        return cls(records.read_records(path), records.read_provenance(path))


@dataclass(frozen=True)
class Agreement:
    """What a comparison found.

    Attributes
    ----------
    outcome : "repeated", "contradicted" or "not comparable".
    by : what decided: "rows", "statistics" or "".
    rows : what differs, at most 20: keys of rows, or claims, each with the values "recorded" and "live".
    note : what could not be compared, and why.
    """

    outcome: str
    by: str = ""
    rows: tuple[dict, ...] = ()
    note: str = ""


def agreement_with(file: Path, live: Table) -> Agreement:
    """Hold what was measured again against a recorded table.

    Parameters
    ----------
    file : the recorded table, ``results/PROFILE/PAPER.ITEM.csv``; those of other items that its claims read
        are looked up beside it.
    live : what was measured again, for one seed or several of those recorded. It may hold more than the
        recorded table, or less, but something of every metric.

    Returns
    -------
    Agreement by the rules in the documentation of this module. "repeated" is only said where every metric
    that is recorded was compared.

    Notes
    -----
    The trained rows of a seed are consistent with n recorded seeds where every number that a claim prints lies
    within mean +- t(n-1, .995) s sqrt(1 + 1/n), a prediction interval of 99 %, widened by half a unit of the
    last digit that is printed.
    """
    recorded = Table.read(file)
    shared = sorted(set(recorded.records.seeds) & set(live.records.seeds))
    again = live.records.select(seed=shared) if shared else None
    matched = _matched(recorded.records, again) if shared else pd.DataFrame()
    if matched.empty:
        return Agreement(NOT_COMPARABLE, note="no row of a recorded seed was measured again")
    forward = _same_weights(matched, recorded.made, live.made)
    equal = _equal(matched, forward, digits=file.suffix == ".csv")
    # What is equal in every row repeats, wherever that was.
    digits = _same_machine(recorded.made, live.made) and _same_start(recorded.made, live.made)
    trained = (matched["made_by_live"] == TRAINED) & digits
    by_rows = forward | trained | equal.all()
    odd = matched[by_rows & ~equal]
    if len(odd):
        return Agreement(CONTRADICTED, ROWS, _listed(odd))
    if by_rows.all():
        return _complete(recorded.records, matched, ROWS)
    checked, odd, note = _statistics(file, recorded.records, again)
    if odd:
        return Agreement(CONTRADICTED, STATISTICS, tuple(odd[:MOST_ROWS]))
    if checked:
        return _complete(recorded.records, matched, STATISTICS, note)
    note = f"trained rows: {note}"
    return _complete(recorded.records, matched[by_rows], ROWS, note)


def _complete(recorded: Records, compared: pd.DataFrame, by: str, note: str = "") -> Agreement:
    """Repeated, if something of every recorded metric is among what was compared and agrees."""
    frame = recorded.frame
    metrics = set(frame.loc[frame["baseline"] == "", "metric"])
    missing = sorted(metrics - set(compared["metric"]))
    if compared.empty:
        return Agreement(NOT_COMPARABLE, note=note)
    if missing:
        reasons = (note, f"not among what was compared: {', '.join(missing)}")
        return Agreement(NOT_COMPARABLE, note="; ".join(filter(None, reasons)))
    return Agreement(REPEATED, by, note=note)


# ---------------------------------------------------------------- rows
def _matched(recorded: Records, live: Records) -> pd.DataFrame:
    """Rows of the same key: `value` and `made_by` as recorded, `value_live` and `made_by_live`."""
    columns = [*KEY, "value", "made_by"]
    return recorded.frame[columns].merge(
        live.frame[columns], on=list(KEY), suffixes=("", "_live"), validate="one_to_one"
    )


def _same_weights(rows: pd.DataFrame, recorded: Mapping, live: Mapping) -> pd.Series:
    """Rows that were made by passing text through the same weights, or without any model."""
    before, now = recorded.get("weights", {}), live.get("weights", {})

    def same(model: str, seed: int) -> bool:
        name = (
            f"{model}/{seed}" if f"{model}/{seed}" in before else model
        )  # public ones have no seed
        return not model or (name in before and before[name] == now.get(name))

    passed = (rows["made_by"] == FORWARD) & (rows["made_by_live"] == FORWARD)
    known = [same(*key) for key in zip(rows["model"], rows["seed"], strict=True)]
    return passed & pd.Series(known, index=rows.index, dtype=bool)


def _same_machine(recorded: Mapping, live: Mapping) -> bool:
    """Whether training repeats to the last digits: one kind of processor, BLAS, device, and versions.

    That is so on the kind of machine that recorded the table, and on one where its rows have repeated before.
    """
    check = recorded["checks"][-1] if recorded.get("checks") else {}
    if check.get("outcome") == REPEATED and check.get("by") == ROWS:
        return all(check[name] == live.get(name) for name in ("machine", "versions"))
    return "machine" in recorded and _digits_depend_on(recorded) == _digits_depend_on(live)


def _same_start(recorded: Mapping, live: Mapping) -> bool:
    """Whether training went on from the same weights: those that ship are rounded, so they are no longer those that
    were trained once.
    """
    before, now = recorded.get("checkpoints", {}), live.get("checkpoints", {})
    shipped = {k for k in now if SHIPPED.search(now[k]) or SHIPPED.search(before.get(k, ""))}
    return all(before.get(name) == now[name] for name in shipped)


def _digits_depend_on(made: Mapping) -> tuple:
    device = made["device"]  # "cpu (AMD EPYC)": of a processor only what it can do counts
    kind = "cpu" if device.startswith("cpu") else device
    return made.get("machine"), made["versions"], made["threads"], kind


def _equal(rows: pd.DataFrame, forward: pd.Series, *, digits: bool) -> pd.Series:
    value = rows["value"]
    allowed = np.where(forward, FORWARD_TOLERANCE, TRAINED_TOLERANCE) * value.abs().clip(lower=1)
    if digits:  # one unit of the last digit that the file keeps
        size = value.abs().where(value != 0, 1.0)
        allowed = np.maximum(allowed, 10.0 ** (np.floor(np.log10(size)) - KEPT_DIGITS + 1))
    return (value - rows["value_live"]).abs() <= allowed


def _listed(rows: pd.DataFrame) -> tuple[dict, ...]:
    """The rows that differ most, as JSON values without empty columns."""
    order = (rows["value"] - rows["value_live"]).abs().sort_values(ascending=False).index
    found = []
    for row in rows.loc[order[:MOST_ROWS]].astype(object).to_dict("records"):
        key = {c: row[c] for c in KEY if c not in ("paper", "item", "profile")}
        key = {c: v for c, v in key.items() if v != "" and not pd.isna(v)}
        found.append({**key, "recorded": row["value"], "live": row["value_live"]})
    return tuple(found)


# ---------------------------------------------------------------- statistics
def _statistics(file: Path, recorded: Records, live: Records) -> tuple[int, list[dict], str]:
    """How many claims could be compared, the numbers that are not consistent, and why others could not be."""
    paper, _, item = file.stem.partition(".")
    try:
        judged = claims.claims_of(paper, item)
    except ValueError:
        return 0, [], "no claim is about them"
    # Like with like: the smallest of three pairs is not the smallest of one.
    before, now = _common(recorded, live), _common(live, recorded)
    checked, odd, why = 0, [], {}
    for claim in judged:
        predicate = claims.predicate_of(claim)
        if predicate is None or predicate.printed:
            continue
        others = _beside(file, paper, [i for i in predicate.items if i != item])
        expected = claims.per_seed(predicate, records.merge_records([before, *others]))
        found = claims.per_seed(predicate, records.merge_records([now, *others]))
        found = {seed: found[seed] for seed in now.seeds if seed in found}
        if not found:
            continue
        if len(expected) < FEWEST_SEEDS:
            why[f"{len(expected)} recorded seed(s), {FEWEST_SEEDS} are needed"] = None
            continue
        for seed, outcome in found.items():
            texts = [o.measured for o in expected.values()]
            off = inconsistent(texts, outcome.measured)
            if off is None:
                why["some claims name other things in every seed"] = None
                continue
            checked += 1
            odd += [{"claim": claim.id, "seed": int(seed), **numbers} for numbers in off]
    note = "; ".join(why) or ("" if checked else "no claim could be judged on them")
    return checked, odd, note


def _common(records: Records, other: Records) -> Records:
    """The rows that the other table has, too, whatever the seed."""
    keys = other.frame[_SEEDLESS].drop_duplicates()
    return Records(records.frame.merge(keys, on=_SEEDLESS))


def _beside(file: Path, paper: str, items: Sequence[str]) -> list[Records]:
    files = (file.with_name(f"{paper}.{item}{file.suffix}") for item in items)
    return [records.read_records(other) for other in files if other.is_file()]


def inconsistent(texts: Sequence[str], live: str) -> list[dict] | None:
    """The numbers of a sentence that lie outside what the same sentence says of other seeds.

    Parameters
    ----------
    texts : what a claim measured on every recorded seed, such as "smallest lead 0.02; at most 0.1".
    live : the same of the seed in question.

    Returns
    -------
    list of {"recorded", "live"} in words, empty if all lie inside; None where the sentences differ in
    more than their numbers, or have none.
    """
    if len({_NUMBER.sub("#", text) for text in (*texts, live)}) > 1 or not _NUMBER.search(live):
        return None
    found = []
    for match, (mean, wide) in zip(_NUMBER.finditer(live), _expected(texts), strict=True):
        unit = 10.0 ** -len(match["decimals"] or "")
        if abs(float(match[0]) - mean) > wide + unit / 2 + 1e-12:
            expected = f"{mean:.4g} ± {wide:.2g} from {len(texts)} seeds"
            found.append({"recorded": expected, "live": match[0]})
    return found


def with_tolerances(texts: Sequence[str]) -> str | None:
    """The sentences of several seeds as one, each number that differs as "mean ± what another seed may differ by".

    Parameters
    ----------
    texts : what a claim measured on every recorded seed, such as "smallest lead 0.02; at most 0.1".

    Returns
    -------
    str such as "smallest lead 0.021 ± 0.018; at most 0.1"; None where there are fewer than three, or they
    differ in more than their numbers.
    """
    if len(texts) < FEWEST_SEEDS or len({_NUMBER.sub("#", text) for text in texts}) > 1:
        return None
    numbers = iter(_expected(texts))

    def written(match: re.Match) -> str:
        mean, wide = next(numbers)
        if not wide:
            return match[0]
        two_digits = 1 - int(np.floor(np.log10(wide)))
        decimals = max(len(match["decimals"] or ""), two_digits)
        return f"{round(mean, decimals) + 0:.{decimals}f} ± {wide:.{decimals}f}"  # never -0.0

    return _NUMBER.sub(written, texts[0])


def _expected(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Mean and half the prediction interval of every number of one sentence, whose numbers differ by seed."""
    numbers = np.array([[float(m[0]) for m in _NUMBER.finditer(text)] for text in texts])
    n, same = len(texts), np.ptp(numbers, axis=0) == 0
    spread = np.where(same, 0, numbers.std(axis=0, ddof=1))
    wide = student.ppf(0.995, n - 1) * spread * np.sqrt(1 + 1 / n)
    return list(zip(numbers.mean(axis=0).tolist(), wide.tolist(), strict=True))
