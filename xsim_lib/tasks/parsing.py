"""Dependency parsing: a biaffine parser on an encoder, fine-tuned in one language and read in others.

As in the papers, the parser reads a word at its first sub-word and knows nothing but the words, no tags.
Unlike the code of Wu & Conneau et al. (2020), which gives arcs from the root neither a score nor a loss
and so never learns what the root of a sentence is, the root is a learned vector that competes with the
words for being a head. Their code also drops what is beyond the longest sequence from the score; here
such words count as wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.reading.words import Ragged, WordEncoder
from xsim_lib.tasks.attachment import UNREAD, attachment_scores
from xsim_lib.tasks.bilstm import BiLSTM
from xsim_lib.tasks.shares import Score
from xsim_lib.tasks.wordtask import WordTask, finetune
from xsim_lib.text.dependencies import best_trees
from xsim_lib.text.types import Treebank, TreebankSentence
from xsim_lib.training.fitting import FinetuningSettings

__all__ = [
    "Parser",
    "ParserSettings",
    "evaluate_parser",
    "finetune_parser",
    "load_parser",
    "parse",
]

_NONE = -100  # head and relation of a cell without a word, or whose head was not read


class ParserSettings(FinetuningSettings):
    """What a run of `finetune_parser` is, apart from its data and its encoder.

    Attributes
    ----------
    steps, batch_size, learning_rate, warmup, weight_decay, clip, max_length, seed :
        as in `FinetuningSettings`; items are sentences.
    arc, label : width of what a word is turned into, as a head and as a dependent, before arcs and
        relations are scored. Tiny encoders need less.
    dropout : on words and on both of these.
    subtypes : learn whole relations (``acl:relcl``) instead of their universal part, which is all that
        languages share.
    """

    arc: int = Field(512, gt=0)
    label: int = Field(128, gt=0)
    dropout: float = Field(0.33, ge=0, lt=1)
    subtypes: bool = False


class Biaffine(nn.Module):
    r"""Scores of heads and relations from states of words.

    With :math:`d_i` and :math:`h_j` a word as dependent and another (or the root, j = 0) as head, each
    its state through a layer of its own with an ELU,

    .. math:: s_{ij} = d_i^\top U h_j + u^\top h_j, \qquad
        r_{ijk} = d_i'^\top V_k h_j' + v_k^\top [d_i'; h_j'] + c_k

    References
    ----------
    Dozat & Manning (2017), Eq. 4-9.
    """

    def __init__(self, width: int, relations: int, settings: ParserSettings) -> None:
        super().__init__()
        self.root = nn.Parameter(torch.empty(width))
        self.dropout = nn.Dropout(settings.dropout)
        arc, label = settings.arc, settings.label
        self.arc_dependent, self.arc_head = nn.Linear(width, arc), nn.Linear(width, arc)
        self.label_dependent, self.label_head = nn.Linear(width, label), nn.Linear(width, label)
        self.arc_matrix = nn.Linear(arc, arc, bias=False)
        self.arc_prior = nn.Linear(arc, 1, bias=False)
        self.label_matrices = nn.Parameter(torch.empty(relations * label, label))
        self.label_prior = nn.Linear(2 * label, relations)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)  # nothing is preferred at first
        nn.init.normal_(self.root)
        for layer in (self.arc_dependent, self.arc_head, self.label_dependent, self.label_head):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From states (n, words, width): arc scores (n, words, words + 1), column 0 the root;
        dependents (n, words, label) and heads (n, words + 1, label) for `relations`."""
        root = self.root.expand(len(states), 1, -1)
        words = self.dropout(states)
        candidates = torch.cat([self.dropout(root), words], dim=1)
        heads = self._layer(self.arc_head, candidates)
        arcs = self.arc_matrix(self._layer(self.arc_dependent, words)) @ heads.transpose(1, 2)
        return (
            arcs + self.arc_prior(heads).transpose(1, 2),
            self._layer(self.label_dependent, words),
            self._layer(self.label_head, candidates),
        )

    def relations(self, dependents: Tensor, heads: Tensor) -> Tensor:
        """Scores (m, relations) of m pairs, each (m, label)."""
        mixed = F.linear(dependents, self.label_matrices).unflatten(1, (-1, heads.shape[1]))
        return (mixed @ heads.unsqueeze(2)).squeeze(2) + self.label_prior(
            torch.cat([dependents, heads], dim=1)
        )

    def _layer(self, layer: nn.Linear, states: Tensor) -> Tensor:
        return self.dropout(F.elu(layer(states)))


class Parser(WordTask):
    """An encoder of words with a biaffine head.

    Attributes
    ----------
    words : the encoder, `WordEncoder` or `BiLSTM`.
    settings, relations : what it was trained as.
    losses : tuple of float, the training loss of every step (nats per word, arc and relation together).
    cut : number of training words that did not fit the longest sequence.
    """

    kind = "parser"
    settings_class = ParserSettings
    learned = ("relations",)

    def __init__(
        self,
        words: WordEncoder | BiLSTM,
        settings: ParserSettings,
        relations: Sequence[str],
        *,
        losses: Sequence[float] = (),
        cut: int = 0,
    ) -> None:
        super().__init__(words, settings, losses, cut)
        self.relations = tuple(relations)
        self.head = Biaffine(words.width, len(self.relations), settings).to(words.device)


def finetune_parser(
    encoder: LoadedModel | BiLSTM,
    treebank: Treebank,
    settings: ParserSettings,
    *,
    directory: str | Path | None = None,
    progress: bool = True,
    frozen: Sequence[str] = (),
) -> Parser:
    """Train a copy of an encoder, with a new head, to find the trees of a treebank.

    Parameters
    ----------
    encoder : LoadedModel, or `BiLSTM`
        Not changed; the copy is trained in float32 on the same device.
    directory : path, optional
        Where to keep the parser. If it already holds one of the same run, that one is returned.
    frozen : names of modules or parameters of the encoder, such as ``"word_embeddings"``, that keep
        their weights bit for bit.

    Returns
    -------
    Parser in evaluation mode.

    Raises
    ------
    ValueError : a treebank without trees, a frozen part that does not exist, a loss that is not finite,
        or a `directory` that holds something else.

    Notes
    -----
    The loss is the cross-entropy of the right head among the words and the root, plus that of the
    relation given the right head, averaged over the words of a batch. A word that does not fit the
    longest sequence, or whose head does not, teaches nothing. Everything random is drawn from
    `settings.seed`; the caller's generators are left alone.
    """
    treebank.require("parsing")
    relations = [[_universal(t.deprel, settings) for t in s.tokens] for s in treebank.sentences]

    def train(words: WordEncoder | BiLSTM) -> Parser:
        parser = Parser(words, settings, sorted({name for row in relations for name in row}))
        _fit(parser, treebank, relations, progress)
        return parser

    return finetune(Parser, encoder, treebank, settings, train, directory=directory, frozen=frozen)


def load_parser(directory: str | Path, *, device: str | torch.device = "cpu") -> Parser:
    """Load what `Parser.save` wrote, in evaluation mode.

    Raises
    ------
    ValueError : no parser in the folder, or weights that do not fit (see `loading.load`).
    """
    return Parser.load(directory, device=device)


@torch.inference_mode()
def parse(parser: Parser, treebank: Treebank, *, batch: int = 64) -> Treebank:
    """The best tree of every sentence, with the best relation of every arc.

    Parameters
    ----------
    treebank : Treebank
        Only its words are read.
    batch : int
        Sentences at once; does not change the result.

    Returns
    -------
    Treebank with the same words and other heads and relations. Every tree has one root (see
    `dependencies.best_trees`), and its relation is ``root``. Words beyond the longest sequence hang from that
    root with the relation `attachment.UNREAD`, which scores as wrong.
    """
    parsed: list[TreebankSentence | None] = [None] * len(treebank.sentences)
    for read, chosen in parser.sweep(treebank, batch):
        arcs, dependents, candidates = parser.head(parser.words(**read.batch(chosen)))
        heads = best_trees(arcs.double().cpu().numpy(), read.n_read[chosen])
        places = torch.from_numpy(heads.clip(0)).to(arcs.device)
        rows = torch.arange(len(chosen), device=arcs.device)[:, None]
        scores = parser.head.relations(
            dependents.flatten(0, 1), candidates[rows, places].flatten(0, 1)
        ).cpu()
        best = _allowed(scores, heads.ravel(), parser.relations).argmax(-1).reshape(heads.shape)
        for number, tree, labels in zip(chosen, heads.tolist(), best.tolist(), strict=True):
            n = int(read.n_read[number])
            names = [parser.relations[label] for label in labels[:n]]
            sentence = treebank.sentences[number]
            rest = len(sentence) - n
            tree = tree[:n] + [tree.index(0) + 1] * rest
            tokens = tuple(
                replace(token, head=head, deprel=name)
                for token, head, name in zip(
                    sentence.tokens, tree, names + [UNREAD] * rest, strict=True
                )
            )
            parsed[number] = TreebankSentence(sentence.sent_id, tokens, sentence.text)
    return replace(treebank, sentences=tuple(parsed), tasks=("parsing",))


def evaluate_parser(
    parser: Parser,
    treebank: Treebank,
    *,
    subtypes: bool = False,
    punctuation: bool = False,
    batch: int = 64,
) -> dict[str, Score]:
    """Attachment scores ``{"uas": Score, "las": Score}`` of a parser on a treebank of any language.

    `attachment_scores` has the parameters. For both conventions, parse once and score twice::

        trees = parse(parser, treebank)
        papers = attachment_scores(treebank, trees)
        official = attachment_scores(treebank, trees, punctuation=True)

    Raises
    ------
    ValueError : fewer than two sentences, or `subtypes` of a parser that learned none.
    """
    if subtypes and not parser.settings.subtypes:
        raise ValueError("subtypes: expected False, the parser was trained without them; got True")
    treebank.require("parsing")
    predicted = parse(parser, treebank, batch=batch)
    return attachment_scores(treebank, predicted, subtypes=subtypes, punctuation=punctuation)


def _fit(parser: Parser, treebank: Treebank, relations: list[list[str]], progress: bool) -> None:
    read = parser.read(treebank)
    number = {name: k for k, name in enumerate(parser.relations)}
    heads = Ragged(
        [token.head if token.head <= n else _NONE for token in sentence.tokens[:n]]
        for sentence, n in zip(treebank.sentences, read.n_read, strict=True)
    )
    labels = Ragged(
        [number[name] for name in row[:n]] for row, n in zip(relations, read.n_read, strict=True)
    )

    def loss(chosen: np.ndarray) -> Tensor:
        arcs, dependents, candidates = parser.head(parser.words(**read.batch(chosen)))
        wanted = torch.from_numpy(heads.pad(chosen, _NONE)).to(arcs.device)
        right = torch.from_numpy(labels.pad(chosen, _NONE)).to(arcs.device)
        sentence, word = (wanted != _NONE).nonzero(as_tuple=True)
        head, count = wanted[sentence, word], max(1, len(word))
        places = torch.arange(arcs.shape[2], device=arcs.device)
        n_read = torch.from_numpy(read.n_read[chosen]).to(arcs.device)
        # No word is its own head, and padding is nobody's.
        never = (places > n_read[sentence, None]) | (places == word[:, None] + 1)
        scores = arcs[sentence, word].masked_fill(never, float("-inf"))
        named = parser.head.relations(dependents[sentence, word], candidates[sentence, head])
        total = F.cross_entropy(scores, head, reduction="sum") + F.cross_entropy(
            named, right[sentence, word], reduction="sum"
        )
        return total / count

    parser.learn(read, loss, f"{treebank.language} parsing", progress)


def _allowed(scores: Tensor, heads: np.ndarray, relations: tuple[str, ...]) -> Tensor:
    """Relation ``root`` for the root alone, as Universal Dependencies asks."""
    if "root" not in relations or len(relations) == 1:
        return scores
    is_root = torch.from_numpy(heads == 0)[:, None]
    named_root = torch.arange(len(relations)) == relations.index("root")
    return scores.masked_fill(is_root != named_root, float("-inf"))


def _universal(relation: str, settings: ParserSettings) -> str:
    return relation if settings.subtypes else relation.partition(":")[0]
