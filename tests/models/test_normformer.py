"""Converted checkpoints give the hidden states of the code they come from, or are refused."""

import json

import pytest
import small
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import (
    RobertaPreLayerNormConfig,
    RobertaPreLayerNormForMaskedLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from xsim_lib.app import cli
from xsim_lib.models import layouts, loading, normformer
from xsim_lib.models.encoder import Encoder, EncoderConfig, EncoderForMaskedLM
from xsim_lib.models.normformer import convert_checkpoint, export_state

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
THEIRS = {**SIZES, "intermediate_size": 32, "max_position_embeddings": 34, "type_vocab_size": 1}
THEIRS |= {"pad_token_id": 1, "layer_norm_eps": 1e-5}
EVERY = [(name, norm) for name, table in layouts.LAYOUTS.items() for norm in table.norms]


def _ids():
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, 40, (4, 9), generator=generator)
    mask = torch.arange(9) < torch.tensor([9, 6, 4, 2]).unsqueeze(1)
    return ids.masked_fill(~mask, 1), mask


def _shaken(model):
    """Fresh norms, biases and scales are ones and zeros, which would hide that two are swapped."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def _ours(norm, **options):
    sizes = {**SIZES, "vocab_size": len(small.tokenizer()), "intermediate_size": 32}
    config = EncoderConfig(
        **sizes, max_position_embeddings=32, pad_token_id=1, norm=norm, **options
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _shaken(EncoderForMaskedLM(config))


@torch.no_grad()
def _states(model):
    ids, mask = _ids()
    found = model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    return [states[mask] for states in found.hidden_states]


def _same(a, b):
    return all(torch.equal(x, y) for x, y in zip(_states(a), _states(b), strict=True))


# ---------------------------------------------------------------- there and back
@pytest.mark.parametrize(("layout", "norm"), EVERY)
def test_our_weights_come_back_bit_by_bit(layout, norm):
    ours = _ours(norm)
    state = export_state(ours, layout)
    assert not set(state) & set(ours.state_dict())
    back = convert_checkpoint(state, layout, norm=norm, num_attention_heads=2)
    assert back.state_dict().keys() == ours.state_dict().keys()
    assert all(torch.equal(v, back.state_dict()[k]) for k, v in ours.state_dict().items())
    assert _same(ours, back)


def test_residual_scales_come_back():
    ours = _ours("normformer", residual_scaling=True)
    back = convert_checkpoint(export_state(ours, "fairseq"), "fairseq")
    assert back.config.residual_scaling
    assert _same(ours, back)


# ---------------------------------------------------------------- other implementations
@pytest.mark.parametrize(
    ("layout", "norm", "theirs"),
    [
        ("roberta", "post", lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**THEIRS))),
        (
            "prelayernorm",
            "pre",
            lambda: RobertaPreLayerNormForMaskedLM(RobertaPreLayerNormConfig(**THEIRS)),
        ),
    ],
)
def test_models_of_transformers_keep_their_hidden_states(layout, norm, theirs):
    with torch.random.fork_rng(devices=[]), loading.quiet_transformers():
        model = _shaken(theirs())
    ours = convert_checkpoint(model.state_dict(), layout, norm=norm, num_attention_heads=2)
    ids, mask = _ids()
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        found = ours(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    # The last state of theirs is before or after the last norm, depending on the version.
    pairs = zip(found.hidden_states[:-1], expected.hidden_states[:-1], strict=True)
    for a, b in (*pairs, (found.logits, expected.logits)):
        torch.testing.assert_close(a[mask], b[mask], rtol=1e-4, atol=1e-4)


def _fairseq_layer(x, mask, state, k, heads):
    """One layer with all four flags, as fairseq computes it: `c_attn` after the output projection."""
    own = {n.split(f"layers.{k}.")[1]: v for n, v in state.items() if f"layers.{k}." in n}

    def norm(name, value):
        return F.layer_norm(value, value.shape[-1:], own[f"{name}.weight"], own[f"{name}.bias"])

    def linear(name, value):
        return F.linear(value, own[f"{name}.weight"], own[f"{name}.bias"])

    def split(value):
        return value.unflatten(-1, (heads, -1)).transpose(1, 2)

    before = norm("self_attn_layer_norm", x)
    q, key, v = (split(linear(f"self_attn.{n}_proj", before)) for n in "qkv")
    scores = q @ key.transpose(-1, -2) / q.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(-1)
    mixed = linear("self_attn.out_proj", (weights @ v).transpose(1, 2).flatten(2))
    scaled = (mixed.unflatten(-1, (heads, -1)) * own["c_attn"][:, None]).flatten(2)
    x = x + norm("attn_ln", scaled)
    inner = norm("ffn_layernorm", F.gelu(linear("fc1", norm("final_layer_norm", x))))
    return own["w_resid"] * x + linear("fc2", inner)


def test_a_normformer_of_fairseq_keeps_its_hidden_states():
    state = export_state(_ours("normformer", residual_scaling=True), "fairseq")
    for name in [n for n in state if n.endswith("self_attn.c_attn")]:
        state[name.replace("self_attn.", "")] = state.pop(name)
    state["encoder.sentence_encoder.version"] = torch.tensor([3.0])
    base = "encoder.sentence_encoder."
    ids, mask = _ids()
    positions = torch.where(mask, mask.cumsum(1) + 1, 1)  # fairseq counts from the padding id
    x = state[f"{base}embed_tokens.weight"][ids]
    x = x + state[f"{base}embed_positions.weight"][positions]
    norm = [state[f"{base}layernorm_embedding.{kind}"] for kind in ("weight", "bias")]
    expected = [F.layer_norm(x, x.shape[-1:], *norm)]
    for k in range(2):
        expected.append(_fairseq_layer(expected[-1], mask, state, k, heads=2))
    found = _states(convert_checkpoint(state, "fairseq"))
    for a, b in zip(found[:-1], expected[:-1], strict=True):
        torch.testing.assert_close(a, b[mask], rtol=1e-4, atol=1e-4)
    last = [state[f"{base}layer_norm.{kind}"] for kind in ("weight", "bias")]
    expected = F.layer_norm(expected[-1], x.shape[-1:], *last)[mask]
    torch.testing.assert_close(found[-1], expected, rtol=1e-4, atol=1e-4)


def test_fused_and_separate_projections_are_the_same():
    ours = _ours("normformer")
    state = export_state(ours, "fairseq")
    for name in [n for n in state if "q_proj" in n]:
        parts = [state.pop(name.replace("q_proj", f"{x}_proj")) for x in "qkv"]
        state[name.replace("q_proj.", "in_proj_")] = torch.cat(parts)
    assert _same(ours, convert_checkpoint(state, "fairseq"))


def test_the_token_type_moves_into_the_positions():
    ours = _ours("pre")
    state = export_state(ours, "prelayernorm")
    name = "roberta_prelayernorm.embeddings.token_type_embeddings.weight"
    state[name] = torch.full_like(state[name], 0.5)
    found = convert_checkpoint(state, "prelayernorm", norm="pre", num_attention_heads=2)
    positions = ours.encoder.position_embeddings.weight
    assert torch.equal(found.encoder.position_embeddings.weight, positions + 0.5)


def test_without_the_flag_heads_are_not_scaled_and_without_a_head_there_is_an_encoder():
    state = {
        name: value
        for name, value in export_state(_ours("normformer"), "fairseq").items()
        if "c_attn" not in name and "lm_head" not in name
    }
    found = convert_checkpoint(state, "fairseq", num_attention_heads=2)
    assert isinstance(found, Encoder)
    assert found.layers[1].attention.head_scale.tolist() == [1, 1]
    with pytest.raises(ValueError, match="num_attention_heads"):
        convert_checkpoint(state, "fairseq")


# ---------------------------------------------------------------- refusals
def _renamed(state, name):
    state[name.replace("attn_ln", "attention_layer_norm")] = state.pop(name)


LAYER = "encoder.sentence_encoder.layers.1."
BROKEN = {
    "missing": (lambda s: s.pop(f"{LAYER}attn_ln.bias"), [r"1 missing: .*attn_ln\.bias"]),
    "renamed": (
        lambda s: _renamed(s, f"{LAYER}attn_ln.bias"),
        [r"1 missing: .*attn_ln\.bias", r"1 unknown .*attention_layer_norm\.bias"],
    ),
    "extra": (
        lambda s: s.update({f"{LAYER}encoder_attn.bias": torch.zeros(2)}),
        [r"1 unknown .*encoder_attn\.bias"],
    ),
    "scale of one layer": (lambda s: s.pop(f"{LAYER}self_attn.c_attn"), [r"1 missing: .*c_attn"]),
    "half a head": (lambda s: s.pop("encoder.lm_head.dense.bias"), [r"missing: .*dense\.bias"]),
    "one projection": (lambda s: s.pop(f"{LAYER}self_attn.k_proj.weight"), [r"missing: .*k_proj"]),
    "other head": (
        lambda s: s.update({"encoder.lm_head.weight": torch.zeros(5, 16)}),
        [r"lm_head\.weight is not tied"],
    ),
    "shape": (
        lambda s: s.update({f"{LAYER}fc2.bias": torch.zeros(5)}),
        [r"1 of another shape: .*down\.bias \(5,\) instead of \(16,\)"],
    ),
    "both scales": (
        lambda s: s.update({f"{LAYER}c_attn": torch.ones(2)}),
        [r"missing: .*layers\.0\.c_attn"],
    ),
    "scales of other heads": (
        lambda s: s.update({f"{LAYER}self_attn.c_attn": torch.ones(3)}),
        [r"head_scale \(3,\) instead of \(2,\)"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_fit_is_named(case):
    state = export_state(_ours("normformer"), "fairseq")
    damage, messages = BROKEN[case]
    damage(state)
    for message in messages:
        with pytest.raises(ValueError, match=message):
            convert_checkpoint(state, "fairseq")


def test_a_normformer_is_no_pre_ln_and_the_other_way_round():
    with pytest.raises(ValueError, match=r"10 unknown .*attn_ln"):
        convert_checkpoint(export_state(_ours("normformer"), "fairseq"), "fairseq", norm="pre")
    with pytest.raises(ValueError, match=r"8 missing: .*attn_ln"):
        convert_checkpoint(export_state(_ours("pre"), "fairseq"), "fairseq")


def test_unknown_layouts_schemes_and_prefixes_are_refused():
    state = export_state(_ours("normformer"), "fairseq")
    with pytest.raises(ValueError, match="layout: expected one of fairseq"):
        convert_checkpoint(state, "tensorflow")
    with pytest.raises(ValueError, match="'roberta' holds post; got 'normformer'"):
        convert_checkpoint(state, "roberta")
    with pytest.raises(ValueError, match=r"begins with 'roberta_prelayernorm\.encoder\.layer\.0\."):
        convert_checkpoint(state, "prelayernorm", norm="pre")
    moved = {n.replace("encoder.sentence_encoder.", "fstm."): v for n, v in state.items()}
    assert _same(convert_checkpoint(moved, "fairseq", prefix="fstm."), _ours("normformer"))


def test_what_is_left_out_must_be_named():
    state = export_state(_ours("normformer"), "fairseq") | {"classifier.weight": torch.ones(2)}
    with pytest.raises(ValueError, match=r"classifier\.weight"):
        convert_checkpoint(state, "fairseq")
    assert _same(convert_checkpoint(state, "fairseq", ignore=["classifier."]), _ours("normformer"))


# ---------------------------------------------------------------- folders
@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "theirs"
    path.mkdir()
    state = export_state(_ours("normformer"), "fairseq-port")
    names = sorted(state)
    save_file({n: state[n] for n in names[::2]}, path / "model-00001-of-00002.safetensors")
    save_file({n: state[n] for n in names[1::2]}, path / "model-00002-of-00002.safetensors")
    config = {"model_type": "fstm", "num_attention_heads": 2, "pad_token_id": 1}
    (path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-5}))
    small.tokenizer().save_pretrained(path)
    return path


def test_a_converted_folder_is_one_that_loads(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="architecture that transformers cannot build"):
        loading.load(folder)
    out = tmp_path / "ours"
    arguments = ["xsim", "convert", str(folder), "fairseq-port", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    found = loading.load(out)
    assert _same(found.model, _ours("normformer").encoder)
    with pytest.raises(ValueError, match="out: expected a new folder"):
        normformer.convert_folder(folder, "fairseq-port", out)


def test_a_folder_without_tokenizer_leaves_nothing_behind(folder, tmp_path):
    for file in folder.glob("*token*"):
        file.unlink()
    with pytest.raises(ValueError, match="tokenizer: none in"):
        normformer.convert_folder(folder, "fairseq-port", tmp_path / "ours")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["theirs"]


def test_pickles_are_read_only_where_they_hold_tensors(tmp_path):
    state = export_state(_ours("normformer"), "fairseq")
    torch.save({"model": state}, tmp_path / "model.pt")
    assert _same(convert_checkpoint(tmp_path / "model.pt", "fairseq"), _ours("normformer"))
    torch.save({"model": state, "args": small.SETTINGS}, tmp_path / "more.pt")
    with pytest.raises(ValueError, match="holds more than tensors"):
        convert_checkpoint(tmp_path / "more.pt", "fairseq")
    with pytest.raises(ValueError, match="no safetensors and no file"):
        convert_checkpoint(tmp_path / "none.pt", "fairseq")


def test_other_activations_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    with pytest.raises(ValueError, match="gelu, got 'relu'"):
        convert_checkpoint(folder, "fairseq-port")
