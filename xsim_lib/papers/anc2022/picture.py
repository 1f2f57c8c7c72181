"""The picture of anc2022 on the landing page, drawn from the numbers that the paper printed."""

from matplotlib.axes import Axes

from xsim_lib.evidence import printed
from xsim_lib.figures.style import COLOURS

__all__ = ["PICTURE"]

_BLUE, _ORANGE = COLOURS[0], COLOURS[3]


def _draw(axes: Axes) -> None:
    for item, name, colour in (("fig1", "CKA", _ORANGE), ("fig4", "ANC", _BLUE)):
        frame = printed.read_printed("anc2022", item)
        rows = frame[
            (frame["series"] == "scale_normformer") & (frame["pair_or_language"] == "en-fr")
        ]
        axes.plot(rows["layer"].astype(int), rows["value"], "o-", color=colour, label=name, ms=4)
    axes.set(xlabel="layer", ylim=(0, 1))


PICTURE = (
    _draw,
    "NormFormer, English and French: CKA falls to zero in layer 6, ANC stays above it.",
)
"""How it is drawn, and what it shows."""
