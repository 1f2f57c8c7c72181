"""The content of one file, from the mirror or from the network, checked before anybody sees it.

XSIM_DATA set: the mirror, and nothing but the mirror. A build that was told where its data is must not go elsewhere.
XSIM_DATA unset: the public original, downloaded once into `paths.download_dir()`.

Most files have a checksum in the registry. Of the others (NTREX in 39 languages, treebanks whose public form the mirror
does not hold) nothing proves what they are: a page that asks for a password is UTF-8 text too, and two of them are
"aligned". They must not be HTML, must have the size that is known (`registry.size`), and must parse, or they are not kept.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from xsim_lib.evidence import paths
from xsim_lib.text.corpora.errors import (
    ChecksumError,
    CorruptFileError,
    MirrorError,
    MissingLanguageError,
    NetworkError,
)
from xsim_lib.text.corpora.registry import Original, about, originals, size

__all__ = ["blocks", "lines", "mirror_folder", "opened", "refusing", "stripped_lines"]

_LOG = logging.getLogger(__name__)
_TIMEOUT = 60  # seconds without a byte
# What browsers take for HTML, whatever the server calls it (WHATWG MIME Sniffing, section 7.1).
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!--|\?xml|(?:!doctype html|html|head|body|script|iframe|style|title|meta|table|div|h1|br|"
    rb"font|[abp])[\s>])",
    re.IGNORECASE,
)


@contextmanager
def opened(original: Original) -> Iterator[bytes]:
    """Give the content of a file, whole and verified as far as it can be; parse it inside the block.

    Raises
    ------
    MissingLanguageError : the mirror lacks the file, or there is no public original.
    MirrorError : XSIM_DATA names a folder without this corpus.
    CorruptFileError, ChecksumError : truncated, or other bytes than the registry knows; also what the block
        raises of this kind, see `refusing`.
    NetworkError : the download failed.
    """
    with refusing(original):
        yield _read(original)


@contextmanager
def refusing(*files: Original) -> Iterator[None]:
    """Let an error about corrupt `files` say where they come from, and keep no download that it may be about.

    A download that stayed in the cache would fail at every later call, without a new request. One that has the checksum
    of the registry stays: the same bytes would come again. A mirror is not ours: nothing in it is touched.
    """
    try:
        yield
    except CorruptFileError as error:
        raise type(error)(f"{error}{_origin(files, str(error))}") from error


def _read(original: Original) -> bytes:
    folder = mirror_folder()
    if folder is not None:
        content = _unzip(_find_in_mirror(folder, original))
        _verify(content, original, str(folder / original.mirror))
        return content
    return _download(original)


def mirror_folder() -> Path | None:
    """Return the folder named by XSIM_DATA, or None when it is unset.

    Raises
    ------
    MirrorError : it does not exist.
    """
    try:
        return paths.data_dir()
    except FileNotFoundError as error:
        raise MirrorError(f"{error}; unset it to download the public originals") from None


def lines(content: bytes, name: str) -> list[str]:
    """Split UTF-8 content into lines, without their ends (LF or CR LF); a final newline opens no line.

    Only newlines separate lines: `str.splitlines` would also split at U+2028, U+0085 and others, which occur inside
    sentences, and two languages would then slip against each other.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CorruptFileError(f"{name}: line {line}: no UTF-8 ({error.reason})") from None
    if not text:
        raise CorruptFileError(f"{name}: the file is empty")
    parts = text.split("\n")
    if not parts[-1]:
        parts.pop()
    return [part.removesuffix("\r") for part in parts]


def blocks(rows: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, lines) of every run of lines between empty ones."""
    block: list[str] = []
    for number, row in enumerate([*rows, ""], start=1):
        if row.strip():
            block.append(row)
        elif block:
            yield number - len(block), block
            block = []


def stripped_lines(content: bytes, original: Original) -> bytes:
    """Bring a `stripped` original into the form of the mirror."""
    stripped = (line.strip() for line in lines(content, original.path))
    return ("\n".join(stripped) + "\n").encode()


def merge_splits(parts: dict[str, bytes], original: Original) -> bytes:
    """Join SIB-200's three splits into one table sorted by index_id."""
    rows = []
    for split, content in parts.items():
        name = original.path.replace("{split}", split)
        table = csv.reader(io.StringIO("\n".join(lines(content, name))), delimiter="\t")
        for number, row in enumerate(table, start=1):
            if number == 1:
                if row != ["index_id", "category", "text"]:
                    raise CorruptFileError(
                        f"{name}: expected the header index_id category text, got {row}"
                    )
                continue
            if len(row) != 3 or not row[0].isdigit():
                raise CorruptFileError(
                    f"{name}: row {number}: expected index_id, category, text; got {row}"
                )
            rows.append((int(row[0]), split, row[1], row[2]))
    table = ["index_id\tsplit\tcategory\ttext", *("\t".join(map(str, row)) for row in sorted(rows))]
    return ("\n".join(table) + "\n").encode()


def rank(content: bytes, original: Original) -> bytes:
    """Take the lines of some source words from a MUSE dictionary written ``target @ source``.

    The part ``5000-6500`` has the 5001st to the 6500th different source word.
    """
    first, last = (int(bound) for bound in original.part.split("-"))
    ranks: dict[str, int] = {}
    chosen = []
    for number, row in enumerate(lines(content, original.path), start=1):
        target, mark, source = row.partition(" @ ")
        if not mark:
            raise CorruptFileError(
                f"{original.path}: line {number}: expected target @ source, got {row!r}"
            )
        if first <= ranks.setdefault(source, len(ranks)) < last:
            chosen.append(f"{source}\t{target}\n")
    return "".join(chosen).encode()


def _find_in_mirror(folder: Path, original: Original) -> Path:
    path = folder / original.mirror
    if path.is_file():
        return path
    corpus_folder = about(original.corpus)["folder"]
    if not (folder / corpus_folder).is_dir():
        raise MirrorError(
            f"XSIM_DATA: {str(folder)!r} has no folder {corpus_folder}; expected a mirror with the layout of "
            f"{original.mirror}. Unset XSIM_DATA to download the public originals"
        )
    lacks = sorted(
        {row.language for row in originals(original.corpus) if not (folder / row.mirror).is_file()}
    )
    where = original.urls[0] if original.urls else "nowhere in this form"
    raise MissingLanguageError(
        f"{original.corpus}: the mirror {str(folder)!r} lacks {original.language!r} ({original.mirror}); "
        f"it also lacks {' '.join(lacks)}. Public original: {where}. "
        f"Put the gzipped original there, or unset XSIM_DATA to download it"
    )


def _unzip(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CorruptFileError(
            f"{path}: truncated or no gzip file ({len(data)} bytes: {error})"
        ) from None


def _verify(content: bytes, original: Original, name: str) -> None:
    if not _is_pinned(original):
        _check_form(content, original, name)
        return
    got = hashlib.sha256(content).hexdigest()
    if got != original.sha256:
        raise ChecksumError(
            f"{name}: expected content with sha256 {original.sha256}, got {got}: the file was changed"
        )


def _is_pinned(original: Original) -> bool:
    """Tell whether the registry has the checksum of what `_read` gives."""
    reduced = original.form == "reduced" and mirror_folder() is None
    return bool(original.sha256) and not reduced


def _check_form(content: bytes, original: Original, name: str) -> None:
    """Check what can be checked without a checksum."""
    if _HTML.match(content[:1024]):
        start = content[:60].decode("utf-8", "replace").strip()
        raise CorruptFileError(f"{name}: expected {original.corpus} text, got HTML: {start!r}...")
    known = size(original)
    if known is None:
        checked = "no web page"
    else:
        rows = lines(content, name)
        got = len(rows) if known.unit == "lines" else sum(1 for _ in blocks(rows))
        if got < known.count or (got > known.count and not known.at_least):
            raise CorruptFileError(f"{name}: expected {known}, got {got}")
        checked = f"no web page, {known}"
    _LOG.warning(
        "%s: no checksum is known, so nothing proves what it holds; checked: %s", name, checked
    )


def _download(original: Original) -> bytes:
    if not original.urls:
        raise MissingLanguageError(
            f"{original.corpus}: {original.mirror} was sampled or cut and has no public original; "
            "set XSIM_DATA to a mirror that has it"
        )
    sha256 = original.sha256 if original.form == "bytes" else ""
    parts = [_retrieve(url, sha256, original.corpus).read_bytes() for url in original.urls]
    if original.form == "merged":
        content = merge_splits(dict(zip(("train", "dev", "test"), parts, strict=True)), original)
    elif original.form == "ranked":
        content = rank(parts[0], original)
    elif original.form == "stripped":
        content = stripped_lines(parts[0], original)
    else:
        content = parts[0]
    _verify(content, original, " ".join(original.urls))
    return content


def _origin(files: tuple[Original, ...], message: str) -> str:
    """Where `files` come from, if a message does not say so; downloads that no checksum covers are removed."""
    folder = mirror_folder()
    if folder is not None:
        names = (str(folder / file.mirror) for file in files)
        return "".join(f"; the mirror's file is {name}" for name in names if name not in message)
    said = []
    suspects = [file for file in files if not (file.form == "bytes" and file.sha256)]
    for url, corpus in [(url, file.corpus) for file in suspects for url in file.urls]:
        cached = _target(url, corpus)
        try:
            cached.unlink(missing_ok=True)
        except OSError as error:
            said.append(f"; remove {cached}, downloaded from {url} ({error.strerror})")
        else:
            said.append(f"; downloaded from {url} and not kept, so that the next call asks again")
    return "".join(said)


def _target(url: str, corpus: str) -> Path:
    """Where a download is kept: by its whole address, because what one server gave is not what another one has."""
    parts = urlsplit(url)
    host = parts.hostname if parts.scheme == "https" else f"{parts.scheme}_{parts.hostname}"
    host = f"{host}_{parts.port}" if parts.port else host
    return paths.download_dir() / corpus / host / Path(*parts.path.strip("/").split("/"))


def _retrieve(url: str, sha256: str, corpus: str) -> Path:
    """Download once, atomically (pooch writes beside the target and renames)."""
    import pooch
    import requests

    target = _target(url, corpus)
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}" if sha256 else None,
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
        )
    except requests.exceptions.RequestException as error:
        raise NetworkError(
            f"could not download {url} from {urlsplit(url).hostname}: {type(error).__name__}: {error}. "
            "Without network set XSIM_DATA to a local mirror of the corpora (`xsim data` shows which files), or "
            "XSIM_ORIGINALS to a server with the same paths"
        ) from error
    except ValueError as error:  # pooch: the hash differs; it has removed the file
        raise ChecksumError(f"{url}: expected sha256 {sha256}: {error}") from error
    return target
