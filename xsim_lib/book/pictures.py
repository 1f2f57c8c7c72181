"""One small picture per paper for the landing page, drawn from the numbers the paper printed."""

from collections.abc import Callable
from pathlib import Path

from xsim_lib.evidence import printed
from xsim_lib.figures.style import COLOURS, GREY

__all__ = ["PICTURES", "cards", "draw_cards"]

_BLUE, _GREEN, _ORANGE = COLOURS[0], COLOURS[2], COLOURS[3]


def _anc2022(axes) -> None:
    for item, name, colour in (("fig1", "CKA", _ORANGE), ("fig4", "ANC", _BLUE)):
        frame = printed.read_printed("anc2022", item)
        rows = frame[
            (frame["series"] == "scale_normformer") & (frame["pair_or_language"] == "en-fr")
        ]
        axes.plot(rows["layer"].astype(int), rows["value"], "o-", color=colour, label=name, ms=4)
    axes.set(xlabel="layer", ylim=(0, 1))


def _align2021(axes) -> None:
    frame = printed.read_printed("align2021", "randominit")
    frame = frame[frame["metric"].str.startswith("delta") & frame["layer"].notna()]
    for series, name, colour in (("EN-EN", "English", _BLUE), ("EN-X", "other languages", _ORANGE)):
        rows = frame[frame["pair_or_language"] == series]
        axes.plot(rows["layer"].astype(str), rows["value"], "o-", color=colour, label=name, ms=4)
    axes.set(xlabel="layers reset", ylabel="change in LAS")


def _emerging2020(axes) -> None:
    frame = printed.read_printed("emerging2020", "fig7")
    frame = frame[frame["layer"].astype(str) == "mean(0-8)"]
    colours = {"Bilingual": _BLUE, "Monolingual": _GREEN, "Random": GREY}
    for series, colour in colours.items():
        rows = frame[frame["series"] == series]
        axes.plot(rows["pair_or_language"], rows["value"], "o-", color=colour, label=series, ms=4)
    axes.set(ylabel="mean CKA", ylim=(0, 1))


def _parafac2023(axes) -> None:
    frame = printed.read_printed("parafac2023", "table1")
    rows = frame[(frame["series"] == "XLM-R") & frame["metric"].str.startswith("pearson")]
    rows = rows.drop_duplicates("task")
    axes.barh(rows["task"], rows["value"].astype(float), color=_BLUE)
    axes.invert_yaxis()
    axes.set(xlabel="correlation (XLM-R, last layer)", xlim=(0, 1))


# paper -> how it is drawn, and what the picture shows
PICTURES: dict[str, tuple[Callable, str]] = {
    "anc2022": (
        _anc2022,
        "NormFormer, English and French: CKA falls to zero in layer 6, ANC stays above it.",
    ),
    "align2021": (
        _align2021,
        "Parsing after resetting two layers of mBERT: the lowest layers matter for other languages.",
    ),
    "emerging2020": (
        _emerging2020,
        "CKA averaged over layers: bilingual above monolingual models, both above a random encoder.",
    ),
    "parafac2023": (
        _parafac2023,
        "Correlation of a language's signature with its score, per task.",
    ),
}


def draw_cards(folder: Path) -> None:
    """Write ``PAPER.svg`` for every paper into `folder`."""
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
        for paper, (painter, _) in PICTURES.items():
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
        text = PICTURES[paper][1]
        lines += [f":::{{grid-item-card}} {title}", f":link: {paper}", ":link-type: ref", ""]
        lines += [f"```{{image}} /_static/{paper}.svg", f":alt: {text}", ":width: 100%"]
        lines += [":class: dark-light", "```", ""]
        lines += [f"{text} {{cite:p}}`{_CITED[paper]}`", ":::", ""]
    return "\n".join([*lines, "::::"])


_CITED = {
    "anc2022": "del2022cross",
    "align2021": "muller2021first",
    "emerging2020": "conneau2020emerging",
    "parafac2023": "zhao2023joint",
}
