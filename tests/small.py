"""The smallest corpus, tokenizer and model that still exercise everything; seconds on one core."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import torch

from xsim_lib.models.encoder import (
    EncoderConfig,
    EncoderForCausalLM,
    EncoderForMaskedLM,
    LoadedModel,
)
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.text.sources import Artificial
from xsim_lib.text.types import Corpus, ParallelCorpus
from xsim_lib.training.pretraining import PretrainingSettings
from xsim_lib.training.zoo import ModelSpec

SOURCE = Artificial(languages=("en", "fr"), sentences=80)
ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
SETTINGS = PretrainingSettings(
    steps=12, learning_rate=3e-3, tokens_per_step=128, evaluations=3, held_out=10
)


@cache
def corpus() -> Corpus:
    return SOURCE.training()


@cache
def parallel(pair: str, n: int, seed: int = 1) -> ParallelCorpus:
    return Artificial(languages=("en", "fr", "et", "bg"), sentences=1).family.parallel(
        n, languages=pair.split("-"), seed=seed
    )


@cache
def tokenizer():
    return train_tokenizer(corpus(), 200, max_length=128)


def masked_lm(norm="pre", **options) -> EncoderForMaskedLM:
    """A fresh model; the global random state is left as it was."""
    return _language_model(EncoderForMaskedLM, norm=norm, **options)


def causal_lm(norm="pre", **options) -> EncoderForCausalLM:
    """The same, predicting the next token."""
    return _language_model(EncoderForCausalLM, norm=norm, causal=True, **options)


def _language_model(kind, *, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(
            EncoderConfig(
                vocab_size=len(tokenizer()),
                max_position_embeddings=128,
                pad_token_id=tokenizer().pad_token_id,
                **{**ENCODER, **options},
            )
        )


def loaded(norm="pre", **options) -> LoadedModel:
    return LoadedModel(f"small_{norm}", masked_lm(norm, **options).encoder.eval(), tokenizer())


def spec(name="small", *, sentences=80, norm="post", causal=False, **training) -> ModelSpec:
    return ModelSpec(
        name=name,
        source=SOURCE.model_copy(update={"sentences": sentences}),
        vocabulary=200,
        encoder={**ENCODER, "norm": norm, **({"causal": True} if causal else {})},
        training=SETTINGS.model_copy(update={"objective": "clm" if causal else "mlm", **training}),
    )


def two_ranks(script, folder):
    """Run Python code as the two processes of one `torchrun`, with `folder` as its argument."""
    file = folder / "rank.py"
    file.write_text(script)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    here = Path(__file__).parent
    folders = [here, here.parent, *(folder for folder in here.iterdir() if folder.is_dir())]
    environment["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    ranks = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*ranks, str(file), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def notebook(folder, name, *cells, parameters='profile = "mini"\nseeds = [0]'):
    """Write a percent script: its parameters cell, then `cells`; return its path."""
    path = folder / "notebooks" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = ["# %% [markdown]\n# # Title", f'# %% tags=["parameters"]\n{parameters}']
    path.write_text("\n\n".join([*blocks, *(f"# %%\n{cell}" for cell in cells)]) + "\n")
    return path
