"""Tasks learned on one encoder and read through another, which a rotation joins to it (Figures 5 and 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from xsim_lib.evidence import cache, tracing
from xsim_lib.indices import validation
from xsim_lib.models.bilingual import in_language
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.fingerprints import model_hash
from xsim_lib.models.loading import token_limit
from xsim_lib.papers.emerging2020.rotations import Alignment, align, aligned_states, join
from xsim_lib.reading.words import encode_words
from xsim_lib.tasks.transfer import Task
from xsim_lib.text.sources import split_pair
from xsim_lib.text.word_links import AlignedSentence

__all__ = ["Cell", "fitted_rotations", "rotated_cells", "transferred"]


def fitted_rotations(
    source: LoadedModel,
    target: LoadedModel,
    sentences: Sequence[AlignedSentence],
    layers: Sequence[int],
    *,
    shuffle: int | None = None,
) -> dict[int, Alignment]:
    """Fit the rotation of every layer on words in context that are linked.

    All words of both sides normalise it, not only the linked ones. So the side of the target model
    does not depend on the other language, as long as its sentences are the same.

    Parameters
    ----------
    source, target : models of the second and of the first language of the sentences: it is the
        first one's space in which tasks are learned.
    sentences : words of the target model's language as `source`, as `aligned_words` gives them for a
        pair such as "en-fr".
    shuffle : as in `rotations.align`.

    Returns
    -------
    Layer -> Alignment from the space of `source` to that of `target`.

    Raises
    ------
    ValueError : no link, or anything that `rotations.align` refuses.
    """
    states, starts, known = [], [], []
    for model, side in ((target, "source"), (source, "target")):
        words, limit = [getattr(row, side) for row in sentences], token_limit(model)
        n_read = encode_words(model.tokenizer, words, limit).n_read
        every = [
            AlignedSentence(row, row, tuple((k, k) for k in range(n)))
            for row, n in zip(words, n_read, strict=True)
        ]
        states.append(aligned_states(model, model, every, layers=layers, max_length=limit)[0])
        starts.append(np.cumsum(n_read) - n_read)
        known.append(n_read)
    pairs = [
        (starts[1][row] + b, starts[0][row] + a)
        for row, sentence in enumerate(sentences)
        for a, b in sentence.links
        if a < known[0][row] and b < known[1][row]
    ]
    if not pairs:
        raise ValueError("sentences: expected some links between words, got none")
    return {
        layer: align(states[1][k], states[0][k], pairs, shuffle=shuffle)
        for k, layer in enumerate(layers)
    }


class Cell(NamedTuple):
    """One reading of another language by what was learned in the first.

    Attributes
    ----------
    about : columns of the records that tell the cell from others, such as model, layer and baseline.
    learned : encoder of the first language, made by `rotations.join`.
    language : what is read.
    view : encoder of that language, joined in the same way.
    """

    about: Mapping[str, object]
    learned: LoadedModel
    language: str
    view: LoadedModel


def rotated_cells(
    english: LoadedModel,
    other: LoadedModel,
    pair: str,
    links: Sequence[AlignedSentence],
    layers: Sequence[int] | None = None,
    *,
    rotate: bool = True,
    baselines: Sequence[str] = (),
    new_layers: int = 4,
    seed: int = 0,
    **about: object,
) -> list[Cell]:
    """List the readings of both languages of a pair, at every layer that is joined.

    Parameters
    ----------
    english, other : encoders of the first and of the second language; two models, or one that both share.
    links : linked words that rotations are fitted on.
    layers : hidden states that are joined; None for all.
    rotate : False joins the states as they are, which makes sense in one model of both languages.
    baselines : any of "unmapped" (both sides normalised, no rotation) and "shuffled".
    new_layers, seed : as in `rotations.join`; the seed also shuffles.
    **about : further columns of the records, such as the name of the model.

    Returns
    -------
    Cells whose `about` has layer, n_layers and, where it is one, baseline. Readings of the first language
    have the pair as their variant: each pair may have layers of its own.

    Raises
    ------
    ValueError : an unknown baseline, one without a rotation, or what `fitted_rotations` refuses.
    """
    for name in baselines:
        validation.one_of("baselines", name, ("unmapped", "shuffled") if rotate else ())
    one, two = split_pair(pair)
    depth = int(english.model.config.num_hidden_layers)
    layers = tuple(range(depth + 1) if layers is None else layers)
    fitted = {}
    if rotate:
        fitted[""] = fitted_rotations(other, english, links, layers)
    if "shuffled" in baselines:
        fitted["shuffled"] = fitted_rotations(other, english, links, layers, shuffle=seed)
    make = {"new_layers": new_layers, "seed": seed}
    found = []
    for layer in layers:
        place = {**about, "layer": layer, "n_layers": depth}
        own = fitted[""][layer] if rotate else None
        learned = join(english, layer, own and own.target, **make)
        views = {
            kind: join(other, layer, maps[layer].source, maps[layer].rotation, **make)
            for kind, maps in fitted.items()
        }
        if not rotate:
            views[""] = join(other, layer, **make)
        elif "unmapped" in baselines:
            views["unmapped"] = join(other, layer, own.source, **make)
        found.append(Cell({**place, "variant": pair}, learned, one, learned))
        for kind, view in views.items():
            column = {"baseline": kind} if kind else {}
            found.append(Cell(place | column, learned, two, view))
    return found


def transferred(cells: Sequence[Cell], task: Task) -> pd.DataFrame:
    """Train the new layers of joined encoders in one language and read others, each cell once.

    Scores are kept under everything that decides them (weights, the tokenizer's rules, sentences, settings),
    so what was measured before is looked up, and a page that was killed goes on. Cells whose `learned`
    encoders are equal share one training.

    Returns
    -------
    DataFrame, ready for `Run.record`: the columns of `about`, pair_or_language ("en-fr"), task, metric
        ("las", "f1", "accuracy", ...), value, lower, upper in points (0-100), n.

    Raises
    ------
    ValueError : a language that the task has no test for; and see `Task.fit`.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.language not in task.tests:
            known = ", ".join(task.tests)
            raise ValueError(f"cells: {task.name} is tested in {known}; got {cell.language!r}")
        groups.setdefault(model_hash(cell.learned), []).append(cell)
    rows = []
    for learned, group in groups.items():
        shared: dict = {}
        for cell in group:
            key = {
                "learned": learned,
                "view": model_hash(cell.view),
                "task": task.name,
                "settings": task.settings,
                "train": task.train_hash,
                "test": task.tests[cell.language],
                "torch": torch.__version__,
                "device": cell.learned.model.device.type,
            }
            found = cache.cached_rows("scores", key, partial(_measured, cell, task, shared))
            rows += [{**row, **cell.about} for row in found]
    return pd.DataFrame(rows)


def _measured(cell: Cell, task: Task, shared: dict) -> list[dict]:
    """Scores of one cell; `shared` holds what was learned for an earlier cell of its group, and how."""
    if not shared:
        with tracing.traced() as trace:
            shared["model"] = task.fit(cell.learned, frozen=("lower",), progress=False)
        shared["functions"] = trace.functions
    tracing.include(shared["functions"])
    return task.score(in_language(shared["model"], cell.view), cell.language)
