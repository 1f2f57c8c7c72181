"""Small pieces of MyST that the generated pages are made of."""

import re
from collections.abc import Iterable, Sequence

__all__ = ["badge", "escape", "item_title", "label", "list_table", "reading_order"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>$#|~^@])")
_BADGES = {"holds": "bdg-success", "fails": "bdg-danger", "not_testable_here": "bdg-muted"}
_NAMES = {
    "parsing": "Parsing scores",
    "randominit": "RANDOM-INIT table",
    "cka": "CKA figure",
    "spearman": "Spearman table",
    "spearman_by_layer": "Spearman per layer",
    "unseen": "Unseen languages",
    "script": "Script and transliteration",
    "scaling": "MLQA scaling",
}


def escape(text: object) -> str:
    """Make text mean itself in MyST: one line, no markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def label(*parts: str) -> str:
    """Join parts to a target name that is also its HTML id: ``scoreboard-anc2022-fig1-pair-order``."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def badge(verdict: str) -> str:
    """Draw a verdict as a coloured word."""
    return f"{{{_BADGES[verdict]}}}`{verdict.replace('_', ' ')}`"


def item_title(item: str) -> str:
    """Name an item for readers: ``fig5_6`` -> Figures 5 and 6."""
    if item in _NAMES:
        return _NAMES[item]
    for pattern, singular, plural in (
        (r"fig(\w+)", "Figure", "Figures"),
        (r"tables?(\w+)", "Table", "Tables"),
    ):
        if found := re.fullmatch(pattern, item):
            numbers = found[1].split("_")
            if len(numbers) > 1:
                joint = " to " if item.startswith("tables") else " and "
                return f"{plural} {joint.join(numbers)}"
            return f"{singular} {numbers[0]}"
    if found := re.fullmatch(r"s(\d[\d.]*)", item):
        return f"Section {found[1]}"
    if found := re.fullmatch(r"app([A-Z])", item):
        return f"Appendix {found[1]}"
    return item.replace("_", " ").capitalize()


def reading_order(item: str) -> tuple:
    """Sort key of items: tables, figures, sections, the rest; numbers by value."""
    kinds = ("table", "fig", "s", "app")
    kind = next(
        (k for k, name in enumerate(kinds) if re.match(rf"{name}[s\dA-Z]", item)), len(kinds)
    )
    return kind, [int(number) for number in re.findall(r"\d+", item)], item


def list_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, widths: str = "auto", css: str = ""
) -> str:
    """A table whose cells may hold any MyST, several paragraphs included."""
    lines = ["```````{list-table}", ":header-rows: 1", f":widths: {widths}"]
    lines += [f":class: {css}"] if css else []
    lines.append("")
    for row in (header, *rows):
        for column, cell in enumerate(row):
            first, *rest = (cell or " ").split("\n")
            lines.append(("* - " if column == 0 else "  - ") + first)
            lines += [f"    {line}" if line.strip() else "" for line in rest]
    return "\n".join([*lines, "```````", ""])
