"""An encoder with a classification head: what it reads, how it is kept, how text gets into it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.loading import load, quiet_transformers, token_limit
from xsim_lib.text.types import Classification
from xsim_lib.training.fitting import FinetuningSettings, keep, kept_description, load_head, seeded

__all__ = ["Classifier", "ClassifierSettings", "load_classifier"]


class ClassifierSettings(FinetuningSettings):
    """What a run of `finetune_classifier` is, apart from its data and its encoder.

    Attributes
    ----------
    steps, batch_size, learning_rate, warmup, weight_decay, clip, max_length, seed :
        as in `FinetuningSettings`.
    pooling : what the head reads, the mean over the tokens (special ones included, padding not) or the
        first token. Use the mean for causal models, whose first token sees no other.
    dropout : on what the head reads and inside it; the encoder keeps its own.
    hidden_layer : RoBERTa's head (dense, tanh, linear) instead of a linear one.
    """

    pooling: Literal["mean", "first"] = "first"
    dropout: float = Field(0.1, ge=0, lt=1)
    hidden_layer: bool = True


class Classifier(nn.Module):
    """An encoder with a classification head.

    Attributes
    ----------
    settings, label_names, pairs : what it was trained as; `pairs` is True for pairs of sentences.
    losses : tuple of float, the training loss of every step (nats per item).
    truncated : number of training items that were cut to the length the model takes.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        settings: ClassifierSettings,
        label_names: Sequence[str],
        *,
        pairs: bool,
        losses: Sequence[float] = (),
        truncated: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.tokenizer, self.settings = loaded.name, loaded.tokenizer, settings
        self.label_names, self.pairs = tuple(label_names), pairs
        self.losses, self.truncated = tuple(losses), truncated
        self.model: PreTrainedModel = loaded.model
        width, classes = self.model.config.hidden_size, len(self.label_names)
        dense = [nn.Linear(width, width), nn.Tanh(), nn.Dropout(settings.dropout)]
        self.head = nn.Sequential(
            nn.Dropout(settings.dropout),
            *(dense if settings.hidden_layer else []),
            nn.Linear(width, classes),
        )
        for layer in self.head:
            if isinstance(layer, nn.Linear):  # as BERT: the framework's default is uniform
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.to(self.model.device)

    @property
    def encoder(self) -> LoadedModel:
        """The fine-tuned encoder, for comparing its representations like any other model's."""
        return LoadedModel(f"{self.name} (fine-tuned)", self.model, self.tokenizer)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Scores (batch, classes) of sequences (batch, length)."""
        extra = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.model(input_ids, attention_mask=attention_mask, **extra).last_hidden_state
        if self.settings.pooling == "first":
            return self.head(states[:, 0])
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        return self.head((states * weights).sum(1) / weights.sum(1))

    def save(self, directory: str | Path, **identity: object) -> None:
        """Write encoder, tokenizer, head (safetensors) and settings as one folder, or nothing."""
        content = {
            "name": self.name,
            "settings": self.settings.model_dump(),
            "label_names": self.label_names,
            "pairs": self.pairs,
            "losses": self.losses,
            "truncated": self.truncated,
            "identity": identity,
        }
        keep(directory, "classifier", content, self.head, self._save_encoder)

    def _save_encoder(self, directory: Path) -> None:
        with quiet_transformers():
            self.model.save_pretrained(directory)
            self.tokenizer.save_pretrained(directory)


def load_classifier(directory: str | Path, *, device: str | torch.device = "cpu") -> Classifier:
    """Load what `Classifier.save` wrote, in evaluation mode.

    Raises
    ------
    ValueError : no classifier in the folder, or weights that do not fit (see `loading.load`).
    """
    kept = kept_description(directory, "classifier")
    encoder = load(Path(directory) / "encoder", device=device)
    named = LoadedModel(kept["name"], encoder.model, encoder.tokenizer)
    with seeded(0, encoder.model.device):  # the head's first weights are drawn, then replaced
        classifier = Classifier(
            named,
            ClassifierSettings(**kept["settings"]),
            kept["label_names"],
            pairs=kept["pairs"],
            losses=kept["losses"],
            truncated=kept["truncated"],
        )
    return load_head(classifier, directory)


def encode_labelled(
    classifier: Classifier, data: Classification
) -> tuple[list[dict[str, list[int]]], int]:
    """Token ids (and BERT's sentence numbers) of every item, and how many had to be cut."""
    tokenizer, config = classifier.tokenizer, classifier.model.config
    limit = min(classifier.settings.max_length, token_limit(classifier.encoder))
    texts = [data.premises] if data.hypotheses is None else [data.premises, data.hypotheses]
    two_types = getattr(config, "type_vocab_size", 0) > 1
    keys = ["input_ids", "token_type_ids"] if two_types else ["input_ids"]
    # Not verbose: it would warn of the long items, which are cut and counted below.
    encoded = tokenizer(*map(list, texts), return_token_type_ids=two_types, verbose=False)
    long = [k for k, ids in enumerate(encoded["input_ids"]) if len(ids) > limit]
    rows = [{key: encoded[key][k] for key in keys} for k in range(len(data))]
    if long:
        cut = tokenizer(
            *([column[k] for k in long] for column in texts),
            return_token_type_ids=two_types,
            truncation="longest_first",
            max_length=limit,
        )
        for position, k in enumerate(long):
            rows[k] = {key: cut[key][position] for key in keys}
    return rows, len(long)


def pad(classifier: Classifier, rows: list[dict[str, list[int]]]) -> dict[str, Tensor]:
    """Stack rows as (batch, longest) tensors on the model's device, padded on the right."""
    batch = classifier.tokenizer.pad(rows, padding_side="right", return_tensors="pt")
    return dict(batch.to(classifier.model.device))
