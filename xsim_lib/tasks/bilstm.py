"""A word encoder that knows nothing before it sees a treebank: the baseline of unseen languages.

Embeddings of words and a BiLSTM over their characters, then a BiLSTM over the sentence, as in the
baselines of Muller et al. (2021). It stands where a transformer stands under the heads of taggers and
parsers, and is trained with them from random weights.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.reading.words import Ragged, Sentences, WordEncoder, check_sentences
from xsim_lib.training.fitting import seeded

__all__ = ["BiLSTM", "BiLSTMSettings", "Forms", "load_word_encoder", "word_encoder"]

UNKNOWN = 0  # index of every word, and of every character, that training did not show


class BiLSTMSettings(BaseModel):
    """Sizes of a :class:`BiLSTM`, small enough for one core.

    Attributes
    ----------
    words, characters : width of the embeddings.
    spelling : width of a word's spelling, both directions together.
    width : width of a word's state, both directions together.
    layers : of the BiLSTM over the sentence.
    dropout : on what goes into it, between its layers, and on what comes out.
    rare : a word seen less often shares the embedding of unknown words, which is thereby trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: int = Field(32, gt=0)
    characters: int = Field(16, gt=0)
    spelling: int = Field(32, gt=0, multiple_of=2)
    width: int = Field(64, gt=0, multiple_of=2)
    layers: int = Field(1, gt=0)
    dropout: float = Field(0.3, ge=0, lt=1)
    rare: int = Field(2, gt=0)


class Forms(Sentences):
    """Sentences as word forms and their spellings; each different form is spelled once per batch."""

    def __init__(
        self, sentences: Sequence[Sequence[str]], words: dict[str, int], letters: dict[str, int]
    ) -> None:
        forms = {form: k for k, form in enumerate(dict.fromkeys(chain.from_iterable(sentences)))}
        self._sentences = Ragged([forms[word] for word in sentence] for sentence in sentences)
        self._word = np.array([words.get(form, UNKNOWN) for form in forms])
        self._letters = Ragged([letters.get(c, UNKNOWN) for c in form] for form in forms)
        self.lengths = self.counts = self.n_read = self._sentences.lengths

    def batch(self, chosen: np.ndarray) -> dict[str, Tensor]:
        """Some sentences as tensors, padded on the right.

        Returns
        -------
        ``words``, ``forms`` (n, words): the word's embedding, and its row in the other two;
        ``letters`` (forms, letters) and ``spelled`` (forms,), its spelling and the length of that;
        ``lengths`` (n,), words of each sentence. All int64, on the CPU.
        """
        # Padding repeats a form of the batch, so that no other one is spelled for its sake.
        forms = self._sentences.pad(chosen, int(self._sentences.pad(chosen[:1], 0)[0, 0]))
        different, rows = np.unique(forms, return_inverse=True)
        parts = {
            "words": self._word[forms],
            "forms": rows.reshape(forms.shape),
            "letters": self._letters.pad(different, UNKNOWN),
            "spelled": self._letters.lengths[different],
            "lengths": self._sentences.lengths[chosen],
        }
        return {name: torch.from_numpy(value) for name, value in parts.items()}


class BiLSTM(nn.Module):
    """Word embedding and character BiLSTM, then a BiLSTM over the sentence.

    Parameters
    ----------
    sentences : sequences of words
        The training text: decides which words and characters are known.
    settings : BiLSTMSettings
    seed : of the first weights (the framework's own initialisation).
    name : what figures call it.

    Attributes
    ----------
    width : number of features of a word's state.
    """

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        settings: BiLSTMSettings | None = None,
        *,
        seed: int = 0,
        name: str = "BiLSTM",
    ) -> None:
        settings = settings or BiLSTMSettings()
        sentences = check_sentences(sentences)
        counts = Counter(chain.from_iterable(sentences))
        known = [word for word in sorted(counts) if counts[word] >= settings.rare]
        self._build(settings, known, sorted(set("".join(counts))), name, seed)

    def _build(
        self, settings: BiLSTMSettings, words: list[str], letters: list[str], name: str, seed: int
    ) -> None:
        super().__init__()
        self.settings, self.name, self.width = settings, name, settings.width
        self.words = {word: k for k, word in enumerate(words, start=UNKNOWN + 1)}
        self.letters = {letter: k for k, letter in enumerate(letters, start=UNKNOWN + 1)}
        with seeded(seed, torch.device("cpu")):
            self.word_embeddings = nn.Embedding(len(words) + 1, settings.words)
            self.letter_embeddings = nn.Embedding(len(letters) + 1, settings.characters)
            self.speller = _lstm(settings.characters, settings.spelling, 1, 0.0)
            self.reader = _lstm(
                settings.words + settings.spelling,
                settings.width,
                settings.layers,
                settings.dropout if settings.layers > 1 else 0.0,
            )
        self.dropout = nn.Dropout(settings.dropout)

    @property
    def device(self) -> torch.device:
        return self.word_embeddings.weight.device

    @property
    def vocabularies(self) -> tuple[dict[str, int], dict[str, int]]:
        """The words and the letters it knows: beside its weights, what decides how it reads."""
        return self.words, self.letters

    def read(self, sentences: Sequence[Sequence[str]], max_length: int) -> Forms:
        """Prepare sentences; `max_length` limits sub-words, and there are none: nothing is cut."""
        return Forms(check_sentences(sentences), self.words, self.letters)

    def forward(
        self, words: Tensor, forms: Tensor, letters: Tensor, spelled: Tensor, lengths: Tensor
    ) -> Tensor:
        """States (n, words, width) of a batch made by `Forms.batch`; 0 where there is no word."""
        device = self.device
        spelling = pack_padded_sequence(
            self.letter_embeddings(letters.to(device)),
            spelled,
            batch_first=True,
            enforce_sorted=False,
        )
        last = self.speller(spelling)[1][0]  # (2 directions, forms, half of the width)
        spellings = last.transpose(0, 1).reshape(len(spelled), -1)
        read = torch.cat(
            [self.word_embeddings(words.to(device)), spellings[forms.to(device)]], dim=-1
        )
        packed = pack_padded_sequence(
            self.dropout(read), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True)
        return self.dropout(states)

    def save(self, directory: Path) -> None:
        """Write the weights and the vocabularies into a new folder."""
        directory.mkdir(parents=True)
        content = {
            "settings": self.settings.model_dump(),
            "words": list(self.words),
            "letters": list(self.letters),
            "name": self.name,
        }
        (directory / "bilstm.json").write_text(json.dumps(content), encoding="utf-8")
        # On a GPU the weights of an LSTM are views of one buffer, which safetensors refuses.
        state = {name: value.cpu().clone() for name, value in self.state_dict().items()}
        save_file(state, directory / "bilstm.safetensors")

    @classmethod
    def load(cls, directory: Path) -> BiLSTM:
        """Load what `save` wrote, in evaluation mode."""
        content = json.loads((directory / "bilstm.json").read_text(encoding="utf-8"))
        model = cls.__new__(cls)
        settings = BiLSTMSettings(**content.pop("settings"))
        model._build(settings, seed=0, **content)  # the weights are drawn, then replaced
        model.load_state_dict(load_file(directory / "bilstm.safetensors"))
        return model.eval()


def word_encoder(encoder: LoadedModel | BiLSTM) -> WordEncoder | BiLSTM:
    """Copy an encoder, ready to be trained as a whole under a head.

    Both kinds have ``name``, ``width``, ``device``, ``read(sentences, max_length)`` and
    ``forward(**batch)``; the head need not know which of the two it stands on.
    """
    if isinstance(encoder, BiLSTM):
        return copy.deepcopy(encoder).requires_grad_(True)
    return WordEncoder(encoder)


def load_word_encoder(directory: str | Path, *, device: str = "cpu") -> WordEncoder | BiLSTM:
    """Load what the ``save`` of either kind wrote, in evaluation mode."""
    directory = Path(directory)
    kind = BiLSTM if (directory / "bilstm.json").is_file() else WordEncoder
    return kind.load(directory).to(device)


def _lstm(inputs: int, width: int, layers: int, dropout: float) -> nn.LSTM:
    return nn.LSTM(
        inputs, width // 2, layers, batch_first=True, bidirectional=True, dropout=dropout
    )
