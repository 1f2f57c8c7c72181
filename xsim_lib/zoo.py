"""From a specification to a trained model: a cache in which nothing is ever half there.

A checkpoint's address is the hash of everything that determines it: the specification, the text
itself, and the code that trains. Change any of them and the model is trained anew; ask twice, at
the same time or a year apart, and it is trained once.
"""

from __future__ import annotations

import inspect
import json
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from accelerate import PartialState
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xsim_lib import hashing, paths, ranks
from xsim_lib.fitting import seeded
from xsim_lib.loading import quiet_transformers
from xsim_lib.models import (
    EncoderConfig,
    EncoderForCausalLM,
    EncoderForMaskedLM,
    LoadedModel,
    count_parameters,
)
from xsim_lib.pretraining import PretrainingSettings, pretrain
from xsim_lib.provenance import provenance
from xsim_lib.sources import Source
from xsim_lib.texts import Corpus
from xsim_lib.tokenization import train_tokenizer

__all__ = ["Checkpoint", "ModelSpec", "at_equal_loss", "device", "get"]

CODE = ("xsim_lib.batching", "xsim_lib.models", "xsim_lib.pretraining", "xsim_lib.tokenization")
_OURS = {"vocab_size", "max_position_embeddings", "kwargs"}  # of the tokenizer, of the training


class ModelSpec(BaseModel):
    """Everything that determines a trained model.

    Attributes
    ----------
    name : what figures call it, such as ``scale_post``.
    source : the text it is trained on.
    vocabulary : number of sub-words.
    encoder : keyword arguments of `EncoderConfig`.
    training : `PretrainingSettings`; its seed also draws the initial weights.
    start_from : go on from the end of this model, with its tokenizer and sizes, on `source`; made
        by `adapted`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Source
    vocabulary: int = Field(gt=0)
    lowercase: bool = False
    encoder: dict[str, int | float | str | bool]
    training: PretrainingSettings
    start_from: ModelSpec | None = None

    @field_validator("encoder")
    @classmethod
    def _fits(cls, value: dict) -> dict:
        # A configuration of transformers keeps any keyword, so a typo would train the default.
        known = [n for n in inspect.signature(EncoderConfig).parameters if n not in _OURS]
        for name in value:
            if name not in known:
                raise ValueError(f"expected any of {', '.join(known)}; got {name!r}")
        EncoderConfig(**value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        causal = bool(self.encoder.get("causal", False))
        if causal != (self.training.objective == "clm"):
            raise ValueError(
                f"objective: expected {'clm' if causal else 'mlm'!r} for an encoder with "
                f"causal={causal}, got {self.training.objective!r}"
            )
        start = self.start_from
        if start is not None:
            for name in ("vocabulary", "lowercase", "encoder"):
                if getattr(self, name) != getattr(start, name):
                    raise ValueError(
                        f"start_from: expected the {name} of {start.name}, "
                        f"{getattr(start, name)}; got {getattr(self, name)}"
                    )
            if self.training.max_length > start.training.max_length:
                raise ValueError(
                    f"max_length: {start.name} takes {start.training.max_length} tokens, "
                    f"got {self.training.max_length}"
                )
        return self

    def adapted(self, name: str, source: Source, training: PretrainingSettings) -> ModelSpec:
        """Specify this model trained further, on other text: adaptation before fine-tuning."""
        changes = {"name": name, "source": source, "training": training, "start_from": self}
        return type(self)(
            **{**{key: getattr(self, key) for key in type(self).model_fields}, **changes}
        )


@dataclass(frozen=True)
class Checkpoint:
    """A trained model on disk: its specification, its loss history and a snapshot per evaluation."""

    spec: ModelSpec
    directory: Path

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per evaluation: step, tokens, learning_rate, training_loss, loss."""
        return pd.read_csv(self.directory / "history.csv")

    @property
    def steps(self) -> list[int]:
        """Where there are snapshots."""
        return self.history["step"].tolist()

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
        step = self.steps[-1] if step is None else step
        if step not in self.steps:
            raise ValueError(f"step: {self.spec.name} has snapshots at {self.steps}; got {step}")
        model = self._language_model(step)
        return LoadedModel(self.spec.name, model.encoder.eval().to(device()), self._tokenizer())

    def at_loss(self, target: float) -> int:
        """Step of the snapshot whose held-out loss is closest to `target`."""
        return int(self.history.iloc[(self.history["loss"] - target).abs().argmin()]["step"])

    def _language_model(self, step: int) -> EncoderForMaskedLM | EncoderForCausalLM:
        folder = self.directory / "snapshots" / f"{step:07d}"
        with quiet_transformers():
            return _architecture(self.spec).from_pretrained(folder, use_safetensors=True)

    def _tokenizer(self) -> PreTrainedTokenizerBase:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(self.directory / "tokenizer")


def device() -> str:
    """Where models are trained and measured: the first GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def get(spec: ModelSpec, *, progress: bool = True) -> Checkpoint:
    """Return the checkpoint of a specification, training it first if it is not in the cache.

    Interrupt it whenever you like: the next call resumes at the last evaluation. Several processes
    may ask for the same model at once: one trains, the others wait for it. The ranks of a
    `torchrun` all have to ask, and train together.
    """
    start = None if spec.start_from is None else get(spec.start_from, progress=progress)
    corpus = spec.source.training()
    key = _key(spec, corpus)
    directory = paths.cache_dir() / "zoo" / hashing.stable_hash(key)[:16]
    directory.mkdir(parents=True, exist_ok=True)
    state = PartialState(cpu=not torch.cuda.is_available())  # joins the group of a torchrun
    # The lock keeps other runs out. Of the ranks of this one, only the first may hold it.
    with FileLock(directory / "lock") if state.is_main_process else nullcontext():
        if ranks.broadcast(not (directory / "provenance.json").exists()):
            record = _train(spec, corpus, start, key, directory, progress)
            if state.is_main_process:
                with hashing.atomic_write(directory / "provenance.json") as temporary:
                    temporary.write_text(json.dumps(record, indent=1))
        state.wait_for_everyone()
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


def _key(spec: ModelSpec, corpus: Corpus) -> dict:
    """Everything that determines the weights; the text itself, not where it came from."""
    key = {
        "spec": spec.model_dump(mode="json", exclude={"name", "source", "start_from"}),
        "languages": corpus.languages,
        "text": corpus.fingerprint,
        "code": hashing.code_hash(*CODE),
        "torch": torch.__version__.split("+")[0],
    }
    if spec.start_from is not None:
        key["start_from"] = _key(spec.start_from, spec.start_from.source.training())
    return key


def _train(
    spec: ModelSpec,
    corpus: Corpus,
    start: Checkpoint | None,
    key: dict,
    directory: Path,
    progress: bool,
) -> dict:
    """Train (or go on training) into `directory`; the provenance of the result."""
    began = pd.Timestamp.now()
    if start is None:
        tokenizer = train_tokenizer(
            corpus, spec.vocabulary, lowercase=spec.lowercase, max_length=spec.training.max_length
        )
        model = _untrained(spec, tokenizer)
    else:
        tokenizer, model = start._tokenizer(), start._language_model(start.steps[-1])
    if PartialState().is_main_process and not (directory / "tokenizer").exists():
        with hashing.atomic_write(directory / "tokenizer") as temporary:
            tokenizer.save_pretrained(temporary)
    model = model.to(device())
    pretrain(model, tokenizer, corpus, spec.training, directory, progress=progress)
    return provenance(
        code_hash=key["code"],
        data_hash=key["text"],
        seeds=[spec.training.seed],
        profile="zoo",
        parameters={**spec.model_dump(mode="json"), "n_parameters": count_parameters(model)},
        device=device(),
        seconds=(pd.Timestamp.now() - began).total_seconds(),
    )


def _architecture(spec: ModelSpec) -> type[EncoderForMaskedLM] | type[EncoderForCausalLM]:
    return EncoderForCausalLM if spec.encoder.get("causal", False) else EncoderForMaskedLM


def _untrained(
    spec: ModelSpec, tokenizer: PreTrainedTokenizerBase
) -> EncoderForMaskedLM | EncoderForCausalLM:
    config = EncoderConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=spec.training.max_length,
        pad_token_id=tokenizer.pad_token_id,
        **spec.encoder,
    )
    with seeded(spec.training.seed, torch.device("cpu")):
        return _architecture(spec)(config)
