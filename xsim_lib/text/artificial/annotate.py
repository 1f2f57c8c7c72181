"""Analyses of sentences: dependency trees, features, entities, and word glosses.

The grammar fills slots, so the analysis is known: every slot has a tag, a head slot and a relation.
"""

from __future__ import annotations

from typing import NamedTuple

from xsim_lib.text.artificial.grammar import (
    FORMULA_SLOTS,
    PARTICLE_SLOTS,
    PHRASES,
    SLOTS,
    Language,
    Realised,
)
from xsim_lib.text.artificial.inventory import (
    ADVERBS,
    CARDINALS,
    CASES,
    PRONOUNS,
    RELATIONS,
    TENSES,
)
from xsim_lib.text.types import Token, TreebankSentence

ROOT = "V.verb"
RELATION = {"S": "nsubj", "O": "obj", "X": "obl"}
# slot within a phrase -> (UPOS, relation to the noun)
PHRASE_PARTS = {
    "adposition": ("ADP", "case"),
    "determiner": ("DET", "det"),
    "cardinal": ("NUM", "nummod"),
    "adjective": ("ADJ", "amod"),
    "flat": ("PROPN", "flat:name"),
    "plural": ("PART", "clf"),
}
# slot -> (UPOS, head slot, relation)
OTHER_PARTS = {
    "V.verb": ("VERB", "", "root"),
    "V.negation": ("PART", ROOT, "advmod"),
    "V.auxiliary": ("AUX", ROOT, "aux"),
    "adverb": ("ADV", ROOT, "advmod"),
    "comma": ("PUNCT", ROOT, "punct"),
    "stop": ("PUNCT", ROOT, "punct"),
    "Q": ("PART", ROOT, "mark"),
    **{slot: ("PART", ROOT, "discourse") for slot in PARTICLE_SLOTS},
    **{slot: ("INTJ", FORMULA_SLOTS[0], "fixed") for slot in FORMULA_SLOTS},
    FORMULA_SLOTS[0]: ("INTJ", ROOT, "discourse"),
}


class Part(NamedTuple):
    """One word of an analysed sentence."""

    slot: str
    form: str
    upos: str
    head_slot: str
    deprel: str


def parts(language: Language, said: Realised, row: int) -> list[Part]:
    """The words of one sentence in the order they are said."""
    found = []
    forms = said.forms[row]
    for column in said.order[row].tolist():
        if not forms[column]:
            continue
        slot, form = SLOTS[column], language.written[forms[column]]
        letter, _, part = slot.partition(".")
        if letter not in PHRASES:
            upos, head, deprel = OTHER_PARTS[slot]
        elif part != "noun":
            (upos, deprel), head = PHRASE_PARTS[part], f"{letter}.noun"
        else:
            nominal = int(said.nominals[letter][row])
            upos = "NOUN" if nominal >= 0 else "PRON"
            upos = "PROPN" if nominal >= 0 and language.world.is_name[nominal] else upos
            head, deprel = ROOT, RELATION[letter]
        found.append(Part(slot, form, upos, head, deprel))
    return found


def features(language: Language, said: Realised, row: int, part: Part) -> dict[str, str]:
    """The features the form itself shows; a language without an ending has no such feature."""
    spec, m = language.spec, said.meanings
    letter, _, name = part.slot.partition(".")
    role = PHRASES.get(letter, "subject")
    number = ("Sing", "Plur")[getattr(m, f"{role}_number")[row]]
    inflects = spec.morphology != "analytic"
    agrees = spec.agreement and inflects
    if part.upos == "PRON":
        return {"Number": number, "Person": str(m.person[row]), "PronType": "Prs"}
    if part.slot == ROOT:
        shown = {}
        tense = TENSES[m.tense[row]]
        if inflects and (agrees or spec.morphology == "agglutinative" or tense != "Fut"):
            shown["Tense"] = tense
        if agrees:
            shown |= {"Number": number, "Person": str(m.person[row])}
        if spec.morphology == "agglutinative":
            shown["Polarity"] = "Neg" if m.negated[row] else "Pos"
        return shown
    if name == "noun":
        lexeme = language.lexeme[said.lexemes[part.slot][row]]
        if not inflects or lexeme.anchor:
            return {}
        shown = {"Number": number}
        if spec.cases:
            fusional = spec.morphology == "fusional"
            oblique = "Obl" if fusional else CASES[max(0, int(m.relation[row]))]
            shown["Case"] = {"S": "Nom", "O": "Acc", "X": oblique}[letter]
        if spec.articles == "suffix":
            shown["Definite"] = "Def" if getattr(m, f"{role}_definite")[row] else "Ind"
        return shown
    if name == "adjective":
        return {"Number": number} if agrees and spec.morphology == "fusional" else {}
    if name == "determiner":
        definite = "Def" if getattr(m, f"{role}_definite")[row] else "Ind"
        return {"Definite": definite, "PronType": "Art"}
    if name == "cardinal":
        return {"NumForm": "Digit", "NumType": "Card"}
    if name == "auxiliary":
        return {"Tense": TENSES[m.tense[row]]}
    if name == "negation":
        return {"Polarity": "Neg"}
    return {}


def sentence(language: Language, said: Realised, row: int, sent_id: str) -> TreebankSentence:
    """The dependency tree of one sentence, with features, lemmas and IOB2 entity tags."""
    found = parts(language, said, row)
    position = {part.slot: k for k, part in enumerate(found, start=1)}
    tokens = []
    for part in found:
        head = position.get(part.head_slot, 0)
        upos, deprel = part.upos, part.deprel
        lemma, entity = part.form, "O"
        if part.slot in said.lexemes and upos != "PRON":
            lemma = language.lexeme[said.lexemes[part.slot][row]].written
        if upos == "PROPN":
            kind = language.world.entity[int(said.nominals[part.slot[0]][row])]
            entity = f"{'I' if part.slot.endswith('flat') else 'B'}-{kind}"
        shown = features(language, said, row, part)
        tokens.append(Token(part.form, lemma, upos, shown, head, deprel, entity))
    return TreebankSentence(sent_id, tuple(tokens))


def word_gloss(language: Language, said: Realised, row: int, part: Part) -> str:
    """An English-like label of one word, such as ``dog.Plur.Acc``."""
    m, world = said.meanings, language.world
    letter, _, name = part.slot.partition(".")
    role = PHRASES.get(letter, "")
    if part.slot in PARTICLE_SLOTS:
        return "PTCL"
    if part.slot in FORMULA_SLOTS:
        return "FORMULA"
    if part.upos == "PUNCT" or name in ("cardinal", "flat"):
        return (
            str(CARDINALS[getattr(m, f"{role}_cardinal")[row]]) if name == "cardinal" else part.form
        )
    if part.upos == "PRON":
        return PRONOUNS[3 * int(m.subject_number[row]) + int(m.person[row]) - 1]
    if part.slot == ROOT:
        label = world.verbs[m.verb[row]].label
    elif name == "noun":
        label = world.nominals[int(said.nominals[letter][row])]
    elif name == "adjective":
        label = world.adjectives[getattr(m, f"{role}_adjective")[row]][0]
    elif part.slot == "adverb":
        label = ADVERBS[m.adverb[row]]
    elif name == "adposition":
        label = RELATIONS[m.relation[row]] if letter == "X" else "OBJECT"
    elif name == "determiner":
        label = "the" if getattr(m, f"{role}_definite")[row] else "a"
    elif name == "auxiliary":
        label = TENSES[m.tense[row]].upper()
    else:
        label = {"negation": "not", "plural": "PLURAL"}.get(name, "QUESTION")
    if name not in ("noun", "verb", "adjective"):
        return label
    shown = features(language, said, row, part)
    silent = ("Sing", "Nom", "Ind", "Pos", "Pres")
    return ".".join([label, *(v for v in shown.values() if v not in silent)])


# What no word of another language says: habits, punctuation, and what may be an ending there.
_UNLINKED = frozenset((*PARTICLE_SLOTS, *FORMULA_SLOTS, "comma", "stop", "Q"))


def links(one: list[Part], two: list[Part]) -> tuple[tuple[int, int], ...]:
    """Which words of two sentences with the same meaning say the same part of it.

    Two words do if they fill the same slot: its subject, the adjective of its object, and so on.
    Particles, formulas and punctuation are linked to nothing.
    """
    places = {part.slot: k for k, part in enumerate(two) if part.slot not in _UNLINKED}
    return tuple((k, places[part.slot]) for k, part in enumerate(one) if part.slot in places)


def glossed(language: Language, said: Realised, row: int) -> tuple[str, list[str]]:
    """A sentence and the gloss of each of its words."""
    found = parts(language, said, row)
    text = " ".join(part.form for part in found)
    return text, [word_gloss(language, said, row, part) for part in found]
