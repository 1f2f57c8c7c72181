"""What the papers claim, and what the records say about it.

`all_claims` lists the 116 claims, `judge` decides one of them, `verdict_table` all of them.

>>> from xsim_lib import claims
>>> claims.get("anc2022.fig1.normformer_cka_collapse").printed.verdict
'holds'
"""

from xsim_lib.claims import (  # registers the predicates
    align2021,
    anc2022,
    anc2022_other,
    emerging2020,
    emerging2020_models,
    parafac2023,
    parafac2023_other,
)
from xsim_lib.claims.currency import code_hash, currency, measuring_modules
from xsim_lib.claims.judging import VERDICT_COLUMNS, Verdict, judge, verdict_table, write_verdicts
from xsim_lib.claims.registry import (
    Claim,
    Outcome,
    Predicate,
    all_claims,
    claims_of,
    get,
    items_without_claim,
    predicate,
    predicate_of,
)  # fmt: skip
from xsim_lib.claims.standing import item_table, verdicts

__all__ = [
    "VERDICT_COLUMNS", "Claim", "Outcome", "Predicate", "Verdict", "align2021", "all_claims", "anc2022",
    "anc2022_other", "claims_of", "code_hash", "currency", "emerging2020", "emerging2020_models", "get", "item_table", "items_without_claim", "judge",
    "measuring_modules", "parafac2023", "parafac2023_other", "predicate", "predicate_of", "verdict_table", "verdicts", "write_verdicts",
]  # fmt: skip
