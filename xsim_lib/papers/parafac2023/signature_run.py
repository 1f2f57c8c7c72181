"""From models and annotated sentences to signatures: what the pages of parafac2023 share.

Covariances and solutions are kept under a name made of everything that decides them (weights, sentences,
settings, code). So pages that need the same ones compute them once, and a page that was killed goes on
where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from xsim_lib import factorization
from xsim_lib.evidence import cache
from xsim_lib.evidence.hashing import stable_hash
from xsim_lib.models.encoder import LoadedModel, untrained
from xsim_lib.papers.parafac2023.morphology import CATEGORIES
from xsim_lib.papers.parafac2023.state_covariances import ALL, covariances_of_states

if TYPE_CHECKING:
    from xsim_lib.papers.parafac2023.settings import Parafac2023Settings
    from xsim_lib.study.experiment import Run

__all__ = [
    "ALL",
    "Signatures",
    "Solution",
    "measure_signatures",
    "overview_of_signatures",
    "solve_signatures",
]


EVERY_WORD = "Part of Speech"


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
            .dropna()  # languages without the category
            .rename("value")
            .reset_index()
            .rename(columns={"language": "pair_or_language"})
            .assign(task=category)
            for category in self.categories
        ]
        about = {"metric": "mean_signature", "n_layers": self.n_layers}
        about |= {} if scale_free else {"variant": "raw"}
        return pd.concat(rows, ignore_index=True).assign(**{**about, **constant})


def overview_of_signatures(run: Run) -> pd.DataFrame:
    """`Run.overview` with what these pages read and factorise in the place of pairs of languages."""
    settings, wanted = run.settings, run.settings.factorization
    own = {
        "languages": ", ".join(settings.languages),
        "annotated sentences": wanted.sentences,
        "a category needs": f"{wanted.min_words} words",
        "components": "as many as dimensions" if wanted.rank is None else wanted.rank,
        "sweeps": f"{wanted.max_iter} at most, or until a change below {wanted.tol:g}",
    }
    shown = run.overview()[""].drop(["pairs", "sentences per pair"]).to_dict()
    judged = {"claims": shown.pop("claims")}
    return pd.DataFrame({"": shown | own | judged})


def measure_signatures(
    run: Run,
    seed: int,
    *,
    settings: Parafac2023Settings | None = None,
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
    categories : of `morphology.CATEGORIES` and `ALL`; None takes all that occur, without "Part of Speech",
        which every word has, so that it is `ALL`.
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
    other = "" if settings is run.settings else ", other languages"  # in the provenance
    if multilingual is None:
        spec = settings.multilingual(seed, romanised=romanised)
        multilingual = run.trained(spec, f"multilingual {label}{other}/{seed}").load()
    shared = untrained(multilingual, seed) if baseline else multilingual
    slices, counts = {}, {}
    bar = tqdm(chosen, desc=f"{label}, seed {seed}", unit="language", disable=not progress)
    for language in bar:
        own = (monolingual or {}).get(language)
        if own is None:
            latin = romanised and language in settings.logographic
            spec = settings.monolingual(language, seed, romanised=latin)
            own = run.trained(spec, f"{spec.name}{' romanised' * latin}{other}/{seed}").load()
        own = untrained(own, _control(seed)) if baseline else own
        bank = source.treebank(language, wanted.sentences, "test", "pos")
        found = covariances_of_states(shared, own, bank, wanted.max_length)
        counts[language] = found.pop("counts")
        slices[language] = found
    depth = shared.model.config.num_hidden_layers
    words = pd.DataFrame(counts, index=[ALL, *CATEGORIES]).T.rename_axis("language")
    return _factorised(
        slices,
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


def _factorised(found_of, words, depth, layers, names, wanted, progress) -> Signatures:
    layers = tuple(range(depth + 1)) if layers is None else layers
    for layer in layers:
        if not 0 <= layer <= depth:
            raise ValueError(f"layers: expected numbers in 0..{depth}, got {layer}")
    enough = words >= wanted.min_words
    every = [ALL, *(c for c in CATEGORIES if c != EVERY_WORD)]
    found = every if names is None else list(names)
    tasks = [(k, c) for c in found if enough[c].sum() > 1 for k in layers]
    solutions = {}
    for layer, category in tqdm(tasks, desc="PARAFAC2", unit="slice set", disable=not progress):
        slices = {
            language: own[f"{layer}/{category}"] if enough.loc[language, category] else None
            for language, own in found_of.items()
        }
        present = next(x for x in slices.values() if x is not None)
        rank = min(present.shape) if wanted.rank is None else wanted.rank
        solutions[layer, category] = solve_signatures(
            slices, rank, tol=wanted.tol, max_iter=wanted.max_iter
        )
    return Signatures(solutions, words, depth)


def solve_signatures(
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
        "options": (rank, tol, max_iter, "nonnegative"),
    }

    def compute() -> dict[str, object]:
        found = factorization.parafac2(
            slices, rank, nonnegative=True, tol=tol, max_iter=max_iter, device=_device()
        )
        return {name: getattr(found, name) for name in Solution.__dataclass_fields__}

    found = cache.cached_arrays("solutions", key, compute)
    return Solution(
        names=tuple(map(str, found["names"])),
        **{k: found[k] for k in ("A", "B", "C", "errors")},
        **{k: float(found[k]) for k in ("error", "core_consistency", "degeneracy")},
        reason=str(found["reason"]),
    )


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
