"""The book: strict, complete, readable in a browser without a network, on a desk and on a phone."""

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import nbformat
import numpy as np
import pandas as pd
import pytest

from xsim_lib.book import assembly, building, contents, explorer, markup, pages
from xsim_lib.evidence import claims, graph, records
from xsim_lib.study import freshness, standing
from xsim_lib.study.freshness import State

pytestmark = pytest.mark.book


# ---------------------------------------------------------------- one book for all tests
@pytest.fixture(scope="session")
def html(tmp_path_factory, repository):
    """The committed notebooks, built at smoke with made-up layer curves in the explorer."""
    build = tmp_path_factory.mktemp("book")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XSIM_HOME", str(repository))
        patch.setenv("XSIM_BUILD", str(build))
        _write_records(build / "smoke" / "records" / "anc2022.fig1.parquet")
        claims.write_verdicts(standing.verdicts("smoke"), build / "smoke" / "verdicts.csv")
        freshness.write_states(standing.states_of_tables(), build / "smoke" / "states.json")
        folder = Path(os.environ.get("XSIM_NOTEBOOKS") or repository / "notebooks")
        return building.build("smoke", executed=folder)


def _write_records(path: Path) -> None:
    rows = [
        {"metric": m, "value": 0.1 * layer, "layer": layer, "n_layers": 3, "n": 50, "baseline": b}
        for m in ("anc", "cka")
        for layer in range(4)
        for b in ("", "shuffled")
    ]
    made = records.provenance_of(text={}, trace={}, seeds=[1], profile="smoke", seconds=1.0)
    table = records.Records.of(
        rows, paper="anc2022", item="fig1", profile="smoke", model="scale_post", seed=1,
        pair_or_language="en-fr", provenance=made["id"],
    )  # fmt: skip
    records.write_records(table, path, made)


class _Page(HTMLParser):
    """What a page contains, links to and loads."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.ids, self.links, self.loads, self.images = path, set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.add(found.get("id"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon"):
            self.loads.append(found["href"])


@pytest.fixture(scope="session")
def read(html) -> dict[str, _Page]:
    names = [*contents.toc_files(html.parent / "book"), "index", "search", "genindex"]
    return {name: _Page(html / f"{name}.html") for name in names}


def test_every_page_of_the_toc_exists_and_every_notebook_is_one(read):
    assert {"book/index", "book/scoreboard", "book/status", "book/explorer"} <= set(read)
    assert {f"notebooks/{n.name}" for n in graph.all_notebooks()} <= set(read)


def test_no_internal_link_or_anchor_is_broken(read, html):
    broken = []
    for name, page in read.items():
        for link in page.links:
            target, anchor = urldefrag(link)
            if urlparse(link).scheme:
                continue
            file = (page.path.parent / unquote(target)).resolve() if target else page.path
            ids = _ids(file, read) if anchor and file.suffix == ".html" else {anchor}
            if not file.exists() or unquote(anchor) not in ids:
                broken.append(f"{name}: {link}")
    assert not broken
    assert sum(len(page.links) for page in read.values()) > 500, "the test looked at nothing"


def _ids(file: Path, read: dict[str, _Page]) -> set:
    page = next((p for p in read.values() if p.path == file), None) or _Page(file)
    return {*page.ids, ""}


def test_nothing_is_loaded_from_another_server(read, html):
    loads = [(name, load) for name, page in read.items() for load in page.loads]
    assert loads
    assert [pair for pair in loads if re.match(r"(https?:)?//", pair[1])] == []
    code = (html / "explorer" / "explorer.js").read_text(encoding="utf-8")
    assert "http" not in code
    assert (html / "explorer" / "plotly.min.js").stat().st_size > 1e6


def test_every_image_says_what_it_shows(read):
    for name, page in read.items():
        for image in page.images:
            assert len((image.get("alt") or "").strip()) >= 10, f"{name}: {image}"
            assert not image["alt"].endswith((".png", ".svg")), (
                f"{name}: {image['alt']} is a file name"
            )
    assert any(page.images for page in read.values())


def test_the_scoreboard_has_every_claim_and_a_target_for_each(read):
    page = read["book/scoreboard"]
    text = page.path.read_text(encoding="utf-8")
    for claim in claims.all_claims():
        assert f">{claim.id}<" in text, claim.id
        assert markup.label("scoreboard", claim.id) in page.ids, claim.id
        assert markup.label("scoreboard", claim.paper, claim.item) in page.ids, claim.item
    # One badge per claim, apart from those of the recorded runs, which follow "At PROFILE.".
    undecided = len(re.findall(r">not testable here<", text))
    recorded = len(re.findall(r"<strong>At \w+\.</strong>\s*(?:<[^>]*>)*not testable here<", text))
    assert undecided - recorded == len(claims.all_claims()), "smoke judges nothing"


def test_figure_pages_offer_launch_download_and_edit(read):
    for notebook in graph.all_notebooks():
        links = " ".join(read[f"notebooks/{notebook.name}"].links)
        for wanted in (
            "mybinder.org",
            "colab.research.google.com",
            f"{notebook.name}.ipynb",
            "/edit/",
        ):
            assert wanted in links, f"{notebook.name}: no link with {wanted}"


# ---------------------------------------------------------------- strictness
def _small_book(folder: Path, html: Path, text: str) -> Path:
    """One page with the book's own configuration."""
    (folder / "book").mkdir(parents=True)
    (folder / "extra").mkdir()
    shutil.copy(html.parent / "book" / "_config.yml", folder)
    shutil.copy(html.parent / "book" / "book" / "references.bib", folder / "book")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n", encoding="utf-8")
    (folder / "index.md").write_text(f"# One page\n\n{text}\n", encoding="utf-8")
    return folder


def test_a_good_page_builds_and_its_formula_is_drawn(html, tmp_path):
    book = _small_book(tmp_path / "good", html, "Fine, $x^2$.\n\n$$\n\\frac{a}{b}\n$$")
    page = (building.render(book, tmp_path / "out") / "index.html").read_text(encoding="utf-8")
    assert page.count("<math") == 2
    assert "<mfrac>" in page


def test_every_warning_fails_the_build_and_is_named(html, tmp_path):
    faults = {
        "[gone](nowhere.md)": "nowhere.md",
        "{ref}`nothing <no-such-label>`": "no-such-label",
        "{cite:p}`nobody1999`": "nobody1999",
        "$\\nosuchmacro{x}$": "cannot be drawn",
    }
    book = _small_book(tmp_path / "bad", html, "\n\n".join(faults))
    with pytest.raises(RuntimeError) as raised:
        building.render(book, tmp_path / "out")
    for complaint in faults.values():
        assert complaint in str(raised.value)


def test_a_book_without_pages_fails(html, tmp_path, monkeypatch):
    book = _small_book(tmp_path / "empty", html, "Text.")
    monkeypatch.setattr(building, "toc_files", lambda book: [])
    with pytest.raises(RuntimeError, match="lacks pages"):
        building.render(book, tmp_path / "out")


def test_a_notebook_that_was_not_executed_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path))
    first = graph.all_notebooks()[0].name
    with pytest.raises(FileNotFoundError, match=f"not executed at profile smoke: {first}"):
        assembly.assemble("smoke")


def test_a_page_missing_from_the_toc_is_named(tmp_path):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n", encoding="utf-8")
    (tmp_path / "index.md").write_text("# A\n", encoding="utf-8")
    with pytest.raises(ValueError, match="every notebook but anc2022/new"):
        contents.check_toc(tmp_path, [graph.Notebook("anc2022/new", tmp_path)])
    (tmp_path / "index.md").unlink()
    with pytest.raises(FileNotFoundError, match="no such page: index"):
        contents.check_toc(tmp_path, [])


# ---------------------------------------------------------------- pages and pieces
def _cell(*outputs, **metadata):
    cell = nbformat.v4.new_code_cell("draw()", metadata=metadata)
    cell.outputs = list(outputs)
    return nbformat.v4.new_notebook(cells=[cell])


NOTEBOOK = graph.Notebook("anc2022/fig1_x", Path("x"))
IMAGE = {"data": {"image/png": "AAAA"}, "output_type": "display_data"}


def test_code_is_folded_and_the_figures_text_goes_where_myst_nb_reads_it():
    figure = nbformat.v4.new_output(**IMAGE, metadata={"image/png": {"alt": "ANC per layer"}})
    cell = assembly._page(_cell(figure), NOTEBOOK).cells[0]
    assert cell.metadata["tags"] == ["hide-input"]
    assert cell.metadata["mystnb"]["image"]["alt"] == "ANC per layer"
    kept = assembly._page(_cell(tags=["remove-cell"]), NOTEBOOK).cells[0]
    assert kept.metadata["tags"] == ["remove-cell"]


def test_a_figure_without_text_and_a_cell_that_failed_are_refused():
    with pytest.raises(ValueError, match="fig1_x: cell 0 draws a figure without alternative text"):
        assembly._page(_cell(nbformat.v4.new_output(**IMAGE)), NOTEBOOK)
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="'x'", traceback=[])
    with pytest.raises(ValueError, match="cell 0 ended in KeyError"):
        assembly._page(_cell(error), NOTEBOOK)


def test_a_figure_that_is_shown_twice_is_refused():
    shown = [nbformat.v4.new_output(**IMAGE, metadata={"alt": "ANC"}) for _ in range(2)]
    with pytest.raises(ValueError, match="cell 0 shows the same figure twice"):
        assembly._page(_cell(*shown), NOTEBOOK)


def test_verdicts_within_a_notebook_are_those_of_now():
    """So that an edited claim shows on its page although nothing is executed."""
    table = claims.verdict_table({}, "smoke")
    about = {"xsim": {"verdicts": "anc2022.fig2", "other": ["pairs"]}}
    old = nbformat.v4.new_output(
        "execute_result", data={"text/plain": "old", "text/html": "old"}, metadata=about
    )
    kept = nbformat.v4.new_output("execute_result", data={"text/plain": "kept"})
    content = _cell(kept, old)
    states = {"mini": {"anc2022.fig2": State("repeated", "by this build", (), (1, 2))}}
    assembly._judge_again(content, table, states)
    first, second = content.cells[0].outputs
    assert first.data == {"text/plain": "kept"}
    assert second.metadata == about
    for text in (
        claims.claims_of("anc2022", "fig2")[0].statement,
        "not testable here",
        "Recorded mini, anc2022.fig2, 2 seeds: repeated by this build",
        "This run has other parameters: pairs",
    ):
        assert text in second.data["text/html"], text
    nbformat.validate(content)


CHANGED = ("`xsim_lib.indices.cka:linear_cka`", "models.a.learning_rate was 0.01, is 0.02")
MANY = tuple(f"seed 1, layer {k}: 0.1 recorded, 0.2 measured again" for k in range(20))
STATES = {
    "mini": {
        "anc2022.fig1": State("suspect", "since 2026-11-20", CHANGED, (1,)),
        "anc2022.fig4": State("suspect", "since 2026-11-20", CHANGED, (1,)),
        "anc2022.fig7": State("repeated", "(rows) at 1a2b3c4, 2026-11-28, AVX512", (), (1,)),
    },
    "real": {"anc2022.fig1": State("contradicted", "by this build", MANY, (1,))},
}


def test_the_status_page_counts_groups_and_explains():
    text = pages.status("smoke", {}, STATES)
    assert "Of 4 tables: 1 contradicted, 2 suspect, 1 repeated." in text
    places = [text.index(f"### {word}") for word in ("Contradicted", "Suspect", "Repeated")]
    assert places == sorted(places)
    assert "### Not checked" not in text
    assert "`mini/anc2022.fig1`, `mini/anc2022.fig4`" in text
    assert text.count("- `xsim_lib.indices.cka:linear_cka`") == 1
    assert "learning\\_rate was 0.01" in text
    assert text.count("measured again\n") == 8
    assert "- and 12 more" in text


def test_states_build_strictly_and_their_reasons_are_lists(html, tmp_path):
    text = f"## Recorded\n\n{pages._recorded(STATES)}"
    book = _small_book(tmp_path / "states", html, text)
    page = (building.render(book, tmp_path / "out") / "index.html").read_text(encoding="utf-8")
    assert page.count("measured again</p></li>") == 8
    assert "<li><p>and 12 more</p></li>" in page
    assert "xsim_lib.indices.cka:linear_cka</span>" in page


def test_the_address_of_an_object_is_no_output():
    printed = nbformat.v4.new_output("execute_result", data={"text/plain": "<Legend at 0x7f00>"})
    with pytest.raises(ValueError, match=r"cell 0 prints <Legend at 0x7f00>.*semicolon"):
        assembly._page(_cell(printed), NOTEBOOK)


def test_escaped_text_means_itself(html, tmp_path):
    odd = r"|a| < b_c * [d](e) `f` $g$ {h} #i ~ \j"
    book = _small_book(tmp_path / "odd", html, markup.escape(odd))
    page = building.render(book, tmp_path / "out") / "index.html"
    assert "|a| &lt; b_c * [d](e) `f` $g$ {h} #i ~ \\j" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("item", "title"),
    [("fig1", "Figure 1"), ("fig5_6", "Figures 5 and 6"), ("tables4_7", "Tables 4 to 7"),
     ("s4.3", "Section 4.3"), ("appB", "Appendix B"), ("abstract", "Abstract"), ("cka", "CKA figure")],
)  # fmt: skip
def test_items_have_names_for_readers(item, title):
    assert markup.item_title(item) == title


def test_items_are_read_in_the_order_of_their_numbers():
    items = ["s4.3", "fig10", "fig2", "abstract", "table1", "appB", "spearman", "s3"]
    ordered = ["table1", "fig2", "fig10", "s3", "s4.3", "appB", "abstract", "spearman"]
    assert sorted(items, key=markup.reading_order) == ordered


def test_a_verdict_table_that_is_not_one_is_refused(tmp_path):
    table, file = claims.verdict_table({}, "smoke"), tmp_path / "verdicts.csv"
    for change, complaint in (
        (lambda t: t.drop(columns="reason"), "'reason' is missing"),
        (lambda t: t.iloc[1:], re.escape(table["claim"][0])),
        (lambda t: pd.concat([t, t.iloc[:1]]), "a repeated claim"),
        (lambda t: t.assign(verdict="maybe"), "got 'maybe'"),
    ):
        change(table).to_csv(file, index=False)
        with pytest.raises(ValueError, match=complaint):
            pages.read_verdicts(file)


def test_the_explorer_averages_over_seeds_and_keeps_the_range(tmp_path):
    rows = [
        {"metric": "anc", "value": v, "layer": layer, "n_layers": 1, "seed": seed}
        for seed, values in ((1, (0.1, 0.2)), (2, (0.3, 0.6)))
        for layer, v in enumerate(values)
    ]
    rows.append({"metric": "accuracy", "value": 0.5, "seed": 1})
    table = records.Records.of(rows, paper="anc2022", item="fig4", profile="mini", model="m")
    made = records.provenance_of(text={}, trace={}, seeds=[1, 2], profile="mini")
    (curve,) = explorer.series("here", records.write_records(table, tmp_path / "r.csv", made))
    assert (curve["item"], curve["metric"], curve["seeds"]) == ("anc2022.fig4", "anc", 2)
    assert np.allclose(
        [curve["mean"], curve["min"], curve["max"]], [[0.2, 0.4], [0.1, 0.2], [0.3, 0.6]]
    )


def test_the_explorer_without_records_says_so(tmp_path, monkeypatch, repository):
    shutil.copytree(repository / "book", tmp_path / "book")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "xsim"\n', encoding="utf-8")
    monkeypatch.setenv("XSIM_HOME", str(tmp_path))
    monkeypatch.setenv("XSIM_BUILD", str(tmp_path / "_build"))
    explorer.write_explorer(tmp_path, "mini", {})
    assert "Nothing is recorded yet" in (tmp_path / "book" / "explorer.md").read_text(
        encoding="utf-8"
    )


# ---------------------------------------------------------------- in a browser
@pytest.fixture(scope="module")  # an event loop runs as long as it lives
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for found in map(shutil.which, names) if found), None)
    if program is None:
        pytest.skip("no Chromium on PATH: the pages were not looked at")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(
            executable_path=program, args=[*flags, "--no-first-run"]
        )
        yield window
        window.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_pages_load_silently_and_fit(browser, read, html, width, height):
    context = browser.new_context(viewport={"width": width, "height": height}, offline=True)
    page, said, wide = context.new_page(), [], []
    page.on(
        "console",
        lambda m: said.append((page.url, m.text)) if m.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: said.append((page.url, str(error))))
    for name in set(read) - {"index"}:  # which goes on to the landing page at once
        page.goto((html / f"{name}.html").as_uri(), wait_until="load")
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wide.append(name)
        column = "(c => c && c.scrollWidth > c.clientWidth + 1)(document.querySelector('article.bd-article'))"
        if page.evaluate(column):
            wide.append(f"{name} (main column)")
    context.close()
    assert said == []
    assert wide == []


def test_index_leads_to_the_landing_page(browser, html):
    page = browser.new_page()
    page.goto((html / "index.html").as_uri())
    page.wait_for_url("**/book/index.html")
    page.close()


def test_the_explorer_draws_and_reacts(browser, html):
    page = browser.new_page()
    page.goto((html / "book" / "explorer.html").as_uri())
    page.wait_for_selector(".xsim-plot .scatterlayer .trace")
    names = [
        option.text_content() for option in page.query_selector_all("select[name=metric] option")
    ]
    assert {"anc", "cka"} <= set(names)
    drawn = page.locator(".xsim-plot .scatterlayer .trace").count()
    page.uncheck("input[name=baselines]")
    page.wait_for_function(
        f"document.querySelectorAll('.xsim-plot .scatterlayer .trace').length < {drawn}"
    )
    page.select_option("select[name=metric]", "cka")
    page.wait_for_function("document.querySelector('.xsim-plot .ytitle').textContent === 'cka'")
    page.close()


def test_the_explorer_opens_with_curves_whatever_is_recorded_first(browser, html):
    curve = {
        "item": "align2021.cka", "pair_or_language": "en-fr", "variant": "", "baseline": "",
        "seeds": 1, "layers": [0, 1], "mean": [0.1, 0.2], "min": [0.1, 0.2], "max": [0.1, 0.2],
    }  # fmt: skip
    curves = [
        {**curve, "source": "recorded, mini (suspect)", "model": "mbert", "metric": "cka"},
        {**curve, "source": "this build, mini", "model": "mbert", "metric": "anc"},
        {**curve, "source": "recorded, mini", "model": "scale_post", "metric": "anc"},
    ]
    page = browser.new_page()
    page.route(
        "**/explorer/data.js",
        lambda route: route.fulfill(body=f"window.XSIM_CURVES = {json.dumps(curves)};"),
    )
    for expected in ("recorded, mini", "this build, mini", "recorded, mini (suspect)"):
        page.goto((html / "book" / "explorer.html").as_uri())
        page.wait_for_selector(".xsim-plot .scatterlayer .trace")
        assert page.locator("select[name=source]").input_value() == expected
        curves.pop()
    page.close()


def test_the_book_is_readable_in_the_dark(browser, html):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto((html / "book" / "scoreboard.html").as_uri())
    colours = page.evaluate(
        "[...['color', 'backgroundColor']].map(k => getComputedStyle(document.body)[k])"
    )
    text, ground = (np.mean([int(v) for v in re.findall(r"\d+", colour)[:3]]) for colour in colours)
    assert text - ground > 100, colours
    context.close()


def test_the_status_page_names_what_ran(read, html):
    text = (html.parent / "book" / "book" / "status.md").read_text(encoding="utf-8")
    made = json.loads(
        (html.parent / "records" / "anc2022.fig1.parquet.json").read_text(encoding="utf-8")
    )
    for notebook in graph.all_notebooks():
        assert f"/notebooks/{notebook.name}" in text
    assert (
        made["versions"]["python"].replace(".", "\\.") in text or made["versions"]["python"] in text
    )
