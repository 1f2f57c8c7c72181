"""`compare`: one pass of a model over parallel text, every index at every layer, with its baselines."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from functools import partial as bind
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor
from tqdm import tqdm

from xsim_lib.evidence import hashing
from xsim_lib.evidence.provenance import versions
from xsim_lib.indices import (
    anc_from_moments,
    cca_from_moments,
    linear_cka_from_moments,
    matching_accuracy,
    procrustes_from_moments,
    pwcca_from_moments,
    svcca_from_moments,
)
from xsim_lib.indices.intervals import jackknife_interval, shuffled
from xsim_lib.indices.moments import Moments, partial
from xsim_lib.models.encoder import LoadedModel, untrained
from xsim_lib.models.fingerprints import tokenizer_hash, weights_hash
from xsim_lib.reading import ranks
from xsim_lib.reading.sentences import check_lengths, check_truncate, encode, token_lengths
from xsim_lib.reading.sums import N_COVARIATES, Plan, Saved, Sums, collect_sums
from xsim_lib.text.sources import split_pair
from xsim_lib.text.types import ParallelCorpus

__all__ = ["BASELINES", "CHUNK", "INDICES", "Note", "compare"]

# Functions of the moments of a pair; each gives one value per layer.
_OF_MOMENTS: dict[str, Callable[[Moments], Any]] = {
    "anc": anc_from_moments,
    "anc_signed": bind(anc_from_moments, signed=True),
    "cka": linear_cka_from_moments,
    "cka_debiased": bind(linear_cka_from_moments, debiased=True),
    "cca": cca_from_moments,
    "svcca": svcca_from_moments,
    "pwcca": pwcca_from_moments,
    "procrustes": procrustes_from_moments,
}
# Functions of the rows themselves, which are then kept until the end.
_OF_ROWS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "matching": matching_accuracy,
    "matching_centred": bind(matching_accuracy, centre="language"),
}
INDICES = (*_OF_MOMENTS, *_OF_ROWS)
BASELINES = ("shuffled", "length_matched", "untrained")
CHUNK = 2048  # sentences held at once; shuffled pairs are exchanged within a chunk
_COLUMNS = [
    "pair_or_language", "layer", "n_layers", "metric", "value", "lower", "upper", "n", "baseline",
    "variant",
]  # fmt: skip
_DIAGONAL = ("anc", "anc_signed")
_LEAN = (*_DIAGONAL, "cka")  # need no d x d sums for their intervals, only the norms of them
# Debiased CKA needs sums of fourth order, which regression on covariates does not leave behind.
_NOT_PARTIAL = ("cka_debiased", *_OF_ROWS)
_FEWEST = 5  # blocks; an interval from fewer says little, so memory short of that gives none
_AT_ONCE = 2**25  # bytes that the layers may take which the jackknife handles together
_TIMES = 3  # sums and two factors of each
_GIB = 2**30


class Note(UserWarning):
    """What the reader of a comparison should know: sentences cut, intervals left out, a fresh start."""


def compare(
    loaded: LoadedModel,
    parallel: Mapping[str, ParallelCorpus],
    *,
    indices: Sequence[str] = ("anc", "cka"),
    baselines: Sequence[str] = BASELINES,
    partial_out: bool = False,
    pooling: str = "mean",
    blocks: int = 20,
    seed: int = 0,
    progress: bool = True,
    truncate: int | None = None,
    memory: float = 4.0,
    chunk: int | None = None,
    resume: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Measure how similar two languages are to one model, layer by layer.

    Each language is read once (a sentence that stands in several pairs is encoded once). Only
    moments are kept, so memory does not grow with the number of sentences.

    Parameters
    ----------
    loaded : LoadedModel
    parallel : mapping of a pair such as ``"en-fr"`` to its aligned sentences.
    indices : any of `INDICES`. "matching" and "matching_centred" compare sentences with each other:
        they alone keep the vectors, n * (n_layers + 1) * d * 4 bytes per language.
    baselines : any of `BASELINES`. "shuffled" pairs every sentence with another one,
        "length_matched" with another one of (nearly) the same number of words, "untrained" measures
        a freshly initialised copy of the model on the right pairs.
    partial_out : also give every index after regressing sentence length, punctuation and digits of
        both languages out of both sides (variant "partial").
    pooling : see `encode`.
    blocks : sentences are dealt into this many blocks for the jackknife interval.
    seed : of the shuffles and of the untrained copy.
    truncate : cut sentences to this many tokens, see `encode`; a `Note` says how many were cut.
    memory : GiB that the sums may take, and again the vectors of matching. A sum takes
        (n_layers + 1) * d * d * 8 bytes (d instead of d * d if only ANC is asked for), and there is
        one per block, language and pair. If they do not fit, there are fewer blocks, and below 5 no
        intervals; a `Note` says so.
    chunk : sentences of a language that are held at once (None: `CHUNK`); shuffled pairs are
        exchanged within a chunk.
    resume : folder that keeps the sums between chunks. A killed call finds them there and goes on
        with identical results; a `Note` says if they were made with other weights, text, options or
        code and therefore are not used. Removed at the end.

    Returns
    -------
    DataFrame with columns pair_or_language, layer, n_layers, metric, value, lower, upper (95 %), n,
    baseline ("" for the measurement itself), variant. Ready for `Run.record`.

    Raises
    ------
    ValueError : an unknown index or baseline, a pair whose corpus lacks a language, fewer sentences
        than two per block, a sentence longer than the model reads (named with its language), sums or
        vectors beyond `memory`, or anything `encode` refuses.

    Notes
    -----
    In a process group (`torchrun`) the ranks take chunks in turn, and every rank returns the same
    table, equal to that of one process up to rounding.
    """
    _check(indices, "indices", INDICES)
    _check(baselines, "baselines", BASELINES)
    for name, given in (("indices", indices), ("parallel", parallel)):
        if not given:
            raise ValueError(f"{name}: expected at least one, got none")
    sides, pairs = _sides(parallel, 2 * blocks)
    _check_sentences(loaded, sides, truncate)
    variants = {"": [i for i in indices if i in _OF_MOMENTS]}
    variants["partial"] = [i for i in variants[""] if partial_out and i not in _NOT_PARTIAL]
    variants = {name: metrics for name, metrics in variants.items() if metrics}
    diagonals = {v: not v and set(m) <= set(_DIAGONAL) for v, m in variants.items()}
    shuffles = tuple(b for b in BASELINES[:2] if b in baselines)
    of_rows = [i for i in indices if i in _OF_ROWS]
    plan = Plan(
        sides,
        pairs,
        shuffles,
        diagonals,
        bool(of_rows),
        blocks,
        chunk or CHUNK,
        pooling,
        truncate,
        seed,
    )
    plan = _within(memory, loaded, plan)
    bare = replace(plan, shuffles=())  # nobody asks for the shuffled pairs of an untrained copy
    passes = [("trained", "", lambda: loaded, plan)]
    if "untrained" in baselines:
        passes.append(("untrained", "untrained", lambda: untrained(loaded, seed), bare))
    rows: list[dict] = []
    files = []
    with tqdm(
        total=len(passes) * plan.n_sentences,
        desc=loaded.name,
        unit="sentence",
        disable=not progress or ranks.current_rank().rank > 0,
        leave=False,
    ) as bar:
        for name, baseline, model, wanted in passes:
            current = model()
            saved = None if resume is None else _saved(Path(resume), name, current, wanted)
            files.append(saved)
            sums = collect_sums(current, wanted, advance=bar.update, saved=saved)
            if sums is None:
                continue
            for row in _measure(sums, variants, of_rows):
                rows.append({**row, "baseline": baseline or row["baseline"]})
            del sums
    table = ranks.broadcast(pd.DataFrame(rows, columns=_COLUMNS))
    for saved in files:
        if saved is not None:
            saved.remove()
    return table


def _measure(
    sums: Sums, variants: Mapping[str, Sequence[str]], of_rows: Sequence[str]
) -> Iterator[dict]:
    plan = sums.plan
    curves = {variant: _curves(sums, variant, metrics) for variant, metrics in variants.items()}
    for pair, (side, _) in plan.pairs.items():
        base = {"pair_or_language": pair, "n": len(plan.sides[side][1])}
        for variant, metrics in variants.items():
            for kind in ("", *plan.shuffles):
                for metric in metrics:
                    values = np.concatenate(curves[variant][pair, kind, metric], axis=-1)
                    yield from _layers(values, metric, base, kind, variant)
        if not of_rows:
            continue
        left, right = sums.vectors(pair)
        orders = {"": np.arange(left.shape[1])}
        if "shuffled" in plan.shuffles:
            orders["shuffled"] = shuffled(left.shape[1], plan.seed)
        for metric in of_rows:
            for kind, order in orders.items():
                values = [_OF_ROWS[metric](a, b[order]) for a, b in zip(left, right, strict=True)]
                yield from _layers([values, None, None], metric, base, kind, "")


def _curves(
    sums: Sums, variant: str, metrics: Sequence[str]
) -> dict[tuple[str, str, str], list[np.ndarray]]:
    """(pair, kind of pairs, metric) -> estimates and ends, (3, layers) for some layers at a time."""
    plan, found = sums.plan, {}
    lean = [m for m in metrics if m in _LEAN and not variant]
    full = [m for m in metrics if m not in lean]

    def function(metric: str, moments: Moments) -> np.ndarray:
        return np.atleast_1d(_OF_MOMENTS[metric](moments))

    def ready(moments: Moments) -> Moments:
        return partial(moments, N_COVARIATES) if variant else moments

    # What is left of a side without a block is worked out once for all pairs of the side. That takes
    # the memory of its blocks several times over, hence only some layers at a time.
    for layers in _few_layers(sums, variant, plan.blocks if full else 1):
        stream = cache(lambda i, j, layers=layers: sums.left_out(variant, i, j, layers))
        for pair, (i, j) in plan.pairs.items():
            three = stream(i, i), stream(j, j), sums.left_out(variant, i, j, layers)
            sizes = [block.n for block in three[2].blocks]
            for wanted, kept in ((lean, "lean"), (full, "full")):
                bundles = (
                    zip(*(getattr(side, kept) for side in three), strict=True) if wanted else ()
                )
                parts = (ready(Moments(*bundle)) for bundle in bundles)
                # One part after the other: it takes what was worked out for it along.
                values = [[function(metric, part) for metric in wanted] for part in parts]
                for metric, column in zip(wanted, zip(*values, strict=True), strict=True):
                    ends = _ends(column, sizes)
                    found.setdefault((pair, "", metric), []).append(ends)
            for kind in plan.shuffles:
                # A shuffled partner has the same sentences, hence the same moments as a whole.
                own, partners = (side.whole for side in three[:2])
                moments = ready(Moments(own, partners, sums.shuffled(variant, kind, pair, layers)))
                for metric in metrics:
                    ends = _ends([function(metric, moments)], [])
                    found.setdefault((pair, kind, metric), []).append(ends)
    return found


def _ends(values: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """The estimate and the ends of its interval, nan where no block was left out: (3, layers)."""
    if len(values) > 1:
        return np.stack(jackknife_interval(values, sizes))
    return np.stack([values[0], *[np.full_like(values[0], np.nan)] * 2])


def _few_layers(sums: Sums, variant: str, copies: int) -> Iterator[slice]:
    (size, *_) = (block.s.nbytes for block in sums.left_out(variant, 0, 0, slice(0, 1)).blocks)
    step = max(1, _AT_ONCE // ((len(sums.plan.sides) + 1) * copies * _TIMES * size))
    for start in range(0, sums.n_layers, step):
        yield slice(start, start + step)


def _layers(values: Sequence, metric: str, base: dict, kind: str, variant: str) -> Iterator[dict]:
    estimate, lower, upper = values
    for layer, value in enumerate(estimate):
        ends = {"lower": lower, "upper": upper}
        yield base | {
            "layer": layer,
            "n_layers": len(estimate) - 1,
            "metric": metric,
            "value": float(value),
            **{
                name: None if side is None or np.isnan(side[layer]) else float(side[layer])
                for name, side in ends.items()
            },
            "baseline": kind,
            "variant": variant,
        }


def _within(memory: float, loaded: LoadedModel, plan: Plan) -> Plan:
    """The plan with as many blocks as fit into `memory` GiB."""
    probe = encode(loaded, plan.sides[0][1][:1], pooling=plan.pooling, truncate=plan.truncate)
    n_layers, _, width = probe.shape
    kept = n_layers * width * 4 * plan.n_sentences
    if plan.keep_rows and kept > memory * _GIB:
        fits = int(plan.n_sentences * memory * _GIB / kept / len(plan.sides))
        raise ValueError(
            f"memory: matching keeps every vector, {kept / _GIB:.1f} GiB of {n_layers} layers x "
            f"{width} x {plan.n_sentences} sentences; allowed are {memory:g}. Take at most {fits} "
            "sentences, leave matching out, or raise memory"
        )
    per_block = per_shuffle = 0
    for variant, diagonal in plan.variants.items():
        columns = width + N_COVARIATES * bool(variant)
        size = 8 * n_layers * columns * (1 if diagonal else columns)
        per_block += size * (len(plan.sides) + len(set(plan.pairs.values())))
        per_shuffle += size * len(plan.shuffles) * len(set(plan.pairs.values()))
    fits = int((memory * _GIB - per_shuffle) // max(per_block, 1)) if per_block else plan.blocks
    if fits >= plan.blocks:
        return plan
    if fits < 1:
        raise ValueError(
            f"memory: the sums of {len(plan.pairs)} pair(s) at {n_layers} layers x {width} take "
            f"{(per_block + per_shuffle) / _GIB:.1f} GiB without intervals; allowed are "
            f"{memory:g}. Compare fewer pairs at once, fewer baselines, or raise memory"
        )
    blocks = fits if fits >= min(_FEWEST, plan.blocks) else 1
    left = f"{blocks} blocks instead of {plan.blocks}" if blocks > 1 else "no blocks: no intervals"
    _note(
        f"memory: the sums of {plan.blocks} blocks take "
        f"{(plan.blocks * per_block + per_shuffle) / _GIB:.1f} GiB, allowed are {memory:g}; {left}"
    )
    return replace(plan, blocks=blocks)


def _sides(
    parallel: Mapping[str, ParallelCorpus], fewest: int
) -> tuple[tuple[tuple[str, tuple[str, ...]], ...], dict[str, tuple[int, int]]]:
    """The different sides of all pairs, and for every pair which two of them it is."""
    sides: dict[tuple, int] = {}
    pairs = {}
    for pair, corpus in parallel.items():
        if len(corpus) < fewest:
            raise ValueError(
                f"parallel: expected at least {fewest} sentences in {pair}, got {len(corpus)}"
            )
        pairs[pair] = tuple(
            sides.setdefault((language, corpus[language]), len(sides))
            for language in languages_of_pair(pair, corpus)
        )
    return tuple(sides), pairs


def languages_of_pair(pair: str, corpus: ParallelCorpus) -> tuple[str, str]:
    """Split a pair at the hyphen that leaves two languages of the corpus (zh-Hant has one itself)."""
    for cut in (k for k, letter in enumerate(pair) if letter == "-"):
        x, y = pair[:cut], pair[cut + 1 :]
        if x != y and x in corpus.languages and y in corpus.languages:
            return x, y
    return split_pair(pair)


def _check_sentences(loaded: LoadedModel, sides: tuple, truncate: int | None) -> None:
    """Find sentences that are too long before hours are spent on those before them."""
    if truncate is not None:
        check_truncate(loaded, truncate)
    for language, sentences in sides:
        lengths = token_lengths(loaded, sentences)
        if truncate is None:
            check_lengths(loaded, lengths, f"parallel: {language}", first=1)
        elif cut := int((lengths > truncate).sum()):
            _note(
                f"truncate: {cut} of {len(sentences)} sentences of {language} were cut to "
                f"{truncate} tokens"
            )


def _saved(folder: Path, name: str, loaded: LoadedModel, plan: Plan) -> Saved:
    rank = ranks.current_rank()
    key = {
        "weights": weights_hash(loaded.model),
        "settings": hashing.stable_hash(loaded.model.config.to_json_string()),
        "tokenizer": tokenizer_hash(loaded.tokenizer),
        "text": hashing.stable_hash(plan.sides),
        "options": hashing.stable_hash([plan.options(), rank.size]),
        "versions": hashing.stable_hash(versions()),
        "device": str(loaded.model.device),
    }
    return Saved(folder, name, key, _note)


def _note(message: str) -> None:
    warnings.warn(message, Note, stacklevel=3)


def _check(given: Sequence[str], name: str, known: Sequence[str]) -> None:
    if isinstance(given, str):
        raise ValueError(f"{name}: expected a list of names, got the string {given!r}")
    for item in given:
        if item not in known:
            raise ValueError(f"{name}: expected any of {', '.join(known)}; got {item!r}")
