"""Loading refuses every checkpoint whose numbers would not be its own."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5Model,
    XGLMConfig,
    XGLMForCausalLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
)
from transformers.utils import logging as transformers_logging

from xsim_lib.models import loading
from xsim_lib.models.encoder import NORMS, EncoderConfig, EncoderForMaskedLM
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.text.types import Corpus

OTHER = {"vocab_size": 60, "max_position_embeddings": 34}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL = {**OTHER, **SIZES, "intermediate_size": 32}
ROBERTA = {**SMALL, "pad_token_id": 1, "type_vocab_size": 1}
XGLM = {**OTHER, "d_model": 16, "num_layers": 2, "attention_heads": 2, "ffn_dim": 32}
DISTIL = {**OTHER, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}


def _ours(norm):
    return EncoderForMaskedLM(EncoderConfig(**SMALL, norm=norm))


BUILD = {
    "bert": lambda: BertForMaskedLM(BertConfig(**SMALL)),
    "xlm-roberta": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**ROBERTA)),
    "xlm-roberta-base-only": lambda: XLMRobertaModel(
        XLMRobertaConfig(**ROBERTA), add_pooling_layer=False
    ),
    "xlm-roberta-with-pooler": lambda: XLMRobertaModel(XLMRobertaConfig(**ROBERTA)),
    "xlm-roberta-fine-tuned": lambda: XLMRobertaForSequenceClassification(
        XLMRobertaConfig(**ROBERTA)
    ),
    "xlm-roberta-xl": lambda: XLMRobertaXLForMaskedLM(XLMRobertaXLConfig(**ROBERTA)),
    "distilbert": lambda: DistilBertModel(DistilBertConfig(**DISTIL)),  # takes no pooling argument
    "xglm": lambda: XGLMForCausalLM(XGLMConfig(**XGLM)),
    **{norm: (lambda norm=norm: _ours(norm)) for norm in NORMS},
}


@pytest.fixture(scope="module")
def tokenizer():
    lines = ("a bad cab", "dab a cad", "b a d c, d a b!")
    return train_tokenizer(Corpus("letters", {"aa": lines}), 40)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, tokenizer):
    """Build each kind once per module; tests that damage one copy it first."""
    root, models = tmp_path_factory.mktemp("checkpoints"), {}

    def get(kind):
        if kind not in models:
            with torch.random.fork_rng(devices=[]), loading.quiet_transformers():
                torch.manual_seed(len(models))
                models[kind] = BUILD[kind]().eval()
                models[kind].save_pretrained(root / kind)
                tokenizer.save_pretrained(root / kind)
        return root / kind, models[kind]

    return get


@pytest.fixture
def damaged(checkpoints, tmp_path, tokenizer):
    """Give a checkpoint whose weights (or config) were changed after it was saved."""

    def make(kind, change=lambda state: None, **config):
        folder, _ = checkpoints(kind)
        target = tmp_path / f"{kind}-damaged"
        target.mkdir()
        settings = json.loads((folder / "config.json").read_text())
        (target / "config.json").write_text(json.dumps({**settings, **config}))
        state = load_file(folder / "model.safetensors")
        change(state)
        save_file(state, target / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save_pretrained(target)
        return target

    return make


@pytest.mark.parametrize("kind", BUILD)
def test_loads_exactly_what_was_saved(kind, checkpoints):
    folder, saved = checkpoints(kind)
    loaded = loading.load(folder)
    base = saved.base_model.state_dict()
    weights = loaded.model.state_dict()
    assert set(base) - set(weights) <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert set(weights) <= set(base)
    assert all(torch.equal(weights[key], base[key]) for key in weights)
    assert not loaded.model.training
    assert loaded.name == kind

    batch = loaded.tokenizer(["a bad cab", "dab"], padding=True, return_tensors="pt")
    batch = {key: batch[key] for key in ("input_ids", "attention_mask")}
    with torch.no_grad():
        got = loaded.model(**batch, output_hidden_states=True).hidden_states
        expected = saved(**batch, output_hidden_states=True).hidden_states
    assert len(got) == 3
    assert all(torch.equal(x, y) for x, y in zip(got, expected, strict=True))


def test_xlm_roberta_is_loaded_without_its_unused_pooler(checkpoints):
    folder, _ = checkpoints("xlm-roberta-with-pooler")
    assert loading.load(folder).model.pooler is None
    folder, _ = checkpoints("xlm-roberta")  # a language model has no pooler to load: not an error
    assert loading.load(folder).model.pooler is None


@pytest.mark.parametrize(
    ("kind", "key", "named"),
    [
        ("bert", "bert.encoder.layer.1.output.dense.weight", "encoder.layer.1.output.dense.weight"),
        ("xlm-roberta", "roberta.embeddings.LayerNorm.bias", "embeddings.LayerNorm.bias"),
        ("xlm-roberta-base-only", "embeddings.word_embeddings.weight", "word_embeddings.weight"),
        ("xlm-roberta-xl", "roberta.encoder.LayerNorm.weight", "encoder.LayerNorm.weight"),
        ("xglm", "model.layers.0.fc1.weight", "layers.0.fc1.weight"),
        ("normformer", "encoder.layers.1.attention.head_scale", "layers.1.attention.head_scale"),
    ],
)
def test_a_missing_weight_is_refused_by_name(kind, key, named, damaged):
    folder = damaged(kind, lambda state: state.pop(key))
    with pytest.raises(ValueError, match=rf"1 missing, would be random: \S*{named}$"):
        loading.load(folder)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("bert", "bert.encoder.layer.0.extra.weight"),
        ("bert", "extra"),
        ("xlm-roberta-base-only", "encoder.layer.0.extra.weight"),
        ("xglm", "model.layers.0.extra.weight"),
        ("post", "encoder.layers.0.extra.weight"),
        ("post", "encoder.head.bias"),  # inside the encoder it is no head
    ],
)
def test_an_unknown_weight_is_refused_by_name(kind, key, damaged):
    folder = damaged(kind, lambda state: state.update({key: torch.ones(3)}))
    with pytest.raises(ValueError, match=rf"1 unknown .* would be ignored: {key}$"):
        loading.load(folder)


def test_normformer_weights_in_a_plain_xlm_roberta_are_refused(damaged):
    """Its forward pass would ignore them: the model measured would be another one."""

    def change(state):
        for layer in range(2):
            block = f"roberta.encoder.layer.{layer}"
            state[f"{block}.attention.head_scale"] = torch.ones(2)
            state[f"{block}.attention.output.after_attention.weight"] = torch.ones(16)
            state[f"{block}.intermediate.norm.weight"] = torch.ones(32)

    with pytest.raises(ValueError, match="6 unknown to the architecture") as caught:
        loading.load(damaged("xlm-roberta", change))
    assert "roberta.encoder.layer.1.attention.head_scale" in str(caught.value)
    assert "lm_head" not in str(caught.value)


@pytest.mark.parametrize("saved", NORMS)
@pytest.mark.parametrize("read_as", NORMS)
def test_the_three_schemes_cannot_be_mistaken_for_each_other(saved, read_as, damaged):
    folder = damaged(saved, norm=read_as)
    if saved == read_as:
        assert loading.load(folder).model.config.norm == saved
        return
    with pytest.raises(ValueError, match="do not fit Encoder") as caught:
        loading.load(folder)
    message = str(caught.value)
    size = {norm: NORMS.index(norm) for norm in NORMS}  # each has all parameters of those before it
    assert ("missing, would be random" in message) == (size[read_as] > size[saved])
    assert ("would be ignored" in message) == (size[read_as] < size[saved])
    if "pre" in (saved, read_as) and "post" in (saved, read_as):
        assert "last_norm.weight" in message
    else:
        assert "layers.0.attention.head_scale" in message
        assert "layers.1.after_attention.weight" in message


def test_fewer_layers_than_saved_are_refused(damaged):
    with pytest.raises(ValueError, match=r"unknown .* bert\.encoder\.layer\.1\.attention"):
        loading.load(damaged("bert", num_hidden_layers=1))


def test_long_lists_are_cut_with_a_count(damaged):
    with pytest.raises(ValueError, match=r"32 missing.*, and 12 more$"):
        loading.load(damaged("bert", num_hidden_layers=4))


def test_wrong_shapes_are_refused_with_both(damaged):
    key = "bert.embeddings.word_embeddings.weight"
    folder = damaged("bert", lambda state: state.update({key: torch.ones(61, 16)}))
    match = r"embeddings.word_embeddings.weight \(61, 16\) instead of \(60, 16\)"
    with pytest.raises(ValueError, match=match):
        loading.load(folder)


def test_pickled_weights_are_refused_and_convert_exactly(checkpoints, damaged):
    folder = damaged("xlm-roberta")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    state["lm_head.decoder.weight"] = state["roberta.embeddings.word_embeddings.weight"]  # tied
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(
        ValueError, match=r"only pytorch_model\.bin.*loading\.convert_to_safetensors\(folder\)"
    ):
        loading.load(folder)
    assert [path.name for path in loading.convert_to_safetensors(folder)] == ["model.safetensors"]
    weights = loading.load(folder).model.state_dict()
    expected = checkpoints("xlm-roberta")[1].base_model.state_dict()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_sharded_pickles_convert_too(damaged):
    folder = damaged("bert")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
    keys = sorted(state)
    where = {key: names[position % 2] for position, key in enumerate(keys)}
    for name in names:
        torch.save({key: state[key] for key in keys if where[key] == name}, folder / name)
    index = {"metadata": {}, "weight_map": where}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    loading.convert_to_safetensors(folder)
    weights = loading.load(folder).model.state_dict()
    assert all(torch.equal(value, state[f"bert.{key}"]) for key, value in weights.items())


def test_convert_keeps_the_evidence_of_unknown_weights(damaged):
    folder = damaged("bert")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**state, "bert.encoder.extra": torch.ones(1)}, folder / "pytorch_model.bin")
    loading.convert_to_safetensors(folder)
    with pytest.raises(ValueError, match=r"bert\.encoder\.extra"):
        loading.load(folder)


def test_folders_without_weights_or_config_are_named(damaged, tmp_path):
    with pytest.raises(ValueError, match=r"no pytorch_model\.bin in"):
        loading.convert_to_safetensors(tmp_path)
    folder = damaged("bert")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"no model\.safetensors in .*bert-damaged"):
        loading.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ValueError, match=r"no config\.json in .*found .*tokenizer\.json"):
        loading.load(folder)


@pytest.mark.parametrize("kind", ["bert", "xglm", "post"])
def test_a_checkpoint_without_tokenizer_files_is_refused(kind, checkpoints, tmp_path):
    """Transformers would build an empty vocabulary for BERT and XGLM, without a word."""
    _, model = checkpoints(kind)
    with loading.quiet_transformers():
        model.save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match=r"no (usable tokenizer|tokenizer files) in .*bare"):
        loading.load(tmp_path / "bare")


def test_a_tokenizer_larger_than_the_embeddings_is_refused(damaged, tokenizer):
    def change(state):
        for key in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
            state[key] = state[key][:20].clone()

    folder = damaged("bert", change, vocab_size=20)
    with pytest.raises(ValueError, match=rf"{len(tokenizer)} sub-words, .*embeddings for 20"):
        loading.load(folder)


def test_a_model_without_hidden_states_is_refused(damaged, monkeypatch):
    folder = damaged("post")
    forward = AutoModel.from_pretrained(folder).forward.__func__

    def silent(self, *args, **kwargs):
        return forward(self, *args, **{**kwargs, "output_hidden_states": False})

    monkeypatch.setattr("xsim_lib.models.encoder.Encoder.forward", silent)
    with pytest.raises(ValueError, match="returns no hidden states"):
        loading.load(folder)


def test_encoder_decoders_are_refused(tmp_path, tokenizer):
    config = T5Config(vocab_size=60, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    with loading.quiet_transformers():
        T5Model(config).save_pretrained(tmp_path / "t5")
    tokenizer.save_pretrained(tmp_path / "t5")
    with pytest.raises(ValueError, match="encoder-decoder"):
        loading.load(tmp_path / "t5")


def test_unknown_names_say_both_ways_out(tmp_path):
    with pytest.raises(ValueError, match=r"'nobody/no-model' in the local cache.*") as caught:
        loading.load("nobody/no-model", local_files_only=True)
    assert "Give a local folder" in str(caught.value)
    assert "connect to the internet" in str(caught.value)
    with pytest.raises(ValueError, match=r"no folder and no model '.*missing'"):
        loading.load(tmp_path / "missing", local_files_only=True)


def test_architectures_with_their_own_code_are_not_run(damaged, tmp_path):
    folder = damaged("bert", model_type="fstm", auto_map={"AutoConfig": "evil.Config"})
    (folder / "evil.py").write_text("raise SystemExit('the code of the checkpoint ran')")
    with pytest.raises(ValueError, match="custom code that comes with it, which is refused"):
        loading.load(folder)


def test_dtype_and_device_are_checked_and_obeyed(checkpoints):
    folder, saved = checkpoints("bert")
    assert loading.load(folder).model.dtype == torch.float32
    half = loading.load(folder, dtype="bfloat16").model
    assert half.dtype == torch.bfloat16
    expected = saved.base_model.embeddings.word_embeddings.weight.bfloat16()
    assert torch.equal(half.embeddings.word_embeddings.weight, expected)
    assert loading.load(folder, dtype=torch.float64, device="auto").model.dtype == torch.float64
    with pytest.raises(ValueError, match=r"dtype: expected one of float32, .* got 'int8'"):
        loading.load(folder, dtype="int8")
    with pytest.raises(ValueError, match=r"device: expected cpu, auto .* got 'toaster'"):
        loading.load(folder, device="toaster")


def test_checkpoints_saved_in_half_precision_load_in_float32(damaged):
    halve = lambda state: state.update({k: v.bfloat16() for k, v in state.items()})  # noqa: E731
    assert loading.load(damaged("bert", halve)).model.dtype == torch.float32


def test_nothing_is_printed_and_everything_is_put_back(checkpoints, capfd, caplog, recwarn):
    folder, _ = checkpoints("xlm-roberta")
    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    capfd.readouterr()
    loading.load(folder)
    with pytest.raises(ValueError, match="no folder and no model"):
        loading.load("nobody/no-model", local_files_only=True)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not recwarn.list
    after = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    assert after == before
    AutoModel.from_pretrained(folder)  # the same call, unsilenced, does print
    assert "Loading weights" in capfd.readouterr().err
    assert "LOAD REPORT" in caplog.text


def test_quiet_transformers_respects_a_caller_who_was_quiet_before():
    transformers_logging.disable_progress_bar()
    try:
        with loading.quiet_transformers(downloads=True):
            assert transformers_logging.get_verbosity() == transformers_logging.ERROR
        assert not transformers_logging.is_progress_bar_enabled()
    finally:
        transformers_logging.enable_progress_bar()


def test_padding_token_and_side_are_made_safe(damaged, tokenizer):
    folder = damaged("xglm")
    bare = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token="</s>", padding_side="left"
    )
    bare.save_pretrained(folder)
    loaded = loading.load(folder)
    assert loaded.tokenizer.pad_token == "</s>"
    assert loaded.tokenizer.padding_side == "right"


@pytest.mark.parametrize(
    ("kind", "limit"), [("bert", 34), ("xlm-roberta", 32), ("xlm-roberta-xl", 32), ("pre", 34)]
)
def test_token_limit_is_the_longest_sequence_that_runs(kind, limit, checkpoints):
    loaded = loading.load(checkpoints(kind)[0])
    assert loading.token_limit(loaded) == limit
    ids = torch.full((1, limit), 7)
    with torch.no_grad():
        assert loaded.model(ids).last_hidden_state.shape == (1, limit, 16)
        with pytest.raises((IndexError, ValueError, RuntimeError)):
            loaded.model(torch.full((1, limit + 1), 7))
    loaded.tokenizer.model_max_length = 9
    assert loading.token_limit(loaded) == 9
