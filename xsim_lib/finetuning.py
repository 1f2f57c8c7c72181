"""Fine-tuning an encoder to classify sentences or pairs, as the transfer tables of the papers need.

The whole encoder is trained in one language and then read in others, without another look at labels.
A pair is one sequence, ``<s> premise </s></s> hypothesis </s>`` for XLM-R, as in the papers: the
encoder may compare words across the two sentences at every layer.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xsim_lib.classifier import (
    Classifier,
    ClassifierSettings,
    encode,
    load_classifier,
    pad,
)
from xsim_lib.fitting import FinetuningSettings, fit, freeze, is_kept, seeded, weights_hash
from xsim_lib.models import LoadedModel
from xsim_lib.texts import Classification

__all__ = [
    "Classifier",
    "ClassifierSettings",
    "FinetuningSettings",
    "Score",
    "evaluate",
    "finetune_classifier",
    "fit",
    "freeze",
    "load_classifier",
    "wilson_interval",
]


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
        identity = {"encoder": weights_hash(loaded.model), "train": train.fingerprint}
        if is_kept(directory, "classifier", {**identity, "settings": settings.model_dump()}):
            return load_classifier(directory, device=loaded.model.device)

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
    """Train; the loss of every step and the number of truncated items."""
    rows, truncated = encode(classifier, train)
    labels = torch.tensor(train.labels)

    def loss(chosen: np.ndarray) -> Tensor:
        scores = classifier(**pad(classifier, [rows[k] for k in chosen]))
        return F.cross_entropy(scores, labels[chosen].to(scores.device))

    # Not fused: the committed records hold the digits of the loop over parameters.
    losses = fit(
        classifier,
        [len(row["input_ids"]) for row in rows],
        loss,
        classifier.settings,
        description=train.language,
        progress=progress,
        fused=False,
    )
    return losses, truncated
