"""The predicate of toy2026."""

from xsim_lib.evidence.claims.registry import Outcome, predicate
from xsim_lib.evidence.records import Records


@predicate("toy2026.fig1.layers_are_alike")
def layers_are_alike(r: Records) -> Outcome:
    """Metric "anc", pair en-fr: at the last layer."""
    last = r.curve("anc", pair_or_language="en-fr").iloc[-1]
    return Outcome(last >= 0.3, f"ANC {last:.3f}; at least 0.3")
