"""Part-of-speech and entity tagging: fine-tune in one language, read in others.

A linear layer on the state of every word's first sub-word, trained together with the encoder, as in the
papers. Whatever the encoder could not read, because the sentence was too long for it, counts as wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.reading.words import Ragged, WordEncoder
from xsim_lib.tasks.bilstm import BiLSTM
from xsim_lib.tasks.bio_spans import Convention, f1, span_counts
from xsim_lib.tasks.shares import Score, score, share
from xsim_lib.tasks.wordtask import WordTask, finetune
from xsim_lib.text.types import UPOS, Treebank
from xsim_lib.training.fitting import FinetuningSettings

__all__ = [
    "Tagger",
    "TaggerSettings",
    "evaluate_tagger",
    "finetune_tagger",
    "load_tagger",
    "tag",
]

_NO_TAG = -100  # the label of a cell without a word
_FIELDS = {"pos": "upos", "ner": "entity"}


class TaggerSettings(FinetuningSettings):
    """What a run of `finetune_tagger` is, apart from its data and its encoder.

    Attributes
    ----------
    steps, batch_size, learning_rate, warmup, weight_decay, clip, max_length, seed :
        as in `FinetuningSettings`; items are sentences.
    dropout : on what the head reads; the encoder keeps its own.
    """

    dropout: float = Field(0.1, ge=0, lt=1)


class Tagger(WordTask):
    """An encoder of words with a linear layer on top.

    Attributes
    ----------
    words : the encoder, `WordEncoder` or `BiLSTM`.
    settings, task, labels : what it was trained as.
    losses : tuple of float, the training loss of every step (nats per word).
    cut : number of training words that did not fit the longest sequence.
    """

    kind = "tagger"
    settings_class = TaggerSettings
    learned = ("task", "labels")

    def __init__(
        self,
        words: WordEncoder | BiLSTM,
        settings: TaggerSettings,
        task: Literal["pos", "ner"],
        labels: Sequence[str],
        *,
        losses: Sequence[float] = (),
        cut: int = 0,
    ) -> None:
        super().__init__(words, settings, losses, cut)
        self.task, self.labels = task, tuple(labels)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(words.width, len(self.labels), device=words.device)
        nn.init.normal_(self.head.weight, std=0.02)  # as BERT: the framework's default is uniform
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Scores (n, words, labels) of a batch of `words.read`; any where there is no word."""
        return self.head(self.dropout(self.words(**batch)))


def finetune_tagger(
    encoder: LoadedModel | BiLSTM,
    treebank: Treebank,
    settings: TaggerSettings,
    *,
    task: Literal["pos", "ner"],
    directory: str | Path | None = None,
    progress: bool = True,
    frozen: Sequence[str] = (),
) -> Tagger:
    """Train a copy of an encoder, with a new head, to tag the words of a treebank.

    Parameters
    ----------
    encoder : LoadedModel, or `BiLSTM`
        Not changed; the copy is trained in float32 on the same device.
    treebank : Treebank
        For ``"pos"`` the universal tags are learned, for ``"ner"`` the entities in BIO.
    directory : path, optional
        Where to keep the tagger. If it already holds one of the same run, that one is returned.
    frozen : names of modules or parameters of the encoder, such as ``"word_embeddings"``, that keep
        their weights bit for bit.

    Returns
    -------
    Tagger in evaluation mode.

    Raises
    ------
    ValueError : another task, a treebank without tags for it to tell apart, a frozen part that does not exist,
        a loss that is not finite, or a `directory` that holds something else.

    Notes
    -----
    The loss is the mean over the words of a batch that have a state. Everything random is drawn from
    `settings.seed`; the caller's generators are left alone.
    """
    labels = _labels(treebank, task)

    def train(words: WordEncoder | BiLSTM) -> Tagger:
        tagger = Tagger(words, settings, task, labels)
        _fit(tagger, treebank, progress)
        return tagger

    return finetune(
        Tagger, encoder, treebank, settings, train, directory=directory, frozen=frozen, task=task
    )


def load_tagger(directory: str | Path, *, device: str | torch.device = "cpu") -> Tagger:
    """Load what `Tagger.save` wrote, in evaluation mode.

    Raises
    ------
    ValueError : no tagger in the folder, or weights that do not fit (see `loading.load`).
    """
    return Tagger.load(directory, device=device)


@torch.inference_mode()
def tag(tagger: Tagger, treebank: Treebank, *, batch: int = 64) -> list[list[str | None]]:
    """Predicted tags of every sentence.

    Parameters
    ----------
    batch : int
        Sentences at once; does not change the result.

    Returns
    -------
    One list per sentence, one tag per word; None for a word beyond the longest sequence.
    """
    predicted: list[list[str | None]] = [[] for _ in treebank.sentences]
    for read, chosen in tagger.sweep(treebank, batch):
        best = tagger(read.batch(chosen)).argmax(-1).tolist()
        for number, row in zip(chosen, best, strict=True):
            known = [tagger.labels[label] for label in row[: read.n_read[number]]]
            predicted[number] = known + [None] * int(read.counts[number] - len(known))
    return predicted


def evaluate_tagger(
    tagger: Tagger,
    treebank: Treebank,
    *,
    convention: Convention = "conlleval",
    batch: int = 64,
) -> Score:
    """Accuracy over words (``"pos"``), or micro-averaged F1 over entities (``"ner"``).

    Parameters
    ----------
    treebank : Treebank
        Of any language.
    convention : how predicted ``I-`` that continue nothing are read, see `bio_spans.entity_spans`.

    Returns
    -------
    Score, with a bootstrap interval over sentences. Words beyond the longest sequence are wrong: as
    tags, and as entities that were not found.

    Raises
    ------
    ValueError : fewer than two sentences, a treebank without the task's tags, no entities at all, or a type of entity that the tagger never
        learned.
    """
    treebank.require(tagger.task)
    gold = _tags(treebank, tagger.task)
    if tagger.task == "ner":
        known = {label[2:] for label in tagger.labels}
        kinds = {label[2:] for row in gold for label in row}
        if kinds == {""}:
            raise ValueError(f"treebank: {treebank.name} ({treebank.language}) has no entities")
        if new := kinds - known:
            raise ValueError(
                f"treebank: {treebank.name} ({treebank.language}) has entities of type "
                f"{', '.join(sorted(new))}; the tagger learned {', '.join(sorted(known - {''}))}"
            )
    predicted = tag(tagger, treebank, batch=batch)
    cut = sum(label is None for row in predicted for label in row)
    if tagger.task == "ner":
        counts = np.array(
            [
                span_counts(right, [label or "O" for label in row], convention)
                for right, row in zip(gold, predicted, strict=True)
            ]
        )
        return score(counts, f1, counts[:, 2].sum(), cut=cut)
    counts = np.array(
        [
            (sum(x == y for x, y in zip(right, row, strict=True)), len(right))
            for right, row in zip(gold, predicted, strict=True)
        ]
    )
    return score(counts, share, counts[:, 1].sum(), cut=cut)


def _fit(tagger: Tagger, treebank: Treebank, progress: bool) -> None:
    read = tagger.read(treebank)
    number = {label: k for k, label in enumerate(tagger.labels)}
    labels = Ragged(
        [number[label] for label in row[:n]]
        for row, n in zip(_tags(treebank, tagger.task), read.n_read, strict=True)
    )

    def loss(chosen: np.ndarray) -> Tensor:
        scores = tagger(read.batch(chosen))
        wanted = torch.from_numpy(labels.pad(chosen, _NO_TAG)).to(scores.device)
        return F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), ignore_index=_NO_TAG)

    tagger.learn(read, loss, f"{treebank.language} {tagger.task}", progress)


def _labels(treebank: Treebank, task: str) -> tuple[str, ...]:
    """Every tag the task may give: those of the standard, or ``O`` and the types that are there."""
    if task not in _FIELDS:
        raise ValueError(f"task: expected pos or ner, got {task!r}")
    treebank.require(task)
    used = {label for row in _tags(treebank, task) for label in row}
    if len(used) < 2:
        raise ValueError(
            f"treebank: expected at least two tags to tell apart, got {used} in {treebank.name}"
        )
    if task == "pos":
        return UPOS
    kinds = sorted({label[2:] for label in used} - {""})
    return ("O", *(f"{letter}-{kind}" for kind in kinds for letter in "BI"))


def _tags(treebank: Treebank, task: str) -> list[list[str]]:
    field = _FIELDS[task]
    return [[getattr(token, field) for token in s.tokens] for s in treebank.sentences]
