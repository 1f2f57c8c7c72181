"""What taggers and parsers have in common: an encoder of words under a head, its training and its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.reading.words import Sentences, WordEncoder
from xsim_lib.tasks.bilstm import BiLSTM, load_word_encoder, word_encoder
from xsim_lib.text.types import Treebank
from xsim_lib.training.fitting import (
    FinetuningSettings,
    fit,
    freeze,
    is_kept,
    keep,
    kept_description,
    load_head,
    seeded,
)

__all__ = ["WordTask", "finetune"]


class WordTask(nn.Module):
    """An encoder of words that is trained with a head; the class of the task adds `head`.

    Attributes
    ----------
    kind : what errors and the file of the description call it.
    settings_class : of `settings`.
    learned : attributes, besides the settings, that are needed to build it again; each is also a parameter
        of the class.
    words, settings : the encoder, and what it was trained as.
    losses : tuple of float, the training loss of every step.
    cut : number of training words that did not fit the longest sequence.
    """

    kind: ClassVar[str]
    settings_class: ClassVar[type[FinetuningSettings]]
    learned: ClassVar[tuple[str, ...]]
    head: nn.Module

    def __init__(
        self,
        words: WordEncoder | BiLSTM,
        settings: FinetuningSettings,
        losses: Sequence[float],
        cut: int,
    ) -> None:
        super().__init__()
        self.words, self.settings = words, settings
        self.losses, self.cut = tuple(losses), cut

    def save(self, directory: str | Path, **identity: object) -> None:
        """Write encoder, head (safetensors) and settings as one folder, or nothing."""
        content = {
            "name": self.words.name,
            "settings": self.settings.model_dump(),
            **{name: getattr(self, name) for name in self.learned},
            "losses": self.losses,
            "cut": self.cut,
            "identity": identity,
        }
        keep(directory, self.kind, content, self.head, self.words.save)

    @classmethod
    def load(cls, directory: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Load what `save` wrote, in evaluation mode; errors as in `fitting.kept_description`."""
        kept = kept_description(directory, cls.kind)
        words = load_word_encoder(Path(directory) / "encoder", device=device)
        words.name = kept["name"]
        with seeded(0, words.device):  # the head's first weights are drawn, then replaced
            model = cls(
                words,
                cls.settings_class(**kept["settings"]),
                **{name: kept[name] for name in cls.learned},
                losses=kept["losses"],
                cut=kept["cut"],
            )
        return load_head(model, directory)

    def read(self, treebank: Treebank) -> Sentences:
        """The words of a treebank as the encoder takes them."""
        forms = [[token.form for token in sentence.tokens] for sentence in treebank.sentences]
        return self.words.read(forms, self.settings.max_length)

    def learn(
        self, read: Sentences, loss: Callable[[np.ndarray], Tensor], title: str, progress: bool
    ) -> None:
        """Train in place with `fitting.fit` on sentences made by `read`."""
        self.cut = read.n_cut
        self.losses = fit(
            self, read.lengths, loss, self.settings, description=title, progress=progress
        )

    def sweep(self, treebank: Treebank, batch: int) -> Iterator[tuple[Sentences, np.ndarray]]:
        """Go once through a treebank in evaluation mode, sentences of one length together.

        Yields
        ------
        All sentences as `read` makes them, and the numbers of those in the batch.

        Raises
        ------
        ValueError : `batch` is below 1.
        """
        if batch < 1:
            raise ValueError(f"batch: expected an integer >= 1, got {batch!r}")
        read, was_training = self.read(treebank), self.training
        order = np.argsort(read.lengths, kind="stable")
        self.eval()
        for start in range(0, len(order), batch):
            yield read, order[start : start + batch]
        self.train(was_training)


Task = TypeVar("Task", bound=WordTask)


def finetune(
    kind: type[Task],
    encoder: LoadedModel | BiLSTM,
    treebank: Treebank,
    settings: FinetuningSettings,
    train: Callable[[WordEncoder | BiLSTM], Task],
    *,
    directory: str | Path | None,
    frozen: Sequence[str],
    **identity: object,
) -> Task:
    """Train a copy of an encoder under a new head, or load the same run from its folder.

    Parameters
    ----------
    train : callable
        Gets the copy, puts the head on it and trains both; what it draws comes from `settings.seed`.
    directory, frozen : as in `tagging.finetune_tagger`.
    **identity : what tells runs on the same encoder, data and settings apart.

    Returns
    -------
    What `train` made, in evaluation mode.

    Raises
    ------
    ValueError : a frozen part that does not exist, or a `directory` that holds something else.
    """
    if isinstance(frozen, str):
        raise ValueError(f"frozen: expected a sequence of names, got one string {frozen!r}")
    is_bilstm = isinstance(encoder, BiLSTM)
    if directory is not None:
        module = encoder if is_bilstm else encoder.model
        identity = {
            "encoder": model_hash(encoder),
            "train": stable_hash(treebank),
            **identity,
            "frozen": sorted(frozen),
        }
        if is_kept(directory, kind.kind, {**identity, "settings": settings.model_dump()}):
            return kind.load(directory, device=module.device)

    words = word_encoder(encoder)
    freeze(words if is_bilstm else words.model, frozen)
    with seeded(settings.seed, words.device):
        model = train(words)
    if directory is not None:
        model.save(directory, **identity)
    return model.eval()
