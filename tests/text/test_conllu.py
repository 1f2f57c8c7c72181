"""CoNLL-U and entity files: what is malformed is named by file and line, what is written reads back the same."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsim_lib.text import corpora
from xsim_lib.text.artificial import presets
from xsim_lib.text.corpora import fetch, registry
from xsim_lib.text.corpora.conllu import conllu_text, parse_conllu, write_conllu
from xsim_lib.text.corpora.named_entities import ENTITY_CORPORA
from xsim_lib.text.types import UPOS, Token, Treebank, TreebankSentence

CONLLU = (
    "# sent_id = a1\n# text = Au x  y.\n"
    "1-2\tAu\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tà\tà\tADP\t_\t_\t3\tcase\t_\t_\n"
    "2\tle\tle\tDET\t_\tGender=Masc|Number=Sing\t3\tdet\t_\t_\n"
    "3\tx  y\tx  y\tNOUN\t_\t_\t0\troot\t_\tSpaceAfter=No\n"
    "3.1\tz\tz\tVERB\t_\t_\t_\t_\t_\t_\n"
    "4\t.\t.\tPUNCT\t_\t_\t3\tpunct\t_\t_\n"
    "\n"
    "# a comment\n"
    "1\tet\tet\tCCONJ\t_\t_\t0\troot\t_\t_\n"
)


def parse(text, **options):
    return parse_conllu(text.encode(), "x.conllu", "x", "fr", **options)


def test_treebank_keeps_syntactic_words_only(tmp_path):
    path = tmp_path / "fr_toy-ud-test.conllu"
    path.write_text(CONLLU, "utf-8")
    bank = corpora.treebank(path)
    first, second = bank.sentences
    assert (bank.language, first.sent_id, first.text) == ("fr", "a1", "Au x  y.")
    assert (second.sent_id, second.text) == ("2", "et")
    assert [t.form for t in first.tokens] == ["à", "le", "x  y", "."]
    assert [t.head for t in first.tokens] == [3, 3, 0, 3]
    assert first.tokens[1].feats == {"Gender": "Masc", "Number": "Sing"}
    assert bank.tasks == ("pos", "parsing")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\tSpaceAfter=No", "", "line 6: expected 10 columns, got 9"),
        ("1\tà\tà", "1 à à", "line 4: expected 10 columns, got 8"),
        ("\t3\tdet", "\tx\tdet", "line 5: head: expected a number, got 'x'"),
        ("\t3\tdet", "\t_\tdet", "line 5: head: expected a number, got '_'"),
        ("\t3\tdet", "\t-1\tdet", "line 5: head: expected a number, got '-1'"),
        ("\t3\tdet", "\t²\tdet", "line 5: head: expected a number, got '²'"),
        ("\t3\tdet", "\t5\tdet", r"line 5: head: token 2: expected another token in 0\.\.4, got 5"),
        ("\t3\tdet", "\t2\tdet", r"line 5: head: token 2: expected another token in 0\.\.4, got 2"),
        ("\t3\tdet", "\t0\troot", "line 6: head: expected one root, got 2"),
        ("\t0\troot\t_\tS", "\t4\troot\t_\tS", "line 4: head: expected one root, got 0"),
        ("\t3\tcase", "\t2\tcase", None),  # no fault: 1 -> 2 -> 3
        ("4\t.\t.", "5\t.\t.", "line 8: expected word 4, got '5'"),
        ("DET", "ART", "line 5: upos: expected one of"),
        ("\tdet\t", "\t\t", "line 5: deprel: expected a non-empty string"),
        ("\tle\tle", "\t\tle", "line 5: form: expected a non-empty string"),
        ("Gender=Masc", "Masc", "line 5: feats: expected Name=Value"),
        ("1-2\t", "1-9\t", "line 3: multiword token: ends at 9 of 4 words"),
        ("1-2\t", "2-3\t", "line 3: multiword token: expected to begin at 1, got 2-3"),
        ("3.1\t", "2.1\t", r"line 7: empty node: expected 3\.1 or later, got 2\.1"),
        ("1\tet\tet\tCCONJ\t_\t_\t0\troot\t_\t_\n", "", "line 10: a sentence without words"),
        ("CCONJ", "CONJ", r"line 11: upos: 'CONJ' .* version 1 \(now CCONJ\).* version=1"),
        ("\tcase\t", "\tdobj\t", r"line 4: deprel: 'dobj' .* version 1 \(now obj\)"),
        ("\tdet\t", "\tnsubjpass\t", "line 5: deprel: 'nsubjpass' is a label of Universal Dep"),
    ],
)
def test_a_malformed_treebank_names_its_file_and_line(tmp_path, old, new, message):
    path = tmp_path / "x.conllu"
    assert old in CONLLU
    path.write_text(CONLLU.replace(old, new, 1), "utf-8")
    if message is None:
        assert len(corpora.treebank(path)) == 2
        return
    with pytest.raises(corpora.CorruptFileError, match=rf"x\.conllu: {message}"):
        corpora.treebank(path)


def test_a_cycle_is_named_by_the_line_of_a_word_in_it(tmp_path):
    path = tmp_path / "x.conllu"
    path.write_text(CONLLU.replace("\t3\tcase", "\t2\tcase").replace("\t3\tdet", "\t1\tdet"))
    with pytest.raises(corpora.CorruptFileError, match=r"x\.conllu: line 4: head: token 1 never"):
        corpora.treebank(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "line 1: no sentence"),
        (CONLLU.encode("latin-1"), "line 4: no UTF-8"),
        (CONLLU.encode("utf-16"), "line 1: no UTF-8"),
        (CONLLU.encode("utf-16-le"), "line 4: no UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    path = tmp_path / "x.conllu"
    path.write_bytes(content)
    with pytest.raises(corpora.CorruptFileError, match=rf"x\.conllu: {message}"):
        corpora.treebank(path)


def test_version_1_is_renamed_when_it_is_asked_for(tmp_path):
    path = tmp_path / "x.conllu"
    old = CONLLU.replace("CCONJ", "CONJ").replace("\tcase", "\tnsubjpass")
    path.write_text(old.replace("\tdet", "\tdobj:x"), "utf-8")
    words = [t for s in corpora.treebank(path, version=1).sentences for t in s.tokens]
    assert [t.deprel for t in words] == ["nsubj:pass", "obj:x", "root", "punct", "root"]
    assert words[-1].upos == "CCONJ"
    with pytest.raises(corpora.CorpusError, match="version: expected 1 or 2, got 3"):
        corpora.treebank(path, version=3)


# -- writing -------------------------------------------------------------------------------------------------------

text = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=4
)
feature = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=3)


@st.composite
def treebanks(draw):
    sentences = []
    for number in range(draw(st.integers(1, 3))):
        order = draw(st.integers(1, 6).flatmap(lambda n: st.permutations(range(1, n + 1))))
        heads = {order[0]: 0}
        for k, word in enumerate(order[1:], start=1):
            heads[word] = draw(st.sampled_from(order[:k]))
        tokens = [
            Token(
                draw(text),
                draw(text),
                draw(st.sampled_from(UPOS)),
                draw(st.dictionaries(feature, feature, max_size=3)),
                heads[word],
                draw(st.sampled_from(["dep", "acl:relcl", "root"])),
                draw(st.sampled_from(["O", "B-PER", "I-LOC"])),
            )
            for word in sorted(heads)
        ]
        sentences.append(TreebankSentence(f"s{number}", tokens, draw(text)))
    return Treebank("x", "fr", sentences)


@given(treebanks())
def test_what_is_written_reads_back_the_same(bank):
    assert parse(conllu_text(bank), entities=True) == bank


def test_files_of_artificial_languages_read_back_the_same(tmp_path):
    bank = presets.european4(seed=0).treebank("et", 30)
    path = tmp_path / "et_family-ud-test.conllu"
    write_conllu(bank, path)
    again = corpora.treebank(path)
    assert again.sentences == bank.sentences
    assert again.tasks == bank.tasks
    assert any(t.entity != "O" for s in again.sentences for t in s.tokens)


def test_what_the_format_cannot_hold_is_not_written(tmp_path):
    def bank(form, sentence="x"):
        token = Token(form, "x", "X", {}, 0, "root")
        return Treebank("x", "fr", [TreebankSentence("s", (token,), sentence)])

    for wrong, message in ((bank("a\tb"), "tab inside"), (bank("a", "a\nb"), "line break")):
        with pytest.raises(ValueError, match=f"treebank: sentence 1: {message}"):
            write_conllu(wrong, tmp_path / "x.conllu")
    assert not list(tmp_path.iterdir())
    words = Treebank("w", "fr", bank("a").sentences, ("ner",))
    with pytest.raises(ValueError, match="w is annotated for ner; got task 'parsing'"):
        conllu_text(words)


# -- names ---------------------------------------------------------------------------------------------------------


def test_treebanks_that_nobody_has_are_named():
    with pytest.raises(
        corpora.MissingLanguageError, match=r"expected one of .*English-EWT.*got 'E'"
    ):
        corpora.treebank("E")
    with pytest.raises(corpora.MissingLanguageError, match="'Faroese-OFT' has test; got 'train'"):
        corpora.treebank("fo", "train")
    with pytest.raises(corpora.MissingLanguageError, match=r"'et' has several.*Estonian-EDT Est"):
        corpora.treebank("et")
    with pytest.raises(corpora.MissingLanguageError, match=r"PUD has ar .*got 'xx'"):
        corpora.treebank("PUD-xx")
    with pytest.raises(corpora.CorpusError, match="no such file"):
        corpora.treebank("none.conllu")


# -- entities ------------------------------------------------------------------------------------------------------

FORMS = {
    "UNER-da": (
        "# sent_id = d1\n1\tMr. X\tB-PER\n2\tgår\tB-OTH\n",
        "# newdoc id = n\n# sent_id = d1\n# text = Mr. X går\n1\tMr. X\tB-PER\t-\tme\n2\tgår\tB-OTH\t-\tme\n\n",
    ),
    "WikiANN-de": ("Mr. X\tB-PER\ngår\tB-OTH\n", "0\tMr. X\tB-PER\n1\tgår\tB-OTH\n\n"),
    "MasakhaNER-wo": ("Mr. X B-PER\ngår B-DATE\n", "Mr. X B-PER\ngår B-DATE\n"),
}


@pytest.mark.parametrize("name", FORMS)
def test_entities_of_the_mirror_and_of_the_public_originals_are_the_same(monkeypatch, name):
    banks = []
    for content in FORMS[name]:
        monkeypatch.setattr(fetch, "_read", lambda file, c=content: c.encode())
        banks.append(corpora.entities(name, "test"))
    assert banks[0] == banks[1]
    (sentence,) = banks[0].sentences
    assert [(t.form, t.entity) for t in sentence.tokens] == [("Mr. X", "B-PER"), ("går", "O")]
    assert sentence.sent_id == ("d1" if name == "UNER-da" else "1")
    assert banks[0].tasks == ("ner",)
    more = corpora.entities(name, "test", types=["OTH", "DATE"])
    assert [t.entity[:1] for t in more.sentences[0].tokens] == ["O", "B"]


def test_train_sets_end_where_the_mirrors_do(monkeypatch):
    monkeypatch.setattr(fetch, "_read", lambda file: b"x\tO\n\n" * 6001)
    assert len(corpora.entities("WikiANN-de", "train")) == 6000
    monkeypatch.setattr(fetch, "_read", lambda file: b"1\tx\tO\n\n" * 4001)
    assert len(corpora.entities("UNER-da", "train")) == 4000
    assert len(corpora.entities("UNER-English-EWT", "train")) == 4001
    assert len(corpora.entities("UNER-da", "dev")) == 4001


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tO\nb\n", "line 2: expected a word and its tag, got 'b'"),
        (b"a\tPER\n", "line 1: entity: expected O, B-TYPE or I-TYPE, got 'PER'"),
        (b"a\tO\n\n\tO\n", "line 3: form: expected a non-empty string"),
        (b"a\tO\n\n# text = x\n", "line 3: a sentence without words"),
        (b"a\tO\n\xff\tO\n", "line 2: no UTF-8"),
    ],
)
def test_malformed_entities_name_file_and_line(monkeypatch, content, message):
    monkeypatch.setattr(fetch, "_read", lambda file: content)
    with pytest.raises(corpora.CorruptFileError, match=rf"de\.test\.tsv\.gz: {message}"):
        corpora.entities("WikiANN-de")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("CoNLL-de", r"expected UNER-\.\.\., WikiANN-\.\.\., MasakhaNER-\.\.\.; got 'CoNLL-de'"),
        ("UNER-en", "several treebanks of 'en', expected one of English-EWT English-PUD"),
        ("WikiANN-fr", "WikiANN has de en es nl pl ru; got 'fr'"),
        ("UNER-Danish-PUD", "UNER has .*Danish-DDT.*; got 'Danish-PUD'"),
    ],
)
def test_entities_that_nobody_has_are_named(name, message):
    with pytest.raises(corpora.MissingLanguageError, match=message):
        corpora.entities(name)
    with pytest.raises(corpora.CorpusError, match="types: expected a sequence"):
        corpora.entities("UNER-da", types="PER")


# -- the real mirror -----------------------------------------------------------------------------------------------


@pytest.fixture
def real():
    if not os.environ.get("XSIM_DATA"):
        pytest.skip("XSIM_DATA is not set: no mirror of the real corpora")


@pytest.mark.real_data
def test_real_treebanks(real):
    for code in corpora.available("pud").mirror:
        assert len(corpora.treebank(f"PUD-{code}")) == 1000
    sizes = [
        len(corpora.treebank(code))
        for code in ["fo", "pcm", "bm", "wo", "mt", "bxr", "myv", "olo", "ug", "gsw"]
    ]
    assert sizes == [1208, 972, 1026, 470, 518, 908, 921, 106, 900, 100]
    assert len(corpora.treebank("English-EWT", "dev")) == 2001
    lithuanian = corpora.treebank("Lithuanian-ALKSNIS", "train")
    lemmas = [t.lemma for s in lithuanian.sentences for t in s.tokens]
    assert any("  " in lemma for lemma in lemmas)  # what the package conllu splits at
    assert parse_conllu(conllu_text(lithuanian).encode(), "x", lithuanian.name, "lt") == lithuanian
    hindi = [t for s in corpora.treebank("Hindi-HDTB", "dev").sentences for t in s.tokens]
    assert sum(t.deprel == "obj" for t in hindi) == 1725  # dobj in the file


@pytest.mark.real_data
def test_real_entities(real):
    for prefix, corpus in ENTITY_CORPORA.items():
        for row in registry.originals(corpus):
            if row.part == "test":
                bank = corpora.entities(f"{prefix}-{row.code}", "test")
                assert {t.entity for s in bank.sentences for t in s.tokens} > {"O", "B-PER"}
    english = corpora.entities("UNER-English-PUD")
    tags = [t.entity for s in english.sentences for t in s.tokens]
    assert sum(tag.startswith("B-") for tag in tags) == 1075
