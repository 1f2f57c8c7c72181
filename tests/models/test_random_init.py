"""Exactly the chosen layers are drawn anew, from the distribution that was asked for."""

import pytest
import small
import torch
from transformers import (
    AlbertConfig,
    AlbertModel,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.models.random_init import layer_list, reinitialise

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
BUILT = {
    "encoder": lambda: small.masked_lm("normformer", num_hidden_layers=4).encoder,
    "masked_lm": lambda: small.masked_lm("post", num_hidden_layers=4),
    "bert": lambda: BertModel(BertConfig(**SIZES), add_pooling_layer=False),
    "xlmr": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**SIZES)),
}


@pytest.fixture(params=BUILT)
def trained(request):
    """Every weight far from any first value, as after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = BUILT[request.param]()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
    return LoadedModel("trained", model.eval(), None)


@pytest.mark.parametrize("initialisation", ["bert", "framework"])
def test_exactly_these_layers_change(trained, initialisation):
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    drawn = reinitialise(trained, [2, 0], initialisation=initialisation, seed=1)
    after = drawn.model.state_dict()
    prefix = layer_list(trained)[0]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    expected = {name for name in before if name.startswith((f"{prefix}.0.", f"{prefix}.2."))}
    assert changed == expected
    assert expected
    assert drawn.name == "trained (random 0, 2)"
    given = trained.model.state_dict()
    assert all(torch.equal(before[name], given[name]) for name in before)


def test_berts_initialisation_is_narrow_and_the_frameworks_is_not(trained):
    for name, bound in (("bert", None), ("framework", 16**-0.5)):
        layer = layer_list(reinitialise(trained, [1], initialisation=name, seed=2))[1][1]
        linear = [part for part in layer.modules() if isinstance(part, torch.nn.Linear)]
        weights = torch.cat([p.weight.detach().flatten() for p in linear if p.in_features == 16])
        biases = torch.cat([p.bias.detach() for p in linear if p.in_features == 16])
        if bound is None:
            assert float(weights.std()) == pytest.approx(0.02, rel=0.1)
            assert not biases.any()
        else:
            assert float(weights.std()) == pytest.approx(bound / 3**0.5, rel=0.1)  # uniform
            assert float(weights.abs().max()) <= bound
            assert 0.8 * bound < float(biases.abs().max()) <= bound
        norms = [part for part in layer.modules() if isinstance(part, torch.nn.LayerNorm)]
        assert norms
        assert all(bool((n.weight == 1).all() and (n.bias == 0).all()) for n in norms)


def test_a_layer_does_not_depend_on_its_company_but_on_the_seed(trained):
    state = torch.random.get_rng_state()

    def layer(chosen, seed):
        drawn = layer_list(reinitialise(trained, chosen, seed=seed))[1][3]
        return torch.cat([p.flatten() for p in drawn.parameters()])

    assert torch.equal(layer([3], 5), layer([0, 1, 3], 5))
    assert not torch.equal(layer([3], 5), layer([3], 6))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_models_from_a_file_are_changed_too(tmp_path):
    """Their weights are marked as initialised, which makes `_init_weights` do nothing."""
    BertModel(BertConfig(**SIZES)).save_pretrained(tmp_path)
    model = BertModel.from_pretrained(tmp_path)
    layer = model.encoder.layer[1]
    kept = layer.output.dense.weight.clone()
    layer.apply(model._init_weights)
    assert torch.equal(layer.output.dense.weight, kept)  # the trap
    drawn = reinitialise(LoadedModel("bert", model, None), [1], seed=3).model
    assert not torch.equal(drawn.encoder.layer[1].output.dense.weight, kept)


@pytest.mark.parametrize("layers", [[4], [-1], [], [1, 1]])
def test_layers_that_do_not_exist_are_refused(trained, layers):
    with pytest.raises(ValueError, match=r"layers: expected different numbers in 0\.\.3, got "):
        reinitialise(trained, layers, seed=0)


def test_what_cannot_be_drawn_is_refused(trained):
    with pytest.raises(ValueError, match="expected bert or framework, got 'xavier'"):
        reinitialise(trained, [0], initialisation="xavier", seed=0)
    once = reinitialise(trained, [0], seed=0)
    with pytest.raises(ValueError, match="already has the weights that seed 0 draws"):
        reinitialise(once, [0], seed=0)


def test_architectures_without_a_list_or_a_default_are_refused():
    albert = AlbertModel(AlbertConfig(**SIZES, embedding_size=8))
    with pytest.raises(ValueError, match="one list of 4 layers in AlbertModel, got none"):
        reinitialise(LoadedModel("albert", albert, None), [0], seed=0)
    config = GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=50, bos_token_id=0, eos_token_id=0
    )
    gpt = LoadedModel("gpt", GPT2Model(config), None)
    with pytest.raises(ValueError, match="no default for Conv1D; choose bert"):
        reinitialise(gpt, [0], initialisation="framework", seed=9)
