"""The picture of align2021 on the landing page, drawn from the numbers that the paper printed."""

from matplotlib.axes import Axes

from xsim_lib.evidence import printed
from xsim_lib.figures.style import COLOURS

__all__ = ["PICTURE"]

_BLUE, _ORANGE = COLOURS[0], COLOURS[3]


def _draw(axes: Axes) -> None:
    frame = printed.read_printed("align2021", "randominit")
    frame = frame[frame["metric"].str.startswith("delta") & frame["layer"].notna()]
    for series, name, colour in (("EN-EN", "English", _BLUE), ("EN-X", "other languages", _ORANGE)):
        rows = frame[frame["pair_or_language"] == series]
        axes.plot(rows["layer"].astype(str), rows["value"], "o-", color=colour, label=name, ms=4)
    axes.set(xlabel="layers reset", ylabel="change in LAS")


PICTURE = (
    _draw,
    "Parsing after resetting two layers of mBERT: the lowest layers matter for other languages.",
)
"""How it is drawn, and what it shows."""
