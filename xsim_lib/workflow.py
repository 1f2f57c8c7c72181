"""What the Snakefile asks, and the thin commands behind `make book`, `make notebook`, `make record`.

The graph compares file times. A stamp turns "the code and the settings this depends on" into such a file:
its content is a fingerprint, and it is only rewritten when the fingerprint changes. So editing a comment
re-runs nothing, editing the zoo re-trains, and editing a claim re-judges without training anything.
"""

import argparse
import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from xsim_lib import _LAZY, paths
from xsim_lib.hashing import atomic_write, code_hash, file_sha256, stable_hash

__all__ = ["Graph", "Notebook", "closure", "main", "notebook_modules", "notebooks"]

_PACKAGE = "xsim_lib"
# The programs around the measurements: no measurement depends on them.
_OUTSIDE = ("cli", "book", "workflow")


_STARTED = re.compile(r"""xsim\.start\(\s*["'](\w+\.[\w.]+)["']""")


@dataclass(frozen=True)
class Notebook:
    """One notebook: ``anc2022/fig1_cka_failure`` is the figure ``anc2022.fig1`` of the paper anc2022."""

    name: str
    path: Path

    @property
    def paper(self) -> str | None:
        return self.name.split("/")[0] if "/" in self.name else None

    @cached_property
    def items(self) -> tuple[str, ...]:
        """What its measurements are called: as it says to `xsim.start`, or else as its file begins."""
        if not self.paper:
            return ()
        found = _STARTED.findall(_code(self.path)) if self.path.is_file() else []
        return tuple(dict.fromkeys(found)) or (f"{self.paper}.{self.path.stem.split('_')[0]}",)


def notebooks(folder: Path | None = None) -> tuple[Notebook, ...]:
    """Every notebook below `folder` (default: ``notebooks`` of the project, or ``XSIM_NOTEBOOKS``), by name."""
    folder = folder or Path(os.environ.get("XSIM_NOTEBOOKS") or paths.root() / "notebooks")
    found = sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    return tuple(Notebook(p.relative_to(folder).with_suffix("").as_posix(), p) for p in found)


# ---------------------------------------------------------------- what depends on what
def closure(*modules: str, outside: Container[str] = ()) -> tuple[str, ...]:
    """Names of the library modules that `modules` import, directly or not, themselves included.

    Those in `outside` are neither named nor followed. A package stands for all its files, because registries load their parts by name. Imports are read
    from the source, also those inside functions; nothing is imported.
    """
    todo, seen = [m for m in modules if _source(m)], set()
    while todo:
        module = todo.pop()
        if module in seen or module in outside:
            continue
        seen.add(module)
        source = _source(module)
        files = sorted(source.parent.rglob("*.py")) if source.name == "__init__.py" else [source]
        for file in files:
            todo += _imports(ast.parse(file.read_text(encoding="utf-8")))
    return tuple(sorted(seen))


def notebook_modules(path: Path) -> tuple[str, ...]:
    """Library modules that the code cells of a notebook reach."""
    # IPython magics are no Python; they import nothing of ours.
    lines = ("pass" if re.match(r"[%!]", line) else line for line in _code(path).splitlines())
    return closure(*_imports(ast.parse("\n".join(lines))))


def _code(path: Path) -> str:
    """The code cells of a notebook, one after the other."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


def _imports(tree: ast.AST) -> list[str]:
    found, aliases = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                found.add(name.name)
                if name.name == _PACKAGE:
                    aliases.add(name.asname or name.name)
        elif isinstance(node, ast.ImportFrom):
            base = f"{_PACKAGE}.{node.module or ''}".rstrip(".") if node.level else node.module
            found |= {base, *(f"{base}.{name.name}" for name in node.names)}
            found |= {_LAZY.get(n.name) for n in node.names if base == _PACKAGE}
    for node in ast.walk(tree):  # xsim.start(...) is loaded lazily from xsim_lib.experiment
        of_alias = isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in aliases
        if of_alias:
            found.add(_LAZY.get(node.attr, f"{_PACKAGE}.{node.attr}"))
    # xsim_lib.claims.anc2022 -> xsim_lib.claims (whole packages); xsim_lib.zoo.get -> xsim_lib.zoo
    parts = [name.split(".") for name in found if name]
    names = {p[1] for p in parts if p[0] == _PACKAGE and len(p) > 1} - set(_OUTSIDE)
    return sorted(f"{_PACKAGE}.{name}" for name in names if _source(f"{_PACKAGE}.{name}"))


def _source(module: str) -> Path | None:
    base = Path(__file__).parent / module.split(".")[1]
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


class Graph:
    """The nodes of one profile's build, with their folders and stamps.

    Parameters
    ----------
    profile : name of the profile; checked by ``xsim models``, which knows them.
    """

    def __init__(self, profile: str = "mini"):
        self.profile = profile
        self.root = paths.root()
        self.build = paths.build_dir(profile)
        self.notebooks = {n.name: n for n in notebooks()}
        if not self.notebooks:
            raise FileNotFoundError(f"no notebook found below {self.root / 'notebooks'}")
        self._models: dict[int | None, list[dict]] = {}

    def models(self, seed: int | None = None) -> list[dict]:
        """``{"paper", "model", "seed"}`` of every checkpoint the profile needs (at one seed, or live)."""
        if seed not in self._models:
            command = ["xsim", "models", "--profile", self.profile]
            command += [] if seed is None else ["--seeds", str(seed)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr or done.stdout}")
            self._models[seed] = json.loads(done.stdout)
        return self._models[seed]

    def markers(self, name: str, seed: int | None = None) -> list[Path]:
        """Marker files of the checkpoints that notebook `name` waits for."""
        paper = self.notebooks[name].paper
        return [
            self.build / "models" / m["paper"] / f"{m['model']}.{m['seed']}.done"
            for m in self.models(seed)
            if m["paper"] == paper
        ]

    def train_stamp(self, paper: str) -> Path:
        """Changes with the code that trains and with the settings of the paper."""
        modules = closure(f"{_PACKAGE}.zoo", f"{_PACKAGE}.profiles")
        return self._stamp(f"train.{paper}", modules, self._settings(paper))

    def notebook_stamp(self, name: str, *, shows_records: bool = True) -> Path:
        """Changes with the notebook, the library it reaches, its settings and the records it shows.

        The runs that make those records must not depend on them: `shows_records` is False there.
        """
        notebook = self.notebooks[name]
        files = [notebook.path, *self._settings(notebook.paper)]
        if notebook.paper:
            files += (self.root / _PACKAGE / "reported").glob(f"{notebook.paper}*")
        if notebook.paper and shows_records:
            for item in notebook.items:
                files += (self.root / "results").glob(f"*/{item}.*")
        stamp = ("notebook." if shows_records else "seeds.") + name.replace("/", ".")
        return self._stamp(stamp, notebook_modules(notebook.path), files)

    def verdict_stamp(self) -> Path:
        """Changes with the claims and the recorded measurements."""
        modules = closure(f"{_PACKAGE}.claims", f"{_PACKAGE}.records")
        return self._stamp("verdicts", modules, (self.root / "results").glob("*/*"))

    def book_stamp(self) -> Path:
        """Changes with the prose, the settings of the book, the pages' generators and the records."""
        files = [self.root / "_config.yml", self.root / "_toc.yml"]
        files += [p for p in (self.root / "book").rglob("*") if p.is_file()]
        files += (self.root / "results").glob("*/*")
        modules = (f"{_PACKAGE}.book", *closure(f"{_PACKAGE}.claims", f"{_PACKAGE}.records"))
        return self._stamp("book", modules, files)

    def _settings(self, paper: str | None) -> list[Path]:
        return list((self.root / _PACKAGE).rglob(f"{paper}*.y*ml")) if paper else []

    def _stamp(self, name: str, modules, files) -> Path:
        content = {
            "code": code_hash(*modules) if modules else "",
            "files": {str(p): file_sha256(p) for p in sorted(files) if p.is_file()},
        }
        stamp, text = self.build / "stamps" / f"{name}.txt", stable_hash(content) + "\n"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != text:
            with atomic_write(stamp) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return stamp


# ---------------------------------------------------------------- the commands behind make
def main(arguments: list[str] | None = None) -> int:
    """``python -m xsim_lib.workflow book|notebook|record``: run the graph, then say what came out."""
    parser = argparse.ArgumentParser(prog="xsim_lib.workflow", description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("book", "notebook", "record"))
    parser.add_argument("name", nargs="?", help="the notebook, such as anc2022/fig1_cka_failure")
    parser.add_argument("--profile", default="mini")
    parser.add_argument("--seeds", type=int, default=5, help="record: seeds 1..SEEDS")
    parser.add_argument("--jobs", default="all", help="cores to use; one thread per job")
    options = parser.parse_args(arguments)
    build = paths.build_dir(options.profile)
    try:
        targets = _targets(options, build)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    build.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    # Our own lock, because it dies with its process: after kill -9 the next build simply goes on.
    try:
        with FileLock(build / ".lock", timeout=0):
            code = subprocess.call(_snakemake(options, build, targets))
    except Timeout:
        print(f"another build of profile {options.profile} is running in {build}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - begin
    if code:
        print(
            f"\nfailed after {_duration(seconds)}; the logs are in {build / 'logs'}",
            file=sys.stderr,
        )
        return code
    _report(options, build, seconds)
    return 0


def _targets(options: argparse.Namespace, build: Path) -> list[str]:
    if options.command != "notebook":
        return [options.command]
    known = [n.name for n in notebooks()]
    if options.name not in known:
        raise ValueError(f"NB: expected one of {', '.join(known)}; got {options.name!r}")
    return [str(build / "notebooks" / f"{options.name}.ipynb")]


def _snakemake(options: argparse.Namespace, build: Path, targets: list[str]) -> list[str]:
    root = paths.root()
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile")]
    command += [
        "--directory",
        str(build),
        "--cores",
        options.jobs,
        "--nolock",
        "--rerun-incomplete",
    ]
    command += ["--keep-going", "--show-failed-logs", "--quiet", "host", "reason"]
    command += ["--config", f"profile={options.profile}", f"seeds={options.seeds}", "--", *targets]
    return command


def _report(options: argparse.Namespace, build: Path, seconds: float) -> None:
    if options.command == "notebook":
        print(f"\n{build / 'notebooks' / options.name}.ipynb ({_duration(seconds)})")
        return
    if options.command == "record":
        print(f"\n{paths.results_dir(options.profile)} ({_duration(seconds)})")
        return
    from xsim_lib.book.pages import read_verdicts, summary_lines

    print()
    for line in summary_lines(read_verdicts(build / "verdicts.csv")):
        print(line)
    print(
        f"\nbook: {build / 'html' / 'index.html'} ({_duration(seconds)}, profile {options.profile})"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


if __name__ == "__main__":
    raise SystemExit(main())
