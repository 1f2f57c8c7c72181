"""Words of two models to signatures: what is averaged, matched, left out and kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import small
import torch

from xsim_lib import factorization
from xsim_lib.papers.parafac2023 import signature_run
from xsim_lib.papers.parafac2023.morphology import CATEGORIES, morphological_categories
from xsim_lib.papers.parafac2023.state_covariances import ALL, covariances_of_states, word_states
from xsim_lib.study import profiles

LANGUAGES = ("en", "fr", "zh")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def settings():
    return profiles.paper_settings("parafac2023", "smoke")


@pytest.fixture
def run(settings):
    """A page whose models are all given, so that it has nothing to train."""

    def refuse(spec, name):
        raise AssertionError(f"{name} should not be trained")

    return SimpleNamespace(settings=settings, trained=refuse)


def bank(language="en", n=30):
    source = profiles.paper_settings("parafac2023", "smoke").source
    return source.treebank(language, n, "test", "pos")


def models():
    return {
        "multilingual": small.loaded(seed=1),
        "monolingual": {x: small.loaded(seed=2 + k) for k, x in enumerate(LANGUAGES)},
    }


# ---------------------------------------------------------------- states of words
def test_a_word_is_the_mean_of_its_pieces_at_every_layer():
    loaded, sentences = small.loaded(), bank(n=7)
    ids, states = word_states(loaded, sentences, 64)
    assert len(ids) == states.shape[1] == sum(map(len, sentences.sentences))
    number = max(range(7), key=lambda k: len(sentences.sentences[k]))
    forms = [t.form for t in sentences.sentences[number].tokens]
    encoded = loaded.tokenizer([forms], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        hidden = loaded.model(encoded["input_ids"], output_hidden_states=True).hidden_states
    owners = encoded.word_ids(0)
    assert max(owners.count(w) for w in range(len(forms))) > 1
    for word in range(len(forms)):
        pieces = [k for k, owner in enumerate(owners) if owner == word]
        expected = torch.stack([h[0, pieces].mean(0) for h in hidden])
        got = states[:, ids.index((number, word))]
        assert torch.allclose(got, expected, atol=1e-5)


def test_words_beyond_the_longest_sequence_are_not_read():
    ids, states = word_states(small.loaded(), bank(n=5), 8)
    whole, _ = word_states(small.loaded(), bank(n=5), 64)
    assert set(ids) < set(whole)
    assert (0, 0) in ids
    assert states.shape[1] == len(ids)
    assert torch.isfinite(states).all()


# ---------------------------------------------------------------- covariances
def test_covariances_are_those_of_the_words_of_a_category(cache):
    one, other, sentences = small.loaded(seed=1), small.loaded(seed=2), bank()
    found = covariances_of_states(one, other, sentences, 64)
    ids, y = word_states(one, sentences, 64)
    _, z = word_states(other, sentences, 64)
    for category in (ALL, "Number"):
        members = [
            k
            for k, (s, w) in enumerate(ids)
            if category == ALL
            or category in morphological_categories(sentences.sentences[s].tokens[w].feats)
        ]
        for layer in range(3):
            a, b = (side[layer, members].double().numpy() for side in (z, y))
            expected = np.cov(a.T, b.T, bias=True)[: a.shape[1], a.shape[1] :]
            assert np.allclose(found[f"{layer}/{category}"], expected, rtol=1e-4, atol=1e-6)
        assert found["counts"][(ALL, *CATEGORIES).index(category)] == len(members)
    assert "0/Case" not in found  # English has none


def test_models_of_other_depth_are_refused(cache):
    with pytest.raises(ValueError, match=r"expected 2 layers .* has 1"):
        covariances_of_states(small.loaded(), small.loaded(num_hidden_layers=1), bank(n=2), 64)


# ---------------------------------------------------------------- signatures
def test_measure_factorises_what_the_models_say_and_keeps_it(cache, run, monkeypatch):
    given = models()
    options = {"languages": LANGUAGES, "categories": None, "progress": False}
    found = signature_run.measure_signatures(run, 0, **given, **options)
    assert found.languages == LANGUAGES
    assert found.layers == (0, 1, 2)
    assert found.categories[0] == ALL
    assert "Part of Speech" not in found.categories  # the same as all words
    wanted = run.settings.factorization
    slices = {
        x: covariances_of_states(given["multilingual"], given["monolingual"][x], bank(x, 40), 64)[
            "1/"
        ]
        for x in LANGUAGES
    }
    direct = factorization.parafac2(
        slices, 16, nonnegative=True, tol=wanted.tol, max_iter=wanted.max_iter
    )
    assert np.allclose(found.table(1), factorization.signatures(direct))
    raw = factorization.mean_signatures(direct, scale_free=False)
    assert np.allclose(found.means(scale_free=False)[1], raw)
    assert found.solution(1).error == direct.error

    def refuse(*_, **__):
        raise AssertionError("computed twice")

    monkeypatch.setattr(factorization, "parafac2", refuse)
    monkeypatch.setattr("xsim_lib.papers.parafac2023.state_covariances.word_states", refuse)
    again = signature_run.measure_signatures(run, 0, **given, **options)
    assert np.array_equal(again.means(), found.means(), equal_nan=True)


@pytest.mark.slow
def test_a_killed_page_goes_on_where_it_stopped(cache, run, monkeypatch):
    given, solve, calls = models(), factorization.parafac2, []

    def counted(*arguments, **options):
        if len(calls) == 1:
            calls.append("killed")
            raise KeyboardInterrupt
        calls.append("solved")
        return solve(*arguments, **options)

    monkeypatch.setattr(factorization, "parafac2", counted)
    for _ in range(2):
        try:
            found = signature_run.measure_signatures(
                run, 0, **given, languages=LANGUAGES, progress=False
            )
        except KeyboardInterrupt:
            assert calls == ["solved", "killed"]
    assert calls == ["solved", "killed", "solved", "solved"]
    assert found.layers == (0, 1, 2)


def test_a_language_without_a_category_keeps_its_name_and_has_no_value(cache, run):
    found = signature_run.measure_signatures(
        run, 0, **models(), languages=LANGUAGES, categories=("Definiteness",), progress=False
    )
    means = found.means("Definiteness")
    assert list(means.index) == list(LANGUAGES)
    assert means.loc["zh"].isna().all()
    assert means.loc[["en", "fr"]].notna().all(axis=None)
    rows = found.records()
    assert set(rows["pair_or_language"]) == {"en", "fr"}
    assert set(rows["task"]) == {"Definiteness"}
    assert set(found.records(scale_free=False)["variant"]) == {"raw"}


@pytest.mark.slow
def test_untrained_models_are_others_and_repeat(cache, run):
    given = models()
    options = {"languages": LANGUAGES, "layers": (2,), "progress": False}
    trained, one, two = (
        signature_run.measure_signatures(run, 0, **given, **options, baseline=b)
        for b in ("", "untrained", "untrained")
    )
    assert np.array_equal(one.means(), two.means())
    assert not np.allclose(one.means(), trained.means(), rtol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "random"}, "baseline: expected '' or 'untrained', got 'random'"),
        ({"categories": ("Colour",)}, "categories: .* got 'Colour'"),
        ({"layers": (3,)}, r"layers: expected numbers in 0..2, got 3"),
    ],
)
def test_what_there_is_not_is_named(cache, run, change, message):
    with pytest.raises(ValueError, match=message):
        signature_run.measure_signatures(
            run, 0, **models(), languages=LANGUAGES, progress=False, **change
        )


def test_solutions_that_were_not_asked_for_are_named(cache, run):
    found = signature_run.measure_signatures(
        run, 0, **models(), languages=LANGUAGES, layers=(0,), progress=False
    )
    with pytest.raises(ValueError, match="expected one of 0 and one of ''; got 1 and 'Case'"):
        found.table(1, "Case")
