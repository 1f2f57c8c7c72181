"""A causal encoder sees the past only, and predicts what comes next."""

import pytest
import torch
from test_models import build, scrambled
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from xsim_lib.models.encoder import NORMS, EncoderForCausalLM
from xsim_lib.models.loading import quiet_transformers


@pytest.fixture
def ids():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield torch.randint(5, 30, (4, 7))


@pytest.mark.parametrize("norm", NORMS)
def test_a_causal_token_depends_on_itself_and_its_past_only(norm, ids):
    model = scrambled(build(norm=norm, causal=True))
    changed = ids.clone()
    changed[:, 4] = 5 + (ids[:, 4] - 4) % 25
    with torch.no_grad():
        before, after = model(ids).last_hidden_state, model(changed).last_hidden_state
        assert torch.equal(before[:, :4], after[:, :4])
        assert (before[:, 4:] != after[:, 4:]).any(-1).all()
        whole = scrambled(build(norm=norm))
        whole.load_state_dict(model.state_dict())
        last = whole(ids).last_hidden_state[:, -1]  # the last token sees all, in one layer
        assert not torch.allclose(last, before[:, -1], atol=1e-3)


@pytest.mark.parametrize("norm", NORMS)
def test_padding_changes_no_real_token_of_a_causal_model(norm, ids):
    model = scrambled(build(norm=norm, causal=True))
    mask = torch.ones_like(ids)
    mask[1, 3:] = 0
    with torch.no_grad():
        batch = model(ids, mask, output_hidden_states=True).hidden_states
        alone = model(ids[1:2, :3], output_hidden_states=True).hidden_states
        full = model(ids[:1], output_hidden_states=True).hidden_states
    for padded, short, other in zip(batch, alone, full, strict=True):
        torch.testing.assert_close(padded[1, :3], short[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(padded[0], other[0], rtol=1e-4, atol=1e-5)
        assert padded.isfinite().all()


def test_the_causal_loss_is_the_summed_surprise_of_each_next_token(ids):
    model = scrambled(build(EncoderForCausalLM, causal=True))
    labels = ids.masked_fill(torch.arange(7) > 4, -100)
    with torch.no_grad():
        logits = model(ids).logits.double()
        loss = model(ids, labels=labels).loss
        expected = model.encoder(ids).last_hidden_state @ model.encoder.word_embeddings.weight.T
    torch.testing.assert_close(logits.float(), expected)
    surprise = sum(
        -logits[row, place - 1].log_softmax(-1)[ids[row, place]].item()
        for row in range(4)
        for place in range(1, 5)
    )
    assert loss.item() == pytest.approx(surprise, rel=1e-5)
    names = {name for name, _ in model.named_parameters()}
    assert names == {f"encoder.{name}" for name, _ in model.encoder.named_parameters()}


def test_saved_causal_models_come_back_exactly(ids, tmp_path):
    model = scrambled(build(EncoderForCausalLM, causal=True, norm="pre"))
    with quiet_transformers(), torch.no_grad():
        model.save_pretrained(tmp_path)
        full = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
        base = AutoModel.from_pretrained(tmp_path).eval()
        assert torch.equal(full(ids).logits, model(ids).logits)
        assert torch.equal(base(ids).last_hidden_state, model.encoder(ids).last_hidden_state)
        with pytest.raises(ValueError, match="causal: EncoderForMaskedLM expects False, got True"):
            AutoModelForMaskedLM.from_pretrained(tmp_path)
