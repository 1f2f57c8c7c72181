"""Where the claims stand: verdicts on what lies in the folders, and the table that a page shows of them.

Live records lie in ``_build/PROFILE/records``, recorded ones in ``results/PROFILE``; both are called ``PAPER.ITEM``
with their provenance beside them. Recorded seeds carry the verdict; only a table that was contradicted gives way
to the live build.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from xsim_lib.evidence import claims, paths, records
from xsim_lib.evidence.agreement import CONTRADICTED, Table
from xsim_lib.evidence.claims import Claim
from xsim_lib.evidence.records import Records
from xsim_lib.study import freshness
from xsim_lib.study.freshness import State

__all__ = [
    "RECORDED",
    "Verdicts",
    "on_page",
    "read_by",
    "run_table",
    "states_of_tables",
    "verdicts",
]

RECORDED = ("mini", "real", "paper")
"""Profiles whose long runs are committed."""


def states_of_tables() -> dict[str, dict[str, State]]:
    """How far recorded tables are to be trusted: profile -> table -> state."""
    return {p: found for p in RECORDED if (found := freshness.states(p))}


def verdicts(profile: str, states: Mapping[str, State] | None = None) -> pd.DataFrame:
    """Judge all claims on what lies in the folders of a profile, see `claims.verdict_table`.

    Parameters
    ----------
    states : of the recorded tables, where they are at hand; None looks them up.
    """
    states = freshness.states(profile) if states is None else states
    return _judged(profile, claims.all_claims(), states, {})


def run_table(table: str, profile: str, measured: Table, *, other: Sequence[str] = ()) -> Verdicts:
    """Judge the claims about one table on a run that is not over, and on what is recorded.

    Parameters
    ----------
    table : such as "anc2022.fig4".
    measured : by the run so far.
    other : parameters of the run that are not the profile's own. What it measured is then no word about
        the recorded table.

    Raises
    ------
    ValueError : no claim is about the table, or a record file is damaged (named).
    """
    judged = claims.claims_of(*table.split(".", 1))
    states = {}
    for name in read_by(judged):
        file = paths.results_dir(profile) / f"{name}.csv"
        if file.is_file():
            states[name] = freshness.state_of_table(
                file, measured if name == table and not other else None
            )
    found = _judged(profile, judged, states, {table: measured.records})
    return Verdicts.of(table, found, other=other)


def on_page(
    table: str,
    verdicts: pd.DataFrame,
    states: Mapping[str, Mapping[str, State]],
    *,
    other: Sequence[str] = (),
) -> Verdicts:
    """The verdicts about one table as a page of the book shows them, with the state of what they stand on.

    Parameters
    ----------
    verdicts : of all claims.
    states : profile -> table -> its state.
    other : see `run_table`.
    """
    judged = claims.claims_of(*table.split(".", 1))
    rows = verdicts.set_index("claim", drop=False).loc[[claim.id for claim in judged]]
    lines = []
    for profile, known in states.items():
        parts = [_line(name, known[name]) for name in read_by(judged) if name in known]
        if parts:
            lines.append(f"Recorded {profile}, {'; '.join(parts)}")
    return Verdicts.of(table, rows, lines=lines, other=other)


def _line(table: str, state: State) -> str:
    seeds = "1 seed" if len(state.seeds) == 1 else f"{len(state.seeds)} seeds"
    return f"{table}, {seeds}: {state}"


def read_by(judged: Iterable[Claim]) -> tuple[str, ...]:
    """The tables that decide some claims, such as "anc2022.fig4"."""
    found = {}
    for claim in judged:
        predicate = claims.predicate_of(claim)
        items = predicate.items if predicate is not None and not predicate.printed else ()
        found |= dict.fromkeys(f"{claim.paper}.{item}" for item in items)
    return tuple(found)


def _judged(
    profile: str,
    judged: Collection[Claim],
    states: Mapping[str, State],
    live: Mapping[str, Records],
) -> pd.DataFrame:
    """Judge claims on the tables that they read; `live` ones that are at hand are not looked up."""
    tables = read_by(judged)
    here = (paths.records_dir(profile) / f"{name}.parquet" for name in tables if name not in live)
    recorded = (paths.results_dir(profile) / f"{name}.csv" for name in tables)
    return claims.verdict_table(
        {
            "live": _merged(
                [*live.values(), *(records.read_records(f) for f in here if f.is_file())]
            ),
            "recorded": _merged([records.read_records(f) for f in recorded if f.is_file()]),
        },
        profile,
        states={name: found.word for name, found in states.items()},
        contradicted={
            name: f"{found.where} ({found.why[0]})"
            for name, found in states.items()
            if found.word == CONTRADICTED
        },
        only=judged,
    )


def _merged(found: list[Records]) -> Records | None:
    return records.merge_records(found) if found else None


@dataclass(frozen=True)
class Verdicts:
    """A table of verdicts that shows itself in a notebook, and says there which table it is about.

    Attributes
    ----------
    table : such as "anc2022.fig4".
    data : what a reader sees, one row per claim.
    lines : said below it.
    other : parameters of the run that are not the profile's own.
    """

    table: str
    data: pd.DataFrame
    lines: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        table: str,
        found: pd.DataFrame,
        *,
        lines: Sequence[str] = (),
        other: Sequence[str] = (),
    ) -> Verdicts:
        """Put verdicts, as `claims.verdict_table` gives them, into words."""
        known = [claims.claim_named(claim) for claim in found["claim"]]
        data = pd.DataFrame(
            {
                "claim": [claim.statement for claim in known],
                "in the paper": [claim.reported for claim in known],
                "verdict": found["verdict"].str.replace("_", " ").to_numpy(),
                "measured": found["measured"].to_numpy(),
                "stands on": found["reason"].to_numpy(),
            }
        )
        if other:
            names = ", ".join(other)
            lines = (
                f"This run has other parameters: {names}; the book is judged on the default ones.",
                *lines,
            )
        return cls(table, data, tuple(lines), tuple(other))

    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict]:
        with pd.option_context("display.max_colwidth", None):
            html = self.data.to_html(index=False, escape=True, border=0, justify="left")
        html += "".join(f"\n<p>{escape(line)}</p>" for line in self.lines)
        text = "\n".join([self.data.to_string(index=False), *self.lines])
        about = {"verdicts": self.table} | ({"other": list(self.other)} if self.other else {})
        return {"text/html": html, "text/plain": text}, {"xsim": about}
