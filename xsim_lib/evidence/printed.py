"""The numbers the papers report, one per row, digitised or copied from tables and text.

Files are called ``papers/PAPER/printed/ITEM.csv`` with the columns ``paper, item, series, pair_or_language, task,
layer, metric, value, lower, upper, source``; `source` is "table", "text" or "digitised" and `lower`,
`upper` bound the digitising error (or the range the text states). Files of ``..._attributes`` hold
words. Nothing here is a measurement of ours.
"""

from functools import cache

import pandas as pd

from xsim_lib.evidence import chapters
from xsim_lib.evidence.hashing import file_sha256, stable_hash
from xsim_lib.evidence.paths import visible
from xsim_lib.evidence.records import Records, merge_records

__all__ = ["as_records", "items", "papers_with_numbers", "printed_fingerprint", "read_printed"]

_METRICS = {  # elsewhere the lower-case name is ours already
    "matching_accuracy": "matching",
    "delta_las_after_random-init": "delta_las",
    "spearman(x-gap, cka similarity)": "spearman",
    "pearson(mean signature, unique characters)": "pearson_characters",
    "pearson(mean signature, ttr)": "pearson_ttr",
    "pearson(mean signature, data size)": "pearson_size",
    "pearson(mean signature, accuracy)": "pearson_accuracy",
    "pearson(mean signature, f1)": "pearson_f1",
    "pearson(mean signature, em)": "pearson_em",
}
_TASKS = {("anc2022", "table1"): "nli", ("anc2022", "fig2"): ""}
_TASK_NAMES = {"dependency parsing": "parsing", "Parsing": "parsing", "POS": "pos", "NER": "ner"}
_PAPER_TASKS = {"emerging2020": {"XNLI": "nli"}}
# Groups of languages as the tables write them -> as we write them.
_GROUPS = {
    f"{s}-{t}": f"{s.lower()}-{'X' if t == 'X' else t.lower()}"
    for s in ("EN", "RU", "AR")
    for t in (s, "X")
} | {"en-X mean": "en-X"}
_SD_BAND = "anc_mean_with_printed_sd_band"
_ALL_LAYERS = "mean over layers"
_PARALLEL = 10000  # sentences per pair in anc2022, as its text states


def papers_with_numbers() -> tuple[str, ...]:
    """The ids of the papers, sorted."""
    return tuple(sorted({paper for paper, _ in _files()}))


def printed_fingerprint(paper: str) -> str:
    """Hash of everything that a paper prints, as it stands in our files."""
    files = visible(chapters.folder(paper) / "printed", "*.csv")
    return stable_hash({f"{paper}_{file.name}": file_sha256(file) for file in files})[:16]


def items(paper: str) -> tuple[str, ...]:
    """The items of a paper that have a file, such as "fig1" or "table2_attributes".

    Raises
    ------
    ValueError : unknown paper.
    """
    found = tuple(item for name, item in sorted(_files()) if name == paper)
    if not found:
        raise ValueError(
            f"paper: expected one of {', '.join(papers_with_numbers())}, got {paper!r}"
        )
    return found


def read_printed(paper: str, item: str) -> pd.DataFrame:
    """Read what a paper prints for one item.

    Returns
    -------
    DataFrame with the columns named above. `layer` is Int64 where all layers are plain numbers and
    text ("1-2", "mean(0-8)") elsewhere; `value` is float, or text in files of attributes; `lower` and
    `upper` are float. Changing it changes nothing here.

    Raises
    ------
    ValueError : unknown paper or item; says which there are.

    Examples
    --------
    >>> read_printed("anc2022", "table1").query("series == 'scale_pre'")["value"].tolist()
    [0.81, 0.72, 0.72]
    """
    known = items(paper)
    if item not in known:
        raise ValueError(f"item: {paper} has {', '.join(known)}; got {item!r}")
    return _read(paper, item).copy()


def as_records(paper: str, wanted: list[str] | tuple[str, ...] | None = None) -> Records:
    """Turn printed numbers into records, so that a claim can be judged on them.

    The model is the printed series, the seed 0, the profile "reported", the depth of a network its
    highest printed layer. Metrics get our names ("CKA" becomes "cka"). A layer group such as "1-2"
    moves into `variant`. Rows that print only a range or a word are left out.

    Parameters
    ----------
    wanted : items as in `items`; None for all that hold numbers.

    Raises
    ------
    ValueError : unknown paper or item, or an item without a single number.
    """
    names = wanted or [item for item in items(paper) if not item.endswith("_attributes")]
    return merge_records([_as_records(paper, item) for item in names])


@cache
def _as_records(paper: str, item: str) -> Records:
    frame = read_printed(paper, item)
    numbers = pd.to_numeric(frame["value"], errors="coerce")
    frame = frame[numbers.notna()].assign(value=numbers)
    if frame.empty:
        raise ValueError(f"item: {paper} {item} prints no number")
    layer = pd.to_numeric(frame["layer"], errors="coerce").astype("Int64")
    groups = frame["layer"].astype("string").fillna("").replace(_ALL_LAYERS, "")
    variant = ("layers " + groups).where(layer.isna() & (groups != ""), "")
    metric = frame["metric"].str.lower().replace(_METRICS)
    # The printed band repeats the means: it is another reading of the curve, not another curve.
    band = metric == _SD_BAND
    rows = pd.DataFrame(
        {
            "paper": frame["paper"],
            "item": frame["item"],
            "model": frame["series"],
            "pair_or_language": frame["pair_or_language"].replace(_GROUPS),
            "task": _TASKS.get(
                (paper, item), frame["task"].replace(_TASK_NAMES | _PAPER_TASKS.get(paper, {}))
            ),
            "layer": layer,
            "n_layers": layer.groupby(frame["series"]).transform("max"),
            "metric": metric.mask(band, "anc"),
            "value": frame["value"],
            "lower": frame["lower"],
            "upper": frame["upper"],
            "n": _PARALLEL if (paper, item) == ("anc2022", "fig2") else None,
            "variant": variant.astype(object).mask(band, "sd_band"),
        }
    )
    return Records.of(rows, profile="reported", seed=0, baseline="", provenance=f"{paper}_{item}")


@cache
def _files() -> frozenset[tuple[str, str]]:
    folders = {paper: chapters.folder(paper) / "printed" for paper in chapters.names()}
    return frozenset((p, file.stem) for p, f in folders.items() for file in visible(f, "*.csv"))


@cache
def _read(paper: str, item: str) -> pd.DataFrame:
    file = chapters.folder(paper) / "printed" / f"{item}.csv"
    frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    for column in ("lower", "upper"):
        frame[column] = pd.to_numeric(frame[column])
    if not item.endswith("_attributes"):
        frame["value"] = pd.to_numeric(frame["value"]).astype(float)
    if frame["layer"].str.fullmatch(r"\d*").all():
        frame["layer"] = pd.to_numeric(frame["layer"]).astype("Int64")
    return frame
