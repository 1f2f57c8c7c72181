"""Where the claims stand: verdicts on what this build measured and on what is recorded.

The only part of the claims that knows folders. Live records lie in ``_build/PROFILE/records``, recorded ones
in ``results/PROFILE``; both are called ``PAPER.ITEM`` with their provenance beside them.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from xsim_lib import paths, records
from xsim_lib.claims.currency import STALE, currency
from xsim_lib.claims.judging import verdict_table
from xsim_lib.claims.registry import all_claims, claims_of, predicate_of
from xsim_lib.records import Records

__all__ = ["item_table", "verdicts"]


def item_table(paper: str, item: str, profile: str, live: Records | None) -> pd.DataFrame:
    """Judge the claims about one item on `live` records and on the recorded ones.

    Returns
    -------
    DataFrame with `VERDICT_COLUMNS`, see `verdict_table`.

    Raises
    ------
    ValueError : no claim is about the item, or a record file is damaged (named).
    """
    claims = claims_of(paper, item)
    recorded, stale = _recorded(profile, {f"{paper}.{item}": live} if live is not None else {})
    return verdict_table({"live": live, "recorded": recorded}, profile, stale=stale, only=claims)


def verdicts(profile: str) -> pd.DataFrame:
    """Judge all claims on what lies in the folders of a profile, see `verdict_table`."""
    live = _read_all(sorted((paths.build_dir(profile) / "records").glob("*.parquet")))
    recorded, stale = _recorded(profile)
    return verdict_table({"live": live, "recorded": recorded}, profile, stale=stale)


def _recorded(
    profile: str, live: Mapping[str, Records] = MappingProxyType({})
) -> tuple[Records | None, set[str]]:
    """The recorded measurements, and the provenance ids of the stale ones; `live` by item, where at hand."""
    files = _known(sorted(paths.results_dir(profile).glob("*.csv")))
    stale: set[str] = set()
    for file in files:
        if currency(file, live=live.get(file.stem)) == STALE:
            stale.update(records.read(file).unique("provenance"))
    return _read_all(files), stale


def _read_all(files: list[Path]) -> Records | None:
    found = [records.read(file) for file in _known(files)]
    return records.merge(found) if found else None


def _known(files: list[Path]) -> list[Path]:
    """Only files of items that a claim reads: learning-rate sweeps lie in the same folder."""
    items = {f"{claim.paper}.{claim.item}" for claim in all_claims()}
    for claim in all_claims():
        predicate = predicate_of(claim)
        items |= {f"{claim.paper}.{item}" for item in (predicate.items if predicate else ())}
    return [file for file in files if file.stem in items]
