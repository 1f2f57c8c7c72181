"""Records: one table, checked on the way in, honest about what it does not hold."""

import json
from pathlib import Path

import pandas as pd
import pytest

from xsim_lib.evidence import records
from xsim_lib.evidence.records import (
    COLUMNS,
    KEY,
    NothingSelected,
    Records,
    merge_records,
    paper_layers,
    provenance_of,
    read_provenance,
    read_records,
)
from xsim_lib.study import profiles

BASE = {"paper": "anc2022", "item": "fig1", "profile": "mini", "seed": 0, "model": "scale_post"}


def curve_rows(values, *, pair="en-fr", **more):
    last = len(values) - 1
    return [
        {
            **BASE,
            "pair_or_language": pair,
            "metric": "cka",
            "layer": k,
            "n_layers": last,
            "value": v,
        }
        | more
        for k, v in enumerate(values)
    ]


@pytest.fixture
def made():
    return provenance_of(
        text={"en-fr": "da7a"}, trace={"m:f": "c0de"}, seeds=[0, 1], profile="mini", seconds=1.26
    )


@pytest.fixture
def table():
    rows = curve_rows([k / 100 for k in range(13)])
    rows += curve_rows([0.5] * 13, pair="en-bg")
    rows += curve_rows([0.9] * 13, baseline="shuffled")
    rows += curve_rows([0.7] * 13, variant="partial")
    rows += [{**BASE, "pair_or_language": "fr", "metric": "accuracy", "value": 1 / 3, "n": 500}]
    return Records.of(rows)


def test_of_fills_what_is_empty_and_sets_constants():
    found = Records.of([{"metric": "anc", "value": 0.5}], **BASE, task="nli").frame
    assert tuple(found.columns) == COLUMNS
    row = found.iloc[0]
    assert (row["task"], row["baseline"], row["seed"]) == ("nli", "", 0)
    assert pd.isna(row["layer"])
    assert pd.isna(row["lower"])


def test_frame_is_a_copy(table):
    frame = table.frame
    frame["value"] = 99.0
    assert table.mean("accuracy") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": float("nan")}, "column 'value': expected finite numbers, got nan in row 1"),
        ({"value": "much"}, "column 'value': expected numbers, got 'much' in row 1"),
        ({"seed": 0.5}, "column 'seed': expected whole numbers, got 0.5 in row 1"),
        ({"seed": None}, "column 'seed': expected finite whole numbers"),
        ({"metric": "CKA"}, "column 'metric': expected lower case names, got 'CKA' in row 1"),
        ({"paper": ""}, "column 'paper': expected text that is not empty"),
        ({"model": 3}, "column 'model': expected text, got 3 in row 1"),
        ({"layer": 13, "n_layers": 12}, "column 'layer': expected layers in 0..n_layers.*got 13"),
        ({"layer": 3}, "column 'layer': .*with n_layers given, got 3 in row 1"),
    ],
)
def test_a_wrong_cell_is_named_with_column_value_and_row(change, message):
    good = {**BASE, "metric": "anc", "value": 0.5}
    with pytest.raises(ValueError, match=message):
        Records.of([good, {**good, "model": "other", **change}])


def test_missing_and_unknown_columns_are_named(table):
    with pytest.raises(ValueError, match="missing column 'seed'"):
        Records(table.frame.drop(columns="seed"))
    with pytest.raises(ValueError, match="unknown column 'modle'"):
        Records.of([{**BASE, "metric": "anc", "value": 1.0, "modle": "x"}])


def test_select_narrows_and_accepts_several_values(table):
    assert len(table.select(metric="cka", baseline="", variant="")) == 26
    assert table.select(pair_or_language=["en-fr", "fr"]).unique("pair_or_language") == (
        "en-fr",
        "fr",
    )
    assert len(table.select(layer=None)) == 1


def test_selecting_nothing_says_what_was_asked_and_what_exists(table):
    with pytest.raises(NothingSelected, match=r"model='mbert' is missing; model here: scale_post"):
        table.select(metric="cka", model="mbert")
    with pytest.raises(ValueError, match="no column 'norm'"):
        table.select(norm="pre")


def test_every_one_of_several_values_must_be_there(table):
    with pytest.raises(NothingSelected, match="'en-et' is missing"):
        table.select(pair_or_language=["en-fr", "en-et"])


def test_mean_leaves_baselines_and_variants_out(table):
    assert table.mean("cka", pair_or_language="en-fr") == pytest.approx(0.06)
    assert table.mean("cka", baseline="shuffled") == pytest.approx(0.9)
    assert table.mean("cka", variant="partial") == pytest.approx(0.7)
    assert table.mean("cka", layers=(6, 11)) == pytest.approx((0.085 + 0.5) / 2)


def test_curve_averages_per_layer(table):
    found = table.curve("cka")
    assert found.index.tolist() == list(range(13))
    assert found[4] == pytest.approx(0.27)
    with pytest.raises(NothingSelected, match="not measured per layer"):
        table.curve("accuracy")
    mixed = merge_records([table, Records.of(curve_rows([0.1] * 7, model="small"))])
    with pytest.raises(ValueError, match="one network depth expected, got n_layers 12, 6"):
        mixed.curve("cka")


@pytest.mark.parametrize(
    ("n_layers", "layers", "expected"),
    [
        (12, (6, 11), [6, 7, 8, 9, 10, 11]),
        (12, 5, [5]),
        (6, (1, 5), [1, 2]),
        (6, (6, 12), [3, 4, 5, 6]),
        (6, (6, 11), [3, 4, 5]),
        (6, 5, [3]),
        (4, (1, 5), [1]),
        (4, (6, 11), [2, 3]),
        (24, (1, 5), list(range(2, 11))),
        (24, 12, [24]),
        (2, (1, 5), [1]),
        (3, 0, [0]),
    ],
)
def test_layers_of_the_paper_go_by_relative_depth(n_layers, layers, expected):
    assert paper_layers(n_layers, layers) == expected


@pytest.mark.parametrize("n_layers", range(2, 49))
def test_lower_and_upper_range_never_share_a_layer(n_layers):
    lower, upper = paper_layers(n_layers, (1, 5)), paper_layers(n_layers, (6, 12))
    assert n_layers in upper
    assert 0 not in lower
    assert n_layers == 2 or not set(lower) & set(upper)


@pytest.mark.parametrize("layers", [(6, 5), (0, 13), -1, 13])
def test_layers_outside_the_paper_are_refused(layers):
    with pytest.raises(ValueError, match=r"layers: expected layers in 0\.\.12"):
        paper_layers(12, layers)


def test_mean_maps_layers_of_every_depth_in_one_table():
    mixed = Records.of(
        curve_rows([0.0] * 6 + [1.0] * 7) + curve_rows([0.0] * 3 + [1.0] * 4, model="s")
    )
    assert mixed.mean("cka", layers=(6, 12)) == 1
    assert mixed.mean("cka", layers=(1, 5)) == 0


def test_one_key_with_two_values_is_an_error_naming_the_key(table):
    twice = [table, Records.of(curve_rows([0.77] * 13))]
    with pytest.raises(ValueError, match=r"two values for one key .*pair_or_language=en-fr.*0\.77"):
        merge_records(twice)
    assert len(merge_records([table, table])) == len(table)
    with pytest.raises(ValueError, match="at least one table"):
        merge_records([])


def test_provenance_bounds_and_n_are_not_part_of_the_key():
    no_key = {"in_place_of", "value", "lower", "upper", "n", "made_by", "provenance"}
    assert set(COLUMNS) - set(KEY) == no_key


def test_a_stand_in_has_its_own_name_and_is_called_the_model_it_stands_for_when_judged():
    rows = Records.of(
        [{"metric": "anc", "value": 0.1, "model": "mlm-1", "in_place_of": "xlm-roberta-base"},
         {"metric": "anc", "value": 0.2, "model": "scale_post"}],
        paper="anc2022", item="fig5", profile="mini", seed=1,
    )  # fmt: skip
    assert rows.unique("model") == ("mlm-1", "scale_post")
    assert rows.named().unique("model") == ("xlm-roberta-base", "scale_post")
    here = rows.named({"xlm-roberta-base": "family-b"})
    assert here.unique("model") == ("family-b", "scale_post")
    assert here.unique("in_place_of") == ("xlm-roberta-base", "")


def test_a_table_that_does_not_know_how_its_rows_were_made_claims_nothing(table, tmp_path, made):
    path = records.write_records(table, tmp_path / "r.csv", made)
    old = pd.read_csv(path, dtype=str, keep_default_na=False).drop(
        columns="made_by", errors="ignore"
    )
    old.to_csv(path, index=False)
    assert records.read_records(path).unique("made_by") == ("trained",)
    with pytest.raises(ValueError, match="made_by': expected forward or trained, got 'guessed'"):
        Records.of([{"metric": "anc", "value": 0.5}], **BASE, made_by="guessed")


def test_own_item_wins_over_the_borrowed_one():
    own = Records.of(curve_rows([0.1] * 3, item="fig4"))
    borrowed = Records.of(curve_rows([0.9] * 3) + curve_rows([0.5] * 3, pair="en-bg"))
    found = merge_records([own, borrowed]).of_items("fig4", "fig1")
    assert found.mean("cka", pair_or_language="en-fr") == pytest.approx(0.1)
    assert found.mean("cka", pair_or_language="en-bg") == pytest.approx(0.5)
    with pytest.raises(NothingSelected, match="fig9"):
        borrowed.of_items("fig9")


def test_mean_over_seeds_averages_seeds_only():
    rows = (
        curve_rows([0.0, 0.2])
        + curve_rows([0.4, 0.4], seed=1)
        + curve_rows([1.0, 1.0], pair="en-bg")
    )
    found = Records.of(rows).mean_over_seeds()
    assert found.seeds == (records.MEAN_SEED,)
    assert found.curve("cka", pair_or_language="en-fr").tolist() == pytest.approx([0.2, 0.3])
    assert found.curve("cka", pair_or_language="en-bg").tolist() == [1.0, 1.0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_round_trip(table, made, tmp_path, suffix):
    path = records.write_records(table, tmp_path / f"anc2022.fig1{suffix}", made)
    found, wanted = records.read_records(path).frame, table.frame.assign(provenance=made["id"])
    if suffix == ".csv":
        assert found["value"].iloc[-1] == 0.333333
        wanted["value"] = wanted["value"].map(lambda value: float(f"{value:.6g}"))
    pd.testing.assert_frame_equal(found, Records(wanted).frame)
    assert records.read_provenance(path)["id"] == made["id"]
    again = records.write_records(records.read_records(path), tmp_path / "again" / path.name, made)
    assert again.read_bytes() == path.read_bytes()


RECORDED = sorted((Path(__file__).parents[2] / "results").glob("*/*.csv"))


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_recorded_table_is_the_same_without_what_its_name_says_and_what_is_empty(file, tmp_path):
    """No value, and no provenance of a row, may depend on whether a column was written."""
    before = records.read_records(file)
    made = json.loads(file.with_name(f"{file.name}.json").read_text(encoding="utf-8"))
    path = records.write_records(before, tmp_path / file.parent.name / file.name, made)
    pd.testing.assert_frame_equal(records.read_records(path).frame, before.frame)
    header = path.read_text(encoding="utf-8").partition("\n")[0].split(",")
    assert not {"paper", "item", "profile", "provenance"} & set(header)
    assert path.stat().st_size < 0.8 * len(before.frame.to_csv(index=False))


def test_what_a_name_does_not_say_is_written(table, made, tmp_path):
    """A copy under another name, or of several items, reads as what it holds."""
    path = records.write_records(table, tmp_path / "elsewhere" / "anc2022.fig1.csv", made)
    assert "profile" in path.read_text().partition("\n")[0].split(",")
    assert records.read_records(path).unique("profile") == ("mini",)
    both = merge_records([table, Records(table.frame.assign(item="fig2"))])
    path = records.write_records(both, tmp_path / "mini" / "anc2022.fig1.csv", made)
    assert records.read_records(path).unique("item") == ("fig1", "fig2")
    path = records.write_records(table, tmp_path / "records.csv", made)
    assert tuple(path.read_text().partition("\n")[0].split(",")) == COLUMNS


def test_language_codes_that_look_like_missing_values_survive(made, tmp_path):
    odd = Records.of(curve_rows([0.1, 0.2], pair="nan") + curve_rows([0.3, 0.4], pair="NA"))
    path = records.write_records(odd, tmp_path / "r.csv", made)
    assert records.read_records(path).unique("pair_or_language") == ("nan", "NA")


def test_reading_names_the_file_and_the_column(table, made, tmp_path):
    path = records.write_records(table, tmp_path / "r.csv", made)
    path.write_text(path.read_text().replace("0.333333", "a third"))
    with pytest.raises(
        ValueError, match=r"r\.csv: column 'value': expected numbers, got 'a third'"
    ):
        records.read_records(path)
    path.write_text(path.read_text().replace("n_layers", "depth"))
    with pytest.raises(
        ValueError, match=r"r\.csv: missing column 'n_layers' and unknown column 'depth'"
    ):
        records.read_records(path)
    with pytest.raises(ValueError, match=r"path: expected a name ending in \.csv or \.parquet"):
        records.write_records(table, tmp_path / "r.xlsx", made)


def test_records_changed_by_hand_no_longer_fit_their_provenance(table, made, tmp_path):
    path = records.write_records(table, tmp_path / "r.csv", made)
    path.write_text(path.read_text().replace("0.333333", "0.999999"))
    with pytest.raises(ValueError, match=r"r\.csv: the records are not those"):
        records.read_provenance(path)
    (tmp_path / "r.csv.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected its provenance in r\.csv\.json"):
        records.read_provenance(path)


def test_a_failed_write_leaves_the_old_records(table, made, tmp_path, monkeypatch):
    path = records.write_records(table, tmp_path / "r.parquet", made)
    before = path.read_bytes()

    def half(self, target, **_):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", half)
    with pytest.raises(OSError, match="disk full"):
        records.write_records(table, path, made)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.parquet", "r.parquet.json"]


def test_provenance_says_what_made_the_numbers_but_not_where(made):
    assert set(made) == {
        "id", "created", "commit", "text", "data_hash", "trace", "settings", "cells", "weights", "checkpoints",
        "seeds", "profile", "parameters", "versions", "machine", "device", "threads", "seconds", "cpu_seconds",
    }  # fmt: skip
    assert {"python", "torch", "transformers", "numpy", "tokenizers"} <= set(made["versions"])
    assert made["seconds"] == 1.3
    settings = {"folder": "/home/someone/models/mine", "also": ["C:\\data\\x"], "pair": "en-fr"}
    found = provenance_of(text={}, trace={}, seeds=[0], profile="p", parameters=settings)
    assert found["parameters"] == {"folder": "mine", "also": ["x"], "pair": "en-fr"}
    json.dumps(found)


def test_provenance_id_repeats_for_the_same_run_and_changes_with_it(made):
    same = {"text": {"en-fr": "da7a"}, "trace": {"m:f": "c0de"}, "seeds": [0, 1], "profile": "mini"}
    assert provenance_of(**same, seconds=99)["id"] == made["id"]
    for change in (
        {"seeds": [0]},
        {"trace": {"m:f": "x"}},
        {"text": {"en-fr": "x"}},
        {"weights": {"one/1": "x"}},
        {"parameters": {"n": 1}},
    ):
        assert provenance_of(**same | change)["id"] != made["id"]
    with pytest.raises(ValueError, match="profile: expected text that is not empty, got ''"):
        provenance_of(**same | {"profile": ""})
    with pytest.raises(ValueError, match=r"seeds: expected a list of at least one seed, got \[\]"):
        provenance_of(**same | {"seeds": []})


def test_no_recorded_table_carries_the_name_of_a_model_that_was_not_loaded(repository):
    public = {
        part
        for paper in profiles.papers_with_settings()
        for name, scheme in profiles.paper_settings(paper, "paper").models.items()
        if scheme.checkpoint is not None
        for part in (scheme.checkpoint, scheme.checkpoint.rpartition("/")[2])
    }
    assert {"xlm-roberta-base", "xglm-564M", "bert-base-multilingual-cased"} <= public
    measured = sorted(repository.glob("results/*/*.csv"))
    for file in (f for f in measured if f.with_name(f"{f.name}.json").is_file()):
        made = read_provenance(file)
        if not made["parameters"].get("public_checkpoints"):
            assert not public & set(read_records(file).unique("model")), file.name
