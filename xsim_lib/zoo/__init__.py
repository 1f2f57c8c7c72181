"""From a specification to a trained model: a cache in which nothing is ever half there.

A checkpoint's address is the hash of everything that determines it: the specification, the text
itself, and the code that trains. Change any of them and the model is trained anew; ask twice, at
the same time or a year apart, and it is trained once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import permutations
from pathlib import Path

import pandas as pd
import torch
from accelerate import PartialState
from filelock import FileLock
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xsim_lib import hashing, paths, ranks
from xsim_lib.bilingual import (
    BilingualForMaskedLM,
    CodeSwitching,
    language_tokenizers,
    switch,
    table_size,
    translations,
)
from xsim_lib.fitting import seeded
from xsim_lib.loading import quiet_transformers
from xsim_lib.models import (
    EncoderConfig,
    EncoderForCausalLM,
    EncoderForMaskedLM,
    LoadedModel,
    count_parameters,
)
from xsim_lib.pretraining import pretrain
from xsim_lib.provenance import provenance
from xsim_lib.texts import Corpus
from xsim_lib.tokenization import train_tokenizer
from xsim_lib.zoo.spec import ModelSpec

LanguageModel = EncoderForMaskedLM | EncoderForCausalLM | BilingualForMaskedLM
Tokenizers = PreTrainedTokenizerBase | dict[str, PreTrainedTokenizerBase]

__all__ = ["Checkpoint", "ModelSpec", "at_equal_loss", "device", "get"]

CODE = ("xsim_lib.batching", "xsim_lib.models", "xsim_lib.pretraining", "xsim_lib.tokenization")
BILINGUAL = "xsim_lib.bilingual"  # decides the weights of the models that use it, and of no other


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

    def load(self, step: int | None = None, language: str | None = None) -> LoadedModel:
        """Load the snapshot at `step`, by default the last, in evaluation mode.

        Parameters
        ----------
        language : str, optional
            Whose view of the model: needed where weights or tokenizers are language-specific.

        Raises
        ------
        ValueError : there is no snapshot at that step, or no such language, or none was given.
        """
        if language is not None or self.spec.needs_language:
            known = self.spec.source.languages
            if language not in known:
                raise ValueError(
                    f"language: {self.spec.name} was trained on {', '.join(known)}; got {language!r}"
                )
        model = self._language_model(self._step(step))
        return self._view(model, language)

    def views(self, step: int | None = None) -> dict[str, LoadedModel]:
        """Load the model as every language sees it; parts that languages share are the same objects."""
        model = self._language_model(self._step(step))
        return {language: self._view(model, language) for language in self.spec.source.languages}

    def at_loss(self, target: float) -> int:
        """Step of the snapshot whose held-out loss is closest to `target`."""
        return int(self.history.iloc[(self.history["loss"] - target).abs().argmin()]["step"])

    def _step(self, step: int | None) -> int:
        step = self.steps[-1] if step is None else step
        if step not in self.steps:
            raise ValueError(f"step: {self.spec.name} has snapshots at {self.steps}; got {step}")
        return step

    def _view(self, model: LanguageModel, language: str | None) -> LoadedModel:
        model = model.views[language] if self.spec.has_views else model
        tokenizer = self._tokenizer(language if self.spec.tokenization != "joint" else "")
        return LoadedModel(self.spec.name, model.encoder.eval().to(device()), tokenizer)

    def _language_model(self, step: int) -> LanguageModel:
        folder = self.directory / "snapshots" / f"{step:07d}"
        if self.spec.has_views:
            return BilingualForMaskedLM.from_pretrained(folder)
        with quiet_transformers():
            return _architecture(self.spec).from_pretrained(folder, use_safetensors=True)

    def _tokenizer(self, language: str = "") -> PreTrainedTokenizerBase:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(self.directory / "tokenizer" / language)


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
    parts = {"tokenization", "separate_embeddings", "separate_layers", "code_switch"}
    key = {
        "spec": spec.model_dump(mode="json", exclude={"name", "source", "start_from", *parts}),
        "languages": corpus.languages,
        "text": corpus.fingerprint,
        "code": hashing.code_hash(*CODE, *([BILINGUAL] if spec.is_bilingual else [])),
        "torch": torch.__version__.split("+")[0],
    }
    if spec.is_bilingual:
        key["parts"] = spec.model_dump(mode="json", include=parts)
    if spec.code_switch is not None:
        key["translations"] = _translations(spec)
    if spec.start_from is not None:
        key["start_from"] = _key(spec.start_from, spec.start_from.source.training())
    return key


def _translations(spec: ModelSpec) -> dict[str, dict[str, tuple[str, ...]]]:
    source = spec.source
    return translations(source.dictionary(*pair) for pair in permutations(source.languages, 2))


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
        tokenizers = _tokenizers(spec, corpus)
        model = _untrained(spec, tokenizers)
    else:
        tokenizers, model = start._tokenizer(), start._language_model(start.steps[-1])
    if PartialState().is_main_process and not (directory / "tokenizer").exists():
        with hashing.atomic_write(directory / "tokenizer") as temporary:
            for language, tokenizer in _by_language(tokenizers).items():
                tokenizer.save_pretrained(temporary / language)
    model = model.to(device())
    rewrite = None
    if spec.code_switch is not None:
        rewrite = partial(_rewrite, key["translations"], spec.code_switch)
    pretrain(
        model, tokenizers, corpus, spec.training, directory, rewrite=rewrite, progress=progress
    )
    return provenance(
        code_hash=key["code"],
        data_hash=key["text"],
        seeds=[spec.training.seed],
        profile="zoo",
        parameters={**spec.model_dump(mode="json"), "n_parameters": count_parameters(model)},
        device=device(),
        seconds=(pd.Timestamp.now() - began).total_seconds(),
    )


def _rewrite(
    words: dict[str, dict[str, tuple[str, ...]]],
    settings: CodeSwitching,
    sentences: Sequence[str],
    language: str,
    seed: tuple[int, int],
) -> list[str]:
    return switch(sentences, words[language], settings, seed=seed)


def _tokenizers(spec: ModelSpec, corpus: Corpus) -> Tokenizers:
    options = {"lowercase": spec.lowercase, "max_length": spec.training.max_length}
    if spec.tokenization == "joint":
        return train_tokenizer(corpus, spec.vocabulary, **options)
    options["separate_embeddings"] = spec.separate_embeddings
    return language_tokenizers(corpus, spec.vocabulary, spec.tokenization, **options)


def _by_language(tokenizers: Tokenizers) -> dict[str, PreTrainedTokenizerBase]:
    """Where each tokenizer is kept: one for all in the folder itself."""
    return tokenizers if isinstance(tokenizers, dict) else {"": tokenizers}


def _architecture(spec: ModelSpec) -> type[EncoderForMaskedLM] | type[EncoderForCausalLM]:
    return EncoderForCausalLM if spec.encoder.get("causal", False) else EncoderForMaskedLM


def _untrained(spec: ModelSpec, tokenizers: Tokenizers) -> LanguageModel:
    found = _by_language(tokenizers)
    options = {
        "max_position_embeddings": spec.training.max_length,
        "pad_token_id": next(iter(found.values())).pad_token_id,
        **spec.encoder,
    }
    with seeded(spec.training.seed, torch.device("cpu")):
        if not spec.has_views:
            config = EncoderConfig(vocab_size=table_size(found.values()), **options)
            return _architecture(spec)(config)
        own = {"separate_embeddings": spec.separate_embeddings}
        own["separate_layers"] = spec.separate_layers
        sizes = {
            language: table_size([found[language]] if spec.separate_embeddings else found.values())
            for language in spec.source.languages
        }
        return BilingualForMaskedLM(
            {k: EncoderConfig(vocab_size=size, **options, **own) for k, size in sizes.items()}
        )
