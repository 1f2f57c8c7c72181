"""Measuring recorded tables again, one seed each, and stamping them with what came out: `xsim verify`."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xsim_lib.evidence import graph, paths, provenance, records
from xsim_lib.evidence.agreement import (
    CONTRADICTED,
    NOT_COMPARABLE,
    REPEATED,
    Agreement,
    Table,
    agreement_with,
)
from xsim_lib.evidence.graph import Notebook
from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.study import freshness, profiles
from xsim_lib.workflow import execution

__all__ = ["Verification", "check_table", "jobs", "recording_to", "verify"]


@dataclass(frozen=True)
class Verification:
    """One run of one notebook, which measures one seed of one recorded table or of several.

    Attributes
    ----------
    files : the tables, ``results/PROFILE/PAPER.ITEM.csv``.
    parameters : of the notebook.
    seconds : what a seed took when it was recorded, without training; None if that is not known.
    """

    notebook: Notebook
    files: tuple[Path, ...]
    parameters: Mapping[str, Any]
    seconds: float | None

    @property
    def folder(self) -> Path:
        """Where the run leaves its records."""
        name = f"{self.notebook.name.replace('/', '.')}.{stable_hash(self.parameters)[:12]}"
        return paths.build_dir(self.parameters["profile"]) / "verify" / name


def verify(
    profile: str,
    tables: Sequence[str] = (),
    *,
    seed: int | None = None,
    every: bool = False,
    say: Callable[[str], object] = tqdm.write,
) -> bool:
    """Measure recorded tables again and stamp what came out into their provenance.

    Parameters
    ----------
    profile, tables, seed, every : see `jobs`.
    say : takes a line for the reader.

    Returns
    -------
    bool : False if a table was contradicted or a notebook failed.

    Notes
    -----
    Tables are stamped as soon as they are measured, so whatever ends this loses one notebook's run at most.
    The last line counts all tables of the profile that are known to repeat on this kind of machine, whenever
    that was found.
    """
    todo = jobs(profile, tables, seed=seed, every=every)
    count = sum(len(job.files) for job in todo)
    say(_announced(todo, count))
    fine = True
    for job in tqdm(todo, unit="notebook", disable=not todo):
        try:
            _measure(job, again=bool(tables) or every)
            for file in job.files:
                found = _stamped(file, Table.read(_measured(job, file)))
                say(_line(file, found))
                fine &= found.outcome != CONTRADICTED
        except Exception as error:  # whatever it is, the other tables can still be measured
            fine = False
            last = [line for line in str(error).splitlines() if line.strip()][-1:]
            names = " ".join(file.stem for file in job.files)
            say(f"{job.notebook.name} failed: {type(error).__name__}: {''.join(last)}")
            say(f"  again: xsim verify {names} --profile {profile}")
    known = _recorded(profile)
    here = provenance.machine()
    repeated = sum(freshness.repeats_on(here, file) for _, file in known.values())
    say(f"repeats here: {repeated} of {_counted(len(known), 'table')}")
    return fine


def jobs(
    profile: str, tables: Sequence[str] = (), *, seed: int | None = None, every: bool = False
) -> list[Verification]:
    """The runs that measure recorded tables again, the cheapest first.

    Parameters
    ----------
    profile : whose recorded tables.
    tables : such as "anc2022.fig4"; none for all that a notebook makes.
    seed : which of the recorded seeds; None for the first.
    every : also those that were found to repeat and that nothing has changed since.

    Raises
    ------
    ValueError : a profile without recorded tables, a table that no notebook makes, or a seed that was not
        recorded.
    """
    known = _recorded(profile)
    if not known:
        raise ValueError(f"profile: nothing is recorded at {profile!r}")
    for table in tables:
        if table not in known:
            raise ValueError(f"table: {profile} has {', '.join(known)}; got {table!r}")
    grouped: dict[str, list[tuple[Notebook, Path, dict, dict]]] = {}
    for table in tables or known:
        notebook, file = known[table]
        if not tables and not every and freshness.state_of_table(file).word == REPEATED:
            continue
        made = records.read_provenance(file)
        parameters = _parameters(notebook, profile, made, seed)
        # Tables of one notebook come out of one run, if they were recorded with the same parameters.
        run = f"{notebook.name} {sorted(parameters.items(), key=str)}"
        grouped.setdefault(run, []).append((notebook, file, parameters, made))
    found = []
    for members in grouped.values():
        known = [m["seconds"] / len(m["seeds"]) for *_, m in members if m.get("seconds")]
        notebook, _, parameters, _ = members[0]
        of_run = tuple(file for _, file, _, _ in members)
        found.append(Verification(notebook, of_run, parameters, max(known, default=None)))
    return sorted(found, key=lambda job: (job.seconds is None, job.seconds or 0, job.notebook.name))


def _recorded(profile: str) -> dict[str, tuple[Notebook, Path]]:
    """The recorded tables of a profile that a notebook makes, each with the notebook and its file."""
    makers = {item: n for n in graph.all_notebooks() for item in n.items}
    files = paths.visible(paths.results_dir(profile), "*.csv")
    return {f.stem: (makers[f.stem], f) for f in files if f.stem in makers}


def _parameters(
    notebook: Notebook, profile: str, made: Mapping, seed: int | None
) -> dict[str, Any]:
    """What the recorded run was asked for, with one of its seeds."""
    seeds = made["seeds"]
    if seed is not None and seed not in seeds:
        table = made["parameters"]["item"]
        raise ValueError(
            f"seed: {table} was recorded with {', '.join(map(str, seeds))}; got {seed}"
        )
    wider = profiles.paper_settings(notebook.paper, profile).recorded.get(notebook.path.stem, {})
    asked = made["parameters"].get("page")
    if asked is None:  # recorded before provenance told the page's parameters from the others
        own = ("item", "group", "public_checkpoints")
        asked = {k: v for k, v in made["parameters"].items() if k not in own and v is not None}
    return {**wider, **asked, "profile": profile, "seeds": [seeds[0] if seed is None else seed]}


def _announced(todo: Sequence[Verification], count: int) -> str:
    known = sum(job.seconds or 0 for job in todo)
    unknown = sum(job.seconds is None for job in todo)
    more = f", and {_counted(unknown, 'notebook')} of unknown length" if unknown else ""
    return (
        f"{_counted(count, 'table')} by {_counted(len(todo), 'notebook')}, one seed each: about {known / 60:.0f} min "
        f"as they were recorded{more}; training of models that are not in the cache comes on top"
    )


def _counted(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


# ---------------------------------------------------------------- one run
def _measure(job: Verification, *, again: bool) -> None:
    """Run the notebook, unless an earlier call did so and nothing has changed since."""
    if not again and all(_stands(job, file) for file in job.files):
        return
    shutil.rmtree(job.folder, ignore_errors=True)
    with recording_to(job.folder):
        execution.execute(job.notebook.name, job.parameters, output=job.folder / "notebook.ipynb")
    missing = [file.stem for file in job.files if not _measured(job, file).is_file()]
    if missing:
        raise FileNotFoundError(f"the notebook left no records of {', '.join(missing)}")


def _stands(job: Verification, file: Path) -> bool:
    try:
        made = records.read_provenance(_measured(job, file))
    except (FileNotFoundError, ValueError):
        return False
    return not freshness.changes(made)


def _measured(job: Verification, file: Path) -> Path:
    return job.folder / f"{file.stem}.parquet"


def check_table(file: Path, measured: Table) -> str:
    """Compare a recorded table with what was measured again, and stamp it; a line that says what came out."""
    return _line(file, _stamped(file, measured))


def _stamped(file: Path, again: Table) -> Agreement:
    found = agreement_with(file, again)
    if found.outcome != NOT_COMPARABLE:
        freshness.stamp(file, again, found)
    return found


def _line(file: Path, found: Agreement) -> str:
    by = f" by {found.by}" if found.by else ""
    why = [freshness.difference(row) for row in found.rows[:3]] + (
        [found.note] if found.note else []
    )
    return f"{file.stem}: {found.outcome}{by}" + (f": {'; '.join(why)}" if why else "")


@contextmanager
def recording_to(folder: Path) -> Iterator[None]:
    """Let the kernel write its records to `folder`, whatever its parameters are, and keep to ourselves what it says."""
    before = os.environ.get("XSIM_RECORDS")
    os.environ["XSIM_RECORDS"] = str(folder)
    said = logging.getLogger("papermill")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        yield
    finally:
        said.setLevel(level)
        if before is None:
            del os.environ["XSIM_RECORDS"]
        else:
            os.environ["XSIM_RECORDS"] = before
