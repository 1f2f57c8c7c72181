"""Code that comes with a checkpoint is never run, whatever somebody answers."""

import ast
import io
import json

import pytest
import small
import torch
from safetensors.torch import save_file

from xsim_lib.app import cli
from xsim_lib.models import architecture, loading, normformer
from xsim_lib.models.encoder import EncoderConfig, EncoderForMaskedLM
from xsim_lib.training import zoo

CODE = """
from pathlib import Path
Path({ran!r}).write_text("the code of the checkpoint ran")
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
class Config(BertConfig):
    model_type = "fstm"
class Model(BertModel):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """The file that the code of a checkpoint would write; every question is answered with yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 100))
    return tmp_path / "RAN"


@pytest.fixture
def checkpoint(tmp_path, ran):
    """A small checkpoint, changed: `config` into config.json, `tokenizer` into tokenizer_config.json."""

    def make(config=None, tokenizer=None):
        folder = tmp_path / "theirs"
        with loading.quiet_transformers():
            small.masked_lm(seed=1).save_pretrained(folder)
        small.tokenizer().save_pretrained(folder)
        for name, change in (("config.json", config), ("tokenizer_config.json", tokenizer)):
            settings = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps(settings | (change or {})))
        (folder / "evil.py").write_text(CODE.format(ran=str(ran)))
        return folder

    return make


MODEL = {"model_type": "fstm", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
TOKENIZER = {
    "tokenizer_class": "Tokenizer",
    "auto_map": {"AutoTokenizer": [None, "evil.Tokenizer"]},
}


def command(monkeypatch, capsys, *arguments):
    """Run `xsim`; what it said on the error stream."""
    monkeypatch.setattr("sys.argv", ["xsim", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = capsys.readouterr()
    assert "Do you wish to run the custom code" not in said.out + said.err
    return said.err


def test_a_configuration_with_code_is_refused_in_one_line(
    checkpoint, ran, tmp_path, monkeypatch, capsys
):
    folder = checkpoint(config=MODEL)
    (tmp_path / "text.tsv").write_text("en\tfr\n" + "a b\tc d\n" * 60)
    said = command(monkeypatch, capsys, "compare", folder, "--corpus", tmp_path / "text.tsv")
    expected = (
        f"xsim: name_or_folder: {folder} can only be loaded by custom code that comes with it, "
    )
    assert said == expected + "which is refused\n"
    with pytest.raises(ValueError, match="custom code that comes with it, which is refused"):
        architecture.sizes(folder)
    assert not ran.exists()


def test_a_tokenizer_with_code_is_refused_in_one_line(checkpoint, ran, tmp_path):
    folder = checkpoint(tokenizer=TOKENIZER)
    with pytest.raises(ValueError, match="custom code, which is refused") as caught:
        loading.load(folder)
    expected = f"name_or_folder: no usable tokenizer in {folder} (custom code, which is refused)"
    assert str(caught.value) == expected
    kept = zoo.Checkpoint(small.spec(), tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    folder.rename(tmp_path / "kept" / "tokenizer")
    with pytest.raises(ValueError, match="trust_remote_code"):
        kept._tokenizer()
    assert not ran.exists()


@pytest.mark.parametrize("where", ["source", "elsewhere"])
def test_convert_refuses_a_tokenizer_with_code(
    checkpoint, ran, tmp_path, monkeypatch, capsys, where
):
    folder = checkpoint(config=MODEL, tokenizer=TOKENIZER)
    source = tmp_path / "weights"
    source.mkdir()
    state = normformer.export_state(_normformer(), "fairseq-port")
    save_file(state, source / "model.safetensors")
    config = {"model_type": "fstm", "num_attention_heads": 2, "pad_token_id": 1}
    (source / "config.json").write_text(json.dumps(config))
    more = ["--tokenizer", folder]
    if where == "source":
        for file in [*folder.glob("*token*"), folder / "evil.py"]:
            file.rename(source / file.name)
        folder, more = source, []
    said = command(monkeypatch, capsys, "convert", source, "fairseq-port", tmp_path / "out", *more)
    expected = (
        f"xsim: tokenizer: that of {folder} needs custom code that comes with it, which is refused"
    )
    assert said == expected + "; name another one\n"
    assert not ran.exists()
    assert not (tmp_path / "out").exists()


def _normformer():
    sizes = {**small.ENCODER, "vocab_size": len(small.tokenizer()), "max_position_embeddings": 32}
    with torch.random.fork_rng(devices=[]):
        return EncoderForMaskedLM(EncoderConfig(**sizes, pad_token_id=1, norm="normformer"))


def test_code_beside_an_architecture_that_we_know_is_left_alone(checkpoint, ran):
    folder = checkpoint(config={"auto_map": MODEL["auto_map"]})
    assert type(loading.load(folder).model).__module__ == "xsim_lib.models.encoder"
    assert architecture.sizes(folder)["n_layers"] == 2
    assert not ran.exists()


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_an_attention_kernel_of_the_hub_is_refused(checkpoint, name):
    folder = checkpoint(config={name: "somebody/kernel"})
    with pytest.raises(ValueError, match="'somebody/kernel' of the hub, which is code, and is ref"):
        loading.load(folder)


def test_every_automatic_class_is_told_to_trust_no_code(repository):
    """The default is to ask; one call without the keyword is enough."""
    files = [
        f
        for part in ("xsim_lib", "notebooks", "benchmarks")
        for f in (repository / part).rglob("*.py")
    ]
    loads = 0
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        renamed = {  # from transformers import AutoModel as M
            alias.asname: alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
            if alias.asname
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = ast.unparse(node.func.value).split(".")[-1]
            is_auto = renamed.get(owner, owner).startswith("Auto")
            if not is_auto or node.func.attr not in ("from_pretrained", "from_config"):
                continue
            loads += 1
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert given.get("trust_remote_code") == "False", f"{file.name}:{node.lineno}"
    assert loads >= 6
    assert not [f.name for f in files if "transformers.pipeline" in f.read_text(encoding="utf-8")]
