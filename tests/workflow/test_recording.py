"""Recording: every seed is published when it is done, none is lost or mixed with others, and none is measured twice."""

import json
import multiprocessing
import random
import time

import numpy as np
import pytest

from xsim_lib.evidence import definitions, paths, records, tracing
from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.evidence.records import Records
from xsim_lib.indices.cka import linear_cka
from xsim_lib.study import profiles
from xsim_lib.workflow import execution, publishing, recording, recording_costs

FIG1, FIG2 = "anc2022/fig1_a", "parafac2023/fig2_b"
TABLES = ("anc2022.fig1", "parafac2023.fig2a", "parafac2023.fig2b")
forked = multiprocessing.get_context("fork")


def page_of(name):
    return recording.pages_of_tables(name)[0]


def write_page(home, name, *cells):
    cells = [{"cell_type": "code", "metadata": {}, "source": cell} for cell in cells]
    path = home / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": cells, "metadata": {}}), encoding="utf-8")
    return path


def code_of(path):
    return ["".join(c["source"]) for c in json.loads(path.read_text(encoding="utf-8"))["cells"]]


class Measuring:
    """Stands in for the execution of a page: measures something small, and writes what a run writes."""

    def __init__(self, home):
        self.log = home / "measured.log"
        self.text, self.seconds, self.pause, self.day = "t1", 10.0, 0.0, 28

    def __call__(self, name, given, *, output):
        page, (seed,) = page_of(name), given["seeds"]
        for item in page.items:
            time.sleep(self.pause)
            rng = np.random.default_rng(seed)
            with tracing.traced() as trace:
                values = [
                    linear_cka(rng.normal(size=(9, 3)), rng.normal(size=(9, 3))) for _ in "ab"
                ]
            rows = [
                {"metric": "cka", "layer": k, "n_layers": 1, "value": v}
                for k, v in enumerate(values)
            ]
            paper, _, figure = item.partition(".")
            measured = Records.of(
                rows, paper=paper, item=figure, profile=given["profile"], seed=seed, model="m"
            )
            records.write_records(
                measured, self.folder() / f"{item}.parquet", self.made(page, item, given, trace)
            )
        with self.log.open("a") as log:
            log.write(f"{name} {seed}\n")

    def folder(self):
        return paths.records_dir("mini")

    def made(self, page, item, given, trace):
        (seed,) = given["seeds"]
        given = dict(given)
        parameters = {"item": item, "group": "schemes", "profile": given.pop("profile")}
        parameters |= {"seeds": [seed], "page": given}
        return {
            "id": stable_hash([item, seed])[:12],
            "created": f"2026-11-{self.day}T12:00:{seed:02d}+00:00",
            "seeds": [seed],
            "profile": parameters["profile"],
            "parameters": parameters,
            "settings": profiles.resolved(parameters),
            "cells": definitions.notebook_cells(code_of(page.path)),
            "trace": trace.fingerprints(),
            "text": {"en-fr": self.text, f"training of m/{seed}": f"text of {seed}"},
            "weights": {f"m/{seed}": f"weights of {seed}"},
            "machine": {"cpu": "AVX512" if seed % 2 else "AVX2", "blas": "openblas"},
            "commit": "abc1234",
            "seconds": self.seconds,
        }

    @property
    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A project with two small pages, one of which makes two tables."""
    home = tmp_path / "my project"
    write_page(home, FIG1, "profile = 'mini'", "run = xsim.start('anc2022.fig1')")
    write_page(home, FIG2, "xsim.start('parafac2023.fig2a')", "xsim.start('parafac2023.fig2b')")
    (home / "pyproject.toml").write_text('[project]\nname = "xsim"\n', encoding="utf-8")
    monkeypatch.setenv("XSIM_HOME", str(home))
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path / "build"))
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "cache"))
    return home


@pytest.fixture
def measuring(home, monkeypatch):
    measuring = Measuring(home)
    monkeypatch.setattr(execution, "execute", measuring)
    monkeypatch.setattr(definitions.library, "cache_clear", lambda: None)  # nobody edits code here
    return measuring


def record(seeds, tables=""):
    jobs = recording.unmeasured("mini", seeds, tables)
    return [line for job in jobs for line in recording.measure_seed(job, "mini")]


def published(table):
    """Text of a published table, and its provenance."""
    path = paths.results_dir("mini") / f"{table}.csv"
    return path.read_text(encoding="utf-8"), records.read_provenance(path)


def change(table, **says):
    """Make a published table one that was measured by something else."""
    path = paths.results_dir("mini") / f"{table}.csv"
    made = records.read_provenance(path) | says
    records.write_records(records.read_records(path), path, made)


# ---------------------------------------------------------------- every seed at once
def test_a_seed_is_published_when_it_is_done(measuring):
    lines = record([2])
    assert [line.partition(" (")[0] for line in lines] == [f"{table}, seed 2" for table in TABLES]
    assert lines[0].endswith("): results/mini holds seeds 2")
    assert records.read_records(paths.results_dir("mini") / "anc2022.fig1.csv").seeds == (2,)
    record([1, 2], "anc2022.fig1")
    table = records.read_records(paths.results_dir("mini") / "anc2022.fig1.csv")
    assert table.seeds == (1, 2)
    measured = records.read_records(
        publishing.recording_folder("mini") / "measured" / "1" / "anc2022.fig1.parquet"
    )
    assert table.select(seed=1).frame["value"].tolist() == pytest.approx(
        measured.frame["value"].tolist(), rel=1e-5
    )
    assert set(table.frame["provenance"]) == {published("anc2022.fig1")[1]["id"]}
    assert measuring.calls == [f"{FIG1} 2", f"{FIG2} 2", f"{FIG1} 1"], "nothing is measured twice"
    assert published("parafac2023.fig2a")[1]["seeds"] == [2], "the others were not asked for"


def test_seeds_come_in_one_order_whichever_is_done_first(measuring):
    record([3]), record([1]), record([2])
    there = {table: published(table)[0] for table in TABLES}
    for table in TABLES:
        (paths.results_dir("mini") / f"{table}.csv").unlink()
    record([1, 2, 3])
    assert there == {table: published(table)[0] for table in TABLES}
    assert len(measuring.calls) == 6, "the measurements were still there"


def test_every_seed_keeps_its_own_provenance(measuring):
    record([1, 2, 3])
    made = published("anc2022.fig1")[1]
    assert made["seeds"] == made["parameters"]["seeds"] == [1, 2, 3]
    assert made["seconds"] == 30
    assert made["commit"] == "abc1234", "the same for all stands on top"
    assert "commit" not in made["runs"]["2"]
    assert "machine" not in made, "two processors: no word on that of the table"
    assert [run["machine"]["cpu"] for run in made["runs"].values()] == ["AVX512", "AVX2", "AVX512"]
    assert made["weights"] == {f"m/{seed}": f"weights of {seed}" for seed in (1, 2, 3)}
    assert made["runs"]["2"]["weights"] == {"m/2": "weights of 2"}
    assert "xsim_lib.indices.cka:linear_cka" in made["trace"]
    assert len({run["trace"] for run in made["runs"].values()}) == 1, "of each seed, a digest"
    alone = publishing.runs(made)[2]
    assert (alone["commit"], alone["machine"]["cpu"], alone["seconds"]) == ("abc1234", "AVX2", 10)


def test_what_is_said_of_seeds_may_be_anything(tmp_path):
    """Checkpoints and whatever provenance will say some day: joined where it fits, kept per seed where it does not."""

    def part(seed, **says):
        made = {"id": f"id{seed}", "created": f"2026-01-0{seed}", "seeds": [seed], "parameters": {}}
        return publishing.RecordedPart(tmp_path, made | says, (seed,))

    first = part(1, checkpoints={"m/1": "zoo/a"}, threads=1, queue={"name": "gpu"}, note="warm")
    second = part(2, checkpoints={"m/2": "zoo/b"}, threads=1, queue={"name": "cpu"})
    both = publishing.together([second, first])
    assert both["checkpoints"] == {"m/1": "zoo/a", "m/2": "zoo/b"}
    assert both["threads"] == 1
    assert not {"queue", "note"} & set(both)
    assert both["runs"]["1"]["queue"] == {"name": "gpu"}
    assert both["seconds"] is None, "nobody knows how long the seeds took"
    third = part(3, threads=2)
    grown = publishing.together([publishing.RecordedPart(tmp_path, both, (1, 2)), third])
    assert grown == publishing.together([third, second, first]), "step by step as all at once"
    assert "threads" not in grown
    assert [run["threads"] for run in grown["runs"].values()] == [1, 1, 2]


# ---------------------------------------------------------------- whatever ends it
@pytest.mark.slow
def test_a_recording_killed_at_random_moments_ends_like_an_undisturbed_one(measuring, monkeypatch):
    seeds = range(1, 5)
    record(seeds)
    wanted = {table: published(table)[0] for table in TABLES}
    runs = {table: published(table)[1]["runs"] for table in TABLES}
    undisturbed = len(measuring.calls)
    home = paths.root()
    (home / "results").rename(home / "results before")
    monkeypatch.setenv("XSIM_BUILD", str(home / "another build"))
    measuring.log.unlink()
    measuring.pause = 0.005
    draw = random.Random(11)
    for _ in range(25):
        process = forked.Process(target=record, args=(seeds,))
        process.start()
        time.sleep(draw.uniform(0.1, 0.5))
        process.kill()
        process.join()
    left = len(recording.unmeasured("mini", seeds))
    record(seeds)
    assert {table: published(table)[0] for table in TABLES} == wanted
    assert {table: published(table)[1]["runs"] for table in TABLES} == runs
    assert len(set(measuring.calls)) >= undisturbed - left
    assert len(measuring.calls) <= undisturbed + 25, "a kill loses at most what was being measured"
    assert recording.unmeasured("mini", seeds) == []


def test_a_table_without_its_new_provenance_is_made_again_from_what_was_kept(
    measuring, monkeypatch
):
    """The one moment at which a published table is not whole: its seeds may be measured nowhere else."""
    record([1, 2])
    for part in publishing.recording_folder("mini").glob("measured/*/*.*"):
        part.unlink()  # they were measured elsewhere, and came with the repository
    before = published("anc2022.fig1")[0]

    with monkeypatch.context() as patch:
        # The measurement and its provenance, the table; not the provenance of that.
        patch.setattr(records, "atomic_write", _first(records.atomic_write, 3, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            record([3], "anc2022.fig1")
    path = paths.results_dir("mini") / "anc2022.fig1.csv"
    assert path.read_text() != before
    with pytest.raises(ValueError, match="the records are not those"):
        records.read_provenance(path)
    assert recording.unmeasured("mini", [1, 2, 3], "anc2022.fig1") == []
    assert (
        records.read_records(path).seeds
        == tuple(published("anc2022.fig1")[1]["seeds"])
        == (1, 2, 3)
    )
    assert len(measuring.calls) == 5


def test_jobs_that_end_at_the_same_time_lose_nothing(measuring):
    jobs = [forked.Process(target=record, args=([seed], "anc2022.fig1")) for seed in range(1, 7)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert published("anc2022.fig1")[1]["seeds"] == [1, 2, 3, 4, 5, 6]


# ---------------------------------------------------------------- never mixed
CHANGES = {
    "code": {"trace": {"xsim_lib.indices.cka:linear_cka": "another"}},
    "settings": {"settings": {"n_parallel": 7}},
    "page": {"cells": ["another"]},
    "parameters": {
        "parameters": {"item": "anc2022.fig1", "profile": "mini", "page": {"per_kind": 1}}
    },
}


@pytest.mark.parametrize("says", CHANGES.values(), ids=CHANGES)
def test_a_table_of_an_earlier_state_stays_until_as_many_seeds_are_measured(measuring, says):
    record([1, 2], "anc2022.fig1")
    change("anc2022.fig1", **says)
    for part in publishing.recording_folder("mini").glob("measured/*/*.*"):
        part.unlink()
    before = published("anc2022.fig1")
    (line,) = record([1], "anc2022.fig1")
    assert (
        "kept beside the 2 seeds of an earlier state in results/mini, until 2 are measured" in line
    )
    assert published("anc2022.fig1") == before
    record([1, 2], "anc2022.fig1")
    assert published("anc2022.fig1")[1]["seeds"] == [1, 2]
    assert published("anc2022.fig1")[1] != before[1]
    (kept,) = publishing.recording_folder("mini").glob("replaced/*/mini/anc2022.fig1.csv")
    assert kept.read_text() == before[0]
    assert records.read_provenance(kept) == before[1]
    assert measuring.calls == [f"{FIG1} {seed}" for seed in (1, 2, 1, 2)]


def test_a_table_from_before_tables_said_what_they_depend_on_is_not_added_to(measuring):
    record([1, 2], "anc2022.fig1")
    path = paths.results_dir("mini") / "anc2022.fig1.csv"
    made = records.read_provenance(path)
    made["parameters"].pop("page")
    old = {k: v for k, v in made.items() if k not in ("cells", "runs", "settings", "trace", "text")}
    records.write_records(records.read_records(path), path, old)
    for part in publishing.recording_folder("mini").glob("measured/*/*.*"):
        part.unlink()
    assert [job.seed for job in recording.unmeasured("mini", [1, 2, 3], FIG1)] == [1, 2, 3]
    # Until it is verified: then its seeds count, and others may join them.
    check = {name: made[name] for name in ("cells", "settings", "trace")} | {"outcome": "repeated"}
    records.write_records(records.read_records(path), path, old | {"checks": [check]})
    assert [job.seed for job in recording.unmeasured("mini", [1, 2, 3], FIG1)] == [3]
    record([1, 2, 3], "anc2022.fig1")
    made = published("anc2022.fig1")[1]
    assert made["seeds"] == [1, 2, 3]
    assert made["checks"] == [check]
    assert made["runs"]["1"]["seconds"] == 10


def test_a_table_that_was_contradicted_is_measured_again(measuring):
    """Its seeds lie in the folder of measurements, too, and must not come back from there."""
    record([1, 2], "anc2022.fig1")
    made = published("anc2022.fig1")[1]
    check = {name: made[name] for name in ("cells", "settings", "trace")}
    check |= {"outcome": "contradicted", "date": "2026-11-29T12:00:00+00:00"}
    change("anc2022.fig1", checks=[check])
    assert [job.seed for job in recording.unmeasured("mini", [1, 2], FIG1)] == [1, 2]
    assert published("anc2022.fig1")[1]["checks"] == [check], "and stays marked until then"
    measuring.day = 30
    record([1, 2], "anc2022.fig1")
    made = published("anc2022.fig1")[1]
    assert made["created"] > check["date"]
    assert "checks" not in made


def test_seeds_of_another_text_are_not_mixed(measuring):
    record([1, 2], "anc2022.fig1")
    measuring.text = "a new release of the corpus"
    (line,) = record([3], "anc2022.fig1")
    assert "kept beside the 2 seeds" in line
    assert [job.seed for job in recording.unmeasured("mini", [1, 2, 3], FIG1)] == [1, 2]
    record([1, 2, 3], "anc2022.fig1")
    made = published("anc2022.fig1")[1]
    assert made["seeds"] == [1, 2, 3]
    assert made["text"]["en-fr"] == measuring.text


def test_code_that_comes_back_brings_its_seeds_back(measuring):
    record([1, 2], "anc2022.fig1")
    before = published("anc2022.fig1")
    change("anc2022.fig1", **CHANGES["code"])
    assert recording.unmeasured("mini", [1, 2], "anc2022.fig1") == []
    assert published("anc2022.fig1") == before


# ---------------------------------------------------------------- what is recorded
def test_a_page_is_recorded_with_what_its_profile_says(monkeypatch):
    """A live build has no time for some languages; recording must not lose them."""
    monkeypatch.delenv("XSIM_HOME", raising=False)
    page = page_of("align2021.randominit")
    assert recording.parameters(page, "mini") == {"profile": "mini", "sources": ["en", "ru", "ar"]}
    assert recording.parameters(page_of("align2021.parsing"), "mini") == {"profile": "mini"}


def test_a_parameter_that_no_setting_knows_decides_what_counts_all_the_same(measuring, monkeypatch):
    """``per_kind`` of the page on little text stays within the page, and decides how many languages it starves."""
    record([1, 2], "anc2022.fig1")
    settings = profiles.paper_settings("anc2022", "mini")
    more = settings.model_copy(update={"recorded": {"fig1_a": {"per_kind": 2}}})
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "paper_settings", lambda *a, **k: more)
        record([1], "anc2022.fig1")
        assert published("anc2022.fig1")[1]["parameters"]["page"] == {}
        record([2], "anc2022.fig1")
        assert published("anc2022.fig1")[1]["parameters"]["page"] == {"per_kind": 2}
    assert len(measuring.calls) == 4
    record([1, 2], "anc2022.fig1")
    assert published("anc2022.fig1")[1]["parameters"]["page"] == {}
    assert len(measuring.calls) == 4, "the first table was kept"


def test_only_tables_that_a_claim_is_about_are_recorded_unless_named(home):
    assert [page.name for page in recording.pages_of_tables()] == [FIG1, FIG2]
    write_page(home, "anc2022/paper_versus_code", "xsim.start('anc2022.code')")
    assert [page.name for page in recording.pages_of_tables()] == [FIG1, FIG2]
    assert [page.name for page in recording.pages_of_tables("anc2022.code")] == [
        "anc2022/paper_versus_code"
    ]
    names = [page.name for page in recording.pages_of_tables(f"{FIG1}, parafac2023.fig2b")]
    assert names == [FIG1, FIG2]
    with pytest.raises(ValueError, match=r"table: expected any of .*anc2022\.fig1.*; got 'fig1'"):
        recording.pages_of_tables("anc2022.fig1 fig1")


def test_the_cost_is_what_it_was_before(measuring):
    seeds = [1, 2, 3]
    lines = list(recording_costs.outlook(recording.unmeasured("mini", seeds), "mini", 2))
    assert lines[0] == f"{FIG1}, seeds 1, 2, 3: unknown"
    assert lines[-1].startswith("6 measurements (6 of unknown cost, left out), ")
    assert lines[-1].endswith("to train before: unknown with 2 at a time")
    measuring.seconds = 60
    record([1], "anc2022.fig1")
    lines = list(recording_costs.outlook(recording.unmeasured("mini", seeds), "mini", 2))
    assert lines[0] == f"{FIG1}, seeds 2, 3: about 60 s a seed"
    assert lines[-1].startswith("5 measurements (3 of unknown cost, left out), ")
    assert lines[-1].endswith("about 60 s with 2 at a time")


def test_the_cost_counts_the_training_that_is_left(home):
    """A model is there, was there for another seed, or nobody knows how long it takes."""
    settings = profiles.paper_settings("anc2022", "mini")
    spec = settings.spec("scale_post", 1).model_dump(mode="json")
    made = {"parameters": {**spec, "n_parameters": 9}, "seconds": 120.0, "trace": {}}
    folder = paths.cache_dir() / "zoo" / "a"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text(json.dumps(made))
    count = len(settings.trained)
    first, second = (
        list(recording_costs.outlook(recording.unmeasured("mini", [seed], FIG1), "mini", 1))[-1]
        for seed in (1, 2)
    )
    assert f"{count - 1} models ({count - 1} of unknown cost" in first
    assert f"{count} models ({count - 1} of unknown cost" in second
    assert "about 2 min" in second


def _first(function, calls, error):
    """The function for so many calls; then it fails."""
    counted = iter(range(calls))

    def limited(*args):
        if next(counted, None) is None:
            raise error
        return function(*args)

    return limited
