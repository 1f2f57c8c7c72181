"""Parallel corpora: row k of every language is the same sentence, checked where the originals allow it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence

from xsim_lib.text.corpora.errors import CorpusError, CorruptFileError
from xsim_lib.text.corpora.fetch import lines, opened, refusing
from xsim_lib.text.corpora.moses import detokenise as _detokenise
from xsim_lib.text.corpora.registry import Original, find, languages
from xsim_lib.text.types import ParallelCorpus

__all__ = ["PARALLEL", "load_pair", "ntrex", "pud", "sib200", "tatoeba", "xnli_extension"]

_XNLI_COLUMNS = {"premise": 0, "hypothesis": 1}
XNLI_LABELS = ("entailment", "neutral", "contradiction")
_SIB_HEADER = ["index_id", "split", "category", "text"]


def xnli_extension(
    languages: Sequence[str],
    n: int | None = 10000,
    column: str = "hypothesis",
    *,
    detokenise: bool = True,
) -> ParallelCorpus:
    """Machine-translated MultiNLI sentences: the data of anc2022.

    Parameters
    ----------
    languages : sequence of str
        Such as ``["en", "et"]``; `available("xnli_extension")` lists them.
    n : int or None
        The first `n` of 15001 rows (the paper: 10000); None for all.
    column : {"hypothesis", "premise"}
    detokenise : bool
        Undo the tokenisation with the Moses rules, as the authors did.

    Returns
    -------
    ParallelCorpus

    Raises
    ------
    CorpusError and its kinds : see `xsim_lib.text.corpora.errors`. The labels of all languages are compared row by row, so
        files that slipped against each other are found.

    Notes
    -----
    The languages of XNLI itself come tokenised, the eleven added ones of the mirror do not: without `detokenise`, en-fr compares
    two tokenised texts and en-et a tokenised with a plain one. A language may repeat itself: different English
    sentences can have one translation.

    References
    ----------
    Del & Fishel (2022), section 4.
    """
    if column not in _XNLI_COLUMNS:
        raise CorpusError(f"column: expected one of {', '.join(_XNLI_COLUMNS)}; got {column!r}")
    sentences: dict[str, list[str]] = {}
    first: tuple[Original, str, list[str]] | None = None
    for language in _languages(languages):
        file = find("xnli_extension", language)
        rows = xnli_rows(file, n)
        labels = [row[2] for row in rows]
        first = first or (file, language, labels)
        with refusing(first[0], file):
            _same(labels, first[2], language, first[1], "label")
        cells = [row[_XNLI_COLUMNS[column]] for row in rows]
        sentences[language] = [_detokenise(c, language) for c in cells] if detokenise else cells
    return ParallelCorpus("xnli_extension", sentences)


def tatoeba(pair: str, n: int | None = None) -> ParallelCorpus:
    """Sentence pairs of English and another language (LASER's test set, version 1).

    Parameters
    ----------
    pair : str
        Such as ``"en-bg"`` or ``"bg-en"``: two-letter codes, or LASER's three-letter ones. The keys of the result are
        the codes as given.
    n : int or None
        The first `n` pairs; None for all (1000 in 72 of 112 languages).

    Notes
    -----
    The English sides of two pairs are different sentences: three languages cannot be aligned through them.
    """
    codes = pair.split("-") if isinstance(pair, str) else []
    if len(codes) != 2 or sum(code in ("en", "eng") for code in codes) != 1:
        raise CorpusError(
            f"pair: expected English and one other language such as 'en-bg', got {pair!r}"
        )
    (other,) = (code for code in codes if code not in ("en", "eng"))
    sides = {}
    for code in codes:
        file = find("tatoeba", other, "english" if code in ("en", "eng") else "text")
        sides[code] = _sentences(file)
    return _cut(ParallelCorpus("tatoeba", _equal_lengths(sides, "tatoeba")), n)


def pud(languages: Sequence[str], n: int | None = None) -> ParallelCorpus:
    """The raw sentences of the Parallel Universal Dependencies treebanks, aligned by ``sent_id``.

    Notes
    -----
    Rows are sorted by sent_id, so that they do not depend on which language comes first (Icelandic has an order of its
    own): ``n...`` is news, ``w...`` Wikipedia.
    """
    files = {language: find("pud", language) for language in _languages(languages)}
    texts = {language: _conllu_texts(file) for language, file in files.items()}
    first = next(iter(texts))
    for language, found in texts.items():
        if odd := sorted(set(found) ^ set(texts[first])):
            with refusing(files[first], files[language]):
                raise CorruptFileError(
                    f"pud: {language} and {first} differ in sent_id {odd[0]} (and {len(odd) - 1} more)"
                )
    keys = sorted(texts[first])
    return _cut(ParallelCorpus("pud", {k: [v[key] for key in keys] for k, v in texts.items()}), n)


def sib200(languages: Sequence[str], n: int | None = None) -> ParallelCorpus:
    """FLORES-200 sentences (Wikinews, Wikibooks, Wikivoyage), all three splits, sorted by index_id.

    Languages are two-letter codes (``zh`` simplified, ``zh-Hant`` traditional Chinese) or FLORES' own, ``fra_Latn``.
    """
    sentences: dict[str, list[str]] = {}
    first: tuple[str, list[str]] | None = None
    for language in _languages(languages):
        rows = sib_rows(find("sib200", language))
        keys = [" ".join(row[:3]) for row in rows]
        first = first or (language, keys)
        _same(keys, first[1], language, first[0], "index_id, split and category")
        sentences[language] = [row[3] for row in rows]
    return _cut(ParallelCorpus("sib200", sentences), n)


def ntrex(languages: Sequence[str], n: int | None = None) -> ParallelCorpus:
    """News sentences of WMT 2019, translated by people from English into 128 languages, in document order."""
    sides = {}
    for language in _languages(languages):
        file = find("ntrex", language)
        sides[language] = _sentences(file)
    return _cut(ParallelCorpus("ntrex", _equal_lengths(sides, "ntrex")), n)


def load_pair(corpus: str, pair: str, n: int | None = None) -> ParallelCorpus:
    """Load two aligned languages of any parallel corpus: ``load_pair("pud", "en-fr")``."""
    if corpus not in PARALLEL:
        raise CorpusError(f"corpus: expected one of {', '.join(PARALLEL)}; got {corpus!r}")
    if corpus == "tatoeba":
        return tatoeba(pair, n)
    known = {code: code for code in languages(corpus)}
    # A code may hold a hyphen itself (zh-Hant), so every hyphen is tried as the one between the two.
    cuts = [(pair[: m.start()], pair[m.end() :]) for m in re.finditer("-", str(pair))]
    good = [cut for cut in cuts if all(code in known for code in cut)] or cuts[:1]
    if not good:
        raise CorpusError(f"pair: expected two languages such as 'en-fr', got {pair!r}")
    return PARALLEL[corpus](list(good[0]), n=n)


#: Parallel corpora by name. All take ``(languages, n=...)`` but tatoeba, which takes ``(pair, n=...)``.
PARALLEL: dict[str, Callable[..., ParallelCorpus]] = {
    "xnli_extension": xnli_extension,
    "tatoeba": tatoeba,
    "pud": pud,
    "sib200": sib200,
    "ntrex": ntrex,
}


def xnli_rows(file: Original, n: int | None) -> list[tuple[str, str, str]]:
    """Return (premise, hypothesis, label) of the first `n` rows; every row of the file is checked."""
    with opened(file) as content:
        rows = _xnli_rows(content, file)
    return rows[: cut_count(n, len(rows), file.corpus)]


def _xnli_rows(content: bytes, file: Original) -> list[tuple[str, str, str]]:
    # The files with CR LF were written by a CSV writer, which quotes cells that hold a quotation mark; the others were
    # not, and there a cell in quotation marks is somebody speaking.
    quoted = b"\r\n" in content[:1000]
    rows: list[tuple[str, str, str]] = []
    for number, line in enumerate(lines(content, file.mirror), start=1):
        cells = line.split("\t")
        if number == 1:
            if cells != ["premise", "hypo", "label"]:
                raise CorruptFileError(
                    f"{file.mirror}: expected the header premise hypo label, got {cells}"
                )
            continue
        if quoted:
            cells = [unquote(cell) for cell in cells]
        if len(cells) != 3 or not all(cell.strip() for cell in cells):
            raise CorruptFileError(
                f"{file.mirror}: line {number}: expected three filled cells, got {cells}"
            )
        label = "contradiction" if cells[2] == "contradictory" else cells[2]
        if label not in XNLI_LABELS:
            raise CorruptFileError(f"{file.mirror}: line {number}: no such label: {label!r}")
        rows.append((cells[0].strip(), cells[1].strip(), label))
    return rows


def sib_rows(file: Original) -> list[tuple[str, str, str, str]]:
    """Return (index_id, split, category, text) of every row."""
    with opened(file) as content:
        return _sib_rows(content, file)


def _sib_rows(content: bytes, file: Original) -> list[tuple[str, str, str, str]]:
    rows = []
    for number, line in enumerate(lines(content, file.mirror), start=1):
        cells = line.split("\t")
        if number == 1 and cells == _SIB_HEADER:
            continue
        if number == 1 or len(cells) != 4 or not all(cell.strip() for cell in cells):
            raise CorruptFileError(
                f"{file.mirror}: line {number}: expected {_SIB_HEADER}, got {cells}"
            )
        # Twelve of 54 languages were quoted twice on the way into the release; one layer is left in the text.
        rows.append((cells[0], cells[1], cells[2], unquote(cells[3])))
    return rows


def unquote(cell: str) -> str:
    """Undo the quoting of a CSV writer: outer marks off, inner ones halved; any other cell is left as it is."""
    inner = cell[1:-1]
    wrapped = len(cell) > 1 and cell[0] == cell[-1] == '"'
    if wrapped and '""' in inner and '"' not in inner.replace('""', ""):
        return next(csv.reader(io.StringIO(cell), delimiter="\t"))[0].strip()
    return cell


def _conllu_texts(file: Original) -> dict[str, str]:
    with opened(file) as content:
        return _texts_by_id(lines(content, file.mirror), file)


def _texts_by_id(rows: Iterable[str], file: Original) -> dict[str, str]:
    texts: dict[str, str] = {}
    sent_id = ""
    for number, row in enumerate(rows, start=1):
        if row.startswith("# sent_id = "):
            sent_id = row.removeprefix("# sent_id = ").strip()
        elif row.startswith("# text = "):
            text = row.removeprefix("# text = ").strip()
            if not sent_id or sent_id in texts or not text:
                raise CorruptFileError(
                    f"{file.mirror}: line {number}: text without a sent_id of its own, or empty"
                )
            texts[sent_id] = text
            sent_id = ""
    if not texts:
        raise CorruptFileError(f"{file.mirror}: no '# text =' line")
    return texts


def _sentences(file: Original) -> list[str]:
    with opened(file) as content:
        stripped = [row.strip() for row in lines(content, file.mirror)]
        for number, row in enumerate(stripped, start=1):
            if not row:
                raise CorruptFileError(f"{file.mirror}: line {number} is empty")
    return stripped


def _equal_lengths(sides: dict[str, list[str]], name: str) -> dict[str, list[str]]:
    first = next(iter(sides))
    for language, rows in sides.items():
        if len(rows) != len(sides[first]):
            raise CorpusError(
                f"{name}: {language}: expected {len(sides[first])} sentences like {first}, got {len(rows)}"
            )
    return sides


def _same(got: list[str], expected: list[str], language: str, first: str, what: str) -> None:
    if len(got) != len(expected):
        raise CorruptFileError(
            f"{language}: expected {len(expected)} sentences like {first}, got {len(got)}"
        )
    for row, (x, y) in enumerate(zip(got, expected, strict=True), start=1):
        if x != y:
            raise CorruptFileError(
                f"{language}: row {row}: {what} is {x!r} but {y!r} in {first}: not aligned"
            )


def _languages(values: Sequence[str]) -> list[str]:
    if isinstance(values, str) or not values:
        raise CorpusError(f"languages: expected a list such as ['en', 'fr'], got {values!r}")
    if len(set(values)) != len(values):
        raise CorpusError(f"languages: a language stands twice in {list(values)}")
    return list(values)


def _cut(corpus: ParallelCorpus, n: int | None) -> ParallelCorpus:
    return corpus.head(cut_count(n, len(corpus), corpus.name))


def cut_count(n: int | None, available: int, name: str) -> int:
    if n is None:
        return available
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= available:
        raise CorpusError(f"n: {name} has {available} rows; expected 1..{available}, got {n!r}")
    return n
