"""The cards of the landing page: one per paper, with its picture if it has one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from xsim_lib.evidence import chapters
from xsim_lib.figures.style import GREY

__all__ = ["cards", "draw_cards"]


@cache
def _pictures() -> dict[str, tuple[Callable, str]]:
    """Paper -> how it is drawn and what the picture shows; of those that have a ``picture.py``."""
    found = {paper: chapters.modules(paper, "picture") for paper in chapters.names()}
    return {paper: modules[0].PICTURE for paper, modules in found.items() if modules}


def draw_cards(folder: Path) -> None:
    """Write ``PAPER.svg`` into `folder` for every paper that has a picture."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    style = {
        "svg.hashsalt": "xsim",  # the same drawing gives the same file
        "svg.fonttype": "none",
        "text.color": GREY,
        "axes.labelcolor": GREY,
        "axes.edgecolor": GREY,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 11,
    }
    with matplotlib.rc_context(style):
        for paper, (painter, _) in _pictures().items():
            figure = Figure(figsize=(4.2, 2.6), layout="constrained")
            axes = figure.add_subplot()
            painter(axes)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, fontsize=10)
            FigureCanvasSVG(figure)
            figure.savefig(folder / f"{paper}.svg", metadata={"Date": None}, transparent=True)


def cards(titles: dict[str, str]) -> str:
    """One card per paper, linking to its chapter."""
    lines = ["::::{grid} 1 1 2 2", ":gutter: 3", ""]
    for paper, title in titles.items():
        lines += [f":::{{grid-item-card}} {title}", f":link: {paper}", ":link-type: ref", ""]
        below = []
        if paper in _pictures():
            text = _pictures()[paper][1]
            lines += [f"```{{image}} /_static/{paper}.svg", f":alt: {text}", ":width: 100%"]
            lines += [":class: dark-light", "```", ""]
            below.append(text)
        if key := chapters.citation(paper):
            below.append(f"{{cite:p}}`{key}`")
        lines += [" ".join(below), ":::", ""]
    return "\n".join([*lines, "::::"])
