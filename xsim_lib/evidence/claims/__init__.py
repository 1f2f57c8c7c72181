"""What the papers claim, and what the records say about it.

`all_claims` lists the claims, `judge` decides one of them, `verdict_table` all of them.

>>> from xsim_lib.evidence import claims
>>> claims.claim_named("anc2022.fig1.normformer_cka_collapse").printed.verdict
'holds'
"""

from xsim_lib.evidence.claims.judging import (
    VERDICT_COLUMNS,
    Verdict,
    judge,
    per_seed,
    verdict_table,
    write_verdicts,
)
from xsim_lib.evidence.claims.registry import (  # fmt: skip
    Claim,
    Outcome,
    Predicate,
    all_claims,
    claim_named,
    claims_of,
    items_without_claim,
    predicate,
    predicate_of,
)

__all__ = [
    "VERDICT_COLUMNS",
    "Claim",
    "Outcome",
    "Predicate",
    "Verdict",
    "all_claims",
    "claim_named",
    "claims_of",
    "items_without_claim",
    "judge",
    "per_seed",
    "predicate",
    "predicate_of",
    "verdict_table",
    "write_verdicts",
]  # fmt: skip
