"""The path of public models, without the hub: whole pages on tiny checkpoints of every architecture.

A page gets folders where it would get names on the hub; from there on nothing differs. Its numbers are
compared with a computation that shares no code with the library.
"""

import nbformat
import numpy as np
import papermill
import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    XGLMConfig,
    XGLMForCausalLM,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaXLConfig,
    XLMRobertaXLForMaskedLM,
)

from xsim_lib.evidence import records
from xsim_lib.models import loading
from xsim_lib.models.encoder import EncoderConfig, EncoderForCausalLM, EncoderForMaskedLM
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.study import experiment, profiles
from xsim_lib.workflow import execution

PAIR = "en-fr"
SOURCE = profiles.paper_settings("anc2022", "smoke").group("mlm").source
COMMON = {"vocab_size": 220, "max_position_embeddings": 90, "pad_token_id": 1}
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SMALL = {**COMMON, **SIZES, "intermediate_size": 32}
XGLM = {**COMMON, "d_model": 16, "num_layers": 3, "attention_heads": 2, "ffn_dim": 32}
BUILD = {
    "bert": lambda: BertForMaskedLM(BertConfig(**SMALL)),
    "xlm-roberta": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**SMALL, type_vocab_size=1)),
    "xlm-roberta-xl": lambda: XLMRobertaXLForMaskedLM(
        XLMRobertaXLConfig(**SMALL, type_vocab_size=1)
    ),
    "ours": lambda: EncoderForMaskedLM(EncoderConfig(**SMALL, norm="normformer")),
    "xglm": lambda: XGLMForCausalLM(XGLMConfig(**XGLM)),
    "ours-causal": lambda: EncoderForCausalLM(EncoderConfig(**SMALL, norm="pre", causal=True)),
}
MASKED, CAUSAL = ("bert", "xlm-roberta", "xlm-roberta-xl", "ours"), ("xglm", "ours-causal")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(SOURCE.training(), COMMON["vocab_size"], max_length=88)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tokenizer):
    """One folder per architecture, as `save_pretrained` leaves it: config, safetensors, tokenizer."""
    root = tmp_path_factory.mktemp("public")
    for number, (name, build) in enumerate(BUILD.items()):
        with torch.random.fork_rng(devices=[]), loading.quiet_transformers():
            torch.manual_seed(number)
            model = build()
            for weight in model.parameters():  # away from the initial values, which hide mistakes
                weight.data += 0.1 * torch.randn_like(weight)
            model.save_pretrained(root / name)
            tokenizer.save_pretrained(root / name)
        assert (root / name / "model.safetensors").is_file()
    return root


@pytest.fixture
def build(tmp_path, monkeypatch, repository):
    monkeypatch.setenv("XSIM_HOME", str(repository))
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path))
    monkeypatch.setenv(
        "XSIM_RECORDS", str(tmp_path / "smoke" / "records")
    )  # whatever the parameters
    return tmp_path


def directly(folder, kind):
    """ANC per layer from one sentence at a time: no padding, no batches, no running moments."""
    reader = AutoTokenizer.from_pretrained(folder)
    whole = AutoModelForCausalLM if kind in CAUSAL else AutoModel
    with loading.quiet_transformers():
        model = whole.from_pretrained(folder).eval()
    sides = []
    n_parallel = profiles.paper_settings("anc2022", "smoke").n_parallel
    corpus = SOURCE.parallel(PAIR, n_parallel)
    for language in PAIR.split("-"):
        pooled = []
        for sentence in corpus[language]:
            ids = reader(sentence, return_tensors="pt")["input_ids"]
            assert ids[0, 0] == reader.bos_token_id  # special tokens are part of the mean
            with torch.no_grad():
                states = model(ids, output_hidden_states=True).hidden_states
            pooled.append(torch.stack([layer[0].double().mean(0) for layer in states]).numpy())
        sides.append(np.stack(pooled, axis=1))
    return [
        np.mean([abs(np.corrcoef(x[:, k], y[:, k])[0, 1]) for k in range(x.shape[1])])
        for x, y in zip(*sides, strict=True)
    ]


def executed(name, folders, kinds, **parameters):
    checkpoints = {kind: str(folders / kind) for kind in kinds}
    given = {"profile": "smoke", "pairs": [PAIR], "checkpoints": checkpoints, **parameters}
    return execution.execute(name, given)


@pytest.mark.parametrize(
    ("name", "item", "kinds"),
    [
        ("anc2022/fig5_mlm_scaling", "anc2022.fig5", MASKED),
        pytest.param("anc2022/fig6_clm_scaling", "anc2022.fig6", CAUSAL, marks=pytest.mark.slow),
    ],
)
def test_a_whole_page_runs_on_public_models_and_measures_them(name, item, kinds, folders, build):
    page = nbformat.read(executed(name, folders, kinds), 4)
    path = build / "smoke" / "records" / f"{item}.parquet"
    found = records.read_records(path)
    assert set(found.unique("model")) == set(kinds)  # and nothing was trained
    for kind in kinds:
        curve = found.curve("anc", model=kind, pair_or_language=PAIR)
        np.testing.assert_allclose(curve, directly(folders / kind, kind), atol=1e-4)
        without = found.curve("anc", model=kind, variant="without special tokens")
        assert not np.allclose(curve, without, atol=1e-4)
    made = records.read_provenance(path)
    public = made["parameters"]["public_checkpoints"]
    assert [public[kind]["checkpoint"] for kind in kinds] == list(kinds)
    assert len({public[kind]["weights"] for kind in kinds}) == len(kinds)
    text = "".join(str(cell.get("outputs", "")) for cell in page.cells)
    assert f"{kinds[0]} at {public[kinds[0]]['weights'][:12]}" in text


@pytest.mark.parametrize(
    ("name", "item", "metrics"),
    [
        pytest.param(
            "anc2022/fig8_fine_tuned",
            "anc2022.fig8",
            {"accuracy", "anc", "cka"},
            marks=pytest.mark.slow,
        ),
        ("anc2022/fig9_cca_family", "anc2022.fig9", {"cka", "pwcca", "svcca"}),
    ],
)
def test_the_appendix_measures_public_models_too(name, item, metrics, folders, build):
    kinds = ("bert", "xlm-roberta")
    executed(name, folders, kinds)
    found = records.read_records(build / "smoke" / "records" / f"{item}.parquet")
    assert set(found.unique("metric")) == metrics
    assert {model.removesuffix("_tuned") for model in found.unique("model")} == set(kinds)
    for kind in kinds if "anc" in metrics else ():
        expected = directly(folders / kind, kind)
        np.testing.assert_allclose(found.curve("anc", model=kind), expected, atol=1e-4)
        tuned = found.curve("anc", model=f"{kind}_tuned")
        assert not np.allclose(tuned, expected, atol=1e-4)


def test_a_page_of_sizes_reads_public_models_without_their_weights(folders, build, tmp_path):
    for kind in ("bert", "xglm"):
        (tmp_path / "bare" / kind).mkdir(parents=True)
        config = (folders / kind / "config.json").read_text()
        (tmp_path / "bare" / kind / "config.json").write_text(config)
    checkpoints = {kind: str(tmp_path / "bare" / kind) for kind in ("bert", "xglm")}
    execution.execute("anc2022/table2", {"profile": "smoke", "checkpoints": checkpoints})
    found = records.read_records(build / "smoke" / "records" / "anc2022.table2.parquet")
    for kind in checkpoints:
        model = loading.load(folders / kind).model
        counted = sum(weight.numel() for weight in model.parameters())
        assert found.mean("n_parameters", model=kind) == counted
        assert found.mean("n_layers", model=kind) == model.config.num_hidden_layers


def test_a_page_on_a_model_that_is_not_there_says_so_and_leaves_no_result(folders, build):
    with pytest.raises(papermill.PapermillExecutionError, match="no folder and no model"):
        executed("anc2022/fig5_mlm_scaling", folders / "nowhere", ["bert"])
    assert not (build / "smoke" / "notebooks" / "anc2022" / "fig5_mlm_scaling.ipynb").exists()
    assert not (build / "smoke" / "records").exists()


def test_normformer_weights_in_a_plain_xlm_r_are_refused(folders, build, tmp_path, tokenizer):
    """transformers drops the norms that make a NormFormer one, and goes on with another model."""
    ours = EncoderForMaskedLM.from_pretrained(folders / "ours")
    folder = tmp_path / "scale_normformer"
    config = XLMRobertaConfig(**{**SMALL, "max_position_embeddings": 92, "type_vocab_size": 1})
    config.architectures = ["XLMRobertaForMaskedLM"]
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    added = {
        "attention.output.attn_ln": "after_attention",
        "output.ffn_layernorm": "feed_forward.norm",
    }
    state = XLMRobertaForMaskedLM(config).state_dict() | {
        f"roberta.encoder.layer.{k}.{theirs}.{kind}": layer.get_parameter(f"{own}.{kind}").detach()
        for k, layer in enumerate(ours.base_model.layers)
        for theirs, own in added.items()
        for kind in ("weight", "bias")
    }
    save_file({key: value.clone() for key, value in state.items()}, folder / "model.safetensors")
    with loading.quiet_transformers():
        silent = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    assert (
        silent(torch.tensor([[0, 5, 2]])).last_hidden_state.isfinite().all()
    )  # numbers of no model
    run = experiment.start("anc2022.fig4", profile="smoke", checkpoints={"a": str(folder)})
    with pytest.raises(
        ValueError, match=r"do not fit XLMRobertaModel.*unknown to the architecture"
    ):
        run.models(1)
