"""Where the next sweep starts: extrapolation that never lets the error rise."""

from __future__ import annotations

from typing import Any

import torch

from xsim_lib.factorization.sweeps import Factors


class Extrapolation:
    """Nesterov's momentum far from the solution, Anderson mixing near it.

    A sweep maps a point y to g(y). Momentum starts the next sweep at
    g_k + (t_k - 1) / t_{k+1} (g_k - g_{k-1}) and restarts when it points uphill (O'Donoghue &
    Candes, 2015). Once a sweep gains less than `mix_below` of the squared error, the last
    `depth` sweeps are mixed so that their residual g(y) - y is smallest (Walker & Ni, 2011). The
    caller rejects a sweep that raised the error; the next one then starts from the best point.

    References
    ----------
    Mitchell, Ye & De Sterck (2020), "Nesterov acceleration of alternating least squares".
    """

    def __init__(self, *, enabled: bool, warm: int = 0, depth: int = 10, mix_below: float = 1e-4):
        self.enabled, self.warm, self.depth, self.mix_below = enabled, warm, depth, mix_below
        self.t, self.mixing, self.previous = 1.0, False, None
        self.history: list[tuple[torch.Tensor, torch.Tensor]] = []

    def accept(self, start: Factors, new: Factors, gain: float) -> Factors:
        """The next start after a sweep from `start` to `new` that lowered the squared error by `gain`."""
        previous, self.previous = self.previous, new
        if not self.enabled or previous is None:
            return new
        if self.warm:
            self.warm -= 1
            return new
        if self.mixing:
            return self._mix(start, new)
        if gain < self.mix_below:
            self.mixing = True
            return new
        following = (1 + (1 + 4 * self.t**2) ** 0.5) / 2
        step, self.t = (self.t - 1) / following, following
        uphill = sum(
            ((y - g) * (g - p)).sum() / g.square().sum().clamp(min=1e-300)
            for y, g, p in zip(start, new, previous, strict=True)
        )
        if float(uphill) > 0:
            self.t, step = 1.0, 0.0
        return Factors(*(g + step * (g - p) for g, p in zip(new, previous, strict=True)))

    def reject(self) -> None:
        """Forget the momentum; mixing that failed hands over to momentum again."""
        self.t, self.previous, self.history = 1.0, None, []

    def _mix(self, start: Factors, new: Factors) -> Factors:
        self.history = [*self.history, (_flat(start), _flat(new))][-self.depth - 1 :]
        if len(self.history) < 2:
            return new
        residual = torch.stack([g - y for y, g in self.history])
        change = residual[1:] - residual[:-1]
        gram = (change @ change.T).double()
        scale = gram.diagonal().clamp(min=1e-300).rsqrt()
        gram = gram * scale[:, None] * scale
        gram += 1e-12 * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        weights = torch.linalg.solve(gram, (change @ residual[-1]).double() * scale) * scale
        ends = torch.stack([g for _, g in self.history])
        mixed = ends[-1] - weights.to(ends.dtype) @ (ends[1:] - ends[:-1])
        parts = mixed.split([f.numel() for f in new])
        return Factors(*(part.view_as(f) for part, f in zip(parts, new, strict=True)))

    def state(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in ("warm", "t", "mixing", "history")}
        return {**kept, "previous": self.previous and tuple(self.previous)}

    def restore(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.previous = self.previous and Factors(*self.previous)


def _flat(factors: Factors) -> torch.Tensor:
    return torch.cat([f.reshape(-1) for f in factors])
