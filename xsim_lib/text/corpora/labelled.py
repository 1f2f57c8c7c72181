"""Labelled corpora for fine-tuning: sentence pairs and topics."""

from __future__ import annotations

from xsim_lib.text.corpora.errors import CorpusError, CorruptFileError
from xsim_lib.text.corpora.fetch import lines, opened
from xsim_lib.text.corpora.moses import detokenise as _detokenise
from xsim_lib.text.corpora.parallel import XNLI_LABELS, cut_count, sib_rows, xnli_rows
from xsim_lib.text.corpora.registry import Original, find
from xsim_lib.text.types import Classification

__all__ = ["sib200_topics", "xnli", "xnli_extension_nli"]

SIB_TOPICS = (
    *("entertainment", "geography", "health", "politics"),
    *("science/technology", "sports", "travel"),
)


def xnli_extension_nli(
    language: str, n: int | None = None, *, detokenise: bool = True
) -> Classification:
    """Premise, hypothesis and label of the first `n` rows of the XNLI extension (None: all 15001).

    Labels are 0 entailment, 1 neutral, 2 contradiction. The rows are the ones `xnli_extension` reads: a model fine-tuned
    on them has seen the sentences that anc2022 compares.
    """
    rows = xnli_rows(find("xnli_extension", language), n)
    if detokenise:
        rows = [(_detokenise(p, language), _detokenise(h, language), label) for p, h, label in rows]
    return _pairs("xnli_extension", language, rows)


def xnli(language: str, split: str = "test", n: int | None = None) -> Classification:
    """XNLI items written by people and translated by people; ``de`` (train, dev, test) and ``ko`` (dev, test).

    Notes
    -----
    Row k of the German and the Korean test set is the same item. German train and dev are XNLI's dev set, cut in two
    and shuffled by SuperGLEBer. Korean is from KorNLI.

    Raises
    ------
    MissingLanguageError : another language or split. The other thirteen languages of XNLI are published in one archive
        only, which this library does not read.
    """
    file = find("xnli", language, split)
    with opened(file) as content:
        rows = _items(content, file)
    return _pairs("xnli", language, rows[: cut_count(n, len(rows), f"xnli {language} {split}")])


def _items(content: bytes, file: Original) -> list[tuple[str, str, str]]:
    rows = []
    for number, line in enumerate(lines(content, file.mirror), start=1):
        cells = line.split("\t")
        if number == 1 and cells == ["sentence1", "sentence2", "gold_label"]:
            continue
        if len(cells) != 3 or cells[2] not in XNLI_LABELS or not all(c.strip() for c in cells):
            raise CorruptFileError(
                f"{file.mirror}: line {number}: expected premise, hypothesis, label; got {cells}"
            )
        rows.append((cells[0].strip(), cells[1].strip(), cells[2]))
    return rows


def sib200_topics(language: str, split: str = "train") -> Classification:
    """Topics of FLORES-200 sentences: 701 train, 99 dev and 204 test; the same sentences in every language."""
    if split not in ("train", "dev", "test"):
        raise CorpusError(f"split: expected train, dev or test; got {split!r}")
    rows = [row for row in sib_rows(find("sib200", language)) if row[1] == split]
    for index_id, _, category, _ in rows:
        if category not in SIB_TOPICS:
            raise CorruptFileError(f"sib200: {language}: {index_id}: no such topic: {category!r}")
    return Classification(
        "sib200",
        language,
        tuple(row[3] for row in rows),
        None,
        tuple(SIB_TOPICS.index(row[2]) for row in rows),
        SIB_TOPICS,
    )


def _pairs(name: str, language: str, rows: list[tuple[str, str, str]]) -> Classification:
    premises, hypotheses, labels = zip(*rows, strict=True)
    indices = tuple(XNLI_LABELS.index(label) for label in labels)
    return Classification(name, language, premises, hypotheses, indices, XNLI_LABELS)
