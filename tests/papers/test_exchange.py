"""Tasks read through another encoder: the rotation is found, each cell is measured once, none is mixed up."""

import numpy as np
import pytest
import small
import torch
from scipy.stats import ortho_group

from xsim_lib.models.encoder import LoadedModel
from xsim_lib.papers.emerging2020 import rotated_tasks
from xsim_lib.tasks.tagging import TaggerSettings
from xsim_lib.tasks.transfer import Task
from xsim_lib.text.word_links import AlignedSentence

SETTINGS = TaggerSettings(steps=40, batch_size=16, learning_rate=3e-3, max_length=64, seed=0)
TASK = Task(
    "pos",
    SETTINGS,
    small.SOURCE.treebank("en", 80, "train"),
    {x: small.SOURCE.treebank(x, 30, "test") for x in ("en", "fr")},
)


class Turned(torch.nn.Module):
    """An encoder whose hidden states are rotated: another model that says the same."""

    def __init__(self, base, rotation):
        super().__init__()
        self.base, self.config, self.device = base, base.config, base.device
        self.register_buffer("rotation", torch.tensor(rotation).float())

    @property
    def base_model(self):
        return self

    def forward(self, **batch):
        found = self.base(**batch)
        found.hidden_states = tuple(h @ self.rotation for h in found.hidden_states)
        return found


def turned(loaded):
    rotation = ortho_group.rvs(16, random_state=0)
    return LoadedModel("turned", Turned(loaded.model, rotation).eval(), loaded.tokenizer)


def same(n=40, links=None, shift=0):
    """Sentences that are their own translations; with a shift, words are linked to later ones."""
    lines = [tuple(line.split()) for line in small.corpus()["en"][:n]]
    return [
        AlignedSentence(x, x, tuple((k, (k + shift) % len(x)) for k in range(len(x))[:links]))
        for x in lines
    ]


def test_a_rotated_encoder_is_turned_back_at_every_layer():
    english = small.loaded()
    found = rotated_tasks.fitted_rotations(turned(english), english, same(), [0, 2])
    for layer, fitted in found.items():
        states = english.model(
            torch.tensor([[5, 9, 30, 12]]), attention_mask=torch.ones(1, 4), output_hidden_states=True
        ).hidden_states[layer][0].detach()  # fmt: skip
        other = states @ torch.tensor(ortho_group.rvs(16, random_state=0)).float()
        assert fitted.map_source(other) == pytest.approx(fitted.map_target(states), abs=1e-3)
    wrong = rotated_tasks.fitted_rotations(turned(english), english, same(), [0], shuffle=0)[0]
    assert (wrong.rotation - found[0].rotation).norm() > 1


def test_the_side_of_the_first_language_does_not_depend_on_the_links():
    english = small.loaded()
    right, wrong = (
        rotated_tasks.fitted_rotations(turned(english), english, same(shift=n), [1])[1]
        for n in (0, 1)
    )
    assert torch.equal(right.target.means, wrong.target.means)
    assert not torch.allclose(right.rotation, wrong.rotation, atol=0.1)
    with pytest.raises(ValueError, match="sentences: expected some links between words, got none"):
        rotated_tasks.fitted_rotations(turned(english), english, same(links=0), [1])


def test_cells_are_one_reading_per_layer_language_and_baseline():
    english = small.loaded()
    found = rotated_tasks.rotated_cells(
        english, turned(english), "en-fr", same(), baselines=("unmapped", "shuffled"), new_layers=1,
        model="MLM align",
    )  # fmt: skip
    kinds = [(c.about["layer"], c.language, c.about.get("baseline", "")) for c in found]
    expected = [("en", ""), ("fr", ""), ("fr", "shuffled"), ("fr", "unmapped")]
    assert kinds == [(layer, *kind) for layer in range(3) for kind in expected]
    assert {c.about["model"] for c in found} == {"MLM align"}
    assert {c.about.get("variant", "") for c in found if c.language == "en"} == {"en-fr"}
    plain = rotated_tasks.rotated_cells(
        english, english, "en-fr", same(), [1], rotate=False, new_layers=1
    )
    assert [c.language for c in plain] == ["en", "fr"]
    assert isinstance(plain[1].view.model.bridge, torch.nn.Identity)
    with pytest.raises(ValueError, match="baselines"):
        rotated_tasks.rotated_cells(
            english, english, "en-fr", same(), rotate=False, baselines=("unmapped",)
        )


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Count the trainings; a cache of the test's own."""
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    count, fit = [], Task.fit

    def counted(*arguments, **options):
        count.append(arguments)
        return fit(*arguments, **options)

    monkeypatch.setattr(Task, "fit", counted)
    return count


def readings(**options):
    english = small.loaded()
    return rotated_tasks.rotated_cells(
        english, turned(english), "en-en'", same(80), [1], new_layers=1, **options
    )  # fmt: skip


def test_what_is_learned_is_read_through_the_rotation_only(trained):
    task = Task("pos", SETTINGS, TASK.train, {"en": TASK.tests["en"], "en'": TASK.tests["en"]})
    found = rotated_tasks.transferred(readings(baselines=("unmapped", "shuffled")), task)
    assert len(trained) == 1
    found["baseline"] = found["baseline"].fillna("")
    value = found.set_index(["pair_or_language", "baseline"])["value"]
    own, other = value["en-en", ""], value["en-en'", ""]
    assert other == pytest.approx(own, abs=1)  # the same sentences, turned and turned back
    assert max(value["en-en'", "unmapped"], value["en-en'", "shuffled"]) < own - 10
    assert np.all((found["lower"] <= found["value"]) & (found["value"] <= found["upper"]))
    assert 0 <= found["value"].min() <= found["value"].max() <= 100


def test_each_cell_is_measured_once_and_a_killed_page_goes_on(trained, tmp_path):
    task = Task("pos", SETTINGS, TASK.train, {"en": TASK.tests["en"], "en'": TASK.tests["en"]})
    first = rotated_tasks.transferred(readings(), task)
    again = rotated_tasks.transferred(readings(), task)
    assert again.equals(first)
    assert len(trained) == 1
    file = sorted(tmp_path.glob("scores/*.trace.json"))[0]
    file.unlink()
    assert rotated_tasks.transferred(readings(), task).equals(first)
    assert len(trained) == 2
    longer = Task("pos", SETTINGS.model_copy(update={"steps": 41}), task.train, task.tests)
    rotated_tasks.transferred(readings(), longer)
    assert len(trained) == 3


def test_a_language_without_a_test_is_refused(trained):
    cells = readings()
    with pytest.raises(ValueError, match='cells: pos is tested in en, fr; got "en\'"'):
        rotated_tasks.transferred(cells, TASK)
    assert not trained
