"""What comes with the library is what it says: its files, its settings, its numbers."""

import json
import shutil

import numpy as np
import pytest

from xsim_lib.evidence.columns import FORWARD
from xsim_lib.study import profiles
from xsim_lib.study.experiment import start
from xsim_lib.text.types import Corpus
from xsim_lib.training import zoo
from xsim_lib.training.zoo import shipping
from xsim_lib.workflow import shipments

MODELS = shipping.shipped_table()
NAMES = [f"{row.paper} {row.model}" for row in MODELS.itertuples()]


def spec_of(row):
    return profiles.paper_settings(row.paper, "mini").shipped(row.model, row.seed)


def provenance(row):
    return json.loads((shipping.FOLDER / row.folder / "provenance.json").read_text())


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder of shipped models, to ship into."""
    monkeypatch.setattr(shipping, "FOLDER", tmp_path / "shipped")
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path / "cache"))
    shipping._known.cache_clear()
    yield tmp_path / "shipped"
    shipping._known.cache_clear()


def small_spec(**training):
    spec = profiles.paper_settings("anc2022", "smoke").spec("scale_post", 1)
    return spec.model_copy(update={"training": spec.training.model_copy(update=training)})


def shipped(spec, step=None):
    checkpoint = zoo.get(spec, shipped=False, progress=False)
    return shipping.write_shipped(
        "anc2022", "scale_post", 1, checkpoint, step or checkpoint.steps[-1], []
    )


# ---------------------------------------------------------------- what ships
def test_everything_that_settings_ship_stands_and_nothing_else_ships():
    """Whoever changes a setting that voids a shipped model trains and ships it again."""
    asked = set()
    for paper in profiles.papers_with_settings():
        assert shipments.void(paper, "mini") == {}
        settings = profiles.paper_settings(paper, "mini")
        asked |= {(paper, name, seed) for name in settings.ships for seed in settings.seeds}
    assert asked == set(MODELS[["paper", "model", "seed"]].itertuples(index=False, name=None))


def test_it_stays_small():
    assert len(MODELS) <= 20
    files = [p for p in shipping.FOLDER.rglob("*") if p.is_file()]
    assert max(p.stat().st_size for p in files) <= 2_000_000
    assert sum(p.stat().st_size for p in files) <= 15_000_000
    weights = {p.parents[2].relative_to(shipping.FOLDER).as_posix() for p in shipping.FOLDER.rglob("*.safetensors")}  # fmt: skip
    assert weights == set(MODELS["folder"])


@pytest.mark.parametrize("row", list(MODELS.itertuples()), ids=NAMES)
def test_the_held_out_loss_of_a_file_is_the_recorded_one(row):
    checkpoint = zoo.get(spec_of(row))
    sample = Corpus("sample", provenance(row)["shipped"]["sample"])
    half = min(map(len, sample.sentences.values())) // 2
    assert shipping.held_out_loss(checkpoint, sample, half) == pytest.approx(
        row.loss_of_sample, abs=1e-4
    )
    # Rounding to half precision has cost next to nothing.
    curve = checkpoint.history.set_index("step")["loss"]
    assert row.loss == pytest.approx(curve[row.step], abs=2e-3)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row, marks=[] if name == "parafac2023 monolingual en" else pytest.mark.slow, id=name
        )
        for row, name in zip(MODELS.itertuples(), NAMES, strict=True)
    ],
)
def test_fifty_steps_of_training_go_as_they_went(row):
    """Training is chaotic in the end; code or text that differs shows long before other digits do."""
    recorded = provenance(row)["shipped"]["first_losses"]
    assert len(recorded) == shipping.FIRST_STEPS
    np.testing.assert_allclose(
        zoo.first_losses(spec_of(row), shipping.FIRST_STEPS), recorded, atol=1e-3
    )


def test_schemes_ship_at_equal_loss():
    """The snapshots that pages compare: those nearest to the loss at which the worst of them ends."""
    rows = [r for r in MODELS.itertuples() if r.paper == "anc2022"]
    curves = {r.model: zoo.get(spec_of(r)).history for r in rows}
    target = max(curve["loss"].iloc[-1] for curve in curves.values())
    for row in rows:
        nearest = (curves[row.model]["loss"] - target).abs().idxmin()
        assert row.step == curves[row.model]["step"][nearest]


# ---------------------------------------------------------------- shipping
def test_a_shipped_model_takes_the_place_of_training(elsewhere):
    spec = small_spec()
    trained = zoo.get(spec, shipped=False, progress=False)
    found = shipped(spec, trained.steps[0])
    again = zoo.get(spec)
    assert again.directory == found.folder
    assert again.steps == [trained.steps[0]]
    for name, value in again.load().model.state_dict().items():
        assert str(value.dtype) == "torch.float32"
        whole = trained.load(trained.steps[0]).model.state_dict()[name]
        np.testing.assert_allclose(value, whole, rtol=1e-3, atol=1e-6)
    assert zoo.get(spec.model_copy(update={"name": "other"})).directory == found.folder


def test_shipping_again_replaces_a_model_and_leaves_nothing_behind(elsewhere):
    spec = small_spec()
    steps = zoo.get(spec, shipped=False, progress=False).steps
    first, second = shipped(spec, steps[0]), shipped(spec, steps[-1])
    assert not first.folder.exists()
    assert len(shipping.shipped_table()) == 1
    assert zoo.get(spec).steps == [steps[-1]]
    assert second.folder.exists()


def test_another_setting_is_another_model_and_is_named(elsewhere):
    shipped(small_spec())
    other = small_spec(steps=13)
    assert shipping.find_shipped(other) is None
    assert shipping.obstacles("anc2022", "scale_post", 1, other) == ["training.steps was 12, is 13"]
    assert shipping.obstacles("anc2022", "scale_pre", 1, other) == ["nothing ships under this name"]


def test_what_is_trained_on_from_a_shipped_model_is_another_model(elsewhere):
    """Rounded weights are other weights: what was trained on from the unrounded ones is not taken for it."""
    spec = small_spec()
    settings = spec.training.model_copy(update={"steps": 2, "evaluations": 1})
    adapted = spec.adapted("adapted", spec.source, settings)
    before = zoo.get(adapted, progress=False)
    shipped(spec)
    assert zoo.get(adapted, progress=False).directory != before.directory


@pytest.mark.parametrize("harm", ["damaged", "missing"])
def test_a_file_that_is_not_the_shipped_one_is_refused_by_name(elsewhere, harm):
    spec = small_spec()
    file = shipped(spec).weights
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.unlink() if harm == "missing" else file.write_bytes(content)
    with pytest.raises(ValueError, match=r"model.safetensors: expected the weights of anc2022 scale_post, seed 1"):  # fmt: skip
        zoo.get(spec)


def test_another_tokenizer_is_refused_by_name(elsewhere):
    spec = small_spec()
    found = shipped(spec)
    file = found.tokenizers / "tokenizer.json"
    rules = json.loads(file.read_text())
    rules["normalizer"] = {"type": "Lowercase"}
    file.write_text(json.dumps(rules))
    with pytest.raises(ValueError, match=f"{found.tokenizers.name}: expected the tokenizer of anc2022 scale_post"):  # fmt: skip
        zoo.get(spec)


def test_text_made_by_other_code_is_noted_and_not_refused(elsewhere):
    spec = small_spec()
    file = shipped(spec).folder / "provenance.json"
    made = json.loads(file.read_text())
    made["trace"]["xsim_lib.text.artificial.family:Family.text"] = "another text"
    file.write_text(json.dumps(made))
    run = start("anc2022.fig4", profile="smoke")
    run.checkpoint("scale_post", 1)
    assert "1 functions have changed since" in run._shipped()["shipped models"]


def test_rows_of_a_shipped_model_are_forward_rows(elsewhere):
    """Nothing was trained for them: they must come out the same on any machine."""
    for name in ("scale_post", "scale_pre", "scale_normformer", "scale_normformer-v2"):
        spec = profiles.paper_settings("anc2022", "smoke").spec(name, 1)
        checkpoint = zoo.get(spec, shipped=False, progress=False)
        shipping.write_shipped("anc2022", name, 1, checkpoint, checkpoint.steps[-1], [])
    run = start("anc2022.fig4", profile="smoke")
    run.models(1)
    run.record([{"metric": "anc", "value": 0.5}], model="scale_post", seed=1)
    assert set(run.records.frame["made_by"]) == {FORWARD}


def test_a_copy_of_the_folder_elsewhere_works(tmp_path, monkeypatch):
    """As in an installed package: nothing refers to where it was made."""
    shutil.copytree(shipping.FOLDER, tmp_path / "shipped")
    monkeypatch.setattr(shipping, "FOLDER", tmp_path / "shipped")
    shipping._known.cache_clear()
    row = next(MODELS.itertuples())
    assert tmp_path in zoo.get(spec_of(row)).directory.parents
    shipping._known.cache_clear()
