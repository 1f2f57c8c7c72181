"""The zoo trains a model once, however often and from however many processes it is asked for."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import small
import torch
from pydantic import ValidationError

from xsim_lib.evidence import paths
from xsim_lib.evidence.definitions import Definitions
from xsim_lib.models.encoder import Encoder, EncoderForMaskedLM, count_parameters
from xsim_lib.training import zoo
from xsim_lib.training.pretraining import STATE, loop


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def steps(monkeypatch):
    """The optimizer steps made so far, across all calls."""
    made, real = [], loop._step
    monkeypatch.setattr(loop, "_step", lambda *a: made.append(a[-1]) or real(*a))
    return made


def get(spec):
    return zoo.get(spec, progress=False)


def weights(checkpoint, step=None):
    return checkpoint.load(step).model.state_dict()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---------------------------------------------------------------- once
def test_asking_twice_trains_once(steps, cache):
    first, again = get(small.spec()), get(small.spec())
    assert steps == list(range(1, 13))
    assert first.directory == again.directory
    assert first.directory.parent == cache / "zoo"
    assert same(weights(first), weights(again))
    pd.testing.assert_frame_equal(first.history, again.history)


def test_the_callers_random_state_is_left_as_it_was():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    get(small.spec(steps=2)).load()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_name_is_no_part_of_the_address_but_the_caller_gets_his_own(steps):
    first, other = get(small.spec("a")), get(small.spec("b"))
    assert len(steps) == 12
    assert first.directory == other.directory
    assert (first.load().name, other.load().name) == ("a", "b")


@pytest.mark.parametrize("change", ["seed", "learning_rate", "norm", "sentences"])
def test_another_specification_or_text_is_another_model(change):
    first = get(small.spec(steps=2))
    options = {"seed": 1, "learning_rate": 1e-4, "norm": "pre", "sentences": 81}
    other = get(small.spec(steps=2, **{change: options[change]}))
    assert other.directory != first.directory
    assert not same(weights(first), weights(other))


def test_a_model_knows_the_code_that_trained_it():
    ran = {name.partition(":")[0] for name in get(small.spec()).provenance["trace"]}
    assert {
        "xsim_lib.training.pretraining.loop",
        "xsim_lib.models.encoder",
        "xsim_lib.models.tokenization",
    } <= ran
    assert not any(name.startswith("xsim_lib.reading.comparison") for name in ran)


def test_a_model_of_code_that_says_something_else_today_is_trained_again(steps, monkeypatch):
    get(small.spec())
    get(small.spec())
    assert len(steps) == 12
    first = Definitions.changed
    calls = []

    def once(self, trace):
        calls.append(trace)
        return (
            ["xsim_lib.models.encoder:Attention.forward"] if len(calls) == 1 else first(self, trace)
        )

    monkeypatch.setattr(Definitions, "changed", once)
    get(small.spec())
    assert len(steps) == 24


def test_what_other_code_left_half_trained_is_not_gone_on_with(steps, monkeypatch):
    """Weights of two versions of the code would be mixed, and nothing would tell."""
    real = loop._step

    def step(*arguments):
        if arguments[-1] == 10:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_step", step)
        with pytest.raises(KeyboardInterrupt):
            get(small.spec())
    monkeypatch.setattr(
        Definitions, "changed", lambda self, trace: ["xsim_lib.models.encoder:x"] * bool(trace)
    )
    del steps[:]
    get(small.spec())
    assert len(steps) == 12


_CHILD = """
import sys
import small
from xsim_lib.training import zoo
real = zoo.pretraining.pretrain
def counted(*arguments, **options):
    with open(sys.argv[1], "a") as file:
        file.write("trained\\n")
    return real(*arguments, **options)
zoo.pretraining.pretrain = counted
print(zoo.get(small.spec(steps=200), progress=False).load().model.layers[0].attention.out.weight.sum())
"""


@pytest.mark.slow
def test_two_processes_at_the_same_time_train_once(tmp_path):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[1:3])),
    }
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "log")]
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [child.communicate(timeout=400)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert printed[0] == printed[1] != ""
    assert (tmp_path / "log").read_text() == "trained\n"


_RANK = """
import os, sys
import small
from xsim_lib.training import zoo
assert zoo.get(small.spec(steps=4), progress=False).steps == [1, 3, 4]
checkpoint = zoo.get(small.spec(steps=4), progress=False)  # from the cache
total = float(checkpoint.load().model.layers[0].attention.out.weight.sum())
open(f"{sys.argv[1]}/{os.environ['RANK']}", "w").write(f"{total:.4f}")
"""


@pytest.mark.slow
def test_ranks_train_one_model_together_and_do_not_wait_for_each_others_lock(tmp_path, monkeypatch):
    small.two_ranks(_RANK, tmp_path)
    totals = {(tmp_path / rank).read_text() for rank in "01"}
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "alone"))
    alone = float(weights(get(small.spec(steps=4)))["layers.0.attention.out.weight"].sum())
    assert [float(total) for total in totals] == [pytest.approx(alone, abs=2e-4)]


def test_interrupted_training_goes_on_where_it_stopped(monkeypatch, tmp_path):
    whole = weights(get(small.spec()))
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "other"))
    made, real = [], loop._step

    def step(*arguments):
        if arguments[-1] == 10 and 10 not in made:
            made.append(10)
            raise KeyboardInterrupt
        made.append(arguments[-1])
        return real(*arguments)

    monkeypatch.setattr(loop, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        get(small.spec())
    (directory,) = (paths.cache_dir() / "zoo").iterdir()
    assert not (directory / "provenance.json").exists()  # not yet a checkpoint
    resumed = get(small.spec())
    assert made == [*range(1, 11), *range(9, 13)]  # 8 is the last evaluation before 10
    assert resumed.directory == directory
    assert same(whole, weights(resumed))
    assert not (directory / STATE).exists()


def test_training_that_died_before_its_provenance_was_written_is_made_whole(monkeypatch):
    first = get(small.spec())
    expected = weights(first)
    (first.directory / "provenance.json").unlink()
    assert same(weights(get(small.spec())), expected)
    assert (first.directory / "provenance.json").exists()


# ---------------------------------------------------------------- other kinds of model
def test_a_causal_model_comes_back_as_an_encoder_that_sees_no_future():
    spec = small.spec(causal=True)
    loaded = get(spec).load()
    assert isinstance(loaded.model, Encoder)
    assert loaded.model.config.causal
    ids = loaded.tokenizer(small.corpus()["en"][0], return_tensors="pt")["input_ids"]
    states = loaded.model(ids).last_hidden_state
    changed = loaded.model(torch.cat([ids[:, :-1], ids[:, 3:4]], 1)).last_hidden_state
    torch.testing.assert_close(changed[:, :-1], states[:, :-1])
    assert not torch.allclose(changed[:, -1], states[:, -1])
    with pytest.raises(
        ValidationError, match=r"objective: expected 'clm' .*causal=True, got 'mlm'"
    ):
        zoo.ModelSpec(**{**spec.model_dump(), "training": small.SETTINGS})


def _adapted(**training):
    text = small.SOURCE.model_copy(update={"sentences": 60, "languages": ("fr",)})
    settings = small.SETTINGS.model_copy(
        update={"seed": 7, "steps": 4, "evaluations": 2, **training}
    )
    return small.spec().adapted("more", text, settings)


def test_adaptation_goes_on_from_the_end_of_another_model_with_its_tokenizer(steps, monkeypatch):
    seen, real = [], zoo.pretraining.pretrain

    def watch(model, tokenizer, corpus, *arguments, **options):
        seen.append((model.encoder.state_dict(), corpus.languages))
        seen[-1] = ({k: v.clone() for k, v in seen[-1][0].items()}, corpus.languages)
        return real(model, tokenizer, corpus, *arguments, **options)

    monkeypatch.setattr(zoo.pretraining, "pretrain", watch)
    adapted = get(_adapted())
    assert steps == [*range(1, 13), *range(1, 5)]
    start = get(small.spec())
    assert len(steps) == 16  # training the start was part of it
    assert seen[1][1] == ("fr",)
    assert same(seen[1][0], weights(start))
    assert not same(weights(adapted), weights(start))
    vocabularies = [c.load().tokenizer.get_vocab() for c in (adapted, start)]
    assert vocabularies[0] == vocabularies[1]
    assert adapted.load().name == "more"
    assert adapted.provenance["parameters"]["start_from"]["name"] == "small"


def test_what_a_model_started_from_is_part_of_its_address():
    other = _adapted().model_copy(update={"start_from": small.spec(seed=5)})
    renamed = _adapted().model_copy(update={"start_from": small.spec("another name")})
    assert get(_adapted()).directory == get(renamed).directory != get(other).directory


def test_adaptation_cannot_change_the_model():
    for name, value in {"vocabulary": 300, "lowercase": True, "encoder": small.ENCODER}.items():
        with pytest.raises(ValidationError, match=f"start_from: expected the {name} of small"):
            zoo.ModelSpec(**{**_adapted().model_dump(), name: value})
    with pytest.raises(ValidationError, match="max_length: small takes 64 tokens, got 65"):
        _adapted(max_length=65)


# ---------------------------------------------------------------- what is there
def test_load_gives_the_encoder_in_evaluation_mode_with_its_tokenizer():
    checkpoint = get(small.spec(norm="normformer"))
    loaded = checkpoint.load()
    assert not loaded.model.training
    ids = loaded.tokenizer(small.corpus()["en"][0], return_tensors="pt")
    assert (
        ids["input_ids"].tolist()
        == small.tokenizer()(small.corpus()["en"][0], return_tensors="pt")["input_ids"].tolist()
    )
    states = loaded.model(**ids, output_hidden_states=True).hidden_states
    assert len(states) == 3
    folder = checkpoint.directory / "snapshots" / "0000012"
    last = EncoderForMaskedLM.from_pretrained(folder).encoder.state_dict()
    assert same(last, loaded.model.state_dict())
    assert not same(last, weights(checkpoint, 4))


def test_a_step_without_a_snapshot_is_an_error_that_lists_the_snapshots():
    checkpoint = get(small.spec())
    with pytest.raises(
        ValueError, match=re.escape("step: small has snapshots at [4, 8, 12]; got 5")
    ):
        checkpoint.load(5)


def test_provenance_tells_everything_but_whose_machine():
    checkpoint = get(small.spec(seed=3))
    made = checkpoint.provenance
    assert made["seeds"] == [3]
    assert made["text"] == {"training": checkpoint.spec.source.training().fingerprint}
    assert list(made["weights"]) == ["0000004", "0000008", "0000012"]
    assert made["parameters"]["name"] == "small"
    assert made["parameters"]["training"] == checkpoint.spec.training.model_dump()
    model = EncoderForMaskedLM.from_pretrained(checkpoint.directory / "snapshots" / "0000012")
    assert made["parameters"]["n_parameters"] == count_parameters(model)
    assert made["device"].startswith("cpu (")
    assert made["seconds"] > 0
    assert str(paths.cache_dir()) not in json.dumps(made)


# ---------------------------------------------------------------- equal loss
@dataclass(frozen=True)
class _Fake(zoo.Checkpoint):
    """Only a history; loading tells which step was asked for."""

    def load(self, step=None):
        return f"{self.directory.name}@{step}"


def _fake(tmp_path, name, losses):
    (tmp_path / name).mkdir()
    rows = [{"step": 10 * (k + 1), "loss": loss} for k, loss in enumerate(losses)]
    pd.DataFrame(rows).to_csv(tmp_path / name / "history.csv", index=False)
    for row in rows:
        (tmp_path / name / "snapshots" / f"{row['step']:07d}").mkdir(parents=True)
    return _Fake(small.spec(name), tmp_path / name)


def test_models_are_compared_at_the_loss_that_the_worst_reaches_at_its_end(tmp_path):
    checkpoints = {
        "slow": _fake(tmp_path, "slow", [5.0, 4.0, 3.1]),
        "fast": _fake(tmp_path, "fast", [4.0, 3.0, 2.0]),
        "bumpy": _fake(tmp_path, "bumpy", [3.5, 2.5, 3.2, 2.9]),
    }
    assert zoo.at_equal_loss(checkpoints) == {
        "slow": ("slow@30", 3.1),
        "fast": ("fast@20", 3.0),
        "bumpy": ("bumpy@30", 3.2),
    }


def test_a_model_alone_is_taken_at_its_end(tmp_path):
    assert zoo.at_equal_loss({"one": _fake(tmp_path, "one", [5.0, 4.0])}) == {
        "one": ("one@20", 4.0)
    }


# ---------------------------------------------------------------- specifications
@pytest.mark.parametrize(
    ("encoder", "named"),
    [
        ({"norm": "middle"}, "norm"),
        ({"hiden_size": 16}, "hiden_size"),
        ({"hidden_size": 15}, "15"),
        ({"vocab_size": 15}, "vocab_size"),
    ],
)
def test_a_wrong_encoder_is_refused_before_anything_is_trained(encoder, named):
    values = small.spec().model_dump()
    values["encoder"] |= encoder
    with pytest.raises(ValidationError, match=named):
        zoo.ModelSpec(**values)


def test_a_specification_that_went_through_json_has_the_same_address(steps):
    first = get(small.spec())
    again = get(zoo.ModelSpec.model_validate_json(small.spec().model_dump_json()))
    assert first.directory == again.directory
    assert len(steps) == 12
