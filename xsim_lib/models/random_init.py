"""RANDOM-INIT: give some layers of a trained encoder back their first, random weights.

If fine-tuning can do without what a layer had learned, a model with that layer drawn anew transfers as
well as before. The other layers must not change in a single bit, or the question is another one.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from xsim_lib.models.encoder import LoadedModel

__all__ = ["layer_list", "reinitialise"]


def reinitialise(
    loaded: LoadedModel,
    layers: Sequence[int],
    *,
    initialisation: Literal["bert", "framework"] = "bert",
    seed: int,
) -> LoadedModel:
    """Copy a model with some of its transformer layers drawn anew.

    Parameters
    ----------
    loaded : LoadedModel
        Any model whose layers stand in one list: `Encoder`, BERT, XLM-R, XGLM, ... It is not changed.
    layers : ints in 0 .. L - 1
        0 is the layer above the embeddings, as in the paper's table.
    initialisation : {"bert", "framework"}
        ``"bert"``: as the architecture starts its own training, for BERT and its kin matrices from
        N(0, 0.02) and zero biases. ``"framework"``: what torch gives a layer that nobody initialises,
        uniform in :math:`\\pm 1 / \\sqrt{\\text{inputs}}`, biases too; this is what the authors' code
        in fact did.
    seed : int
        Layer k gets the same weights whichever other layers are drawn with it.

    Returns
    -------
    LoadedModel in evaluation mode.

    Raises
    ------
    ValueError : no layers, a layer that does not exist or comes twice, another initialisation, layers
        that share their weights (ALBERT), or a layer that this very seed had made.

    Notes
    -----
    ``layer.apply(model._init_weights)`` changes nothing in transformers 5, whose loaded weights are
    marked as initialised. So the weights are copied from a freshly built model, and what changed is
    compared weight by weight.

    References
    ----------
    Muller et al. (2021), section 3.1.
    """
    model = copy.deepcopy(loaded.model)
    prefix, stack = layer_list(loaded)
    chosen = _checked(layers, len(stack))
    if initialisation not in ("bert", "framework"):
        raise ValueError(f"initialisation: expected bert or framework, got {initialisation!r}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU as well
        fresh = layer_list(LoadedModel("", type(loaded.model)(loaded.model.config), None))[1]
        if initialisation == "framework":
            for part in fresh.modules():
                _reset(part)
    for number in chosen:
        model.get_submodule(f"{prefix}.{number}").load_state_dict(fresh[number].state_dict())
    _check(loaded.model, model, [f"{prefix}.{number}." for number in chosen], seed)
    names = ", ".join(map(str, chosen))
    return LoadedModel(f"{loaded.name} (random {names})", model.eval(), loaded.tokenizer)


def layer_list(loaded: LoadedModel) -> tuple[str, nn.ModuleList]:
    """Name and content of the list of a model's transformer layers.

    Raises
    ------
    ValueError : no list, or several, of as many modules as the configuration has layers.
    """
    wanted = loaded.model.config.num_hidden_layers
    found = [
        (name, part)
        for name, part in loaded.model.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == wanted
    ]
    # A list inside a layer (of heads, say) may be as long by chance: the outer one is meant.
    outer = [(n, p) for n, p in found if not any(n.startswith(f"{m}.") for m, _ in found)]
    if len(outer) != 1:
        raise ValueError(
            f"loaded: expected one list of {wanted} layers in {type(loaded.model).__name__}, got "
            f"{', '.join(name for name, _ in outer) or 'none (layers that share weights?)'}"
        )
    return outer[0]


def _reset(part: nn.Module) -> None:
    if hasattr(part, "reset_parameters"):
        part.reset_parameters()
    elif any(parameter.dim() > 1 for parameter in part.parameters(recurse=False)):
        raise ValueError(
            f"initialisation: the framework has no default for {type(part).__name__}; choose bert"
        )


def _checked(layers: Sequence[int], n_layers: int) -> list[int]:
    chosen = [int(layer) for layer in layers]
    wrong = [layer for layer in chosen if not 0 <= layer < n_layers]
    if wrong or not chosen or len(set(chosen)) != len(chosen):
        raise ValueError(
            f"layers: expected different numbers in 0..{n_layers - 1}, got {list(layers)}"
        )
    return sorted(chosen)


def _check(before: nn.Module, after: nn.Module, prefixes: list[str], seed: int) -> None:
    """Exactly these layers changed and no other, or the result is of another experiment."""
    old, new = before.state_dict(), after.state_dict()
    for name, value in old.items():
        equal = torch.equal(value, new[name])
        if not name.startswith(tuple(prefixes)):
            if not equal:
                raise RuntimeError(f"{name} was changed, but is in none of {', '.join(prefixes)}")
        elif equal and value.dim() > 1:  # norms and biases start as ones and zeros: may be equal
            raise ValueError(
                f"seed: {name} already has the weights that seed {seed} draws; choose another seed"
            )
