"""A live build measures less than the recorded runs, never other things, and says what it costs."""

import json

import pytest

from xsim_lib.evidence import graph
from xsim_lib.evidence.graph import Graph
from xsim_lib.study import page, profiles
from xsim_lib.workflow import budgets, execution

PAGES = {n.name: n for n in graph.all_notebooks()}
LIVE = [
    (paper, profile, stem, name, value)
    for paper in profiles.papers_with_settings()
    for profile in ("smoke", "mini")
    for stem, live in profiles.paper_settings(paper, profile).live.items()
    for name, value in live.parameters.items()
]


# What pages know of themselves, and no setting says.
OF_PAGES = {
    "random_init": {"layers": ["layers 1-2", "layers 3-4", "layers 5-6"]},
    "low_resource": {
        "ways": [
            "starved",
            "starved, sampled",
            "multilingual only",
            "own model only",
            "trained again",
        ],
        "languages": ["en", "fr", "ka", "zh", "ja"],
    },
}


def is_less(value, whole):
    """Whether a value asks for a part of what another one asks for."""
    if isinstance(whole, bool):
        return value is False or value == whole
    if isinstance(whole, dict):
        return set(value) <= set(whole) and all(
            is_less(v, whole[k]) or v == whole[k] for k, v in value.items()
        )
    if isinstance(whole, (list, tuple)):
        return set(map(str, value)) <= set(map(str, whole))
    return value <= whole


@pytest.mark.parametrize(
    ("paper", "profile", "stem", "name", "value"), LIVE, ids=lambda v: str(v)[:30]
)
def test_a_live_build_asks_for_a_part_of_what_a_page_measures(paper, profile, stem, name, value):
    own = page.defaults(PAGES[f"{paper}/{stem}"].path)
    assert name in own
    settings = profiles.paper_settings(paper, profile)
    whole = own[name] if own[name] is not None else OF_PAGES.get(stem, {}).get(name)
    if whole is None:
        whole = settings.recorded.get(stem, {}).get(name)
    if whole is None and name == "pairs":
        whole = {p for group in settings.group_names for p in settings.group(group).pairs}
        whole = sorted(whole)
    if whole is None:
        whole = getattr(settings, name)
        whole = whole.model_dump(mode="json") if hasattr(whole, "model_dump") else whole
    assert is_less(value, list(whole) if name == "models" else whole)


@pytest.fixture
def asked(monkeypatch):
    """``asked(budget=..., parameters=...)`` puts words about Figure 1 into the settings of a live build."""
    tables = graph.settings_table

    def put(**live):
        def table(paper):
            found = tables(paper)
            if paper == "anc2022":
                found["mini"]["live"] = {"fig1_cka_failure": live}
            return found

        monkeypatch.setattr(graph, "settings_table", table)
        return Graph("mini")

    return put


def test_a_budget_is_no_part_of_any_key(asked):
    name = "anc2022/fig1_cka_failure"

    def keys(**live):
        graph = asked(**live)
        return graph.page(name), graph.listing(), graph.training("anc2022", "scale_post", 1)

    page_, listing, training = keys(budget=10, parameters={"pairs": ["en-fr"]})
    assert keys(budget=90, parameters={"pairs": ["en-fr"]}) == (page_, listing, training)
    other = keys(budget=10, parameters={"pairs": ["en-et"]})
    assert other[0] != page_
    assert other[2] == training


def test_pages_over_budget_are_listed_in_the_seconds_of_the_machine_that_set_them(
    asked, tmp_path, monkeypatch
):
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path))
    monkeypatch.setattr(budgets, "calibration", lambda: 2 * budgets.REFERENCE)
    graph = asked(budget=10, parameters={})
    cost = {"anc2022/fig1_cka_failure": 24.0, "anc2022/fig2_matching_accuracy": 24.0}
    for name, seconds in cost.items():
        file = budgets._file(graph.page(name))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"cpu_seconds": seconds}))
    lines = budgets.overrun(graph, since=0.0)
    assert lines[0].startswith("2 pages: 48 CPU-seconds")
    assert lines[1:] == ["over budget: anc2022/fig1_cka_failure, 12 of 10"]
    assert budgets.overrun(graph, since=1e12) == []


def test_a_page_of_the_book_measures_what_a_live_build_asks_for(tmp_path, monkeypatch):
    """And its records are the book's, not those of a run with other parameters."""
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path))
    tables = graph.settings_table

    def table(paper):
        found = tables(paper)
        if paper == "anc2022":
            found["smoke"]["live"] = {
                "fig4_anc_normalisation": {"parameters": {"pairs": ["en-et"]}}
            }
        return found

    monkeypatch.setattr(graph, "settings_table", table)
    made = execution.execute("anc2022/fig4_anc_normalisation", {"profile": "smoke"})
    from xsim_lib.evidence import records

    found = records.read_records(tmp_path / "smoke" / "records" / "anc2022.fig4.parquet")
    assert found.unique("pair_or_language") == ("en-et",)
    assert "this build measures only" in made.read_text()
    assert budgets.costs(Graph("smoke"))["anc2022/fig4_anc_normalisation"] > 0
