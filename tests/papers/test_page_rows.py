"""What pages of parafac2023 record of signatures: rows of distances, trees, sets of languages, starts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from xsim_lib.evidence.records import Records
from xsim_lib.factorization import plant, read_tree
from xsim_lib.papers.parafac2023 import (
    language_sets,
    printed_correlations,
    recovery_rows,
    signature_rows,
    signature_trees,
)


def values(rows):
    return {(row["metric"], row.get("pair_or_language", "")): row["value"] for row in rows}


def test_every_pair_has_one_distance_and_every_language_the_mean_to_the_others():
    names = ["en", "fr", "et"]
    table = pd.DataFrame([[0, 1, 2], [1, 0, 6], [2, 6, 0]], names, names, dtype=float)
    assert values(signature_rows.distance_rows(table)) == {
        ("distance", "en-fr"): 1, ("distance", "en-et"): 2, ("distance", "fr-et"): 6,
        ("mean_distance", "en"): 1.5, ("mean_distance", "fr"): 3.5, ("mean_distance", "et"): 4,
    }  # fmt: skip


def test_the_paper_scale_has_languages_with_all_their_data_at_03_whatever_the_seed():
    rows = [
        {"metric": "mean_signature", "value": scale * v, "seed": seed, "pair_or_language": x,
         "layer": layer, "n_layers": 2, "variant": variant}
        for seed, scale in ((1, 1.0), (2, 50.0))
        for x, variant, v in (("en", "", 1.0), ("ka", "", 3.0), ("ka", "starved", 1.0))
        for layer in (0, 1, 2)
    ]  # fmt: skip
    rows += [{**rows[0], "layer": 0, "value": 99.0, "variant": "trained again"}]
    found = signature_rows.on_paper_scale(
        Records.of(rows, paper="parafac2023", item="appD", profile="smoke", made_by="trained")
    )
    found = found[found["variant"] != "trained again"]
    means = found.query("layer > 0").groupby(["variant", "seed"])["value"].mean()
    assert means["", 1] == means["", 2] == pytest.approx(0.3)
    assert means["starved", 1] == means["starved", 2] == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ("((en,fr),(zh,ja));", {("clade", "all but zh-ja"): 1.0}),
        ("((en,zh),(fr,ja));", {("clade", "all but zh-ja"): 0.0}),
        ("((ar,he),(en,fr));", {("clade", "ar-he"): 1.0}),
        ("((ar,en),(he,fr));", {("clade", "ar-he"): 0.0}),
        ("((en,fr),(ja,ru));", {}),
    ],
)
def test_clades_of_the_text_are_asked_for_only_where_both_languages_are(tree, expected):
    languages = [x for x in tree.replace("(", "").replace(")", "").strip(";").split(",")]
    assert values(signature_trees.clade_rows(read_tree(tree), languages)) == expected


def test_a_category_that_a_set_lacks_is_left_out_and_a_scale_moves_only_the_ratio():
    def found(scale, *, tense):
        means = pd.DataFrame({0: scale * np.arange(1.0, 7.0)}, index=list("abcdef"))
        solutions = {(0, ""): None} | ({(0, "Tense"): None} if tense else {})
        return SimpleNamespace(solutions=solutions, means=lambda category: means)

    sets = {"related": ["a", "b", "c"], language_sets.DIVERSE: ["d", "e", "f"]}
    own = {"related": found(1.0, tense=True), language_sets.DIVERSE: found(10.0, tense=False)}
    rows = language_sets.set_rows(own, sets, categories=("", "Tense"), layers=(0,), relative=True)
    assert {row["task"] for row in rows} == {""}
    assert {row["pair_or_language"] for row in rows} == {"related"}
    ratio = {row["variant"]: row["value"] for row in rows if row["metric"] == "variance_ratio"}
    assert ratio[""] == pytest.approx(100)
    assert ratio["relative"] == pytest.approx((2 / 5) ** 2)
    assert {row["n"] for row in rows} == {6}


def test_sets_drawn_at_random_seldom_differ_by_a_valid_test_and_fit_into_the_languages():
    rng = np.random.default_rng(0)
    rows = language_sets.chance_rows(rng.normal(size=40), 10, 10, 400, rng)
    shares = values(rows)
    assert shares["f_p_below_05", ""] < 0.1 < shares["chi2_p_below_05", ""]
    assert language_sets.chance_rows(rng.normal(size=5), 10, 3, 2, rng)  # 2 against 3


def test_the_planted_components_themselves_are_a_perfect_start():
    def start(seed):
        one = plant(6, 8, 3, seed=seed)
        languages, table = tuple(one.signatures.index), one.signatures.to_numpy()
        return SimpleNamespace(
            names=languages, A=table, B=np.eye(8)[:, :3], C=one.directions, errors=[0.1], error=0.1
        )

    truth, one, two = plant(6, 8, 3, seed=0), start(0), start(1)
    found = values(recovery_rows.start_rows({"1": one, "2": two}, truth))
    assert found["congruence", "1"] == pytest.approx(1)
    assert found["order_truth", "1"] == pytest.approx(1)
    assert found["start_agreement", "1-2"] == found["congruence", "2"] < 0.9


def test_statements_of_the_text_are_counted_cell_by_cell():
    rows = [
        {"metric": "pearson_f1", "task": task, "model": model, "layer": layer, "n_layers": 12,
         "value": value}
        for task in ("pos", "PAWS-X", "XNLI")
        for model, top in (("XLM-R", 0.9), ("MMTE", 0.2))
        for layer, value in ((0, 0.1), (11, -0.1), (12, top))
    ]  # fmt: skip
    counts = pd.Series({"pos": 30, "PAWS-X": 7, "XNLI": 12})
    every = printed_correlations.analysed(pd.DataFrame(rows), counts)
    top = printed_correlations.analysed(pd.DataFrame(rows).query("layer == 12"), counts)
    assert list(top["n"]) == [30, 30, 7, 7, 12, 12]
    said = printed_correlations.text_statements(top, every, 0.05)
    assert said["Signatures indicate performance"].startswith(
        "positive 6 of 6; significant alone 3 of"
    )
    assert said["XLM-R's scores correlate best"].startswith("largest in 3 of 3 tasks")
    assert said["Last layers are best for most tasks"].startswith("layer 11 or 12 in 6 of 6")
    recorded = printed_correlations.correlation_rows(top)
    assert list(recorded["metric"].unique()) == ["p", "q_bh", "q_by", "pearson"]
