"""Ready families that mirror the papers' choice of languages."""

from __future__ import annotations

from .family import Family
from .spec import Borrowing, FamilySpec, LanguageSpec


def european4(seed: int = 0, **overrides) -> Family:
    """Four languages in the roles that English, French, Estonian and Bulgarian have in anc2022.

    fr is a sister of en (same script, cognates, loans), bg a cousin in another script, et unrelated, in
    the script of en, agglutinative and verb-final. `overrides` are fields of `FamilySpec`.
    """
    languages = {
        "en": LanguageSpec(articles="word", particle_rate=0.9),
        "fr": LanguageSpec(adjective="after", articles="word", agreement=True, particle_rate=0.8),
        "et": LanguageSpec(
            order="SOV",
            adposition="after",
            morphology="agglutinative",
            cases=True,
            agreement=True,
            pro_drop=0.6,
            particle_rate=1.2,
        ),
        "bg": LanguageSpec(
            script="cyrillic",
            articles="suffix",
            agreement=True,
            pro_drop=0.7,
            order_noise=0.3,
            particle_rate=1.1,
        ),
    }
    settings = {
        "seed": seed,
        "languages": languages,
        "trees": ("((en:0.3,fr:0.3):0.3,bg:0.6);", "et:0.6;"),
        "borrowings": (Borrowing(donor="fr", recipient="en", rate=0.1),),
    }
    return Family(FamilySpec(**(settings | overrides)))
