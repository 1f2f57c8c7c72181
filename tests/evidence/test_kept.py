"""The cache: once per key, never by code that says something else today, never half of anything."""

import json

import numpy as np
import pytest

from xsim_lib.evidence import cache as kept
from xsim_lib.evidence.definitions import Definitions
from xsim_lib.evidence.records import paper_layers


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    return tmp_path


class Counted:
    """Makes rows, and counts how often."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return [{"layers": paper_layers(12, 3), "time": self.times}]


def test_work_is_done_once_per_key():
    make = Counted()
    first = kept.cached_rows("rows", {"a": 1}, make)
    assert kept.cached_rows("rows", {"a": 1}, make) == first
    kept.cached_rows("rows", {"a": 2}, make)
    assert make.times == 2


def test_work_of_code_that_says_something_else_today_is_done_again(monkeypatch):
    make = Counted()
    kept.cached_rows("rows", {"a": 1}, make)
    monkeypatch.setattr(
        Definitions, "changed", lambda self, trace: ["xsim_lib.evidence.records:paper_layers"]
    )
    assert kept.cached_rows("rows", {"a": 1}, make)[0]["time"] == 2


def test_an_entry_without_its_trace_does_not_count(cache):
    """A kill between the two files leaves just that."""
    make = Counted()
    kept.cached_rows("rows", {"a": 1}, make)
    (trace,) = cache.glob("rows/*.trace.json")
    assert "xsim_lib.evidence.records:paper_layers" in json.loads(trace.read_text())
    trace.unlink()
    kept.cached_rows("rows", {"a": 1}, make)
    assert make.times == 2


def test_work_that_fails_leaves_nothing(cache):
    with pytest.raises(RuntimeError, match="no"):
        kept.cached_rows("rows", {"a": 1}, lambda: (_ for _ in ()).throw(RuntimeError("no")))
    assert not [f for f in cache.glob("rows/*") if f.suffix != ".lock"]


def test_arrays_and_folders_come_back_as_they_were_made():
    found = kept.cached_arrays("arrays", {"a": 1}, lambda: {"x": np.arange(3), "name": "one"})
    assert found["x"].tolist() == [0, 1, 2]
    assert str(found["name"]) == "one"

    def fill(folder):
        folder.mkdir()
        (folder / "file").write_text("there")

    assert (kept.cached_folder("folders", {"a": 1}, fill) / "file").read_text() == "there"
