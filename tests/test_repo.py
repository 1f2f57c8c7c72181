"""What holds for the repository as a whole."""

import ast
import json
import re
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import xsim_lib
from xsim_lib.evidence import graph

ROOT = Path(__file__).parents[1]


# ---------------------------------------------------------------- environments
def _pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_conda_users_get_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *conda, pip = environment["dependencies"]
    assert conda == ["python=3.11", "pip"]
    assert dict(line.split("==") for line in pip["pip"]) == _pins()


def test_pins_are_plain_and_the_torch_build_is_left_to_the_reader():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^-", text, flags=re.M), (
        "options such as an index belong to the reader's machine"
    )
    assert _pins()["torch"] == "2.13.0"


def _locked() -> dict[str, dict[str, list[str]]]:
    """Name -> version -> hashes of its files."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", "")
    found: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            pin, *hashes = line.split()
            name, version = pin.split("==")
            found.setdefault(canonicalize_name(name), {})[version] = hashes
    return found


def test_the_lock_has_the_pins_and_a_hash_of_every_file_but_those_of_torch():
    locked = _locked()
    pins = {canonicalize_name(name): version for name, version in _pins().items()}
    del pins["torch"]
    assert {name: [*versions] for name, versions in locked.items()} == {
        name: [version] for name, version in pins.items()
    }, "made by the command in its first lines"
    hashes = [h for versions in locked.values() for found in versions.values() for h in found or [""]]  # fmt: skip
    assert [h for h in hashes if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h)] == []


def test_the_lock_names_no_server():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--(index|extra|find|trusted)|\b\w+\.(org|com|net|io)\b", text)


@pytest.mark.slow
def test_the_lock_installs_into_an_empty_environment(tmp_path):
    """Needs an index of packages: every file that it gives is one that the lock knows."""
    venv.create(tmp_path / "bare", with_pip=True)
    pip = [tmp_path / "bare" / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    lock = ["--quiet", "--no-deps", "--require-hashes", "-r", ROOT / "requirements.lock"]
    subprocess.run([*pip, "install", *lock], check=True)
    listed = subprocess.run(
        [*pip, "list", "--format=json"], capture_output=True, text=True, check=True
    )
    installed = {canonicalize_name(p["name"]): p["version"] for p in json.loads(listed.stdout)}
    pins = {canonicalize_name(name): version for name, version in _pins().items()}
    assert {name: pins[name] for name in pins if name != "torch"}.items() <= installed.items()


def test_pins_are_what_the_project_needs_and_no_more():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(line for extra in extras for line in extra)]
    needed = _needed([Requirement(line) for line in declared])
    pinned = {canonicalize_name(name) for name in _pins()}
    # What only some platforms or builds bring, or every environment has, is left to pip.
    optional = re.compile(
        r"(nvidia|cuda|triton|setuptools|wheel|pip$|colorama|greenlet|hf-xet|appnope)"
    )
    assert {name for name in needed - pinned if not optional.match(name)} == set()
    assert {name for name in pinned - needed if not optional.match(name)} == set()


def _needed(todo: list[Requirement]) -> set[str]:
    done: set[tuple] = set()
    while todo:
        requirement = todo.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in done:
            continue
        done.add(key)
        for line in metadata.requires(requirement.name) or []:
            other = Requirement(line)
            extras = requirement.extras or {""}
            if not other.marker or any(other.marker.evaluate({"extra": e}) for e in extras):
                todo.append(other)
    return {name for name, _ in done}


# ---------------------------------------------------------------- files
def _tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout: nobody knows which files are tracked")
    return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_tracked_file_names_a_folder_of_one_machine():
    # "someone" is the made-up user of the tests that cut such paths.
    machine = re.compile(r"(?<![\w.])/" + r"(?:home|root|Users)/(?!someone\b)[\w.-]+")
    found = {}
    for file in _tracked():
        hits = machine.findall(file.read_text(encoding="utf-8", errors="replace"))
        if hits:
            found[file.relative_to(ROOT).as_posix()] = hits[:3]
    assert found == {}


def test_no_tracked_file_is_large():
    large = {f.name: f.stat().st_size for f in _tracked() if f.stat().st_size > 1_000_000}
    assert large == {}


def test_library_files_stay_short():
    files = sorted((ROOT / "xsim_lib").rglob("*.py"))
    lengths = {str(f): len(f.read_text(encoding="utf-8").splitlines()) for f in files}
    assert {name: n for name, n in lengths.items() if n >= 700} == {}
    assert len(lengths) > 20


def test_errors_are_not_silenced():
    silenced = re.compile(r"allow_errors\s*=\s*True|(?:filter|simplefilter)\w*\(\s*['\"]ignore")
    files = [
        f for f in _tracked() if f.suffix in (".py", ".yml", ".ipynb") or f.name == "Snakefile"
    ]
    assert [f.name for f in files if silenced.search(f.read_text(encoding="utf-8"))] == []


def test_the_readme_names_every_target_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):.*## ", makefile, flags=re.M)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {"book", "test", "record", "notebook", "clean", "lint"} <= set(targets)
    assert [name for name in targets if f"`make {name}`" not in readme] == []


# ---------------------------------------------------------------- notebooks
NOTEBOOKS = graph.all_notebooks(ROOT / "notebooks")
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)


def _tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def _code(cells) -> list[str]:
    return [cell.source.strip() for cell in cells if cell.cell_type == "code"]


def test_every_notebook_has_both_faces():
    scripts = {p.relative_to(ROOT / "notebooks").with_suffix("").as_posix() for p in _scripts()}
    assert {n.name for n in NOTEBOOKS} == scripts
    assert scripts


def _scripts() -> list[Path]:
    return [p for p in (ROOT / "notebooks").rglob("*.py") if ".ipynb_checkpoints" not in p.parts]


def test_what_notebooks_write_as_html_is_escaped():
    """A name put between tags becomes HTML itself."""
    made_of_escaped = {"said", "latin", "style", "''.join(blocks)"}
    raw = []
    for file in _scripts():
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.JoinedStr):
                continue
            fixed = [v.value for v in node.values if isinstance(v, ast.Constant)]
            if not any(re.search(r"<\w", part) for part in fixed):
                continue
            put = [ast.unparse(v.value) for v in node.values if isinstance(v, ast.FormattedValue)]
            raw += [
                f"{file.name}: {value}"
                for value in put
                if not value.startswith("escape(") and value not in made_of_escaped
            ]
    assert raw == []


@each_notebook
def test_script_and_notebook_say_the_same(notebook):
    executed = nbformat.read(notebook.path, as_version=4)
    script = jupytext.read(notebook.path.with_suffix(".py"))
    kept = [cell for cell in executed.cells if "injected-parameters" not in _tags(cell)]
    assert [(c.cell_type, c.source.strip()) for c in kept] == [
        (c.cell_type, c.source.strip()) for c in script.cells
    ], "`xsim sync` makes the .ipynb anew"
    assert len(_code(script.cells)) <= 12


@each_notebook
def test_code_cells_are_short_enough_to_read(notebook):
    script = jupytext.read(notebook.path.with_suffix(".py"))
    lengths = [len(source.splitlines()) for source in _code(script.cells)]
    assert max(lengths) <= 30, "what is not the page's point is a function of xsim_lib"


@each_notebook
def test_parameters_are_tagged_literals_and_smoke_is_what_is_committed(notebook):
    cells = nbformat.read(notebook.path, as_version=4).cells
    (parameters,) = [cell for cell in cells if "parameters" in _tags(cell)]
    for statement in ast.parse(parameters.source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
    (injected,) = [cell for cell in cells if "injected-parameters" in _tags(cell)]
    assert re.search(r"""profile = ["']smoke["']""", injected.source)


@each_notebook
def test_outputs_are_clean(notebook):
    cells = nbformat.read(notebook.path, as_version=4).cells
    outputs = json.dumps([cell.outputs for cell in cells if cell.cell_type == "code"])
    assert '"output_type": "error"' not in outputs
    assert not re.search(r"(?<![\w.<:/])/(?:home|root|Users|tmp|work)/\w+", outputs)


# ---------------------------------------------------------------- the library
def test_importing_the_library_loads_no_torch_and_is_quick():
    code = "import sys, xsim_lib; print([m for m in ('torch', 'transformers', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_imports_run_one_way():
    """Also those for annotations alone, and those within functions (pyproject.toml has the contracts)."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


def test_no_two_public_names_are_the_same_and_no_module_is_called_like_one():
    """Who reads a name knows what is meant."""
    homes: dict[str, list[str]] = {}
    modules = set()
    for file in sorted((ROOT / "xsim_lib").rglob("*.py")):
        modules.add(file.parent.name if file.stem == "__init__" else file.stem)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(file.relative_to(ROOT).as_posix())
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
    assert modules & set(homes) == set()


@pytest.mark.parametrize("name", ["compare", "load", "plain", "start"])
def test_what_the_readme_imports_is_there(name):
    assert callable(getattr(xsim_lib, name))
    assert name in xsim_lib.__all__


@pytest.mark.parametrize(
    "line", ["from xsim_lib.corpora import plain", "from xsim_lib.loading import load"]
)
def test_what_the_readme_imported_until_now_works_with_a_warning(line):
    code = f"{line}\nprint({line.split()[-1]}.__module__)"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    assert "DeprecationWarning: xsim_lib" in done.stderr
    assert done.stdout.startswith("xsim_lib.")
