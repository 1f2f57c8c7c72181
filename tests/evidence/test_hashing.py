"""Hashes ignore what cannot change a number, and writing is all or nothing."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydantic
import pytest

from xsim_lib.evidence import paths
from xsim_lib.evidence.hashing import atomic_write, file_sha256, stable_hash


class Spec(pydantic.BaseModel):
    norm: str
    layers: tuple[int, ...]


@dataclasses.dataclass
class Plain:
    norm: str
    layers: list[int]


def test_stable_hash_depends_on_content_only():
    wanted = stable_hash({"norm": "pre", "layers": [1, 2]})
    assert stable_hash({"layers": (1, 2), "norm": "pre"}) == wanted
    assert stable_hash(Spec(norm="pre", layers=(1, 2))) == wanted
    assert stable_hash(Plain("pre", [1, 2])) == wanted
    assert stable_hash({"norm": "pre", "layers": np.array([1, 2])}) == wanted
    assert stable_hash({3, 1, 2}) == stable_hash([1, 2, 3])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, "1"),
        (1, 1.0),
        (True, 1),
        (None, "None"),
        ({1: 0}, {"1": 0}),
        ([1, [2]], [1, 2]),
        (0, ""),
    ],
)
def test_stable_hash_tells_apart_what_differs(one, two):
    assert stable_hash(one) != stable_hash(two)


def test_stable_hash_is_the_same_in_another_process():
    code = "from xsim_lib.evidence.hashing import stable_hash; print(stable_hash({'b': {2, 1}, 'a': 0.1}))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.strip() == stable_hash({"a": 0.1, "b": {1, 2}})


def test_stable_hash_names_the_place_of_what_it_cannot_hash():
    with pytest.raises(TypeError, match=r"obj\['a'\]\[1\]: cannot hash a function"):
        stable_hash({"a": [1, test_stable_hash_depends_on_content_only]})
    with pytest.raises(TypeError, match="tuple cannot be a dictionary key"):
        stable_hash({(1, 2): 3})


def test_file_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "abc") == expected


def test_atomic_write_makes_folders_and_keeps_the_suffix(tmp_path):
    path = tmp_path / "new" / "numbers.csv"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("1")
        assert not path.exists()
    assert path.read_text() == "1"
    assert list(path.parent.iterdir()) == [path]


def _fail_halfway(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("halfway")


def test_crash_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="halfway"):
        _fail_halfway(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_of_a_folder_appears_whole(tmp_path):
    path = tmp_path / "checkpoint"
    with atomic_write(path) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("w")
        assert not path.exists()
    assert [p.name for p in path.iterdir()] == ["weights"]


def test_atomic_write_without_a_write_is_an_error(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"numbers\.csv: nothing was written"),
        atomic_write(tmp_path / "numbers.csv"),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.fixture
def project(tmp_path, monkeypatch):
    for variable in ("HOME", "BUILD", "CACHE", "DATA", "DOWNLOADS"):
        monkeypatch.delenv(f"XSIM_{variable}", raising=False)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "xsim"\n')
    inner = tmp_path / "_build" / "mini" / "notebooks"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text("not [ toml")
    monkeypatch.chdir(inner)
    return tmp_path


def test_root_is_the_nearest_project_called_xsim(project):
    assert paths.root() == project
    assert paths.build_dir("mini") == project / "_build" / "mini"
    assert paths.cache_dir() == project / "_build" / "cache"
    assert paths.results_dir("real") == project / "results" / "real"
    assert paths.download_dir() == project / "_build" / "cache" / "downloads"
    assert paths.data_dir() is None


def test_environment_overrides_every_folder(project, monkeypatch):
    other = project / "elsewhere"
    other.mkdir()
    monkeypatch.setenv("XSIM_HOME", str(other))
    assert paths.results_dir("mini") == other / "results" / "mini"
    monkeypatch.setenv("XSIM_BUILD", str(project / "b"))
    monkeypatch.setenv("XSIM_CACHE", str(project / "c"))
    monkeypatch.setenv("XSIM_DATA", str(other))
    assert paths.build_dir("mini") == project / "b" / "mini"
    assert paths.download_dir() == project / "c" / "downloads"
    assert paths.data_dir() == other


def test_asking_for_a_folder_does_not_make_it(project):
    paths.cache_dir(), paths.download_dir(), paths.build_dir("real"), paths.results_dir("real")
    assert sorted(p.name for p in project.iterdir()) == ["_build", "pyproject.toml"]
    assert [p.name for p in (project / "_build").iterdir()] == ["mini"]


@pytest.mark.parametrize("variable", ["XSIM_DATA", "XSIM_HOME"])
def test_a_folder_that_does_not_exist_is_an_error_naming_the_variable(
    project, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(project / "absent"))
    with pytest.raises(
        FileNotFoundError, match=rf"{variable}: expected an existing folder.*absent"
    ):
        paths.data_dir() if variable == "XSIM_DATA" else paths.root()


@pytest.mark.parametrize("profile", ["", "a/b", "..", 3])
def test_profile_must_be_one_plain_folder_name(project, profile):
    with pytest.raises(ValueError, match="profile: expected one plain folder name"):
        paths.results_dir(profile)
