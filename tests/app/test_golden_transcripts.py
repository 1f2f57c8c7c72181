"""The commands of the README do what they did: exit code, files written, and the shape of what they print.

Each runs as a reader would run it, in a process of its own, in a folder that looks like a fresh checkout:
the notebooks and the Makefile, but no results, so that no verdict depends on whether recorded tables are
stale. Numbers, hashes and the name of the folder are masked; words, columns and the order of lines are not.

Left out, because they take minutes: `make book`, `make record`, `make test` and `make notebook` (which
trains all models of a chapter); the tests of the workflow and of the book run their parts.

A change that is wanted, of one transcript:

    python -m pytest tests/app/test_golden_transcripts.py --update-golden -k compare

and a line in CHANGELOG.md with its reason.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import small

from xsim_lib.models import loading
from xsim_lib.text.sources import Artificial

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LANGUAGES = ("en", "fr", "et")


def _line(start):
    """The line of the README that begins so."""
    return re.search(rf"^{start}.*", README, flags=re.M)[0]


MODEL, CORPUS = "path/to/model", "mine.tsv"  # as the README's example in Python calls them
SNIPPET = re.search(r"```python\n(.*?)```", README, flags=re.S)[1] + (
    "print(*table.columns)\n"
    "print(table[['pair_or_language', 'metric', 'baseline']].drop_duplicates().to_string(index=False))\n"
)
COMMANDS = {
    "papermill": _line("papermill ").replace("-p profile mini", "-p profile smoke"),
    "compare": _line("xsim compare ").replace("xlm-roberta-base", MODEL).replace("tatoeba", CORPUS),
    "from_python": "python snippet.py",
    "data": "xsim data",
    "claims": "xsim claims",
    "xsim_help": "xsim --help",
    "make_help": "make help",
    "unknown_profile": "xsim run anc2022/fig1 --profile tiny",
    "unknown_parameter": "xsim run anc2022/fig1 --profile smoke --set seed=3",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A reader's folder: the parts of the project that commands look for, a tiny model and a small text."""
    folder = tmp_path_factory.mktemp("checkout").resolve()
    for name in ("Makefile", "notebooks", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    with loading.quiet_transformers():
        small.masked_lm(seed=1).save_pretrained(folder / MODEL)
        small.tokenizer().save_pretrained(folder / MODEL)
    family = Artificial(languages=LANGUAGES, sentences=1).family
    rows = zip(*family.parallel(60, languages=LANGUAGES, seed=1).sentences.values(), strict=True)
    lines = ["\t".join(row) for row in (LANGUAGES, *rows)]
    (folder / CORPUS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "snippet.py").write_text(SNIPPET, encoding="utf-8")
    return folder


def _transcript(command, folder):
    before = _files(folder)
    done = subprocess.run(
        command, shell=True, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    written = Counter(_masked(name) for name in _files(folder) - before)
    parts = {
        "files written": [f"{n} x {name}" for name, n in sorted(written.items())],
        "standard output": _shape(done.stdout, folder),
        "standard error": _shape(done.stderr, folder),
    }
    text = "".join(f"\n[{part}]\n" + "".join(f"{x}\n" for x in parts[part]) for part in parts)
    return f"$ {command}\nexit code {done.returncode}\n{text}"


def _environment():
    """Only what a command needs: neither the terminal nor the `make test` around it decides what is printed."""
    kept = ("HOME", "LD_LIBRARY_PATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "COLUMNS": "100",
    }


def _files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


PROGRESS = re.compile(r"[^\r\n]*?\d+%\|[^|]*\|[^\]\r\n]*\]")
# Said by other processes or only once per machine, so neither its place nor its presence is certain.
CHANCE = re.compile(r"\[IPKernelApp\]|font cache")
HASH = re.compile(r"\b[0-9a-f]{12,64}\b")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?(?!\.?\w)")


def _shape(text, folder):
    """The lines of a text without what differs between two runs, machines or versions."""
    lines = PROGRESS.sub("", text.replace(str(folder), "HERE")).splitlines()
    masked = (" ".join(_masked(line).split()) for line in lines if not CHANCE.search(line))
    return [line for line in masked if line]


def _masked(text):
    return NUMBER.sub("#", HASH.sub("HASH", text))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_writes_and_prints_what_it_did(name, checkout, golden):
    now = _transcript(COMMANDS[name], checkout)
    assert now == golden(f"transcripts/{name}.txt", now), (
        "If this should change: add a line with the reason to CHANGELOG.md and run "
        f"`python -m pytest tests/app/test_golden_transcripts.py --update-golden -k {name}`"
    )


def test_every_transcript_belongs_to_a_command():
    kept = (ROOT / "tests" / "golden" / "transcripts").iterdir()
    assert {path.name for path in kept} == {f"{name}.txt" for name in COMMANDS}


def test_what_differs_between_two_runs_is_masked_and_what_is_said_is_not():
    said = "a: 50%|##  | 3/6 [00:01<00:02]\rb  1-5 of 12: -0.25, 9.7e+09 \n\n/x/out 0a1b2c3d4e5f 3.11.4 anc2022 4.5B."
    assert _shape(said, "/x") == ["b #-# of #: #, #", "HERE/out HASH # anc2022 4.5B."]
