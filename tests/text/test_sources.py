"""Sources: both kinds answer the same questions, and romanised languages are so everywhere."""

import unicodedata

import pytest

from xsim_lib.text.sources import Artificial, Real
from xsim_lib.text.types import BilingualDictionary, Corpus

SEEN = ("en", "de", "fr", "es", "ru", "bg", "fi", "et", "hu", "tr", "ar")


def artificial(**more):
    return Artificial(
        preset="transfer15", languages=more.pop("languages", ("en", "ug")), sentences=50, **more
    )


def script(sentences):
    return {unicodedata.name(letter).split()[0] for letter in letters(sentences)}


def letters(sentences):
    return {c for line in sentences for c in line.lower() if c.isalpha()}


def test_unseen_languages_have_labelled_text_but_no_training_text():
    source = artificial(languages=SEEN)
    assert set(source.training().languages) == set(SEEN)
    assert set(source.known) - set(SEEN) == {"gsw", "wo", "ug", "myv"}
    assert len(source.treebank("wo", 7, "train")) == 7
    with pytest.raises(ValueError, match="got 'xx'"):
        source.check_languages("xx")


def test_test_treebanks_are_parallel_and_apart_from_training():
    source = artificial()
    english, uyghur = (source.treebank(x, 30, "test").sentences for x in ("en", "ug"))
    # One meaning, said in two languages: the same number of names, mostly.
    names = [
        [sum(t.entity.startswith("B") for t in s.tokens) for s in b] for b in (english, uyghur)
    ]
    assert sum(a == b for a, b in zip(*names, strict=True)) > 20
    train = {s.text for s in source.treebank("en", 30, "train").sentences}
    assert not train & {s.text for s in english}


def test_a_romanised_language_is_written_in_latin_letters_everywhere():
    own, latin = artificial(), artificial(romanised=("ug",))
    latin_letters = letters(own.training().sentences["en"])
    assert letters(own.training().sentences["ug"]) - latin_letters
    for found in (
        latin.training().sentences["ug"],
        latin.parallel("en-ug", 20).sentences["ug"],
        [s.text for s in latin.treebank("ug", 20, "test").sentences],
    ):
        assert all(ord(letter) < 128 for letter in letters(found))
    # Nothing else changes: the same trees over the same words.
    for before, after in zip(
        own.treebank("ug", 20, "test").sentences,
        latin.treebank("ug", 20, "test").sentences,
        strict=True,
    ):
        assert [t.head for t in before.tokens] == [t.head for t in after.tokens]
        assert own.family.romanise("ug", before.text) == after.text


def test_a_real_source_names_the_treebanks_it_has():
    source = Real(languages=("en",), words=10, treebanks={"en": {"train": "English-EWT"}})
    with pytest.raises(ValueError, match="treebanks for test are of ; got 'en'"):
        source.treebank("en", 5, "test")


def test_unseen_languages_are_related_as_their_roles_say():
    """gsw is close to de, ug to tr (in the letters of ar), wo to nobody."""
    family = artificial().family
    words = {x: family.words(x) for x in family.languages}

    def alike(a, b):
        keys = [k for k in words[a] if k in words[b] and not k.startswith("name")]
        return sum(
            family.romanise(a, words[a][k][0])[:3] == family.romanise(b, words[b][k][0])[:3]
            for k in keys
        ) / len(keys)

    assert min(alike("gsw", "de"), alike("ug", "tr")) > max(alike("wo", x) for x in SEEN) + 0.2
    scripts = {x: script(family.text(20, languages=[x]).sentences[x]) for x in family.languages}
    assert scripts["gsw"] == scripts["wo"] == scripts["de"] == {"LATIN"}
    assert scripts["myv"] == scripts["ru"] == {"LATIN", "CYRILLIC"}  # names are anchors
    assert scripts["ug"] == scripts["ar"] == {"LATIN", "GEORGIAN"}
    assert scripts["tr"] == scripts["fi"] == {"LATIN"}  # their relatives


def test_dictionaries_hold_the_words_of_the_text():
    plain, latin = artificial(), artificial(romanised=("ug",))
    found, written = plain.dictionary("en", "ug"), latin.dictionary("en", "ug")
    assert found == plain.family.dictionary("en", "ug")
    assert [english for english, _ in found.pairs] == [english for english, _ in written.pairs]
    assert all(ord(letter) < 128 for letter in letters([uyghur for _, uyghur in written.pairs]))
    for source, dictionary in ((plain, found), (latin, written)):
        words = {word for line in source.training().sentences["ug"] for word in line.split()}
        assert len(words & {uyghur for _, uyghur in dictionary.pairs}) > 10
    with pytest.raises(ValueError, match="got 'xx'"):
        plain.dictionary("en", "xx")


def test_a_real_source_may_take_another_number_of_words_of_every_language():
    with pytest.raises(ValueError, match="words: expected a number for fr, got none"):
        Real(languages=("en", "fr"), words={"en": 10})
    with pytest.raises(ValueError, match="words"):
        Real(languages=("en",), words={"en": 0})


def test_entities_are_another_corpus_than_trees():
    source = Real(
        languages=("en", "de"),
        words=10,
        treebanks={"en": {"train": "English-EWT"}, "de": {"test": "PUD-de"}},
        entities={"en": {"train": "UNER-English-EWT"}},
    )
    assert source.annotated("pos", "test") == ("de",)
    assert source.annotated("ner", "train") == ("en",)
    with pytest.raises(ValueError, match="treebanks for test are of ; got 'de'"):
        source.treebank("de", 5, "test", task="ner")
    assert set(artificial().annotated("ner", "test")) > {"en", "ug"}


def conllu(path, words):
    lines = [f"1\t{word}\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n" for word in words]
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def test_a_treebank_of_test_sentences_only_is_halved_and_its_words_are_raw_text(tmp_path):
    bank = conllu(tmp_path / "fo_x-ud-test.conllu", ["один", "два", "три", "пять", "шесть"])
    options = {"words": {}, "treebanks": {"fo": {"train": bank, "test": bank}}}
    source = Real(languages=("fo",), **options, halved=("fo",), text_of_treebanks=("fo",))
    train, test = (source.treebank("fo", 9, split) for split in ("train", "test"))
    assert [s.text for s in train.sentences] == ["один", "два"]
    assert [s.text for s in test.sentences] == ["три", "пять", "шесть"]
    assert source.training().sentences == {"fo": ("один", "два")}
    latin = source.model_copy(update={"romanised": ("fo",)})
    assert latin.training().sentences == {"fo": ("odin", "dva")}
    assert latin.treebank("fo", 2, "test").sentences[0].tokens[0].form == "tri"
    assert source.treebank("fo", 1, "test").sentences[0].tokens[0].form == "три"
    with pytest.raises(ValueError, match="words: expected a number for fo, got none"):
        Real(languages=("fo",), **options)


def test_a_dictionary_is_cut_so_that_no_word_is_on_both_sides():
    source = artificial(languages=SEEN)
    train, test = (source.dictionary("en", "fr", split) for split in ("train", "test"))
    assert sorted(train.pairs + test.pairs) == sorted(source.dictionary("en", "fr").pairs)
    assert 0.2 < len(test) / len(source.dictionary("en", "fr")) < 0.45
    for side in (0, 1):
        assert not {p[side] for p in train.pairs} & {p[side] for p in test.pairs}
    with pytest.raises(ValueError, match="split: expected 'train', 'test' or None, got 'dev'"):
        source.dictionary("en", "fr", "dev")


def test_aligned_words_are_translations_of_each_other():
    source = artificial(options={"every": {"synonyms": 0.0, "vagueness": 0.0}}, romanised=("ug",))
    known = source.dictionary("en", "ug").pairs
    rows = source.aligned("en-ug", 200)
    assert all(ord(letter) < 128 for row in rows for letter in letters(row.target))
    lemmas = {}  # citation forms that start the inflected one
    right = wrong = 0
    for row in rows:
        assert len({a for a, _ in row.links}) == len({b for _, b in row.links}) == len(row.links)
        for a, b in row.links:
            word = row.source[a]
            options = lemmas.setdefault(word, [t for s, t in known if s == word])
            if options:
                hit = any(row.target[b].startswith(t[:2]) for t in options)
                right, wrong = right + hit, wrong + (not hit)
    assert right > 20 * max(wrong, 1)
    with pytest.raises(ValueError, match="got 'xx'"):
        source.aligned("en-xx", 2)


def test_a_primed_language_is_the_same_one_and_its_parallel_text_a_paraphrase():
    source = artificial(languages=("en", "en'"))
    text = source.training()
    assert text["en"] == text["en'"]
    one, two = source.parallel("en-en'", 50).pair("en", "en'")
    assert len(one) == 50
    assert sum(a == b for a, b in zip(one, two, strict=True)) < 10
    overlap = [len(set(a.split()) & set(b.split())) for a, b in zip(one, two, strict=True)]
    shifted = [len(set(a.split()) & set(b.split())) for a, b in zip(one, two[1:], strict=False)]
    assert sum(overlap) > 2 * sum(shifted)
    with pytest.raises(ValueError, match='got "xx\'"'):
        source.parallel("en-xx'", 5)


def test_one_language_may_have_another_domain():
    plain, other = artificial(), artificial(domains={"ug": "tales"})
    assert plain.training()["en"] == other.training()["en"]
    assert not set(plain.training()["ug"]) & set(other.training()["ug"])
    assert other.training()["ug"] == other.family.text(50, languages=["ug"], domain="tales")["ug"]


def test_the_graded_family_gets_farther_from_english():
    family = Artificial(preset="graded5", languages=("en", "fr", "ru", "zh"), sentences=5).family
    words = {x: family.words(x) for x in family.languages}

    def alike(x):
        keys = [k for k in words["en"] if not k.startswith("name")]
        return sum(
            family.romanise("en", words["en"][k][0])[:2] == family.romanise(x, words[x][k][0])[:2]
            for k in keys
        ) / len(keys)

    assert min(alike("fr"), alike("de")) > alike("ru") + 0.1
    assert alike("ru") > alike("zh") + 0.03
    scripts = {x: script(family.text(20, languages=[x]).sentences[x]) for x in family.languages}
    assert scripts["fr"] == scripts["de"] == {"LATIN"}
    assert len({frozenset(scripts[x]) for x in ("fr", "ru", "zh")}) == 3


def test_real_dictionaries_and_domains_reach_the_corpora(monkeypatch):
    asked = []

    def dictionary(source, target, split):
        asked.append((source, target, split))
        return BilingualDictionary(source, target, (("cat", "кот"),))

    def text(languages, domains, n_words):
        asked.append((*languages, domains, n_words))
        return Corpus("text", {languages[0]: ["a b c"]})

    monkeypatch.setattr("xsim_lib.text.corpora.dictionary", dictionary)
    monkeypatch.setattr("xsim_lib.text.corpora.monolingual_text", text)
    source = Real(languages=("en", "en'", "ru"), words=3, domains={"ru": ("lit",)})
    assert source.dictionary("en", "ru", "test").pairs == (("cat", "кот"),)
    assert source.training()["en'"] == source.training()["en"]
    assert asked[0] == ("en", "ru", "test")
    assert ("en", None, 3) in asked
    assert ("ru", ("lit",), 3) in asked
