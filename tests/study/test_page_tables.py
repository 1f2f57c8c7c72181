"""The tables of a page that are the same on every machine say what was asked and what was measured."""

import xsim_lib as xsim


def test_overview_names_what_the_page_was_asked_to_do():
    run = xsim.start("anc2022.fig8", profile="smoke", pairs=["en-fr"], n_parallel=50)
    shown = run.overview()[""].to_dict()
    assert shown["pairs"] == "en-fr"
    assert shown["sentences per pair"] == 50
    assert shown["training seeds"] == "1"
    assert shown["claims"] == "tuned_cka_misses_6_11, tuned_anc_sees_all_layers"
    assert shown["models"].split(", ") == list(run.names)


def test_coverage_counts_the_values_of_every_metric_and_baseline():
    run = xsim.start("anc2022.fig8", profile="smoke")
    place = {"metric": "cka", "n_layers": 3, "pair_or_language": "en-fr"}
    run.record([{"layer": k, "value": 0.5} | place for k in range(4)], model="m", seed=1)
    run.record([{"layer": 3, "value": 0.1} | place], model="m", seed=1, baseline="shuffled")
    run.record([{"metric": "loss", "value": 2.0}], model="m", seed=1)
    found = run.coverage()
    assert found.loc["cka"].to_dict() == {"measured": 4, "shuffled": 1}
    assert found.loc["loss"].to_dict() == {"measured": 1, "shuffled": 0}
