"""True trees, trees without a model, and the variance tests of language sets."""

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from xsim_lib.factorization import average_distances, cosine_distances, misplaced, read_tree
from xsim_lib.papers.parafac2023 import language_trees as trees
from xsim_lib.papers.parafac2023.lexical_overlap import lexical_distances
from xsim_lib.papers.parafac2023.variances import variance_tests
from xsim_lib.study import profiles
from xsim_lib.text.sources import Artificial, Real
from xsim_lib.text.types import Corpus

FAMILY = Artificial(
    preset="eurasian14", languages=("en", "de", "fr", "es", "ru", "fi", "zh"), sentences=300
)


def topology(tree):
    """The tree as a string without lengths."""
    return tree.as_string("newick", suppress_edge_lengths=True, suppress_rooting=True).strip()


def path_lengths(tree):
    """Sum of the branch lengths between every two leaves (both orders)."""
    between = tree.phylogenetic_distance_matrix()
    pairs = {
        frozenset((a.label, b.label)): between(a, b) for a, b in between.distinct_taxon_pair_iter()
    }
    return {(a, b): length for pair, length in pairs.items() for a, b in permutations(pair)}


# ---------------------------------------------------------------- trees
def test_a_pruned_tree_keeps_path_lengths_and_has_no_node_of_one_child():
    tree = read_tree("(((a:1,b:2):3,(c:4,d:5):6):7,e:8);")
    found = trees.pruned(tree, ["b", "c", "e"])
    assert topology(found) == "((b,c),e);"
    whole, part = path_lengths(tree), path_lengths(found)
    assert part == {pair: whole[pair] for pair in part}
    assert len(part) == 6
    sisters = trees.pruned(tree, ["c", "d"])
    assert topology(sisters) == "(c,d);"
    assert sisters.length() == 9  # not the branches above both
    assert topology(tree) == "(((a,b),(c,d)),e);"
    with pytest.raises(ValueError, match=r"languages: the tree has a, b, c, d, e; got 'x'"):
        trees.pruned(tree, ["a", "x"])
    with pytest.raises(ValueError, match="at least 2, got a"):
        trees.pruned(tree, ["a"])


def test_the_true_tree_of_a_family_is_the_one_it_was_made_from():
    found = trees.true_tree(FAMILY, FAMILY.languages)
    assert {leaf.taxon.label for leaf in found.leaf_node_iter()} == set(FAMILY.languages)
    assert misplaced(found, ["en", "de"]) == 0
    assert misplaced(found, ["en", "de", "fr", "es", "ru"]) == 0
    assert misplaced(found, ["fr", "ru"]) > 0
    lengths = path_lengths(found)
    assert lengths["en", "de"] == pytest.approx(0.6)
    assert lengths["en", "fr"] == pytest.approx(1.1)
    assert lengths["en", "ru"] == pytest.approx(1.4)
    unrelated = [lengths["en", "fi"], lengths["en", "zh"], lengths["zh", "fi"]]
    assert unrelated == pytest.approx([1.75] * 3)  # in the family's own root: 1.3, 1.3, 1.2
    one = Artificial(preset="graded5", languages=("en", "fr"), sentences=1)
    assert path_lengths(trees.true_tree(one, one.languages))["en", "fr"] > 0


def test_the_true_tree_of_real_languages_has_the_families_and_genera_of_table_2():
    source = Real(languages=("en", "sv", "fr", "es", "ru", "hi", "fi", "zh", "ja"), words=1)
    found = trees.true_tree(source, source.languages)
    for clade in (["en", "sv"], ["fr", "es"], ["en", "sv", "fr", "es", "ru", "hi"]):
        assert misplaced(found, clade) == 0
    assert misplaced(found, ["zh", "ja"]) == 1  # two families
    lengths = path_lengths(found)
    assert (lengths["en", "sv"], lengths["en", "ru"], lengths["en", "zh"]) == (2, 4, 6)
    given = trees.true_tree(source, ["en", "fr", "zh"], families="((en,zh),(fr,xx));")
    assert topology(given) == "((en,zh),fr);"
    with pytest.raises(ValueError, match=r"Table 2 has ar, .*; got 'eu': give families"):
        trees.true_tree(source, ["en", "eu"])


def test_languages_of_one_group_alone_are_its_leaf():
    found = trees.taxonomy({"a": ("x", "p"), "b": ("x", "p"), "c": ("x", "q"), "d": ("y", "r")})
    assert topology(found) == "(((a,b),c),d);"
    assert path_lengths(found)["a", "c"] == 4
    apart = trees.taxonomy({"a": ("x",), "b": ("y",)})
    assert apart.as_string("newick", suppress_rooting=True).strip() == "(a:2.0,b:2.0):0.0;"
    related = trees.taxonomy({"a": ("x", "p"), "b": ("x", "p")})
    assert related.as_string("newick", suppress_rooting=True).strip() == "(a:1.0,b:1.0):0.0;"


def test_families_hang_from_the_root():
    tree = read_tree("((a,(b,c)),d,(e,f));")
    assert trees.families(tree) == [("a", "b", "c"), ("d",), ("e", "f")]


def test_without_cognates_changes_the_roots_and_nothing_else():
    settings = profiles.paper_settings("parafac2023", "smoke")
    changed = trees.without_cognates(settings)
    assert changed.source.options == {**settings.source.options, "cognates": False}
    assert changed.multilingual(1).training == settings.multilingual(1).training
    own, other = (x.source.model_copy(update={"sentences": 20}) for x in (settings, changed))
    assert own.family.newick == other.family.newick
    assert own.training() != other.training()
    real = profiles.paper_settings("parafac2023", "real")
    with pytest.raises(ValueError, match="settings: expected artificial languages"):
        trees.without_cognates(real)


def test_a_drawn_tree_names_its_leaves_in_their_colours():
    figure, axis = plt.subplots()
    colours = {"a": "red", "b": "red", "c": "blue"}
    trees.draw_tree(axis, read_tree("((a:1,b:1):1,c:2);"), colours, title="t")
    texts = {t.get_text(): (t.xy, t.get_color()) for t in axis.texts}
    assert texts == {
        "a": ((2.0, 0.0), "red"),
        "b": ((2.0, -1.0), "red"),
        "c": ((2.0, -2.0), "blue"),
    }
    lines = [(tuple(x.get_xdata()), x.get_color()) for x in axis.lines]
    assert ((0.0, 1.0), "red") in lines  # the branch above a and b
    assert axis.get_title() == "t"
    plt.close(figure)
    figure, axis = plt.subplots()
    trees.draw_tree(axis, read_tree("((a,b),c);"), {})
    assert {t.get_text(): t.xy[0] for t in axis.texts} == {"a": 3, "b": 3, "c": 2}
    plt.close(figure)


# ---------------------------------------------------------------- without a model
def test_shared_words_count_by_how_often_they_occur():
    corpus = Corpus("c", {"a": ["x x y z"], "b": ["x w w w"], "c": ["q"]})
    found = lexical_distances(corpus)
    assert found.loc["a", "b"] == found.loc["b", "a"] == pytest.approx(0.75)  # x: min(1/2, 1/4)
    assert found.loc["a", "c"] == 1
    assert np.diag(found).tolist() == [0, 0, 0]


def test_runs_of_characters_know_where_words_end():
    one = Corpus("c", {"a": ["abc"], "b": ["abd"]})
    # Of " abc " and " abd " the runs " ab" are shared, "abc", "bc ", "abd", "bd " are not.
    assert lexical_distances(one, ngram=3).loc["a", "b"] == pytest.approx(2 / 3)
    assert lexical_distances(one).loc["a", "b"] == 1
    ends = Corpus("c", {"a": ["ab"], "b": ["cab"]})
    assert lexical_distances(ends, ngram=3).loc["a", "b"] == pytest.approx(2 / 3)  # "ab " only
    assert lexical_distances(Corpus("c", {"a": ["x"], "b": ["x"]}), ngram=9).loc["a", "b"] == 0


def test_sister_languages_share_words_unless_they_have_no_cognates():
    own = lexical_distances(FAMILY.training())
    assert own.loc["fr", "es"] < own.loc["fr", ["en", "de", "ru", "fi", "zh"]].min() - 0.1
    strangers = FAMILY.model_copy(update={"options": {"cognates": False}})
    assert lexical_distances(strangers.training()).loc["fr", "es"] > own.loc["fr", "es"] + 0.1


def test_strings_need_two_languages_and_a_length():
    with pytest.raises(ValueError, match="at least 2 languages, got a only"):
        lexical_distances(Corpus("c", {"a": ["x"]}))
    with pytest.raises(ValueError, match="ngram: expected an integer from 1"):
        lexical_distances(Corpus("c", {"a": ["x"], "b": ["y"]}), ngram=0)


def test_presence_is_the_average_distance_of_equal_signatures():
    present = pd.DataFrame(
        [[1, 1, 0, 1], [1, 0, 0, 1], [0, 0, 1, 1]], index=list("abc"), columns=list("wxyz")
    ).astype(bool)
    found = trees.presence_distances(present)
    assert found.loc["a", "b"] == 0.5
    equal = [
        cosine_distances(pd.DataFrame(1.0, index=present.index[own], columns=[0, 1]))
        for own in (present[c] for c in present)
    ]
    pd.testing.assert_frame_equal(found, average_distances(equal), check_names=False)


# ---------------------------------------------------------------- variances
def test_variance_tests_are_those_of_textbooks():
    rng = np.random.default_rng(0)
    x, y = 2 * rng.normal(size=10), rng.normal(size=5)
    found = variance_tests(x, y)
    ratio = x.var(ddof=1) / y.var(ddof=1)
    assert found.ratio == pytest.approx(ratio)
    assert found.chi2_p == pytest.approx(2 * stats.chi2.sf(9 * ratio, 9))
    assert found.f_p == pytest.approx(2 * stats.f.sf(ratio, 9, 4))
    assert found.chi2_p < found.f_p
    small = variance_tests(x / 100, y)
    assert small.chi2_p == pytest.approx(2 * stats.chi2.cdf(9 * ratio / 1e4, 9))


def test_p_is_uniform_where_its_assumption_holds():
    rng = np.random.default_rng(1)
    draws = [variance_tests(rng.normal(size=8), rng.normal(size=4)) for _ in range(2000)]
    f, chi2 = (np.mean([getattr(d, p) < 0.05 for d in draws]) for p in ("f_p", "chi2_p"))
    assert f == pytest.approx(0.05, abs=0.015)
    assert chi2 > 0.25  # the variance of four values is not known


@pytest.mark.parametrize(
    ("sample", "reference", "message"),
    [
        ([1.0], [1.0, 2.0], "sample: expected at least 2 finite numbers"),
        ([1.0, 2.0], [1.0, np.nan], "reference: expected at least 2 finite numbers"),
        ([1.0, 2.0], [3.0, 3.0], "reference: expected values that differ"),
    ],
)
def test_sets_that_cannot_be_compared(sample, reference, message):
    with pytest.raises(ValueError, match=message):
        variance_tests(sample, reference)
