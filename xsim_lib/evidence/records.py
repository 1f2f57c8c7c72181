"""Measurements as one tidy table, and where each of them comes from.

Every experiment writes rows of the same columns (`COLUMNS`), so figures, claims and the book need no
knowledge of the experiment. Next to every file lies ``FILE.json`` with its provenance.

The papers speak of layers 0..12 of a 12-layer network. `Records.mean(..., layers=(6, 11))` keeps that
way of speaking for networks of any depth, see `paper_layers`.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from xsim_lib.evidence.columns import (
    COLUMNS,
    FORWARD,
    KEY,
    MEAN_SEED,
    NEVER_EMPTY,
    TEXT,
    TRAINED,
    implied,
    listed,
    validated,
)
from xsim_lib.evidence.hashing import atomic_write, file_sha256
from xsim_lib.evidence.provenance import provenance_of

__all__ = [
    "COLUMNS",
    "KEY",
    "MEAN_SEED",
    "NothingSelected",
    "Records",
    "merge_records",
    "paper_layers",
    "provenance_of",
    "read_provenance",
    "read_records",
    "write_provenance",
    "write_records",
]  # fmt: skip

PAPER_DEPTH = 12
"""Layers of the networks whose layer numbers the papers and the claims use."""


class NothingSelected(LookupError):
    """A selection of records came back empty; says what was asked for and what there is."""


class Records:
    """A validated table of measurements; never changed in place.

    Parameters
    ----------
    frame : DataFrame with exactly `COLUMNS` (any order). `layer`, `n_layers`, `n`, `lower` and `upper`
        may be missing values; text may be empty except paper, item, profile and metric. `baseline` is
        "" for the measurement itself; `variant` qualifies it ("partial", "centred", "cls").
        Rows that repeat another row are dropped.

    Raises
    ------
    ValueError : a column is missing, unknown or of the wrong type; a metric is not lower case; a layer
        lies outside 0..n_layers; a value is not finite; or one key has two values. Names the column
        and the row, or the key.
    """

    def __init__(self, frame: pd.DataFrame):
        self._frame = validated(frame, "records")

    @classmethod
    def of(cls, rows: pd.DataFrame | Iterable[Mapping], **constants: object) -> "Records":
        """Build records from rows that leave out what is constant or empty.

        Parameters
        ----------
        rows : DataFrame or dictionaries with at least metric and value.
        **constants : columns set on every row, such as ``paper="anc2022"``; they replace those of `rows`.
        """
        frame = rows.copy() if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        for column, constant in constants.items():
            frame[column] = constant
        for column in COLUMNS:
            if column not in frame.columns and column not in NEVER_EMPTY:
                frame[column] = "" if column in TEXT else None
            elif column in TEXT and column not in NEVER_EMPTY:
                # Dictionaries of unequal keys leave gaps.
                frame[column] = frame[column].astype(object).where(frame[column].notna(), "")
        return cls(frame)

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of the table with `COLUMNS` in order."""
        return self._frame.copy()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds present, ascending."""
        return tuple(int(seed) for seed in sorted(self._frame["seed"].unique()))

    def unique(self, column: str) -> tuple:
        """The values of one column in the order they appear, without missing ones."""
        return tuple(self._frame[column].dropna().unique().tolist())

    def __len__(self) -> int:
        return len(self._frame)

    def __repr__(self) -> str:
        parts = (f"{c}: {listed(self.unique(c))}" for c in ("paper", "item", "profile", "metric"))
        return f"Records({len(self)} rows; {'; '.join(parts)}; seeds: {listed(self.seeds)})"

    def select(self, **equal: object) -> "Records":
        """Keep the rows whose columns equal the given values.

        Parameters
        ----------
        **equal : column=value, column=None for a missing value, or column=[several values], each of
            which must be there: a mean over two of three pairs would go unnoticed.
            ``layer=`` counts the layers of the model itself.

        Raises
        ------
        ValueError : unknown column.
        NothingSelected : no row, or none for one of several values; says what exists.
        """
        unknown = [column for column in equal if column not in COLUMNS]
        if unknown:
            raise ValueError(
                f"select: no column {unknown[0]!r}; expected one of {', '.join(COLUMNS)}"
            )
        mask = np.ones(len(self), dtype=bool)
        for column, wanted in equal.items():
            several = isinstance(wanted, (list, tuple, set, frozenset, np.ndarray))
            match = np.zeros(len(self), dtype=bool)
            for one in wanted if several else (wanted,):
                same = self._equal(column, one)
                if not (mask & same).any():
                    raise NothingSelected(self._explain(equal, column, one))
                match |= same
            mask &= match
        return self._kept(mask)

    def layers(self, layers: int | tuple[int, int]) -> "Records":
        """Keep the rows at `layers` of the papers' 12-layer scale, see `paper_layers`.

        Raises
        ------
        NothingSelected : no row lies there.
        """
        depth, layer = self._frame["n_layers"], self._frame["layer"]
        mask = np.zeros(len(self), dtype=bool)
        for n_layers in depth.dropna().unique():
            mask |= ((depth == n_layers) & layer.isin(paper_layers(int(n_layers), layers))).fillna(
                False
            )
        if not mask.any():
            exist = listed(sorted(self.unique("layer")))
            raise NothingSelected(
                f"records: nothing at layers={layers!r} of 12; layers here: {exist}"
            )
        return self._kept(np.asarray(mask, dtype=bool))

    def mean(
        self,
        metric: str,
        layers: int | tuple[int, int] | None = None,
        *,
        baseline: str = "",
        variant: str = "",
        **equal: object,
    ) -> float:
        """Average a metric over everything that is not fixed (pairs, layers, models, seeds).

        Parameters
        ----------
        metric : such as "cka".
        layers : one layer or an inclusive range on the papers' 12-layer scale; None: all rows.
        baseline, variant : "" for the measurement itself, so that baselines are never averaged in.
        **equal : as in `select`.
        """
        chosen = self.select(metric=metric, baseline=baseline, variant=variant, **equal)
        if layers is not None:
            chosen = chosen.layers(layers)
        return float(chosen._frame["value"].mean())

    def curve(
        self, metric: str, *, baseline: str = "", variant: str = "", **equal: object
    ) -> pd.Series:
        """Average a metric per layer.

        Returns
        -------
        float Series over the model's own layers, ascending, named after the metric; relative depth is
        ``curve.index / curve.index.max()`` when the last layer was measured.

        Raises
        ------
        ValueError : the rows come from networks of different depth.
        """
        chosen = self.select(metric=metric, baseline=baseline, variant=variant, **equal)
        frame = chosen._frame.dropna(subset=["layer"])
        if frame.empty:
            raise NothingSelected(f"records: metric={metric!r} was not measured per layer here")
        depths = frame["n_layers"].unique()
        if len(depths) > 1:
            raise ValueError(f"curve: one network depth expected, got n_layers {listed(depths)}")
        curve = frame.groupby("layer")["value"].mean().sort_index().rename(metric)
        curve.index = curve.index.astype(int)
        return curve.astype(float)

    def of_items(self, *items: str) -> "Records":
        """Keep the rows of some items; a later item only adds what the earlier ones did not measure.

        Figure 7 is read against Figure 1, for example: ``of_items("fig7", "fig1")``.

        Raises
        ------
        NothingSelected : no row of any of the items.
        """
        parts = [self._frame[self._frame["item"] == item] for item in items]
        frame = pd.concat(parts)
        if frame.empty:
            raise NothingSelected(self._explain({"item": items}, "item", items))
        key = [column for column in KEY if column != "item"]
        repeated = frame.duplicated(key, keep="first") & (frame["item"] != frame["item"].iloc[0])
        return _trusted(frame[~repeated])

    def named(self, names: Mapping[str, str] | None = None) -> "Records":
        """Call stand-ins what the paper calls the models that they stand in for.

        Parameters
        ----------
        names : model of the paper -> another name for it, and for all its stand-ins.
        """
        frame, own = self._frame, self._frame["in_place_of"]
        called = frame["model"].where(own == "", own)
        return _trusted(frame.assign(model=called.replace(dict(names or {}))))

    def mean_over_seeds(self) -> "Records":
        """Average every measurement over its seeds; the rows get the seed `MEAN_SEED`."""
        key = [column for column in KEY if column != "seed"]
        how = {"value": "mean", "lower": "mean", "upper": "mean", "n": "min"}
        how |= {"in_place_of": "first", "provenance": "first"}
        how["made_by"] = "max"  # of True and False: "trained" as soon as one seed is
        frame = self._frame.assign(made_by=self._frame["made_by"] == TRAINED)
        frame = frame.groupby(key, dropna=False, sort=False).agg(how).reset_index()
        frame["made_by"] = np.where(frame["made_by"], TRAINED, FORWARD)
        return _trusted(validated(frame.assign(seed=MEAN_SEED), "records"))

    def _equal(self, column: str, value: object) -> np.ndarray:
        series = self._frame[column]
        if value is None:
            return series.isna().to_numpy()
        if column in TEXT:  # NumPy compares text several times faster than pandas
            return np.broadcast_to(np.asarray(series.to_numpy() == value, dtype=bool), len(self))
        return (series == value).fillna(False).to_numpy(dtype=bool)

    def _kept(self, mask: np.ndarray) -> "Records":
        return _trusted(self._frame[mask])

    def _explain(self, asked: Mapping[str, object], column: str, wanted: object) -> str:
        text = ", ".join(f"{name}={value!r}" for name, value in asked.items())
        exist = listed(self.unique(column)) or "nothing"
        return (
            f"records: no row with {text}: {column}={wanted!r} is missing; {column} here: {exist}"
        )


def paper_layers(n_layers: int, layers: int | tuple[int, int]) -> list[int]:
    """Translate layers of the papers' 12-layer networks to a network of another depth.

    Parameters
    ----------
    n_layers : index of the last layer, so a network has layers 0 (embeddings) .. n_layers.
    layers : a single layer `l` becomes round(l / 12 * n_layers), halves upwards. An inclusive range
        ``(a, b)`` becomes every layer whose relative depth lies in [a / 12, b / 12] (the one nearest
        its middle if there is none). Ranges are not translated end by end because neighbours such
        as 1..5 and 6..12 would then share a layer in a 6-layer network, and 1 would become 0.

    Returns
    -------
    Layer indices, ascending; ``list(range(a, b + 1))`` for 12 layers.

    Raises
    ------
    ValueError : n_layers < 1, or layers outside 0..12, or a range that ends before it starts.
    """
    if n_layers < 1:
        raise ValueError(f"n_layers: expected at least 1, got {n_layers!r}")
    first, last = (layers, layers) if isinstance(layers, (int, np.integer)) else layers
    if not 0 <= first <= last <= PAPER_DEPTH:
        raise ValueError(f"layers: expected layers in 0..{PAPER_DEPTH}, ascending; got {layers!r}")
    inside = [
        k for k in range(n_layers + 1) if first * n_layers <= PAPER_DEPTH * k <= last * n_layers
    ]
    nearest = int((first + last) * n_layers / (2 * PAPER_DEPTH) + 0.5)
    return inside or [nearest]


def merge_records(records: Sequence[Records]) -> Records:
    """Put several tables together.

    Raises
    ------
    ValueError : nothing to merge, or two tables give one key two values (names the key).
    """
    if not records:
        raise ValueError("records: expected at least one table to merge, got none")
    return Records(pd.concat([part._frame for part in records], ignore_index=True))


def write_records(records: Records, path: str | os.PathLike, provenance: Mapping) -> Path:
    """Write records and their provenance; each file appears whole or not at all.

    Parameters
    ----------
    path : ends with ``.csv`` (values rounded to 6 significant digits, without columns that the name
        ``PROFILE/PAPER.ITEM.csv`` says or that are empty, for files that are committed) or ``.parquet`` (exact).
    provenance : as made by `provenance_of`; written to ``PATH.json`` together with
        the checksum of the records. Rows without a provenance id get this one's.

    Returns
    -------
    Path : the records file.
    """
    path = Path(path)
    _check_suffix(path)
    frame = records.frame
    frame.loc[frame["provenance"] == "", "provenance"] = str(provenance["id"])
    with atomic_write(path) as temporary:
        if path.suffix == ".csv":
            told = implied(path, str(provenance["id"]))
            frame = frame.drop(columns=[c for c, value in told.items() if _is_all(frame[c], value)])
            frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        else:
            frame.to_parquet(temporary, index=False)
        checksum = file_sha256(temporary)
    # A crash between the two files leaves a checksum that does not fit, which reading reports.
    write_provenance(path, {**provenance, "records_sha256": checksum})
    return path


def write_provenance(path: str | os.PathLike, made: Mapping) -> None:
    """Write what lies in ``PATH.json``, with the checksum of the records that it is about."""
    with atomic_write(_beside(Path(path))) as temporary:
        text = json.dumps(made, indent=1, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_records(path: str | os.PathLike) -> Records:
    """Read and validate a record file.

    Raises
    ------
    FileNotFoundError : there is no such file.
    ValueError : wrong suffix, missing or unknown column, or wrong type; names the file and the column.
    """
    path = Path(path)
    _check_suffix(path)
    about = path.stat()
    return _read(path, about.st_mtime_ns, about.st_size, _identity(path))


@lru_cache(maxsize=256)
def _read(path: Path, changed: int, size: int, identity: str) -> Records:
    """A file as it stands since it was `changed`: a book asks for the same tables several times."""
    if path.suffix == ".csv":
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
        told = implied(path, identity)
        frame = frame.assign(**{c: value for c, value in told.items() if c not in frame.columns})
    else:
        frame = pd.read_parquet(path)
    return _trusted(validated(frame, str(path)))


def read_provenance(path: str | os.PathLike) -> dict:
    """Read what lies in ``PATH.json``.

    Raises
    ------
    FileNotFoundError : the records have no provenance.
    ValueError : the records were changed after they were written.
    """
    path = Path(path)
    beside = _beside(path)
    if not beside.is_file():
        raise FileNotFoundError(f"{path}: expected its provenance in {beside.name}, found none")
    for wait in (0, 1):  # another process may be between writing the one file and the other
        time.sleep(wait)
        made = json.loads(beside.read_text(encoding="utf-8"))
        if made.get("records_sha256") == file_sha256(path):
            return made
    raise ValueError(f"{path}: the records are not those that {beside.name} was written for")


def _identity(path: Path) -> str:
    """The id that rows without one have; empty for a table without provenance."""
    beside = _beside(path)
    return json.loads(beside.read_text(encoding="utf-8")).get("id", "") if beside.is_file() else ""


def _is_all(column: pd.Series, value: str) -> bool:
    return bool((column == value).all() if column.name in TEXT else column.isna().all())


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _check_suffix(path: Path) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"path: expected a name ending in .csv or .parquet, got {path.name!r}")


def _trusted(frame: pd.DataFrame) -> Records:
    """Wrap rows that are known to be valid, without checking them again."""
    records = Records.__new__(Records)
    records._frame = frame.reset_index(drop=True)
    return records
