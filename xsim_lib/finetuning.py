"""Fine-tuning an encoder to classify sentences or pairs, as the transfer tables of the papers need.

The whole encoder is trained in one language and then read in others, without another look at labels.
A pair is one sequence, ``<s> premise </s></s> hypothesis </s>`` for XLM-R, as in the papers: the
encoder may compare words across the two sentences at every layer.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel

from xsim_lib.classifier import (
    Classifier,
    ClassifierSettings,
    description,
    encode,
    load_classifier,
    pad,
    seeded,
)
from xsim_lib.models import LoadedModel
from xsim_lib.texts import Classification

__all__ = [
    "Classifier",
    "ClassifierSettings",
    "Score",
    "evaluate",
    "finetune_classifier",
    "load_classifier",
    "wilson_interval",
]

_POOL = 50  # batches whose items are sorted by length together: random enough, little padding


@dataclass(frozen=True)
class Score:
    """Share of correct labels with its 95 % Wilson interval.

    Attributes
    ----------
    accuracy, lower, upper : float in [0, 1]
    n : number of items
    truncated : how many of them were cut to the length the model takes
    """

    accuracy: float
    n: int
    lower: float
    upper: float
    truncated: int = 0


def finetune_classifier(
    loaded: LoadedModel,
    train: Classification,
    settings: ClassifierSettings,
    *,
    directory: str | Path | None = None,
    progress: bool = True,
) -> Classifier:
    """Train a copy of an encoder, with a new head, to tell the labels of `train`.

    Parameters
    ----------
    loaded : LoadedModel
        Not changed; the copy is trained in float32 on the same device.
    train : Classification
        Single sentences, or pairs, which are encoded together by the tokenizer's own pair format.
    directory : path, optional
        Where to keep the classifier. If it already holds one of the same encoder, data and settings, that
        one is returned without training.
    progress : bool
        Show a bar with the loss and the time left.

    Returns
    -------
    Classifier in evaluation mode.

    Raises
    ------
    ValueError : no more than one label in use, an encoder spread over several GPUs, a loss that is not
        finite, or a `directory` that holds another classifier.

    Notes
    -----
    Everything random is drawn from `settings.seed` without touching the caller's generators: the same
    call gives the same weights on a CPU (and nearly so on a GPU, whose sums have no fixed order).
    Sequences longer than the model takes lose tokens from the end of the longer sentence first
    ("longest_first"); `Classifier.truncated` says how many did.
    """
    if len(set(train.labels)) < 2:
        raise ValueError(
            f"train: expected at least two labels in use, got {set(train.labels)} in {train.name}"
        )
    if len(set(getattr(loaded.model, "hf_device_map", {"": 0}).values())) > 1:
        raise ValueError(f"loaded: {loaded.name} is spread over devices; load it on one")
    identity = {}
    if directory is not None:
        identity = {"encoder": _weights_hash(loaded.model), "train": train.fingerprint}
        if (kept := description(Path(directory))) is not None:
            _check_same(Path(directory), kept, {**identity, "settings": settings.model_dump()})
            return load_classifier(directory, device=loaded.model.device)
        if Path(directory).is_dir() and any(Path(directory).iterdir()):
            raise ValueError(
                f"directory: {directory} holds other files; choose an empty or new one"
            )

    with seeded(settings.seed, loaded.model.device):
        base = copy.deepcopy(loaded.model.base_model).float().requires_grad_(True)
        classifier = Classifier(
            LoadedModel(loaded.name, base, loaded.tokenizer),
            settings,
            train.label_names,
            pairs=train.hypotheses is not None,
        )
        classifier.losses, classifier.truncated = _fit(classifier, train, progress)
    if directory is not None:
        classifier.save(directory, **identity)
    return classifier.eval()


@torch.inference_mode()
def evaluate(classifier: Classifier, data: Classification, batch: int = 64) -> Score:
    r"""Share of items whose highest score is their label.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}, \quad z = 1.96

    is the interval: Wilson's, which stays inside [0, 1] and is right for small n and extreme p.

    Parameters
    ----------
    data : Classification
        Of any language, with the classifier's label names (their order may differ).
    batch : int
        Items at once; does not change the result.

    Raises
    ------
    ValueError : other label names than in training, pairs for single sentences or the reverse.
    """
    if batch < 1:
        raise ValueError(f"batch: expected an integer >= 1, got {batch!r}")
    if set(data.label_names) != set(classifier.label_names):
        raise ValueError(
            f"data: {data.name} ({data.language}) has the labels {', '.join(data.label_names)}; the "
            f"classifier was trained on {', '.join(classifier.label_names)}"
        )
    if (data.hypotheses is not None) != classifier.pairs:
        kinds = {True: "pairs of sentences", False: "single sentences"}
        raise ValueError(
            f"data: expected {kinds[classifier.pairs]} as in training, got "
            f"{kinds[not classifier.pairs]} in {data.name} ({data.language})"
        )
    rows, truncated = encode(classifier, data)
    order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
    correct, was_training = 0, classifier.training
    classifier.eval()
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        best = classifier(**pad(classifier, [rows[k] for k in chosen])).argmax(-1).tolist()
        correct += sum(
            classifier.label_names[label] == data.label_names[data.labels[k]]
            for label, k in zip(best, chosen, strict=True)
        )
    classifier.train(was_training)
    return Score(correct / len(data), len(data), *wilson_interval(correct, len(data)), truncated)


def wilson_interval(correct: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval of a proportion (Wilson 1927); 95 % unless told otherwise."""
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"correct: expected 0 <= correct <= n and n >= 1, got {correct} of {n}")
    p = correct / n
    centre = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    lower, upper = ((centre + sign * spread) / (1 + z * z / n) for sign in (-1, 1))
    return max(0.0, lower), min(1.0, upper)


def _fit(
    classifier: Classifier, train: Classification, progress: bool
) -> tuple[tuple[float, ...], int]:
    """The training loop; the loss of every step and the number of truncated items."""
    settings = classifier.settings
    rows, truncated = encode(classifier, train)
    labels = torch.tensor(train.labels)
    optimizer = _optimizer(classifier)
    losses: list[float] = []
    classifier.train()
    bar = tqdm(total=settings.steps, desc=train.language, mininterval=1, disable=not progress)
    for step, chosen in enumerate(_batches(rows, settings), start=1):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        scores = classifier(**pad(classifier, [rows[k] for k in chosen]))
        loss = F.cross_entropy(scores, labels[chosen].to(scores.device))
        loss.backward()
        nn.utils.clip_grad_norm_(classifier.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise ValueError(
                f"learning_rate: training diverged at step {step} with {settings.learning_rate}; "
                f"expected a finite loss, got {losses[-1]}"
            )
        bar.update()
        bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
    bar.close()
    return tuple(losses), truncated


def _optimizer(classifier: Classifier) -> torch.optim.AdamW:
    """AdamW that decays matrices only: norms, scales and biases have no reason to be small."""
    groups = [
        {"params": [p for p in classifier.parameters() if p.dim() > 1]},
        {"params": [p for p in classifier.parameters() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=classifier.settings.weight_decay)


def _batches(
    rows: list[dict[str, list[int]]], settings: ClassifierSettings
) -> Iterator[np.ndarray]:
    """`steps` batches of nearly one length, every item once per epoch, in a new order each time."""
    lengths = np.array([len(row["input_ids"]) for row in rows])
    size, epoch, done = settings.batch_size, 0, 0
    while True:
        random = np.random.default_rng([settings.seed, epoch])
        order, batches = random.permutation(len(rows)), []
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


def _weights_hash(model: PreTrainedModel) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _check_same(directory: Path, kept: dict, wanted: dict) -> None:
    found = {**kept["identity"], "settings": kept["settings"]}
    if differing := [key for key in wanted if found.get(key) != wanted[key]]:
        raise ValueError(
            f"directory: {directory} holds a classifier with another {' and '.join(differing)}; "
            "choose another folder or remove it"
        )
