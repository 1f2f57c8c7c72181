"""The picture of parafac2023 on the landing page, drawn from the numbers that the paper printed."""

from matplotlib.axes import Axes

from xsim_lib.evidence import printed
from xsim_lib.figures.style import COLOURS

__all__ = ["PICTURE"]

_BLUE = COLOURS[0]


def _draw(axes: Axes) -> None:
    frame = printed.read_printed("parafac2023", "table1")
    rows = frame[(frame["series"] == "XLM-R") & frame["metric"].str.startswith("pearson")]
    rows = rows.drop_duplicates("task")
    axes.barh(rows["task"], rows["value"].astype(float), color=_BLUE)
    axes.invert_yaxis()
    axes.set(xlabel="correlation (XLM-R, last layer)", xlim=(0, 1))


PICTURE = (_draw, "Correlation of a language's signature with its score, per task.")
"""How it is drawn, and what it shows."""
