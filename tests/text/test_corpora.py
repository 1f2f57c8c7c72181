"""Corpora: the same objects from a mirror and from the network, and never a half-read or changed file.

A mirror and a web server with made-up files stand in for the real ones; tests marked real_data read XSIM_DATA.
"""

import csv
import gzip
import hashlib
import re
import socket
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from xsim_lib.text import corpora
from xsim_lib.text.corpora import fetch, registry

COMMIT = "c" * 40


def xnli_file(hypotheses, labels=("neutral", "entailment", "contradictory"), end="\n", quote=str):
    rows = ["premise\thypo\tlabel"]
    for k, (hypothesis, label) in enumerate(zip(hypotheses, labels, strict=True)):
        rows.append(f"premise {k}\t{quote(hypothesis)}\t{label}")
    return (end.join(rows) + end).encode()


def csv_quote(cell):
    return '"' + cell.replace('"', '""') + '"' if '"' in cell else cell


SIB = {
    "train": 'index_id\tcategory\ttext\n7\ttravel\tseven\n3\thealth\t"three ""3"" x"\n',
    "dev": "index_id\tcategory\ttext\n12\tsports\ttwelve\n",
    "test": "index_id\tcategory\ttext\n5\ttravel\tfive\n",
}
SIB_MERGED = (
    "index_id\tsplit\tcategory\ttext\n"
    '3\ttrain\thealth\tthree "3" x\n5\ttest\ttravel\tfive\n7\ttrain\ttravel\tseven\n12\tdev\tsports\ttwelve\n'
)
PUD_EN = (
    "# sent_id = n02\n# text = Two.\n1\tTwo\t_\n\n# sent_id = n01\n# text = One.\n1\tOne\t_\n\n"
)
PUD_IS = "# sent_id = n01\n# text = Einn.\n1\tEinn\t_\n\n# sent_id = n02\n# text = Tveir.\n1\tTveir\t_\n\n"

BANK = "1\tEin\t_\tNUM\t_\t_\t0\troot\t_\t_\n\n1\tTveir\t_\tNUM\t_\t_\t0\troot\t_\t_\n\n"

# corpus, language, code, part, form: (content in the mirror, {path: public original})
FILES = {
    ("xnli_extension", "en", "en", "", "bytes"): xnli_file(["I 'm in .", '" Go ! "', "No ."]),
    ("xnli_extension", "et", "et", "", "bytes"): xnli_file(
        ["Olen sees.", '"Mine!" ta ütles.', "Ei\u2028."], end="\r\n", quote=csv_quote
    ),
    ("tatoeba", "bg", "bul", "text", "bytes"): "едно\nдве\n".encode(),
    ("tatoeba", "bg", "bul", "english", "bytes"): b"one\ntwo\n",
    ("pud", "en", "en", "", "bytes"): PUD_EN.encode(),
    ("pud", "is", "is", "", "bytes"): PUD_IS.encode(),
    ("sib200", "fr", "fra_Latn", "", "merged"): SIB_MERGED.encode(),
    ("ntrex", "zh", "zho-CN", "", "stripped"): "一。\n二。\n".encode(),
    ("treebanks", "fo", "Faroese-OFT", "test", "reduced"): BANK.encode(),
    ("wikiann", "de", "de", "test", "reduced"): b"Mr. X\tB-PER\nwent\tO\n\nA\tO\n",
    ("xnli", "ko", "ko", "test", "bytes"): b"sentence1\tsentence2\tgold_label\na\tb\tneutral",
    ("text", "en", "en", "lit", "derived"): b"a b c d\ne f g h\ni j k l\n",
    ("text", "en", "en", "wiki", "derived"): b"one two\nthree four\n",
}


class Origin:
    """A public server: `files` by path; `spoil` changes what it sends."""

    def __init__(self):
        self.files, self.requests, self.spoil = {}, [], None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                content = outer.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                length = len(content)
                if outer.spoil:
                    content = outer.spoil(content)
                self.send_response(200)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                """Keep the tests' output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A registry, a mirror and a server of made-up files; XSIM_DATA unset, so nothing is read from the mirror yet."""
    origin, mirror, tables = Origin(), tmp_path / "mirror", tmp_path / "originals"
    tables.mkdir()
    rows = {name: [] for name in registry.corpus_names()}
    for (corpus, language, code, part, form), content in FILES.items():
        name = "-".join(filter(None, (corpus, code, part))) + ".txt"
        path = {"merged": f"{code}/{{split}}.tsv", "derived": ""}.get(form, name)
        base = f"/me/{corpus}/{COMMIT}"
        if form == "merged":
            for split, original in SIB.items():
                origin.files[f"{base}/{code}/{split}.tsv"] = original.encode()
        elif form == "stripped":
            lines = content.decode().splitlines()
            origin.files[f"{base}/{name}"] = "".join(f"{x} \r\n" for x in lines).encode()
        elif form in ("bytes", "reduced"):
            origin.files[f"{base}/{name}"] = content
        file = mirror / registry.about(corpus)["folder"] / f"{name}.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(content))
        where = str(file.relative_to(mirror))
        digest = hashlib.sha256(content).hexdigest()
        rows[corpus].append(
            [language, code, part, where, f"me/{corpus}", COMMIT, path, form, digest]
        )
    for corpus, table in rows.items():
        with (tables / f"{corpus}.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([registry._COLUMNS, *table])
    monkeypatch.setattr(registry, "FOLDER", tables)
    monkeypatch.setenv("XSIM_ORIGINALS", origin.url)
    monkeypatch.setenv("XSIM_DOWNLOADS", str(tmp_path / "downloads"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("XSIM_DATA", raising=False)
    yield types.SimpleNamespace(origin=origin, mirror=mirror, downloads=tmp_path / "downloads")
    origin.server.shutdown()
    origin.server.server_close()


@pytest.fixture
def mirrored(world, monkeypatch):
    monkeypatch.setenv("XSIM_DATA", str(world.mirror))
    return world


LOADERS = {
    "xnli_extension": lambda: corpora.xnli_extension(["en", "et"], n=3),
    "xnli_extension_nli": lambda: corpora.xnli_extension_nli("et"),
    "tatoeba": lambda: corpora.tatoeba("en-bg"),
    "pud": lambda: corpora.pud(["en", "is"]),
    "sib200": lambda: corpora.sib200(["fr"]),
    "sib200_topics": lambda: corpora.sib200_topics("fr", "train"),
    "ntrex": lambda: corpora.ntrex(["zh"]),
    "xnli": lambda: corpora.xnli("ko", "test"),
}


@pytest.mark.parametrize("name", LOADERS)
def test_mirror_and_network_give_the_same_object(world, monkeypatch, name):
    downloaded = LOADERS[name]()
    assert world.origin.requests
    asked = len(world.origin.requests)
    assert LOADERS[name]() == downloaded
    assert len(world.origin.requests) == asked, "a second reading must not download again"
    monkeypatch.setenv("XSIM_DATA", str(world.mirror))
    mirrored = LOADERS[name]()
    assert mirrored == downloaded
    assert mirrored.fingerprint == downloaded.fingerprint
    assert len(world.origin.requests) == asked, "with XSIM_DATA set nothing may leave the machine"


def test_every_parallel_corpus_has_a_loader_that_is_compared():
    assert set(corpora.PARALLEL) <= set(LOADERS)


def test_xnli_extension_undoes_both_kinds_of_writing(mirrored):
    got = corpora.xnli_extension(["en", "et"], n=3)
    assert got.pair("en", "et") == (
        ("I'm in.", '"Go!"', "No."),
        ("Olen sees.", '"Mine!" ta ütles.', "Ei."),
    )
    raw = corpora.xnli_extension(["en"], n=2, detokenise=False)
    assert raw["en"] == ("I 'm in .", '" Go ! "')
    whole = corpora.xnli_extension(["et"], n=3, detokenise=False)
    assert whole["et"][2] == "Ei\u2028."  # no line ends there
    assert corpora.xnli_extension(["et"], n=1, column="premise")["et"] == ("premise 0",)
    nli = corpora.xnli_extension_nli("en", n=3)
    assert [nli.label_names[k] for k in nli.labels] == ["neutral", "entailment", "contradiction"]


def test_pud_is_aligned_by_id_not_by_position(mirrored):
    assert corpora.pud(["en", "is"]).sentences == {
        "en": ("One.", "Two."),
        "is": ("Einn.", "Tveir."),
    }
    assert corpora.pud(["is", "en"], n=1).sentences == {"is": ("Einn.",), "en": ("One.",)}


def test_tatoeba_takes_either_order_and_either_code(mirrored):
    assert corpora.tatoeba("bg-en").languages == ("bg", "en")
    assert corpora.tatoeba("eng-bul")["bul"] == corpora.tatoeba("en-bg")["bg"]
    for pair in ("bg-fr", "en-en", "en", None):
        with pytest.raises(corpora.CorpusError, match="expected English and one other language"):
            corpora.tatoeba(pair)


def test_sib200_topics_are_one_split_of_the_parallel_text(mirrored):
    assert corpora.sib200(["fr"])["fr"] == ('three "3" x', "five", "seven", "twelve")
    topics = corpora.sib200_topics("fr", "train")
    assert topics.premises == ('three "3" x', "seven")
    assert [topics.label_names[k] for k in topics.labels] == ["health", "travel"]


def test_load_pair_gives_any_parallel_corpus(mirrored):
    assert corpora.load_pair("tatoeba", "en-bg", n=1).sentences == {"en": ("one",), "bg": ("едно",)}
    assert corpora.load_pair("xnli_extension", "et-en", n=2).languages == ("et", "en")
    with pytest.raises(corpora.CorpusError, match="corpus: expected one of xnli_extension"):
        corpora.load_pair("news", "en-bg")
    with pytest.raises(corpora.CorpusError, match="pair: expected two languages"):
        corpora.load_pair("pud", "en")


# -- what must never pass ------------------------------------------------------------------------------------------


def test_a_changed_mirror_file_is_named_with_both_checksums(mirrored):
    path = mirrored.mirror / "xnli_extension" / "xnli_extension-et.txt.gz"
    content = gzip.decompress(path.read_bytes()).replace(b"Olen", b"Oled")
    path.write_bytes(gzip.compress(content))
    with pytest.raises(corpora.ChecksumError) as error:
        corpora.xnli_extension(["en", "et"], n=1)
    assert str(path) in str(error.value)
    assert hashlib.sha256(content).hexdigest() in str(error.value)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_mirror_file_is_no_shorter_corpus(mirrored, keep):
    path = mirrored.mirror / "ud/pud" / "pud-en.txt.gz"
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(corpora.CorruptFileError, match=r"pud-en\.txt\.gz"):
        corpora.pud(["en"])


def test_a_changed_download_is_refused_and_leaves_nothing_behind(world):
    world.origin.spoil = lambda content: content.replace(b"one", b"eno")
    with pytest.raises(corpora.ChecksumError, match="expected sha256"):
        corpora.tatoeba("en-bg")
    assert not [f for f in world.downloads.rglob("*english*") if f.is_file()]
    world.origin.spoil = None
    assert corpora.tatoeba("en-bg")["en"] == ("one", "two")


@pytest.mark.parametrize("loader", ["sib200", "ntrex"])
def test_a_change_is_seen_through_the_conversion_too(world, loader):
    world.origin.spoil = lambda content: content.replace(b"seven", b"eleve").replace(
        "二".encode(), "三".encode()
    )
    with pytest.raises(corpora.ChecksumError, match="expected content with sha256"):
        LOADERS[loader]()
    world.origin.spoil = None
    assert len(LOADERS[loader]()) > 0  # the spoilt download was thrown away


def test_a_connection_that_breaks_gives_no_half_file(world):
    world.origin.spoil = lambda content: content[: len(content) // 2]
    with pytest.raises(corpora.NetworkError, match="set XSIM_DATA to a local mirror"):
        corpora.pud(["en"])
    assert not [f for f in world.downloads.rglob("*") if f.is_file()]
    world.origin.spoil = None
    assert corpora.pud(["en"])["en"] == ("One.", "Two.")


def test_no_network_names_the_host_and_the_way_out(world, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("XSIM_ORIGINALS", f"http://127.0.0.1:{port}")
    with pytest.raises(corpora.NetworkError, match=r"from 127\.0\.0\.1.*set XSIM_DATA"):
        corpora.ntrex(["zh"])


def test_a_file_that_is_gone_upstream_is_named(world):
    world.origin.files.clear()
    with pytest.raises(corpora.NetworkError, match=r"xnli-ko-test\.txt.*404"):
        corpora.xnli("ko")


def test_a_language_the_mirror_lacks_is_told_from_one_that_nobody_has(mirrored):
    (mirrored.mirror / "xnli_extension/xnli_extension-et.txt.gz").unlink()
    with pytest.raises(
        corpora.MissingLanguageError, match=r"the mirror .* lacks 'et'.*Public orig"
    ):
        corpora.xnli_extension(["en", "et"], n=1)
    with pytest.raises(corpora.MissingLanguageError, match="xnli_extension has en et; got 'xx'"):
        corpora.xnli_extension(["en", "xx"], n=1)
    here = corpora.available("xnli_extension")
    assert (here.upstream, here.mirror, here.missing) == (("en", "et"), ("en",), ("et",))
    with pytest.raises(corpora.MissingLanguageError, match="'ko' has test; got 'train'"):
        corpora.xnli("ko", "train")


def test_a_mirror_that_is_none_is_named(world, monkeypatch, tmp_path):
    monkeypatch.setenv("XSIM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(corpora.MirrorError, match="XSIM_DATA: expected an existing folder"):
        corpora.pud(["en"])
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("XSIM_DATA", str(tmp_path / "empty"))
    with pytest.raises(corpora.MirrorError, match="has no folder ud/pud"):
        corpora.pud(["en"])
    assert not world.origin.requests, "a wrong mirror must not turn into a download"


# -- files without a checksum ---------------------------------------------------------------------------------------


def unpin(corpus):
    """Take the checksums of a corpus out of the registry, as 51 files have none there."""
    table = registry.FOLDER / f"{corpus}.csv"
    header, *rows = table.read_text("utf-8").splitlines()
    table.write_text("\n".join([header, *(row.rpartition(",")[0] + "," for row in rows)]), "utf-8")
    registry._read.cache_clear()


@pytest.fixture
def sizes(tmp_path, monkeypatch):
    """What is known of the made-up files, as of the real ones."""
    folders = {name: registry.about(name)["folder"] for name in registry.corpus_names()}
    rows = ["mirror,count,unit,at_least", f"{folders['ntrex']}/ntrex-zho-CN.txt.gz,2,lines,"]
    rows += [f"{folders['pud']}/pud-{code}.txt.gz,2,sentences," for code in ("en", "is")]
    rows += [
        f"{folders['xnli_extension']}/xnli_extension-{k}.txt.gz,4,lines," for k in ("en", "et")
    ]
    rows += [f"{folders['wikiann']}/wikiann-de-test.txt.gz,2,sentences,yes"]
    (tmp_path / "sizes.csv").write_text("\n".join(rows), "utf-8")
    monkeypatch.setattr(registry, "SIZES", tmp_path / "sizes.csv")


def kept(world):
    return [file for file in world.downloads.rglob("*") if file.is_file()]


READERS = {
    **LOADERS,
    "xnli_extension_nli_en": lambda: corpora.xnli_extension_nli("en"),
    "treebank": lambda: corpora.treebank("Faroese-OFT"),
    "names": lambda: corpora.entities("WikiANN-de"),
}

# reader, corpus, what is served instead, what the error says
SPOILT = {
    "ntrex HTML": (
        "ntrex",
        "ntrex",
        b"<!doctype html>\nLog in",
        "expected ntrex text, got HTML: '<!d",
    ),
    "ntrex short": ("ntrex", "ntrex", b"one line\n", "expected 2 lines, got 1"),
    "ntrex long": ("ntrex", "ntrex", b"a\nb\nc\n", "expected 2 lines, got 3"),
    "ntrex JSON": ("ntrex", "ntrex", b'{"message": "Not Found"}', "expected 2 lines, got 1"),
    "ntrex bytes": ("ntrex", "ntrex", b"a\n\xff\n", "line 2: no UTF-8"),
    "ntrex empty line": ("ntrex", "ntrex", b"a\n \n", "line 2 is empty"),
    "pud HTML": ("pud", "pud", b"<html><body>no</body></html>\n\nx", "got HTML"),
    "pud text": ("pud", "pud", b"# sent_id = x\n\n# sent_id = y\n", "no '# text =' line"),
    "pud ids": (
        "pud",
        "pud",
        PUD_EN.replace("n02", "n03").encode(),
        "is and en differ in sent_id n02",
    ),
    "xnli header": ("xnli_extension", "xnli_extension", b"a\nb\nc\nd\n", "expected the header"),
    "xnli labels": (
        *("xnli_extension", "xnli_extension"),
        xnli_file(["a", "b", "c"], ("neutral", "neutral", "neutral")),
        "et: row 2: label is 'entailment' but 'neutral' in en: not aligned",
    ),
    "nli": (
        "xnli_extension_nli_en",
        "xnli_extension",
        b"premise\thypo\tlabel\n" * 4,
        "no such label",
    ),
    "treebank": ("treebank", "treebanks", b"1\tx\n\n", "line 1: expected 10 columns, got 2"),
    "treebank HTML": ("treebank", "treebanks", b" <HTML>\n", "got HTML"),
    "names": ("names", "wikiann", b"a\tX\n\nb\tO\n", "line 1: entity: expected O"),
    "names short": ("names", "wikiann", b"a\tO\n", "expected at least 2 sentences, got 1"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_found_corrupt_is_not_kept_and_names_its_address(world, sizes, monkeypatch, case):
    reader, corpus, content, message = SPOILT[case]
    if corpus not in ("treebanks", "wikiann"):  # there the checksum is that of the mirror alone
        unpin(corpus)
    path = next(p for p in world.origin.files if p.startswith(f"/me/{corpus}/"))
    whole = world.origin.files[path]
    world.origin.files[path] = content
    for asked in (1, 2):  # a retry asks again
        with pytest.raises(corpora.CorruptFileError, match=re.escape(message)) as caught:
            READERS[reader]()
        assert f"downloaded from {world.origin.url}{path} and not kept" in str(caught.value)
        assert world.origin.requests.count(path) == asked
        assert [file for file in kept(world) if file.name == path.split("/")[-1]] == []
    world.origin.files[path] = whole
    assert READERS[reader]()


@pytest.mark.parametrize("case", SPOILT)
def test_a_corrupt_file_of_a_mirror_is_named_and_left_alone(world, sizes, monkeypatch, case):
    reader, corpus, content, message = SPOILT[case]
    unpin(corpus)
    row = registry.originals(corpus)[0]
    (world.mirror / row.mirror).write_bytes(gzip.compress(content))
    monkeypatch.setenv("XSIM_DATA", str(world.mirror))
    with pytest.raises(corpora.CorruptFileError, match=re.escape(message)) as caught:
        READERS[reader]()
    assert str(caught.value).count(str(world.mirror / row.mirror)) == 1
    assert gzip.decompress((world.mirror / row.mirror).read_bytes()) == content
    assert not world.origin.requests


def test_a_download_that_cannot_be_removed_is_named(world, monkeypatch):
    unpin("ntrex")
    world.origin.files = {p: b"<html>" for p in world.origin.files}
    refuse = PermissionError(13, "Permission denied")
    monkeypatch.setattr(fetch.Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(refuse))
    with pytest.raises(corpora.CorruptFileError, match=r"; remove .*zho-CN\.txt, downloaded from"):
        corpora.ntrex(["zh"])


def test_what_one_server_sent_is_not_taken_for_another_ones(world, monkeypatch):
    unpin("ntrex")
    assert corpora.ntrex(["zh"])["zh"] == ("一。", "二。")
    other = Origin()
    other.files = {path: "三。\n".encode() for path in world.origin.files}
    monkeypatch.setenv("XSIM_ORIGINALS", other.url)
    assert corpora.ntrex(["zh"])["zh"] == ("三。",)
    monkeypatch.setenv("XSIM_ORIGINALS", world.origin.url)
    assert corpora.ntrex(["zh"])["zh"] == ("一。", "二。")
    assert len(world.origin.requests) == 1
    other.server.shutdown()
    other.server.server_close()
    places = ["http://a/x", "https://a/x", "http://b/x", "http://a:81/x", "https://u:secret@c/x"]
    targets = [fetch._target(place, "ntrex") for place in places]
    assert len(set(targets)) == len(places)
    assert "secret" not in str(targets)


@pytest.mark.parametrize(
    "start",
    [
        "<!DOCTYPE HTML PUBLIC",
        "\ufeff<html>",
        "\n\n  <HTML lang=en>",
        "<head\n>",
        "<!-- x -->",
        "<?xml ?>",
    ],
)
def test_html_is_known_by_its_first_bytes(start):
    assert fetch._HTML.match(f"{start} and so on".encode())


@pytest.mark.parametrize("start", ["<3 to all", "a <html> page", "< html>", "<abbrev>", "<<", ""])
def test_text_with_an_angle_bracket_is_no_html(start):
    assert not fetch._HTML.match(start.encode())


def test_every_real_file_without_a_checksum_has_a_known_size():
    loose = {
        row
        for corpus in registry.corpus_names()
        for row in registry.originals(corpus)
        if row.form == "reduced" or not row.sha256
    }
    assert {row.mirror for row in loose} == set(registry._sizes(registry.SIZES))
    known = {str(registry.size(row)) for row in loose if row.corpus == "ntrex"}
    assert (len(loose), known) == (202, {"1997 lines"})


def rewrite(world, corpus, code, content):
    """Replace a mirror file and its checksum: what the parsers see if the public original itself is odd."""
    table = registry.FOLDER / f"{corpus}.csv"
    name = f"{corpus}-{code}.txt.gz"
    path = world.mirror / registry.about(corpus)["folder"] / name
    old = hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
    path.write_bytes(gzip.compress(content))
    new = hashlib.sha256(content).hexdigest()
    table.write_text(table.read_text("utf-8").replace(old, new), "utf-8")
    registry._read.cache_clear()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (xnli_file(["a", "b", "c"], ("neutral", "neutral", "neutral")), "et: row 2: label is 'neu"),
        (xnli_file(["a", "b"], ("neutral", "entailment")), "et: expected 3 sentences like en, got"),
        (xnli_file(["a", " ", "c"]), "line 3: expected three filled cells"),
        (xnli_file(["a", "b\tb", "c"]), "line 3: expected three filled cells"),
        (xnli_file(["a", "b", "c"], ("x", "y", "z")), "line 2: no such label: 'x'"),
        (b"a\tb\tneutral\n", "expected the header premise hypo label"),
        (xnli_file(["a", "b", "c"]).replace(b"c\t", b"\xff\t"), "line 4: no UTF-8"),
        (b"", "the file is empty"),
    ],
)
def test_files_that_slipped_or_broke_are_found_by_row(mirrored, content, message):
    rewrite(mirrored, "xnli_extension", "et", content)
    with pytest.raises(corpora.CorpusError, match=message):
        corpora.xnli_extension(["en", "et"], n=None)


def test_unequal_and_empty_lines_are_named(mirrored):
    rewrite(mirrored, "tatoeba", "bul-text", b"edno\n")
    with pytest.raises(corpora.CorpusError, match="bg: expected 2 sentences like en, got 1"):
        corpora.tatoeba("en-bg")
    rewrite(mirrored, "tatoeba", "bul-text", b"edno\n\n")
    with pytest.raises(corpora.CorruptFileError, match=r"bul-text\.txt\.gz: line 2 is empty"):
        corpora.tatoeba("en-bg")
    rewrite(mirrored, "pud", "is", PUD_IS.replace("n02", "n03").encode())
    with pytest.raises(corpora.CorpusError, match="is and en differ in sent_id n02"):
        corpora.pud(["en", "is"])


@pytest.mark.parametrize("n", [0, 4, True, 1.5])
def test_n_outside_the_corpus_is_refused(mirrored, n):
    with pytest.raises(corpora.CorpusError, match=r"xnli_extension has 3 rows; expected 1\.\.3"):
        corpora.xnli_extension(["en"], n=n)


@pytest.mark.parametrize("languages", ["en", [], ["en", "en"]])
def test_languages_are_a_list_without_repetition(mirrored, languages):
    with pytest.raises(corpora.CorpusError, match="languages: "):
        corpora.pud(languages)


def test_an_original_without_checksum_is_read_with_a_warning(mirrored, caplog):
    unpin("pud")
    assert corpora.pud(["en"])["en"] == ("One.", "Two.")
    assert "no checksum is known, so nothing proves what it holds" in caplog.text
    assert (
        COMMIT[:12] not in caplog.text
    )  # a server may send anything under an address that names a commit


# -- monolingual and own text --------------------------------------------------------------------------------------


def test_text_takes_the_same_part_of_every_domain(mirrored):
    assert corpora.monolingual_text(["en"])["en"] == (
        "a b c d",
        "e f g h",
        "i j k l",
        "one two",
        "three four",
    )
    assert corpora.monolingual_text(["en"], n_words=8)["en"] == ("a b c d", "one two")
    assert corpora.monolingual_text(["en"], ["wiki"], 2)["en"] == ("one two",)
    with pytest.raises(corpora.CorpusError, match="n_words: en has 16 words in these domains, got"):
        corpora.monolingual_text(["en"], n_words=17)
    with pytest.raises(corpora.MissingLanguageError, match="en has lit wiki; got domain 'web'"):
        corpora.monolingual_text(["en"], ["web"])
    with pytest.raises(corpora.MissingLanguageError, match="text has en; got 'fr'"):
        corpora.monolingual_text(["fr"])


def test_describe_has_one_row_per_corpus(mirrored):
    table = corpora.describe().set_index("corpus")
    assert list(table.index) == list(registry.corpus_names())
    assert table.loc["pud", "mirror"] == "all"
    assert table["licence"].str.len().min() > 0
    (mirrored.mirror / "ud/pud/pud-is.txt.gz").unlink()
    again = corpora.describe().set_index("corpus")
    assert (again.loc["pud", "mirror"], again.loc["pud", "missing"]) == ("1 of 2", "is")
