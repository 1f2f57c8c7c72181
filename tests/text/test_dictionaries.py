"""Dictionaries: the same from a mirror and from the public original, cut by the rank of the source word."""

import csv
import gzip
import hashlib

import pytest

from xsim_lib.text import corpora
from xsim_lib.text.corpora import dictionaries, fetch, registry

ORIGINAL = "le @ the\nla @ the\net @ and\nfut @ was\nune fois @ once\nles @ the\nun @ a\n"
PARTS = {"0-2": "the\tle\nthe\tla\nand\tet\nthe\tles\n", "2-4": "was\tfut\nonce\tune fois\n"}
TRAIN = (("the", "le"), ("the", "la"), ("and", "et"), ("the", "les"))
TEST = (("was", "fut"), ("once", "une fois"))


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A registry of one small dictionary; returns the file that stands for the download."""
    original, mirror = tmp_path / "en-fr.dict", tmp_path / "mirror"
    original.write_text(ORIGINAL, encoding="utf-8")
    rows = [registry._COLUMNS]
    for part, text in PARTS.items():
        file = mirror / f"dictionaries/muse/{part}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(text.encode()))
        digest = hashlib.sha256(text.encode()).hexdigest()
        where = str(file.relative_to(mirror))
        rows.append(["en-fr", "en-fr", part, where, "me/muse", "c" * 40, "d", "ranked", digest])
    with (tmp_path / "muse.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    monkeypatch.setattr(fetch, "_retrieve", lambda url, sha256, corpus: original)
    monkeypatch.setattr(fetch, "_target", lambda url, corpus: original)
    monkeypatch.setattr(
        dictionaries, "_PARTS", {"train": ("0-2",), "test": ("2-4",), None: ("0-2", "2-4")}
    )
    monkeypatch.delenv("XSIM_DATA", raising=False)
    return original, mirror


@pytest.mark.parametrize("where", ["mirror", "network"])
def test_dictionaries_are_cut_by_the_rank_of_the_source_word(served, monkeypatch, where):
    original, mirror = served
    if where == "mirror":
        original.unlink()
        monkeypatch.setenv("XSIM_DATA", str(mirror))
    assert corpora.dictionary("en", "fr", "train").pairs == TRAIN
    assert corpora.dictionary("en", "fr", "test").pairs == TEST
    assert corpora.dictionary("en", "fr").pairs == TRAIN + TEST


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("le @ the\nla - the\n", "d: line 2: expected target @ source, got 'la - the'"),
        (ORIGINAL.replace("les", "las"), "expected content with sha256"),
    ],
)
def test_a_changed_original_is_refused_and_not_kept(served, content, message):
    original, _ = served
    original.write_text(content, encoding="utf-8")
    with pytest.raises(corpora.CorruptFileError, match=message):
        corpora.dictionary("en", "fr", "train")
    assert not original.exists()


def test_a_malformed_line_of_the_mirror_is_named(served, monkeypatch):
    _, mirror = served
    file, text = mirror / "dictionaries/muse/2-4.gz", b"was\tfut\nonce\n"
    file.write_bytes(gzip.compress(text))
    monkeypatch.setenv("XSIM_DATA", str(mirror))
    with pytest.raises(corpora.ChecksumError):
        corpora.dictionary("en", "fr", "test")
    monkeypatch.setattr(fetch, "_verify", lambda *_: None)
    with pytest.raises(corpora.CorruptFileError, match=r"2-4\.gz: line 2: expected a word and its"):
        corpora.dictionary("en", "fr", "test")


def test_only_what_there_is(served):
    with pytest.raises(corpora.MissingLanguageError, match="muse has en-fr; got 'fr-en'"):
        corpora.dictionary("fr", "en")
    with pytest.raises(corpora.CorpusError, match="split: expected 'train', 'test' or None"):
        corpora.dictionary("en", "fr", "dev")
