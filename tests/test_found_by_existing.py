"""A paper, a claim and a corpus are found by existing: what is dropped in appears everywhere, what is gone is missed nowhere.

A copy of the project gets `tests/toy_paper`, laid over it as it stands, a claim and a corpus, and loses one of its papers.
It is then asked what a reader would ask, in a process of its own.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml

from xsim_lib.evidence import chapters, claims
from xsim_lib.evidence.graph import all_notebooks

TOY = Path(__file__).parent / "toy_paper"
PAPER, PAGE, CLAIM = "toy2026", "toy2026/fig1_layers", "toy2026.fig1.layers_are_alike"
MORE_CLAIM, GONE = "anc2022.fig4.toy_claim", "emerging2020"

# A claim: an entry of claims.yaml, and a function of claims.py.
ENTRY = """\
  - id: anc2022.fig4.toy_claim
    item: fig4
    where: fig4
    kind: reading
    statement: The correlation of two neurons is a number that is at most one.
    predicate: every ANC <= 1
    reported: digitised curves
    printed: {verdict: holds, detail: all below one}
    scale: {levels: [tiny_synthetic], note: by definition}
    needs: {data: [none], checkpoints: [none]}
"""
PREDICATE = '''

@predicate("anc2022.fig4.toy_claim")
def toy_claim(r: Records) -> Outcome:
    """Metric "anc": the largest value."""
    largest = r.select(metric="anc").frame["value"].max()
    return Outcome(largest <= 1, f"largest {largest:.3f}; at most 1")
'''

# A corpus: an entry of corpora.yaml, and a function of parallel.py.
DESCRIBED = """\
toy:
  folder: toy
  items: two sentences
  licence: none
  origin: this test
  languages: en fr
"""
FUNCTION = '''

def toy(languages: Sequence[str], n: int | None = None) -> ParallelCorpus:
    """Two sentences in any language."""
    sides = {code: [f"one in {code}", f"two in {code}"] for code in _languages(languages)}
    return _cut(ParallelCorpus("toy", sides), n)


PARALLEL["toy"] = toy
'''

ASK = """
import json, sys
from typer.testing import CliRunner
from xsim_lib.app import cli
from xsim_lib.book import assembly
from xsim_lib.evidence import claims, printed
from xsim_lib.evidence.graph import Graph
from xsim_lib.study import profiles
from xsim_lib.text import corpora

answers = {}
for command in json.loads(sys.argv[1]):
    done = CliRunner().invoke(cli.app, command.split(), env={"COLUMNS": "200"})
    answers[command] = done.output + str(done.exception or "")
for claim in json.loads(sys.argv[2]):
    numbers = printed.as_records(claim.partition(".")[0])
    answers[claim] = claims.predicate_of(claim)(numbers).measured
answers["pages"] = [*Graph("smoke").notebooks]
answers["papers"] = {profile: profiles.papers_at(profile) for profile in ("mini", "real")}
answers["corpus"] = corpora.load_pair("toy", "en-fr", 2)["fr"]
answers["book"] = str(assembly.assemble("smoke"))
with open("answers.json", "w", encoding="utf-8") as file:
    json.dump(answers, file)
"""


def asked(home: Path, *commands: str) -> dict:
    """What some commands print in a copy, and what its library says."""
    own = {"XSIM_HOME": str(home), "XSIM_BUILD": str(home / "_build"), "PYTHONPATH": str(home)}
    own |= {"XSIM_CACHE": str(home / "_build" / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(commands), json.dumps([CLAIM, MORE_CLAIM])],
        cwd=home,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((home / "answers.json").read_text(encoding="utf-8"))


def written(answers: dict, page: str) -> str:
    return (Path(answers["book"]) / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory, repository) -> Path:
    """The project without its results, as if a build had executed its pages at smoke."""
    home = tmp_path_factory.mktemp("changed") / "project"
    home.mkdir()
    for name in ("_config.yml", "_toc.yml", "pyproject.toml"):
        shutil.copy(repository / name, home / name)
    for name in ("book", "notebooks", "xsim_lib"):
        unneeded = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(repository / name, home / name, ignore=unneeded)
    take_away(home)
    drop_in(home)
    shutil.copytree(home / "notebooks", home / "_build" / "smoke" / "notebooks")
    return home


def take_away(home: Path) -> None:
    shutil.rmtree(home / "xsim_lib" / "papers" / GONE)
    shutil.rmtree(home / "notebooks" / GONE)
    (home / "book" / f"{GONE}.md").unlink()


def drop_in(home: Path) -> None:
    shutil.copytree(TOY, home, dirs_exist_ok=True)
    page = home / "notebooks" / f"{PAGE}.ipynb"
    notebook = jupytext.read(page.with_suffix(".py"))  # as `xsim sync`, which also executes it
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, page)
    papers, texts = home / "xsim_lib" / "papers", home / "xsim_lib" / "text" / "corpora"
    entries = papers / "anc2022" / "claims.yaml"
    text = entries.read_text(encoding="utf-8")
    entries.write_text(text.replace("\nclaims:\n", f"\nclaims:\n{ENTRY}", 1), encoding="utf-8")
    for file, more in (
        (papers / "anc2022" / "claims.py", PREDICATE),
        (texts / "corpora.yaml", DESCRIBED),
        (texts / "parallel.py", FUNCTION),
    ):
        file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")


@pytest.fixture(scope="module")
def answers(home) -> dict:
    judged = ("claims --profile smoke --write", "claims --profile smoke")
    return asked(home, *judged, "data", "compare --help")


def test_a_dropped_in_paper_is_in_the_book(answers):
    assert PAGE in answers["pages"]
    contents = yaml.safe_load(written(answers, "_toc.yml"))
    chapter = {"file": f"book/{PAPER}", "sections": [{"file": f"notebooks/{PAGE}"}]}
    assert contents["parts"][1]["chapters"][-1] == chapter
    assert f":::{{grid-item-card}} A toy paper\n:link: {PAPER}" in written(answers, "book/index.md")
    assert "alike for English and French" in written(answers, f"book/{PAPER}.md")
    assert f"## {PAPER}: A toy paper" in written(answers, "book/scoreboard.md")
    assert f"`/notebooks/{PAGE}`" in written(answers, "book/status.md")


@pytest.mark.parametrize(
    ("claim", "on_printed"),
    [(CLAIM, "ANC 0.400; at least 0.3"), (MORE_CLAIM, "largest 0.704; at most 1")],
)
def test_a_dropped_in_claim_is_judged_and_shown(answers, claim, on_printed):
    assert claim in answers["claims --profile smoke"]
    assert claim in written(answers, "book/scoreboard.md")
    assert answers[claim] == on_printed


def test_a_dropped_in_claim_is_shown_by_pages_that_are_not_executed_again(answers):
    statement = "The correlation of two neurons is a number that is at most one."
    assert statement in written(answers, "book/anc2022.md")
    assert statement in written(answers, "notebooks/anc2022/fig4_anc_normalisation.ipynb")


def test_a_paper_may_have_fewer_profiles_than_others(answers):
    assert set(answers["papers"]["mini"]) == {*chapters.names(), PAPER} - {GONE}
    assert set(answers["papers"]["real"]) == set(chapters.names()) - {GONE}


def test_a_dropped_in_corpus_is_listed_and_loaded(answers):
    assert "toy\n  languages: en fr\n" in answers["data"]
    assert ", toy, a TSV" in " ".join(answers["compare --help"].replace("│", " ").split())
    assert answers["corpus"] == ["one in fr", "two in fr"]


@pytest.mark.slow
def test_a_dropped_in_page_runs_and_the_explorer_draws_it(home):
    run, compare = f"run {PAPER}/fig1 --profile smoke", "compare nothing --corpus nothing"
    answers = asked(home, run, "claims --profile smoke --write", compare)
    assert answers[run].strip().endswith(f"{PAGE}.ipynb")
    page = written(answers, f"notebooks/{PAGE}.ipynb")
    assert "image/png" in page
    assert "alike for English and French" in page
    assert f'"item":"{PAPER}.fig1"' in written(answers, "extra/explorer/data.js")
    assert ", toy, a TSV file or a folder; got 'nothing'" in answers[compare]


def test_without_a_paper_the_claims_of_the_others_are_judged(answers):
    judged = answers["claims --profile smoke"]
    assert GONE not in judged
    rest = sum(claim.paper != GONE for claim in claims.all_claims())
    assert judged.count("not_testable_here") == rest + 2  # the two that were dropped in


def test_without_a_paper_the_rest_of_the_book_is_put_together(answers):
    rest = {page.name for page in all_notebooks() if page.paper != GONE}
    assert set(answers["pages"]) == rest | {PAGE}
    for page in rest:
        assert f"file: notebooks/{page}\n" in written(answers, "_toc.yml")
    for page in ("_toc.yml", "book/index.md", "book/scoreboard.md", "book/status.md"):
        assert GONE not in written(answers, page), page
