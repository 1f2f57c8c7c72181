"""What needs neither mirror nor network (own files, detokenisation, treebanks, the registry), and the real mirror."""

import gzip
import hashlib
import os
import sys
import types
from pathlib import Path

import pytest

from xsim_lib.text import corpora
from xsim_lib.text.corpora import registry
from xsim_lib.text.types import count_words

REAL = os.environ.get("XSIM_DATA")


def test_plain_reads_a_folder_and_a_table_alike(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "en.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")  # as a Windows editor writes it
    (folder / "fr.txt").write_text("un\u2028e\ndeux", "utf-8")
    (tmp_path / "mine.tsv").write_text("en\tfr\none\tun\u2028e\ntwo\tdeux\n", "utf-8")
    assert corpora.plain(folder) == corpora.plain(tmp_path / "mine.tsv")
    assert corpora.plain(folder).pair("en", "fr") == (("one", "two"), ("un\u2028e", "deux"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected LANG.txt files"),
        ({"en.txt": b"a\nb\n", "fr.txt": b"a\n"}, r"fr\.txt: expected 2 lines like en\.txt, got 1"),
        ({"en.txt": b"a\n\nb\n"}, r"en\.txt: line 2 is empty"),
        ({"en.txt": b"a\n\xff\n"}, r"en\.txt: line 2: no UTF-8"),
        ({"x.tsv": b"en\tfr\na\n"}, r"x\.tsv: line 2: expected 2 columns, got 1"),
        ({"x.tsv": b"en\tfr\na\t \n"}, r"x\.tsv: line 2: fr is empty"),
        ({"x.tsv": b"en\ten\na\tb\n"}, "line 1: expected different language codes"),
        ({"x.tsv": b"en\tfr\n"}, "no sentence after the header"),
    ],
)
def test_plain_names_file_and_line(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "x.tsv" if "x.tsv" in files else tmp_path
    with pytest.raises(corpora.CorpusError, match=message):
        corpora.plain(path)


def test_plain_needs_something_to_read(tmp_path):
    with pytest.raises(corpora.CorpusError, match=r"expected a folder of LANG\.txt or a TSV file"):
        corpora.plain(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("language", "tokens", "expected"),
    [
        ("en", "I can 't , the boys ' and Bob 's .", "I can't, the boys' and Bob's."),
        ("en", 'He said : " go ( now ) ! "', 'He said: "go (now)!"'),
        ("fr", "J' ai dit qu' il l' a .", "J'ai dit qu'il l'a."),
        ("fr", "Quoi ? 5 %", "Quoi ? 5 %"),
        ("de", "Es kostet $ 5 , oder ?", "Es kostet $5, oder?"),
        ("zh", "如果 人们 go , 好 的 。", "如果人们 go, 好的。"),
        ("et", "Slate'il oli arvamus.", "Slate'il oli arvamus."),
        ("fr", "? non", "? non"),
    ],
)
def test_detokenise(language, tokens, expected):
    assert corpora.detokenise(tokens, language) == expected


# -- the registry itself -------------------------------------------------------------------------------------------


def test_the_registry_is_complete_and_pins_everything():
    assert len(registry.originals("tatoeba")) == 224
    for corpus in registry.corpus_names():
        rows = registry.originals(corpus)
        assert len({(r.language, r.code, r.part) for r in rows}) == len(rows)
        for row in rows:
            assert set(row.commit) <= set("0123456789abcdef+")
            assert len(row.commit) >= 40
            assert row.mirror.startswith(registry.about(corpus)["folder"] + "/")
            assert bool(row.urls) == (row.form != "derived")
            assert row.sha256 or row.form in ("bytes", "stripped")
            for url in row.urls:
                assert url.startswith(
                    f"https://raw.githubusercontent.com/{row.repository}/{row.commit}/"
                )


def test_text_without_a_mirror_is_wikipedia(monkeypatch):
    monkeypatch.delenv("XSIM_DATA", raising=False)
    asked = []

    def load_dataset(*args, **options):
        asked.append((args, options))
        return iter([{"text": "One two. Three four five!\n\nSix"}, {"text": "Seven eight."}])

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    got = corpora.monolingual_text(["en"], n_words=6)
    assert got["en"] == ("One two.", "Three four five!", "Six")
    assert asked == [
        (("wikimedia/wikipedia", "20231101.en"), {"split": "train", "streaming": True})
    ]
    with pytest.raises(corpora.CorpusError, match="has about 8 words, got 100"):
        corpora.monolingual_text(["en"], n_words=100)
    with pytest.raises(corpora.CorpusError, match="say how many words"):
        corpora.monolingual_text(["en"])
    with pytest.raises(corpora.CorpusError, match="there is only wiki"):
        corpora.monolingual_text(["en"], ["lit"], 5)

    def unreachable(*args, **options):
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=unreachable))
    with pytest.raises(corpora.NetworkError, match=r"huggingface\.co.*no route.*set XSIM_DATA"):
        corpora.monolingual_text(["en"], n_words=6)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(corpora.CorpusError, match="pip install datasets"):
        corpora.monolingual_text(["en"], n_words=6)


def test_describe_without_a_mirror(monkeypatch):
    monkeypatch.delenv("XSIM_DATA", raising=False)
    assert set(corpora.describe()["mirror"]) == {"not set"}


# -- the real mirror -----------------------------------------------------------------------------------------------


@pytest.fixture
def real():
    if not REAL:
        pytest.skip("XSIM_DATA is not set: no mirror of the real corpora")
    return Path(REAL)


@pytest.mark.real_data
def test_the_mirror_is_what_the_registry_says(real):
    checked = 0
    for corpus in registry.corpus_names():
        for row in registry.originals(corpus):
            if row.sha256:
                content = gzip.decompress((real / row.mirror).read_bytes())
                assert hashlib.sha256(content).hexdigest() == row.sha256, row.mirror
                checked += 1
    assert checked == 19 + 224 + 19 + 54 + 19 + 5 + 52 + 123 + 29 + 12 + 9 + 86


@pytest.mark.real_data
def test_the_data_of_anc2022(real):
    got = corpora.xnli_extension(["en", "fr", "et"])
    assert len(got) == 10000
    # Names survive translation: a corpus that slipped by one row would lose them.
    named = [k for k, s in enumerate(got["en"]) if "Clinton" in s]
    assert len(named) > 20
    for language in ("fr", "et"):
        assert sum("Clinton" in got[language][k] for k in named) > 0.9 * len(named)
        assert sum("Clinton" in got[language][k - 1] for k in named) < 0.2 * len(named)
    nli = corpora.xnli_extension_nli("et")
    assert [nli.labels.count(k) for k in range(3)] == [5100, 4397, 5504]


@pytest.mark.real_data
def test_every_real_loader(real):
    assert len(corpora.pud(corpora.available("pud").mirror)) == 1000
    assert len(corpora.sib200(corpora.available("sib200").mirror)) == 1004
    assert len(corpora.ntrex(corpora.available("ntrex").mirror)) == 1997
    assert [len(corpora.sib200_topics("bg", s)) for s in ("train", "dev", "test")] == [701, 99, 204]
    assert corpora.xnli("de").labels == corpora.xnli("ko").labels
    sizes = [len(corpora.tatoeba(f"en-{c}")) for c in corpora.available("tatoeba").upstream]
    assert (len(sizes), sizes.count(1000)) == (112, 72)
    text = corpora.monolingual_text(["bg", "zh"], n_words=50_000)
    for language in text.languages:
        assert 49_000 < sum(map(count_words, text[language])) <= 50_000


@pytest.mark.real_data
def test_real_dictionaries(real):
    train, test = (corpora.dictionary("en", "fr", split) for split in ("train", "test"))
    assert len({a for a, _ in train.pairs}) == 5000
    assert len({a for a, _ in test.pairs}) == 1500
    assert not {a for a, _ in train.pairs} & {a for a, _ in test.pairs}
    assert ("cat", "chat") in {*train.pairs, *test.pairs}
    assert train.pairs + test.pairs == corpora.dictionary("en", "fr").pairs
    for pair in corpora.available("muse").mirror:
        assert len(corpora.dictionary(*pair.split("-"), split="test")) >= 1500
