"""What there is: for `xsim data` and for error messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xsim_lib.text.corpora.fetch import mirror_folder
from xsim_lib.text.corpora.registry import about, corpus_names, languages, originals

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Availability", "available", "describe"]


@dataclass(frozen=True)
class Availability:
    """Languages of a corpus: `upstream` (all that can be asked for), `mirror` (here; None without XSIM_DATA), `missing`."""

    corpus: str
    upstream: tuple[str, ...]
    mirror: tuple[str, ...] | None
    missing: tuple[str, ...]


def available(corpus: str) -> Availability:
    """List the languages of a corpus and which of them the mirror lacks (a language lacks if any of its files does)."""
    upstream = languages(corpus)
    folder = mirror_folder()
    if folder is None:
        return Availability(corpus, upstream, None, ())
    lacking = {r.language for r in originals(corpus) if not (folder / r.mirror).is_file()}
    mirror = tuple(code for code in upstream if code not in lacking)
    return Availability(corpus, upstream, mirror, tuple(sorted(lacking)))


def describe() -> pd.DataFrame:
    """Tabulate the corpora: corpus, languages, mirror, missing, items, licence, origin, remarks.

    `mirror` is "not set", "none", "all" or "19 of 29" languages; `missing` names the languages the mirror lacks.
    """
    import pandas as pd

    rows = []
    for name in corpus_names():
        here, info = available(name), about(name)
        rows.append(
            {
                "corpus": name,
                "languages": " ".join(here.upstream),
                "mirror": _share(here),
                "missing": " ".join(here.missing),
                "items": info["items"],
                "licence": info["licence"],
                "origin": info["origin"],
                "remarks": info.get("more", ""),
            }
        )
    return pd.DataFrame(rows)


def _share(here: Availability) -> str:
    if here.mirror is None:
        return "not set"
    if not here.mirror:
        return "none"
    return "all" if not here.missing else f"{len(here.mirror)} of {len(here.upstream)}"
