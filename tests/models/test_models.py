"""The three encoders differ in their norms and in nothing else, and compute what the papers say."""

import math

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, BertModel

from xsim_lib.models.encoder import (
    NORMS,
    Encoder,
    EncoderConfig,
    EncoderForMaskedLM,
    LoadedModel,
    count_parameters,
    untrained,
)
from xsim_lib.models.loading import quiet_transformers

SIZES = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
VARIANTS = [*[{"norm": norm} for norm in NORMS], {"norm": "normformer", "residual_scaling": True}]


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def build(kind=Encoder, **settings):
    return kind(EncoderConfig(**{**SIZES, **settings})).eval()


def scrambled(model):
    """Give every parameter an arbitrary value: at ones and zeros a forgotten norm would not show."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model


@pytest.fixture
def ids():
    return torch.randint(5, 30, (4, 7))


# --- parameters ---------------------------------------------------------------------------------


def _added(norm, **settings):
    """Names that a scheme has beyond those of Post-LN."""
    post = dict(build(norm="post").named_parameters())
    return set(dict(build(norm=norm, **settings).named_parameters())) - set(post)


def test_pre_norm_adds_only_the_last_norm():
    assert _added("pre") == {"last_norm.weight", "last_norm.bias"}


def test_normformer_adds_only_the_parameters_of_its_equations():
    per_layer = {
        "attention.head_scale",
        "after_attention.weight",
        "after_attention.bias",
        "feed_forward.norm.weight",
        "feed_forward.norm.bias",
    }
    expected = _added("pre") | {f"layers.{k}.{name}" for k in range(3) for name in per_layer}
    assert _added("normformer") == expected
    scales = {f"layers.{k}.residual_scale" for k in range(3)}
    assert _added("normformer", residual_scaling=True) == expected | scales


@pytest.mark.parametrize("norm", ["pre", "normformer"])
def test_what_the_schemes_share_has_one_order_and_one_initial_value(norm):
    torch.manual_seed(3)
    post = dict(build(norm="post").named_parameters())
    torch.manual_seed(3)
    other = {k: v for k, v in build(norm=norm).named_parameters() if k in post}
    assert list(other) == list(post)
    assert all(torch.equal(other[key], post[key]) for key in post)


def test_sizes_and_count():
    width, up, layers = 12, 20, 3
    block = 4 * (width * width + width) + 2 * width * up + up + width + 4 * width
    expected = (30 + 16) * width + 2 * width + layers * block
    assert count_parameters(build(norm="post")) == expected
    assert count_parameters(build(norm="pre")) == expected + 2 * width
    assert count_parameters(build(norm="normformer")) == (
        expected + 2 * width + layers * (3 + 2 * width + 2 * up)
    )


def test_the_head_is_tied_to_the_word_embeddings(ids):
    model = build(EncoderForMaskedLM)
    head = {name: tuple(p.shape) for name, p in model.head.named_parameters()}
    assert head["bias"] == (30,)
    assert (30, 12) not in head.values()
    states = torch.randn(2, 12)
    hidden = torch.nn.functional.gelu(model.head.transform(states))
    expected = model.head.norm(hidden) @ model.encoder.word_embeddings.weight.T + model.head.bias
    torch.testing.assert_close(model.logits(states), expected)


def test_initial_values_are_berts():
    model = build(
        hidden_size=96,
        vocab_size=300,
        intermediate_size=200,
        norm="normformer",
        residual_scaling=True,
    )
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif parameter.dim() == 1:  # norms and scales
            assert bool((parameter == 1).all()), name
        else:  # N(0, 0.02), so no bounds as the framework's uniform default would have
            assert parameter.std().item() == pytest.approx(0.02, rel=0.06), name
            assert parameter.abs().max() > 0.05, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_takes_part_in_the_loss(variant, ids):
    model = scrambled(build(EncoderForMaskedLM, **variant))
    model(ids, labels=ids).loss.backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert unused == []


# --- equations, transcribed without the modules ---------------------------------------------------


def _norm(x, weights, name):
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.pow(2).mean(-1, keepdim=True)
    scaled = centred / torch.sqrt(variance + 1e-5)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(x, weights, name):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _attention(x, weights, scales):
    """Concat(gamma_1 head_1, ..., gamma_h head_h) W_O for one sentence (length, width)."""
    q, k, v = _linear(x, weights, "attention.qkv").chunk(3, dim=-1)
    size = x.shape[-1] // len(scales)
    heads = []
    for number, gamma in enumerate(scales):
        part = slice(number * size, (number + 1) * size)
        scores = q[:, part] @ k[:, part].T / math.sqrt(size)
        probabilities = scores.exp() / scores.exp().sum(-1, keepdim=True)
        heads.append(gamma * (probabilities @ v[:, part]))
    return _linear(torch.cat(heads, dim=-1), weights, "attention.out")


def _activated(x, weights):
    up = _linear(x, weights, "feed_forward.up")
    return up * 0.5 * (1 + torch.erf(up / math.sqrt(2)))


def _post(x, w):
    """Vaswani et al. (2017), section 3.1: LN(x + Sublayer(x)), twice."""
    x = _norm(x + _attention(x, w, [1, 1, 1]), w, "attention_norm")
    return _norm(x + _linear(_activated(x, w), w, "feed_forward.down"), w, "feed_forward_norm")


def _pre(x, w):
    """Xiong et al. (2020), Table 1: x + Sublayer(LN(x)), twice."""
    x = x + _attention(_norm(x, w, "attention_norm"), w, [1, 1, 1])
    inner = _activated(_norm(x, w, "feed_forward_norm"), w)
    return x + _linear(inner, w, "feed_forward.down")


def _normformer(x, w):
    """Shleifer et al. (2021), section 2: Pre-LN plus HeadScaleMHA, a norm after it, one in the FFN."""
    attended = _attention(_norm(x, w, "attention_norm"), w, w["attention.head_scale"])
    x = x + _norm(attended, w, "after_attention")
    inner = _norm(_activated(_norm(x, w, "feed_forward_norm"), w), w, "feed_forward.norm")
    scale = w.get("residual_scale", 1)  # ResScale: lambda * x + Sublayer(LN(x)), on the FFN only
    return scale * x + _linear(inner, w, "feed_forward.down")


EQUATIONS = {"post": _post, "pre": _pre, "normformer": _normformer}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_layer_computes_the_published_equations(variant):
    layer = scrambled(build(**variant).double()).layers[1]
    x = torch.randn(5, 12, dtype=torch.float64)
    with torch.no_grad():
        expected = EQUATIONS[variant["norm"]](x, layer.state_dict())
        torch.testing.assert_close(layer(x[None], None)[0], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_hidden_states_are_embeddings_then_layers_then_the_last_norm(variant, ids):
    model = scrambled(build(**variant).double())
    weights, equation = model.state_dict(), EQUATIONS[variant["norm"]]
    x = weights["word_embeddings.weight"][ids[0]] + weights["position_embeddings.weight"][:7]
    expected = [_norm(x, weights, "embedding_norm")]
    with torch.no_grad():
        for layer in model.layers:
            expected.append(equation(expected[-1], layer.state_dict()))
        if variant["norm"] != "post":
            expected[-1] = _norm(expected[-1], weights, "last_norm")
        output = model(ids[:1], output_hidden_states=True)
    assert len(output.hidden_states) == 4
    for got, wanted in zip(output.hidden_states, expected, strict=True):
        torch.testing.assert_close(got[0], wanted, rtol=1e-9, atol=1e-9)
    assert torch.equal(output.last_hidden_state, output.hidden_states[-1])


# --- behaviour ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_padding_changes_no_real_token(norm, ids):
    model = scrambled(build(norm=norm))
    mask = torch.ones_like(ids)
    mask[1, 3:] = mask[2, 5:] = 0
    with torch.no_grad():
        batch = model(ids, mask, output_hidden_states=True).hidden_states
        other = model(torch.where(mask == 1, ids, 2), mask, output_hidden_states=True).hidden_states
        for row, length in enumerate(mask.sum(1)):
            alone = model(ids[row : row + 1, :length], output_hidden_states=True).hidden_states
            for x, y, z in zip(batch, alone, other, strict=True):
                torch.testing.assert_close(x[row, :length], y[0], rtol=1e-4, atol=1e-5)
                assert torch.equal(x[row, :length], z[row, :length])  # nor what the padding holds
        unmasked = model(ids).last_hidden_state
    assert not torch.allclose(
        unmasked[1, :3], batch[-1][1, :3], atol=1e-3
    )  # the mask is what did it


@pytest.mark.parametrize("norm", NORMS)
def test_the_masked_loss_is_the_summed_surprise_of_the_masked_tokens(norm, ids):
    model = scrambled(build(EncoderForMaskedLM, norm=norm))
    labels = torch.full_like(ids, -100)
    labels[0, 2], labels[3, 0], labels[3, 6] = 7, 11, 29
    with torch.no_grad():
        logits = model(ids).logits
        loss = model(ids, labels=labels).loss
    assert logits.shape == (4, 7, 30)
    surprise = 0.0
    for row, position, target in ((0, 2, 7), (3, 0, 11), (3, 6, 29)):
        scores = logits[row, position].double()
        surprise += math.log(sum(math.exp(s) for s in scores.tolist())) - scores[target].item()
    assert loss.item() == pytest.approx(surprise, rel=1e-5)


def test_dropout_acts_in_training_only(ids):
    model = scrambled(build(dropout=0.5))
    assert torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)
    model.train()
    assert not torch.equal(model(ids).last_hidden_state, model(ids).last_hidden_state)


@pytest.mark.parametrize("variant", VARIANTS)
def test_saved_models_come_back_exactly(variant, ids, tmp_path):
    model = scrambled(build(EncoderForMaskedLM, **variant))
    with quiet_transformers(), torch.no_grad():
        model.save_pretrained(tmp_path / "m")
        full = AutoModelForMaskedLM.from_pretrained(tmp_path / "m").eval()
        base, report = AutoModel.from_pretrained(tmp_path / "m", output_loading_info=True)
        base.save_pretrained(tmp_path / "base")
        again = AutoModel.from_pretrained(tmp_path / "base").eval()
        assert torch.equal(full(ids).logits, model(ids).logits)
        expected = model.encoder(ids, output_hidden_states=True).hidden_states
        for loaded in (base.eval(), again):
            assert isinstance(loaded, Encoder)
            got = loaded(ids, output_hidden_states=True).hidden_states
            assert all(torch.equal(x, y) for x, y in zip(got, expected, strict=True))
    assert not report["missing_keys"]
    assert all(key.startswith("head.") for key in report["unexpected_keys"])
    kept = {key: getattr(base.config, key) for key in (*SIZES, "norm", "residual_scaling")}
    assert kept == {**SIZES, "residual_scaling": False, **variant}


# --- the untrained baseline ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: build(norm="normformer"),
        lambda: build(EncoderForMaskedLM),
        lambda: BertModel(BertConfig(**SIZES), add_pooling_layer=False).eval(),
    ],
)
def test_untrained_is_fresh_reproducible_and_touches_no_other_randomness(make, monkeypatch):
    # torch.manual_seed would go through here and reset every GPU's generator for good.
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded the GPUs"))
    loaded = LoadedModel("m", scrambled(make()).bfloat16(), None)
    before = {key: value.clone() for key, value in loaded.model.state_dict().items()}
    state = torch.random.get_rng_state()
    first, again, other = untrained(loaded, 1), untrained(loaded, 1), untrained(loaded, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.name == "m (untrained)"
    assert type(first.model) is type(loaded.model)
    assert first.model.dtype == torch.bfloat16
    assert not first.model.training

    trained, fresh = loaded.model.state_dict(), first.model.state_dict()
    assert all(torch.equal(trained[key], before[key]) for key in before)
    assert all(torch.equal(fresh[key], again.model.state_dict()[key]) for key in fresh)
    matrices = [key for key in trained if trained[key].dim() == 2]
    assert not any(torch.equal(fresh[key], trained[key]) for key in matrices)
    assert not any(torch.equal(fresh[key], other.model.state_dict()[key]) for key in matrices)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "rms"}, r"norm: expected one of post, pre, normformer, got 'rms'"),
        ({"hidden_size": 13}, r"hidden_size: expected a multiple of 3 heads, got 13"),
        (
            {"separate_layers": [1, 4]},
            r"separate_layers: expected numbers from 1 to 3, got \[1, 4\]",
        ),
        ({"norm": "pre", "residual_scaling": True}, r"residual_scaling: .* got norm='pre'"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**{**SIZES, **settings})


def test_too_long_sequences_are_refused():
    with pytest.raises(ValueError, match="input_ids: expected at most 16 tokens, got 17"):
        build()(torch.zeros(1, 17, dtype=torch.long))
