"""From a specification to a trained model: a cache in which nothing is ever half there.

A checkpoint's address is the hash of everything that determines it: the specification, the text
itself, and the code that trains. Change any of them and the model is trained anew; ask twice, at
the same time or a year apart, and it is trained once.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, field_validator
from transformers import AutoTokenizer

from xsim_lib import hashing, paths
from xsim_lib.loading import quiet_transformers
from xsim_lib.models import EncoderConfig, EncoderForMaskedLM, LoadedModel, count_parameters
from xsim_lib.pretraining import PretrainingSettings, pretrain
from xsim_lib.provenance import provenance
from xsim_lib.sources import Source
from xsim_lib.tokenization import train_tokenizer

__all__ = ["Checkpoint", "ModelSpec", "at_equal_loss", "device", "get"]

CODE = ("xsim_lib.batching", "xsim_lib.models", "xsim_lib.pretraining", "xsim_lib.tokenization")


class ModelSpec(BaseModel):
    """Everything that determines a trained model.

    Attributes
    ----------
    name : what figures call it, such as ``scale_post``.
    source : the text it is trained on.
    vocabulary : number of sub-words.
    encoder : keyword arguments of `EncoderConfig`.
    training : `PretrainingSettings`; its seed also draws the initial weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Source
    vocabulary: int = Field(gt=0)
    lowercase: bool = False
    encoder: dict[str, int | float | str | bool]
    training: PretrainingSettings

    @field_validator("encoder")
    @classmethod
    def _fits(cls, value: dict) -> dict:
        # A configuration of transformers keeps any keyword, so a typo would train the default.
        known = [name for name in inspect.signature(EncoderConfig).parameters if name != "kwargs"]
        for name in value:
            if name not in known:
                raise ValueError(f"expected any of {', '.join(known)}; got {name!r}")
        EncoderConfig(**value)
        return value


@dataclass(frozen=True)
class Checkpoint:
    """A trained model on disk: its specification, its loss history and a snapshot per evaluation."""

    spec: ModelSpec
    directory: Path

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per evaluation: step, tokens, learning_rate, training_loss, loss."""
        return pd.read_csv(self.directory / "history.csv")

    @cached_property
    def provenance(self) -> dict:
        """Hashes, device, seconds and versions of the training run."""
        return json.loads((self.directory / "provenance.json").read_text())

    def load(self, step: int | None = None) -> LoadedModel:
        """Load the snapshot at `step`, by default the last, in evaluation mode.

        Raises
        ------
        ValueError : there is no snapshot at that step.
        """
        steps = self.history["step"].tolist()
        step = steps[-1] if step is None else step
        if step not in steps:
            raise ValueError(f"step: {self.spec.name} has snapshots at {steps}; got {step}")
        with quiet_transformers():
            model = EncoderForMaskedLM.from_pretrained(
                self.directory / "snapshots" / f"{step:07d}", use_safetensors=True
            )
            tokenizer = AutoTokenizer.from_pretrained(self.directory / "tokenizer")
        return LoadedModel(self.spec.name, model.encoder.eval().to(device()), tokenizer)

    def at_loss(self, target: float) -> int:
        """Step of the snapshot whose held-out loss is closest to `target`."""
        return int(self.history.iloc[(self.history["loss"] - target).abs().argmin()]["step"])


def device() -> str:
    """Where models are trained and measured: the first GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def get(spec: ModelSpec, *, progress: bool = True) -> Checkpoint:
    """Return the checkpoint of a specification, training it first if it is not in the cache.

    Interrupt it whenever you like: the next call resumes at the last evaluation. Several processes
    may ask for the same model at once: one trains, the others wait for it.
    """
    corpus = spec.source.training()
    key = {
        "spec": spec.model_dump(mode="json", exclude={"name"}),
        "text": corpus.fingerprint,
        "code": hashing.code_hash(*CODE),
        "torch": torch.__version__.split("+")[0],
    }
    directory = paths.cache_dir() / "zoo" / hashing.stable_hash(key)[:16]
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / "lock"):
        if not (directory / "provenance.json").exists():
            _train(spec, corpus, key, directory, progress)
    return Checkpoint(spec, directory)


def at_equal_loss(checkpoints: dict[str, Checkpoint]) -> dict[str, tuple[LoadedModel, float]]:
    """Load every model at the held-out loss that the worst of them reaches at its end.

    Schemes that train at different speeds are then compared as equally good language models, not
    as equally long runs. Returns name -> (model, its held-out loss in nats per masked token).
    """
    target = max(c.history["loss"].iloc[-1] for c in checkpoints.values())
    chosen = {}
    for name, checkpoint in checkpoints.items():
        step = checkpoint.at_loss(target)
        row = checkpoint.history.set_index("step").loc[step]
        chosen[name] = (checkpoint.load(step), float(row["loss"]))
    return chosen


def _train(spec: ModelSpec, corpus, key: dict, directory: Path, progress: bool) -> None:
    start = pd.Timestamp.now()
    tokenizer = train_tokenizer(
        corpus, spec.vocabulary, lowercase=spec.lowercase, max_length=spec.training.max_length
    )
    torch.manual_seed(spec.training.seed)
    config = EncoderConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=spec.training.max_length,
        pad_token_id=tokenizer.pad_token_id,
        **spec.encoder,
    )
    model = EncoderForMaskedLM(config)
    model = model.to(device())
    if not (directory / "tokenizer").exists():
        with hashing.atomic_write(directory / "tokenizer") as temporary:
            tokenizer.save_pretrained(temporary)
    pretrain(model, tokenizer, corpus, spec.training, directory, progress=progress)
    record = provenance(
        code_hash=key["code"],
        data_hash=key["text"],
        seeds=[spec.training.seed],
        profile="zoo",
        parameters={**key["spec"], "name": spec.name, "n_parameters": count_parameters(model)},
        device=device(),
        seconds=(pd.Timestamp.now() - start).total_seconds(),
    )
    with hashing.atomic_write(directory / "provenance.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1))
