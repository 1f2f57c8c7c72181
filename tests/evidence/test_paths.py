"""The project folder is ours or none; what a killed process left is no data."""

import os
import shutil
import subprocess
import sys

import pytest
import small

from xsim_lib.book import explorer, pages
from xsim_lib.evidence import graph, hashing, paths
from xsim_lib.evidence.records import Records, write_records
from xsim_lib.models import loading
from xsim_lib.study import freshness, standing
from xsim_lib.text import corpora
from xsim_lib.workflow import execution, publishing

NOBODY = 65534


def project(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "xsim"\n')
    return folder


@pytest.fixture
def owners(monkeypatch):
    """Path -> user number, as `os.stat` shall tell; all else keeps its owner."""
    found = {}
    stat = os.stat

    def told(path, *args, **kwargs):
        real = stat(path, *args, **kwargs)
        if str(path) not in found:
            return real
        return os.stat_result((*real[:4], found[str(path)], *real[5:10]))

    monkeypatch.setattr(paths.os, "stat", told)
    return found


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Be imported from a checkout in tmp_path/opt, or from ``site-packages`` if asked to; XSIM_HOME unset."""
    for variable in ("HOME", "BUILD", "CACHE", "NOTEBOOKS"):
        monkeypatch.delenv(f"XSIM_{variable}", raising=False)
    paths._tell_once.cache_clear()

    def pretend(checkout):
        folder = project(tmp_path / "opt") if checkout else tmp_path / "site-packages"
        monkeypatch.setattr(paths, "LIBRARY", folder / "xsim_lib")
        return folder

    return pretend


def stand(monkeypatch, folder):
    folder.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(folder)
    return folder


def test_a_clone_of_ones_own_wins_over_the_installed_checkout(tmp_path, monkeypatch, installed):
    installed(checkout=True)
    mine = project(tmp_path / "second")
    stand(monkeypatch, mine / "notebooks" / "anc2022")
    assert paths.root() == mine


@pytest.mark.parametrize("foreign", ["folder", "pyproject.toml", "both"])
def test_a_folder_of_somebody_elses_is_passed_over(
    tmp_path, monkeypatch, installed, owners, caplog, foreign
):
    checkout = installed(checkout=True)
    theirs = project(tmp_path / "srv")
    stand(monkeypatch, theirs / "home" / "me")
    owners |= {str(theirs): NOBODY} if foreign != "pyproject.toml" else {}
    owners |= {str(theirs / "pyproject.toml"): NOBODY} if foreign != "folder" else {}
    assert paths.root() == checkout
    assert paths.cache_dir() == checkout / "_build" / "cache"
    assert len(caplog.records) == 1  # said once, not at every question
    assert f"set XSIM_HOME={theirs}" in caplog.text
    mine = project(tmp_path / "srv" / "home")  # nearer or farther does not matter, but whose it is
    assert paths.root() == mine


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_without_a_checkout_a_foreign_folder_is_an_error_with_a_way_out(
    tmp_path, monkeypatch, installed
):
    installed(checkout=False)
    theirs = project(tmp_path / "srv")
    stand(monkeypatch, theirs / "home" / "me")
    assert paths.root() == theirs
    owner = theirs.owner()
    monkeypatch.setattr(paths.os, "getuid", lambda: os.stat(theirs).st_uid + 1)
    with pytest.raises(paths.ForeignFolderError) as caught:
        paths.root()
    message = str(caught.value)
    assert message.startswith(f"project folder: expected one of your own, got {str(theirs)!r}, wh")
    assert f"belongs to {owner}" in message
    assert f"XSIM_HOME={theirs}" in message
    assert "\n" not in message
    monkeypatch.setenv("XSIM_HOME", str(theirs))
    assert paths.root() == theirs


def test_a_working_directory_without_project_must_be_ours_too(
    tmp_path, monkeypatch, installed, owners
):
    """In /tmp anybody can lay out notebooks/ and _build/cache, without any pyproject.toml."""
    installed(checkout=False)
    here = stand(monkeypatch, tmp_path / "here")
    assert paths.root() == here
    (here / "notebooks").mkdir()
    (here / "notebooks" / "fig1.ipynb").write_text("{}")
    owners[str(here)] = NOBODY
    for ask in (
        paths.root,
        paths.cache_dir,
        lambda: execution.find_notebook("fig1"),
        graph.all_notebooks,
    ):
        with pytest.raises(ValueError, match="project folder: expected one of your own"):
            ask()


def test_the_installed_checkout_is_taken_whoever_owns_it(tmp_path, monkeypatch, installed, owners):
    """Its code is running already; an administrator's checkout, or a mounted one, has to work."""
    checkout = installed(checkout=True)
    owners |= {str(checkout): NOBODY, str(checkout / "pyproject.toml"): NOBODY}
    stand(monkeypatch, tmp_path / "elsewhere")
    assert paths.root() == checkout
    monkeypatch.chdir(checkout)
    assert paths.root() == checkout


@pytest.mark.parametrize("content", ["project = 3", 'name = "xsim"', "[project]\n", "\x00", "["])
def test_other_projects_on_the_way_up_are_no_error(tmp_path, monkeypatch, installed, content):
    checkout = installed(checkout=True)
    here = stand(monkeypatch, tmp_path / "other")
    (here / "pyproject.toml").write_text(content)
    assert paths.root() == checkout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path, monkeypatch, installed):
    checkout = installed(checkout=True)
    here = stand(monkeypatch, tmp_path / "trap")
    os.mkfifo(here / "pyproject.toml")
    assert paths.root() == checkout


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_the_command_answers_with_one_line(tmp_path, repository):
    """As in the review: a foreign project above, a notebook in it, `xsim run` below."""
    theirs = project(tmp_path / "walk")
    script = small.notebook(theirs, "anc2022/fig1", "open('ran', 'w')")
    assert script.is_file()
    script.with_suffix(".ipynb").write_text('{"cells": [], "metadata": {}}')
    here = theirs / "home"
    here.mkdir()
    shutil.copytree(repository / "xsim_lib", tmp_path / "site" / "xsim_lib")  # without its checkout
    code = (
        "import os; uid = os.getuid(); os.getuid = lambda: uid + 1\n"
        "import sys; sys.argv = ['xsim', 'run', 'anc2022/fig1']\n"
        "from xsim_lib.app.cli import main; main()"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XSIM_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env={**environment, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("xsim: project folder: expected one of your own, got")
    assert done.stderr.count("\n") == 1
    assert not list(theirs.rglob("ran"))
    assert not (theirs / "_build").exists()


# ---------------------------------------------------------------- what a killed process left
LEFT = ".{stem}.4242-0a1b2c3d.tmp{suffix}"


def leave(file):
    """What `kill -9` leaves while `file` is written: half a file beside it."""
    left = file.with_name(LEFT.format(stem=file.stem, suffix=file.suffix))
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"PAR1 half")
    return left


def measured(seed=0):
    row = {
        "model": "m",
        "metric": "anc",
        "layer": 0,
        "n_layers": 1,
        "value": 0.5,
        "pair_or_language": "en-fr",
    }
    return Records.of([row], paper="anc2022", item="fig4", profile="mini", seed=seed)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A project with one record, live, recorded and of a single seed, and a leftover beside each."""
    home = project(tmp_path / "home")
    monkeypatch.setenv("XSIM_HOME", str(home))
    monkeypatch.setenv("XSIM_BUILD", str(home / "_build"))
    live = home / "_build/mini/records/anc2022.fig4.parquet"
    recorded = home / "results/mini/anc2022.fig4.csv"
    single = home / "_build/mini/recording/measured/0/anc2022.fig4.parquet"
    made = {"data_hash": "d", "seeds": [0], "versions": {}, "seconds": 1.0}
    for file in (live, recorded, single):
        write_records(measured(), file, {**made, "id": "p", "parameters": {}, "created": "2026"})
        leave(file)
        leave(file.with_name(file.name + ".json"))
    return home


def test_leftovers_are_no_records(build, monkeypatch):
    assert len(standing.verdicts("mini"))
    states = {"mini": freshness.states("mini")}
    files = [file.name for _, file in explorer._sources("mini", states)]
    assert files == ["anc2022.fig4.parquet", "anc2022.fig4.csv"]
    assert "anc2022.fig4" in pages._recorded(states)
    pages._versions(paths.build_dir("mini"))
    found = publishing.recorded_parts("anc2022.fig4", "mini")
    assert [part.path.name for part in found] == ["anc2022.fig4.csv", "anc2022.fig4.parquet"]


def test_a_profile_with_nothing_but_a_leftover_has_no_records(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_HOME", str(tmp_path))
    leave(tmp_path / "results/real/anc2022.fig4.csv")
    assert freshness.states("real") == {}


def test_leftovers_are_no_notebooks(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_HOME", str(tmp_path))
    monkeypatch.delenv("XSIM_NOTEBOOKS", raising=False)
    script = small.notebook(tmp_path, "anc2022/fig1_x", "1")
    target = script.with_suffix(".ipynb")
    target.write_text('{"cells": []}')
    leave(target)
    leave(script)
    copy = script.parent / ".ipynb_checkpoints" / "fig1_x-checkpoint.ipynb"
    copy.parent.mkdir()
    copy.write_text('{"cells": []}')
    copy.with_suffix(".py").write_text("")
    assert [n.name for n in graph.all_notebooks()] == ["anc2022/fig1_x"]
    assert execution.find_notebook("anc2022/fig1") == target
    for asked in ("nothing", ".fig1"):
        with pytest.raises(ValueError, match=r"expected one of anc2022/fig1_x$"):
            execution.find_notebook(asked)
    with pytest.raises(ValueError, match=r"expected any of anc2022/fig1_x; got 'other'"):
        next(execution.sync(["other"]))


def test_leftovers_are_no_sentences_and_no_weights(tmp_path):
    for name in ("en.txt", "fr.txt"):
        (tmp_path / name).write_text("one\n")
        leave(tmp_path / name)
    assert corpora.plain(tmp_path).languages == ("en", "fr")
    weights = tmp_path / "model.safetensors"
    leave(weights)
    with pytest.raises(ValueError, match=r"no model\.safetensors in"):
        loading.require_safetensors(tmp_path)
    leave(tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"folder: no pytorch_model\.bin"):
        loading.convert_to_safetensors(tmp_path)


def test_only_names_below_the_folder_count_as_hidden(tmp_path):
    folder = tmp_path / ".cache" / "x"
    (folder / "a").mkdir(parents=True)
    (folder / ".b").mkdir()
    for name in ("1.csv", "a/2.csv", ".b/3.csv", ".4.csv"):
        (folder / name).touch()
    found = paths.visible(folder, "**/*.csv")
    assert [p.relative_to(folder).as_posix() for p in found] == ["1.csv", "a/2.csv"]
    assert paths.visible(tmp_path / "nowhere", "*.csv") == []


def test_everything_that_reads_what_it_finds_asks_visible(repository):
    """`Path.glob` alone is left where no data is read: hashes of source files, stamps of the workflow."""
    beside = {"paths.py": 1, "hashing.py": 1, "graph.py": 8, "definitions.py": 1, "chapters.py": 2}
    found = {}
    for file in sorted((repository / "xsim_lib").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if n := text.count(".glob(") + text.count(".rglob("):
            found[file.name] = n
    assert {k: n for k, n in found.items() if n > beside.get(k, 0)} == {}


# ---------------------------------------------------------------- sweeping
def dead():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leftovers(target, host=None):
    """Temporaries of `target`: of a dead and of a living process, here or on another machine."""
    host = hashing._host() if host is None else host
    names = [
        f".{target.stem}.{number}-{host}0a1b2c3d.tmp{target.suffix}"
        for number in (dead(), os.getppid())
    ]
    return [target.with_name(name) for name in names]


@pytest.mark.skipif(os.name != "posix", reason="processes cannot be asked here")
def test_temporaries_of_dead_processes_are_swept(tmp_path):
    target = tmp_path / "anc2022.fig1.parquet"
    gone, alive = leftovers(target)
    folder = leftovers(target)[0]
    folder.mkdir()
    (folder / "weights").write_text("w")
    other = leftovers(tmp_path / "anc2022.fig2.parquet")[0]
    named_alike = leftovers(tmp_path / "fig1.parquet")[0]
    kept = [alive, other, named_alike, tmp_path / ".anc2022.fig1.12.parquet"]
    for file in (gone, *kept):
        file.write_text("half")
    with hashing.atomic_write(target) as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([target, *kept])


def test_temporaries_of_other_machines_stay_for_a_week(tmp_path):
    """Several nodes write to one disk, and the number of a process means something on its own node only."""
    target = tmp_path / "state.pt"
    fresh, _ = leftovers(target, host="ffff" if hashing._host() != "ffff" else "0000")
    old, _ = leftovers(target, host="")  # of a version that did not name the machine
    for file in (fresh, old):
        file.write_text("half")
    os.utime(old, (0, 0))
    with hashing.atomic_write(target) as temporary:
        temporary.write_text("whole")
    assert sorted(tmp_path.iterdir()) == sorted([target, fresh])


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_a_killed_write_is_swept_by_the_next_one(tmp_path):
    code = (
        "import os, signal, sys; from xsim_lib.evidence.hashing import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    target = tmp_path / "r.csv"
    subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".r.")
    assert left.suffix == ".csv"
    assert paths.visible(tmp_path, "*.csv") == []
    with hashing.atomic_write(target) as temporary:
        temporary.write_text("whole")
    assert list(tmp_path.iterdir()) == [target]


def test_sweeping_never_stops_a_write(tmp_path, monkeypatch):
    target = tmp_path / "r.csv"
    gone, _ = leftovers(target)
    gone.write_text("half")
    refuse = PermissionError(1, "Operation not permitted")
    monkeypatch.setattr(hashing, "_remove", lambda path: (_ for _ in ()).throw(refuse))
    hashing._sweep(target)
    assert gone.is_file()
