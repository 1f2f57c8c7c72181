"""The columns of a table of measurements, and what makes such a table valid."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = [
    "COLUMNS", "FORWARD", "KEY", "MEAN_SEED", "NEVER_EMPTY", "TEXT", "TRAINED", "implied", "listed",
    "validated",
]  # fmt: skip

TEXT = (
    "paper", "item", "profile", "model", "in_place_of", "pair_or_language", "task", "metric", "baseline",
    "variant", "made_by", "provenance",
)  # fmt: skip
_WHOLE = ("seed", "layer", "n_layers", "n")
_NUMBER = ("value", "lower", "upper")
NEVER_EMPTY = ("paper", "item", "profile", "metric", "seed", "value")

COLUMNS = (
    "paper", "item", "profile", "seed", "model", "in_place_of", "pair_or_language", "task", "layer",
    "n_layers", "metric", "value", "lower", "upper", "n", "baseline", "variant", "made_by", "provenance",
)  # fmt: skip
"""The columns of every record file, in order. `model` is what was measured, `in_place_of` the model of the
paper that it stands in for, if it is another one."""

_NO_KEY = ("in_place_of", "value", "lower", "upper", "n", "made_by", "provenance")
KEY = tuple(c for c in COLUMNS if c not in _NO_KEY)
"""The columns that say what was measured; two rows that agree here must agree in the value."""

FORWARD, TRAINED = "forward", "trained"
"""How a row was made: by passing text through weights that were given (public ones, or ones that this
project ships), or by training, which ends elsewhere on another processor."""

MEAN_SEED = -1
"""Seed of rows that average over seeds."""


def implied(path: Path, provenance: str) -> dict[str, str]:
    """What a recorded table need not write, by column: what its name says, and that a column is empty throughout.

    Parameters
    ----------
    path : of the table, such as ``results/mini/anc2022.fig4.csv``. A table of another name says nothing.
    provenance : the id that its provenance has.
    """
    paper, _, item = path.stem.partition(".")
    if not item:
        return {}
    empty = {column: "" for column in COLUMNS if column not in NEVER_EMPTY}
    named = {"paper": paper, "item": item, "profile": path.absolute().parent.name}
    return empty | named | {"made_by": TRAINED, "provenance": provenance}


def validated(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Check a table and give its columns their types; `where` starts every message.

    Raises
    ------
    ValueError : see `xsim_lib.evidence.records.Records`.
    """
    # Tables from before rows knew it; and where nobody says so, nothing is claimed.
    known = frame["made_by"].replace("", TRAINED) if "made_by" in frame.columns else TRAINED
    stand_ins = frame["in_place_of"] if "in_place_of" in frame.columns else ""
    frame = frame.assign(made_by=known, in_place_of=stand_ins)
    missing = [column for column in COLUMNS if column not in frame.columns]
    unknown = [column for column in frame.columns if column not in COLUMNS]
    if missing or unknown:
        parts = [f"missing column {column!r}" for column in missing[:1]]
        parts += [f"unknown column {str(column)!r}" for column in unknown[:1]]
        raise ValueError(f"{where}: {' and '.join(parts)}; expected {', '.join(COLUMNS)}")
    columns = {c: _column(frame[c].reset_index(drop=True), c, where) for c in COLUMNS}
    frame = pd.DataFrame(columns, columns=list(COLUMNS))
    _check_rows(frame, where)
    repeated = frame.duplicated([*KEY, "value"], keep="first")
    frame = frame[~repeated].reset_index(drop=True)
    twice = frame.duplicated(list(KEY), keep=False)
    if twice.any():
        first = frame[twice].iloc[0]
        same = frame[
            twice & (frame[list(KEY)].astype(str) == first[list(KEY)].astype(str)).all(axis=1)
        ]
        key = ", ".join(f"{c}={first[c]}" for c in KEY if not _is_blank(first[c]))
        raise ValueError(f"{where}: two values for one key ({key}): {listed(same['value'])}")
    return frame


def _column(series: pd.Series, name: str, where: str) -> pd.Series:
    if name in TEXT:
        if pd.api.types.infer_dtype(series, skipna=False) not in ("string", "empty"):
            bad = ~series.map(lambda value: isinstance(value, str)).astype(bool)
            _refuse(series, bad, name, where, "text")
        if name in NEVER_EMPTY:
            _refuse(series, series == "", name, where, "text that is not empty")
        return series.astype(object)
    if pd.api.types.is_numeric_dtype(series):
        blank, numbers = series.isna().astype(bool), series
    else:
        blank = series.map(_is_blank).astype(bool)
        numbers = pd.to_numeric(series.mask(blank), errors="coerce")
    kind = "whole numbers" if name in _WHOLE else "numbers"
    _refuse(series, numbers.isna() & ~blank, name, where, kind)
    numbers = numbers.astype("Float64").astype(float)
    if name in NEVER_EMPTY:
        _refuse(series, ~np.isfinite(numbers), name, where, f"finite {kind}")
    if name in _NUMBER:
        return numbers
    _refuse(series, numbers.notna() & (numbers != numbers.round()), name, where, kind)
    return numbers.astype("Int64").astype("int64" if name == "seed" else "Int64")


def _check_rows(frame: pd.DataFrame, where: str) -> None:
    odd = ~frame["made_by"].isin((FORWARD, TRAINED))
    _refuse(frame["made_by"], odd, "made_by", where, f"{FORWARD} or {TRAINED}")
    upper_case = frame["metric"] != frame["metric"].str.lower()
    _refuse(frame["metric"], upper_case, "metric", where, "lower case names")
    _refuse(frame["seed"], frame["seed"] < MEAN_SEED, "seed", where, f"seeds from {MEAN_SEED}")
    layer, last = frame["layer"], frame["n_layers"]
    outside = layer.notna() & ~((layer >= 0) & (layer <= last)).fillna(False)
    _refuse(layer, outside, "layer", where, "layers in 0..n_layers, with n_layers given")


def _refuse(series: pd.Series, bad: pd.Series, name: str, where: str, expected: str) -> None:
    bad = bad.to_numpy(dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        got = series.iloc[row]
        got = got.item() if isinstance(got, np.generic) else got
        raise ValueError(f"{where}: column {name!r}: expected {expected}, got {got!r} in row {row}")


def _is_blank(value: object) -> bool:
    return value is None or value is pd.NA or value == "" or value != value


def listed(values: Iterable) -> str:
    """Write out at most eight values, and how many there are if there are more."""
    values = [str(value) for value in values]
    return ", ".join(values[:8]) + (f", ... ({len(values)})" if len(values) > 8 else "")
