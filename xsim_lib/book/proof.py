"""The proof of every claim for a reviewer: what to run, what came out with which tolerance, and what it took.

Everything is read from recorded tables and their provenance; nothing is measured here.
"""

from collections.abc import Mapping

from xsim_lib.book.markup import escape, item_title, label, list_table
from xsim_lib.evidence import chapters, claims, paths, records
from xsim_lib.evidence.agreement import Table, with_tolerances
from xsim_lib.evidence.claims import Claim
from xsim_lib.study import standing
from xsim_lib.study.freshness import WORDS, State

__all__ = ["proof_tables"]

_HEADER = ("Claim", "Command", "In the paper", "Measured", "Minutes", "Machine")
_NOTHING = "–"


def proof_tables(states: Mapping[str, Mapping[str, State]], figures: Mapping[str, str]) -> str:
    """One table per paper: a row for every claim and every profile whose recorded tables decide it.

    Parameters
    ----------
    states : profile -> recorded table -> how far it is to be trusted.
    figures : item (``anc2022.fig1``) -> page that measures it.

    Raises
    ------
    FileNotFoundError : a table that has a state, or its provenance, is missing.
    """
    needed = standing.read_by(claims.all_claims())
    recorded = {
        profile: {
            name: Table.read(paths.results_dir(profile) / f"{name}.csv")
            for name in needed
            if name in known
        }
        for profile, known in states.items()
    }
    text = []
    for paper in chapters.names():
        rows = []
        for claim in claims.claims_of(paper):
            found = [_recorded(claim, p, recorded[p], states[p], figures) for p in states]
            rows += [row for row in found if row] or [_not_recorded(claim, figures)]
        text += [f"({label('proof', paper)})=", f"## {paper}: {chapters.title(paper)}", ""]
        text.append(list_table(_HEADER, rows, widths="21 19 14 27 9 10", css="proof"))
    return "\n".join(text)


def _recorded(
    claim: Claim,
    profile: str,
    recorded: Mapping[str, Table],
    states: Mapping[str, State],
    figures: Mapping[str, str],
) -> tuple[str, ...] | None:
    """The row of one claim on the recorded tables of one profile; None if they do not decide it."""
    tables = {name: recorded[name] for name in standing.read_by([claim]) if name in recorded}
    if not tables:
        return None
    first, *others = (table.records for table in tables.values())
    rows = records.merge_records([first, *others]) if others else first
    seeds = claims.per_seed(claims.predicate_of(claim), rows)
    if not seeds:
        return None
    # In the words of single seeds, since these are what measuring again is held to.
    texts = [outcome.measured for outcome in seeds.values()]
    measured = texts[0] if len(texts) == 1 else with_tolerances(texts)
    if measured is None:
        measured = claims.judge(claim, rows, profile).measured
    word = min((states[name].word for name in tables), key=WORDS.index)
    count = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    made = {name: table.made for name, table in tables.items()}
    return (
        _named(claim, figures),
        _verifying(tables, profile),
        escape(claim.reported),
        f"{escape(measured)}\n\n`{profile}`, {count}, {word}",
        _minutes(made, figures),
        escape("; ".join(dict.fromkeys(map(_machine, made.values())))),
    )


def _not_recorded(claim: Claim, figures: Mapping[str, str]) -> tuple[str, ...]:
    """The row of a claim about the printed numbers, or of one that only a live build can decide."""
    predicate = claims.predicate_of(claim)
    page = figures.get(f"{claim.paper}.{claim.item}")
    command, measured = _NOTHING, "nothing measures it yet"
    if predicate is not None and predicate.printed:
        found = claims.judge(claim, None, "mini").measured  # the same at every profile
        command, measured = "`xsim claims`", f"{escape(found)}\n\narithmetic on the printed numbers"
    elif page:
        command, measured = f"`xsim run {page.removeprefix('/notebooks/')}`", "not recorded"
    return _named(claim, figures), command, escape(claim.reported), measured, _NOTHING, _NOTHING


def _named(claim: Claim, figures: Mapping[str, str]) -> str:
    """The claim's id, which leads to its words, and the page that shows it."""
    title, page = item_title(claim.item), figures.get(f"{claim.paper}.{claim.item}")
    where = f"{{doc}}`{title} <{page}>`" if page else title
    return f"{{ref}}`{claim.id} <{label('scoreboard', claim.id)}>`\n\n{where}"


def _verifying(tables: Mapping[str, Table], profile: str) -> str:
    other = "" if profile == "mini" else f" --profile {profile}"  # the command's default
    return f"`xsim verify {' '.join(tables)}{other}`"


def _minutes(made: Mapping[str, Mapping], figures: Mapping[str, str]) -> str:
    """What recording all seeds took; tables that one page makes come out of one run."""
    runs: dict[str, float] = {}
    for name, about in made.items():
        page = figures.get(name, name)
        runs[page] = max(runs.get(page, 0), about.get("seconds") or 0)
    return f"{sum(runs.values()) / 60:.1f}" if all(runs.values()) else _NOTHING


def _machine(made: Mapping) -> str:
    capability = made.get("machine", {}).get("cpu")  # older tables do not say
    return f"{made['device']}, {capability}" if capability else made["device"]
