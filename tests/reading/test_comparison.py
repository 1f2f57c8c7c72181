"""`encode` equals a loop over sentences; `compare` equals the indices of what `encode` returns."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import small
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from xsim_lib import indices
from xsim_lib.models.encoder import LoadedModel, untrained
from xsim_lib.reading import comparison
from xsim_lib.reading.comparison import BASELINES, INDICES, compare
from xsim_lib.reading.sentences import POOLINGS, encode
from xsim_lib.text.sources import Artificial
from xsim_lib.text.types import ParallelCorpus, covariates

LINES = (*small.corpus()["en"][:25], "a", *small.corpus()["fr"][:6])


@pytest.fixture(scope="module")
def loaded():
    # Another seed than that of the untrained copy, which would otherwise be the same model.
    return small.loaded("normformer", seed=5)


@pytest.fixture(scope="module")
def parallel():
    """Two pairs that share English and, as in Tatoeba, one with English of its own and fewer lines."""
    four = Artificial(languages=("en", "fr", "et", "bg"), sentences=1).family.parallel(90, seed=1)
    shared = {
        f"en-{other}": ParallelCorpus("shared", {k: four[k] for k in ("en", other)})
        for other in ("fr", "et")
    }
    return {**shared, "en-bg": small.parallel("en-bg", 71, seed=9)}


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    """90 sentences are three chunks, 71 are two and one of 11."""
    monkeypatch.setattr(comparison, "CHUNK", 30)


# ---------------------------------------------------------------- encode
@torch.no_grad()
def one_by_one(loaded, lines, pooling):
    rows = []
    for line in lines:
        ids = loaded.tokenizer(line, return_tensors="pt")["input_ids"]
        states = torch.stack(loaded.model(ids, output_hidden_states=True).hidden_states)[:, 0]
        chosen = {"mean": slice(None), "mean_words": slice(1, -1), "first": slice(0, 1)}[pooling]
        rows.append(states[:, chosen].mean(1))
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("norm", ["post", "pre", "normformer"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_encode_is_a_loop_over_single_sentences(norm, pooling):
    model = small.loaded(norm)
    expected = one_by_one(model, LINES, pooling)
    for batch_tokens in (1, 70, 8192):
        got = encode(model, LINES, pooling=pooling, batch_tokens=batch_tokens)
        assert got.shape == (3, len(LINES), 16)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    assert not got.requires_grad


def test_special_tokens_count_in_the_mean_of_all_tokens_only(loaded):
    pooled = {pooling: encode(loaded, LINES, pooling=pooling) for pooling in POOLINGS}
    for a, b in (("mean", "mean_words"), ("mean", "first")):
        assert (pooled[a] - pooled[b]).abs().max() > 0.01


@pytest.mark.parametrize("batch_tokens", [1, 60, 8192])
def test_row_k_is_sentence_k_in_whatever_order(loaded, batch_tokens):
    order = np.random.default_rng(batch_tokens).permutation(len(LINES))
    rows = encode(loaded, LINES)
    again = encode(loaded, [LINES[k] for k in order], batch_tokens=batch_tokens)
    torch.testing.assert_close(again, rows[:, order], rtol=0, atol=1e-5)


def test_encode_refuses_what_it_cannot_encode(loaded):
    with pytest.raises(ValueError, match="at least one sentence"):
        encode(loaded, [])
    with pytest.raises(ValueError, match=r"pooling: expected one of mean.*'max'"):
        encode(loaded, LINES, pooling="max")
    with pytest.raises(
        ValueError, match=r"sentence 1 has \d+ tokens, small_normformer reads .* 128"
    ):
        encode(loaded, ["a", "z q " * 99, "a"])


# ---------------------------------------------------------------- compare
DIRECT = {
    "anc": indices.anc,
    "anc_signed": lambda x, y: indices.anc(x, y, signed=True),
    "cka": indices.linear_cka,
    "cka_debiased": lambda x, y: indices.linear_cka(x, y, debiased=True),
    "cca": indices.cca,
    "svcca": indices.svcca,
    "pwcca": indices.pwcca,
    "procrustes": indices.procrustes,
    "matching": indices.matching_accuracy,
    "matching_centred": lambda x, y: indices.matching_accuracy(x, y, centre="language"),
}


def rows_of(loaded, lines):
    """The vectors `compare` sees: in its own chunks, or rounding would differ in the 7th digit."""
    parts = [lines[k : k + comparison.CHUNK] for k in range(0, len(lines), comparison.CHUNK)]
    return torch.cat([encode(loaded, part) for part in parts], dim=1)


def curve(frame, metric, pair, baseline="", variant=""):
    kept = frame[
        (frame["metric"] == metric)
        & (frame["pair_or_language"] == pair)
        & (frame["baseline"] == baseline)
        & (frame["variant"] == variant)
    ]
    assert kept["layer"].tolist() == [0, 1, 2]
    return kept["value"].to_numpy()


@pytest.fixture(scope="module")
def everything(loaded, parallel):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "CHUNK", 30)
        return compare(
            loaded, parallel, indices=INDICES, partial_out=True, blocks=10, progress=False
        )


def test_every_index_has_a_direct_computation_to_be_held_against():
    assert set(DIRECT) == set(INDICES)


@pytest.mark.parametrize("metric", INDICES)
def test_compare_gives_the_index_of_the_encoded_rows(metric, everything, loaded, parallel):
    for pair, corpus in parallel.items():
        x, y = (rows_of(loaded, lines) for lines in corpus.pair(*pair.split("-")))
        expected = [DIRECT[metric](a, b) for a, b in zip(x, y, strict=True)]
        # The square root of Procrustes halves the digits near 0, where no pair here is.
        np.testing.assert_allclose(curve(everything, metric, pair), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("metric", [m for m in INDICES if m not in comparison._NOT_PARTIAL])
def test_partial_is_the_index_of_regression_residuals(metric, everything, loaded, parallel):
    for pair, corpus in parallel.items():
        lines = corpus.pair(*pair.split("-"))
        z = np.column_stack([np.ones(len(corpus)), *(covariates(side) for side in lines)])
        residuals = []
        for side in lines:
            rows = rows_of(loaded, side).double().numpy()
            residuals.append([r - z @ np.linalg.lstsq(z, r, rcond=None)[0] for r in rows])
        expected = [DIRECT[metric](a, b) for a, b in zip(*residuals, strict=True)]
        got = curve(everything, metric, pair, variant="partial")
        # Layers 0 and 2 end in a layer norm: a direction that is rounding of the vectors in float32,
        # which the residuals in float64 no longer tell.
        kept = [1] if "cca" in metric else [0, 1, 2]
        np.testing.assert_allclose(got[kept], np.array(expected)[kept], rtol=0, atol=1e-8)
        assert np.abs(got - curve(everything, metric, pair)).max() > 1e-4


def test_the_table_is_complete_and_says_what_each_row_is(everything, parallel):
    plain, partial = len(INDICES), len(INDICES) - len(comparison._NOT_PARTIAL)
    # Matching is not measured at equal length.
    per_pair = 4 * plain - 2 + 4 * partial
    assert len(everything) == 3 * len(parallel) * per_pair
    assert not everything.duplicated(
        ["pair_or_language", "layer", "metric", "baseline", "variant"]
    ).any()
    assert set(everything["n_layers"]) == {2}
    assert set(everything["baseline"]) == {"", *BASELINES}
    sizes = everything.groupby("pair_or_language")["n"].unique()
    assert {pair: n.tolist() for pair, n in sizes.items()} == {
        "en-fr": [90], "en-et": [90], "en-bg": [71],
    }  # fmt: skip
    assert np.isfinite(everything["value"]).all()


def test_pairs_do_not_disturb_each_other(everything, loaded, parallel):
    """Each pair alone gives what it gives among others, also where the others' English differs."""
    for pair, corpus in parallel.items():
        alone = compare(loaded, {pair: corpus}, indices=("anc", "cka"), blocks=10, progress=False)
        for baseline in ("", *BASELINES):
            for metric in ("anc", "cka"):
                np.testing.assert_allclose(
                    curve(alone, metric, pair, baseline),
                    curve(everything, metric, pair, baseline),
                    atol=1e-12,
                )


def test_the_chunk_length_changes_only_the_shuffles(everything, loaded, parallel, monkeypatch):
    monkeypatch.setattr(comparison, "CHUNK", 10_000)
    whole = compare(loaded, parallel, indices=("anc", "procrustes"), blocks=10, progress=False)
    for pair in parallel:
        for metric in ("anc", "procrustes"):
            for baseline in ("", "untrained"):
                np.testing.assert_allclose(
                    curve(whole, metric, pair, baseline),
                    curve(everything, metric, pair, baseline),
                    atol=1e-5,
                )


def test_a_last_chunk_of_one_sentence_is_measured_too(loaded):
    """One sentence has no other to be exchanged with: 61 sentences are chunks of 30 and 31."""
    n = 61
    corpus = small.parallel("en-fr", n)
    got = compare(loaded, {"en-fr": corpus}, indices=("anc",), blocks=10, progress=False)
    x, y = (encode(loaded, lines) for lines in corpus.pair("en", "fr"))
    expected = [indices.anc(a, b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(curve(got, "anc", "en-fr"), expected, atol=1e-5)
    assert set(got["n"]) == {n}


# ---------------------------------------------------------------- baselines
class Stub(torch.nn.Module):
    """A model of one layer whose vector is a function of the sentence's number and its length."""

    config = SimpleNamespace(max_position_embeddings=64, model_type="stub")
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, features):
        super().__init__()
        self.features = features

    def forward(self, input_ids, attention_mask, output_hidden_states):
        ids, lengths = input_ids[:, 0].tolist(), attention_mask.sum(1).tolist()
        rows = [self.features(k, n) for k, n in zip(ids, lengths, strict=True)]
        rows = torch.tensor(np.array(rows), dtype=torch.float32)
        return SimpleNamespace(hidden_states=(rows[:, None].expand(-1, input_ids.shape[1], -1),))


def stub(features):
    words = {str(k): k for k in range(100)} | {"<pad>": 100, "<unk>": 101}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=64
    )
    return LoadedModel("stub", Stub(features), wrapped)


def numbered(lengths):
    """Sentence k is the word k, as often as `lengths` says; the same in both languages."""
    lines = tuple(" ".join([str(k)] * n) for k, n in enumerate(lengths))
    return {"en-fr": ParallelCorpus("numbered", {"en": lines, "fr": lines})}


def value(frame, metric, baseline):
    return frame[(frame["metric"] == metric) & (frame["baseline"] == baseline)]["value"].item()


def test_shuffled_pairs_no_sentence_with_its_own_translation():
    """Neuron i fires at sentence i alone: its correlation is 1 if i stays, else -1 / (n - 1)."""
    n = 71
    parallel = numbered([1 + k % 4 for k in range(n)])
    model = stub(lambda k, length: np.eye(n)[k])
    found = compare(
        model, parallel, indices=("anc_signed", "matching"), baselines=BASELINES[:2], blocks=10,
        progress=False,
    )  # fmt: skip
    assert value(found, "anc_signed", "") == pytest.approx(1)
    assert value(found, "anc_signed", "shuffled") == pytest.approx(-1 / (n - 1))
    assert value(found, "anc_signed", "length_matched") == pytest.approx(-1 / (n - 1))
    assert value(found, "matching", "") == 1
    assert value(found, "matching", "shuffled") == 0


def test_length_matched_exchanges_sentences_of_equal_length_only():
    parallel = numbered([1 + k % 4 for k in range(71)])
    model = stub(lambda k, length: [length])
    found = compare(
        model, parallel, indices=("anc_signed",), baselines=BASELINES[:2], blocks=10,
        progress=False,
    )  # fmt: skip
    assert value(found, "anc_signed", "length_matched") == pytest.approx(1)
    assert abs(value(found, "anc_signed", "shuffled")) < 0.5


def test_partialling_out_length_leaves_nothing_of_a_neuron_that_counts_words():
    generator = np.random.default_rng(0)
    parallel = numbered(generator.integers(1, 20, 90))
    noise = generator.normal(size=90)
    model = stub(lambda k, length: [length, noise[k]])
    found = compare(
        model, parallel, indices=("anc",), baselines=(), partial_out=True, blocks=10,
        progress=False,
    )  # fmt: skip
    plain, partial = (found[found["variant"] == v]["value"].item() for v in ("", "partial"))
    assert plain == pytest.approx(1)
    assert partial == pytest.approx(0.5)  # the noise is still its own, the count is gone


def test_the_untrained_baseline_is_a_comparison_of_a_fresh_copy(everything, loaded, parallel):
    indices = ("anc", "svcca", "matching")
    fresh = compare(
        untrained(loaded, 0), parallel, indices=indices, baselines=(), blocks=10, progress=False
    )
    for pair in parallel:
        for metric in indices:
            expected = curve(fresh, metric, pair)
            np.testing.assert_array_equal(curve(everything, metric, pair, "untrained"), expected)
            if metric != "matching":  # by chance at this size
                assert (curve(everything, metric, pair) != expected).all()


def test_the_seed_decides_the_baselines_and_nothing_else(loaded, parallel):
    a, b, c = (
        compare(loaded, parallel, indices=("anc",), blocks=10, seed=seed, progress=False)
        for seed in (0, 1, 0)
    )
    pd.testing.assert_frame_equal(a, c, check_exact=True)
    for pair in parallel:
        np.testing.assert_array_equal(curve(a, "anc", pair), curve(b, "anc", pair))
        for baseline in BASELINES:
            assert (curve(a, "anc", pair, baseline) != curve(b, "anc", pair, baseline)).all()


# ---------------------------------------------------------------- intervals
def test_intervals_hold_the_estimate_and_only_measurements_have_them(everything):
    of_moments = ~everything["metric"].str.startswith("matching")
    measured = everything[(everything["baseline"].isin(["", "untrained"])) & of_moments]
    assert (measured["lower"] <= measured["value"]).all()
    assert (measured["value"] <= measured["upper"]).all()
    assert (measured["upper"] - measured["lower"] > 0).all()
    assert everything.drop(measured.index)[["lower", "upper"]].isna().all(axis=None)


def test_intervals_are_the_jackknife_over_dealt_blocks(everything, loaded, parallel):
    """Block j is every tenth sentence of each chunk, from the j-th on."""
    corpus = parallel["en-fr"]
    x, y = (rows_of(loaded, lines) for lines in corpus.pair("en", "fr"))
    block = np.concatenate([np.arange(30) % 10] * 3)
    whole = indices.anc(x[1], y[1])
    left_out = [indices.anc(x[1][block != j], y[1][block != j]) for j in range(10)]
    pseudo = 10 * whole - 9 * np.array(left_out)
    error = pseudo.std(ddof=1) / np.sqrt(10)
    rows = everything[(everything["metric"] == "anc") & (everything["pair_or_language"] == "en-fr")]
    row = rows[(rows["layer"] == 1) & (rows["baseline"] == "") & (rows["variant"] == "")].iloc[0]
    half = 2.2621571 * error  # t with 9 degrees of freedom
    assert [row["lower"], row["upper"]] == pytest.approx([whole - half, whole + half], abs=1e-8)


def test_intervals_narrow_with_the_number_of_sentences(loaded, monkeypatch):
    monkeypatch.setattr(comparison, "CHUNK", 2048)
    widths = []
    for n in (60, 480):
        found = compare(
            loaded, {"en-fr": small.parallel("en-fr", n)}, indices=("anc_signed", "cka"),
            baselines=(), progress=False,
        )  # fmt: skip
        widths.append((found["upper"] - found["lower"]).mean())
    assert widths[1] < 0.6 * widths[0]  # 0.35 if it were the square root exactly


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indices": ("anc", "cosine")}, "indices: expected any of anc, .*; got 'cosine'"),
        ({"indices": "anc"}, "indices: expected a list of names, got the string 'anc'"),
        ({"indices": ()}, "indices: expected at least one"),
        ({"baselines": ("random",)}, "baselines: expected any of shuffled, .*; got 'random'"),
        ({"baselines": "shuffled"}, "baselines: expected a list"),
        ({"pooling": "max"}, "pooling: expected one of"),
        ({"blocks": 46}, "parallel: expected at least 92 sentences in en-fr, got 90"),
        ({"blocks": 40}, "parallel: expected at least 80 sentences in en-bg, got 71"),
    ],
)
def test_wrong_arguments_are_named(changes, message, loaded, parallel):
    with pytest.raises(ValueError, match=message):
        compare(loaded, parallel, progress=False, **{"blocks": 10, **changes})


def test_a_pair_without_its_language_is_named(loaded, parallel):
    with pytest.raises(ValueError, match=r"language: .* has en, fr; got 'bg'"):
        compare(loaded, {"en-bg": parallel["en-fr"]}, progress=False)
    with pytest.raises(ValueError, match="pairs: expected two languages like 'en-fr', got 'enfr'"):
        compare(loaded, {"enfr": parallel["en-fr"]}, progress=False)
    with pytest.raises(ValueError, match="parallel: expected at least one"):
        compare(loaded, {}, progress=False)
