"""The figure of the scaling studies: means and spreads over pairs, the paper's printed band."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from xsim_lib.evidence import printed as reported
from xsim_lib.evidence.records import NothingSelected, Records, merge_records
from xsim_lib.figures import scaling
from xsim_lib.figures.plots import Column

VALUES = {"en-fr": (0.2, 0.6, 0.4), "en-et": (0.1, 0.4, 0.3)}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def measured(model="small", seeds=(1,), shift=0.1, baseline=""):
    rows = [
        {"pair_or_language": pair, "layer": k, "n_layers": 2, "value": v + shift * (seed - 1)}
        for seed in seeds
        for pair, values in VALUES.items()
        for k, v in enumerate(values)
    ]
    for row, seed in zip(rows, np.repeat(seeds, 6), strict=True):
        row["seed"] = int(seed)
    return Records.of(
        rows, paper="anc2022", item="fig5", profile="mini", model=model, metric="anc",
        baseline=baseline,
    )  # fmt: skip


def test_a_band_is_one_standard_deviation_over_pairs_of_the_means_over_seeds():
    for seeds in ((1,), (1, 2)):
        found = scaling.band(measured(seeds=seeds), "anc", "small")
        shift = 0.05 * (len(seeds) - 1)
        np.testing.assert_allclose(found["mean"], np.array([0.15, 0.5, 0.35]) + shift)
        sd = np.std([[0.2, 0.6, 0.4], [0.1, 0.4, 0.3]], axis=0, ddof=1)
        np.testing.assert_allclose(found["high"] - found["mean"], sd)
        np.testing.assert_allclose(found["mean"] - found["low"], sd)


def test_one_pair_has_no_band():
    one = measured().select(pair_or_language="en-fr")
    assert scaling.band(one, "anc", "small")[["low", "high"]].isna().all(axis=None)


def test_the_band_of_the_paper_is_the_printed_one():
    printed = reported.as_records("anc2022", ["fig5"])
    found = scaling.band(printed, "anc", "xlm-roberta-base")
    assert found["mean"].between(found["low"], found["high"]).all()
    first = reported.read_printed("anc2022", "fig5").query(
        "layer == 0 and series == 'xlm-roberta-base'"
    )
    row = first[first["metric"] == "ANC_mean_with_printed_sd_band"].iloc[0]
    assert found.loc[0, ["mean", "low", "high"]].tolist() == [row.value, row.lower, row.upper]


def test_the_figure_has_a_row_per_model_and_draws_what_there_is():
    both = merge_records(
        [measured("small"), measured("large"), measured("small", baseline="untrained")]
    )
    columns = [Column("a", both), Column("b", measured("large"))]
    figure = scaling.over_pairs(
        columns, "anc", ["small", "large"], label="ANC", notes={"small": "12 thousand"}
    )
    axes = np.array(figure.axes).reshape(2, 2)
    assert axes[0, 0].get_ylabel() == "small\n12 thousand\nANC"
    drawn = [[len(axis.lines) for axis in row] for row in axes]
    assert drawn == [[2, 0], [1, 1]]  # measurement and untrained; nothing; one curve each
    np.testing.assert_allclose(axes[1, 0].lines[0].get_ydata(), [0.15, 0.5, 0.35])
    assert [t.get_text() for t in axes[0, 1].texts] == ["no values"]
    with pytest.raises(NothingSelected, match="models: no column has 'anc' of 'huge'"):
        scaling.over_pairs(columns, "anc", ["huge"], label="ANC")


def test_shapes_say_where_the_peak_is_and_how_far_it_rises_and_falls():
    table = scaling.shapes([Column("here\nmini", measured())], "anc", ["small", "absent"])
    assert list(table.index) == [("here mini", "small", "trained")]
    found = table.iloc[0]
    assert found.to_dict() == pytest.approx(
        {"depth of the peak": 0.5, "peak": 0.5, "rise": 0.35, "fall": 0.15}
    )


@pytest.mark.parametrize(
    ("count", "text"),
    [(12, "12"), (12_464, "12.5 thousand"), (277453056, "277 million"), (10.7e9, "10.7 billion")],
)
def test_sizes_are_written_in_words(count, text):
    assert scaling.short(count) == text
