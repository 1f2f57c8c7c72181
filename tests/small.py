"""The smallest corpus, tokenizer and model that still exercise everything; seconds on one core."""

from __future__ import annotations

from functools import cache

import torch

from xsim_lib.models import EncoderConfig, EncoderForMaskedLM, LoadedModel
from xsim_lib.pretraining import PretrainingSettings
from xsim_lib.sources import Artificial
from xsim_lib.texts import Corpus, ParallelCorpus
from xsim_lib.tokenization import train_tokenizer
from xsim_lib.zoo import ModelSpec

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


def masked_lm(norm="pre", *, dropout=0.0, seed=0, **sizes) -> EncoderForMaskedLM:
    """A fresh model; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return EncoderForMaskedLM(
            EncoderConfig(
                vocab_size=len(tokenizer()),
                max_position_embeddings=128,
                pad_token_id=tokenizer().pad_token_id,
                norm=norm,
                dropout=dropout,
                **{**ENCODER, **sizes},
            )
        )


def loaded(norm="pre", **options) -> LoadedModel:
    return LoadedModel(f"small_{norm}", masked_lm(norm, **options).encoder.eval(), tokenizer())


def spec(name="small", *, sentences=80, norm="post", **training) -> ModelSpec:
    return ModelSpec(
        name=name,
        source=SOURCE.model_copy(update={"sentences": sentences}),
        vocabulary=200,
        encoder={**ENCODER, "norm": norm},
        training=SETTINGS.model_copy(update=training),
    )


def notebook(folder, name, *cells, parameters='profile = "mini"\nseeds = [0]'):
    """Write a percent script: its parameters cell, then `cells`; return its path."""
    path = folder / "notebooks" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = ["# %% [markdown]\n# # Title", f'# %% tags=["parameters"]\n{parameters}']
    path.write_text("\n\n".join([*blocks, *(f"# %%\n{cell}" for cell in cells)]) + "\n")
    return path
