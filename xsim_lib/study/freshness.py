"""How far a recorded table is to be trusted today: repeated, not checked, suspect or contradicted.

What a table is held against is its last check, stamped into its provenance by `xsim verify`, or else the run
that recorded it. While the functions that ran, the settings and the notebook's code cells say the same, what was
found then stands. Where one of them says something else the table is suspect. It is contradicted where a check,
or this build, measured one of its seeds again and found other numbers, whatever any fingerprint says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xsim_lib.evidence import graph, paths, records
from xsim_lib.evidence import printed as reported
from xsim_lib.evidence.agreement import (
    CONTRADICTED,
    NOT_COMPARABLE,
    REPEATED,
    SHIPPED,
    Agreement,
    Table,
    agreement_with,
)
from xsim_lib.evidence.definitions import code_cells, library, notebook_cells
from xsim_lib.evidence.hashing import atomic_write

__all__ = [
    "NOT_CHECKED",
    "SUSPECT",
    "WORDS",
    "State",
    "changes",
    "difference",
    "live_table",
    "read_states",
    "repeats_on",
    "stamp",
    "state_of_table",
    "states",
    "write_states",
]

NOT_CHECKED, SUSPECT = "not checked", "suspect"
WORDS = (CONTRADICTED, SUSPECT, NOT_CHECKED, REPEATED)
"""The states, what asks for a reader's attention first."""

_BASIS = ("settings", "cells", "text", "trace")
_MODELS = paths.LIBRARY / "shipped" / "models.csv"
_ASKED = ("recorded.", "live.", "ships")


@dataclass(frozen=True)
class State:
    """The state of one recorded table.

    Attributes
    ----------
    word : one of `WORDS`.
    where : what it rests on: "(rows) at 1a2b3c4, 2026-11-28, AVX512", "by this build", "since 2026-11-20".
    why : what explains it, one thing each: functions, settings and cells that changed; rows that differ; what
        could not be compared.
    seeds : of the table.
    """

    word: str
    where: str
    why: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()

    def __str__(self) -> str:
        why = "; ".join(self.why[:3]) + (f"; and {len(self.why) - 3} more" if self.why[3:] else "")
        return f"{self.word} {self.where}{f': {why}' if why else ''}"


def states(profile: str) -> dict[str, State]:
    """The state of every recorded table of a profile, such as "anc2022.fig4", given what this build measured."""
    return {
        file.stem: state_of_table(file, live_table(profile, file.stem))
        for file in paths.visible(paths.results_dir(profile), "*.csv")
        if file.with_name(f"{file.name}.json").is_file()  # other tables lie there, too
    }


def write_states(found: Mapping[str, Mapping[str, State]], path: Path) -> None:
    """Write down the states of several profiles' tables, for whoever shows them: to find them takes seconds."""
    plain = {p: {t: asdict(state) for t, state in known.items()} for p, known in found.items()}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=0), encoding="utf-8")


def read_states(path: Path) -> dict[str, dict[str, State]]:
    """Read what `write_states` has written."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    return {
        p: {
            t: State(s["word"], s["where"], tuple(s["why"]), tuple(s["seeds"]))
            for t, s in known.items()
        }
        for p, known in plain.items()
    }


def live_table(profile: str, table: str) -> Table | None:
    """What this build measured for a table, such as "anc2022.fig4", at a profile's own parameters."""
    file = paths.records_dir(profile) / f"{table}.parquet"
    return Table.read(file) if file.is_file() else None


def state_of_table(file: Path, measured: Table | None = None) -> State:
    """The state of a recorded table.

    Parameters
    ----------
    file : ``results/PROFILE/PAPER.ITEM.csv``, with its provenance beside it.
    measured : what was measured again by this build; None for nothing.

    Raises
    ------
    FileNotFoundError : the table or its provenance is missing.
    ValueError : the table is not the one that its provenance was written for.
    """
    made = records.read_provenance(file)
    seeds = tuple(made["seeds"])
    check = made["checks"][-1] if made.get("checks") else None
    found = agreement_with(file, measured) if measured is not None else Agreement(NOT_COMPARABLE)
    if found.outcome == CONTRADICTED:
        return State(CONTRADICTED, "by this build", tuple(map(difference, found.rows)), seeds)
    if check is not None and check["outcome"] == CONTRADICTED:
        return State(CONTRADICTED, _place(check), tuple(map(difference, check["rows"])), seeds)
    if found.outcome == REPEATED and not changes(measured.made):  # or it may be as old as the table
        note = (found.note,) if found.note else ()
        return State(REPEATED, f"({found.by}) by this build", note, seeds)
    basis = check or made
    changed = changes({**basis, "parameters": made["parameters"]})
    if changed:
        return State(SUSPECT, f"since {_date(basis)}", tuple(changed), seeds)
    if check is not None:
        note = (check["note"],) if check.get("note") else ()
        return State(REPEATED, _place(check), note, seeds)
    why = (f"this build cannot tell: {found.note}",) if found.note else ()
    return State(NOT_CHECKED, f"since {_date(made)}", why, seeds)


def repeats_on(machine: Mapping[str, str], file: Path) -> bool:
    """Whether a recorded table is known to repeat on one kind of machine, and nothing has changed since.

    Parameters
    ----------
    machine : as `provenance.machine` describes it; only the last check on such a machine counts.
    file : as in `state_of_table`.
    """
    checks = records.read_provenance(file).get("checks", ())
    outcomes = [check["outcome"] for check in checks if check["machine"] == machine]
    return outcomes[-1:] == [REPEATED] and state_of_table(file).word == REPEATED


def stamp(file: Path, measured: Table, found: Agreement) -> None:
    """Write into the provenance of a recorded table what measuring it again has found; the table is not touched.

    Raises
    ------
    ValueError : nothing was found that could be stamped.
    """
    if found.outcome not in (REPEATED, CONTRADICTED):
        raise ValueError(f"found: expected {REPEATED} or {CONTRADICTED}, got {found.outcome!r}")
    made, again = records.read_provenance(file), measured.made
    check = {
        "date": again["created"],
        "seed": again["seeds"][0],
        **{name: again[name] for name in ("commit", "machine", "versions", *_BASIS)},
        "outcome": found.outcome,
        "by": found.by,
        "rows": list(found.rows),
        "note": found.note,
    }
    # Only the newest check is a basis; the earlier ones are history.
    earlier = [{k: v for k, v in c.items() if k not in _BASIS} for c in made.get("checks", ())]
    records.write_provenance(file, {**made, "checks": [*earlier, check]})


# ---------------------------------------------------------------- what has changed since
def changes(made: Mapping) -> list[str]:
    """What says something else today than when a run was made, one thing each; empty if nothing does.

    Parameters
    ----------
    made : its ``parameters``, and what it knows of ``trace``, ``settings`` and ``cells``. A run from before
        provenance held these three knows of no change.
    """
    found = [f"`{name}`" for name in library().changed(made.get("trace", {}))]
    printed = (made.get("text") or {}).get("printed numbers")
    if printed and printed != reported.printed_fingerprint(
        made["parameters"]["item"].partition(".")[0]
    ):
        found.append("printed numbers of the paper")
    if made.get("settings"):
        found += _settings_changed(made["settings"], made["parameters"])
    found += _weights_changed(made.get("checkpoints") or {})
    if made.get("cells"):
        found += _cells_changed(made["cells"], made["parameters"]["item"])
    return found


def _settings_changed(then: Mapping, parameters: Mapping) -> Iterator[str]:
    from xsim_lib.study import (
        profiles,  # loads torch, which a build with nothing to do has no need of
    )

    try:
        today = _leaves(profiles.resolved(parameters))
        chosen = _leaves(profiles.resolved(parameters, defaults=False))
    except ValueError as error:  # the profile does not know a parameter any more
        yield str(error)
        return
    before = _leaves(then)
    for path in (*before, *(p for p in today if p not in before)):
        if path.startswith(_ASKED):  # what was asked of a run is in its parameters
            continue
        if path not in today:
            yield f"{path} was {_short(before[path])}, is gone"
        elif path in before and before[path] != today[path]:
            yield f"{path} was {_short(before[path])}, is {_short(today[path])}"
        elif path not in before and path in chosen:  # else an option that is new, and not used
            yield f"{path} is new: {_short(today[path])}"


def _weights_changed(checkpoints: Mapping[str, str]) -> list[str]:
    """Models that ship, and were others when the run was made: contents are part of their folders' names."""
    shipped = {name: folder for name, folder in checkpoints.items() if SHIPPED.search(folder)}
    if not shipped:
        return []
    today = {Path(folder).name for folder in pd.read_csv(_MODELS)["folder"]}
    return [f"shipped weights of {name}" for name, folder in shipped.items() if folder not in today]


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Single values by dotted path."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {path: value}
    found = {}
    for key, item in value.items():
        found |= _leaves(item, f"{path}.{key}".lstrip("."))
    return found


def _cells_changed(then: list[str], table: str) -> list[str]:
    """Cells after the one that wrote the records are not among `then`, and change nothing."""
    notebook = next((n for n in graph.all_notebooks() if table in n.items), None)
    if notebook is None:
        return [f"no notebook measures {table} any more"]
    today = notebook_cells(code_cells(notebook.path))[: len(then)]
    if today == then:
        return []
    new = [f"code cell {k}" for k, cell in enumerate(today, start=1) if cell not in then]
    return [f"{', '.join(new) or 'a code cell that is gone or moved'} of {notebook.name}"]


# ---------------------------------------------------------------- in words
def _place(check: Mapping) -> str:
    at = f"at {check['commit']}" if check["commit"] else "at an unknown commit"
    return f"({check['by']}) {at}, {_date(check)}, {check['machine']['cpu']}"


def _date(made: Mapping) -> str:
    return str(made.get("date") or made["created"])[:10]


def difference(row: Mapping) -> str:
    """One of the `rows` of an agreement in words."""
    key = ", ".join(_named(k, v) for k, v in row.items() if k not in ("recorded", "live"))
    return f"{key}: {_short(row['recorded'])} recorded, {_short(row['live'])} measured again"


def _named(column: str, value: Any) -> str:
    return f"{column} {value}" if column in ("seed", "layer", "n_layers") else str(value)


def _short(value: Any) -> str:
    text = (
        f"{value:.6g}"
        if isinstance(value, float)
        else value
        if isinstance(value, str)
        else json.dumps(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."
