"""Tasks learned on one encoder and read through another, which a rotation joins to it (Figures 5 and 8)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from xsim_lib import paths, validation
from xsim_lib.aligned import AlignedSentence
from xsim_lib.alignment import Alignment, align, aligned_states, join
from xsim_lib.bilingual import in_language
from xsim_lib.fitting import weights_hash
from xsim_lib.hashing import atomic_write, code_hash, stable_hash
from xsim_lib.loading import token_limit
from xsim_lib.models import LoadedModel
from xsim_lib.parsing import Parser, evaluate_parser, finetune_parser
from xsim_lib.sources import split_pair
from xsim_lib.tagging import Tagger, evaluate_tagger, finetune_tagger
from xsim_lib.transfer import Task
from xsim_lib.words import encode_words

__all__ = ["Cell", "cells", "rotations", "transferred"]

_POINTS = 100  # scores are recorded as 90.0
_CODE = tuple(
    f"xsim_lib.{name}"
    for name in (
        *("alignment", "attachment", "batching", "bilingual", "exchange", "fitting", "models"),
        *("parsing", "resampling", "scores", "spans", "tagging", "trees", "words", "wordtask"),
    )
)


def rotations(
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
    shuffle : as in `alignment.align`.

    Returns
    -------
    Layer -> Alignment from the space of `source` to that of `target`.

    Raises
    ------
    ValueError : no link, or anything that `alignment.align` refuses.
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
    learned : encoder of the first language, made by `alignment.join`.
    language : what is read.
    view : encoder of that language, joined in the same way.
    """

    about: Mapping[str, object]
    learned: LoadedModel
    language: str
    view: LoadedModel


def cells(
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
    new_layers, seed : as in `alignment.join`; the seed also shuffles.
    **about : further columns of the records, such as the name of the model.

    Returns
    -------
    Cells whose `about` has layer, n_layers and, where it is one, baseline. Readings of the first language
    have the pair as their variant: each pair may have layers of its own.

    Raises
    ------
    ValueError : an unknown baseline, one without a rotation, or what `rotations` refuses.
    """
    for name in baselines:
        validation.one_of("baselines", name, ("unmapped", "shuffled") if rotate else ())
    one, two = split_pair(pair)
    depth = int(english.model.config.num_hidden_layers)
    layers = tuple(range(depth + 1) if layers is None else layers)
    fitted = {}
    if rotate:
        fitted[""] = rotations(other, english, links, layers)
    if "shuffled" in baselines:
        fitted["shuffled"] = rotations(other, english, links, layers, shuffle=seed)
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

    Scores are kept under names made of everything that decides them (weights, sentences, settings,
    code), so what was measured before is looked up, and a page that was killed goes on. Cells whose
    `learned` encoders are equal share one training.

    Returns
    -------
    DataFrame, ready for `Run.record`: the columns of `about`, pair_or_language ("en-fr"), task, metric
        ("las", "f1", "accuracy", ...), value, lower, upper in points (0-100), n.

    Raises
    ------
    ValueError : a language that the task has no test for; and see `finetune_parser`, `finetune_tagger`.
    """
    about = {"task": task.name, "settings": task.settings, "train": task.train_hash}
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.language not in task.tests:
            known = ", ".join(task.tests)
            raise ValueError(f"cells: {task.name} is tested in {known}; got {cell.language!r}")
        groups.setdefault(_key(cell.learned, **about), []).append(cell)
    rows = []
    for name, group in groups.items():
        folder = paths.cache_dir() / "joined" / name
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
            model = None
            for cell in group:
                file = folder / f"{_key(cell.view, test=task.tests[cell.language])}.json"
                if not file.is_file():
                    model = model or _learned(cell.learned, task)
                    found = _scores(in_language(model, cell.view), task, cell.language)
                    with atomic_write(file) as temporary:
                        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")
                kept = json.loads(file.read_text(encoding="utf-8"))
                rows += [{**row, **cell.about} for row in kept]
    return pd.DataFrame(rows)


def _key(loaded: LoadedModel, **others: object) -> str:
    key = {
        "weights": weights_hash(loaded.model),
        "config": loaded.model.config.to_dict(),
        "tokenizer": stable_hash(loaded.tokenizer.get_vocab()),
        "code": _code(),
        "torch": torch.__version__,
        "device": loaded.model.device.type,
        **others,
    }
    return stable_hash(key)[:16]


@cache
def _code() -> str:
    return code_hash(*_CODE)


def _learned(loaded: LoadedModel, task: Task) -> Parser | Tagger:
    options = {"progress": False, "frozen": ("lower",)}
    if task.name == "parsing":
        return finetune_parser(loaded, task.train, task.settings, **options)
    return finetune_tagger(loaded, task.train, task.settings, task=task.name, **options)


def _scores(model: Parser | Tagger, task: Task, language: str) -> list[dict]:
    bank = task.tests[language]
    if task.name == "parsing":
        found = evaluate_parser(model, bank)
    else:
        found = {task.metric: evaluate_tagger(model, bank)}
    return [
        {
            "pair_or_language": f"{task.source}-{language}",
            "task": task.name,
            "metric": metric,
            **{end: _POINTS * getattr(score, end) for end in ("value", "lower", "upper")},
            "n": score.n,
        }
        for metric, score in found.items()
    ]
