"""The one training loop of all fine-tuning, and the rules for keeping what it made.

A module says what its loss is on some items; everything else (the order of the items, the schedule,
clipping, divergence, progress) is the same for classifiers, taggers and parsers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from xsim_lib.evidence.hashing import atomic_write
from xsim_lib.training.learning_rate import warm_up_and_decay

__all__ = [
    "FinetuningSettings",
    "description",
    "fit",
    "freeze",
    "is_kept",
    "keep",
    "kept_description",
    "load_head",
    "seeded",
]

Model = TypeVar("Model", bound=nn.Module)

_HEAD = "head.safetensors"
_POOL = 50  # batches whose items are sorted by length together: random enough, little padding


class FinetuningSettings(BaseModel):
    """What a fine-tuning run is, apart from its data, its encoder and its head.

    Attributes
    ----------
    steps : number of optimizer steps.
    batch_size : items per step.
    learning_rate : peak of a schedule with linear warm-up and linear decay to 0. About 2e-5 suits
        public encoders, 1e-3 tiny ones.
    warmup : share of the steps spent warming up.
    max_length : longest sequence, special tokens included; a smaller limit of the model wins.
    seed : decides the head's first weights, the order of the items and dropout.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(1000, gt=0)
    batch_size: int = Field(32, gt=0)
    learning_rate: float = Field(2e-5, gt=0)
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0)
    max_length: int = Field(128, gt=2)
    seed: int = Field(0, ge=0)

    def rate(self, step: int) -> float:
        """Learning rate of step 1, 2, ..., `steps`."""
        return warm_up_and_decay(step, self.steps, warmup=self.warmup, peak=self.learning_rate)


def fit(
    module: nn.Module,
    lengths: Sequence[int] | np.ndarray,
    loss: Callable[[np.ndarray], Tensor],
    settings: FinetuningSettings,
    *,
    description: str = "",
    progress: bool = True,
    fused: bool = True,
) -> tuple[float, ...]:
    """Train a module in place, `settings.steps` steps of AdamW.

    Parameters
    ----------
    module : what is trained: the parameters that require a gradient, and no other.
    lengths : (n_items,) int
        Items of nearly one length share a batch, so that little computation goes into padding.
    loss : callable
        Gets the numbers of the batch's items (int64 array), returns their mean loss, a scalar tensor.
    description : what the progress bar is called.
    fused : bool
        All parameters in one kernel: 3 ms per step less for a small encoder on one core, other last
        digits than the loop over parameters.

    Returns
    -------
    The loss of every step.

    Raises
    ------
    ValueError : nothing to train, no items, or a loss that is not finite.

    Notes
    -----
    Matrices are decayed; norms, scales and biases are not, as they have no reason to be small. Every
    item is seen once per epoch, in an order drawn from `settings.seed`. Dropout draws from torch's
    global generator: wrap the call in `seeded`.
    """
    lengths = np.asarray(lengths)
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("module: expected parameters to train, got none: all of them are frozen")
    if lengths.ndim != 1 or not len(lengths):
        raise ValueError(f"lengths: expected one per item, got shape {lengths.shape}")
    optimizer = _optimizer(parameters, settings, fused)
    losses: list[float] = []
    module.train()
    bar = tqdm(total=settings.steps, desc=description, mininterval=1, disable=not progress)
    for step, chosen in enumerate(_batches(lengths, settings), start=1):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        value = loss(chosen)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, settings.clip, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(value.item())
        if not math.isfinite(losses[-1]):
            raise ValueError(
                f"learning_rate: training diverged at step {step} with {settings.learning_rate}; "
                f"expected a finite loss, got {losses[-1]}"
            )
        bar.update()
        if step % 20 == 0 or step == settings.steps:
            bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
    bar.close()
    return tuple(losses)


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """Keep parts of a model as they are: a sub-module (``"layers.0"``) or a parameter, by name.

    Raises
    ------
    ValueError : a name that the model does not have, or a part without parameters.
    """
    if isinstance(names, str):
        raise ValueError(f"frozen: expected a sequence of names, got one string {names!r}")
    for name in names:
        prefix = f"{name}."
        found = [p for key, p in model.named_parameters() if f"{key}.".startswith(prefix)]
        if not found:
            names_there = [key for key, _ in (*model.named_modules(), *model.named_parameters())]
            close = get_close_matches(name, names_there, n=4, cutoff=0.3)
            raise ValueError(
                f"frozen: {name!r} names no parameters of {type(model).__name__}; close to it are "
                f"{', '.join(close) or ', '.join(key for key, _ in model.named_children())}"
            )
        for parameter in found:
            parameter.requires_grad_(False)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed this device's generators only (`torch.manual_seed` would seed every GPU), then restore."""
    gpu = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpu):
        torch.default_generator.manual_seed(seed)
        if gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def description(directory: str | Path, kind: str) -> dict | None:
    """What stands in ``KIND.json`` of a folder; None where there is no such file."""
    path = Path(directory) / f"{kind}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def kept_description(directory: str | Path, kind: str) -> dict:
    """What stands in ``KIND.json`` of a folder; ValueError where there is no such file."""
    kept = description(directory, kind)
    if kept is None:
        raise ValueError(f"directory: no {kind}.json in {directory}")
    return kept


def is_kept(directory: str | Path, kind: str, wanted: dict) -> bool:
    """Whether a folder already holds this very run's result: same encoder, data and settings.

    Parameters
    ----------
    kind : ``"classifier"``, ``"tagger"`` or ``"parser"``; its description is ``KIND.json``, whose
        entries ``settings`` and ``identity`` are compared.
    wanted : identity of the run, with its ``settings`` (plain JSON).

    Raises
    ------
    ValueError : the folder holds another run's result, or something else.
    """
    directory = Path(directory)
    found = description(directory, kind)
    if found is None:
        if directory.is_dir() and any(directory.iterdir()):
            raise ValueError(
                f"directory: {directory} holds other files; choose an empty or new one"
            )
        return False
    held = {**found["identity"], "settings": found["settings"]}
    if differing := [key for key in wanted if held.get(key) != wanted[key]]:
        raise ValueError(
            f"directory: {directory} holds a {kind} with another {' and '.join(differing)}; "
            "choose another folder or remove it"
        )
    return True


def keep(
    directory: str | Path,
    kind: str,
    content: dict,
    head: nn.Module,
    save_encoder: Callable[[Path], None],
) -> None:
    """Write an encoder, the head on it and a description as one folder, or nothing.

    Parameters
    ----------
    kind, content : the description, plain JSON for ``KIND.json``, with the entries of `is_kept`.
    save_encoder : callable
        Gets the path of a new folder for the encoder.
    """
    with atomic_write(directory) as temporary:
        save_encoder(temporary / "encoder")
        weights = {name: value.contiguous() for name, value in head.state_dict().items()}
        save_file(weights, temporary / _HEAD, metadata={"format": "pt"})
        text = json.dumps(content, indent=2)
        (temporary / f"{kind}.json").write_text(text, encoding="utf-8")


def load_head(model: Model, directory: str | Path) -> Model:
    """Give a model's `head` the weights that `keep` wrote; the model, in evaluation mode."""
    model.head.load_state_dict(load_file(Path(directory) / _HEAD))
    return model.eval()


def _optimizer(
    parameters: list[nn.Parameter], settings: FinetuningSettings, fused: bool
) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in parameters if p.dim() > 1]},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    kernel = {"fused": True} if fused else {"foreach": True}
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=settings.weight_decay, **kernel)


def _batches(lengths: np.ndarray, settings: FinetuningSettings) -> Iterator[np.ndarray]:
    """`steps` batches of nearly one length, every item once per epoch, in a new order each time."""
    size, epoch, done = settings.batch_size, 0, 0
    while True:
        random = np.random.default_rng([settings.seed, epoch])
        order, batches = random.permutation(len(lengths)), []
        for start in range(0, len(order), _POOL * size):
            pool = order[start : start + _POOL * size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[k : k + size] for k in range(0, len(pool), size)]
        for number in random.permutation(len(batches)):
            if done == settings.steps:
                return
            done += 1
            yield batches[number]
        epoch += 1
