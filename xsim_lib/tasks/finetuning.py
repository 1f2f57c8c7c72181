"""Fine-tuning an encoder to classify sentences or pairs, as the transfer tables of the papers need.

The whole encoder is trained in one language and then read in others, without another look at labels.
A pair is one sequence, ``<s> premise </s></s> hypothesis </s>`` for XLM-R, as in the papers: the
encoder may compare words across the two sentences at every layer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from xsim_lib.indices.intervals import share_interval
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.tasks.classifier import (
    Classifier,
    ClassifierSettings,
    encode_labelled,
    load_classifier,
    pad,
)
from xsim_lib.tasks.shares import Score
from xsim_lib.text.types import Classification
from xsim_lib.training.fitting import FinetuningSettings, fit, freeze, is_kept, seeded

__all__ = [
    "Classifier",
    "ClassifierSettings",
    "FinetuningSettings",
    "evaluate_classifier",
    "finetune_classifier",
    "fit",
    "freeze",
    "load_classifier",
]


def finetune_classifier(
    loaded: LoadedModel,
    train: Classification,
    settings: ClassifierSettings,
    *,
    directory: str | Path | None = None,
    progress: bool = True,
    frozen: Sequence[str] = (),
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
    frozen : names of modules or parameters of the encoder that keep their values.

    Returns
    -------
    Classifier in evaluation mode.

    Raises
    ------
    ValueError : no more than one label in use, an encoder spread over several GPUs, a frozen part that does
        not exist, a loss that is not finite, or a `directory` that holds another classifier.

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
        identity = {
            "encoder": model_hash(loaded),
            "train": train.fingerprint,
            "frozen": sorted(frozen),
        }
        if is_kept(directory, "classifier", {**identity, "settings": settings.model_dump()}):
            return load_classifier(directory, device=loaded.model.device)

    with seeded(settings.seed, loaded.model.device):
        base = copy.deepcopy(loaded.model.base_model).float().requires_grad_(True)
        freeze(base, frozen)
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
def evaluate_classifier(classifier: Classifier, data: Classification, batch: int = 64) -> Score:
    """Share of items whose highest score is their label.

    The interval is that of `share_interval`.

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
    rows, truncated = encode_labelled(classifier, data)
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
    return Score(*share_interval(correct, len(data)), len(data), truncated)


def _fit(
    classifier: Classifier, train: Classification, progress: bool
) -> tuple[tuple[float, ...], int]:
    """Train; the loss of every step and the number of truncated items."""
    rows, truncated = encode_labelled(classifier, train)
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
