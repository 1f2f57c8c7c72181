"""What the library's functions and constants say, whatever they are called from and wherever they stand.

A number depends on the code that ran. That code is known function by function (`tracing`), and here each
function gets a fingerprint: of its syntax tree, without what cannot change a number (comments, docstrings,
annotations, imports, the wording of errors and warnings). With a function go the module constants that
it names; of a registry, a constant whose entries are functions or classes, only the entries that ran.

Nothing is imported: sources are read and parsed, the whole package in less than a second.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from xsim_lib.evidence.paths import LIBRARY

__all__ = ["Definitions", "code_cells", "library", "notebook_cells"]

NameOf = Callable[[ast.AST], str | None]

_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_SPOKEN = ("warn", "warning", "info", "debug", "error", "_note", "add_note", "echo")
_CLASS = ":class"  # what is fingerprinted of a class apart from its methods


@dataclass
class _Module:
    """The top level of one file: functions and methods, classes, constants, and what names are bound to."""

    functions: dict[str, ast.AST] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    constants: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)


class Definitions:
    """All definitions of a package, read from its sources.

    Parameters
    ----------
    folder : of the package; its name is the package's.

    Notes
    -----
    A definition is called ``module:name``, such as ``xsim_lib.indices.cka:linear_cka``, and a method
    ``module:Class.method``. A function within a function belongs to the outer one.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._modules = {}
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder.parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
            self._modules[name] = _read(tree, name, package=parts[-1] == "__init__")
        self._fingerprints: dict[str, str] = {}
        self._homes: dict[str, list[str]] = {}
        for module, found in self._modules.items():
            for own in (*found.functions, *found.classes, *found.constants):
                self._homes.setdefault(own, []).append(module)

    def all_functions(self) -> set[str]:
        """Every function and method of the package."""
        return {f"{m}:{name}" for m, found in self._modules.items() for name in found.functions}

    def called(self, file: str, qualname: str) -> str | None:
        """The definition that a code object belongs to; None for code of others or of a module's top level.

        Parameters
        ----------
        file, qualname : ``co_filename`` and ``co_qualname`` of the code object.
        """
        try:
            parts = Path(file).relative_to(self.folder.parent).with_suffix("").parts
        except ValueError:
            return None
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found = self._modules.get(module)
        name = qualname.partition(".<locals>")[0]
        return f"{module}:{name}" if found and name in found.functions else None

    def fingerprints(self, functions: Iterable[str]) -> dict[str, str]:
        """Fingerprints of functions and of all constants and classes that they name, by name.

        Those that no longer exist are left out. What a constant is made with was called when its module was
        imported, which nobody watches: these functions count too, and those that they call.
        """
        functions = {f for f in functions if self._function(f) is not None}
        ran = {name.partition(":")[2].split(".")[0] for name in functions}
        found: dict[str, str] = {}
        at_import: set[str] = set()
        todo = [(name, None) for name in sorted(functions)]
        while todo:
            name, entry = todo.pop()
            label = name if entry is None else f"{name}[{entry}]"
            if label in found:
                continue
            module, _, own = name.partition(":")
            tree = self._tree(name) if entry is None else self._entries(name)[entry]
            found[label] = self._fingerprint(label, tree)
            if "." in own and not own.endswith(_CLASS):
                todo.append((f"{module}:{own.split('.')[0]}{_CLASS}", None))
            if own not in self._functions_of(module) or name in at_import:
                called = self._called_in(tree, module)
                at_import |= called
                todo += [(f, None) for f in sorted(called)]
            for reference in self._references(tree, module):
                entries = self._entries(reference)
                used = [
                    (reference, k) for k, tree in entries.items() if self._ran(tree, reference, ran)
                ]
                todo += used if entries else [(reference, None)]
        return dict(sorted(found.items()))

    def changed(self, trace: Mapping[str, str]) -> list[str]:
        """Names in a trace whose definition says something else today, or is gone; sorted.

        A definition that stands in another module now, with the same name and content, is unchanged.
        """
        return sorted(n for n, print_ in trace.items() if not self._same(n, print_))

    def _same(self, label: str, wanted: str) -> bool:
        module, _, own = label.partition(":")
        if self._known(module, own):
            return self._current(label) == wanted
        return any(
            self._known(other, own) and self._current(f"{other}:{own}") == wanted
            for other in self._modules
        )

    def moved(self, functions: Iterable[str]) -> set[str]:
        """The same functions under the names they have today; those that are gone are left out."""
        found = set()
        for name in functions:
            module, _, own = name.partition(":")
            homes = [module] if self._known(module, own) else self._modules
            found |= {f"{m}:{own}" for m in homes if own in self._functions_of(m)}
        return found

    # ---------------------------------------------------------------- looking things up
    def _functions_of(self, module: str) -> Mapping[str, ast.AST]:
        return self._modules[module].functions if module in self._modules else {}

    def _function(self, name: str) -> ast.AST | None:
        module, _, own = name.partition(":")
        return self._functions_of(module).get(own)

    def _known(self, module: str, own: str) -> bool:
        if module not in self._modules:
            return False
        name, bracket, entry = own.partition("[")
        if bracket:
            return self._known(module, name) and entry[:-1] in self._entries(f"{module}:{name}")
        found = self._modules[module]
        if own.endswith(_CLASS):
            return own.removesuffix(_CLASS) in found.classes
        return own in found.functions or own in found.constants

    def _current(self, label: str) -> str:
        name, bracket, entry = label.partition("[")
        tree = self._entries(name)[entry[:-1]] if bracket else self._tree(name)
        return self._fingerprint(label, tree)

    def _tree(self, name: str) -> ast.AST:
        module, _, own = name.partition(":")
        found = self._modules[module]
        if own.endswith(_CLASS):
            node = found.classes[own.removesuffix(_CLASS)]
            return _without_methods(node, self._overridden(node, module))
        return found.functions.get(own) or found.constants[own]

    def _overridden(self, node: ast.ClassDef, module: str) -> list[str]:
        """Methods of the package's base classes that a class has in another way: with one more, others run."""
        methods, found = {p.name for p in node.body if isinstance(p, _FUNCTION)}, set()
        bases = [self._resolve(base, module) for base in node.bases]
        while bases:
            home, name = bases.pop() or ("", "")
            base = self._modules[home].classes.get(name) if home else None
            if base is not None:
                found |= methods & {p.name for p in base.body if isinstance(p, _FUNCTION)}
                bases += [self._resolve(b, home) for b in base.bases]
        return sorted(found)

    def _fingerprint(self, label: str, tree: ast.AST) -> str:
        if label not in self._fingerprints:
            module = label.partition(":")[0]
            self._fingerprints[label] = _hashed(tree, lambda node: self._name_of(node, module))
        return self._fingerprints[label]

    def _name_of(self, node: ast.AST, module: str) -> str | None:
        """What something is called where it comes from, under whatever alias it is used here.

        Of the package's own definitions only the name counts, not the module, unless several share it.
        """
        resolved = self._resolve(node, module)
        if resolved is not None:
            home, name = resolved
            return name if len(self._homes.get(name, ())) < 2 else f"{home}:{name}"
        if isinstance(node, ast.Name):
            source, name = self._modules[module].imported.get(node.id, ("", None))
            return f"{source}.{name}" if name is not None else source or None
        return None

    def _entries(self, name: str) -> dict[str, ast.AST]:
        """The entries of a registry by their key or number; empty for anything else."""
        module, _, own = name.partition(":")
        tree = self._modules[module].constants.get(own)
        if isinstance(tree, ast.Dict) and None not in tree.keys:
            entries = {ast.unparse(k): v for k, v in zip(tree.keys, tree.values, strict=True)}
        elif isinstance(tree, (ast.Tuple, ast.List, ast.Set)):
            entries = {str(k): v for k, v in enumerate(tree.elts)}
        else:
            return {}
        names_code = all(self._code_named(v, module) for v in entries.values())
        return entries if names_code else {}

    def _code_named(self, tree: ast.AST, module: str) -> set[str]:
        """Functions and classes that an expression names."""
        found = set()
        for node in ast.walk(tree):
            resolved = self._resolve(node, module)
            if resolved and self._is_code(*resolved):
                found.add(resolved[1])
        return found

    def _called_in(self, tree: ast.AST, module: str) -> set[str]:
        """Functions of the package that an expression or a function calls by name."""
        calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
        found = (self._resolve(called, module) for called in calls)
        return {
            f"{home}:{name}"
            for home, name in filter(None, found)
            if name in self._functions_of(home)
        }

    def _is_code(self, module: str, name: str) -> bool:
        found = self._modules[module]
        return name in found.functions or name in found.classes

    def _ran(self, tree: ast.AST, registry: str, ran: set[str]) -> bool:
        return bool(self._code_named(tree, registry.partition(":")[0]) & ran)

    def _references(self, tree: ast.AST, module: str) -> list[str]:
        """Constants and classes of the package that a definition names."""
        found = {}
        for node in ast.walk(tree):
            resolved = self._resolve(node, module)
            if resolved is None:
                continue
            home, name = resolved
            if name in self._modules[home].classes:
                found[f"{home}:{name}{_CLASS}"] = None
            elif name in self._modules[home].constants:
                found[f"{home}:{name}"] = None
        return list(found)

    def _resolve(self, node: ast.AST, module: str) -> tuple[str, str] | None:
        """Module and name of what a name, or an attribute of a module, stands for at the top level."""
        if isinstance(node, ast.Name):
            return self._bound(module, node.id)
        if not isinstance(node, ast.Attribute):
            return None
        home = self._module_named(node.value, module)
        return self._bound(home, node.attr) if home else None

    def _module_named(self, node: ast.AST, module: str) -> str | None:
        if isinstance(node, ast.Attribute):
            outer = self._module_named(node.value, module)
            inner = f"{outer}.{node.attr}"
            return inner if outer and inner in self._modules else None
        if not isinstance(node, ast.Name):
            return None
        source, name = self._modules[module].imported.get(node.id, ("", None))
        target = source if name is None else f"{source}.{name}"
        return target if target in self._modules else None

    def _bound(self, module: str, name: str) -> tuple[str, str] | None:
        for _ in range(9):  # a name that is passed on from module to module
            found = self._modules.get(module)
            if found is None:
                return None
            if name in found.functions or name in found.classes or name in found.constants:
                return module, name
            if name not in found.imported:
                return None
            module, name = found.imported[name]
            if name is None:
                return None
        return None


def code_cells(path: Path) -> list[str]:
    """The source of every code cell of a notebook, in order."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def notebook_cells(cells: Iterable[str]) -> list[str]:
    """Fingerprints of the code cells of a notebook, in order, empty ones left out.

    Parameters
    ----------
    cells : source of each. The cell that papermill injects ("# Parameters") is left out: its values are the
        run's parameters, not its code.

    Notes
    -----
    A cell that is no plain Python (a magic) counts as the text that it is.
    """
    found = []
    for cell in cells:
        if not cell.strip() or cell.startswith("# Parameters\n"):
            continue
        try:
            found.append(_hashed(ast.parse(cell).body))
        except SyntaxError:
            found.append(hashlib.sha256(cell.encode()).hexdigest()[:16])
    return found


@cache
def library() -> Definitions:
    """The definitions of the library itself, as it stands on disk when first asked for."""
    return Definitions(LIBRARY)


def _read(tree: ast.Module, name: str, *, package: bool) -> _Module:
    found = _Module()
    for node in tree.body:
        if isinstance(node, _FUNCTION):
            found.functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found.classes[node.name] = node
            for part in node.body:
                if isinstance(part, _FUNCTION):
                    # A property has up to three functions of one name.
                    known = found.functions.get(f"{node.name}.{part.name}")
                    both = ast.Module([known, part], []) if known is not None else part
                    found.functions[f"{node.name}.{part.name}"] = both
        elif not isinstance(node, (ast.Import, ast.ImportFrom, ast.Expr)):
            plain = isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
            for name in _assigned(node):
                if name in found.constants:  # made in several steps
                    found.constants[name] = ast.Module([found.constants[name], node], [])
                elif name != "__all__":
                    found.constants[name] = node.value if plain else node
    parent = name if package else name.rpartition(".")[0]
    for node in ast.walk(tree):  # imports within functions, too
        if isinstance(node, ast.Import):
            for one in node.names:
                found.imported[one.asname or one.name.split(".")[0]] = (
                    one.name if one.asname else one.name.split(".")[0],
                    None,
                )
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, (parent, node.module))) if node.level else node.module
            for one in node.names:
                found.imported[one.asname or one.name] = (base or "", one.name)
    return found


def _assigned(node: ast.stmt) -> list[str]:
    """Names that a statement at the top level gives a value, however deep."""
    stored = (
        part.id
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    )
    return list(dict.fromkeys(stored))


def _without_methods(node: ast.ClassDef, overridden: list[str]) -> ast.ClassDef:
    rest = [part for part in node.body if not isinstance(part, _FUNCTION)]
    rest += [ast.Expr(ast.Name(name)) for name in overridden]
    return ast.ClassDef(node.name, node.bases, node.keywords, rest, node.decorator_list)


def _hashed(tree: object, name_of: NameOf = lambda node: None) -> str:
    return hashlib.sha256(repr(_normalised(tree, name_of)).encode()).hexdigest()[:16]


def _normalised(node: object, name_of: NameOf) -> object:
    """Reduce a syntax tree to nested tuples of what can change a number.

    Empty fields are dropped, because versions of Python differ there.
    """
    if isinstance(node, list):
        return tuple(_normalised(item, name_of) for item in node if not _is_silent(item))
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    if isinstance(node, (ast.Name, ast.Attribute)) and (name := name_of(node)):
        return ("Name", (("id", f"str:{name!r}"),))
    fields = []
    for name, value in ast.iter_fields(node):
        if name in (
            "kind",
            "type_comment",
            "type_ignores",
            "type_params",
            "ctx",
            "annotation",
            "returns",
        ):
            continue
        if isinstance(node, ast.Raise) and name in ("exc", "cause"):
            value = _raised(value)
        if isinstance(node, ast.Assert) and name == "msg":
            continue
        if value is not None and value != []:
            fields.append((name, _normalised(value, name_of)))
    return (type(node).__name__, *sorted(fields, key=lambda pair: pair[0]))


def _is_silent(node: object) -> bool:
    """Statements that change no number: docstrings, imports, what is only said to the reader."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return True
    called = value.func if isinstance(value, ast.Call) else None
    name = getattr(called, "attr", None) or getattr(called, "id", None)
    return name in _SPOKEN


def _raised(value: ast.AST | None) -> ast.AST | None:
    """The kind of an error without its wording."""
    return value.func if isinstance(value, ast.Call) else value
