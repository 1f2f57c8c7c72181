"""Multilingual models other than the chapter's own: trained for less, or public ones of any depth."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.indices import validation
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.loading import quiet_transformers

if TYPE_CHECKING:
    from xsim_lib.training.zoo import ModelSpec

__all__ = ["at_depth", "save_model", "shortened"]


def shortened(spec: ModelSpec, share: float) -> ModelSpec:
    """The same model, trained for a share (above 0, at most 1) of its steps, at least for one per evaluation."""
    validation.number("share", share, low=1e-6, high=1)
    training = spec.training
    steps = max(training.evaluations, round(share * training.steps))
    return spec.model_copy(update={"training": training.model_copy(update={"steps": steps})})


def save_model(loaded: LoadedModel, folder: Path) -> Path:
    """Write a model and its tokenizer as `loading.load` and the hub expect them; a folder that is there stays."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder) as temporary, quiet_transformers():
            loaded.model.save_pretrained(temporary)
            loaded.tokenizer.save_pretrained(temporary)
    return folder


def at_depth(loaded: LoadedModel, n_layers: int) -> LoadedModel:
    r"""The model read at as many layers as another one has, at the same relative depth.

    Layer k of `n_layers` is layer :math:`\lfloor k D / n + 1/2 \rfloor` of the D that the model has; the
    embeddings and the last layer are always read.

    Parameters
    ----------
    n_layers : of the monolingual models, at least 1 and at most those of the model.

    Raises
    ------
    ValueError : the model has fewer layers, so that one would be read twice.
    """
    depth = int(loaded.model.config.num_hidden_layers)
    validation.number("n_layers", n_layers, low=1, high=10**4, integer=True)
    if n_layers > depth:
        raise ValueError(f"n_layers: {loaded.name} has {depth}; got {n_layers}")
    if n_layers == depth:
        return loaded
    chosen = tuple(int(k * depth / n_layers + 0.5) for k in range(n_layers + 1))
    return LoadedModel(loaded.name, _Read(loaded.model, chosen), loaded.tokenizer)


class _Read(nn.Module):
    """An encoder of which only some hidden states are seen."""

    def __init__(self, model: nn.Module, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.model, self.layers = model, layers
        self.config = copy.deepcopy(model.config)
        self.config.num_hidden_layers = len(layers) - 1

    @property
    def device(self) -> torch.device:
        return self.model.device

    def forward(self, **inputs: Tensor | bool) -> SimpleNamespace:
        states = self.model(**inputs).hidden_states
        return SimpleNamespace(hidden_states=tuple(states[k] for k in self.layers))
