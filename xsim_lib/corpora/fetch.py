"""The content of one file, from the mirror or from the network, checked before anybody sees it.

XSIM_DATA set: the mirror, and nothing but the mirror. A build that was told where its data is must not go elsewhere.
XSIM_DATA unset: the public original, downloaded once into `paths.download_dir()`.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import logging
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from xsim_lib import paths

from .errors import (
    ChecksumError,
    CorruptFileError,
    MirrorError,
    MissingLanguageError,
    NetworkError,
)
from .registry import Original, about, originals

__all__ = ["lines", "mirror_folder", "read", "tidy"]

_LOG = logging.getLogger(__name__)
_TIMEOUT = 60  # seconds without a byte


def read(original: Original) -> bytes:
    """Return the content of a file, whole and verified.

    Raises
    ------
    MissingLanguageError : the mirror lacks the file, or there is no public original.
    MirrorError : XSIM_DATA names a folder without this corpus.
    CorruptFileError, ChecksumError : truncated, or other bytes than the registry knows.
    NetworkError : the download failed.
    """
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


def tidy(content: bytes, original: Original) -> bytes:
    """Bring a `stripped` original into the form of the mirror."""
    stripped = (line.strip() for line in lines(content, original.path))
    return ("\n".join(stripped) + "\n").encode()


def merge(parts: dict[str, bytes], original: Original) -> bytes:
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
    if not original.sha256:
        _LOG.warning("%s: no checksum is known; only commit %s pins it", name, original.commit[:12])
        return
    got = hashlib.sha256(content).hexdigest()
    if got != original.sha256:
        raise ChecksumError(
            f"{name}: expected content with sha256 {original.sha256}, got {got}: the file was changed"
        )


def _download(original: Original) -> bytes:
    if not original.urls:
        raise MissingLanguageError(
            f"{original.corpus}: {original.mirror} was sampled or cut and has no public original; "
            "set XSIM_DATA to a mirror that has it"
        )
    direct = original.form == "bytes"
    files = [
        _retrieve(url, original.sha256 if direct else "", original.corpus) for url in original.urls
    ]
    if direct or original.form == "reduced":
        content = files[0].read_bytes()
        if not (direct and original.sha256):
            _LOG.warning("%s: only commit %s pins it", original.urls[0], original.commit[:12])
        return content
    try:
        if original.form == "merged":
            parts = dict(
                zip(("train", "dev", "test"), (f.read_bytes() for f in files), strict=True)
            )
            content = merge(parts, original)
        elif original.form == "ranked":
            content = rank(files[0].read_bytes(), original)
        else:
            content = tidy(files[0].read_bytes(), original)
        _verify(content, original, " ".join(original.urls))
    except CorruptFileError:
        for file in files:  # or the next attempt would read the same bytes
            file.unlink(missing_ok=True)
        raise
    return content


def _retrieve(url: str, sha256: str, corpus: str) -> Path:
    """Download once, atomically (pooch writes beside the target and renames)."""
    import pooch
    import requests

    parts = urlsplit(url)
    target = paths.download_dir() / corpus / Path(*parts.path.strip("/").split("/"))
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
            f"could not download {url} from {parts.hostname}: {type(error).__name__}: {error}. "
            "Without network set XSIM_DATA to a local mirror of the corpora (`xsim data` shows which files), or "
            "XSIM_ORIGINALS to a server with the same paths"
        ) from error
    except ValueError as error:  # pooch: the hash differs; it has removed the file
        raise ChecksumError(f"{url}: expected sha256 {sha256}: {error}") from error
    return target
