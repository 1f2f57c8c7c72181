"""Sizes come from a configuration, and are those of the model that would be loaded."""

import pytest
import torch
from transformers import (
    BertConfig,
    XGLMConfig,
    XLMRobertaConfig,
    XLMRobertaXLConfig,
)

from xsim_lib.models.architecture import sizes, sizes_of
from xsim_lib.models.encoder import Encoder, EncoderConfig, LoadedModel, count_parameters

# The public configurations, as far as they decide the size.
PUBLIC = {
    "bert-base-multilingual-cased": (BertConfig(vocab_size=119547), 178e6, 12, 768),
    "xlm-roberta-base": (
        XLMRobertaConfig(vocab_size=250002, max_position_embeddings=514, type_vocab_size=1),
        278e6, 12, 768,
    ),
    "xlm-roberta-xl": (XLMRobertaXLConfig(), 3.48e9, 36, 2560),
    "xglm-564M": (XGLMConfig(), 564e6, 24, 1024),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_configuration_is_enough(name, tmp_path):
    config, parameters, layers, width = PUBLIC[name]
    config.save_pretrained(tmp_path)
    found = sizes(tmp_path)
    assert found["n_parameters"] == pytest.approx(parameters, rel=0.005)
    assert (found["n_layers"], found["n_hidden_units"]) == (layers, width)


def test_a_loaded_model_has_the_size_that_its_configuration_says():
    config = EncoderConfig(hidden_size=16, num_hidden_layers=3, num_attention_heads=2)
    model = Encoder(config)
    found = sizes_of(LoadedModel("ours", model, None))
    assert found == {
        "n_parameters": count_parameters(model), "n_layers": 3, "n_hidden_units": 16,
    }  # fmt: skip
    assert torch.empty(0).device.type == "cpu"  # nothing stays on the device without memory


def test_an_absent_model_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"name_or_folder: no config\.json"):
        sizes(tmp_path)
