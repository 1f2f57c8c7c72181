"""Models of one and of all languages: one vocabulary, own random starts, less text where it is asked for."""

import pytest

from xsim_lib.evidence import paths
from xsim_lib.papers.parafac2023.text import ScarceTexts
from xsim_lib.study import profiles
from xsim_lib.training import zoo


@pytest.fixture(scope="module")
def settings():
    return profiles.paper_settings("parafac2023", "smoke")


def test_all_models_have_one_vocabulary_and_one_size_and_the_same_text(settings):
    many, one = settings.multilingual(1), settings.monolingual("fr", 1)
    assert many.start_from.source == one.start_from.source
    assert many.start_from.vocabulary == one.start_from.vocabulary
    assert many.encoder == one.encoder
    assert one.source.training()["fr"] == many.source.training()["fr"]
    assert one.source.languages == ("fr",)


def test_monolingual_models_start_alike_and_never_as_the_multilingual_one(settings):
    starts = {x: settings.monolingual(x, 1).start_from.training.seed for x in ("fr", "zh")}
    assert len(set(starts.values())) == 1
    several = [settings.multilingual(s).start_from.training.seed for s in range(1, 900)]
    assert starts["fr"] not in several


def test_random_weights_are_trained_by_nothing(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    start = zoo.get(settings.multilingual(1).start_from, progress=False)
    changed = settings.multilingual(1).start_from
    training = changed.training.model_copy(update={"steps": 1, "learning_rate": 1e-2})
    other = zoo.get(changed.model_copy(update={"training": training}), progress=False)
    weights, moved = (c.load().model.state_dict()["word_embeddings.weight"] for c in (start, other))
    assert 0.019 < weights.std() < 0.021  # as they were drawn
    assert not weights.equal(moved)


def test_starved_languages_lose_text_and_no_other_does(settings):
    whole, few = (settings.multilingual(1, starved=x).source.training() for x in ((), ("tr", "en")))
    for language in settings.languages:
        lines = whole[language]
        kept = lines[: round(0.1 * len(lines))] if language in ("tr", "en") else lines
        assert few[language] == kept
    one = settings.monolingual("tr", 1, starved=True)
    assert one.source.training()["tr"] == few["tr"]
    assert one.start_from == settings.monolingual("tr", 1).start_from  # and its vocabulary


def test_models_of_some_languages_and_other_sampling(settings):
    spec = settings.multilingual(1, languages=["ru", "bg"])
    assert spec.source.languages == ("ru", "bg")
    # 0.1 ** 0.3 of the others' share instead of 0.1: five times, in batches as mixed as theirs.
    few, often = (
        settings.multilingual(1, starved=["tr"], sampling_exponent=e) for e in (None, 0.3)
    )
    assert list(often.source.training()["tr"]) == 5 * list(few.source.training()["tr"])
    assert often.source.training()["ru"] == few.source.training()["ru"]
    assert often.training == few.training
    assert spec.start_from.source.languages == settings.languages
    with pytest.raises(ValueError, match=r"languages: this profile has .* got 'xx'"):
        settings.multilingual(1, languages=["xx"])
    with pytest.raises(ValueError, match="got 'xx'"):
        settings.multilingual(1, starved=["xx"])


def test_romanised_text_is_of_the_logographic_languages_alone(settings):
    plain, latin = (settings.multilingual(1, romanised=r).source.training() for r in (False, True))
    for language in settings.languages:
        changed = latin[language] != plain[language]
        assert changed == (language in settings.logographic)
    assert all("".join(latin[x]).isascii() for x in settings.logographic)
    bank = settings.read(romanised=True).treebank("zh", 5, "test", "pos")
    assert all(t.form.isascii() for s in bank.sentences for t in s.tokens)


def test_sets_of_languages_that_the_text_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"diverse: this profile has .* got 'xx'"):
        profiles.paper_settings("parafac2023", "smoke", diverse=["en", "xx"])
    with pytest.raises(ValueError, match=r"logographic: this profile has .* got 'xx'"):
        profiles.paper_settings("parafac2023", "smoke", logographic=["xx"])


@pytest.mark.skipif(paths.data_dir() is None, reason="needs the mirror of the real corpora")
def test_real_text_takes_treebanks_first_and_has_the_same_number_of_words():
    real = profiles.paper_settings("parafac2023", "real")
    source = real.monolingual("ko", 1).source
    assert isinstance(source, ScarceTexts)
    lines = source.model_copy(update={"words": 30000}).made()["ko"]
    trees = source.model_copy(update={"words": 500}).made()["ko"]
    assert lines[: len(trees)] == trees
    banked = source.treebank("ko", 3, "train", "pos")
    assert trees[0] == " ".join(t.form for t in banked.sentences[0].tokens)
    counted = sum(len(line.split()) for line in lines)
    assert counted == pytest.approx(30000, rel=0.02)
    starved = real.monolingual("ko", 1, starved=True).source
    assert starved.words["ko"] == 3000
