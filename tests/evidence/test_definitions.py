"""What counts as a change of the code, tried on a copy of the library itself."""

import shutil
from pathlib import Path

import pytest

import xsim_lib
from xsim_lib.evidence.definitions import Definitions, library, notebook_cells

LIBRARY = Path(xsim_lib.__file__).parent
RAN = (
    "xsim_lib.reading.comparison:compare",
    "xsim_lib.reading.comparison:_curves",
    "xsim_lib.indices.neurons:anc_from_moments",
    "xsim_lib.text.corpora.parallel:tatoeba",
    "xsim_lib.text.corpora.parallel:load_pair",
    "xsim_lib.indices.moments:Moments.of",
)


@pytest.fixture
def edited(tmp_path):
    """A copy of the library to edit: ``edited(file, old, new)`` gives what has changed for what `RAN`."""
    copy = tmp_path / "xsim_lib"
    shutil.copytree(LIBRARY, copy, ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    before = library().fingerprints(RAN)  # read once for all tests: a copy says the same

    def edit(*changes: tuple[str, str, str]) -> list[str]:
        for name, old, new in changes:
            file = copy / name
            text = file.read_text() if file.exists() else ""
            assert old in text, f"{name} has no {old!r}"
            file.write_text(text.replace(old, new, 1))
        return Definitions(copy).changed(before)

    return edit


def test_nothing_changed_where_nothing_was_edited(edited):
    assert edited() == []


def test_comments_docstrings_and_annotations_change_nothing(edited):
    source = (LIBRARY / "indices/neurons.py").read_text()
    start = source.index("def anc_from_moments")
    head = source[start : source.index(":\n", start)]
    plain = head.split(" -> ")[0]
    assert (
        edited(
            ("indices/neurons.py", head, plain), ("indices/neurons.py", '"""', '"""Another word. ')
        )
        == []
    )


def test_a_reworded_error_changes_nothing(edited):
    old = 'raise ValueError(f"{name}: expected at least one, got none")'
    assert (
        edited(("reading/comparison.py", old, 'raise ValueError(f"{name}: there is none")')) == []
    )


def test_another_kind_of_error_is_a_change(edited):
    old = 'raise ValueError(f"{name}: expected at least one, got none")'
    assert edited(("reading/comparison.py", old, old.replace("ValueError", "KeyError"))) == [
        "xsim_lib.reading.comparison:compare"
    ]


def test_a_moved_function_changes_nothing(edited):
    source = (LIBRARY / "indices/neurons.py").read_text()
    start = source.index("def anc_from_moments")
    end = source.find("\ndef ", start + 1)
    function = source[start:end]
    moved = (
        "elsewhere.py",
        "",
        "from xsim_lib.indices import validation\nfrom xsim_lib.indices.neurons import _correlations\n"
        + function,
    )
    named = [
        ("reading/comparison.py", '"anc": anc', '"anc": elsewhere.anc'),
        ("reading/comparison.py", "bind(anc", "bind(elsewhere.anc"),
        ("reading/comparison.py", "    anc_from_moments,\n", ""),
        ("reading/comparison.py", "import ranks", "import ranks\nfrom xsim_lib import elsewhere"),
    ]
    assert edited(("indices/neurons.py", function, ""), moved, *named) == []


def test_a_merged_file_changes_nothing(edited):
    parallel = (LIBRARY / "text/corpora/parallel.py").read_text()
    body = parallel.replace("from __future__ import annotations\n", "")
    assert (
        edited(
            ("text/corpora/moses.py", "", ""),
            ("text/corpora/parallel.py", parallel, ""),
            ("text/corpora/every.py", "", body),
        )
        == []
    )


def test_a_new_index_in_the_registry_changes_nothing(edited):
    old = '    "anc": anc_from_moments,\n'
    assert edited(("reading/comparison.py", old, old + '    "cca2": cca_from_moments,\n')) == []


def test_the_entry_of_a_registry_that_ran_is_a_change(edited):
    old = '    "anc": anc_from_moments,\n'
    new = '    "anc": bind(anc_from_moments, signed=True),\n'
    assert edited(("reading/comparison.py", old, new)) == [
        "xsim_lib.reading.comparison:_OF_MOMENTS['anc']"
    ]


def test_a_new_corpus_changes_nothing(edited):
    source = (LIBRARY / "text/corpora/parallel.py").read_text()
    start = source.index("PARALLEL: dict")
    opening = source[start : source.index("{", start) + 1]
    new = "def mine(languages):\n    return None\n\n\n" + opening + '\n    "mine": mine,'
    assert edited(("text/corpora/parallel.py", opening, new)) == []


def test_a_changed_index_is_named(edited):
    source = (LIBRARY / "indices/neurons.py").read_text()
    start = source.index("def anc_from_moments")
    returned = source[
        source.index("    return", start) : source.find("\n", source.index("    return", start))
    ]
    assert edited(("indices/neurons.py", returned, returned + " * 1.0")) == [
        "xsim_lib.indices.neurons:anc_from_moments"
    ]


def test_a_constant_that_an_executed_function_names_is_a_change(edited):
    assert edited(("reading/comparison.py", "CHUNK = 2048", "CHUNK = 1024")) == [
        "xsim_lib.reading.comparison:CHUNK"
    ]


def test_a_function_that_is_gone_is_a_change(edited):
    assert "xsim_lib.reading.comparison:_curves" in edited(
        ("reading/comparison.py", "def _curves(", "def _bends(")
    )


def test_every_definition_of_the_library_can_be_fingerprinted():
    everything = library().fingerprints(library().all_functions())
    assert len(everything) > 1000
    assert library().changed(everything) == []


def test_notebook_cells_ignore_comments_and_injected_parameters_but_no_value():
    cells = ["x = 1  # one", "", "# Parameters\nx = 3\n", "%matplotlib inline"]
    same = ["x=1", "%matplotlib inline"]
    assert notebook_cells(cells) == notebook_cells(same)
    assert notebook_cells(["x = 2"]) != notebook_cells(["x = 1"])


# ---------------------------------------------------------------- a package of its own, for what is hard to see
@pytest.fixture
def changed(tmp_path):
    """Write a package, edit it: the names that have changed for what ``pkg.a:f`` ran."""

    def write(files: dict[str, str]) -> Definitions:
        for name, text in {"__init__.py": "", **files}.items():
            (tmp_path / "pkg").mkdir(exist_ok=True)
            (tmp_path / "pkg" / name).write_text(text)
        return Definitions(tmp_path / "pkg")

    def change(before: dict[str, str], after: dict[str, str], ran=("pkg.a:f",)) -> list[str]:
        trace = write(before).fingerprints(ran)
        return write(after).changed(trace)

    return change


def test_what_a_constant_is_made_with_at_import_counts(changed):
    text = "def g(x):\n    return h(x)\n\n\ndef h(x):\n    return x\n\n\nK = g(1)\n\n\ndef f():\n    return K\n"
    assert changed({"a.py": text}, {"a.py": text.replace("return x\n", "return x + 1\n")}) == [
        "pkg.a:h"
    ]


def test_another_function_of_the_same_name_counts(changed):
    same = {"b.py": "def score():\n    return 1\n", "c.py": "def score():\n    return 2\n"}
    text = "from pkg.b import score\n\n\ndef f():\n    return score()\n"
    assert changed({"a.py": text, **same}, {"a.py": text.replace("pkg.b", "pkg.c")}) == ["pkg.a:f"]


def test_another_function_of_another_library_under_the_same_alias_counts(changed):
    text = "from scipy.stats import spearmanr as corr\n\n\ndef f():\n    return corr([1], [2])\n"
    after = text.replace("spearmanr", "pearsonr")
    assert changed({"a.py": text}, {"a.py": after}) == ["pkg.a:f"]


def test_a_method_that_takes_the_place_of_an_inherited_one_counts(changed):
    text = "class B:\n    def m(self):\n        return 1\n\n\nclass C(B):\n    k = 1\n\n\ndef f():\n    return C().m()\n"
    after = text.replace("    k = 1\n", "    k = 1\n\n    def m(self):\n        return 2\n")
    assert changed({"a.py": text}, {"a.py": after}, ("pkg.a:f", "pkg.a:B.m")) == ["pkg.a:C:class"]
    more = text.replace("    k = 1\n", "    k = 1\n\n    def other(self):\n        return 2\n")
    assert changed({"a.py": text}, {"a.py": more}, ("pkg.a:f", "pkg.a:B.m")) == []


@pytest.mark.parametrize("step", ["K += 1", "if True:\n    K = 3", "for K in (4,):\n    pass"])
def test_a_constant_that_is_made_in_several_steps_counts(changed, step):
    text = "K = 1\n\n\ndef f():\n    return K\n"
    assert changed({"a.py": text}, {"a.py": f"K = 1\n{step}\n\n\ndef f():\n    return K\n"}) == [
        "pkg.a:K"
    ]
