"""`xsim compare`: what it writes and says, what it refuses, and that kills and ranks change nothing."""

import base64
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import small
import torch
from transformers import BertConfig, BertForMaskedLM, XLMRobertaConfig, XLMRobertaForMaskedLM

from xsim_lib.app import cli, comparing, report
from xsim_lib.evidence import records
from xsim_lib.indices.intervals import share_interval
from xsim_lib.models import loading
from xsim_lib.reading.comparison import compare
from xsim_lib.reading.sentences import encode
from xsim_lib.text.sources import Artificial

N, POSITIONS = 60, 128
FEW = ("--blocks", "10")


def _sizes():
    tokenizer = small.tokenizer()
    ends = {"pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": POSITIONS}
    return {**small.ENCODER, **ends, "vocab_size": len(tokenizer)}


BUILD = {
    "ours": lambda: small.masked_lm(seed=1),  # an untrained copy has seed 0
    "bert": lambda: BertForMaskedLM(BertConfig(**_sizes())),
    "xlm-roberta": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**_sizes())),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Save a tiny checkpoint of one architecture, once."""
    root, made = tmp_path_factory.mktemp("checkpoints"), {}

    def get(kind="ours"):
        if kind not in made:
            with torch.random.fork_rng(devices=[]), loading.quiet_transformers():
                torch.manual_seed(1)
                BUILD[kind]().save_pretrained(root / kind)
                small.tokenizer().save_pretrained(root / kind)
            made[kind] = root / kind
        return made[kind]

    return get


@pytest.fixture(scope="module")
def text():
    family = Artificial(languages=("en", "fr", "et"), sentences=1).family
    return family.parallel(N, languages=["en", "fr", "et"], seed=1)


@pytest.fixture(scope="module")
def tsv(tmp_path_factory, text):
    return _write(tmp_path_factory.mktemp("own") / "mine.tsv", text.sentences)


def _write(path, sentences):
    lines = [
        "\t".join(sentences),
        *("\t".join(row) for row in zip(*sentences.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def xsim(monkeypatch, capsys):
    """Run the command in this process: exit code, standard output, standard error."""
    # The variable itself was read when the hub's client was imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xsim", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        done = capsys.readouterr()
        return end.value.code, done.out, done.err

    return run


def _values(found):
    frame = (found if isinstance(found, records.Records) else records.read_records(found)).frame
    key = ["pair_or_language", "metric", "layer", "baseline", "variant"]
    frame = frame.astype({"layer": int, "value": float, "lower": float, "upper": float})
    return frame.set_index(key)[["value", "lower", "upper"]].sort_index()


# ---------------------------------------------------------------- what comes out
def test_the_command_of_the_book_writes_what_compare_returns(xsim, checkpoint, tsv, text, tmp_path):
    out = tmp_path / "made" / "here"
    code, printed, said = xsim(
        "compare", checkpoint(), "--corpus", tsv, "--pairs", "en-fr", "en-et",
        "--index", "anc", "cka", "matching", "svcca", "--pooling", "mean", "--out", out, *FEW,
    )  # fmt: skip
    assert code == 0, said
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.png", "records.parquet", "records.parquet.json", "report.html",
    ]  # fmt: skip
    frame = compare(
        loading.load(checkpoint()), dict.fromkeys(("en-fr", "en-et"), text),
        indices=("anc", "cka", "matching", "svcca"), blocks=10, progress=False,
    )  # fmt: skip
    expected = _values(records.Records.of(frame, paper="-", item="-", profile="-", seed=0))
    got = _values(out / "records.parquet")
    assert got.index.equals(expected.index)
    of_hits = got.index.get_level_values("metric") == "matching"
    pd.testing.assert_frame_equal(got[~of_hits], expected[~of_hits], check_exact=True)
    np.testing.assert_array_equal(got["value"], expected["value"])

    best = got.loc[("en-et", "anc")].xs("", level="baseline")["value"].droplevel("variant")
    (row,) = [line.split() for line in printed.splitlines() if line.split()[:2] == ["en-et", "anc"]]
    assert row[2:4] == [str(best.idxmax()), f"{best.max():.3f}"]
    assert "untrained" in printed
    assert "shuffled" in printed


def test_the_interval_of_matching_is_that_of_its_share_of_hits():
    rows = {"metric": "matching", "baseline": ["", "shuffled"], "value": 0.3, "n": 200}
    frame = pd.DataFrame({**rows, "lower": None, "upper": None})
    low, high = report.with_matching_intervals(frame).loc[0, ["lower", "upper"]]
    assert [low, high] == [*share_interval(60, 200)[1:]]
    assert report.with_matching_intervals(frame).loc[1, ["lower", "upper"]].isna().all()


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_public_architectures_csv_and_lower_precision(xsim, checkpoint, tsv, tmp_path, kind):
    found = {}
    for dtype in ("float32", "bfloat16"):
        code, _, said = xsim(
            "compare", checkpoint(kind), "--corpus", tsv, "--pairs=en-fr", "--index=anc",
            "--baselines", "none", "--dtype", dtype, "--format", "csv", "--out", tmp_path / dtype, *FEW,
        )  # fmt: skip
        assert code == 0, said
        found[dtype] = _values(tmp_path / dtype / "records.csv")
    difference = (found["float32"] - found["bfloat16"])["value"].abs().max()
    assert 0 < difference < 0.05
    page = (tmp_path / "bfloat16" / "report.html").read_text(encoding="utf-8")
    stated = re.search(
        rf"bfloat16: on the first {N} sentences .* float32 .* is anc ([\d.e-]+)", page
    )
    assert float(stated[1]) == pytest.approx(difference, rel=0.1)
    assert "from float32" not in (tmp_path / "float32" / "report.html").read_text(encoding="utf-8")


def test_the_report_is_one_file_that_says_how_it_was_made(xsim, checkpoint, text, tmp_path):
    long = {k: ["a " * 90, *v[1:]] if k == "en" else v for k, v in text.sentences.items()}
    file = _write(tmp_path / "with <long> & short.tsv", long)
    code, printed, said = xsim(
        "compare", checkpoint(), "--corpus", file, "--truncate", 40, "--out", tmp_path / "out", *FEW
    )
    assert code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)\s*=\s*"(?!data:)', page)
    image = base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', page)[1])
    assert image == (tmp_path / "out" / "curves.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    made = records.read_provenance(tmp_path / "out" / "records.parquet")
    tokens = [len(ids) for ids in small.tokenizer()(list(long["en"]))["input_ids"]]
    cut = sum(n > 40 for n in tokens)
    assert 0 < cut < N
    for piece in (
        f"{cut} of {N} sentences of en were cut to 40 tokens", "fresh random weights",
        "every sentence paired with some other sentence", "equal length", made["id"],
        next(iter(made["weights"].values()))[:16], "xsim compare", "--truncate 40", "with &lt;long&gt; &amp; short",
    ):  # fmt: skip
        assert piece in page, piece
    assert "<long>" not in page
    assert f"{cut} of {N} sentences of en were cut" in said
    assert {"en-fr", "en-et"} == set(
        records.read_records(tmp_path / "out" / "records.parquet").unique("pair_or_language")
    )
    for line in printed.splitlines()[1:3]:
        assert all(f"<td>{cell}</td>" in page for cell in line.split()[:4])


def test_an_undefined_index_is_reported_not_recorded():
    frame = pd.DataFrame(
        {"pair_or_language": "en-fr", "metric": "cka", "baseline": "", "layer": range(3)}
    ).assign(value=[0.5, np.nan, 0.7])
    kept, (note,) = report.finite(frame)
    assert kept["layer"].tolist() == [0, 2]
    assert "en-fr: cka is undefined at layer(s) 1" in note


@pytest.mark.parametrize(
    "typed",
    [
        ["--pairs", "en-fr", "en-et", "--index", "anc", "cka", "--n", "5", "-"],
        ["--n=5", "--index", "anc,cka", "--pairs", "en-fr,", "en-et", "--seed", "0", "-"],
        ["--pairs", "en-fr", "--index=anc", "cka", "--pairs=en-et", "--n", "5", "-"],
        ["-", "--pairs=en-fr,en-et", "--n", "5", "--index", "anc", "--index", "cka"],
    ],
)
def test_lists_may_be_written_in_every_usual_way(xsim, monkeypatch, typed):
    seen = []
    monkeypatch.setattr(comparing, "write_comparison", seen.append)
    at = typed.index("-")
    model = ["some-model"]
    arguments = model + typed[:at] if at else model + typed[1:]
    assert xsim("compare", *arguments, "--corpus", "pud")[0] == 0
    assert (seen[0].model, seen[0].corpus, seen[0].n) == ("some-model", "pud", 5)
    assert seen[0].pairs == ("en-fr", "en-et")
    assert seen[0].indices == ("anc", "cka")


# ---------------------------------------------------------------- what is refused
def _folder(tmp_path, **files):
    for name, lines in files.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


LINES = ["a b", "b c", "c d"] * 20
REFUSED = {
    "unknown model": (["--model", "nobody/nothing"], r"no folder and no model .*nobody/nothing"),
    "missing language": (["--pairs", "en-xx"], r"mine has en, fr, et; got 'xx'"),
    "no pair": (["--pairs", "en"], r"pairs: expected two languages like 'en-fr', got 'en'"),
    "language of a corpus": (["--corpus", "tatoeba", "--pairs", "en-xx"], r"tatoeba has .*got 'xx'"),
    "pairs of a corpus": (["--corpus", "pud"], r"pairs: expected at least one pair of pud"),
    "unknown corpus": (["--corpus", "pudd"], r"corpus: expected xnli_extension, .*; got 'pudd'"),
    "unknown index": (["--index", "ancc"], r"indices: expected any of anc, .*; got 'ancc'"),
    "unknown baseline": (["--baselines", "x"], r"baselines: expected any of .*; got 'x'"),
    "unknown pooling": (["--pooling", "max"], r"pooling: expected one of .*; got 'max'"),
    "unknown dtype": (["--dtype", "int8"], r"dtype: expected one of .*, got 'int8'"),
    "unknown device": (["--device", "tpu9"], r"device: expected .*, got 'tpu9'"),
    "unknown format": (["--format", "xls"], r"format: expected parquet or csv, got 'xls'"),
    "too many": (["--n", "61"], r"n: mine has 60 rows; expected 1..60, got 61"),
    "too few": (["--n", "30"], r"expected at least 40 sentences in en-fr, got 30"),
    "truncate": (["--truncate", "999"], r"truncate: expected 3 to 128 tokens for ours, got 999"),
    "memory of rows": (["--index", "matching", "--memory", "1e-5"], r"matching keeps every vector"),
    "memory of sums": (["--memory", "1e-6"], r"memory: the sums of 2 pair\(s\) at 3 layers x 16"),
    "unequal lines": (
        ["--corpus", lambda tmp: _folder(tmp, en=LINES, fr=LINES[:-2])],
        r"fr.txt: expected 60 lines like en.txt, got 58",
    ),
    "empty line": (
        ["--corpus", lambda tmp: _folder(tmp, en=LINES, fr=[*LINES[:6], "", *LINES[7:]])],
        r"fr.txt: line 7 is empty",
    ),
    "empty cell": (
        ["--corpus", lambda tmp: _write(tmp / "x.tsv", {"en": LINES, "fr": [*LINES[:-1], " "]})],
        r"x.tsv: line 61: fr is empty",
    ),
    "one language": (
        ["--corpus", lambda tmp: _write(tmp / "x.tsv", {"en": LINES})],
        r"at least two languages in .*x.tsv, got only 'en'",
    ),
    "long sentence": (
        ["--corpus", lambda tmp: _write(tmp / "x.tsv", {"en": LINES, "fr": [*LINES[:8], "z q " * 99, *LINES[9:]]})],
        r"parallel: fr: sentence 9 has \d{3} tokens, ours reads at most 128\. .*--truncate N",
    ),
    "folder is a file": (
        ["--out", lambda tmp: _folder(tmp, taken=LINES) / "taken.txt"], r"out: cannot make the folder"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_line_that_names_it(xsim, checkpoint, tsv, tmp_path, monkeypatch, case):
    monkeypatch.delenv("XSIM_DATA", raising=False)
    given, message = REFUSED[case]
    given = [value(tmp_path) if callable(value) else value for value in given]
    if given[0] == "--model":
        arguments = [given[1], "--corpus", tsv]
    else:
        corpus = [] if "--corpus" in given else ["--corpus", tsv]
        arguments = [checkpoint(), *corpus, *given]
    code, printed, said = xsim("compare", *arguments)
    assert code == 2
    assert re.match(rf"xsim: .*{message}", said), said
    assert said.count("\n") == 1
    assert printed == ""


def test_a_model_without_hidden_states_is_refused(xsim, checkpoint, tsv, monkeypatch):
    forward = loading.load(checkpoint()).model.forward.__func__

    def silent(self, *args, **kwargs):
        return forward(self, *args, **{**kwargs, "output_hidden_states": False})

    monkeypatch.setattr("xsim_lib.models.encoder.Encoder.forward", silent)
    code, _, said = xsim("compare", checkpoint(), "--corpus", tsv)
    assert code == 2
    assert "returns no hidden states" in said


def test_the_limit_of_roberta_is_what_its_positions_leave(checkpoint):
    loaded = loading.load(checkpoint("xlm-roberta"))
    limit = POSITIONS - small.tokenizer().pad_token_id - 1
    for n in range(limit, 2 * limit):  # some letter is more than one token
        line = "a " * (n // 2)
        tokens = len(loaded.tokenizer(line)["input_ids"])
        if tokens in (limit, limit + 1):
            break
    assert encode(loaded, [line], truncate=limit).shape == (3, 1, 16)
    with pytest.raises(ValueError, match=rf"truncate: expected 3 to {limit} tokens"):
        encode(loaded, [line], truncate=limit + 1)


# ---------------------------------------------------------------- kills and ranks
KILLED = """
import os, signal, sys
from xsim_lib.app import cli
from xsim_lib.reading import sums
write, count = sums.Saved.write, 0
def dying(self, state):
    global count
    self._next = 0.0  # save every chunk
    write(self, state)
    count += 1
    if count == int(os.environ["DIE_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)
sums.Saved.write = dying
cli.main()
"""
RESUMED = ("--index", "cka,matching", "--chunk", "13", *FEW)


# 60 sentences are 5 chunks: the second is the untrained pass, and has the first behind it.
@pytest.mark.parametrize("chunks", [pytest.param(3, marks=pytest.mark.slow), 7])
def test_a_killed_run_goes_on_and_gives_identical_results(xsim, checkpoint, tsv, tmp_path, chunks):
    command = ["compare", checkpoint(), "--corpus", tsv, *RESUMED]
    assert xsim(*command, "--out", tmp_path / "whole")[0] == 0
    out = tmp_path / "killed"
    environment = {**os.environ, "DIE_AT": str(chunks)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, command), "--out", out],
        env=environment,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    names = {path.name for path in (out / "state").iterdir()}
    assert (
        names == {"trained.0-of-1.pt", "untrained.0-of-1.pt"}
        if chunks > 5
        else {"trained.0-of-1.pt"}
    )
    assert not (out / "records.parquet").exists()

    code, _, said = xsim(*command, "--out", out)
    assert code == 0
    assert f"trained.0-of-1.pt: going on after chunk {min(chunks, 5)}" in said
    assert not (out / "state").exists()
    expected = _values(tmp_path / "whole" / "records.parquet")
    pd.testing.assert_frame_equal(_values(out / "records.parquet"), expected, check_exact=True)


@pytest.mark.slow
def test_two_ranks_give_what_one_process_gives(xsim, checkpoint, tsv, tmp_path):
    command = ["compare", checkpoint(), "--corpus", tsv, "--pairs", "en-fr", "en-et", *RESUMED]
    code, printed, _ = xsim(*command, "--out", tmp_path / "one")
    assert code == 0
    out = tmp_path / "two"
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    done = subprocess.run(
        [*torchrun, "-m", "xsim_lib.app.cli", *map(str, command), "--out", out],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one, two = (_values(folder / "records.parquet") for folder in (tmp_path / "one", out))
    assert one.index.equals(two.index)
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-10)
    assert done.stdout.splitlines()[:5] == printed.splitlines()[:5]
    assert done.stdout.count("report.html") == 1  # one rank speaks
    assert not (out / "state").exists()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "torchrun --nproc-per-node 2 -m xsim_lib.app.cli compare" in page
