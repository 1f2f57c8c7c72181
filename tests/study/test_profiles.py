"""Settings are data that is checked: a mistake is named before anything is trained."""

import re

import pytest
from pydantic import ValidationError

from xsim_lib.evidence import records
from xsim_lib.papers.align2021.tasks import transfer_task, unseen_task
from xsim_lib.papers.anc2022.claims_beyond import DECODERS, ENCODERS, MBERT, XLMR
from xsim_lib.study import profiles
from xsim_lib.training.pretraining import PretrainingSettings

EVERY = [
    (paper, profile)
    for paper in profiles.papers_with_settings()
    for profile in profiles._load(paper)
]
each = pytest.mark.parametrize(("paper", "profile"), EVERY)


def test_there_are_settings_of_the_first_chapter_at_every_profile_it_promises():
    assert {("anc2022", p) for p in ("smoke", "mini", "real")} <= set(EVERY)
    assert {profile for _, profile in EVERY} <= set(profiles.PROFILES)


@each
def test_every_profile_loads_and_specifies_every_model(paper, profile):
    settings = profiles.paper_settings(paper, profile)
    specs = {n: settings.spec(n, seed) for n in settings.trained for seed in settings.seeds}
    assert [spec.name for spec in specs.values()] == list(settings.trained)
    for name, spec in specs.items():
        assert spec.training.learning_rate == settings.models[name].learning_rate
    if profiles.SCHEMES in settings.group_names:
        for name in set(settings.group(profiles.SCHEMES).models) & set(specs):
            assert specs[name].training.evaluations > 1  # equal loss needs snapshots to choose from
    wanted = settings.classification
    if wanted is not None:
        settings.source.check_languages(*wanted.languages)


@each
def test_models_of_one_chapter_differ_in_what_is_compared_and_in_nothing_else(paper, profile):
    settings = profiles.paper_settings(paper, profile)
    if profiles.SCHEMES not in settings.group_names:
        pytest.skip(
            f"{paper} compares no models of this list: it makes them from pairs and languages"
        )
    models = settings.group(profiles.SCHEMES).models
    shared = [settings.spec(name, 1).model_dump() for name in models if name in settings.trained]
    for spec in shared:
        for key in ("name", "encoder"):
            spec.pop(key)
        for key in ("learning_rate", "seed"):
            spec["training"].pop(key)
    assert all(spec == shared[0] for spec in shared)


@each
def test_no_seed_that_is_reported_is_the_seed_of_the_sweep(paper, profile, repository):
    settings = profiles.paper_settings(paper, profile)
    if settings.sweep is None:
        pytest.skip(f"{paper} has no sweep at {profile}")
    trained = {settings.spec(m, s).training.seed for m in settings.trained for s in range(1, 100)}
    assert settings.sweep.seed not in {*settings.seeds, *trained}
    for file in (repository / "results" / profile).glob(f"{paper}.*.csv"):
        own = file.stem.startswith(f"{paper}.sweep")
        assert (settings.sweep.seed in records.read_records(file).seeds) == own, file.name
    with pytest.raises(ValueError, match="seeds: expected seeds other than the sweep's"):
        profiles.paper_settings(paper, profile, seeds=[settings.sweep.seed])


@pytest.mark.parametrize(
    ("paper", "profile", "group"),
    [(*e, group) for e in EVERY for group in profiles.paper_settings(*e).group_names],
)
def test_learning_rates_are_the_best_of_the_recorded_sweep(paper, profile, group, repository):
    settings = profiles.paper_settings(paper, profile)
    name = f"{paper}.sweep.csv" if group == profiles.SCHEMES else f"{paper}.sweep.{group}.csv"
    path = repository / "results" / profile / name
    if not path.exists():
        pytest.skip(f"no sweep of {group} of {paper} is recorded at {profile}: xsim sweep {paper}")
    frame = records.read_records(path).frame
    assert set(frame["metric"]) == {"loss"}
    best = frame.loc[frame.groupby("model")["value"].idxmin()].set_index("model")["variant"]
    rates = {model: float(variant.removeprefix("lr=")) for model, variant in best.items()}
    tried = {float(variant.removeprefix("lr=")) for variant in frame["variant"]}
    assert tried == set(settings.group(group).sweep.learning_rates)
    # Models that differ in nothing but their seed share one sweep.
    encoder = {m: str(settings.spec(m, 1).encoder) for m in settings.group(group).models}
    by_encoder = {encoder[model]: rate for model, rate in rates.items()}
    assert set(by_encoder) == set(encoder.values())
    for model in encoder:
        assert settings.models[model].learning_rate == by_encoder[encoder[model]], model


# ---------------------------------------------------------------- overrides
def test_overrides_replace_settings_and_none_keeps_them():
    settings = profiles.paper_settings(
        "anc2022", "smoke", pairs=["en-fr"], seeds=None, n_parallel=50
    )
    assert (settings.pairs, settings.seeds, settings.n_parallel) == (("en-fr",), (1,), 50)
    assert profiles.paper_settings("anc2022", "smoke").n_parallel != 50


def test_spec_overrides_training_and_shifts_the_seed_of_a_second_start():
    settings = profiles.paper_settings("anc2022", "smoke")
    spec = settings.spec("scale_normformer-v2", 3, learning_rate=0.5, steps=2)
    assert (spec.training.seed, spec.training.learning_rate, spec.training.steps) == (1003, 0.5, 2)
    assert isinstance(spec.training, PretrainingSettings)
    assert settings.spec("scale_normformer", 3).encoder == spec.encoder


# ---------------------------------------------------------------- groups, public models
def grouped(**groups):
    """Settings of the smoke profile with one more scheme, `b`, and these groups alone."""
    table = profiles._load("anc2022")["smoke"]
    models = {name: table["models"][name] for name in table["groups"]["schemes"]}
    models["b"] = {"encoder": {"norm": "pre"}, "learning_rate": 1e-3, "languages": ["en", "fr"]}
    return profiles.PaperSettings(**{**table, "models": models, "groups": groups})


def test_models_of_no_group_are_schemes_and_a_group_has_what_the_chapter_has():
    settings = grouped(twins=["b", "scale_pre"])
    assert settings.group_names == ("schemes", "twins")
    assert settings.group("schemes").models == (
        "scale_post",
        "scale_normformer",
        "scale_normformer-v2",
    )
    twins = settings.group("twins")
    assert twins.models == ("b", "scale_pre")
    assert (twins.source, twins.pairs, twins.n_parallel) == (
        settings.source, settings.pairs, settings.n_parallel,
    )  # fmt: skip
    assert (twins.sweep, settings.group("schemes").sweep) == (None, settings.sweep)
    with pytest.raises(ValueError, match="group: this profile has schemes, twins; got 'mlm'"):
        settings.group("mlm")


def test_a_model_may_have_its_own_languages_training_and_vocabulary():
    settings = grouped(twins=["b", "scale_pre"])
    assert settings.spec("b", 1).source.languages == ("en", "fr")
    assert settings.spec("b", 1).source.training().languages == ("en", "fr")
    assert settings.spec("scale_pre", 1).source == settings.source
    one = {"encoder": {"norm": "pre"}, "learning_rate": 1e-3, "training": {"steps": 3}}
    own = profiles.paper_settings("anc2022", "smoke", models={"a": one | {"vocabulary": 99}})
    spec = own.spec("a", 1)
    assert (spec.vocabulary, spec.training.steps) == (99, 3)
    assert spec.training.held_out == own.training["held_out"]


@pytest.mark.parametrize("profile", ["smoke", "mini", "real"])
def test_ladders_differ_in_size_and_objective_and_in_nothing_else(profile):
    settings = profiles.paper_settings("anc2022", profile)
    found = {g: [settings.spec(m, 1) for m in settings.group(g).models] for g in ("mlm", "clm")}
    keys = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    sizes = {g: [[s.encoder[key] for key in keys] for s in specs] for g, specs in found.items()}
    assert len(sizes["mlm"]) >= 4
    assert all(ladder == sorted(ladder) for ladder in sizes.values())  # as large as their names say
    rest = []
    for group, specs in found.items():
        for spec in (s.model_dump() for s in specs):
            assert spec["training"].pop("objective") == group
            assert spec["encoder"].pop("causal", False) == (group == "clm")
            del spec["name"], spec["training"]["learning_rate"]
            rest.append({k: v for k, v in spec.items() if k != "encoder"})
            rest[-1]["encoder"] = {k: v for k, v in spec["encoder"].items() if k not in keys}
    assert all(spec == rest[0] for spec in rest)
    if profile != "smoke":
        assert all(size in sizes["clm"] for size in sizes["mlm"])


def test_profile_paper_is_the_public_checkpoints_on_the_sentences_of_the_authors():
    settings = profiles.paper_settings("anc2022", "paper")
    assert settings.trained == ()
    assert (settings.n_parallel, settings.truncate) == (10_000, 100)
    assert settings.group("families").pairs == ("en-et", "en-lt", "en-lv", "en-fr", "en-pl")
    for group, models in (("mlm", ENCODERS), ("clm", DECODERS)):
        assert settings.group(group).models == models
        assert set(settings.group(group).pairs) == {"en-fr", "en-et", "en-ru", "en-de"}
    assert settings.group("families").models == (MBERT, XLMR)
    public = {name: scheme.checkpoint.split("/")[-1] for name, scheme in settings.models.items()}
    assert all(base.removeprefix("aacl22.") == name for name, base in public.items())


def test_overrides_go_to_the_group_of_the_page():
    table = profiles._load("anc2022")["smoke"]
    groups = {"twins": {"models": ["scale_pre"], "pairs": ["en-bg"]}}
    models = {name: table["models"][name] for name in table["groups"]["schemes"]}
    common = {"models": models, "groups": groups, "pairs": ["fr-bg"]}
    settings = profiles.paper_settings("anc2022", "smoke", group="twins", **common)
    assert settings.group("twins").pairs == ("fr-bg",)
    assert settings.group("schemes").pairs == ("en-fr", "en-et", "en-bg")
    settings = profiles.paper_settings("anc2022", "smoke", **common)
    assert settings.group("twins").pairs == ("en-bg",)
    assert settings.group("schemes").pairs == ("fr-bg",)


@pytest.mark.parametrize(
    ("group", "named"),
    [
        ({"models": ["scale_pre"], "pairs": ["en-xx"]}, "got 'xx'"),
        ({"models": ["other"]}, "model: expected one of .*'other'"),
        ({"models": []}, "twins.models.*at least 1"),
        (
            {
                "models": ["b", "scale_pre"],
                "source": {"kind": "artificial", "languages": ["en", "et", "bg"], "sentences": 99},
                "pairs": ["en-et"],
            },
            "languages: b: the source has en, et, bg; got 'fr'",
        ),
    ],
)
def test_a_wrong_group_is_named(group, named):
    with pytest.raises(ValidationError, match=f"(?s){named}"):
        grouped(twins=group)


def test_a_model_cannot_be_trained_on_the_text_of_two_groups():
    other = {"kind": "artificial", "languages": ["en", "fr", "et", "bg"], "sentences": 99}
    with pytest.raises(ValueError, match="b is in one and two, whose sources differ"):
        grouped(one=["b"], two={"models": ["b"], "source": other})


def test_checkpoints_take_the_place_of_the_models_of_the_group():
    public = {"mine": "xlm-roberta-base", "big": {"checkpoint": "x/y", "dtype": "bfloat16"}}
    settings = profiles.paper_settings("anc2022", "smoke", checkpoints=public)
    assert settings.group("schemes").models == ("mine", "big")
    assert settings.models["mine"].checkpoint == "xlm-roberta-base"
    assert settings.models["big"].dtype == "bfloat16"
    assert not {"scale_post", "scale_pre"} & set(settings.models)  # nobody asks for them any more
    assert settings.group("mlm") == profiles.paper_settings("anc2022", "smoke").group("mlm")
    with pytest.raises(ValueError, match="mine is the public checkpoint 'xlm-roberta-base'"):
        settings.spec("mine", 1)


@pytest.mark.parametrize(
    ("checkpoints", "message"),
    [
        ("xlm-roberta-base", "checkpoints: expected a mapping .*got 'xlm-roberta-base'"),
        ({}, "checkpoints: expected a mapping"),
        ({"a": {"checkpoint": "x", "dtype": "int8"}}, "dtype: .*float32.*got 'int8'"),
        ({"a": {"checkpoint": "x", "learning_rate": 1}}, "learning_rate: a public checkpoint"),
        ({"a": {"learning_rate": 1, "dtype": "float16"}}, "dtype: only a public checkpoint"),
        ({"a": {"name": "x"}}, "name: Extra inputs"),
    ],
)
def test_wrong_checkpoints_are_named(checkpoints, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        profiles.paper_settings("anc2022", "smoke", checkpoints=checkpoints)


def test_an_unknown_profile_is_found_without_reading_settings():
    profiles.check("anc2022", "mini")
    profiles.check("notebooks", "paper")  # a notebook of no paper may take any profile
    with pytest.raises(ValueError, match=r"profile: anc2022 has smoke, mini.*; got 'tiny'"):
        profiles.check("anc2022", "tiny")
    with pytest.raises(ValueError, match=r"profile: expected one of smoke, mini.*; got 'tiny'"):
        profiles.check("notebooks", "tiny")


def test_settings_cannot_be_changed_in_place():
    settings = profiles.paper_settings("anc2022", "smoke")
    with pytest.raises(ValidationError, match="frozen"):
        settings.seeds = (0,)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("anc2023", "mini"), "paper: expected one of align2021, anc2022.*; got 'anc2023'"),
        (("anc2022", "tiny"), "profile: anc2022 has smoke, mini, real.*; got 'tiny'"),
    ],
)
def test_an_unknown_paper_or_profile_is_told_what_there_is(arguments, message):
    with pytest.raises(ValueError, match=message):
        profiles.paper_settings(*arguments)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pair": ["en-fr"]}, "pair: Extra inputs"),
        ({"pairs": "en-fr"}, "pairs: .*tuple.*got 'en-fr'"),
        ({"pairs": []}, "pairs: .*at least 1"),
        ({"pairs": ["enfr"]}, "pairs: expected two languages like 'en-fr', got 'enfr'"),
        ({"pairs": ["en-en"]}, "pairs: expected two languages"),
        ({"pairs": ["en-de"]}, "this profile has en, fr, et, bg; got 'de'"),
        ({"seeds": "1"}, "seeds: .*tuple.*got '1'"),
        ({"seeds": [1.5]}, r"seeds\.0: .*integer.*got 1\.5"),
        ({"seeds": []}, "seeds: .*at least 1"),
        ({"n_parallel": "many"}, "n_parallel: .*integer.*got 'many'"),
        ({"n_parallel": 2}, "n_parallel: .*greater than 3"),
        ({"training": {"steps": 5, "epochs": 1}}, "epochs"),
        ({"models": {"a": {"encoder": {"norm": "middle"}, "learning_rate": 1}}}, "middle"),
        ({"models": {"a": {"encoder": {"layers": 3}, "learning_rate": 1}}}, "layers"),
        ({"models": {"a": {"encoder": {"norm": "pre"}}}}, "learning_rate: expected a number"),
        ({"source": {"kind": "artificial", "languages": "en", "sentences": 3}}, "languages"),
        ({"source": {"kind": "invented"}}, "source.*artificial"),
    ],
)
def test_a_wrong_setting_is_named_with_what_came(wrong, named):
    with pytest.raises(ValueError, match=f"(?s)anc2022 at profile 'smoke': .*{named}"):
        profiles.paper_settings("anc2022", "smoke", **wrong)


def test_an_unknown_model_is_told_the_models():
    with pytest.raises(ValueError, match=re.escape("got 'bert'")):
        profiles.paper_settings("anc2022", "smoke").spec("bert", 1)


def test_unseen_languages_have_a_treebank_and_raw_text_in_either_script():
    settings = profiles.paper_settings("align2021", "smoke")
    unseen = settings.unseen
    assert not set(unseen.languages) & set(settings.source.languages)
    own, latin = (unseen_task(unseen, "parsing", "ug", 3, romanised=x) for x in (False, True))
    assert [s.text for s in own.tests["ug"].sentences] != [
        s.text for s in latin.tests["ug"].sentences
    ]
    assert latin.tests["ug"].sentences[0].text.isascii()
    assert own.settings.seed == 3
    assert unseen_task(unseen, "pos", "ug", 3, bilstm=True).settings.learning_rate == 1e-2
    start = settings.spec("multilingual", 3)
    adapted = unseen.adapted(start, "ug", 3, romanised=True)
    assert adapted.start_from == start
    assert adapted.training.seed == 3
    text = adapted.source.training()
    assert text.languages == ("ug",)
    assert all(line.isascii() for line in text["ug"])
    assert unseen.from_scratch("wo", 3).source.training().languages == ("wo",)
    with pytest.raises(ValueError, match="name: expected parsing or pos, got 'ner'"):
        unseen_task(unseen, "ner", "ug", 3)
    values = unseen.model_dump()
    with pytest.raises(ValueError, match=r"trees are of .*; got 'xx'"):
        type(unseen)(**values | {"scripts": ("xx",)})
    with pytest.raises(ValueError, match=r"raw text is of .*; got 'en'"):
        type(unseen)(**values | {"scripts": ("en",)})
    with pytest.raises(ValueError, match="learning_rate"):
        type(unseen)(**values | {"bilstm": {"learning_rate": -1.0}})


def test_the_ladder_has_its_own_treebanks_and_fine_tuning():
    settings = profiles.paper_settings("align2021", "smoke")
    task = transfer_task(settings, "pos", "en", 1, scaling=True)
    assert tuple(task.tests) == settings.scaling.targets != settings.transfer.targets


def test_of_a_mapping_only_what_it_names_is_replaced():
    plain = profiles.paper_settings("align2021", "smoke").unseen
    changed = profiles.paper_settings("align2021", "smoke", unseen={"train": 7}).unseen
    assert changed == plain.model_copy(update={"train": 7})
    with pytest.raises(ValueError, match=r"unseen\.trains: Extra inputs"):
        profiles.paper_settings("align2021", "smoke", unseen={"trains": 7})
