"""Settings of languages under which translations come close to a relabelling, word for word.

Each is for `LanguageSpec`, of every language of a family; together nothing but the words differs.
"""

from __future__ import annotations

__all__ = ["ONE_GRAMMAR", "ONE_WORDING", "WITHOUT_FILLERS"]

ONE_WORDING = {
    "order_noise": 0.0, "pro_drop": 0.0, "drop": 0.0, "synonyms": 0.0, "polysemy": 0.0, "vagueness": 0.0,
}  # fmt: skip
WITHOUT_FILLERS = {"particle_rate": 0.0, "formula_rate": 0.0}
ONE_GRAMMAR = {
    "order": "SVO", "adjective": "before", "adposition": "before", "morphology": "fusional",
    "articles": "word", "cases": False, "agreement": True,
}  # fmt: skip
