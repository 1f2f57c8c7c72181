"""Training learns, repeats itself to the bit, survives kills, and never sees what it is tested on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoModel

from xsim_lib.models.encoder import EncoderForMaskedLM
from xsim_lib.reading.batching import by_length
from xsim_lib.text.types import Corpus
from xsim_lib.training.pretraining import (
    IGNORED,
    STATE,
    loop,
    mask_tokens,
    objectives,
    pretrain,
    saved,
)
from xsim_lib.training.pretraining.objectives import ordinary
from xsim_lib.training.pretraining.sentences import read_text

HERE = Path(__file__).parents[1]


def settings(**changes):
    return small.SETTINGS.model_copy(update=changes)


def train(folder, model=None, wanted=small.SETTINGS, **options):
    """A model after training, and its history."""
    model = model or small.masked_lm(dropout=0.1)
    options = {"progress": False, **options}
    return model, pretrain(model, small.tokenizer(), small.corpus(), wanted, folder, **options)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------- learning
def test_the_loss_falls_below_guessing_and_below_where_it_started(tmp_path):
    wanted = settings(steps=100, learning_rate=2e-2, tokens_per_step=512)
    _, history = train(tmp_path, small.masked_lm(hidden_size=32), wanted)
    assert history["step"].tolist() == wanted.evaluation_steps == [33, 67, 100]
    assert history["loss"].is_monotonic_decreasing
    assert history["loss"].iloc[-1] < 4.8 < np.log(len(small.tokenizer()))
    assert history["training_loss"].iloc[-1] == pytest.approx(history["loss"].iloc[-1], abs=0.3)
    assert history["tokens"].is_monotonic_increasing
    assert history["tokens"].iloc[-1] <= 100 * 512


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(tmp_path):
    first, history = train(tmp_path / "a")
    torch.manual_seed(99)  # what the process did before must not matter
    again, repeated = train(tmp_path / "b")
    other, _ = train(tmp_path / "c", wanted=settings(seed=1))
    assert same_weights(first, again)
    pd.testing.assert_frame_equal(history, repeated, check_exact=True)
    assert not same_weights(first, other)


def test_no_steps_keep_the_random_weights_as_they_were_drawn(tmp_path):
    drawn = small.masked_lm()
    model, history = train(tmp_path, small.masked_lm(), settings(steps=0))
    assert same_weights(model, drawn)
    kept = load_file(tmp_path / "snapshots" / "0000000" / "model.safetensors")
    assert all(
        torch.equal(kept[name], value) for name, value in drawn.state_dict().items() if name in kept
    )
    assert history["step"].tolist() == [0]
    assert history["loss"].iloc[0] == pytest.approx(np.log(len(small.tokenizer())), rel=0.2)
    assert not (tmp_path / STATE).exists()


def test_the_callers_random_state_is_left_as_it_was(tmp_path):
    torch.manual_seed(5)
    before, model = torch.get_rng_state(), small.masked_lm(dropout=0.1)
    train(tmp_path, model)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("exponent", [None, 0.7])
def test_a_causal_model_learns_to_predict_the_next_token(tmp_path, exponent):
    changes = {"steps": 60, "learning_rate": 2e-2, "tokens_per_step": 512}
    wanted = settings(objective="clm", sampling_exponent=exponent, **changes)
    model, history = train(tmp_path / "a", small.causal_lm("pre"), wanted)
    assert history["loss"].is_monotonic_decreasing
    assert history["loss"].iloc[-1] < 4.5 < np.log(len(small.tokenizer()))
    total, count = 0.0, 0  # one sentence at a time, by the definition
    texts = read_text(small.corpus(), small.tokenizer(), wanted, own_words=False)
    for sentences in (text.held_out for text in texts):
        for row in range(len(sentences.ends)):
            ids = sentences.batch(np.array([row]), 0)
            logits = model.eval()(ids).logits[0, :-1]
            total += F.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
            count += ids.shape[1] - 1
    assert history["loss"].iloc[-1] == pytest.approx(total / count, rel=1e-5)
    again, repeated = train(tmp_path / "b", small.causal_lm("pre"), wanted)
    assert same_weights(model, again)
    pd.testing.assert_frame_equal(history, repeated, check_exact=True)


def test_half_precision_may_follow_full_precision_in_one_process(tmp_path):
    losses = {}
    for precision in ("fp32", "bf16", "fp32"):
        model = small.masked_lm()
        wanted = settings(precision=precision, steps=3, evaluations=1)
        _, history = train(tmp_path / f"{len(losses)}{precision}", model, wanted)
        losses.setdefault(precision, []).append(history["loss"].iloc[-1])
        assert model.dtype == torch.float32
    assert losses["bf16"][0] == pytest.approx(losses["fp32"][0], abs=0.05)
    assert losses["bf16"][0] != losses["fp32"][0]


def test_evaluation_is_the_mean_cross_entropy_of_the_masked_tokens():
    tokenizer, model = small.tokenizer(), small.masked_lm(dropout=0.5).train()
    lines = list(small.corpus()["en"][:15])
    corpus = Corpus("part", {"en": [*lines, *small.corpus()["en"][15:20]]})
    wanted = settings(held_out=15)
    (text,) = read_text(corpus, tokenizer, wanted, own_words=False)
    sentences = text.held_out
    torch.manual_seed(5)
    got = loop.language_model_loss(model, [text], wanted)
    assert model.training  # it goes on with dropout afterwards
    losses = []
    model.eval()
    order = np.argsort(sentences.lengths, kind="stable")
    for k, rows in enumerate(by_length(order, sentences.lengths, 4 * 128)):
        ids = sentences.batch(rows, tokenizer.pad_token_id)
        inputs, labels = mask_tokens(ids, tokenizer, 0.3, ordinary(tokenizer), seed=(0, k))
        for row, label in zip(inputs, labels, strict=True):
            length = int((row != tokenizer.pad_token_id).sum())
            logits = model(row[None, :length]).logits[0]
            losses += F.cross_entropy(logits, label[:length], reduction="none")[
                label[:length] != IGNORED
            ].tolist()
    assert got == pytest.approx(np.mean(losses), rel=1e-5)


def test_snapshots_load_with_from_pretrained_and_the_last_one_is_the_result(tmp_path):
    model, history = train(tmp_path)
    folders = sorted(p.name for p in (tmp_path / "snapshots").iterdir())
    assert folders == [f"{step:07d}" for step in history["step"]]
    last = EncoderForMaskedLM.from_pretrained(tmp_path / "snapshots" / folders[-1])
    assert same_weights(model, last)
    first = EncoderForMaskedLM.from_pretrained(tmp_path / "snapshots" / folders[0])
    assert not same_weights(model, first)
    encoder = AutoModel.from_pretrained(tmp_path / "snapshots" / folders[-1])
    assert same_weights(model.encoder, encoder)
    assert {p.name for p in tmp_path.iterdir()} == {"snapshots", "history.csv"}
    assert list(pd.read_csv(tmp_path / "history.csv")) == [
        "step", "tokens", "learning_rate", "training_loss", "loss",
    ]  # fmt: skip


# ---------------------------------------------------------------- kills
@pytest.mark.parametrize("unfinished", ["snapshot", "history", "state"])
def test_a_kill_between_any_two_files_loses_nothing(tmp_path, monkeypatch, unfinished):
    """The second evaluation dies before one of its three files; the next run ends the same."""
    whole, expected = train(tmp_path / "whole")

    class Killed(BaseException):
        pass

    real, evaluations = saved.atomic_write, []

    def dies(path):
        kind = {"history.csv": "history", STATE: "state"}.get(path.name, "snapshot")
        evaluations.append(kind)
        if kind == unfinished and evaluations.count(kind) == 2:
            raise Killed
        return real(path)

    monkeypatch.setattr(saved, "atomic_write", dies)
    with pytest.raises(Killed):
        train(tmp_path / "cut")
    monkeypatch.setattr(saved, "atomic_write", real)
    steps = []
    monkeypatch.setattr(loop, "_step", lambda *a, step=loop._step: steps.append(a[-1]) or step(*a))
    resumed, history = train(tmp_path / "cut", small.masked_lm(dropout=0.1, seed=7))
    assert steps == list(range(5, 13))  # from the first evaluation on, not from the start
    assert same_weights(whole, resumed)
    pd.testing.assert_frame_equal(history, expected, check_exact=True)
    written = pd.read_csv(tmp_path / "cut" / "history.csv")
    pd.testing.assert_frame_equal(written, history, check_exact=True)


_CHILD = """
import os, signal, sys
import small
from xsim_lib.training import pretraining
from xsim_lib.training.pretraining import loop
real = loop._step
def step(*arguments):
    if arguments[-1] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
loop._step = step
settings = small.SETTINGS.model_copy(update={"steps": 40, "evaluations": 4})
model = small.masked_lm("normformer", dropout=0.1)
pretraining.pretrain(
    model, small.tokenizer(), small.corpus(), settings, sys.argv[1], progress=False
)
model.save_pretrained(sys.argv[1] + "/final")
"""


def _environment():
    here = f"{HERE}{os.pathsep}{HERE.parent}"
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": here}


def _child(folder, *, killed_at=0):
    command = [sys.executable, "-c", _CHILD, str(folder), str(killed_at)]
    return subprocess.run(command, env=_environment(), timeout=400).returncode


@pytest.mark.slow
def test_kill_minus_9_then_resume_is_bit_identical_to_an_uninterrupted_run(tmp_path):
    assert _child(tmp_path / "killed", killed_at=25) == -signal.SIGKILL
    assert (tmp_path / "killed" / STATE).exists()  # of step 20
    assert not (tmp_path / "killed" / "snapshots" / "0000030").exists()
    assert _child(tmp_path / "killed") == 0
    assert _child(tmp_path / "whole") == 0
    a, b = (load_file(tmp_path / n / "final" / "model.safetensors") for n in ("killed", "whole"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    histories = [pd.read_csv(tmp_path / n / "history.csv") for n in ("killed", "whole")]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


# ---------------------------------------------------------------- ranks
_RANK = """
import json, os, sys
import small, torch
from safetensors.torch import save_file
from xsim_lib.training.pretraining import pretrain
# 24 tokens: most batches are one sentence, so that a rank is often without a row of its own.
# Gradients are clipped at some steps only: Adam alone would not notice if they were halved.
for tokens, clip in ((24, 2.1), (256, 0.85)):
    changes = {"tokens_per_step": tokens, "steps": 8, "clip": clip}
    settings = small.SETTINGS.model_copy(update=changes)
    model = small.masked_lm("post")
    folder = f"{sys.argv[1]}/{tokens}"
    history = pretrain(model, small.tokenizer(), small.corpus(), settings, folder, progress=False)
    rank = os.environ.get("RANK", "0")
    save_file(dict(model.state_dict()), f"{folder}/final{rank}.safetensors")
    history.to_csv(f"{folder}/history{rank}.csv", index=False)
"""


@pytest.mark.slow  # test_zoo.py has two ranks in every run
def test_two_ranks_give_the_weights_of_one_process(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(_RANK)
    ranks = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command, folder in (([sys.executable], "one"), (ranks, "two")):
        done = subprocess.run(
            [*command, str(script), str(tmp_path / folder)],
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    for tokens in (24, 256):
        one, two = tmp_path / "one" / str(tokens), tmp_path / "two" / str(tokens)
        expected = load_file(one / "final0.safetensors")
        for rank in (0, 1):
            got = load_file(two / f"final{rank}.safetensors")
            for name, value in expected.items():
                torch.testing.assert_close(
                    got[name], value, rtol=0, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}"
                )
            history = pd.read_csv(two / f"history{rank}.csv")
            pd.testing.assert_frame_equal(history, pd.read_csv(one / "history0.csv"), rtol=1e-5)


# ---------------------------------------------------------------- errors
def test_divergence_is_an_error_that_names_the_learning_rate(tmp_path):
    message = r"learning_rate: training diverged at step \d .*1e\+30.* finite training loss"
    with pytest.raises(ValueError, match=message):
        train(tmp_path, wanted=settings(learning_rate=1e30))
    assert not any(tmp_path.iterdir())  # nothing of it is kept


@pytest.mark.parametrize("last", [False, True])
def test_a_model_that_is_broken_when_it_is_evaluated_is_an_error(tmp_path, monkeypatch, last):
    """The loss of a step comes before its update: the last update is only seen by the evaluation."""
    real, bad = loop._step, 12 if last else 4

    def step(model, *arguments):
        found = real(model, *arguments)
        if arguments[-1] == bad:
            with torch.no_grad():
                next(model.parameters()).fill_(torch.nan)
        return found

    monkeypatch.setattr(loop, "_step", step)
    with pytest.raises(
        ValueError, match=f"learning_rate: .* at step {bad} .* finite held-out loss"
    ):
        train(tmp_path)
    kept = sorted(p.name for p in tmp_path.glob("snapshots/*"))
    assert kept == (["0000004", "0000008"] if last else [])


def test_batches_of_mixed_languages_cannot_be_read_by_a_tokenizer_per_language(tmp_path):
    tokenizers = dict.fromkeys(("en", "fr"), small.tokenizer())
    with pytest.raises(ValueError, match="sampling_exponent: expected a number"):
        pretrain(small.masked_lm(), tokenizers, small.corpus(), settings(), tmp_path)
    with pytest.raises(ValueError, match="sampling_exponent: expected a number"):
        train(tmp_path, rewrite=lambda lines, language, seed: lines)


# ---------------------------------------------------------------- rewriting
def test_sentences_are_rewritten_for_training_and_not_for_evaluation(tmp_path):
    wanted, seen = settings(sampling_exponent=1.0), []

    def rewrite(lines, language, seed):
        seen.append((set(lines), language, seed))
        return lines

    plain, history = train(tmp_path / "plain", wanted=wanted)
    same, repeated = train(tmp_path / "same", wanted=wanted, rewrite=rewrite)
    assert same_weights(plain, same)
    assert [seed for *_, seed in seen] == [(3, step) for step in range(1, 13)]
    texts = {
        t.language: t for t in read_text(small.corpus(), small.tokenizer(), wanted, own_words=False)
    }
    assert {language for _, language, _ in seen} == {"en", "fr"}
    assert all(lines <= set(texts[language].lines) for lines, language, _ in seen)
    other, changed = train(
        tmp_path / "b", wanted=wanted, rewrite=lambda lines, *_: [line.upper() for line in lines]
    )
    assert not same_weights(plain, other)
    pd.testing.assert_frame_equal(history, repeated, check_exact=True)
    assert changed["tokens"].iloc[-1] != history["tokens"].iloc[-1]


def test_a_language_with_too_few_sentences_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"more than 80 sentences.*en, got 80"):
        train(tmp_path, wanted=settings(held_out=80))


def test_held_out_sentences_are_never_trained_on(tmp_path, monkeypatch):
    """What the training masks see and what the evaluation masks see are two parts of the corpus."""
    seen, real = {"training": set(), "held out": set()}, mask_tokens

    def watch(ids, tokenizer, rate, words, *, seed):
        use = "held out" if seed[0] == 0 else "training"
        seen[use] |= {tokenizer.decode(row, skip_special_tokens=True) for row in ids.tolist()}
        return real(ids, tokenizer, rate, words, seed=seed)

    monkeypatch.setattr(objectives, "mask_tokens", watch)
    train(tmp_path, wanted=settings(steps=60, tokens_per_step=512, max_length=64))
    tokenizer = small.tokenizer()
    everything = {
        tokenizer.decode(ids, skip_special_tokens=True)
        for language in ("en", "fr")
        for ids in tokenizer(list(small.corpus()[language]))["input_ids"]
    }
    assert len(everything) == 160  # no sentence occurs twice, so text tells sentences apart
    assert len(seen["held out"]) == 2 * 10
    assert seen["training"] == everything - seen["held out"]


def test_the_optimizer_gets_the_rate_of_the_schedule(tmp_path, monkeypatch):
    rates, real = [], torch.optim.AdamW.step

    def step(self, *arguments, **options):
        rates.append({group["lr"] for group in self.param_groups})
        return real(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    train(tmp_path)
    assert rates == [{small.SETTINGS.rate(step)} for step in range(1, 13)]
