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
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModel

from xsim_lib import pretraining
from xsim_lib.batching import by_length
from xsim_lib.models import EncoderForMaskedLM
from xsim_lib.pretraining import IGNORED, STATE, PretrainingSettings, mask_tokens, pretrain

HERE = Path(__file__).parent


def settings(**changes):
    return small.SETTINGS.model_copy(update=changes)


def train(folder, model=None, wanted=small.SETTINGS):
    """A model after training, and its history."""
    model = model or small.masked_lm(dropout=0.1)
    history = pretrain(model, small.tokenizer(), small.corpus(), wanted, folder, progress=False)
    return model, history


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


def test_evaluation_is_the_mean_cross_entropy_of_the_masked_tokens():
    tokenizer, model = small.tokenizer(), small.masked_lm(dropout=0.5).train()
    lines = list(small.corpus()["en"][:15])
    sentences = pretraining.Sequences.encode(tokenizer, lines, 64)
    torch.manual_seed(5)
    got = pretraining.evaluate(model, tokenizer, sentences, small.SETTINGS)
    assert model.training  # it goes on with dropout afterwards
    losses = []
    model.eval()
    order = np.argsort(sentences.lengths, kind="stable")
    for k, rows in enumerate(by_length(order, sentences.lengths, 4 * 128)):
        ids = sentences.batch(rows, tokenizer.pad_token_id)
        inputs, labels = mask_tokens(ids, tokenizer, 0.3, seed=(0, k))
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

    real, evaluations = pretraining.atomic_write, []

    def dies(path):
        kind = {"history.csv": "history", STATE: "state"}.get(path.name, "snapshot")
        evaluations.append(kind)
        if kind == unfinished and evaluations.count(kind) == 2:
            raise Killed
        return real(path)

    monkeypatch.setattr(pretraining, "atomic_write", dies)
    with pytest.raises(Killed):
        train(tmp_path / "cut")
    monkeypatch.setattr(pretraining, "atomic_write", real)
    steps = []
    monkeypatch.setattr(
        pretraining, "_step", lambda *a, step=pretraining._step: steps.append(a[-1]) or step(*a)
    )
    resumed, history = train(tmp_path / "cut", small.masked_lm(dropout=0.1, seed=7))
    assert steps == list(range(5, 13))  # from the first evaluation on, not from the start
    assert same_weights(whole, resumed)
    pd.testing.assert_frame_equal(history, expected, check_exact=False, rtol=1e-12)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "cut" / "history.csv"), history)


_CHILD = """
import os, signal, sys
import small
from xsim_lib import pretraining
real = pretraining._step
def step(*arguments):
    if arguments[-1] == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
pretraining._step = step
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
    pd.testing.assert_frame_equal(*histories, check_exact=False, rtol=1e-12)


# ---------------------------------------------------------------- ranks
_RANK = """
import json, os, sys
import small, torch
from safetensors.torch import save_file
from xsim_lib.pretraining import pretrain
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


# ---------------------------------------------------------------- masks
def _ids(rows=400, length=40, seed=0):
    """Rows of ordinary tokens between <s> and </s>, a third of each row padding."""
    tokenizer = small.tokenizer()
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(
        len(tokenizer.all_special_ids), len(tokenizer), (rows, length), generator=generator
    )
    ids[:, 0] = tokenizer.bos_token_id
    ids[:, length * 2 // 3] = tokenizer.eos_token_id
    ids[:, length * 2 // 3 + 1 :] = tokenizer.pad_token_id
    return ids


def test_masks_follow_berts_recipe():
    tokenizer, ids = small.tokenizer(), _ids()
    specials = torch.tensor(tokenizer.all_special_ids)
    assert set(range(5)) == set(specials.tolist())  # _ids draws its ordinary tokens above them
    inputs, labels = mask_tokens(ids, tokenizer, 0.3, seed=(1, 1))
    special, chosen = torch.isin(ids, specials), labels != IGNORED
    n = int((~special).sum())
    assert not (chosen & special).any()
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert chosen.sum() / n == pytest.approx(0.3, abs=0.02)
    masked = inputs[chosen] == tokenizer.mask_token_id
    kept = inputs[chosen] == ids[chosen]
    assert masked.float().mean() == pytest.approx(0.8, abs=0.03)
    assert kept.float().mean() == pytest.approx(0.1, abs=0.02)
    replaced = inputs[chosen][~masked & ~kept]
    assert not torch.isin(replaced, specials).any()
    assert len(replaced.unique()) > 100  # from the whole vocabulary


def test_at_least_one_token_is_masked_and_never_a_special_one():
    ids = _ids(rows=1, length=6)
    for step in range(20):
        _, labels = mask_tokens(ids, small.tokenizer(), 1e-9, seed=(0, step))
        (place,) = (labels != IGNORED).nonzero()[:, 1].tolist()
        assert 0 < place < 4


def test_masks_are_a_function_of_seed_and_step_alone():
    tokenizer, ids = small.tokenizer(), _ids(rows=20)
    first = mask_tokens(ids, tokenizer, 0.3, seed=(1, 2))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = mask_tokens(ids, tokenizer, 0.3, seed=(1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    for seed in ((1, 3), (2, 2), (2, 1)):
        other = mask_tokens(ids, tokenizer, 0.3, seed=seed)
        assert not torch.equal(first[1], other[1])


# ---------------------------------------------------------------- batches
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=200), st.integers(1, 200)
)  # fmt: skip
def test_by_length_takes_each_sentence_once_and_respects_the_limit(lengths, tokens):
    lengths = np.array(lengths)
    order = np.argsort(lengths, kind="stable")
    batches = list(by_length(order, lengths, tokens))
    assert np.concatenate(batches).tolist() == order.tolist()
    for batch, after in zip(batches, [*batches[1:], None], strict=True):
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= tokens
        if after is not None:  # as full as it can be
            assert (len(batch) + 1) * lengths[after[0]] > tokens


def test_every_epoch_takes_each_sentence_once_in_an_order_of_its_own():
    lines = list(small.corpus()["en"])
    sentences = pretraining.Sequences.encode(small.tokenizer(), lines, 64)
    stream = pretraining._batches(sentences, settings(steps=10**6), 0)
    epochs = []
    for _ in range(3):
        epoch = []
        while len(epoch) < len(lines):
            epoch += next(stream).tolist()
        assert sorted(epoch) == list(range(len(lines)))
        epochs.append(epoch)
    assert epochs[0] != epochs[1] != epochs[2]


def test_resuming_continues_the_stream_of_batches():
    sentences = pretraining.Sequences.encode(small.tokenizer(), list(small.corpus()["en"]), 64)
    wanted = settings(steps=60)  # several epochs
    whole = [b.tolist() for b in pretraining._batches(sentences, wanted, 0)]
    rest = [b.tolist() for b in pretraining._batches(sentences, wanted, 47)]
    assert len(whole) == 60
    assert rest == whole[47:]


def test_a_batch_holds_the_sentences_padded_on_the_right():
    tokenizer, lines = small.tokenizer(), list(small.corpus()["fr"][:9])
    sentences = pretraining.Sequences.encode(tokenizer, lines, 8)
    rows = np.array([0, 8, 3])
    expected = tokenizer([lines[k] for k in rows], truncation=True, max_length=8, padding=True)
    got = sentences.batch(rows, tokenizer.pad_token_id)
    assert got.tolist() == expected["input_ids"]
    assert got.dtype == torch.int64


def test_held_out_sentences_are_never_trained_on(tmp_path, monkeypatch):
    """What the training masks see and what the evaluation masks see are two parts of the corpus."""
    seen, real = {"training": set(), "held out": set()}, mask_tokens

    def watch(ids, tokenizer, rate, *, seed):
        use = "held out" if seed[0] == 0 else "training"
        seen[use] |= {tokenizer.decode(row, skip_special_tokens=True) for row in ids.tolist()}
        return real(ids, tokenizer, rate, seed=seed)

    monkeypatch.setattr(pretraining, "mask_tokens", watch)
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


# ---------------------------------------------------------------- settings and errors
def test_the_learning_rate_rises_linearly_and_falls_linearly_to_almost_zero():
    wanted = settings(steps=100, warmup=0.1, learning_rate=2.0)
    rates = np.array([wanted.rate(step) for step in range(1, 101)])
    np.testing.assert_allclose(rates[:10], 2.0 * np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], 2.0 * np.arange(90, 0, -1) / 91)
    assert rates.argmax() == 9
    assert settings(steps=100, warmup=0.0, learning_rate=2.0).rate(1) == 2.0
    assert settings(steps=1, learning_rate=2.0).rate(1) == 2.0


def test_the_optimizer_gets_the_rate_of_the_schedule(tmp_path, monkeypatch):
    rates, real = [], torch.optim.AdamW.step

    def step(self, *arguments, **options):
        rates.append({group["lr"] for group in self.param_groups})
        return real(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    train(tmp_path)
    assert rates == [{small.SETTINGS.rate(step)} for step in range(1, 13)]


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(12, 3, [4, 8, 12]), (10, 4, [2, 5, 8, 10]), (2, 10, [1, 2]), (5, 1, [5])],
)
def test_evaluations_are_evenly_spaced_and_the_last_step_is_one(steps, evaluations, expected):
    got = settings(steps=steps, evaluations=evaluations).evaluation_steps
    assert [s for s in got if s > 0] == expected


def test_divergence_is_an_error_that_names_the_learning_rate(tmp_path):
    with pytest.raises(
        ValueError, match=r"learning_rate: training diverged before step 4 .*1e\+30"
    ):
        train(tmp_path, wanted=settings(learning_rate=1e30))
    assert not (tmp_path / STATE).exists()  # nothing of it is kept


def test_a_language_with_too_few_sentences_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"more than 80 sentences.*en, got 80"):
        train(tmp_path, wanted=settings(held_out=80))


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"warmup": 1.0}, {"mask_rate": 0}, {"precision": "fp8"}, {"epochs": 3}]
)
def test_wrong_settings_are_refused_by_name(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PretrainingSettings(**{"steps": 3, "learning_rate": 1e-3, **wrong})
