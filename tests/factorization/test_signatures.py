"""Signatures, trees of languages and trends, against hand-made cases and scipy."""

import dataclasses
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from xsim_lib import factorization as f

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
FAMILIES = f.read_tree("(((a1,a2),(a3,a4)),((b1,b2),(b3,b4)));")


@pytest.fixture(scope="module")
def solution():
    rng = np.random.default_rng(0)
    slices = {name: rng.normal(size=(8, 7)) for name in ("en", "fr", "de", "fi", "et")}
    return f.parafac2({**slices, "zh": None}, 3, nonnegative=True, max_iter=30)


# ---------------------------------------------------------------- signatures
def test_scale_free_signatures_do_not_see_where_the_length_stands(solution):
    scale = np.array([0.01, 3, 100])
    moved = dataclasses.replace(
        solution, A=solution.A * scale, B=solution.B / scale**2, C=solution.C * scale
    )
    pd.testing.assert_frame_equal(f.signatures(moved), f.signatures(solution))
    raw = [f.signatures(s, scale_free=False).mean(axis=1) for s in (moved, solution)]
    assert not np.allclose(*raw, equal_nan=True)
    assert f.mean_signatures(solution, scale_free=False).dropna().mean() == pytest.approx(
        np.nanmean(solution.A)
    )


def test_a_signature_is_the_row_of_its_language_strongest_component_first(solution):
    table = f.signatures(solution)
    lengths = np.linalg.norm(solution.B, axis=0) * np.linalg.norm(solution.C, axis=0)
    assert sorted(table.loc["de"]) == pytest.approx(sorted(solution.A[2] * lengths))
    assert (np.diff(table.mean()) <= 0).all()
    assert table.loc["zh"].isna().all()
    assert f.mean_signatures(solution).isna().tolist() == [False] * 5 + [True]
    assert -1 <= f.order_agreement(solution) <= 1


def test_order_agreement_is_low_where_scales_decide():
    """Two components that order the languages oppositely: the scale says which one counts."""
    rng = np.random.default_rng(1)
    s = f.parafac2(rng.normal(size=(4, 5, 5)), 2, nonnegative=True, max_iter=5)
    s = dataclasses.replace(
        s,
        A=np.array([[1, 4.0], [2, 3], [3, 2], [4, 1]]),
        B=np.eye(2),
        C=np.ones((5, 2)) * [100.0, 1.0],
    )
    s = dataclasses.replace(s, A=s.A * [1, 10])
    assert f.order_agreement(s) == pytest.approx(-1)


def rows(rng, n=30, d=6):
    return [f"s{k}" for k in range(n)], rng.normal(size=(n, d)) + rng.normal(size=d)


def test_slices_are_covariances_of_rows_with_the_same_token():
    rng = np.random.default_rng(2)
    ids, y = rows(rng)
    _, z = rows(rng, d=4)
    expected = np.cov(np.hstack([z, y]).T, bias=True)[:4, 4:]
    order = rng.permutation(30)
    shuffled = [ids[k] for k in order], z[order]
    (slices,) = f.cross_covariances({"en": (ids, y)}, {"en": shuffled}).values()
    assert slices == pytest.approx(expected)
    wrong = f.cross_covariances({"en": (ids, y)}, {"en": (ids, z[order])})["en"]
    assert not np.allclose(wrong, expected)


def test_tokens_that_do_not_match_are_errors():
    rng = np.random.default_rng(3)
    ids, y = rows(rng)
    none = ([], np.zeros((0, 6)))
    assert f.cross_covariances({"zh": none}, {"zh": none}) == {"zh": None}
    for other, message in (
        ((ids[:-1], y[:-1]), r"monolingual\['en'\]: expected the 30 token ids .* got 29; 's29'"),
        (
            ([*ids[:-1], "s0"], y),
            r"monolingual\['en'\]: expected each token id once, got 's0' twice",
        ),
        ((ids, y[:-1]), r"monolingual\['en'\]: expected one token id per row, got 30 and 29"),
        ((ids[::-1][:29], y[:29]), "'s0' is on one side only"),
        (none, "expected the 30 token ids"),
    ):
        with pytest.raises(ValueError, match=message):
            f.cross_covariances({"en": (ids, y)}, {"en": other})
    with pytest.raises(ValueError, match=r"monolingual: .* differ in \['fr'\]"):
        f.cross_covariances({"en": (ids, y)}, {"en": (ids, y), "fr": (ids, y)})


# ---------------------------------------------------------------- distances and trees
@few
@given(seed=seeds)
def test_cosine_distances_are_those_of_scipy(seed):
    values = np.abs(np.random.default_rng(seed).normal(size=(4, 5)))
    table = f.cosine_distances(pd.DataFrame(values, index=list("abcd")))
    for i in range(4):
        for j in range(4):
            expected = scipy.spatial.distance.cosine(values[i], values[j])
            assert table.iloc[i, j] == pytest.approx(expected, abs=1e-12)
    scaled = f.cosine_distances(pd.DataFrame(values * [[1], [2], [30], [0.1]], index=list("abcd")))
    pd.testing.assert_frame_equal(scaled, table, atol=1e-12)


def test_a_missing_language_has_no_distance():
    table = f.cosine_distances(pd.DataFrame([[1, 0.0], [np.nan, np.nan], [0, 2]], list("abc")))
    assert table.loc["b"].isna().all()
    assert table["b"].isna().all()
    assert table.loc["a", "c"] == 1
    with pytest.raises(ValueError, match="got zeros for 'b'"):
        f.cosine_distances(pd.DataFrame([[1, 0.0], [0, 0]], list("ab")))


def test_a_pair_that_lacks_a_category_counts_as_far_apart_or_not_at_all():
    one = pd.DataFrame([[0, 0.2], [0.2, 0]], list("ab"), list("ab"))
    two = pd.DataFrame([[0, 0.4], [0.4, 0]], list("ac"), list("ac"))
    table = f.average_distances([one, two])
    assert table.loc["a", "b"] == pytest.approx(0.6)
    assert table.loc["b", "c"] == 1
    assert (np.diag(table) == 0).all()
    table = f.average_distances([one, two], missing=float("nan"))
    assert table.loc["a", "b"] == pytest.approx(0.2)
    assert np.isnan(table.loc["b", "c"])
    with pytest.raises(ValueError, match="tables: expected at least one"):
        f.average_distances([])


def test_distances_agree_by_rank_and_by_name():
    rng = np.random.default_rng(7)
    names = list("abcde")
    one, two = (
        pd.DataFrame(scipy.spatial.distance.squareform(rng.uniform(size=10)), names, names)
        for _ in range(2)
    )
    assert f.distance_agreement(one, np.exp(one)) == pytest.approx(1)
    upper = np.triu_indices(5, 1)
    expected = scipy.stats.spearmanr(one.to_numpy()[upper], two.to_numpy()[upper]).statistic
    assert f.distance_agreement(one, two) == pytest.approx(expected)
    turned = two.iloc[::-1, ::-1]
    assert f.distance_agreement(one, turned) == pytest.approx(expected)
    holed = two.copy()
    holed.loc["a"] = holed["a"] = np.nan
    rest = names[1:]
    expected = f.distance_agreement(one.loc[rest, rest], two.loc[rest, rest])
    assert f.distance_agreement(one, holed) == pytest.approx(expected)
    with pytest.raises(ValueError, match="two: expected the languages of one, differ in a"):
        f.distance_agreement(one, two.loc[rest, rest])


@few
@given(seed=seeds, n=st.integers(3, 12))
def test_upgma_keeps_the_distances_that_scipy_gives(seed, n):
    rng = np.random.default_rng(seed)
    condensed = rng.uniform(0.1, 1, n * (n - 1) // 2)
    names = [f"l{k:02d}" for k in range(n)]
    table = pd.DataFrame(scipy.spatial.distance.squareform(condensed), names, names)
    tree = f.upgma(table)
    expected = scipy.cluster.hierarchy.cophenet(
        scipy.cluster.hierarchy.linkage(condensed, "average")
    )
    between, taxa = tree.phylogenetic_distance_matrix(), tree.taxon_namespace
    assert [taxon.label for taxon in taxa] == names
    paths = [between(a, b) for a, b in combinations(taxa, 2)]
    assert paths == pytest.approx(expected, abs=1e-8)
    ranks = f.phylogeny._Measured.of(tree).paths[np.triu_indices(n, 1)]
    assert len(set(ranks)) == n - 1  # ties stay ties


def test_equally_near_languages_are_joined_as_by_scipy():
    """DendroPy joins ac and bd here: trees of tied distances depend on who joins them."""
    names = list("abcd")
    table = pd.DataFrame([[0, 1.0, 1, 2], [1, 0, 2, 1], [1, 2, 0, 2], [2, 1, 2, 0]], names, names)
    assert f.compare_trees(f.upgma(table), f.read_tree("(((a,b),c),d);")).robinson_foulds == 0


def test_upgma_names_what_it_cannot_use():
    table = pd.DataFrame([[0, 1.0], [1.0, 0]], list("ab"), list("ab"))
    assert [(x.taxon.label, x.edge_length) for x in f.upgma(table).leaf_node_iter()] == [
        ("a", 0.5), ("b", 0.5)
    ]  # fmt: skip
    table.loc["a", "b"] = table.loc["b", "a"] = np.nan
    with pytest.raises(ValueError, match="got nan for a, b"):
        f.upgma(table)
    with pytest.raises(ValueError, match="each language once, got 'a' twice"):
        f.upgma(pd.DataFrame([[0, 1.0], [1.0, 0]], ["a", "a"], ["a", "a"]))
    with pytest.raises(ValueError, match="at least 2 languages, got 1"):
        f.upgma(table.iloc[:1, :1])
    with pytest.raises(ValueError, match="same languages in rows and columns"):
        f.upgma(table[["b", "a"]])


def test_equal_trees_agree_and_branches_may_turn():
    turned = f.read_tree("(((b4,b3),(b2,b1)),((a2,a1),(a4,a3)));")
    for other in (FAMILIES, turned):
        found = f.compare_trees(other, FAMILIES)
        assert (found.triplets, found.robinson_foulds) == (1, 0)
        assert found.cophenetic == pytest.approx(1)


def test_agreement_counts_by_hand():
    """Four leaves: of the triples of ((a,b),(c,d)) only abd is alike in (((a,c),b),d), no clade is."""
    true = f.read_tree("((a,b),(c,d));")
    found = f.compare_trees(f.read_tree("(((a,c),b),d);"), true)
    assert found.triplets == 0.25
    assert found.robinson_foulds == 1
    # Against (((a,b),c),d): triples abc and abd alike, acd and bcd not; clade ab alike, cd and abc not.
    found = f.compare_trees(f.read_tree("(((a,b),c),d);"), true)
    assert found.triplets == 0.5
    assert found.robinson_foulds == 0.5


@few
@given(seed=seeds, n=st.integers(4, 10))
def test_robinson_foulds_is_the_share_of_clades_that_differ(seed, n):
    rng = np.random.default_rng(seed)

    def grow(names, clades):
        """A random tree as a string; its clades are added."""
        parts = min(len(names), int(rng.integers(2, 4)))
        split = [list(part) for part in np.array_split(rng.permutation(names), parts)]
        clades |= {frozenset(part) for part in split if len(part) > 1}
        return f"({','.join(p[0] if len(p) == 1 else grow(p, clades) for p in split)})"

    clades = set(), set()
    trees = [f.read_tree(grow([f"l{k}" for k in range(n)], own) + ";") for own in clades]
    expected = len(clades[0] ^ clades[1]) / (len(clades[0]) + len(clades[1]) or 1)
    assume(clades[1])  # a star resolves no triple
    assert f.compare_trees(*trees).robinson_foulds == pytest.approx(expected)
    before = [tree.as_string("newick") for tree in trees]
    f.permutation_baseline(*trees, permutations=2)
    assert [tree.as_string("newick") for tree in trees] == before


def test_what_the_true_tree_leaves_open_does_not_count():
    star = f.read_tree("((a,b),(c,d),(e,f));")
    assert f.compare_trees(f.read_tree("(((a,b),(c,d)),(e,f));"), star).triplets == 1
    three = f.read_tree("((a,b),c);")
    with pytest.raises(ValueError, match=r"truth: .* got a star"):
        f.compare_trees(three, f.read_tree("(a,b,c);"))
    with pytest.raises(ValueError, match="leaves of found, differ in c, d"):
        f.compare_trees(three, f.read_tree("((a,b),d);"))


def test_names_are_read_as_they_are_written():
    tree = f.read_tree("((a_1:2,A_1):0.5,b);")
    assert [leaf.taxon.label for leaf in tree.leaf_node_iter()] == ["a_1", "A_1", "b"]
    assert f.compare_trees(tree, tree).robinson_foulds == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(a,b;", r"tree '\(a,b;': expected Newick; .*parenthes"),
        ("(a,b)", "expected Newick; .*end of stream"),
        ("(a:x,b);", "expected Newick; .*edge length: 'x'"),
        ("(a,(a,b));", "expected Newick; .*same tax"),
        ("(a:-1,b);", "expected branch lengths >= 0, got -1"),
        ("(,);", "expected a name for each leaf"),
        ("(a,b);(a,b);", "expected one tree, got 2"),
    ],
)
def test_strings_that_are_no_tree(text, message):
    with pytest.raises(ValueError, match=message):
        f.read_tree(text)


def test_shuffled_leaves_agree_by_chance_only():
    table = f.permutation_baseline(FAMILIES, FAMILIES, permutations=199, seed=1)
    table = table.set_index("measure")
    assert table.loc["triplets", "mean"] == pytest.approx(1 / 3, abs=0.05)
    assert table.loc["cophenetic", "mean"] == pytest.approx(0, abs=0.1)
    assert table.loc["robinson_foulds", "mean"] > 0.7
    assert (table["p"] < 0.03).all()
    assert table.loc["triplets", "low"] < table.loc["triplets", "high"] < 1
    mixed = f.read_tree("(((a1,b1),(a2,b2)),((a3,b3),(a4,b4)));")
    wrong = f.permutation_baseline(mixed, FAMILIES, permutations=99)
    assert (wrong["p"] > 0.3).all()


def test_misplaced_counts_what_the_nearest_clade_has_wrong():
    tree = f.read_tree("(((a1,a2),(a3,b1)),((b2,b3),c));")
    assert f.misplaced(tree, ["a1", "a2"]) == 0
    assert f.misplaced(tree, ["a1", "a2", "a3"]) == 1  # b1 too many, or a3 too few
    assert f.misplaced(tree, ["b1", "b2", "b3"]) == 1  # b1 too few
    assert f.misplaced(tree, ["a1", "b1", "c"]) == 2  # any one of them alone
    assert f.misplaced(tree, ["a1", "a2", "a3", "b1", "b2", "b3", "c"]) == 0
    with pytest.raises(ValueError, match=r"group: the tree has a1, .*; got 'x'"):
        f.misplaced(tree, ["a1", "x"])
    with pytest.raises(ValueError, match="at least 2 languages, got a1"):
        f.misplaced(tree, ["a1"])


def test_related_languages_form_the_tree_they_were_made_from():
    """Planted: languages of a family scale the components alike; slices share nothing else."""
    rng = np.random.default_rng(4)
    rank, names = 6, ["a1", "a2", "a3", "a4", "b1", "b2", "b3", "b4"]
    family, group = rng.uniform(0.2, 2, (2, rank)), rng.uniform(0.7, 1.4, (4, rank))
    c, b = rng.normal(size=(20, rank)), np.eye(rank) + 0.2 * rng.normal(size=(rank, rank))
    slices = {}
    for k, name in enumerate(names):
        weights = family[k // 4] * group[k // 2] * rng.uniform(0.95, 1.05, rank)
        p = np.linalg.qr(rng.normal(size=(25, rank)))[0]
        slices[name] = p @ (b * weights) @ c.T + 0.02 * rng.normal(size=(25, 20))
    found = f.parafac2(slices, rank, starts=3, nonnegative=True)
    tree = f.upgma(f.cosine_distances(f.signatures(found)))
    assert f.compare_trees(tree, FAMILIES).triplets > 0.95


# ---------------------------------------------------------------- trends
def test_trends_over_layers():
    rng = np.random.default_rng(5)
    table = pd.DataFrame(
        {
            "up": np.arange(13.0),
            "down": -(np.arange(13.0) ** 3),
            "noise": rng.permutation(13.0 * np.ones(13) * np.arange(13)),
            "gone": np.nan,
        }
    ).T
    found = f.layer_trends(table)
    assert found["trend"].to_dict() == {"up": "rising", "down": "falling", "noise": "none"}
    assert found.loc["up", ["tau", "slope"]].tolist() == [1, 1]
    expected = scipy.stats.kendalltau(np.arange(13), table.loc["noise"]).statistic
    assert found.loc["noise", "tau"] == pytest.approx(expected)
    assert (found["q"] >= found["p"]).all()


def test_many_languages_need_more_than_one_small_p():
    rng = np.random.default_rng(6)
    table = pd.DataFrame([rng.permutation(13) for _ in range(60)])
    found = f.layer_trends(table)
    assert (found["p"] < 0.05).any()
    assert (found["trend"] == "none").all()
    with pytest.raises(ValueError, match="at least 3 layers, got 2"):
        f.layer_trends(table.iloc[:, :2])
    with pytest.raises(ValueError, match="a language without nan, got none"):
        f.layer_trends(table * np.nan)
