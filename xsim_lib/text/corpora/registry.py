"""Where every file of every corpus comes from: the tables in ``originals/``, one row per file.

Columns: `language` (the code users write), `code` (the corpus' own name for it), `part` (split, domain or side),
`mirror` (path under XSIM_DATA), `repository`, `commit` and `path` of the public original, `form` and `sha256`.

The checksum is that of the uncompressed content. It is known for the files that the project's mirror holds; where
it is empty, nothing proves what a download holds, but its size is known (`size`). `form` says how the public original
becomes that content:

========  ==============================================================================================
bytes     it is the original, byte for byte
stripped  white space at both ends of every line removed, lines joined by newlines (NTREX has CR LF)
merged    SIB-200's train, dev and test in one table, sorted by index_id
ranked    MUSE: the lines of some of the source words, counted in the order of the full dictionary
reduced   UD: the mirror drops XPOS, DEPS, MISC and some comments; the checksum is the mirror's alone
derived   sampled or cut: there is no public original that gives the same content
========  ==============================================================================================
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xsim_lib.evidence.yaml_files import read_yaml
from xsim_lib.text.corpora.errors import CorpusError, MissingLanguageError

__all__ = [
    "FORMS", "Original", "Size", "about", "corpus_names", "find", "languages", "originals", "size",
]  # fmt: skip

FORMS = ("bytes", "stripped", "merged", "ranked", "reduced", "derived")
FOLDER = Path(__file__).parent / "originals"
SIZES = Path(__file__).parent / "sizes.csv"
_ABOUT = Path(__file__).parent / "corpora.yaml"
_COLUMNS = ["language", "code", "part", "mirror", "repository", "commit", "path", "form", "sha256"]
_BASE = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Original:
    """One file: its place in a mirror, its public origin and the checksum of its content."""

    corpus: str
    language: str
    code: str
    part: str
    mirror: str
    repository: str
    commit: str
    path: str
    form: str
    sha256: str

    @property
    def urls(self) -> tuple[str, ...]:
        """Addresses of the public original; three for a merged file, none for a derived one.

        The server is raw.githubusercontent.com or, behind a wall, the one named by XSIM_ORIGINALS,
        which has to serve the same paths.
        """
        if not self.path:
            return ()
        base = os.environ.get("XSIM_ORIGINALS", "").strip().rstrip("/") or _BASE
        splits = ("train", "dev", "test") if self.form == "merged" else ("",)
        return tuple(
            f"{base}/{self.repository}/{self.commit}/{self.path.replace('{split}', split)}"
            for split in splits
        )


@dataclass(frozen=True)
class Size:
    """How much a file holds that has no checksum: `count` of `unit`, or more where the mirror has a part of it."""

    count: int
    unit: str
    at_least: bool

    def __str__(self) -> str:
        return f"{'at least ' if self.at_least else ''}{self.count} {self.unit}"


def corpus_names() -> tuple[str, ...]:
    """Return the names of all corpora."""
    return tuple(_about())


def about(corpus: str) -> dict[str, str]:
    """Return folder, items, licence, origin and remarks of a corpus."""
    if corpus not in _about():
        raise CorpusError(f"corpus: expected one of {', '.join(_about())}; got {corpus!r}")
    return dict(_about()[corpus])


def originals(corpus: str) -> tuple[Original, ...]:
    """Return every file of a corpus, sorted by language and part; none if it says its languages itself."""
    if "languages" in about(corpus):
        return ()
    return _read(FOLDER / f"{corpus}.csv", corpus)


def languages(corpus: str) -> tuple[str, ...]:
    """Return the languages of a corpus, sorted, by the code users write."""
    told = about(corpus).get("languages", "").split()
    return tuple(sorted({*told, *(row.language for row in originals(corpus))}))


def find(corpus: str, language: str, part: str = "") -> Original:
    """Return the file of one language (by either code) and part.

    Raises
    ------
    MissingLanguageError : names what was asked and what there is.
    """
    rows = [row for row in originals(corpus) if language in (row.language, row.code)]
    if not rows:
        more = about(corpus).get("more")
        raise MissingLanguageError(
            f"language: {corpus} has {' '.join(languages(corpus))}; got {language!r}"
            + (f" ({more})" if more else "")
        )
    for row in rows:
        if row.part == part:
            return row
    parts = ", ".join(row.part for row in rows)
    raise MissingLanguageError(f"{corpus}: {language!r} has {parts}; got {part!r}")


def size(original: Original) -> Size | None:
    """Return the size of a public original that no checksum covers, if it is known."""
    return _sizes(SIZES).get(original.mirror)


@cache
def _sizes(path: Path) -> dict[str, Size]:
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["mirror"]: Size(int(row["count"]), row["unit"], row["at_least"] == "yes")
            for row in csv.DictReader(file)
        }


@cache
def _about() -> dict[str, dict[str, str]]:
    return read_yaml(_ABOUT)


@cache
def _read(path: Path, corpus: str) -> tuple[Original, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != _COLUMNS:
            raise CorpusError(f"{path.name}: expected columns {_COLUMNS}, got {reader.fieldnames}")
        rows = tuple(Original(corpus, *(row[name] for name in _COLUMNS)) for row in reader)
    for row in rows:
        if row.form not in FORMS:
            raise CorpusError(
                f"{path.name}: {row.mirror}: form: expected one of {FORMS}, got {row.form!r}"
            )
    return rows
