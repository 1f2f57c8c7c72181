"""The 17 morphosyntactic categories of parafac2023, read from Universal Dependencies features.

The paper converts treebanks to UniMorph and slices by its dimensions; only whether a word shows a dimension
matters. The table below says which features of Universal Dependencies are values of which dimension of the
UniMorph schema, from the two public specifications.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ASPECTUAL_TENSES", "CATEGORIES", "RULES", "morphological_categories"]

#: UD feature -> UniMorph dimension, whatever the value; or value -> dimension where values differ.
RULES: dict[str, str | dict[str, str]] = {
    "Animacy": "Animacy",
    "Aspect": "Aspect",
    "Case": "Case",
    # The positive degree is no value of UniMorph's dimension.
    "Degree": dict.fromkeys(("Abs", "Aug", "Cmp", "Dim", "Equ", "Sup"), "Comparison"),
    # The construct state is one of possession there.
    "Definite": {
        **dict.fromkeys(("Com", "Def", "Ind", "Spec"), "Definiteness"),
        "Cons": "Possession",
    },
    # Participles, converbs and verbal nouns are parts of speech there.
    "VerbForm": {"Fin": "Finiteness", "Inf": "Finiteness"},
    "Gender": "Gender",
    "Mood": "Mood",
    "Number": "Number",
    "Person": "Person",
    "Polarity": "Polarity",
    "Polite": "Politeness",
    "Poss": "Possession",
    "Gender[psor]": "Possession",
    "Number[psor]": "Possession",
    "Person[psor]": "Possession",
    "Tense": "Tense",
    "Reflex": "Valency",
    "Subcat": "Valency",
    "PronType": {"Rcp": "Valency"},
    # Causative and reciprocal change the valency there, active and passive do not.
    "Voice": {
        **dict.fromkeys(("Act", "Antip", "Bfoc", "Dir", "Inv", "Lfoc", "Mid", "Pass"), "Voice"),
        **dict.fromkeys(("Cau", "Rcp"), "Valency"),
    },
}

#: Tenses that UniMorph writes as past plus imperfective, or past plus perfect.
ASPECTUAL_TENSES = frozenset({"Imp", "Pqp"})

#: All 17, in alphabetical order.
CATEGORIES: tuple[str, ...] = tuple(
    sorted(
        {"Part of Speech"}.union(
            *({rule} if isinstance(rule, str) else rule.values() for rule in RULES.values())
        )
    )
)


def morphological_categories(feats: Mapping[str, str]) -> frozenset[str]:
    """The categories that a word with these features shows.

    Parameters
    ----------
    feats : feature -> value or values joined by commas, as in CoNLL-U (``{"Case": "Acc,Nom"}``).

    Returns
    -------
    frozenset of `CATEGORIES`; every word has "Part of Speech". Features that are no dimension of
    UniMorph, such as NumType or Foreign, add nothing.

    Notes
    -----
    ``Gender[psor]`` and the like describe the possessor: they are Possession, not Gender.
    """
    found = {"Part of Speech"}
    for feature, values in feats.items():
        rule = RULES.get(feature)
        if isinstance(rule, str):
            found.add(rule)
        elif rule:
            found.update(rule[value] for value in values.split(",") if value in rule)
    if ASPECTUAL_TENSES & set(feats.get("Tense", "").split(",")):
        found.add("Aspect")
    return frozenset(found)
