"""The pass behind `compare`: bounded memory, one encoding per language, sums that are taken up again."""

import copy

import numpy as np
import pandas as pd
import pytest
import small
import torch

from xsim_lib.reading import sums
from xsim_lib.reading.comparison import Note, compare
from xsim_lib.reading.sentences import encode
from xsim_lib.text.sources import Artificial
from xsim_lib.text.types import ParallelCorpus

N = 60


@pytest.fixture(scope="module")
def text():
    family = Artificial(languages=("en", "fr", "et"), sentences=1).family
    return family.parallel(N, languages=["en", "fr", "et"], seed=1)


def test_sums_do_not_grow_with_the_number_of_sentences(text):
    loaded = small.loaded()
    sizes = {}
    for n in (20, 60):
        head = text.head(n)
        sides = tuple((language, head[language]) for language in ("en", "fr"))
        plan = sums.Plan(sides, {"en-fr": (0, 1)}, ("shuffled",), {"": False}, False, 2, 10, "mean", None, 0)  # fmt: skip
        done = sums.collect_sums(loaded, plan, advance=lambda _: None)
        parts = [part for parts in done.tables.values() for part in parts]
        sizes[n] = sum(v.nbytes for part in parts for v in part.state().values())
        assert done.rows == {}
        assert len(plan.cuts[0]) == n // 10
    assert sizes[20] == sizes[60] > 0


def test_each_language_is_encoded_once(text, monkeypatch):
    calls = []

    def counting(loaded, lines, **options):
        calls.append(len(lines))
        return encode(loaded, lines, **options)

    monkeypatch.setattr(sums, "encode", counting)
    compare(small.loaded(), dict.fromkeys(("en-fr", "en-et", "fr-et"), text), baselines=("shuffled",),
            blocks=10, progress=False)  # fmt: skip
    assert calls == [N, N, N]


@pytest.mark.parametrize(("share", "blocks"), [(0.6, 12), (0.3, 0)])
def test_too_little_memory_costs_blocks_then_intervals_but_no_estimate(text, share, blocks):
    """20 blocks of three sums, and two sums of shuffled pairs, of 3 layers x 16 x 16 in float64."""
    pair, options = {"en-fr": text}, {"indices": ("cka",), "progress": False}
    whole = compare(small.loaded(), pair, **options)
    gib = (20 * 3 * share + 2) * 3 * 16 * 16 * 8 / 2**30
    if not blocks:
        gib /= 2  # room for less than 5
    with pytest.warns(Note, match=f"{blocks} blocks instead of 20" if blocks else "no intervals"):
        less = compare(small.loaded(), pair, memory=gib, **options)
    np.testing.assert_allclose(less["value"], whole["value"], atol=1e-12)
    assert less["lower"].notna().any() == bool(blocks)


def test_padding_with_the_last_token_of_a_sentence_hides_no_token():
    loaded = small.loaded()
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(tokenizer("a")["input_ids"][-1])
    again = type(loaded)(loaded.name, loaded.model, tokenizer)
    lines = ["a", "a b c d e f"]
    torch.testing.assert_close(encode(again, lines), encode(loaded, lines))


def test_a_language_code_may_hold_a_hyphen(text):
    corpus = ParallelCorpus("x", {"en": text["en"], "zh-Hant": text["fr"]})
    found = compare(small.loaded(), {"en-zh-Hant": corpus}, blocks=5, baselines=(), progress=False)
    assert set(found["pair_or_language"]) == {"en-zh-Hant"}


def test_a_state_of_something_else_is_not_used_and_it_says_so(text, tmp_path, monkeypatch):
    monkeypatch.setattr(sums.Saved, "remove", lambda self: None)
    options = {"baselines": (), "blocks": 5, "progress": False, "resume": tmp_path}
    pair = {"en-fr": text}
    compare(small.loaded(), pair, **options)
    cases = {
        "weights": (small.loaded(seed=5), pair, {}),
        "text": (small.loaded(seed=5), {"en-fr": text.head(50)}, {}),
        "options": (small.loaded(seed=5), {"en-fr": text.head(50)}, {"pooling": "first"}),
    }
    for reason, (loaded, parallel, more) in cases.items():
        with pytest.warns(Note, match=f"made with other {reason}; starting again"):
            got = compare(loaded, parallel, **{**options, **more})
        fresh = compare(loaded, parallel, **{**options, **more, "resume": None})
        pd.testing.assert_frame_equal(got, fresh, check_exact=True)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.warns(Note, match="is damaged"):
        again = compare(loaded, parallel, **{**options, **more})
    pd.testing.assert_frame_equal(again, fresh, check_exact=True)
