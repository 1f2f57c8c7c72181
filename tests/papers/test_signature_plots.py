"""What figures of correlations show is what was recorded."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import false_discovery_control

from xsim_lib.evidence.records import Records, merge_records
from xsim_lib.figures.plots import Column
from xsim_lib.indices.fisher import fisher_interval, pearson_p
from xsim_lib.papers.parafac2023.signature_figures import WORDS, correlation_maps, correlation_means

ABOUT = {"paper": "parafac2023", "item": "fig4", "profile": "mini", "n_layers": 2, "n": 14}
VALUES = {"Case": (0.9, 0.1, -0.2), "Tense": (-0.6, 0.5, 0.0), WORDS: (-0.55, -0.5, -0.7)}


def records(metric="pearson_size", **about):
    rows = [
        {"metric": metric, "pair_or_language": c, "layer": k, "value": v, "seed": seed}
        for seed, shift in ((1, 0.04), (2, -0.04))
        for c, values in VALUES.items()
        for k, v in enumerate(np.array(values) + shift)
    ]
    return Records.of(rows, **(ABOUT | about))


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_maps_show_means_over_seeds_with_all_words_below_and_mark_what_is_significant():
    figure = correlation_maps([Column("one", records())], "pearson_size", label="r")
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["Case", "Tense", WORDS]
    shown = np.asarray(axis.images[0].get_array(), dtype=float)
    expected = np.array(list(VALUES.values()))
    assert np.allclose(shown, expected)
    p = pearson_p(expected, 14)
    q = false_discovery_control(p.ravel()).reshape(p.shape)
    dots, rings = (
        {(int(y), int(x)) for x, y in c.get_offsets()} for c in axis.collections
    )  # fmt: skip
    assert dots == set(zip(*np.nonzero(p < 0.05), strict=True))
    assert rings == set(zip(*np.nonzero(q < 0.05), strict=True))
    assert rings < dots


def test_a_run_without_the_metric_says_so_and_several_without_are_refused():
    columns = [Column("one", records()), Column("two", records("other"))]
    figure = correlation_maps(columns, "pearson_size", label="r")
    assert [t.get_text() for t in figure.axes[1].texts] == ["not measured"]
    with pytest.raises(ValueError, match="no column has 'pearson_ttr'"):
        correlation_maps(columns, "pearson_ttr", label="r")


def test_means_are_over_layers_with_fishers_interval_and_the_papers_value():
    both = merge_records([records(), records(baseline="untrained")])
    figure = correlation_means(
        [Column("one", both)],
        {"pearson_size": "size"},
        variants={("", ""): "trained", ("", "untrained"): "untrained"},
        stated={"pearson_size": -0.02},
    )
    axis = figure.axes[0]
    assert axis.get_title() == "size"
    names = [t.get_text() for t in axis.get_yticklabels()]
    assert names == [WORDS, "Tense", "Case"]  # from below
    trained, fresh = axis.containers
    placed = sorted(zip(*trained[0].get_data(), strict=True), key=lambda point: point[1])
    points = dict(zip(names, placed, strict=True))
    for name, values in VALUES.items():
        assert points[name][0] == pytest.approx(np.mean(values))
    bars = sorted(trained[2][0].get_segments(), key=lambda s: s[0][1])
    low, high = fisher_interval(np.mean(VALUES[WORDS]), 14)
    assert bars[0][:, 0].tolist() == pytest.approx([float(low), float(high)])
    assert fresh[0].get_markerfacecolor() == "white"
    (cross,) = [x for x in axis.lines if x.get_marker() == "x"]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (-0.02, names.index(WORDS))
    with pytest.raises(ValueError, match="no column has any of pearson_ttr"):
        correlation_means([Column("one", both)], {"pearson_ttr": ""}, variants={}, stated={})
