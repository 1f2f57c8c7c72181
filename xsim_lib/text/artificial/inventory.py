"""The concepts every language of a family can talk about, with English-like labels.

The labels are only glosses for people: a language never shows them. Which of them are frequent, which
belong to which topic and which go together is drawn per family (see `meaning`); what is fixed here is
what makes a sentence sensible: semantic classes, what a verb may take, and opposites.
"""

from __future__ import annotations

from typing import NamedTuple

# The first noun of a class is its hypernym ("animal" covers "dog"), which textual inference uses.
NOUNS: dict[str, str] = {
    "person": "person teacher child king farmer doctor soldier merchant sister poet",
    "animal": "animal dog horse wolf bird fish cow bear cat goat",
    "food": "food bread apple milk soup honey cheese salt meat cake",
    "place": "place city village house market harbour road school garden island",
    "tool": "tool hammer knife boat wagon rope lamp wheel sword net",
    "institution": "organisation court army company church bank guild council team union",
    "nature": "landscape river forest mountain storm sea snow field cloud lake",
    "text": "writing book letter law song story map poem report prayer",
    "event": "event war wedding feast election journey trial race harvest meeting",
}

# Which class of names may stand where a noun of this class stands.
NAME_CLASSES: dict[str, str] = {"person": "PER", "institution": "ORG", "place": "LOC"}


class Verb(NamedTuple):
    """A verb with its selection preferences, most preferred class first."""

    label: str
    subject: tuple[str, ...]
    object: tuple[str, ...]  # empty: intransitive
    oblique: tuple[tuple[str, str], ...]  # (relation, class)
    antonym: str = ""


def _verbs(table: str) -> tuple[Verb, ...]:
    verbs = []
    for line in table.strip().splitlines():
        label, subject, object_, oblique, antonym = (part.strip() for part in line.split("|"))
        pairs = tuple(tuple(pair.split(":")) for pair in oblique.split())
        verbs.append(Verb(label, tuple(subject.split()), tuple(object_.split()), pairs, antonym))
    return tuple(verbs)


VERBS = _verbs(
    """
    buy      | person institution | food tool        | from:person in:place         | sell
    sell     | person institution | food tool        | to:person in:place           | buy
    eat      | animal person      | food             | with:person in:nature        |
    cook     | person             | food             | with:tool for:event          |
    write    | person institution | text             | for:institution in:place     | burn
    burn     | person institution | text place       | with:tool at:event           | write
    read     | person             | text             | to:person in:place           |
    build    | person institution | place tool       | with:tool for:person         | destroy
    destroy  | nature institution | place tool       | at:event with:tool           | build
    attack   | institution animal | place person     | from:nature with:tool        | protect
    protect  | institution person | place animal     | from:nature with:tool        | attack
    praise   | person institution | person institution | at:event for:text          | accuse
    accuse   | institution person | person institution | at:event in:text           | praise
    see      | person animal      | nature animal    | from:place in:nature         |
    hunt     | person animal      | animal           | in:nature with:tool          |
    feed     | person             | animal           | with:food in:place           |
    win      | institution person | event            | with:person in:place         | lose
    lose     | institution person | event            | in:place with:person         | win
    organise | institution        | event            | for:person in:place          | cancel
    cancel   | institution        | event            | for:nature in:place          | organise
    carry    | animal person      | tool food        | to:place from:place          |
    repair   | person             | tool             | with:tool in:place           | break
    break    | person nature      | tool             | at:event in:place            | repair
    teach    | person institution | person           | in:place with:text           |
    cover    | nature             | nature place     | at:event in:nature           |
    cross    | person animal      | nature           | with:tool to:place           |
    visit    | person             | place institution | with:person for:event       | leave
    leave    | person institution | place institution | with:person after:event     | visit
    support  | institution person | institution text | at:event in:place            | oppose
    oppose   | institution person | institution text | at:event in:place            | support
    sleep    | animal person      |                  | in:nature in:place           | wake
    wake     | animal person      |                  | in:place after:event         | sleep
    travel   | person             |                  | to:place with:animal         | stay
    stay     | person animal      |                  | in:place with:person         | travel
    speak    | person institution |                  | with:person at:event         |
    grow     | nature institution |                  | in:place after:event         | shrink
    shrink   | nature institution |                  | in:place after:event         | grow
    fight    | institution animal |                  | with:institution at:event    |
    sing     | person animal      |                  | at:event in:nature           |
    fall     | nature tool        |                  | in:nature after:event        | rise
    rise     | nature event       |                  | in:nature after:event        | fall
    """
)

# adjective | classes it describes; opposites stand in adjacent lines
ADJECTIVES: tuple[tuple[str, tuple[str, ...]], ...] = tuple(
    (label, tuple(classes.split()))
    for label, classes in (
        ("old", "person place tool text"),
        ("young", "person animal institution"),
        ("big", "place animal nature tool"),
        ("small", "place animal nature tool"),
        ("rich", "person institution place"),
        ("poor", "person institution place"),
        ("sweet", "food"),
        ("bitter", "food"),
        ("warm", "food nature place"),
        ("cold", "food nature place"),
        ("famous", "text person event"),
        ("unknown", "text person event"),
        ("strong", "animal institution tool"),
        ("weak", "animal institution tool"),
        ("long", "text event nature"),
        ("short", "text event nature"),
        ("white", "animal food nature"),
        ("black", "animal tool nature"),
        ("wise", "person text institution"),
        ("foolish", "person text institution"),
        ("dangerous", "nature event animal"),
        ("safe", "place event tool"),
        ("fresh", "food event"),
        ("stale", "food text"),
        ("public", "institution event place"),
        ("secret", "institution event text"),
    )
)

ADVERBS = [
    "today",
    "often",
    "quickly",
    "slowly",
    "always",
    "suddenly",
    "quietly",
    "together",
    "again",
    "far",
]
RELATIONS = ("in", "with", "from", "to", "for", "at", "after")
CASES = ("Ine", "Com", "Abl", "All", "Ben", "Ade", "Ter")  # the case that says the same
PRONOUNS = ("I", "you", "it", "we", "ye", "they")  # person 1-3 singular, then plural
CARDINALS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 20, 40, 100, 300)
TENSES = ("Past", "Pres", "Fut")
