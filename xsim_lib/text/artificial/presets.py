"""Ready families that mirror the papers' choice of languages.

`every` changes settings of all languages and `each` of one, on top of the preset:
``european4(every={"script": "latin"}, each={"et": {"particle_rate": 0.5}}, anchors=0.0)``.
Other keywords are fields of `FamilySpec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xsim_lib.text.artificial.family import Family
from xsim_lib.text.artificial.spec import Borrowing, FamilySpec, LanguageSpec

__all__ = ["baltic6", "eurasian14", "european4", "graded5", "transfer15"]

Changes = Mapping[str, Any]

_ROMANCE = {"adjective": "after", "articles": "word", "agreement": True, "particle_rate": 0.8}
_SLAVIC = {"script": "cyrillic", "agreement": True, "pro_drop": 0.7, "order_noise": 0.3}
_AGGLUTINATIVE = {
    "order": "SOV",
    "adposition": "after",
    "morphology": "agglutinative",
    "cases": True,
    "agreement": True,
    "pro_drop": 0.6,
    "particle_rate": 1.2,
}
_ISOLATING = {"script": "logographic", "morphology": "analytic", "pro_drop": 0.4}


def european4(
    seed: int = 0,
    *,
    every: Changes | None = None,
    each: Mapping[str, Changes] | None = None,
    **overrides,
) -> Family:
    """Four languages in the roles that English, French, Estonian and Bulgarian have in anc2022.

    fr is a sister of en (same script, cognates, loans), bg a cousin in another script, et unrelated, in
    the script of en, agglutinative and verb-final.
    """
    languages = {
        "en": {"articles": "word", "particle_rate": 0.9},
        "fr": _ROMANCE,
        "et": _AGGLUTINATIVE,
        "bg": _SLAVIC | {"articles": "suffix", "particle_rate": 1.1},
    }
    settings = {
        "trees": ("((en:0.3,fr:0.3):0.3,bg:0.6);", "et:0.6;"),
        "borrowings": (Borrowing(donor="fr", recipient="en", rate=0.1),),
    }
    return _family(seed, languages, every, each, settings | overrides)


def baltic6(
    seed: int = 0,
    *,
    every: Changes | None = None,
    each: Mapping[str, Changes] | None = None,
    **overrides,
) -> Family:
    """Six languages in the roles that those of Figure 3 have in anc2022, all in one script.

    fr is a sister of en; pl a cousin with many loans from fr; lt and lv, sisters of each other, are as
    far from en by descent as pl but without loans; et is unrelated.
    """
    inflected = {"agreement": True, "cases": True, "pro_drop": 0.6, "order_noise": 0.3}
    languages = {
        "en": {"articles": "word", "particle_rate": 0.9},
        "fr": _ROMANCE,
        "pl": inflected | {"particle_rate": 1.1},
        "lt": inflected,
        "lv": inflected | {"particle_rate": 0.9},
        "et": _AGGLUTINATIVE,
    }
    settings = {
        "trees": ("((en:0.3,fr:0.3):0.3,(pl:0.4,(lt:0.25,lv:0.25):0.15):0.2);", "et:0.6;"),
        "borrowings": (
            Borrowing(donor="fr", recipient="en", rate=0.1),
            Borrowing(donor="fr", recipient="pl", rate=0.25),
        ),
    }
    return _family(seed, languages, every, each, settings | overrides)


def eurasian14(
    seed: int = 0,
    *,
    every: Changes | None = None,
    each: Mapping[str, Changes] | None = None,
    **overrides,
) -> Family:
    """Fourteen languages in three families, an isolate and a logographic pair.

    Trees: en, de | fr, es | ru, bg; fi, et, hu; tr, az; and ka, zh, ja alone. ja is unrelated to zh
    but borrows from it and shares most of its characters.
    """
    agglutinative_svo = _AGGLUTINATIVE | {"order": "SVO", "order_noise": 0.3}
    languages = {
        "en": {"articles": "word", "particle_rate": 0.9},
        "de": {"articles": "word", "agreement": True, "order_noise": 0.25},
        "fr": _ROMANCE,
        "es": _ROMANCE | {"pro_drop": 0.7},
        "ru": _SLAVIC | {"cases": True},
        "bg": _SLAVIC | {"articles": "suffix", "particle_rate": 1.1},
        "fi": agglutinative_svo,
        "et": agglutinative_svo | {"particle_rate": 1.0},
        "hu": _AGGLUTINATIVE | {"articles": "word"},
        "tr": _AGGLUTINATIVE,
        "az": _AGGLUTINATIVE | {"particle_rate": 0.9},
        "ka": _AGGLUTINATIVE | {"script": "georgian", "order_noise": 0.3},
        "zh": _ISOLATING | {"particle_rate": 1.3},
        "ja": _ISOLATING | {"order": "SOV", "adposition": "after", "pro_drop": 0.7},
    }
    settings = {
        "trees": (
            "(((en:0.3,de:0.3):0.25,(fr:0.25,es:0.25):0.3):0.15,(ru:0.3,bg:0.3):0.4);",
            "((fi:0.25,et:0.25):0.35,hu:0.6);",
            "(tr:0.25,az:0.25):0.35;",
            "ka:0.6;",
            "zh:0.6;",
            "ja:0.6;",
        ),
        "borrowings": (
            Borrowing(donor="fr", recipient="en", rate=0.1),
            Borrowing(donor="zh", recipient="ja", rate=0.3),
            Borrowing(donor="ru", recipient="az", rate=0.05),
        ),
    }
    return _family(seed, languages, every, each, settings | overrides)


def transfer15(
    seed: int = 0,
    *,
    every: Changes | None = None,
    each: Mapping[str, Changes] | None = None,
    **overrides,
) -> Family:
    """Eleven languages to learn from and four unseen ones, in the roles they have in align2021.

    Unseen: gsw, a sister of de in its script; wo, alone but in the same script; ug, a sister of tr in
    the script of ar; myv, a sister of fi in the script of ru and bg. Every script has been seen, but not
    with the relatives of ug and myv. So what makes each of them easy or hard is known.
    """
    finnic = _AGGLUTINATIVE | {"order": "SVO", "order_noise": 0.3}
    german = {"articles": "word", "agreement": True, "order_noise": 0.25}
    languages = {
        "en": {"articles": "word", "particle_rate": 0.9},
        "de": german,
        "gsw": german | {"particle_rate": 1.2},
        "fr": _ROMANCE,
        "es": _ROMANCE | {"pro_drop": 0.7},
        "ru": _SLAVIC | {"cases": True},
        "bg": _SLAVIC | {"articles": "suffix", "particle_rate": 1.1},
        "fi": finnic,
        "et": finnic | {"particle_rate": 1.0},
        "myv": finnic | {"script": "cyrillic"},
        "hu": _AGGLUTINATIVE | {"articles": "word"},
        "tr": _AGGLUTINATIVE,
        "ug": _AGGLUTINATIVE | {"script": "georgian"},
        "ar": {"script": "georgian", "order": "VSO", "adjective": "after", "articles": "suffix"}
        | {"agreement": True, "pro_drop": 0.6},
        "wo": {"morphology": "analytic", "articles": "word", "adjective": "after"},
    }
    settings = {
        "trees": (
            "(((en:0.3,(de:0.15,gsw:0.15):0.15):0.25,(fr:0.25,es:0.25):0.3):0.15,(ru:0.3,bg:0.3):0.4);",
            "(((fi:0.25,et:0.25):0.1,myv:0.35):0.25,hu:0.6);",
            "(tr:0.15,ug:0.15):0.45;",
            "ar:0.6;",
            "wo:0.6;",
        ),
        "borrowings": (Borrowing(donor="fr", recipient="en", rate=0.1),),
    }
    return _family(seed, languages, every, each, settings | overrides)


def graded5(
    seed: int = 0,
    *,
    every: Changes | None = None,
    each: Mapping[str, Changes] | None = None,
    **overrides,
) -> Family:
    """English and languages ever farther from it, in the roles they have in emerging2020.

    Close: fr and de, near relatives in the same script. Middle: ru, a distant relative in another
    script. Far: zh, unrelated, in a script of its own and with other word order.
    """
    languages = {
        "en": {"articles": "word", "particle_rate": 0.9},
        "fr": _ROMANCE,
        "de": {"articles": "word", "agreement": True, "order_noise": 0.25},
        "ru": _SLAVIC | {"cases": True},
        "zh": _ISOLATING | {"order": "SOV", "adposition": "after", "particle_rate": 1.3},
    }
    settings = {
        "trees": ("(((en:0.25,de:0.25):0.1,fr:0.35):0.35,ru:0.7);", "zh:0.7;"),
        "borrowings": (Borrowing(donor="fr", recipient="en", rate=0.1),),
    }
    return _family(seed, languages, every, each, settings | overrides)


def _family(
    seed: int,
    languages: dict[str, dict[str, Any]],
    every: Changes | None,
    each: Mapping[str, Changes] | None,
    settings: dict[str, Any],
) -> Family:
    for name in each or {}:
        if name not in languages:
            raise ValueError(f"each: expected some of {', '.join(languages)}; got {name!r}")
    specs = {
        name: LanguageSpec(**(own | dict(every or {}) | dict((each or {}).get(name, {}))))
        for name, own in languages.items()
    }
    return Family(FamilySpec(**({"seed": seed, "languages": specs} | settings)))
