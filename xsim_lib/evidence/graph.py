"""The graph of a build: its jobs, what each was made from, and which have to be done again.

A finished job leaves behind what it depended on: of code the functions that ran (`tracing`), as compilers
write down which files they read; of the rest its inputs, each by name and fingerprint. It is done again when
one of these says something else today, and never for another reason. Nothing heavy is imported here: the
graph is asked at every build, also when there is nothing to do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xsim_lib.evidence import chapters, paths, tracing
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.hashing import atomic_write, file_sha256, stable_hash
from xsim_lib.evidence.yaml_files import read_yaml

__all__ = ["Graph", "Job", "Notebook", "all_notebooks", "live_settings", "loaded", "settings_table"]

_PART = r"\w[\w.\-]*( [\w.\-]+)*"
_NAME = re.compile(rf"{_PART}(/{_PART})*")
_STARTED = re.compile(r"""xsim\.start\(\s*["'](\w+\.[\w.]+)["']""")
_GROUP = re.compile(r"""(?:group=|names_of\()["'](\w+)["']""")
_RECORDED = re.compile(r"""\.recorded\([^()]*\bitem=["']([\w.]+)["']""")

# What judges is no part of a trace: a page must not be measured again because of a claim. Where claims count, they
# are an input.
_JUDGING = (
    "xsim_lib.evidence.agreement",
    "xsim_lib.evidence.claims",
    "xsim_lib.study.freshness",
    "xsim_lib.papers.*.claims*",
    "xsim_lib.study.standing",
)


@dataclass(frozen=True)
class Notebook:
    """One notebook: ``anc2022/fig1_cka_failure`` is the figure ``anc2022.fig1`` of the paper anc2022."""

    name: str
    path: Path

    @property
    def paper(self) -> str | None:
        return self.name.split("/")[0] if "/" in self.name else None

    @cached_property
    def code(self) -> list[dict]:
        """Its own code cells; not the one in which papermill sets parameters."""
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return [
            {"source": "".join(c["source"]), "metadata": c["metadata"]}
            for c in cells
            if c["cell_type"] == "code"
            and "injected-parameters" not in c["metadata"].get("tags", [])
        ]

    @cached_property
    def items(self) -> tuple[str, ...]:
        """What its measurements are called: as it says to `xsim.start`, or else as its file begins."""
        if not self.paper:
            return ()
        found = _STARTED.findall(self._text) if self.path.is_file() else []
        return tuple(dict.fromkeys(found)) or (f"{self.paper}.{self.path.stem.split('_')[0]}",)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The recorded tables that it shows: those of its items, and others that it asks for by name."""
        return (*self.items, *(f"{self.paper}.{item}" for item in _RECORDED.findall(self._text)))

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The groups of models that it says it compares; "schemes" if it says nothing."""
        return tuple(dict.fromkeys(_GROUP.findall(self._text))) or ("schemes",)

    @property
    def _text(self) -> str:
        return "\n".join(cell["source"] for cell in self.code)


def all_notebooks(folder: Path | None = None) -> tuple[Notebook, ...]:
    """Every notebook below `folder` (default: ``notebooks`` of the project, or ``XSIM_NOTEBOOKS``), by name."""
    folder = folder or Path(os.environ.get("XSIM_NOTEBOOKS") or paths.root() / "notebooks")
    found = paths.visible(folder, "**/*.ipynb")
    return tuple(Notebook(p.relative_to(folder).with_suffix("").as_posix(), p) for p in found)


def settings_table(paper: str | None) -> dict[str, dict]:
    """What the settings of a paper say, profile by profile, unchecked and without importing them; {} if it has none."""
    file = chapters.FOLDER / str(paper) / "settings.yaml"
    return read_yaml(file) if file.is_file() else {}


def live_settings(paper: str | None, stem: str, profile: str) -> dict:
    """What the settings of a paper say of one notebook in a live build (`Settings.live`)."""
    return settings_table(paper).get(profile, {}).get("live", {}).get(stem, {})


@dataclass(frozen=True)
class Job:
    """One step of a build.

    Attributes
    ----------
    name : such as "notebooks/anc2022/fig1_cka_failure".
    build : folder of the profile's build.
    output : what it makes, relative to that folder; None where only the fact counts that it was done.
    inputs : what it is made from besides code, and a fingerprint of each, as of now.
    """

    name: str
    build: Path
    output: str | None
    inputs: Mapping[str, str]

    @property
    def marker(self) -> str:
        """File that says what the finished job depended on, relative to `build`."""
        return f"{self.name}.depends.json"

    def changes(self) -> list[str]:
        """Why it has to be done (again): functions and inputs that say something else today; sorted."""
        if self.output and not (self.build / self.output).is_file():
            return [f"{self.output}: there is none"]
        try:
            before = json.loads((self.build / self.marker).read_text(encoding="utf-8"))
            inputs, trace = before["inputs"], before["trace"]
        except (OSError, ValueError, KeyError, TypeError):
            return [f"{self.name}: nothing is known of how it was made"]
        names = {*inputs, *self.inputs}
        changed = {name for name in names if inputs.get(name) != self.inputs.get(name)}
        return sorted(changed.union(library().changed(trace)))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Trace the block, which does the job; one that raises leaves the job undone."""
        with tracing.traced() as trace:
            yield
        self.finished(trace.functions)

    def finished(self, functions: Iterable[str]) -> None:
        """Write down what it depended on: the inputs as they were when the job was asked for, and the code.

        The last thing to do: without it the job counts as not done.

        Parameters
        ----------
        functions : those that ran, or all that may have, see `loaded`.
        """
        content = {"inputs": dict(self.inputs), "trace": tracing.Trace(functions).fingerprints()}
        with atomic_write(self.build / self.marker) as temporary:
            temporary.write_text(json.dumps(content, indent=0), encoding="utf-8")


def loaded() -> set[str]:
    """Every function of the library that this process may have run: of a job that is slow to trace, and quick to do."""
    return {f for f in library().all_functions() if f.partition(":")[0] in sys.modules}


class Graph:
    """The jobs of one profile's build.

    Parameters
    ----------
    profile : name of the profile.

    Raises
    ------
    ValueError : no paper has such a profile.
    """

    def __init__(self, profile: str = "mini"):
        self.profile = profile
        self.root = paths.root()
        self.build = paths.build_dir(profile)
        known = dict.fromkeys(name for table in self._tables.values() for name in table)
        if profile not in known:
            raise ValueError(f"profile: expected one of {', '.join(known)}; got {profile!r}")

    @cached_property
    def notebooks(self) -> dict[str, Notebook]:
        """The notebooks by name.

        Raises
        ------
        FileNotFoundError : there are none.
        ValueError : one has a name that could mean something else to a shell or to Snakemake.
        """
        found = {n.name: n for n in all_notebooks()}
        if not found:
            raise FileNotFoundError(f"no notebook found below {self.root / 'notebooks'}")
        for name in found:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    "notebooks: expected names of letters, digits, '_', '-', '.' and single spaces; "
                    f"got {name!r}"
                )
        return found

    # ---------------------------------------------------------------- jobs
    def page(self, name: str) -> Job:
        """Execute a notebook. Its prose is no input: that is taken from the notebook when the book is made."""
        notebook = self.notebooks[name]
        inputs = {"code cells": stable_hash(notebook.code), **self._settings(notebook.paper)}
        if notebook.paper:
            asked = self.live(name).get("parameters", {})
            inputs |= {"what a live build asks for": stable_hash(asked), **self._shipped}
            files = [*(chapters.FOLDER / notebook.paper / "printed").glob("*")]
            for table in notebook.tables:
                files += (self.root / "results").glob(f"*/{table}.csv")
            inputs |= self._files(files)
        return Job(f"notebooks/{name}", self.build, f"notebooks/{name}.ipynb", inputs)

    def live(self, name: str) -> dict:
        """What the settings say of a page in a live build: its ``budget`` and ``parameters``, if they say anything."""
        notebook = self.notebooks[name]
        return live_settings(notebook.paper, notebook.path.stem, self.profile)

    def training(self, paper: str, model: str, seed: int) -> Job:
        """Train a model ahead of the pages that need it, so that several train side by side."""
        name = f"models/{paper}/{model}.{seed}"
        return Job(name, self.build, None, self._settings(paper))

    def listing(self) -> Job:
        """List the models that are trained ahead: only the settings know, and they need torch."""
        inputs = self._settings(*self._tables) | self._shipped
        live = [table.get(self.profile, {}).get("live", {}) for table in self._tables.values()]
        asked = [{name: one.get("parameters") for name, one in pages.items()} for pages in live]
        inputs["what a live build asks for"] = stable_hash(asked)
        return Job("models", self.build, "models.json", inputs)

    def verdicts(self) -> Job:
        """Judge the claims."""
        return Job("verdicts", self.build, "verdicts.csv", self._judged)

    def book(self) -> Job:
        """Make the pages of the book."""
        # Sphinx loads its extension in a process of its own.
        files = [
            self.root / "_config.yml",
            self.root / "_toc.yml",
            paths.LIBRARY / "book" / "mathml.py",
        ]
        files += [p for p in (self.root / "book").rglob("*") if p.is_file()]
        files += [n.path for n in self.notebooks.values()]
        return Job("html", self.build, "html/index.html", self._judged | self._files(files))

    # ---------------------------------------------------------------- what Snakemake asks
    def stamp(self, job: Job) -> str:
        """A file, relative to the build, that is newer than the job's output if and only if the job has changed."""
        reasons, stamp = job.changes(), self.build / "stamps" / f"{job.name}.txt"
        made = _time(self.build / (job.output or job.marker))
        if not stamp.is_file() or (_time(stamp) > made) != bool(reasons):
            # Snakemake ignores a new date where the content is an old one, so the time is part of it.
            with atomic_write(stamp) as temporary:
                temporary.write_text("\n".join([*reasons, str(time.time_ns()), ""]), "utf-8")
            if not reasons:
                os.utime(stamp, (1, 1))
        return stamp.relative_to(self.build).as_posix()

    def markers(self, name: str, seed: int | None = None) -> list[str]:
        """Markers, relative to the build, of the trainings that notebook `name` waits for (at one seed, or live)."""
        paper = self.notebooks[name].paper
        if paper not in self._tables:
            return []
        groups = set(self.notebooks[name].groups)
        known = [m for m in self.models if m["paper"] == paper and groups & set(m["groups"])]
        if seed is None:
            needed = {(m["model"], m["seed"]) for m in known if m["ahead"]}
        else:
            ship = {m["model"] for m in known if m["ships"] and m["seed"] == seed}
            needed = {(m["model"], seed) for m in known if m["model"] not in ship}
        return [self.training(paper, *one).marker for one in sorted(needed)]

    def shipped_first(self, name: str, seed: int) -> list[str]:
        """What the recording of a notebook at one seed waits for, if models of that seed ship."""
        paper = self.notebooks[name].paper
        settings = self._tables.get(paper, {}).get(self.profile, {})
        ships = settings.get("ships") and seed in settings["seeds"]
        return [f"recording/shipped/{paper}"] if ships else []

    @cached_property
    def models(self) -> list[dict]:
        """The models of a live build: ``{"paper", "model", "groups", "seed", "ships", "ahead"}``, see `xsim models`."""
        job = self.listing()
        if job.changes():
            program = ["xsim"]
            if os.environ.get("XSIM_WARM"):  # a build has a process that has imported torch
                program = [sys.executable, "-m", f"{paths.LIBRARY.name}.workflow.warm", "ask"]
            command = [*program, "models", "--profile", self.profile]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ValueError((done.stderr or done.stdout).strip().removeprefix("xsim: "))
        return json.loads((self.build / job.output).read_text(encoding="utf-8"))

    # ---------------------------------------------------------------- inputs
    @cached_property
    def _tables(self) -> dict[str, dict]:
        """The settings of every paper, profile by profile."""
        found = {paper: settings_table(paper) for paper in sorted(chapters.names())}
        return {paper: table for paper, table in found.items() if table}

    def _settings(self, *papers: str | None) -> dict[str, str]:
        """What the profile says about papers; a comment, a budget or another profile is no change."""
        return {
            f"settings of {paper}": stable_hash(
                {k: v for k, v in self._tables[paper].get(self.profile, {}).items() if k != "live"}
            )
            for paper in papers
            if paper in self._tables
        }

    @cached_property
    def _shipped(self) -> dict[str, str]:
        """The weights that come with the library."""
        return self._files((paths.LIBRARY / "shipped").glob("*.csv"))

    def _files(self, files: Iterable[Path]) -> dict[str, str]:
        return {self._short(file): file_sha256(file) for file in sorted(files)}

    def _short(self, file: Path) -> str:
        return Path(os.path.relpath(file, self.root)).as_posix()

    @cached_property
    def _judged(self) -> dict[str, str]:
        """What verdicts and the book are made from besides the executed pages."""
        judging = (f for f in library().all_functions() if tracing.within(f, _JUDGING))
        code = library().fingerprints(judging)
        # Without the modules' names: a predicate that moves says the same.
        inputs = {"claims": stable_hash(sorted((n.partition(":")[2], p) for n, p in code.items()))}
        results = sorted((self.root / "results").glob("*/*"))
        files = list(results)
        for pattern in ("*/*.yaml", "*/printed/*.csv"):
            files += chapters.FOLDER.glob(pattern)
        inputs |= self._files(files)
        # Whether a recorded table has become suspect is part of a verdict, and is said on the pages.
        for notebook in self.notebooks.values():
            inputs[f"code cells of {notebook.name}"] = stable_hash(notebook.code)
        for file in results:
            if file.suffix == ".json":
                about = json.loads(file.read_text(encoding="utf-8"))
                found = [library().changed(one["trace"]) for one in _traced(about)]
                inputs[f"code of {self._short(file)}"] = stable_hash(found)
        return inputs


def _traced(provenance: Mapping) -> list[Mapping]:
    """The runs of a recorded table that say which functions they ran: its own, and later checks."""
    return [one for one in (provenance, *provenance.get("checks", ())) if one.get("trace")]


def _time(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0
