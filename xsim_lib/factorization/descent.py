"""Sweeps from several starts, first on compressed slices, resumable."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from xsim_lib.evidence.hashing import atomic_write, stable_hash
from xsim_lib.factorization.acceleration import Extrapolation
from xsim_lib.factorization.sweeps import Factors, Slices, alternating_sweep

PATIENCE = 5  # sweeps over which the stopping rule averages
COARSE = 1e-4  # a compressed sweep that gains less than this no longer pays
PASSES = 5  # over the columns of a non-negative A, as tensorly 0.10
RACE = 5  # sweeps after which the better of two ways to begin is known
WARM = 6  # plain sweeps of the thorough way before momentum sets in


@dataclass(frozen=True)
class Options:
    """Arguments of `parafac2` that decide what the sweeps do."""

    rank: int
    target_error: float | None
    tol: float
    max_iter: int
    starts: int
    seed: int
    nonnegative: bool
    accelerate: bool
    inner: int | None
    compression: float | str
    dtype: str
    init: str = "svd"


@dataclass
class DescentRun:
    """The state of one start: its best factors, where its next sweep begins, and its past."""

    factors: Factors
    point: Factors
    extrapolation: Extrapolation
    errors: list[float]
    compressed: bool
    inner: int
    plain: bool = True
    reason: str = ""


class SavedSweeps:
    """A file that keeps the runs of one call; another call's file is refused."""

    def __init__(self, path: str | os.PathLike, every: int, options: Options, slices: Slices):
        self.path, self.every = Path(path), every
        digest = hashlib.sha256()
        for where, x in slices.batches:
            digest.update(repr(where.tolist()).encode())
            digest.update(x.cpu().contiguous().numpy())
        # More sweeps of the same call are the reason to resume.
        settings = {k: v for k, v in dataclasses.asdict(options).items() if k != "max_iter"}
        self.call = stable_hash([settings, digest.hexdigest()])

    def save(self, runs: list[DescentRun]) -> None:
        plain = [
            {**vars(run), "extrapolation": run.extrapolation.state()}
            | {name: tuple(getattr(run, name)) for name in ("factors", "point")}
            for run in runs
        ]
        with atomic_write(self.path) as temporary:
            torch.save({"call": self.call, "runs": plain}, temporary)

    def load(self, device: torch.device) -> list[dict]:
        if not self.path.exists():
            return []
        found = torch.load(self.path, map_location=device, weights_only=True)
        if found["call"] != self.call:
            raise ValueError(
                f"checkpoint: expected a file of this call, got {self.path.name} of other slices or "
                "arguments; delete it or name another"
            )
        return found["runs"]


class Descent:
    """Minimise |X - M| from every start."""

    def __init__(self, full: Slices, options: Options, checkpoint: SavedSweeps | None = None):
        self.options, self.checkpoint = options, checkpoint
        self.method = "newton-schulz" if full.batches[0][1].is_cuda else "eigen"
        self.full = full.low()
        values, vectors = torch.linalg.eigh(self.full.gram())
        self.directions = vectors.flip(-1)
        width = self._width(values.flip(-1).clamp(min=0))
        self.basis = self.directions[:, :width].contiguous() if width else None
        self.narrow = self.full.narrow(self.basis) if width else None

    def runs(self) -> list[DescentRun]:
        """Every start, swept to its end."""
        device = self.directions.device
        runs = (
            [self._restored(saved) for saved in self.checkpoint.load(device)]
            if self.checkpoint
            else []
        )
        for run in runs:
            if run.reason == "max_iter" and len(run.errors) < self.options.max_iter:
                run.reason = ""
        while len(runs) < self.options.starts or not runs[-1].reason:
            if not runs or runs[-1].reason:
                runs.append(self._begin(len(runs)))
            self._finish(runs)
        return runs

    def _finish(self, runs: list[DescentRun]) -> None:
        run = runs[-1]
        while not run.reason:
            self._step(run)
            if self.checkpoint and len(run.errors) % self.checkpoint.every == 0:
                self.checkpoint.save(runs)
        if self.checkpoint:
            self.checkpoint.save(runs)

    def _step(self, run: DescentRun) -> None:
        options = self.options
        slices = self.narrow if run.compressed else self.full
        new, error = alternating_sweep(
            slices,
            run.point,
            inner=run.inner,
            passes=PASSES if options.nonnegative else 0,
            method=self.method,
        )
        best = run.errors[-1] if run.errors else float("inf")
        stuck = False
        if error <= best:
            gain = 1 - (error / best) ** 2 if best else 0.0
            start = run.extrapolation.accept(run.point, new, gain)
            if options.nonnegative:
                start = start._replace(A=start.A.clamp(min=0))
            run.factors, run.point, run.plain = new, start, start is new
            best = error
        else:
            # From the best point itself only rounding can raise the error.
            stuck = run.plain
            run.extrapolation.reject()
            run.point, run.plain = run.factors, True
        run.errors.append(best)
        self._judge(run, stuck)

    def _judge(self, run: DescentRun, stuck: bool) -> None:
        options, errors = self.options, run.errors
        least = max(options.tol, COARSE) if run.compressed else options.tol
        slow = stuck or errors[-1] < 1e2 * torch.finfo(self.directions.dtype).eps
        if len(errors) > PATIENCE and not slow:
            slow = 1 - (errors[-1] / errors[-1 - PATIENCE]) ** 2 < PATIENCE * least
        if options.target_error is not None and errors[-1] <= options.target_error:
            run.reason = "target"
        elif slow and not run.compressed:
            run.reason = "tol"
        elif len(errors) >= options.max_iter:
            run.reason = "max_iter"
        if run.compressed and (slow or run.reason):
            self._expand(run)

    def _expand(self, run: DescentRun) -> None:
        """Go on with all columns: the same model, hence the same error."""
        run.factors = run.factors._replace(C=self.basis @ run.factors.C)
        run.point, run.plain, run.compressed = run.factors, True, False
        run.extrapolation = self._extrapolation()

    def _begin(self, number: int) -> DescentRun:
        """A start, swept a little in two ways, of which the better goes on.

        Solving for A, B and C thoroughly before the P_i move again finds planted components; moving
        them at every update is quicker where the slices have no such structure.
        """
        factors, options = self._start(number), self.options
        if options.inner or not options.accelerate:
            return self._run(factors, options.inner or 5, warm=0)
        ways = [self._run(factors, 5, warm=WARM), self._run(factors, 1, warm=0)]
        for run in ways:
            while (
                len(run.errors) < RACE and not run.reason and run.compressed == ways[0].compressed
            ):
                self._step(run)
        best = min(ways, key=lambda run: run.errors[-1])
        best.inner = min(best.inner, 2)
        return best

    def _run(self, start: Factors, inner: int, warm: int) -> DescentRun:
        extrapolation = self._extrapolation(warm)
        return DescentRun(start, start, extrapolation, [], self.narrow is not None, inner)

    def _start(self, number: int) -> Factors:
        rank, n = self.options.rank, self.full.n_slices
        like = {"dtype": self.directions.dtype, "device": self.directions.device}
        c = self.directions[:, :rank]
        a = torch.ones(n, rank, **like)
        if number or self.options.init == "random":
            random = torch.Generator().manual_seed(self.options.seed + number)
            wide = min(2 * rank, self.directions.shape[1])
            turn = torch.linalg.qr(torch.randn(wide, rank, generator=random, dtype=torch.float64)).Q
            c = self.directions[:, :wide] @ turn.to(**like)
            a = 0.5 + torch.rand(n, rank, generator=random, dtype=torch.float64).to(**like)
        c = c.contiguous() if self.basis is None else self.basis.T @ c
        return Factors(a, torch.eye(rank, **like), c)

    def _restored(self, saved: dict) -> DescentRun:
        extrapolation = self._extrapolation()
        extrapolation.restore(saved["extrapolation"])
        factors, point = (Factors(*saved[name]) for name in ("factors", "point"))
        return DescentRun(
            **{**saved, "extrapolation": extrapolation, "factors": factors, "point": point}
        )

    def _extrapolation(self, warm: int = 0) -> Extrapolation:
        return Extrapolation(enabled=self.options.accelerate, warm=warm)

    def _width(self, values: torch.Tensor) -> int:
        """Directions of the compressed sweeps; 0 where they would not be clearly fewer."""
        share, rank = self.options.compression, self.options.rank
        if share == "off":
            return 0
        if share == "auto":
            width = max(96, 2 * rank)
        else:
            left_out = 1 - values.double().cumsum(0) / values.double().sum()
            slack = len(values) * torch.finfo(values.dtype).eps
            width = max(rank, 1 + int((left_out > share + slack).sum()))
        return width if width < 0.75 * len(values) else 0
