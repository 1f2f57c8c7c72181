"""Multilingual models that are trained for less, saved, or read at another depth."""

import numpy as np
import pytest
import small
import torch

from xsim_lib.models import loading
from xsim_lib.papers.parafac2023 import other_models
from xsim_lib.papers.parafac2023.state_covariances import covariances_of_states, word_states
from xsim_lib.text.sources import Artificial

BANK = Artificial(languages=("en",), sentences=1).treebank("en", 6, "test", "pos")


def deep(n_layers=4):
    return small.loaded("pre", num_hidden_layers=n_layers)


def test_shortened_models_differ_in_their_steps_only():
    spec = small.spec()
    half = other_models.shortened(spec, 0.5)
    assert half.training.steps == spec.training.steps // 2
    rest = half.training.model_copy(update={"steps": spec.training.steps})
    assert half.model_copy(update={"training": rest}) == spec
    assert other_models.shortened(spec, 1e-3).training.steps == spec.training.evaluations
    with pytest.raises(ValueError, match="share: expected a number"):
        other_models.shortened(spec, 1.5)


def test_a_saved_model_is_loaded_as_it_was(tmp_path):
    model = deep()
    folder = other_models.save_model(model, tmp_path / "some" / "public")
    found = loading.load(folder)
    (ids, one), (again, two) = (word_states(m, BANK, 64) for m in (model, found))
    assert ids == again
    assert torch.equal(one, two)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert other_models.save_model(deep(2), folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_deep_model_is_read_at_the_same_relative_depth():
    model = deep(4)
    _, whole = word_states(model, BANK, 64)
    for n_layers, layers in ((2, [0, 2, 4]), (3, [0, 1, 3, 4]), (1, [0, 4])):
        read = other_models.at_depth(model, n_layers)
        assert read.model.config.num_hidden_layers == n_layers
        assert torch.equal(word_states(read, BANK, 64)[1], whole[layers])
    assert other_models.at_depth(model, 4) is model
    assert model.model.config.num_hidden_layers == 4
    with pytest.raises(ValueError, match=r"n_layers: small_pre has 4; got 5"):
        other_models.at_depth(model, 5)


def test_covariances_with_a_model_of_one_language_that_has_fewer_layers(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    model, own = deep(4), small.loaded("pre", num_hidden_layers=2)
    with pytest.raises(ValueError, match="expected 4 layers"):
        covariances_of_states(model, own, BANK, 64)
    found = covariances_of_states(other_models.at_depth(model, 2), own, BANK, 64)
    (_, y), (_, z) = (word_states(m, BANK, 64) for m in (model, own))
    expected = np.cov(z[1].numpy().T, y[2].numpy().T, bias=True)[: z.shape[-1], z.shape[-1] :]
    np.testing.assert_allclose(found["1/"], expected, atol=1e-5)
