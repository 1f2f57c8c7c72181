"""Recorded tables to hold against what is measured again: the committed ones, with provenance of today."""

import shutil
from pathlib import Path

from xsim_lib.evidence import records
from xsim_lib.evidence.agreement import Table
from xsim_lib.evidence.columns import TRAINED
from xsim_lib.evidence.definitions import code_cells, library, notebook_cells
from xsim_lib.evidence.records import Records
from xsim_lib.study import profiles

REPOSITORY = Path(__file__).parents[1]
HERE = {"cpu": "AVX512", "blas": "openblas SkylakeX"}
ELSEWHERE = {"cpu": "AVX2", "blas": "openblas Haswell"}
RAN = (
    "xsim_lib.reading.comparison:compare",
    "xsim_lib.indices.neurons:anc_from_moments",
    "xsim_lib.indices.cka:linear_cka_from_moments",
    "xsim_lib.text.corpora.parallel:tatoeba",
    "xsim_lib.indices.moments:Moments.of",
)


def notebook(item: str) -> Path:
    """The notebook of a figure, such as "anc2022.fig2"."""
    paper, _, name = item.partition(".")
    (found,) = (REPOSITORY / "notebooks" / paper).glob(f"{name}_*.ipynb")
    return found


def project(folder: Path, patch, *items: str) -> Path:
    """A project with copies of some notebooks, and nothing recorded or built."""
    for variable in ("BUILD", "CACHE", "RECORDS", "NOTEBOOKS"):
        patch.delenv(f"XSIM_{variable}", raising=False)
    patch.setenv("XSIM_HOME", str(folder))
    for item in items:
        source = notebook(item)
        target = folder / "notebooks" / source.parent.name / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    return folder


def committed(item: str, profile: str = "mini") -> Records:
    """What is recorded of a figure in this repository, all of it as if behind models that were trained on the way."""
    found = records.read_records(REPOSITORY / "results" / profile / f"{item}.csv")
    return Records(found.frame.assign(made_by=TRAINED))


def made(item: str, seeds, **changes) -> dict:
    """The provenance that a run of today leaves."""
    parameters = {"item": item, "profile": "mini", "seeds": list(seeds), "group": "schemes"}
    found = records.provenance_of(
        text={"en-fr": "f00d"},
        seeds=seeds,
        profile="mini",
        parameters=parameters,
        settings=profiles.resolved(parameters),
        cells=notebook_cells(code_cells(notebook(item))),
        weights={f"{m}/{s}": f"{m} {s}" for m in ("scale_post", "scale_pre") for s in seeds},
        trace=library().fingerprints(RAN),
    )
    return found | {"machine": HERE, "commit": "1a2b3c4", "threads": 1, "seconds": 10.0} | changes


def recorded(folder: Path, item: str, table: Records | None = None, **changes) -> Path:
    """Write a table, the committed one unless told, where recorded ones lie."""
    table = committed(item) if table is None else table
    path = folder / "results" / "mini" / f"{item}.csv"
    return records.write_records(table, path, made(item, table.seeds, **changes))


def again(item: str, table: Records | None = None, **changes) -> Table:
    """One seed of a table as if it had been measured again."""
    table = committed(item).select(seed=1) if table is None else table
    return Table(table, made(item, table.seeds, **changes))


def moved(table: Records, by: float, rows=slice(None), **columns) -> Records:
    """The same table with some values moved, and some columns set."""
    frame = table.frame.assign(**columns)
    frame.loc[frame.index[rows], "value"] += by
    return Records(frame)
