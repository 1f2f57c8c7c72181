"""One pass of a model over aligned languages: the sums that `compare` computes its indices from.

Sentences are read in chunks. A chunk is encoded once per language and reduced to moments, for every
pair and for every kind of shuffled pair, so that memory does not grow with the number of sentences.
Chunks are independent of each other: ranks take them in turn, and a killed pass goes on behind the
last chunk that was saved.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from xsim_lib.evidence import hashing, tracing
from xsim_lib.evidence.definitions import library
from xsim_lib.indices import validation
from xsim_lib.indices.centred import Centred
from xsim_lib.indices.comoments import CoMoments, accumulated, products, total
from xsim_lib.indices.intervals import shuffled
from xsim_lib.indices.left_out import LeftOut
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.reading import ranks
from xsim_lib.reading.sentences import encode
from xsim_lib.text.types import covariates

__all__ = ["Plan", "Saved", "Sums", "collect_sums"]

N_COVARIATES = covariates(("x",)).shape[1]
_SAVING = 0.1  # the share of the time that saving may take


@dataclass(frozen=True)
class Plan:
    """What a pass reads and what it keeps.

    Attributes
    ----------
    sides : (language, sentences), each different one once.
    pairs : name -> positions of its two sides.
    shuffles : "shuffled", "length_matched".
    variants : "" and "partial" -> whether the diagonals are enough.
    keep_rows : keep the pooled vectors too.
    blocks : of sentences, for the jackknife.
    chunk : sentences of a language that are held at once.
    """

    sides: tuple[tuple[str, tuple[str, ...]], ...]
    pairs: Mapping[str, tuple[int, int]]
    shuffles: tuple[str, ...]
    variants: Mapping[str, bool]
    keep_rows: bool
    blocks: int
    chunk: int
    pooling: str
    truncate: int | None
    seed: int

    @cached_property
    def cuts(self) -> list[list[slice]]:
        """Chunks of each side; a last sentence alone joins the chunk before, where it has company."""
        return [_cuts(len(sentences), self.chunk) for _, sentences in self.sides]

    @property
    def n_chunks(self) -> int:
        return max(map(len, self.cuts))

    @property
    def n_sentences(self) -> int:
        return sum(len(sentences) for _, sentences in self.sides)

    def options(self) -> dict:
        """Everything but the text, as plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sides"}


def _cuts(n: int, chunk: int) -> list[slice]:
    starts = list(range(0, n, chunk))
    if n % chunk == 1 and len(starts) > 1:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], n], strict=True)]


@dataclass
class Sums:
    """Moments of all languages and pairs of one model (and its vectors), filled chunk by chunk.

    Attributes
    ----------
    tables : key -> moments per block. Baselines are reported without intervals: one block.
    rows : side -> chunk -> vectors.
    done : chunks of this rank that are in.
    """

    plan: Plan
    tables: dict[str, list[CoMoments]] = field(default_factory=dict)
    rows: dict[int, dict[int, Tensor]] = field(default_factory=dict)
    done: int = 0

    def __post_init__(self) -> None:
        if self.tables:
            return
        # Every rank makes the same keys in the same order: they are merged one by one.
        for variant, diagonal in self.plan.variants.items():
            keys = {_key(variant, "", i, i): self.plan.blocks for i in range(len(self.plan.sides))}
            for i, j in self.plan.pairs.values():
                keys[_key(variant, "", i, j)] = self.plan.blocks
                keys |= {_key(variant, kind, i, j): 1 for kind in self.plan.shuffles}
            for key, blocks in keys.items():
                self.tables[key] = [CoMoments(diagonal=diagonal) for _ in range(blocks)]

    @property
    def n_layers(self) -> int:
        """Number of layers, the embeddings included."""
        return len(next(p for parts in self.tables.values() for p in parts if p.n).mean_x)

    def add(self, variant: str, columns: Mapping[int, Columns]) -> None:
        """Add a chunk of the sides that are in it, and of all pairs of them."""
        pairs = [(i, i) for i in columns]
        pairs += [pair for pair in dict.fromkeys(self.plan.pairs.values()) if pair[0] in columns]
        diagonal, blocks = self.plan.variants[variant], self.plan.blocks
        for k in range(blocks):
            # Dealt like cards, so that a corpus sorted by topic does no harm.
            chunks = {
                side: centred
                for side, rows in columns.items()
                if (centred := rows.centred(slice(k, None, blocks), diagonal)) is not None
            }
            for i, j in pairs:
                if i in chunks:
                    parts = self.tables[_key(variant, "", i, j)]
                    parts[k] = accumulated(parts[k], products(chunks[i], chunks[j]))

    def add_shuffled(
        self, variant: str, kind: str, pair: tuple[int, int], x: Columns, y: Columns, order: Tensor
    ) -> None:
        """Add a chunk of a pair whose second side is put in another order."""
        diagonal = self.plan.variants[variant]
        left, right = x.centred(slice(None), diagonal), y.centred(order, diagonal)
        parts = self.tables[_key(variant, kind, *pair)]
        parts[0] = accumulated(parts[0], products(left, right))

    def left_out(self, variant: str, i: int, j: int, layers: slice) -> LeftOut:
        """Moments of some layers of two sides, with and without each block of sentences."""
        parts = self.tables[_key(variant, "", i, j)]
        return LeftOut([part[layers] for part in parts if part.n])

    def shuffled(self, variant: str, kind: str, pair: str, layers: slice) -> CoMoments:
        """Moments of some layers of a pair's shuffled pairs."""
        return self.tables[_key(variant, kind, *self.plan.pairs[pair])][0][layers]

    def vectors(self, pair: str) -> tuple[Tensor, Tensor]:
        """The vectors of both sides of a pair, (n_layers + 1, n, d) each."""
        sides = (self.rows[side] for side in self.plan.pairs[pair])
        x, y = (torch.cat([chunks[k] for k in sorted(chunks)], dim=1) for chunks in sides)
        return x, y

    def merge_ranks(self) -> Sums | None:
        """Add the sums of all ranks in their order; None everywhere but on rank 0."""
        if ranks.current_rank().size == 1:
            return self
        # One after the other: all sums of all ranks at once would not fit.
        for parts in self.tables.values():
            for k, part in enumerate(parts):
                states = ranks.gather({name: v.cpu() for name, v in part.state().items()})
                if states is not None:
                    parts[k] = total(CoMoments.from_state(state) for state in states)
        for side in range(len(self.plan.sides) if self.plan.keep_rows else 0):
            mine = {k: rows.cpu() for k, rows in self.rows.get(side, {}).items()}
            found = ranks.gather(mine)
            if found is not None:
                self.rows[side] = {k: rows for chunks in found for k, rows in chunks.items()}
        return self if ranks.current_rank().rank == 0 else None


def collect_sums(
    loaded: LoadedModel,
    plan: Plan,
    *,
    advance: Callable[[int], object],
    saved: Saved | None = None,
) -> Sums | None:
    """Run a model over everything in the plan, or over what is left of it.

    Parameters
    ----------
    advance : called with numbers of sentences done.
    saved : where the sums are kept between chunks.

    Returns
    -------
    Sums of all ranks on rank 0; None elsewhere.
    """
    # Saved sums are only used again where the code that made them says the same.
    with nullcontext() if saved is None else tracing.traced():
        return _collected(loaded, plan, advance, saved)


def _collected(
    loaded: LoadedModel, plan: Plan, advance: Callable[[int], object], saved: Saved | None
) -> Sums | None:
    rank, size = ranks.current_rank()
    sums = Sums(plan) if saved is None else saved.read(plan, loaded.model.device)
    for position, chunk in enumerate(range(rank, plan.n_chunks, size)):
        if position < sums.done:
            here = (cuts[chunk] for cuts in plan.cuts if chunk < len(cuts))
            advance(sum(cut.stop - cut.start for cut in here))
            continue
        _add_chunk(loaded, sums, chunk, advance)
        sums.done = position + 1
        if saved is not None:
            saved.write(sums)
    return sums.merge_ranks()


def _add_chunk(
    loaded: LoadedModel, sums: Sums, chunk: int, advance: Callable[[int], object]
) -> None:
    plan = sums.plan
    seen: dict[int, tuple[Tensor, Tensor]] = {}
    options = {"pooling": plan.pooling, "truncate": plan.truncate, "advance": advance}
    for side, (_, sentences) in enumerate(plan.sides):
        if chunk >= len(plan.cuts[side]):
            continue
        lines = sentences[plan.cuts[side][chunk]]
        vectors = encode(loaded, lines, **options)
        validation.rows(plan.sides[side][0], vectors, min_samples=1, batched=True, convert=False)
        seen[side] = vectors, torch.as_tensor(covariates(lines), device=vectors.device)
        if plan.keep_rows:
            sums.rows.setdefault(side, {})[chunk] = vectors
    for variant in plan.variants:
        columns = {
            side: Columns(vectors, extra if variant == "partial" else None)
            for side, (vectors, extra) in seen.items()
        }
        sums.add(variant, columns)
        for pair in dict.fromkeys(plan.pairs.values()) if plan.shuffles else ():
            i, j = pair
            if i not in seen:
                continue
            for kind in plan.shuffles:
                groups = seen[j][1][:, 0].cpu() if kind == "length_matched" else None
                order = shuffled(len(seen[j][1]), plan.seed + plan.cuts[j][chunk].start, groups)
                order = torch.as_tensor(order)
                sums.add_shuffled(variant, kind, pair, columns[i], columns[j], order)


class Columns(NamedTuple):
    """The vectors of every layer, and covariates as further columns where they are asked for."""

    vectors: Tensor
    extra: Tensor | None

    def centred(self, rows: slice | Tensor, diagonal: bool) -> Centred | None:
        """Some rows in float64 about their mean; None if there are none."""
        vectors = self.vectors[:, rows]
        if not vectors.shape[1]:
            return None
        if self.extra is None:
            return Centred.of(vectors, diagonal=diagonal)
        extra = self.extra[rows].expand(len(vectors), -1, -1)
        found = Centred.of(torch.cat([vectors.double(), extra], dim=-1), diagonal=diagonal)
        return replace(found, resolution=torch.finfo(vectors.dtype).eps)


def _key(variant: str, kind: str, i: int, j: int) -> str:
    return f"{variant}/{kind}/{i}-{j}"


@dataclass
class Saved:
    """Sums of one rank in a file that a killed pass finds again.

    Parameters
    ----------
    folder, name : of the file.
    key : what the sums depend on, as name -> hash. A file with another key is not used.
    tell : called with the reason when a file is there but cannot be used.
    """

    folder: Path
    name: str
    key: dict[str, str]
    tell: Callable[[str], object]
    _next: float = 0.0

    @property
    def path(self) -> Path:
        rank, size = ranks.current_rank()
        return self.folder / f"{self.name}.{rank}-of-{size}.pt"

    def read(self, plan: Plan, device: torch.device) -> Sums:
        """Take up the saved sums, or begin with empty ones."""
        if not self.path.is_file():
            return Sums(plan)
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
            other = [name for name, value in self.key.items() if state["key"].get(name) != value]
        except Exception as error:  # torch raises half a dozen types for a damaged file
            self.tell(f"{self.path.name} is damaged ({type(error).__name__}); starting again")
            return Sums(plan)
        if "trace" not in state or library().changed(state["trace"]):
            other.append("code")
        if other:
            self.tell(f"{self.path.name} was made with other {', '.join(other)}; starting again")
            return Sums(plan)
        tracing.include(state["trace"])
        tables = {
            key: [CoMoments.from_state(part) for part in parts]
            for key, parts in state["tables"].items()
        }
        self.tell(f"{self.path.name}: going on after chunk {state['done']}")
        return Sums(plan, tables, state["rows"], state["done"])

    def write(self, sums: Sums) -> None:
        """Save, unless that would take more than a tenth of the time."""
        started = time.monotonic()
        if started < self._next:
            return
        tables = {key: [part.state() for part in parts] for key, parts in sums.tables.items()}
        state = {"key": self.key, "done": sums.done, "tables": tables, "rows": sums.rows}
        state["trace"] = library().fingerprints(tracing.so_far())
        with hashing.atomic_write(self.path) as temporary:
            torch.save(state, temporary)
        now = time.monotonic()
        self._next = now + (now - started) * (1 / _SAVING - 1)

    def remove(self) -> None:
        """Remove the file once its sums have been used up."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # other ranks have files there, or have just removed it
            self.folder.rmdir()
