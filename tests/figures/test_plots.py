"""Figures show every series they are given, say what is missing, and average what they say."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from xsim_lib.evidence.records import NothingSelected, Records
from xsim_lib.figures.plots import Column, curves, layers, points

MODELS = ("post", "pre")
PAIRS = ("en-fr", "en-et")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def measured(
    *, models=MODELS, pairs=PAIRS, seeds=(1,), baselines=("",), interval=0.1, metric="cka"
):
    """Value = layer / 10 + seed / 100, a little lower for every baseline."""
    rows = [
        {
            "model": model, "pair_or_language": pair, "layer": layer, "n_layers": 3, "seed": seed,
            "metric": metric, "value": value, "baseline": baseline,
            "lower": value - interval if interval and not baseline else None,
            "upper": value + interval if interval and not baseline else None,
        }
        for model in models for pair in pairs for seed in seeds for layer in range(4)
        for k, baseline in enumerate(baselines)
        for value in [layer / 10 + seed / 100 - k / 50]
    ]  # fmt: skip
    return Records.of(rows, paper="anc2022", item="fig1", profile="smoke")


def draw(*columns, models=MODELS, **options):
    columns = [Column(f"column {k}", records) for k, records in enumerate(columns)]
    figure = layers(columns, options.pop("metric", "cka"), models, label="CKA", **options)
    figure.canvas.draw()  # what cannot be drawn fails here, not in the reader's browser
    panels = np.array([a for a in figure.axes]).reshape(len(models), len(columns))
    return figure, panels


def labels(axis):
    return sorted(line.get_label() for line in axis.get_lines())


def line(axis, label):
    (found,) = [line for line in axis.get_lines() if line.get_label() == label]
    return found


EVERY = ("", "untrained", "shuffled", "length_matched")


def test_every_series_of_every_panel_is_drawn():
    figure, panels = draw(measured(baselines=EVERY), measured(interval=None))
    drawn = sorted(
        [*PAIRS, *(f"{p}, untrained" for p in PAIRS), "shuffled pairs", "shuffled, equal length"]
    )
    for row in panels:
        assert labels(row[0]) == drawn
        assert labels(row[1]) == sorted(PAIRS)
        assert len(row[0].collections) == 2  # a band per pair
        assert len(row[1].collections) == 0
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == drawn
    assert [axis.get_title() for axis in panels[0]] == ["column 0", "column 1"]
    assert [row[0].get_ylabel() for row in panels] == ["post\nCKA", "pre\nCKA"]


def test_a_pair_has_one_colour_in_all_panels_and_its_untrained_copy_is_dotted():
    _, panels = draw(measured(baselines=EVERY), measured(pairs=("en-et",)))
    for pair in PAIRS:
        own, fresh = line(panels[0, 0], pair), line(panels[0, 0], f"{pair}, untrained")
        assert own.get_color() == fresh.get_color() == line(panels[1, 0], pair).get_color()
        assert (own.get_linestyle(), fresh.get_linestyle()) == ("-", ":")
    assert line(panels[0, 1], "en-et").get_color() == line(panels[0, 0], "en-et").get_color()
    assert line(panels[0, 0], "en-fr").get_color() != line(panels[0, 0], "en-et").get_color()


def test_lines_are_means_over_seeds_and_bands_one_standard_deviation():
    _, panels = draw(measured(seeds=(1, 2, 6), baselines=EVERY))
    own = line(panels[0, 0], "en-fr")
    np.testing.assert_allclose(own.get_xdata().astype(float), range(4))
    np.testing.assert_allclose(own.get_ydata(), np.arange(4) / 10 + 0.03)
    for name, k in (("en-fr, untrained", 1), ("shuffled pairs", 2), ("shuffled, equal length", 3)):
        expected = np.arange(4) / 10 + 0.03 - k / 50
        np.testing.assert_allclose(line(panels[0, 0], name).get_ydata(), expected)
    spread = np.std([0.01, 0.02, 0.06], ddof=1)
    assert band(panels[0, 0], layer=2) == pytest.approx((0.23 - spread, 0.23 + spread))


def test_the_band_of_a_single_seed_is_the_interval_over_sentences():
    _, panels = draw(measured(interval=0.07))
    assert band(panels[0, 0], layer=2) == pytest.approx((0.21 - 0.07, 0.21 + 0.07))


def band(axis, layer):
    (path,) = axis.collections[0].get_paths()
    heights = path.vertices[np.isclose(path.vertices[:, 0], layer), 1]
    return heights.min(), heights.max()


def test_an_empty_panel_says_so():
    _, panels = draw(measured(models=("post",)), measured())
    assert [text.get_text() for text in panels[1, 0].texts] == ["not reported"]
    assert panels[1, 0].get_lines() == []
    assert all(not axis.texts for axis in (panels[0, 0], panels[0, 1], panels[1, 1]))
    _, panels = draw(measured(metric="anc"), measured())
    assert [axis.texts[0].get_text() for axis in panels[:, 0]] == ["not reported"] * 2


def test_what_nobody_measured_is_an_error():
    with pytest.raises(NothingSelected, match="metric: no column has 'cca'"):
        draw(measured(), metric="cca")
    with pytest.raises(NothingSelected, match="variant 'partial'"):
        draw(measured(), variant="partial")
    with pytest.raises(NothingSelected, match="models: no column has 'cka' of 'poste'"):
        draw(measured(), models=("pre", "poste"))


def test_values_without_a_layer_are_not_drawn():
    loss = Records.of(
        [{"metric": "cka", "value": 0.9, "model": "post", "seed": 1, "pair_or_language": "en-fr"}],
        paper="anc2022", item="fig1", profile="smoke",
    )  # fmt: skip
    with pytest.raises(NothingSelected):
        draw(loss, models=("post",))


def test_many_pairs_find_markers_and_colours():
    pairs = [f"en-{a}{b}" for a in "abc" for b in "wxyz"]
    _, panels = draw(measured(pairs=pairs), models=("post",))
    assert labels(panels[0, 0]) == pairs


def test_limits_are_those_asked_for():
    _, panels = draw(measured(), limits=(-1, 2))
    assert all(axis.get_ylim() == (-1, 2) for axis in panels.flat)


def test_curves_draw_named_series():
    axis = plt.figure().subplots()
    series = {f"s{k}": pd.Series([k, k + 1], index=[0, 5]) for k in range(9)}
    curves(axis, series, xlabel="step", ylabel="loss")
    assert labels(axis) == sorted(series)
    np.testing.assert_array_equal(line(axis, "s3").get_ydata(), [3, 4])
    np.testing.assert_array_equal(line(axis, "s3").get_xdata(), [0, 5])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step", "loss")
    assert line(axis, "s3").get_marker() != "None"
    curves(axis, {"bare": series["s0"]}, xlabel="", ylabel="", markers=False)
    assert line(axis, "bare").get_marker() == "None"


def stars(axis):
    """Where the stars stand, hollow or not, without those that only the legend shows."""
    found = [
        line for line in axis.get_lines() if line.get_marker() == "*" and len(line.get_xdata())
    ]
    return {
        (round(float(s.get_ydata()[0]), 6), s.get_markerfacecolor() == "white"): s.get_color()
        for s in found
    }


def scored(seeds):
    """Value = 50 + 10 per language + seed, 20 less for the baseline; intervals of 3 and 4."""
    rows = [
        {
            "model": "a", "pair_or_language": x, "metric": "las", "seed": seed, "variant": variant,
            "baseline": baseline, "value": value, "lower": value - 3, "upper": value + 4,
        }
        for k, x in enumerate(("wo", "ug")) for seed in seeds
        for variant, baseline, less in (("", "", 0), ("", "untrained", 20), ("romanised", "", 30))
        for value in [50 + 10 * k + seed - less]
    ]  # fmt: skip
    return Records.of(rows, paper="align2021", item="unseen", profile="smoke")


@pytest.mark.parametrize(("seeds", "spread"), [((1,), (3, 4)), ((1, 3), (2**0.5, 2**0.5))])
def test_points_are_means_with_their_spread_and_baselines_are_hollow(seeds, spread):
    series = {"mine": {"model": "a"}, "control": {"model": "a", "baseline": "untrained"}}
    columns = [Column("here", scored(seeds)), Column("there", scored((1,)))]
    figure = points(columns, {"LAS": {"metric": "las"}}, series, ["ug", "wo", "none"])
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["ug", "wo", "none"]
    mine, control = axis.containers
    mean = np.mean(seeds)
    np.testing.assert_allclose(mine.lines[0].get_ydata()[:2].astype(float), [60 + mean, 50 + mean])
    np.testing.assert_allclose(
        control.lines[0].get_ydata()[:2].astype(float), [40 + mean, 30 + mean]
    )
    ends = mine.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(ends, [60 + mean - spread[0], 60 + mean + spread[1]])
    assert control.lines[0].get_markerfacecolor() == "white"
    assert mine.lines[0].get_markerfacecolor() != "white"
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts == ["mine", "control"]
    series = {"own": {"model": "a"}, "latin": {"model": "a", "variant": "romanised"}}
    axis = points(columns, {"LAS": {"metric": "las"}}, series, ["ug"]).axes[0]
    own, latin = (drawn.lines[0] for drawn in axis.containers)
    assert own.get_color() == latin.get_color()
    assert own.get_marker() != latin.get_marker()
    assert latin.get_ydata()[0] == 30 + mean
    with pytest.raises(NothingSelected, match="no column has F1"):
        points(columns, {"F1": {"metric": "f1"}}, series, ["ug"])


def test_a_marked_variant_is_a_star_at_the_last_layer_only():
    frame = measured(models=("post",), pairs=("en-fr",), baselines=EVERY).frame
    marked = frame.assign(variant="cls", value=frame["value"] + 0.5)
    (_, ((axis,),)) = draw(
        Records(pd.concat([frame, marked])), models=("post",), mark=("cls", "first token")
    )
    # 3 / 10 + 1 / 100 + 0.5, and one fiftieth less for the untrained encoder: no shuffled stars
    assert stars(axis) == {
        (0.81, False): line(axis, "en-fr").get_color(),
        (0.79, True): line(axis, "en-fr").get_color(),
    }
    assert {"first token", "first token, untrained"} <= set(labels(axis))
    assert line(axis, "en-fr").get_ydata()[-1] == pytest.approx(0.31)


def test_a_stated_range_is_a_box_over_its_layers_in_the_rows_it_is_about():
    stated = pd.DataFrame(
        {
            "series": ["pre"] * 2,
            "metric": ["CKA", "ANC"],
            "layer": "6-12",
            "lower": 0.5,
            "upper": 0.8,
        }
    )
    _, ((post,), (pre,)) = draw(measured(interval=None), stated=stated)
    assert len(post.collections) == 0
    (box,) = pre.collections
    corners = box.get_paths()[0].get_extents()
    assert (corners.x0, corners.x1) == (2, 3)  # the upper half of three layers
    assert (corners.y0, corners.y1) == (0.5, 0.8)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("scale_normformer", "scale_normformer"),
        ("scale_normformer_tuned", "scale_normformer_\ntuned"),
        ("bert-base-multilingual-cased", "bert-base-\nmultilingual-cased"),
        ("averyveryverylongsingleword", "averyveryverylongsingleword"),
    ],
)
def test_long_names_are_broken_and_nothing_is_lost(name, shown):
    _, ((axis,),) = draw(measured(models=(name,)), models=(name,))
    assert axis.get_ylabel() == f"{shown}\nCKA"
