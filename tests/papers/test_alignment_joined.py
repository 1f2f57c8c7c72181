"""Task layers over frozen encoders: what is trained, what is exchanged, and that a rotation is followed."""

import numpy as np
import pytest
import small
import torch
from scipy.stats import ortho_group

from xsim_lib.models.bilingual import in_language
from xsim_lib.models.encoder import LoadedModel
from xsim_lib.papers.emerging2020.rotations import align, join
from xsim_lib.tasks.tagging import TaggerSettings, evaluate_tagger, finetune_tagger, tag

BANK = small.SOURCE.treebank("en", 120, "train")
SETTINGS = TaggerSettings(steps=60, batch_size=16, learning_rate=3e-3, max_length=64, seed=0)


def read(loaded, line=None):
    ids = loaded.tokenizer(line or small.corpus()["en"][0], return_tensors="pt")
    with torch.no_grad():
        return loaded.model(
            ids["input_ids"], attention_mask=ids["attention_mask"], output_hidden_states=True
        )


class Turned(torch.nn.Module):
    """An encoder whose hidden states are rotated: another model that says the same."""

    def __init__(self, base, rotation):
        super().__init__()
        self.base, self.config, self.device = base, base.config, base.device
        self.rotation = torch.tensor(rotation).float()
        self.base_model = base

    def forward(self, **batch):
        found = self.base(**batch)
        found.hidden_states = tuple(h @ self.rotation for h in found.hidden_states)
        return found


def states(loaded, layer=1):
    parts = [read(loaded, line).hidden_states[layer][0] for line in small.corpus()["en"]]
    return torch.cat(parts).double()


def test_only_new_layers_are_trained_and_the_encoder_never_drops():
    loaded = small.loaded(num_attention_heads=2)
    joined = join(loaded, 1)
    before = {k: v.clone() for k, v in joined.model.state_dict().items()}
    tagger = finetune_tagger(joined, BANK, SETTINGS, task="pos", progress=False, frozen=("lower",))
    after = tagger.words.model.state_dict()
    moved = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert moved == {"layers", "norm"}
    assert not tagger.train().words.model.lower.training
    assert tagger.words.model.layers.training
    other = join(loaded, 1, seed=1).model.state_dict()
    again = join(loaded, 1).model.state_dict()
    assert all(torch.equal(before[k], again[k]) for k in before)
    assert not torch.equal(other["layers.0.linear1.weight"], before["layers.0.linear1.weight"])
    first, second = (before[f"layers.{k}.linear1.weight"] for k in (0, 1))
    assert not torch.equal(first, second)


def test_new_layers_read_the_layer_they_should_and_no_padding():
    loaded = small.loaded()
    whole = [read(join(loaded, k)).last_hidden_state for k in range(3)]
    assert not torch.allclose(whole[0], whole[1], atol=1e-3)
    batch = loaded.tokenizer(list(small.corpus()["en"][:5]), padding=True, return_tensors="pt")
    with torch.no_grad():
        padded = join(loaded, 1).model(batch["input_ids"], attention_mask=batch["attention_mask"])
    length = whole[1].shape[1]
    assert padded.last_hidden_state.shape[1] > length or batch["attention_mask"].all()
    assert torch.allclose(padded.last_hidden_state[0, :length], whole[1][0], atol=1e-5)


def test_a_tagger_reads_a_rotated_encoder_through_the_rotation():
    english = small.loaded()
    rotation = ortho_group.rvs(16, random_state=0)
    x = states(english)
    fitted = align(x @ torch.tensor(rotation), x)
    wrong = align(x @ torch.tensor(rotation), x, shuffle=0)
    source = join(english, 1, fitted.target)
    tagger = finetune_tagger(source, BANK, SETTINGS, task="pos", progress=False, frozen=("lower",))

    def through(side, turn):
        joined = join(english, 1, side, turn)
        joined.model.lower = Turned(joined.model.lower, rotation)
        return in_language(tagger, LoadedModel("turned", joined.model, english.tokenizer))

    assert tag(through(fitted.source, fitted.rotation), BANK) == tag(tagger, BANK)
    own = evaluate_tagger(tagger, BANK).value
    assert evaluate_tagger(through(wrong.source, wrong.rotation), BANK).value < own - 0.1
    assert evaluate_tagger(through(fitted.source, None), BANK).value < own - 0.1


def test_what_cannot_be_joined():
    with pytest.raises(ValueError, match="layer: expected 0 to 2, got 3"):
        join(small.loaded(), 3)
    with pytest.raises(ValueError, match="rotation: expected the normalisation"):
        join(small.loaded(), 1, None, torch.tensor(np.eye(16)))
