"""The picture of emerging2020 on the landing page, drawn from the numbers that the paper printed."""

from matplotlib.axes import Axes

from xsim_lib.evidence import printed
from xsim_lib.figures.style import COLOURS, GREY

__all__ = ["PICTURE"]

_BLUE, _GREEN = COLOURS[0], COLOURS[2]


def _draw(axes: Axes) -> None:
    frame = printed.read_printed("emerging2020", "fig7")
    frame = frame[frame["layer"].astype(str) == "mean(0-8)"]
    colours = {"Bilingual": _BLUE, "Monolingual": _GREEN, "Random": GREY}
    for series, colour in colours.items():
        rows = frame[frame["series"] == series]
        axes.plot(rows["pair_or_language"], rows["value"], "o-", color=colour, label=series, ms=4)
    axes.set(ylabel="mean CKA", ylim=(0, 1))


PICTURE = (
    _draw,
    "CKA averaged over layers: bilingual above monolingual models, both above a random encoder.",
)
"""How it is drawn, and what it shows."""
