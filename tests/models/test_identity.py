"""Two models that read the same text differently are not the same model, whatever their vocabularies say."""

import pytest
import torch
from tokenizers.normalizers import Lowercase

from xsim_lib.models.encoder import EncoderConfig, EncoderForMaskedLM, LoadedModel
from xsim_lib.models.fingerprints import model_hash, tokenizer_hash
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.text.types import Corpus


@pytest.fixture
def loaded():
    tokenizer = train_tokenizer(Corpus("text", {"en": ["One small step", "and another one"]}), 60)
    torch.manual_seed(0)
    config = EncoderConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    return LoadedModel("one", EncoderForMaskedLM(config).encoder.eval(), tokenizer)


def test_another_normaliser_with_the_same_vocabulary_is_another_tokenizer(loaded):
    before = tokenizer_hash(loaded.tokenizer)
    vocabulary = loaded.tokenizer.get_vocab()
    loaded.tokenizer.backend_tokenizer.normalizer = Lowercase()
    assert loaded.tokenizer.get_vocab() == vocabulary
    assert tokenizer_hash(loaded.tokenizer) != before


def test_using_a_tokenizer_does_not_make_it_another_one(loaded):
    """Padding and truncation of the last call stay in the tokenizer's own description."""
    before = tokenizer_hash(loaded.tokenizer)
    loaded.tokenizer(["one", "one and another"], padding=True, truncation=True, max_length=3)
    assert tokenizer_hash(loaded.tokenizer) == before


def test_names_are_no_part_of_a_model_and_settings_are(loaded):
    before = model_hash(loaded)
    assert model_hash(LoadedModel("two", loaded.model, loaded.tokenizer)) == before
    loaded.model.config.num_attention_heads = 4
    assert model_hash(loaded) != before


def test_a_changed_weight_is_another_model(loaded):
    before = model_hash(loaded)
    with torch.no_grad():
        next(loaded.model.parameters())[0, 0] += 1e-3
    assert model_hash(loaded) != before
