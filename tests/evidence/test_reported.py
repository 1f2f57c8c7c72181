"""The papers' numbers arrive as printed."""

import os
from pathlib import Path

import pandas as pd
import pytest

from xsim_lib.evidence import chapters
from xsim_lib.evidence import printed as reported
from xsim_lib.evidence.hashing import file_sha256

ROWS = {
    "align2021": 77 + 1 + 33,
    "anc2022": 1105 + 4 + 9,
    "emerging2020": 289 + 2 + 50,
    "parafac2023": 1523,
}
COLUMNS = [
    "paper", "item", "series", "pair_or_language", "task", "layer", "metric", "value", "lower",
    "upper", "source",
]  # fmt: skip


def everything():
    return [
        (paper, item) for paper in reported.papers_with_numbers() for item in reported.items(paper)
    ]


@pytest.mark.parametrize("paper", ROWS)
def test_no_row_of_what_was_copied_or_digitised_is_lost(paper):
    rows = sum(len(reported.read_printed(paper, item)) for item in reported.items(paper))
    assert rows == ROWS[paper]


@pytest.mark.parametrize(("paper", "item"), everything())
def test_every_file_has_the_columns_and_names_its_paper(paper, item):
    frame = reported.read_printed(paper, item)
    assert frame.columns.tolist() == COLUMNS
    assert set(frame["paper"]) == {paper}
    assert set(frame["source"]) <= {"table", "text", "digitised"}
    if not item.endswith("_attributes"):
        assert pd.api.types.is_float_dtype(frame["value"])
        bounded = frame.dropna(subset=["lower", "value", "upper"])
        assert (
            (bounded["lower"] <= bounded["value"]) & (bounded["value"] <= bounded["upper"])
        ).all()


def test_known_cells():
    table = reported.read_printed("anc2022", "table1").set_index(["series", "pair_or_language"])[
        "value"
    ]
    assert table["scale_pre", "en"] == 0.81
    collapse = reported.read_printed("anc2022", "fig1").query(
        "series == 'scale_normformer' and layer >= 6"
    )
    assert collapse["value"].max() < 0.1
    delta = reported.read_printed("align2021", "randominit").query("pair_or_language == 'EN-X'")
    assert delta.set_index("layer")["value"]["1-2"] == -15.77


def test_what_load_returns_can_be_changed_without_harm():
    frame = reported.read_printed("anc2022", "fig1")
    frame["value"] = 0.0
    assert reported.read_printed("anc2022", "fig1")["value"].max() > 0.5


def test_unknown_names_list_what_there_is():
    with pytest.raises(ValueError, match=r"paper: expected one of align2021, anc2022.*got 'anc'"):
        reported.read_printed("anc", "fig1")
    with pytest.raises(ValueError, match=r"item: anc2022 has fig1, fig2.*got 'fig9'"):
        reported.read_printed("anc2022", "fig9")


def test_records_keep_every_number_and_use_our_names():
    numeric = [(paper, item) for paper, item in everything() if not item.endswith("_attributes")]
    for paper, item in numeric:
        kept = reported.as_records(paper, [item])
        assert len(kept) == reported.read_printed(paper, item)["value"].notna().sum()
    figure = reported.as_records("anc2022", ["fig1", "fig2", "fig4"])
    assert set(figure.unique("metric")) == {"cka", "anc", "matching"}
    assert figure.unique("n_layers") == (12,)
    printed = reported.read_printed("anc2022", "fig4").query("series == 'scale_pre' and layer == 8")
    found = figure.curve("anc", model="scale_pre", item="fig4")[8]
    assert found == pytest.approx(printed["value"].mean())
    assert reported.as_records("anc2022", ["table1"]).unique("task") == ("nli",)


def test_the_printed_band_is_a_variant_of_the_mean_curve():
    sizes = reported.as_records("anc2022", ["fig5"])
    assert sizes.unique("variant") == ("", "sd_band")
    assert sizes.select(model="xlm-roberta-xl").unique("n_layers") == (36,)


def test_layer_groups_become_variants():
    found = reported.as_records("align2021", ["randominit"])
    assert found.mean("delta_las", pair_or_language="en-X", variant="layers 1-2") < 0


def test_files_equal_the_collection_they_were_copied_from():
    data = os.environ.get("XSIM_DATA")
    folder = Path(data or "absent").parent / "papers" / "reported"
    if not folder.is_dir():
        pytest.skip("the collection of reported numbers is not at hand")
    ours = chapters.FOLDER.glob("*/printed/*.csv")
    found = {f"{f.parents[1].name}_{f.name}": file_sha256(f) for f in ours}
    assert found == {file.name: file_sha256(file) for file in folder.glob("*.csv")}
