"""A run from its first check to its files: nothing wrong starts, nothing measured gets lost."""

import json
import math

import pandas as pd
import pytest
import torch

from xsim_lib.evidence import claims, hashing, paths, records, tracing
from xsim_lib.evidence.definitions import library
from xsim_lib.models import loading
from xsim_lib.models.encoder import EncoderConfig, EncoderForMaskedLM
from xsim_lib.models.tokenization import train_tokenizer
from xsim_lib.reading.comparison import compare
from xsim_lib.study import experiment, learning_rates, standing
from xsim_lib.text.types import Corpus

PAIR = "en-fr"


@pytest.fixture(autouse=True)
def project(tmp_path, tmp_path_factory, monkeypatch):
    """A project folder of its own; checkpoints are shared by the tests of one session."""
    monkeypatch.setenv("XSIM_HOME", str(tmp_path))
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path / "_build"))
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path_factory.getbasetemp() / "experiment-cache"))
    return tmp_path


def start(item="anc2022.fig4", **options):
    return experiment.start(item, **{"profile": "smoke", **options})


# ---------------------------------------------------------------- start
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"item": "anc2022"}, "item: expected PAPER.ITEM such as 'anc2022.fig4', got 'anc2022'"),
        ({"item": "anc2022.nope"}, "item: anc2022 has claims on .*fig1.*; got 'nope'"),
        ({"item": "anc1999.fig1"}, "paper: expected one of .*'anc1999'"),
        ({"profile": "tiny"}, "profile: anc2022 has smoke, .*'tiny'"),
        ({"seeds": "[1]"}, r"seeds: expected a list, got the string '\[1\]'.*-y"),
        ({"pairs": "en-fr"}, "pairs: expected a list, got the string 'en-fr'"),
        ({"pairs": ["en-xx"]}, "got 'xx'"),
        ({"seeds": [0]}, "seeds: expected seeds other than the sweep's"),
        ({"pears": ["en-fr"]}, "pears"),
        ({"checkpoints": "xlm-roberta-base"}, "checkpoints: expected a mapping, got the string"),
    ],
)
def test_nothing_starts_with_a_wrong_parameter(arguments, message):
    with pytest.raises(ValueError, match=message):
        start(**arguments)


def test_start_takes_the_settings_of_the_profile_and_the_overrides():
    run = start(seeds=[2, 3], pairs=[PAIR], n_parallel=None)
    assert (run.paper, run.item, run.profile) == ("anc2022", "fig4", "smoke")
    assert (run.seeds, run.pairs) == ((2, 3), (PAIR,))
    assert start().seeds == (1,)
    assert list(run.parallel) == [PAIR]
    assert len(run.parallel[PAIR]) == run.settings.n_parallel == 100


def test_classification_gives_each_split_its_own_items():
    run = start("anc2022.table1")
    train, test = (run.classification("en", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (64, 60)
    assert not set(zip(train.premises, train.hypotheses, strict=True)) & set(
        zip(test.premises, test.hypotheses, strict=True)
    )


# ---------------------------------------------------------------- a whole run
def measure(seed, **options):
    run = start(seeds=[seed], pairs=[PAIR], **options)
    (model, loss) = run.models(seed, "scale_post")["scale_post"]
    rows = compare(model, run.parallel, baselines=("shuffled",), progress=False)
    run.record(rows, model="scale_post", seed=seed)
    run.record([{"metric": "loss", "value": loss}], model="scale_post", seed=seed)
    return run


def test_a_run_records_judges_and_leaves_its_records_with_their_provenance(project):
    run = measure(1)
    frame = run.records.frame
    assert set(frame["paper"]) == {"anc2022"}
    assert set(frame["item"]) == {"fig4"}
    assert set(frame["profile"]) == {"smoke"}
    assert set(frame["metric"]) == {"anc", "cka", "loss"}
    assert len(frame) == 2 * 2 * 4 + 1  # metrics, baselines, layers, and the loss

    verdicts = run.verdicts().data
    assert len(verdicts) == len(claims.claims_of("anc2022", "fig4"))
    assert set(verdicts["verdict"]) == {"not testable here"}  # smoke decides nothing

    footer = run.finish()[""]
    # Only one pair was asked for: these are not the records that the book is judged on.
    assert not (project / "_build" / "smoke" / "records").exists()
    assert "the book is not judged on them" in footer["records"]
    (path,) = (project / "_build" / "smoke" / "other").glob("*/anc2022.fig4.parquet")
    written, made = records.read_records(path), records.read_provenance(path)
    pd.testing.assert_frame_equal(
        written.frame.drop(columns="provenance"), frame.drop(columns="provenance")
    )
    assert set(written.frame["provenance"]) == {made["id"]} == {footer["provenance id"]}
    assert made["seeds"] == [1]
    assert made["parameters"] == {
        "item": "anc2022.fig4", "profile": "smoke", "seeds": [1], "group": "schemes",
        "pairs": [PAIR], "page": {"pairs": [PAIR]},
    }  # fmt: skip
    assert {
        "xsim_lib.reading.comparison:compare",
        "xsim_lib.training.pretraining.loop:pretrain",
    } <= set(made["trace"])
    assert not any(
        name.startswith(("xsim_lib.evidence.claims", "xsim_lib.figures.plots"))
        for name in made["trace"]
    )
    assert made["text"][PAIR] == run.parallel[PAIR].fingerprint
    assert made["settings"] == run.settings.model_dump(mode="json", exclude={"seeds"})
    assert "scale_post/1" in made["weights"]
    assert set(written.frame["made_by"]) == {"trained"}
    assert str(project) not in json.dumps(made)
    assert made["device"].count("(") == 1  # "cpu (name)", not "cpu (name) (name)"


def test_names_in_the_table_of_verdicts_are_text_and_no_html(monkeypatch):
    """Reasons quote names of models, which come from parameters and from tables that anybody can propose."""
    name = "<img src=x onerror=alert(1)>"
    (claim, *_) = claims.claims_of("anc2022", "fig4")
    found = {"claim": [claim.id], "verdict": [name], "measured": [name], "reason": [f"not: {name}"]}
    monkeypatch.setattr(claims, "verdict_table", lambda *_, **__: pd.DataFrame(found))
    run = start()
    run.record([{"metric": "loss", "value": 1.0}], model=name, seed=1)
    page = run.verdicts()._repr_mimebundle_()[0]["text/html"]
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 3


def test_models_are_at_equal_loss_of_all_schemes_also_where_one_is_shown():
    run = start()
    every, one = run.models(1), run.models(1, "scale_pre")
    assert list(every) == list(run.settings.group("schemes").models)
    assert list(one) == ["scale_pre"]
    assert every["scale_pre"][1] == one["scale_pre"][1]


def test_models_of_a_group_are_its_last_snapshots_and_come_one_at_a_time(monkeypatch):
    groups = {"twins": ["scale_pre", "scale_post"]}
    run = start(group="twins", groups=groups)
    assert run.names == ("scale_pre", "scale_post")
    found = run.models(1)
    assert list(found) == list(run.names)
    for name, (model, loss) in found.items():
        history = run.checkpoint(name, 1).history
        assert loss == history["loss"].iloc[-1]
        assert model.name == name
    assert list(run.models(1, "scale_post", group="twins")) == ["scale_post"]
    loaded = []
    monkeypatch.setattr(
        experiment.zoo.Checkpoint, "load", lambda self: loaded.append(self.spec.name)
    )
    next(run.each(1))
    assert loaded == ["scale_pre"]
    with pytest.raises(
        ValueError, match="names: group twins has scale_pre, scale_post; got 'bert'"
    ):
        run.models(1, "bert")
    with pytest.raises(ValueError, match=r"group: this profile has .*; got 'mlm9'"):
        start(group="mlm9")


# ---------------------------------------------------------------- public models
def public(folder):
    """Save a tiny checkpoint that was not trained here."""
    lines = ("a bad cab", "dab a cad", "b a d c, d a b!")
    tokenizer = train_tokenizer(Corpus("letters", {"aa": lines}), 40)
    config = EncoderConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=128, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with loading.quiet_transformers():
        EncoderForMaskedLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def test_public_models_take_the_place_of_those_trained_here(project, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment.zoo, "get", None)  # nothing is trained
    folder = public(tmp_path / "elsewhere" / "mine")
    large = {"checkpoint": str(folder), "dtype": "bfloat16", "device": "auto"}
    run = start(pairs=[PAIR], checkpoints={"a": str(folder), "b": large})
    assert run.names == ("a", "b")
    for name, model, loss in run.each(1):
        assert math.isnan(loss)
        assert model.model.dtype == (torch.bfloat16 if name == "b" else torch.float32)
        rows = compare(model, run.parallel, baselines=(), progress=False)
        run.record(rows, model=name, seed=1)
    footer = run.finish()[""]
    # A user's own checkpoint never lands among the records that judge a named one.
    assert not (project / "_build" / "smoke" / "records").exists()
    (path,) = (project / "_build" / "smoke" / "other").glob("*/anc2022.fig4.parquet")
    made = records.read_provenance(path)
    found = made["parameters"]["public_checkpoints"]
    assert [found[name]["dtype"] for name in "ab"] == ["float32", "bfloat16"]
    weights = found["a"]["weights"]
    expected = {"model.safetensors": hashing.file_sha256(folder / "model.safetensors")}
    assert weights == hashing.stable_hash(expected)
    assert footer["public models"].startswith(f"mine at {weights[:12]}, mine at")
    assert made["text"] == {pair: corpus.fingerprint for pair, corpus in run.parallel.items()}
    assert set(run.records.unique("made_by")) == {"forward"}
    assert made["parameters"]["checkpoints"] == {
        "a": "mine", "b": large | {"checkpoint": "mine"},
    }  # fmt: skip
    assert str(project) not in json.dumps(made)


def test_other_weights_give_another_provenance(project, tmp_path):
    ids = []
    for k in range(2):
        run = start(pairs=[PAIR], checkpoints={"a": str(public(tmp_path / str(k) / "mine"))})
        run.record([{"metric": "n_layers", "value": 2}], model="a", seed=1)
        next(run.each(1))
        ids.append(run.finish().loc["provenance id", ""])
    assert ids[0] != ids[1]


def test_a_page_without_models_and_text_can_finish():
    run = start("anc2022.s5.1")
    run.record([{"metric": "anc", "value": 0.5}], model="random", seed=1)
    assert run.finish().loc["data", ""] == "no text"


def test_a_public_model_that_is_not_there_is_named(tmp_path):
    run = start(checkpoints={"a": str(tmp_path / "nothing")})
    with pytest.raises(ValueError, match="name_or_folder: no folder and no model"):
        run.models(1)


def test_two_values_for_one_measurement_are_refused():
    run = start()
    for value in (0.1, 0.2):
        run.record([{"metric": "anc", "value": value, "layer": 1, "n_layers": 3}], seed=1)
    with pytest.raises(ValueError, match="two values for one key"):
        _ = run.records


# ---------------------------------------------------------------- recorded runs
def test_columns_show_the_paper_this_build_and_the_recorded_runs(project):
    run = start(profile="mini", seeds=[1, 2])
    run.record([{"metric": "anc", "value": 0.5}], seed=1)
    reported = records.Records.of(
        [{"metric": "anc", "value": 0.6}], paper="anc2022", item="fig4", profile="paper", seed=0
    )
    about = records.provenance_of(text={}, trace={}, seeds=[3], profile="mini")
    kept = records.Records.of(
        [{"metric": "anc", "value": 0.7}], paper="anc2022", item="fig4", profile="mini", seed=3
    )
    records.write_records(kept, paths.results_dir("mini") / "anc2022.fig4.csv", about)
    columns = run.columns(reported=reported)
    assert [column.profile for column in columns] == ["", "mini", "mini"]
    titles = [column.title for column in columns]
    assert titles == ["paper", "this build\nmini, 2 seeds", "recorded\nmini, 1 seed"]
    assert [column.title for column in run.columns()] == titles[1:]


# ---------------------------------------------------------------- the sweep
def test_a_sweep_records_the_held_out_loss_of_every_scheme_at_every_rate(project):
    found = learning_rates.sweep("anc2022", "smoke")
    path = project / "results" / "smoke" / "anc2022.sweep.csv"
    frame = found.frame
    assert frame["model"].unique().tolist() == ["scale_post", "scale_pre", "scale_normformer"]
    assert frame.groupby("model")["variant"].apply(list).tolist() == [["lr=0.001", "lr=0.003"]] * 3
    assert frame["value"].nunique() == 6
    assert found.seeds == (0,)
    pd.testing.assert_series_equal(
        records.read_records(path).frame["value"], frame["value"], rtol=1e-5
    )
    made = records.read_provenance(path)
    assert made["parameters"] == {"learning_rates": [0.001, 0.003], "steps": 6, "seed": 0}
    fingerprint = start().settings.source.training().fingerprint
    assert set(made["text"].values()) == {fingerprint}
    # The sweep is no item: verdicts do not stumble over its file.
    assert len(standing.verdicts("smoke")) == len(claims.all_claims())


def test_a_sweep_that_a_profile_does_not_have_is_an_error(monkeypatch):
    settings = start().settings.model_copy(update={"sweep": None})
    monkeypatch.setattr(learning_rates.profiles, "paper_settings", lambda *a, **k: settings)
    with pytest.raises(ValueError, match="group: schemes of anc2022 has no sweep at 'smoke'"):
        learning_rates.sweep("anc2022", "smoke")


@pytest.mark.slow
def test_a_group_has_a_sweep_of_its_own(project):
    frame = learning_rates.sweep("anc2022", "smoke", "mlm").frame
    settings = start().settings
    assert tuple(frame["model"].unique()) == settings.group("mlm").models
    assert frame["variant"].unique().tolist() == ["lr=0.001", "lr=0.003"]
    path = project / "results" / "smoke" / "anc2022.sweep.mlm.csv"
    pd.testing.assert_series_equal(
        records.read_records(path).frame["value"], frame["value"], rtol=1e-5
    )
    made = records.read_provenance(path)
    fingerprint = settings.group("mlm").source.training().fingerprint
    assert set(made["text"].values()) == {fingerprint}
    assert len(standing.verdicts("smoke")) == len(claims.all_claims())  # the file is no item
    with pytest.raises(ValueError, match=r"group: this profile has schemes, .*; got 'cml'"):
        learning_rates.sweep("anc2022", "smoke", "cml")


def test_the_address_of_a_measurement_does_not_depend_on_who_asks():
    """The items of one chapter share their checkpoints."""
    items = ("anc2022.fig1", "anc2022.fig4")
    specs = [start(item).settings.spec("scale_post", 1) for item in items]
    assert len({hashing.stable_hash(spec) for spec in specs}) == 1


def test_modules_that_only_draw_exist():
    """A module that is moved would count as part of what measures, without a word."""
    modules = {name.partition(":")[0] for name in library().all_functions()} - {"xsim_lib"}
    names = experiment._STORING
    assert [n for n in names if not any(tracing.within(m, [n]) for m in modules)] == []
