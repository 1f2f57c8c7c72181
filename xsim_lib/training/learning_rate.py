"""The one schedule of all training: linear warm-up, linear decay."""

from __future__ import annotations

__all__ = ["warm_up_and_decay"]


def warm_up_and_decay(step: int, steps: int, *, warmup: float, peak: float) -> float:
    r"""Learning rate of step :math:`t = 1, \dots, T`, with :math:`w = \max(1, \lfloor \mathrm{warmup} \cdot T \rceil)`.

    .. math:: \eta_t = \mathrm{peak} \cdot \min\left(\frac{t}{w}, \frac{T - t + 1}{T - w + 1}\right)

    Parameters
    ----------
    warmup : share of the steps spent warming up.
    peak : of the last step of the warm-up; the step after the last would have rate 0.
    """
    warm = max(1, round(warmup * steps))
    if step <= warm:
        return peak * step / warm
    return peak * (steps - step + 1) / (steps - warm + 1)
