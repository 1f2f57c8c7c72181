"""A trace holds what ran, all of it, and nothing of anybody else's."""

import cProfile
import json

import numpy as np

from xsim_lib.evidence import cache, tracing
from xsim_lib.evidence.records import paper_layers
from xsim_lib.papers.parafac2023 import signature_run
from xsim_lib.text.sources import Artificial, split_pair

PAIR, LAYERS = "xsim_lib.text.sources:split_pair", "xsim_lib.evidence.records:paper_layers"
GRAMMAR = "xsim_lib.text.artificial.family:Family.text"


def test_what_runs_is_in_the_trace_and_what_ran_before_is_not():
    paper_layers(12, 3)
    with tracing.traced() as trace:
        split_pair("en-fr")
    assert trace.functions == {PAIR}


def test_work_within_work_is_traced_apart_and_counts_for_both():
    with tracing.traced() as outer:
        split_pair("en-fr")
        with tracing.traced() as inner:
            paper_layers(12, 3)
    assert inner.functions == {LAYERS}
    assert outer.functions == {PAIR, LAYERS}


def test_a_call_that_is_open_when_inner_work_begins_counts_for_the_outer_work_only(
    tmp_path, monkeypatch
):
    """The profiler forgets such calls, and the stack shows them to everybody."""
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    slices = {"en": np.eye(3), "fr": 2 * np.eye(3)}
    with tracing.traced() as outer:
        signature_run.solve_signatures(slices, 1, tol=1e-3, max_iter=5)
    (made,) = tmp_path.glob("solutions/*.trace.json")
    assert "xsim_lib.papers.parafac2023.signature_run:solve_signatures" in outer.functions
    inner = json.loads(made.read_text())
    assert "xsim_lib.factorization.solver:parafac2" in inner
    assert "xsim_lib.evidence.cache:cached_arrays" not in inner


def test_a_block_that_is_let_go_of_late_ends_only_itself():
    """As the garbage collector does, in the middle of whatever runs then."""

    def left(ended):
        with tracing.traced():
            if ended:
                tracing.end()
            yield

    for ended in (True, False):
        late = left(ended)
        next(late)
        with tracing.traced() as trace:
            late.close()
            split_pair("en-fr")
        assert trace.functions == {PAIR}
        assert not tracing.watching()


def test_two_pages_in_one_process_share_no_cache():
    """What the first one left in memory would not be seen to run in the second."""
    traces = []
    for _ in range(2):
        with tracing.traced() as trace:
            Artificial(languages=("en", "fr"), sentences=3).training()
        traces.append(trace.functions)
    assert traces[0] == traces[1]
    assert GRAMMAR in traces[1]


def test_a_judgement_shown_on_a_page_is_no_part_of_it():
    with tracing.traced() as trace:
        split_pair("en-fr")
        with tracing.paused():
            paper_layers(12, 3)
    assert trace.functions == {PAIR}


def test_storing_and_judging_are_left_out():
    from xsim_lib.evidence import claims, hashing

    with tracing.traced() as trace:
        hashing.stable_hash([1])
        claims.claims_of("anc2022", "fig1")
    assert trace.functions == set()


def test_under_another_profiler_everything_counts_or_everything_is_seen():
    other = cProfile.Profile()
    other.enable()
    try:
        with tracing.traced() as trace:
            split_pair("en-fr")
    finally:
        other.disable()
    assert PAIR in trace.functions


def test_kept_work_brings_its_trace_along(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_CACHE", str(tmp_path))
    traces = []
    for _ in range(2):
        with tracing.traced() as trace:
            cache.cached_rows("rows", {"key": 1}, lambda: [{"layers": paper_layers(12, 3)}])
        traces.append(trace.functions)
    assert traces[0] == traces[1] == {LAYERS}
