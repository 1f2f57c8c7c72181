"""From a specification to a trained model: a cache in which nothing is ever half there.

A checkpoint's address is the hash of what determines it: the specification and the text itself. Beside it
stands which functions trained it and what they said. Change any of these and the model is trained anew;
ask twice, at the same time or a year apart, and it is trained once.
"""

from __future__ import annotations

import json
import shutil
import time
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

from xsim_lib.evidence import hashing, paths, tracing
from xsim_lib.evidence.definitions import library
from xsim_lib.evidence.provenance import provenance_of
from xsim_lib.models.bilingual import (
    BilingualForMaskedLM,
    CodeSwitching,
    language_tokenizers,
    switch,
    table_size,
    translations,
)
from xsim_lib.models.encoder import (
    EncoderConfig,
    EncoderForCausalLM,
    EncoderForMaskedLM,
    LoadedModel,
    count_parameters,
)
from xsim_lib.models.loading import quiet_transformers
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.reading import ranks
from xsim_lib.text.types import Corpus
from xsim_lib.training import pretraining
from xsim_lib.training.fitting import seeded
from xsim_lib.training.zoo import shipping
from xsim_lib.training.zoo.spec import ModelSpec

LanguageModel = EncoderForMaskedLM | EncoderForCausalLM | BilingualForMaskedLM
Tokenizers = PreTrainedTokenizerBase | dict[str, PreTrainedTokenizerBase]

__all__ = [
    "Checkpoint",
    "ModelSpec",
    "at_equal_loss",
    "device",
    "equal_loss_steps",
    "first_losses",
    "get",
    "shipping",
]


@dataclass(frozen=True)
class Checkpoint:
    """A trained model on disk: its specification, its loss history and a snapshot per evaluation.

    Attributes
    ----------
    tokenizer : folder of its tokenizer, if that is not in `directory`. Shipped models share theirs, and have one
        snapshot.
    """

    spec: ModelSpec
    directory: Path
    tokenizer: Path | None = None

    @property
    def tokenizer_folder(self) -> Path:
        return self.tokenizer or self.directory / "tokenizer"

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per evaluation: step, tokens, learning_rate, training_loss, loss."""
        return pd.read_csv(self.directory / "history.csv")

    @property
    def steps(self) -> list[int]:
        """Where there are snapshots."""
        return [int(p.name) for p in paths.visible(self.directory, "snapshots/*")]

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
        return self._view(self.language_model(step), language)

    def views(self, step: int | None = None) -> dict[str, LoadedModel]:
        """Load the model as every language sees it; parts that languages share are the same objects."""
        model = self.language_model(step)
        return {language: self._view(model, language) for language in self.spec.source.languages}

    def at_loss(self, target: float) -> int:
        """Step of the snapshot whose held-out loss is closest to `target`."""
        known = self.history[self.history["step"].isin(self.steps)]
        return int(known.iloc[(known["loss"] - target).abs().argmin()]["step"])

    def language_model(self, step: int | None = None) -> LanguageModel:
        """Load the snapshot at `step`, by default the last, with what predicts words."""
        folder = self.directory / "snapshots" / f"{self._step(step):07d}"
        if self.spec.has_views:
            return BilingualForMaskedLM.from_pretrained(folder)
        with quiet_transformers():
            # Shipped weights are stored in half precision, and used as any others.
            return _architecture(self.spec).from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32
            )

    def tokenizers(self) -> Tokenizers:
        """Load its tokenizer, or those of its languages."""
        if self.spec.tokenization == "joint":
            return self._tokenizer()
        return {language: self._tokenizer(language) for language in self.spec.source.languages}

    def _step(self, step: int | None) -> int:
        step = self.steps[-1] if step is None else step
        if step not in self.steps:
            raise ValueError(f"step: {self.spec.name} has snapshots at {self.steps}; got {step}")
        return step

    def _view(self, model: LanguageModel, language: str | None) -> LoadedModel:
        model = model.views[language] if self.spec.has_views else model
        tokenizer = self._tokenizer(language if self.spec.tokenization != "joint" else "")
        return LoadedModel(self.spec.name, model.encoder.eval().to(device()), tokenizer)

    def _tokenizer(self, language: str = "") -> PreTrainedTokenizerBase:
        with quiet_transformers():
            folder = self.tokenizer_folder / language
            return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)


def device() -> str:
    """Where models are trained and measured: the first GPU if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def get(spec: ModelSpec, *, shipped: bool = True, progress: bool = True) -> Checkpoint:
    """Return the checkpoint of a specification: one that ships, or one from the cache, trained first if need be.

    Interrupt it whenever you like: the next call resumes at the last evaluation. Several processes
    may ask for the same model at once: one trains, the others wait for it. The ranks of a
    `torchrun` all have to ask, and train together.

    Parameters
    ----------
    shipped : False trains, or takes from the cache, also what ships.
    """
    found = shipping.find_shipped(spec) if shipped else None
    if found is not None:
        return _shipped(spec, found)
    corpus = spec.source.training()
    key = _key(spec, corpus)
    directory = paths.cache_dir() / "zoo" / hashing.stable_hash(key)[:16]
    directory.mkdir(parents=True, exist_ok=True)
    state = PartialState(cpu=not torch.cuda.is_available())  # joins the group of a torchrun
    # The lock keeps other runs out. Of the ranks of this one, only the first may hold it.
    with FileLock(directory / "lock") if state.is_main_process else nullcontext():
        if ranks.broadcast(not _finished(directory)):
            with tracing.traced() as trace:
                about = _train(spec, corpus, key, directory, progress)
            if state.is_main_process:
                record = provenance_of(**about, trace=trace.fingerprints())
                with hashing.atomic_write(directory / "provenance.json") as temporary:
                    temporary.write_text(json.dumps(record, indent=1))
        state.wait_for_everyone()
    return Checkpoint(spec, directory)


def _shipped(spec: ModelSpec, found: shipping.Shipped) -> Checkpoint:
    found.check()
    checkpoint = Checkpoint(spec, found.folder, found.tokenizers)
    found.check_tokenizer(checkpoint.tokenizers())
    return checkpoint


def _finished(directory: Path) -> bool:
    """Whether a trained model stands there whose code says the same today; what other code left is removed."""
    about = directory / "provenance.json"
    if not about.exists():
        return False
    trace = json.loads(about.read_text())["trace"]
    if not library().changed(trace):
        tracing.include(trace)
        return True
    about.unlink()  # first: a folder without it is unfinished
    shutil.rmtree(directory / "snapshots", ignore_errors=True)
    shutil.rmtree(directory / "tokenizer", ignore_errors=True)
    return False


def at_equal_loss(checkpoints: dict[str, Checkpoint]) -> dict[str, tuple[LoadedModel, float]]:
    """Load every model at the held-out loss that the worst of them reaches at its end.

    Schemes that train at different speeds are then compared as equally good language models, not
    as equally long runs. Returns name -> (model, its held-out loss in nats per masked token).
    """
    chosen = {}
    for name, step in equal_loss_steps(checkpoints).items():
        checkpoint = checkpoints[name]
        row = checkpoint.history.set_index("step").loc[step]
        chosen[name] = (checkpoint.load(step), float(row["loss"]))
    return chosen


def equal_loss_steps(checkpoints: dict[str, Checkpoint]) -> dict[str, int]:
    """The steps of the snapshots that `at_equal_loss` loads."""
    target = max(c.history["loss"].iloc[-1] for c in checkpoints.values())
    return {name: checkpoint.at_loss(target) for name, checkpoint in checkpoints.items()}


def first_losses(spec: ModelSpec, n: int) -> list[float]:
    """Train anew for a few steps and keep nothing: the loss of each, see `pretraining.training_losses`."""
    corpus = spec.source.training()
    tokenizers, model, rewrite = _beginning(spec, corpus, progress=False)
    return pretraining.training_losses(
        model.to(device()), tokenizers, corpus, spec.training, n, rewrite=rewrite
    )


def _key(spec: ModelSpec, corpus: Corpus) -> dict:
    """Everything that determines the weights but the code; the text itself, not where it came from."""
    parts = {"tokenization", "separate_embeddings", "separate_layers", "code_switch"}
    key = {
        "spec": spec.model_dump(mode="json", exclude={"name", "source", "start_from", *parts}),
        "languages": corpus.languages,
        "text": corpus.fingerprint,
        "torch": torch.__version__.split("+")[0],
    }
    if spec.is_bilingual:
        key["parts"] = spec.model_dump(mode="json", include=parts)
    if spec.code_switch is not None:
        key["translations"] = _translations(spec)
    if spec.start_from is not None:
        start = shipping.find_shipped(spec.start_from)
        key["start_from"] = (
            _key(spec.start_from, spec.start_from.source.training())
            if start is None
            else {"shipped": start.about["sha256"]}
        )
    return key


def _translations(spec: ModelSpec) -> dict[str, dict[str, tuple[str, ...]]]:
    source = spec.source
    return translations(source.dictionary(*pair) for pair in permutations(source.languages, 2))


def _train(
    spec: ModelSpec,
    corpus: Corpus,
    key: dict,
    directory: Path,
    progress: bool,
) -> dict:
    """Train (or go on training) into `directory`; what the provenance says but the code."""
    began, cpu = pd.Timestamp.now(), time.process_time()
    tokenizers, model, rewrite = _beginning(spec, corpus, progress=progress)
    if PartialState().is_main_process:
        shutil.rmtree(directory / "tokenizer", ignore_errors=True)  # of other code, perhaps
        with hashing.atomic_write(directory / "tokenizer") as temporary:
            for language, tokenizer in _by_language(tokenizers).items():
                tokenizer.save_pretrained(temporary / language)
    model = model.to(device())
    pretraining.pretrain(
        model, tokenizers, corpus, spec.training, directory, rewrite=rewrite, progress=progress
    )
    snapshots = paths.visible(directory, "snapshots/*/*.safetensors")
    return {
        "text": {"training": key["text"]},
        "seeds": [spec.training.seed],
        "profile": "zoo",
        "parameters": {**spec.model_dump(mode="json"), "n_parameters": count_parameters(model)},
        "weights": {f.parent.name: hashing.file_sha256(f)[:16] for f in snapshots},
        "device": device(),
        "seconds": (pd.Timestamp.now() - began).total_seconds(),
        "cpu_seconds": time.process_time() - cpu,
    }


def _beginning(
    spec: ModelSpec, corpus: Corpus, *, progress: bool
) -> tuple[Tokenizers, LanguageModel, pretraining.Rewrite | None]:
    """What training begins with: tokenizers, first weights, and how batches are changed."""
    # Within this model's trace: whoever changes how the first one was trained changes this one.
    start = None if spec.start_from is None else get(spec.start_from, progress=progress)
    if start is None:
        tokenizers = _tokenizers(spec, corpus)
        model = _untrained(spec, tokenizers)
    else:
        tokenizers, model = start.tokenizers(), start.language_model()
    if spec.code_switch is None:
        return tokenizers, model, None
    return tokenizers, model, partial(_rewrite, _translations(spec), spec.code_switch)


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
