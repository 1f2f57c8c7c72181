"""The command line: what it prints can be read by programs, and a mistake is one line."""

import io
import json
import subprocess
import sys

import nbformat
import pandas as pd
import pytest
from typer.testing import CliRunner

from xsim_lib.app import cli
from xsim_lib.evidence import claims
from xsim_lib.evidence.claims import VERDICT_COLUMNS
from xsim_lib.study import profiles
from xsim_lib.text import corpora


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_HOME", str(tmp_path))
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path / "_build"))
    monkeypatch.delenv("XSIM_DATA", raising=False)
    return tmp_path


def ask(*arguments):
    done = CliRunner().invoke(cli.app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(monkeypatch, capsys, *arguments):
    """The one line on stderr of a command that is refused with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["xsim", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


def test_models_prints_every_model_a_profile_needs_as_json():
    settings = profiles.paper_settings("anc2022", "smoke")
    one = json.loads(ask("models", "--profile", "smoke"))
    assert [m for m in one if m["paper"] == "anc2022"] == [
        {
            "paper": "anc2022",
            "model": name,
            "seed": seed,
            "groups": [g for g in settings.group_names if name in settings.group(g).models],
            "ships": False,
            "ahead": name in settings.ahead,
        }
        for seed in settings.seeds
        for name in settings.models
    ]


def test_claims_prints_the_verdict_of_every_claim_as_csv():
    table = pd.read_csv(io.StringIO(ask("claims", "--profile", "mini", "--csv")))
    assert tuple(table.columns) == VERDICT_COLUMNS
    assert table["claim"].tolist() == [claim.id for claim in claims.all_claims()]
    assert set(table["profile"]) == {"mini"}
    assert set(table["verdict"]) <= {"holds", "fails", "not_testable_here"}


def test_claims_without_csv_is_a_table_to_read():
    text = ask("claims", "--profile", "smoke")
    assert text.count("not_testable_here") == len(claims.all_claims())
    assert "," not in text.splitlines()[0]


def test_data_lists_every_corpus_with_its_licence():
    text = ask("data")
    for name in corpora.PARALLEL:
        assert name in text.splitlines()
    assert text.count("  licence: ") == len(corpora.describe())


def test_help_names_every_command():
    text = ask("--help")
    for command in ("run", "train", "models", "sweep", "claims", "record", "book", "sync", "data"):
        assert f" {command} " in text


def test_a_mistake_is_one_line_and_exit_code_2(home, monkeypatch, capsys):
    folder = home / "notebooks"
    folder.mkdir()
    cell = nbformat.v4.new_code_cell("profile = 'mini'", metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, folder / "show.ipynb")
    for arguments, message in (
        (["run", "nope"], "xsim: notebook: 'nope': no such notebook; expected one of show"),
        (["run", "show", "--set", "seed=1"], "xsim: parameter: show has profile; got 'seed'"),
        (["run", "show", "--profile", "tiny"], "xsim: profile: expected one of smoke, mini, real"),
        (["run", "show", "--set", "profile=tiny"], "xsim: profile: expected one of smoke"),
        (["run", "show", "--set", "seed"], "xsim: --set: expected parameter=value, got 'seed'"),
        (["models", "--profile", "tiny"], "xsim: profile: expected one of smoke, mini"),
        (["claims", "--profile", "tiny"], "xsim: profile: "),
        (["record", "nope", "--seed", "1"], "xsim: table: expected any of "),
        (["sync", "nope"], "xsim: notebook: "),
        (
            ["train", "bert", "--model", "a", "--seed", "1"],
            "xsim: paper: expected one of align2021",
        ),
        (
            ["train", "anc2022", "--profile", "tiny", "--model", "a", "--seed", "1"],
            "xsim: profile: expected one of smoke, mini",
        ),
    ):
        assert refused(monkeypatch, capsys, *arguments).startswith(message), arguments
    assert not list(home.rglob("*.failed.ipynb"))  # all refused before a kernel was started


def test_an_unknown_profile_of_a_paper_starts_no_notebook(home, monkeypatch, capsys):
    folder = home / "notebooks" / "anc2022"
    folder.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), folder / "fig4_show.ipynb")
    line = refused(monkeypatch, capsys, "run", "anc2022/fig4", "--profile", "tiny")
    assert line.startswith("xsim: profile: anc2022 has smoke, mini, real")
    assert line.endswith("got 'tiny'")
    assert not (home / "_build").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["nope"], "nope"), (["run"], "notebook"), (["models", "--profil", "smoke"], "--profil")],
)
def test_an_unknown_command_or_option_exits_with_2_and_no_traceback(
    arguments, named, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["xsim", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert named in err.lower()


def test_the_command_is_installed_and_its_help_is_quick_because_it_loads_no_torch():
    code = (
        "import sys; from xsim_lib.app import cli; sys.argv = ['xsim', '--help']\n"
        "try: cli.main()\nexcept SystemExit as stop: assert not stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "Execute one notebook" in done.stdout


def test_train_prints_the_history_and_where_the_checkpoint_is(home, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(home / "cache"))
    lines = ask(
        "train", "anc2022", "--profile", "smoke", "--model", "scale_post", "--seed", "1"
    ).splitlines()
    assert lines[0].split() == ["step", "tokens", "learning_rate", "training_loss", "loss"]
    assert [line.split()[0] for line in lines[1:4]] == ["4", "8", "12"]
    assert lines[4].startswith(str(home / "cache" / "zoo"))


def test_what_recorded_runs_set_are_parameters_that_the_notebooks_have(monkeypatch):
    """A name that no notebook knows would only be noticed hours into `make record`."""
    monkeypatch.delenv("XSIM_HOME")
    import papermill

    from xsim_lib.evidence import paths

    for paper in profiles.papers_with_settings():
        for profile in filter(lambda p: paper in profiles.papers_at(p), profiles.PROFILES):
            for name, wider in profiles.paper_settings(paper, profile).recorded.items():
                file = paths.root() / "notebooks" / paper / f"{name}.ipynb"
                assert set(wider) <= set(papermill.inspect_notebook(str(file)))
