"""Pages made from what was measured: the scoreboard, the status page, the list of claims per paper."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from xsim_lib.book import pictures, proof
from xsim_lib.book.markup import badge, escape, item_title, label, list_table, reading_order
from xsim_lib.evidence import chapters, claims, paths
from xsim_lib.evidence.graph import Notebook
from xsim_lib.study import standing
from xsim_lib.study.freshness import WORDS, State

__all__ = ["PAPERS", "read_verdicts", "scoreboard", "status", "summary_lines", "write_all"]

PAPERS = {paper: chapters.title(paper) for paper in chapters.names()}
VERDICTS = ("holds", "fails", "not_testable_here")


def write_all(
    book: Path,
    profile: str,
    runs: Mapping[Notebook, Mapping],
    verdicts: pd.DataFrame,
    states: Mapping[str, Mapping[str, State]],
) -> None:
    """Write the generated pages and fill the places in the prose that are marked ``% xsim: ...``.

    Parameters
    ----------
    book : folder of the assembled sources.
    runs : notebook -> what papermill noted about its run.
    verdicts : as `read_verdicts` gives them.
    states : profile -> recorded table -> how far it is to be trusted.
    """
    figures = _shown_by(runs)
    folder = book / "book"
    recorded = {p: standing.verdicts(p, known) for p, known in states.items() if p != profile}
    text = scoreboard(verdicts, figures, recorded)
    (folder / "scoreboard.md").write_text(text, encoding="utf-8")
    (folder / "status.md").write_text(status(profile, runs, states), encoding="utf-8")
    made = {"% xsim: summary": _summary_grid(verdicts), "% xsim: profile": f"`{profile}`."}
    made["% xsim: papers"] = pictures.cards(PAPERS)
    pictures.draw_cards(book / "_static")
    made["% xsim: proof"] = proof.proof_tables(states, figures)
    for paper in PAPERS:
        made[f"% xsim: claims {paper}"] = _claims_of(paper, verdicts, figures)
    for page in paths.visible(folder, "*.md"):
        text = page.read_text(encoding="utf-8")
        for mark, content in made.items():
            text = text.replace(mark + "\n", content + "\n")
        if "% xsim:" in text:
            raise ValueError(
                f"{page.name}: unknown mark {text.partition('% xsim:')[2].split(chr(10))[0]!r}"
            )
        page.write_text(text, encoding="utf-8")


def read_verdicts(path: Path) -> pd.DataFrame:
    """Read ``verdicts.csv`` and check that it judges every claim once.

    Raises
    ------
    ValueError : a column is missing, a verdict is unknown, or a claim is missing or repeated.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [column for column in claims.VERDICT_COLUMNS if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{path.name}: column {missing[0]!r} is missing; got {list(frame.columns)}"
        )
    unknown = sorted(set(frame["verdict"]) - set(VERDICTS))
    if unknown:
        raise ValueError(
            f"{path.name}: expected verdicts {', '.join(VERDICTS)}; got {unknown[0]!r}"
        )
    wanted = sorted(claim.id for claim in claims.all_claims())
    if sorted(frame["claim"]) != wanted:
        odd = sorted(set(wanted) ^ set(frame["claim"])) or ["a repeated claim"]
        raise ValueError(f"{path.name}: expected every claim once; differs in {', '.join(odd[:5])}")
    return frame


def summary_lines(verdicts: pd.DataFrame) -> list[str]:
    """The verdicts for a terminal: what was judged, line by line, then the counts."""
    judged = verdicts[verdicts["verdict"] != "not_testable_here"]
    width = max((len(c) for c in judged["claim"]), default=0)
    lines = [f"{r.verdict:<6} {r.claim:<{width}}  {r.measured}" for r in judged.itertuples()]
    for paper in PAPERS:
        counts = _counts(verdicts[verdicts["paper"] == paper])
        lines.append(
            f"{paper}: " + ", ".join(f"{n} {v.replace('_', ' ')}" for v, n in counts.items())
        )
    return lines


def _shown_by(runs: Iterable[Notebook]) -> dict[str, str]:
    """Item -> the page that measures it, or else one that measures what claims about it are judged on."""
    figures = {item: f"/notebooks/{n.name}" for n in runs for item in n.items}
    for item, page in list(figures.items()):
        paper, _, own = item.partition(".")
        try:
            judged = claims.claims_of(paper, own)
        except ValueError:  # no claim is about it
            continue
        for claim in judged:
            figures.setdefault(f"{paper}.{claim.item}", page)
    return figures


# ---------------------------------------------------------------- the scoreboard
def scoreboard(
    verdicts: pd.DataFrame,
    figures: Mapping[str, str],
    recorded: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """The scoreboard page: a summary, then one table per figure or table of every paper.

    Parameters
    ----------
    verdicts : as `read_verdicts` gives them.
    figures : item (``anc2022.fig1``) -> page that shows it.
    recorded : other profiles -> their verdicts, which stand on committed records.
    """
    others = {name: table.set_index("claim") for name, table in (recorded or {}).items()}
    text = ["(scoreboard)=", "# Scoreboard", "", _INTRODUCTION, "", _summary_grid(verdicts), ""]
    by_id = verdicts.set_index("claim")
    for paper, title in PAPERS.items():
        text += [f"({label('scoreboard', paper)})=", f"## {paper}: {title}", ""]
        of_paper = [claim for claim in claims.all_claims() if claim.paper == paper]
        items = {claim.item for claim in of_paper}
        for item in sorted(items, key=reading_order):
            text += [
                f"({label('scoreboard', paper, item)})=",
                f"### {paper}, {item_title(item)}",
                "",
            ]
            page = figures.get(f"{paper}.{item}")
            text += [f"Shown in {{doc}}`{page}`.", ""] if page else []
            rows = [_row(c, by_id.loc[c.id], others) for c in of_paper if c.item == item]
            header = ("Verdict", "Claim", "Numbers")
            text.append(list_table(header, rows, widths="16 44 40", css="scoreboard"))
    return "\n".join(text)


_INTRODUCTION = """\
Every checkable claim of the four papers, in our words, beside what was measured. A verdict is computed: a
predicate over the recorded measurements, with a threshold fixed before the run that it judges.

`holds`
: The predicate is true on the mean over seeds and on at least 80 % of the seeds.

`fails`
: It is false on the mean and on at least 80 % of the seeds.

`not testable here`
: The seeds disagree, the claim needs another scale than this build has, or nothing has been measured yet. The
  reason is given, and so are the numbers where there are any.

*A reading* is visible in the paper's numbers without being stated there; a *definition* or a piece of
*arithmetic* can be checked without training anything.
"""


def _row(claim, verdict: pd.Series, others: Mapping[str, pd.DataFrame]) -> tuple[str, str, str]:
    kind = "" if claim.kind == "claim" else f" · {escape(claim.kind)}"
    statement = f"({label('scoreboard', claim.id)})=\n\n{escape(claim.statement)}\n\n"
    statement += f"`{claim.id}`{kind}"
    numbers = [f"**Paper.** {escape(claim.reported)}"]
    if verdict["measured"]:
        numbers.append(f"**Measured.** {escape(verdict['measured'])}")
    if verdict["reason"]:
        numbers.append(f"**Why.** {escape(verdict['reason'])}")
    for profile, table in others.items():
        other = table.loc[claim.id]
        if int(other["seeds"]):
            text = escape("; ".join(part for part in (other["measured"], other["reason"]) if part))
            numbers.append(f"**At {profile}.** {badge(other['verdict'])} {text}")
    return badge(verdict["verdict"]), statement, "\n\n".join(numbers)


def _counts(verdicts: pd.DataFrame) -> dict[str, int]:
    return {verdict: int((verdicts["verdict"] == verdict).sum()) for verdict in VERDICTS}


def _summary_grid(verdicts: pd.DataFrame) -> str:
    lines = ["::::{grid} 2 2 4 4", ":gutter: 2", ""]
    for paper in PAPERS:
        counts = _counts(verdicts[verdicts["paper"] == paper])
        lines += [
            f":::{{grid-item-card}} {paper}",
            f":link: {label('scoreboard', paper)}",
            ":link-type: ref",
        ]
        lines += [":class-card: counts", ""]
        lines += [f"{n} {badge(verdict).replace(' here', '')}\n" for verdict, n in counts.items()]
        lines += [":::", ""]
    return "\n".join([*lines, "::::"])


def _claims_of(paper: str, verdicts: pd.DataFrame, figures: Mapping[str, str]) -> str:
    """Every claim of one paper in one short table, each linking to its row of the scoreboard."""
    by_id = verdicts.set_index("claim")["verdict"]
    rows = []
    for claim in claims.all_claims():
        if claim.paper != paper:
            continue
        item = claim.item
        page = figures.get(f"{paper}.{item}")
        title = item_title(item)
        where = f"{{doc}}`{title} <{page}>`" if page else title
        link = f"{{ref}}`details <{label('scoreboard', claim.id)}>`"
        rows.append((where, f"{escape(claim.statement)} {link}", badge(by_id[claim.id])))
    return list_table(("Where", "Claim", "Verdict"), rows, widths="18 62 20", css="claims")


# ---------------------------------------------------------------- the status page
def status(
    profile: str, runs: Mapping[Notebook, Mapping], states: Mapping[str, Mapping[str, State]]
) -> str:
    """The status page: when and on what every notebook ran, and how far the recorded numbers are to be trusted.

    Parameters
    ----------
    runs : notebook -> what papermill noted about its run (``end_time``, ``duration``; empty: nothing).
    states : profile -> recorded table -> its state.
    """
    build = paths.build_dir(profile)
    rows = []
    for notebook, run in runs.items():
        made = {}
        if notebook.items:
            made = _provenance(build / "records" / f"{notebook.items[0]}.parquet.json")
        rows.append(
            (
                f"{{doc}}`/notebooks/{notebook.name}`",
                escape(str(run.get("end_time") or "not noted")[:16].replace("T", " ")),
                f"{run['duration']:.0f} s" if run.get("duration") else "not noted",
                escape(made.get("device", "")) or "–",
                escape(", ".join(map(str, made.get("seeds", [])))) or "–",
            )
        )
    text = [
        "(status)=",
        "# Status",
        "",
        f"What this build (profile `{profile}`) ran, and when. Times are UTC.",
        "",
    ]
    text += [
        list_table(("Notebook", "Executed", "Took", "Device", "Seeds"), rows, css="status"),
        "",
    ]
    text += [
        "## Recorded measurements",
        "",
        _recorded(states),
        "",
        "## Versions",
        "",
        _versions(build),
    ]
    return "\n".join(text)


_MEANING = {
    "contradicted": "One of its seeds was measured again, and other numbers came out. Its verdicts are those of this "
    "build until it is recorded anew.",
    "suspect": "Functions that it ran, its settings or its notebook say something else since it was last measured. "
    "`xsim verify` measures one seed and tells whether that changed a number.",
    "not checked": "Nobody has measured it again since it was recorded. `xsim verify` does.",
    "repeated": "One of its seeds was measured again, and came out as recorded: row by row, or (where training on "
    "another processor ends elsewhere) in the statistics that its claims are decided by.",
}


def _recorded(states: Mapping[str, Mapping[str, State]]) -> str:
    """Counts, then the tables of each state, those that share an explanation together."""
    if not states:
        return "None yet: `make record PROFILE=mini SEEDS=5` makes them."
    tables = [(p, name, found) for p, known in states.items() for name, found in known.items()]
    of_word = {word: [t for t in tables if t[2].word == word] for word in WORDS}
    counts = ", ".join(f"{len(members)} {word}" for word, members in of_word.items() if members)
    text = [
        "Long runs are recorded once, as small tables with their provenance, and committed. Verdicts stand on "
        f"their seeds. Of {len(tables)} tables: {counts}.",
        "",
    ]
    for word, members in of_word.items():
        if not members:
            continue
        shared: dict[tuple[str, ...], list[str]] = {}
        for profile, name, found in members:
            shared.setdefault((found.where, *found.why), []).append(f"`{profile}/{name}`")
        rows = [(_explained(*key), ", ".join(names)) for key, names in shared.items()]
        text += [f"### {word.capitalize()}", "", _MEANING[word], ""]
        text += [list_table((word.capitalize(), "Tables"), rows, widths="45 55", css="status"), ""]
    return "\n".join(text)


def _explained(where: str, *why: str) -> str:
    shown = [f"- {_code_or_text(one)}" for one in why[:_SHOWN]]
    more = [f"- and {len(why) - _SHOWN} more"] if why[_SHOWN:] else []
    return "\n".join([escape(where), *(["", *shown, *more] if shown else [])])


def _code_or_text(text: str) -> str:
    """Names of functions come in backticks, which are markup already."""
    return text if text.startswith("`") else escape(text)


_SHOWN = 8  # changed functions, settings or rows per explanation


def _versions(build: Path) -> str:
    found: dict[str, str] = {}
    for file in paths.visible(build / "records", "*.json"):
        found |= _provenance(file).get("versions", {})
    if not found:
        return "No record of this build names its versions."
    return list_table(
        ("Package", "Version"), [(escape(k), escape(v)) for k, v in sorted(found.items())]
    )


def _provenance(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
