"""Each index against an independent implementation, its closed forms, and what it must (not) forgive."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import scipy
import torch
from hypothesis import given
from hypothesis import strategies as st
from rows import EXACT, few, related, seeds

from xsim_lib.indices import (
    anc,
    cca,
    linear_cka,
    matching_accuracy,
    neuron_correlations,
    procrustes,
    pwcca,
    rbf_cka,
    remove_directions,
    svcca,
)


def rotation(d, seed=0):
    return scipy.stats.ortho_group.rvs(d, random_state=seed)


def centred(x):
    return x - x.mean(0)


# --- against textbook implementations -------------------------------------------------------------


@few
@given(seed=seeds, n=st.integers(3, 40), d=st.integers(1, 8))
def test_anc_is_the_mean_of_scipy_correlations(seed, n, d):
    x, y = related(seed, n, d, d)
    r = np.array([scipy.stats.pearsonr(x[:, i], y[:, i]).statistic for i in range(d)])
    assert neuron_correlations(x, y).values == pytest.approx(r, **EXACT)
    assert anc(x, y) == pytest.approx(np.abs(r).mean(), **EXACT)
    assert anc(x, y, signed=True) == pytest.approx(r.mean(), **EXACT)


@few
@given(seed=seeds, n=st.integers(3, 12), dx=st.integers(1, 9), dy=st.integers(1, 9))
def test_linear_cka_is_hsic_of_centred_gram_matrices(seed, n, dx, dy):
    """Both branches: feature space and, for few samples, sample space."""
    x, y = related(seed, n, dx, dy)
    h = np.eye(n) - 1 / n
    k, m = h @ x @ x.T @ h, h @ y @ y.T @ h
    want = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert linear_cka(x, y) == pytest.approx(want, **EXACT)


def loop_hsic(k, m):
    """The U-statistic: averages over all distinct pairs, quadruples and triples of sentences."""
    n = len(k)
    pairs = [k[i, j] * m[i, j] for i, j in itertools.permutations(range(n), 2)]
    quads = [k[i, j] * m[q, r] for i, j, q, r in itertools.permutations(range(n), 4)]
    triples = [k[i, j] * m[i, q] for i, j, q in itertools.permutations(range(n), 3)]
    return np.mean(pairs) + np.mean(quads) - 2 * np.mean(triples)


@pytest.mark.parametrize(("n", "d"), [(7, 3), (5, 9)])
def test_debiased_cka_is_the_u_statistic_over_quadruples(n, d):
    x, y = related(3, n, d, d)
    k, m = x @ x.T, y @ y.T
    want = loop_hsic(k, m) / np.sqrt(loop_hsic(k, k) * loop_hsic(m, m))
    assert linear_cka(x, y, debiased=True) == pytest.approx(want, **EXACT)
    k, m = gaussian_kernel(x), gaussian_kernel(y)
    want = loop_hsic(k, m) / np.sqrt(loop_hsic(k, k) * loop_hsic(m, m))
    assert rbf_cka(x, y, debiased=True) == pytest.approx(want, **EXACT)


def gaussian_kernel(x, factor=1.0):
    distances = scipy.spatial.distance.pdist(x, "sqeuclidean")
    variance = factor**2 * np.median(distances[distances > 0])
    return np.exp(-scipy.spatial.distance.squareform(distances) / (2 * variance))


@pytest.mark.parametrize("factor", ["median", 0.4])
@pytest.mark.parametrize("n", [10, 11, 40])
def test_rbf_cka_uses_the_median_of_nonzero_squared_distances(n, factor):
    """A duplicated sentence has distance zero and must not enter the median."""
    x, y = related(1, n, 4, 5)
    x[3], y[5] = x[0], y[1]
    width = 1.0 if factor == "median" else factor
    h = np.eye(n) - 1 / n
    k, m = h @ gaussian_kernel(x, width) @ h, h @ gaussian_kernel(y, width) @ h
    want = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    assert rbf_cka(x, y, bandwidth=factor) == pytest.approx(want, **EXACT)


@few
@given(seed=seeds, dx=st.integers(1, 6), dy=st.integers(1, 6))
def test_procrustes_is_what_scipys_best_rotation_leaves(seed, dx, dy):
    x, y = related(seed, 50, dx, dy)
    a, b = (centred(v) / np.linalg.norm(centred(v)) for v in (x, y))
    a, b = (np.pad(v, ((0, 0), (0, 6 - v.shape[1]))) for v in (a, b))
    q, _ = scipy.linalg.orthogonal_procrustes(b, a)
    assert procrustes(x, y) == pytest.approx(np.linalg.norm(a - b @ q), **EXACT)


@pytest.mark.parametrize("centre", [None, "language", "sentence"])
@pytest.mark.parametrize("reverse", [False, True])
def test_matching_accuracy_counts_nearest_neighbours_by_cosine(centre, reverse):
    x, _ = related(5, 50, 6)
    y = x + 1.5 * np.random.default_rng(1).normal(size=x.shape) + 2
    a, b = x, y
    if centre:
        axis = {"language": 0, "sentence": 1}[centre]
        a, b = (v - v.mean(axis, keepdims=True) for v in (x, y))
    if reverse:
        a, b = b, a
    hits = []
    for k in range(50):
        cosines = [a[k] @ b[j] / np.linalg.norm(a[k]) / np.linalg.norm(b[j]) for j in range(50)]
        hits.append(int(np.argmax(cosines)) == k)
    assert 0 < np.mean(hits) < 1
    assert matching_accuracy(x, y, centre=centre, reverse=reverse) == pytest.approx(np.mean(hits))
    got = matching_accuracy(x, y, centre=centre, reverse=reverse, details=True)
    assert got.tolist() == hits


def test_matching_accuracy_is_the_same_in_blocks(monkeypatch):
    """Bounding memory must not change the answer."""
    x, y = related(2, 101, 5, 5, noise=0.3)
    whole = matching_accuracy(x, y, details=True)
    monkeypatch.setattr("xsim_lib.indices.retrieval._CHUNK_BYTES", 8 * 101 * 7)
    assert matching_accuracy(x, y, details=True).tolist() == whole.tolist()


def test_matching_accuracy_gives_ties_to_the_first_row():
    """Two equal sentences are one hit and one miss, whatever the rounding of the products."""
    x = np.random.default_rng(0).normal(size=(40, 7))
    x[25] = x[10]
    hits = matching_accuracy(x, 3 * x, details=True)
    assert hits[10]
    assert not hits[25]
    assert hits.sum() == 39


def test_rounding_in_the_matrix_product_does_not_break_ties():
    """Every sentence twice: products round differently by position, and each first copy must hit."""
    x = np.random.default_rng(0).normal(size=(401, 37))
    twice = np.concatenate([x, x[:-1]])
    assert matching_accuracy(twice, twice, details=True)[:401].all()


def test_matching_accuracy_of_zero_rows_is_a_miss_not_nan():
    x = np.eye(4)
    x[2] = 0
    assert matching_accuracy(x, x) == 0.75


# --- closed forms ---------------------------------------------------------------------------------


def test_overlapping_subspaces_have_the_known_values():
    """Orthonormal columns, 3 of 4 shared: CKA 3/4, CCA 3/4, Procrustes sqrt(2 - 2 * 3/4)."""
    q = np.linalg.qr(centred(np.random.default_rng(0).normal(size=(50, 5))))[0]
    x, y = q[:, :4], q[:, 1:]
    assert linear_cka(x, y) == pytest.approx(0.75, **EXACT)
    assert cca(x, y) == pytest.approx(0.75, **EXACT)
    assert procrustes(x, y) == pytest.approx(np.sqrt(0.5), **EXACT)
    assert anc(x, y) == pytest.approx(0, abs=1e-12)
    assert procrustes(q[:, :2], q[:, 2:4]) == pytest.approx(np.sqrt(2))


def test_anc_returns_the_planted_correlations():
    q = np.linalg.qr(centred(np.random.default_rng(0).normal(size=(50, 6))))[0]
    r = np.array([0.9, -0.5, 0.0])
    x, y = q[:, :3], r * q[:, :3] + np.sqrt(1 - r**2) * q[:, 3:]
    assert neuron_correlations(x, y).values == pytest.approx(r, abs=1e-12)
    assert anc(x, y) == pytest.approx(1.4 / 3)
    assert anc(x, y, signed=True) == pytest.approx(0.4 / 3)


def test_anc_of_independent_data_is_its_null_floor_not_zero():
    n, d = 400, 2000
    x, y = np.random.default_rng(0).normal(size=(2, n, d))
    assert anc(x, y) == pytest.approx(np.sqrt(2 / (np.pi * n)), rel=0.05)
    assert abs(anc(x, y, signed=True)) < 0.005


def test_debiasing_removes_what_few_samples_add_to_cka():
    """Independent data, 50 sentences, 768 neurons: the biased index says 'similar'."""
    draws = np.random.default_rng(0).normal(size=(10, 2, 50, 768))
    for index in (linear_cka, rbf_cka):
        assert min(index(x, y) for x, y in draws) > 0.9
        assert abs(np.mean([index(x, y, debiased=True) for x, y in draws])) < 0.03


# --- what is forgiven and what is not -------------------------------------------------------------

INDICES = {
    "cka": linear_cka,
    "cka_debiased": lambda x, y: linear_cka(x, y, debiased=True),
    "rbf": rbf_cka,
    "cca": cca,
    "svcca": lambda x, y: svcca(x, y, components=3),
    "pwcca": pwcca,
    "procrustes": procrustes,
}
# Change of the index when y is mapped: rotated, rescaled as a whole, mapped by any invertible matrix.
FORGIVES_ALL_LINEAR = {"cca", "pwcca"}


@pytest.mark.parametrize("name", INDICES)
def test_rotation_shift_and_isotropic_scale_are_forgiven(name):
    x, y = related(7, 80)
    moved = 3.7 * y @ rotation(6) + 11
    assert INDICES[name](x, moved) == pytest.approx(INDICES[name](x, y), **EXACT)


@pytest.mark.parametrize("name", INDICES)
def test_only_cca_and_pwcca_forgive_any_invertible_map(name):
    """SVCCA does not: the map changes which directions are the top ones (anc2022 says it does)."""
    x, y = related(7, 80)
    mapped = y @ np.random.default_rng(3).normal(size=(6, 6))
    change = abs(INDICES[name](x, mapped) - INDICES[name](x, y))
    assert change < 1e-9 if name in FORGIVES_ALL_LINEAR else change > 0.01


def test_pwcca_weighs_by_x_so_it_is_not_symmetric():
    x, y = related(7, 80)
    assert abs(pwcca(x, y) - pwcca(y, x)) > 1e-3


def test_anc_forgives_rescaled_neurons_but_not_rotations():
    """CKA is the other way round: that is the point of ANC."""
    x = np.random.default_rng(0).normal(size=(500, 16))
    scales = np.geomspace(0.01, 100, 16)
    assert anc(x, x * scales + 1) == pytest.approx(1)
    assert anc(x, -x) == pytest.approx(1)
    assert anc(x, -x, signed=True) == pytest.approx(-1)
    assert anc(x, x @ rotation(16)) < 0.5
    assert anc(x, np.roll(x, 1, axis=1)) < 0.1
    assert linear_cka(x, x @ rotation(16)) == pytest.approx(1)
    assert linear_cka(x, x * scales) < 0.7


# --- inputs ---------------------------------------------------------------------------------------

ALL = {**INDICES, "anc": anc, "matching": matching_accuracy}


@pytest.mark.parametrize("name", ALL)
def test_every_kind_of_array_gives_one_answer_as_a_python_float(name):
    """Integers, half precision, other strides and byte orders, torch: nothing but the values counts."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, size=(40, 6))
    y = x + rng.integers(-3, 4, size=x.shape)
    want = ALL[name](x.astype(float), y.astype(float))
    assert type(want) is float
    strided = np.zeros((80, 12))
    strided[::2, ::2] = x
    fixed = x.astype(">f8")
    fixed.setflags(write=False)
    variants = [x, x.astype("f2"), strided[::2, ::2], x[::-1].copy()[::-1], fixed, x.tolist()]
    variants += [torch.tensor(x), torch.tensor(x).half(), torch.tensor(x).bfloat16()]
    variants += [torch.from_numpy(strided)[::2, ::2], torch.tensor(x.T.copy()).T]
    variants += [torch.tensor(x).float().requires_grad_()]
    for variant in variants:
        assert ALL[name](variant, y) == pytest.approx(want, **EXACT)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_gives_the_cpu_answer(name):
    x, y = related(0, 80)
    on_device = ALL[name](torch.tensor(x, device="cuda"), torch.tensor(y, device="cuda"))
    assert on_device == pytest.approx(ALL[name](x, y), **EXACT)
    with pytest.raises(ValueError, match="y: expected device cuda"):
        ALL[name](torch.tensor(x, device="cuda"), y)


def test_inputs_are_not_changed():
    x, y = related(0, 40)
    before = x.copy(), y.copy()
    for index in ALL.values():
        index(x, y)
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


@pytest.mark.parametrize("name", ALL)
def test_bad_input_is_refused_with_what_came_and_what_was_expected(name):
    index = ALL[name]
    x, y = related(0, 40)
    with pytest.raises(ValueError, match="y: expected 40 rows like x, got 38"):
        index(x, y[:38])
    with pytest.raises(ValueError, match=r"x: expected at least \d rows .* got 1"):
        index(x[:1], y[:1])
    for value in (np.nan, np.inf, -np.inf):
        bad = y.copy()
        bad[7, 2] = bad[9, 0] = value
        with pytest.raises(ValueError, match=f"y: expected finite values, got {value} at row 7, c"):
            index(x, bad)
    with pytest.raises(ValueError, match=r"x: expected shape .* got \(40,\)"):
        index(x[:, 0], y)
    with pytest.raises(TypeError, match="x: expected real numbers, got dtype"):
        index(x.astype(str), y)
    with pytest.raises(TypeError, match="y: expected real numbers, got dtype"):
        index(x, torch.tensor(y).cfloat())


def test_finite_input_whose_sum_overflows_is_accepted():
    x = np.full((40, 6), 6e4, dtype=np.float16)
    x[::2] = 1
    assert linear_cka(x, x) == pytest.approx(1)


def test_neuronwise_indices_need_the_same_neurons():
    x, y = related(0, 40, 6, 5)
    for index in (anc, neuron_correlations, matching_accuracy):
        with pytest.raises(ValueError, match="y: expected 6 columns like x, got 5"):
            index(x, y)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 1e-30])
def test_dead_neurons_count_as_zero_correlation_and_are_reported(value):
    """4 perfect neurons and a dead one are 0.8, even when rounding makes the dead one wiggle."""
    x = np.random.default_rng(0).normal(size=(1001, 5))
    y = x.copy()
    y[:, 2] = value
    found = neuron_correlations(x, y)
    assert found.n_dead == 1
    assert found.dead[2]
    assert anc(x, y) == pytest.approx(0.8)


def test_a_nearly_constant_neuron_is_alive():
    x = np.random.default_rng(0).normal(size=(100, 2)) * 1e-6 + 1e4
    found = neuron_correlations(x, x)
    assert found.n_dead == 0
    assert found.values == pytest.approx(1)


@pytest.mark.parametrize("name", INDICES)
def test_a_collapsed_side_is_an_error_not_a_number(name):
    x, y = related(0, 40)
    with pytest.raises(ValueError, match="y: all rows are equal"):
        INDICES[name](x, np.full_like(y, 0.1))


def test_options_out_of_range_are_named():
    x, y = related(0, 40)
    with pytest.raises(ValueError, match="centre: expected one of None, 'language'"):
        matching_accuracy(x, y, centre="mean")
    with pytest.raises(ValueError, match="bandwidth: expected a number"):
        rbf_cka(x, y, bandwidth=-1)
    with pytest.raises(ValueError, match="k: expected an integer from 0 to 6, got 7"):
        remove_directions(x, 7)


def test_importing_the_indices_loads_no_torch():
    """`xsim --help` and the records must stay quick."""
    code = (
        "import sys, xsim_lib.indices, xsim_lib.indices.moments; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
