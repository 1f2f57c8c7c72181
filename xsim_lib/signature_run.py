"""From models and annotated sentences to signatures: what the pages of parafac2023 share.

Covariances and solutions are kept under a name made of everything that decides them (weights, sentences,
settings, code). So pages that need the same ones compute them once, and a page that was killed goes on
where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor
from tqdm import tqdm

from xsim_lib import factorization, paths
from xsim_lib.batching import by_length
from xsim_lib.categories import CATEGORIES, categories
from xsim_lib.fitting import weights_hash
from xsim_lib.hashing import atomic_write, code_hash, stable_hash
from xsim_lib.loading import token_limit
from xsim_lib.models import LoadedModel, untrained
from xsim_lib.texts import Treebank
from xsim_lib.words import encode_words

if TYPE_CHECKING:
    from xsim_lib.experiment import Run
    from xsim_lib.profiles.parafac2023 import Settings

__all__ = ["ALL", "Signatures", "Solution", "measure", "solve", "word_states"]

ALL = ""  # the category of every word
_BATCH = 8192  # tokens, padding included
_READING = ("xsim_lib.signature_run", "xsim_lib.words", "xsim_lib.models", "xsim_lib.categories")


@dataclass(frozen=True)
class Solution:
    """What is kept of `factorization.Parafac2`: all but the large projections.

    `factorization.signatures`, `mean_signatures` and `order_agreement` take it.
    """

    names: tuple[str, ...]
    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    errors: np.ndarray
    error: float
    reason: str
    core_consistency: float
    degeneracy: float

    @property
    def converged(self) -> bool:
        return self.reason != "max_iter"


@dataclass(frozen=True)
class Signatures:
    """Solutions per layer and category.

    Attributes
    ----------
    solutions : (layer, category) -> `Solution`; none where fewer than two languages have the category.
    words : DataFrame, languages in rows, `ALL` and the 17 categories in columns: words that were read.
    n_layers : of the models, the embedding layer not counted.
    """

    solutions: Mapping[tuple[int, str], Solution]
    words: pd.DataFrame
    n_layers: int

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.words.index)

    @property
    def layers(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(layer for layer, _ in self.solutions))

    @property
    def categories(self) -> tuple[str, ...]:
        """Those with a solution, `ALL` first if it was asked for."""
        return tuple(dict.fromkeys(category for _, category in self.solutions))

    def solution(self, layer: int, category: str = ALL) -> Solution:
        """One solution.

        Raises
        ------
        ValueError : it was not computed; says which layers and categories there are.
        """
        if (layer, category) not in self.solutions:
            raise ValueError(
                f"layer, category: expected one of {', '.join(map(str, self.layers))} and one of "
                f"{', '.join(map(repr, self.categories))}; got {layer} and {category!r}"
            )
        return self.solutions[layer, category]

    def table(self, layer: int, category: str = ALL, *, scale_free: bool = True) -> pd.DataFrame:
        """Signatures, languages in rows; see `factorization.signatures`."""
        return factorization.signatures(self.solution(layer, category), scale_free=scale_free)

    def means(self, category: str = ALL, *, scale_free: bool = True) -> pd.DataFrame:
        """Mean signatures, languages in rows and layers in columns; nan where there was no slice."""
        columns = {
            layer: factorization.mean_signatures(
                self.solution(layer, category), scale_free=scale_free
            )
            for layer in self.layers
        }
        return pd.DataFrame(columns).rename_axis(index="language", columns="layer")

    def records(self, *, scale_free: bool = True, **constant: object) -> pd.DataFrame:
        """Rows "mean_signature" for `Run.record`: task is the category, variant "raw" if not scale-free."""
        rows = [
            self.means(category, scale_free=scale_free)
            .stack()
            .rename("value")
            .reset_index()
            .rename(columns={"language": "pair_or_language"})
            .assign(task=category)
            for category in self.categories
        ]
        about = {"metric": "mean_signature", "n_layers": self.n_layers}
        about |= {} if scale_free else {"variant": "raw"}
        return pd.concat(rows, ignore_index=True).assign(**{**about, **constant})


def measure(
    run: Run,
    seed: int,
    *,
    settings: Settings | None = None,
    multilingual: LoadedModel | None = None,
    monolingual: Mapping[str, LoadedModel] | None = None,
    languages: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    categories: Sequence[str] | None = (ALL,),
    baseline: str = "",
    romanised: bool = False,
    progress: bool = True,
) -> Signatures:
    r"""Train what is missing, read the annotated sentences, factorise.

    .. math:: \Omega_\ell = Z_\ell^T Y_\ell / n \approx U_\ell \Sigma_\ell V^T

    Z are states of the model of language l, Y of the multilingual one, for the same words.

    Parameters
    ----------
    run : of the page; its models are those of `run.settings`, its footer lists what was trained.
    settings : others than the run's, such as those of a family without cognates.
    multilingual : takes the place of the model of all languages.
    monolingual : language -> model that takes the place of that language's.
    languages : those that are factorised jointly; None for all.
    layers : 0 is the embedding layer; None takes the profile's, or all.
    categories : of `categories.CATEGORIES` and `ALL`; None takes all that occur.
    baseline : "untrained" replaces every model by its architecture with random weights.
    romanised : read, and train, the logographic languages in Latin letters.

    Returns
    -------
    Signatures. A language with fewer than `factorization.min_words` words of a category has no slice there.

    Raises
    ------
    ValueError : unknown languages, categories or baseline, models of different depth, or a layer they
        do not have.
    """
    settings = run.settings if settings is None else settings
    chosen = settings.languages if languages is None else tuple(languages)
    if baseline not in ("", "untrained"):
        raise ValueError(f"baseline: expected '' or 'untrained', got {baseline!r}")
    for category in categories or ():
        if category not in (ALL, *CATEGORIES):
            raise ValueError(f"categories: expected some of {CATEGORIES} or ''; got {category!r}")
    wanted, source = settings.factorization, settings.read(romanised)
    label = "romanised" if romanised else "all"
    if multilingual is None:
        spec = settings.multilingual(seed, romanised=romanised)
        multilingual = run.trained(spec, f"multilingual {label}/{seed}").load()
    shared = untrained(multilingual, seed) if baseline else multilingual
    covariances, counts = {}, {}
    bar = tqdm(chosen, desc=f"{label}, seed {seed}", unit="language", disable=not progress)
    for language in bar:
        own = (monolingual or {}).get(language)
        if own is None:
            latin = romanised and language in settings.logographic
            spec = settings.monolingual(language, seed, romanised=latin)
            own = run.trained(spec, f"{spec.name}{' romanised' * latin}/{seed}").load()
        own = untrained(own, _control(seed)) if baseline else own
        bank = source.treebank(language, wanted.sentences, "test", "pos")
        found = _covariances(shared, own, bank, wanted.max_length)
        counts[language] = found.pop("counts")
        covariances[language] = found
    depth = shared.model.config.num_hidden_layers
    words = pd.DataFrame(counts, index=[ALL, *CATEGORIES]).T.rename_axis("language")
    return _factorised(
        covariances,
        words,
        depth,
        wanted.layers if layers is None else tuple(layers),
        categories,
        wanted,
        progress,
    )


def _control(seed: int) -> int:
    """Seed of the random weights of untrained control models: never that of the multilingual one."""
    return seed + 1000


def _factorised(covariances, words, depth, layers, names, wanted, progress) -> Signatures:
    layers = tuple(range(depth + 1)) if layers is None else layers
    for layer in layers:
        if not 0 <= layer <= depth:
            raise ValueError(f"layers: expected numbers in 0..{depth}, got {layer}")
    enough = words >= wanted.min_words
    found = [ALL, *CATEGORIES] if names is None else list(names)
    tasks = [(k, c) for c in found if enough[c].sum() > 1 for k in layers]
    solutions = {}
    for layer, category in tqdm(tasks, desc="PARAFAC2", unit="slice set", disable=not progress):
        slices = {
            language: own[f"{layer}/{category}"] if enough.loc[language, category] else None
            for language, own in covariances.items()
        }
        present = next(x for x in slices.values() if x is not None)
        rank = min(present.shape) if wanted.rank is None else wanted.rank
        solutions[layer, category] = solve(slices, rank, tol=wanted.tol, max_iter=wanted.max_iter)
    return Signatures(solutions, words, depth)


def solve(
    slices: Mapping[str, np.ndarray | None], rank: int, *, tol: float, max_iter: int
) -> Solution:
    """Factorise with A >= 0, as the paper does, or fetch the solution from the cache.

    Parameters
    ----------
    slices, rank, tol, max_iter : as in `factorization.parafac2`.
    """
    key = {
        "slices": {k: None if x is None else stable_hash(x) for k, x in slices.items()},
        "names": tuple(slices),
        "options": (rank, tol, max_iter),
        "code": _code("xsim_lib.factorization"),
    }
    path = _path("solutions", key)

    def compute() -> dict[str, object]:
        found = factorization.parafac2(
            slices, rank, nonnegative=True, tol=tol, max_iter=max_iter, device=_device()
        )
        return {name: getattr(found, name) for name in Solution.__dataclass_fields__}

    kept = _kept(path, compute)
    return Solution(
        names=tuple(map(str, kept["names"])),
        **{k: kept[k] for k in ("A", "B", "C", "errors")},
        **{k: float(kept[k]) for k in ("error", "core_consistency", "degeneracy")},
        reason=str(kept["reason"]),
    )


def _covariances(
    multilingual: LoadedModel, monolingual: LoadedModel, bank: Treebank, max_length: int
) -> dict[str, np.ndarray]:
    """``"layer/category"`` -> covariance, for all layers and categories; "counts": words of each."""
    depths = [m.model.config.num_hidden_layers for m in (multilingual, monolingual)]
    if depths[0] != depths[1]:
        raise ValueError(
            f"monolingual: expected {depths[0]} layers as {multilingual.name} has, "
            f"{monolingual.name} has {depths[1]}"
        )
    key = {
        "models": [_identity(m) for m in (multilingual, monolingual)],
        "words": [[(t.form, t.feats) for t in s.tokens] for s in bank.sentences],
        "max_length": max_length,
        "code": _code(*_READING),
    }

    def compute() -> dict[str, np.ndarray]:
        sides = [word_states(m, bank, max_length) for m in (multilingual, monolingual)]
        both = set(sides[0][0]) & set(sides[1][0])  # another tokenizer may cut sentences elsewhere
        shown = {
            (s, w): categories(token.feats)
            for s, sentence in enumerate(bank.sentences)
            for w, token in enumerate(sentence.tokens)
            if (s, w) in both
        }
        found: dict[str, np.ndarray] = {"counts": np.zeros(1 + len(CATEGORIES), dtype=np.int64)}
        for number, category in enumerate((ALL, *CATEGORIES)):
            members = {w for w, own in shown.items() if category == ALL or category in own}
            found["counts"][number] = len(members)
            if len(members) < 2:
                continue
            ids, rows = zip(*(_of(members, *side) for side in sides), strict=True)
            for layer in range(depths[0] + 1):
                one = {bank.language: (ids[0], rows[0][layer])}
                other = {bank.language: (ids[1], rows[1][layer])}
                slices = factorization.cross_covariances(one, other)
                found[f"{layer}/{category}"] = slices[bank.language].astype(np.float32)
        return found

    return _kept(_path("covariances", key), compute)


def _of(
    members: set[tuple[int, int]], ids: list[tuple[int, int]], states: Tensor
) -> tuple[list[tuple[int, int]], Tensor]:
    places = [k for k, word in enumerate(ids) if word in members]
    return [ids[k] for k in places], states[:, places].double()


@torch.no_grad()
def word_states(
    loaded: LoadedModel, bank: Treebank, max_length: int
) -> tuple[list[tuple[int, int]], Tensor]:
    r"""State of every word at every layer: the mean over its sub-words.

    Parameters
    ----------
    bank : annotated sentences; only their words are read.
    max_length : longest sequence; sub-words beyond are not read.

    Returns
    -------
    ids, states : (sentence, word) of every word that was read, from 0, and (n_layers + 1, n_words,
        n_features) in float32 on the CPU, in that order.
    """
    forms = [[token.form for token in sentence.tokens] for sentence in bank.sentences]
    read = encode_words(loaded.tokenizer, forms, min(max_length, token_limit(loaded)))
    ids = [(s, w) for s, n in enumerate(read.n_read) for w in range(n)]
    first_word = np.cumsum(read.n_read) - read.n_read
    # Words stand between the special tokens; the last one ends where those after the sentence start.
    after = loaded.tokenizer.num_special_tokens_to_add() - read.rows[0]["first"][0]
    owners = []
    for row, start in zip(read.rows, first_word, strict=True):
        edges = [*row["first"], len(row["input_ids"]) - after]
        owner = np.full(len(row["input_ids"]), -1)
        owner[edges[0] : edges[-1]] = start + np.repeat(np.arange(len(edges) - 1), np.diff(edges))
        owners.append(owner)
    model, out = loaded.model, None
    order = np.argsort(read.lengths, kind="stable")
    for chosen in by_length(order, read.lengths, _BATCH):
        batch = read.batch(chosen)
        states = torch.stack(
            model(
                input_ids=batch["input_ids"].to(model.device),
                attention_mask=batch["attention_mask"].to(model.device),
                output_hidden_states=True,
            ).hidden_states
        )
        states = states.float().cpu()
        if out is None:
            out = states.new_zeros(len(states), len(ids), states.shape[-1])
        for k, sentence in enumerate(chosen):
            owner = torch.from_numpy(owners[sentence])
            inside = owner >= 0
            out.index_add_(1, owner[inside], states[:, k, : len(owner)][:, inside])
    pieces = np.bincount(np.concatenate(owners)[np.concatenate(owners) >= 0], minlength=len(ids))
    return ids, out / torch.from_numpy(pieces).float()[:, None]


@cache
def _code(*modules: str) -> str:
    return code_hash(*modules)


def _identity(loaded: LoadedModel) -> str:
    backend = loaded.tokenizer.backend_tokenizer.to_str()
    return stable_hash([weights_hash(loaded.model), loaded.model.config.to_dict(), backend])


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _path(kind: str, key: Mapping) -> Path:
    return paths.cache_dir() / "signatures" / kind / f"{stable_hash(key)[:24]}.npz"


def _kept(path: Path, compute) -> dict[str, np.ndarray]:
    """Read arrays from `path`, computing them first where they are missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            with atomic_write(path) as temporary:
                np.savez(temporary, **compute())
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}
