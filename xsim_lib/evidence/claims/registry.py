"""The checkable claims, and the predicates that decide some of them.

What a claim says stands in one YAML file per paper, so that it can be read and reviewed without code.
A predicate is a function of records, registered under the id of its claim. Its thresholds are those of
the claim's `predicate` text: fixed beforehand, the same for every profile.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xsim_lib.evidence import chapters
from xsim_lib.evidence.records import Records
from xsim_lib.evidence.yaml_files import read_yaml

__all__ = [
    "Claim",
    "Outcome",
    "Predicate",
    "WithoutClaim",
    "all_claims",
    "claim_named",
    "claims_of",
    "items_without_claim",
    "predicate",
    "predicate_of",
]  # fmt: skip

Level = Literal[
    "tiny_synthetic",
    "tiny_uncertain",
    "real_text",
    "public_checkpoints",
    "full_compute",
    "arithmetic",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Scale(_Frozen):
    """At which scales a claim can be decided, and why."""

    levels: tuple[Level, ...] = Field(min_length=1, strict=False)
    note: str


class Printed(_Frozen):
    """What the predicate says about the paper's own numbers."""

    verdict: Literal["holds", "partly", "fails", "not_checkable"]
    detail: str


class Needs(_Frozen):
    """What deciding the claim at the paper's scale takes."""

    data: tuple[str, ...] = Field(strict=False)
    checkpoints: tuple[str, ...] = Field(strict=False)


class Claim(_Frozen):
    """One checkable statement of a paper.

    `item` is the figure, table or section it belongs to, as records name it; `where` the exact place
    in the paper; `statement` our words; `predicate` the condition and its thresholds in writing;
    `reported` the numbers the paper gives; `printed` the condition applied to these.
    """

    id: str = Field(pattern=r"^[a-z0-9]+\.[A-Za-z0-9_.]+$")
    paper: str
    item: str = Field(min_length=1)
    where: str = Field(min_length=1)
    kind: Literal["claim", "reading", "definition", "arithmetic"]
    statement: str = Field(pattern=r"^[^\n]{20,160}\.$")
    predicate: str = Field(min_length=1)
    reported: str = Field(min_length=1)
    printed: Printed
    scale: Scale
    needs: Needs

    @model_validator(mode="after")
    def _id_names_paper_and_item(self) -> "Claim":
        if not self.id.startswith(f"{self.paper}.{self.item}."):
            raise ValueError(f"id: expected {self.paper}.{self.item}.NAME, got {self.id!r}")
        return self


class WithoutClaim(_Frozen):
    """An item of a paper that states nothing checkable, and why."""

    item: str
    reason: str


class _File(_Frozen):
    paper: str
    claims: tuple[Claim, ...] = Field(strict=False)
    without_claim: tuple[WithoutClaim, ...] = Field(strict=False)


@dataclass(frozen=True)
class Outcome:
    """What a predicate found on one set of records.

    `note` is added to the reason. `vacuous` says what the claim presupposes and the records do not show:
    then neither answer would mean anything.
    """

    holds: bool
    measured: str
    note: str = ""
    vacuous: str = ""

    def __post_init__(self):
        object.__setattr__(self, "holds", bool(self.holds))  # comparisons of NumPy give np.bool


@dataclass(frozen=True)
class Predicate:
    """A registered predicate; calling it judges one set of records (one seed, or the mean over seeds).

    `items` are the record items it reads, the claim's own first. With `printed` they are looked up
    in `xsim_lib.evidence.printed` instead: the claim is about the printed numbers themselves.
    """

    claim: str
    items: tuple[str, ...]
    printed: bool
    function: Callable[[Records], Outcome]

    @property
    def paper(self) -> str:
        """The paper of the claim."""
        return self.claim.partition(".")[0]

    def __call__(self, records: Records) -> Outcome:
        read = records.select(paper=self.paper).of_items(*self.items)
        outcome = self.function(read.named())
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{self.claim}: expected an Outcome, got {type(outcome).__name__}")
        return _in_their_names(outcome, read)


def _in_their_names(outcome: Outcome, records: Records) -> Outcome:
    """Predicates speak of the paper's models. What was measured on a stand-in is said of the stand-in."""
    frame = records.frame[["in_place_of", "model"]].drop_duplicates("in_place_of")
    own = {paper: model for paper, model in frame.itertuples(index=False) if paper}
    if not own:
        return outcome
    names = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, own))})(?![\w-])")
    said = {
        part: names.sub(lambda found: own[found[0]], getattr(outcome, part))
        for part in ("measured", "note", "vacuous")
    }
    return replace(outcome, **said)


_PREDICATES: dict[str, Predicate] = {}


def predicate(
    claim: str, *, items: tuple[str, ...] = (), printed: bool = False
) -> Callable[[Callable[[Records], Outcome]], Callable[[Records], Outcome]]:
    """Register the decorated function as the predicate of a claim.

    Parameters
    ----------
    claim : id of the claim.
    items : record items it reads; () for the claim's own. Rows of a later item only fill what the
        earlier ones did not measure.
    printed : the claim is arithmetic on printed numbers; `items` then name files of `xsim_lib.evidence.printed`.

    Raises
    ------
    ValueError : no such claim, or it has a predicate already.
    """
    known = claim_named(claim)

    def register(function: Callable[[Records], Outcome]) -> Callable[[Records], Outcome]:
        if claim in _PREDICATES:
            raise ValueError(f"claim: {claim!r} has a predicate already")
        _PREDICATES[claim] = Predicate(claim, items or (known.item,), printed, function)
        return function

    return register


def predicate_of(claim: Claim | str) -> Predicate | None:
    """The predicate of a claim, or None where nothing is measured yet."""
    name = claim if isinstance(claim, str) else claim.id
    chapters.modules(name.partition(".")[0], "claims*")  # where they register
    return _PREDICATES.get(name)


def all_claims() -> tuple[Claim, ...]:
    """All claims, paper by paper in the order of the files."""
    return tuple(claim for paper in chapters.names() for claim in _load(paper).claims)


def claims_of(paper: str, item: str | None = None) -> tuple[Claim, ...]:
    """The claims of a paper, or of one item of it ("fig5" includes those about "fig5_6").

    Raises
    ------
    ValueError : unknown paper, or an item that no claim is about; says which there are.
    """
    claims = _load(paper).claims
    if item is None:
        return claims
    found = tuple(claim for claim in claims if item == claim.item or item in _read_by(claim))
    if not found:
        items = dict.fromkeys(claim.item for claim in claims)
        raise ValueError(f"item: {paper} has claims on {', '.join(items)}; got {item!r}")
    return found


def claim_named(claim: str) -> Claim:
    """The claim with an id.

    Raises
    ------
    ValueError : no claim has it; names the claims of the same item.
    """
    found = _by_id().get(claim)
    if found is None:
        alike = [
            known for known in _by_id() if known.rpartition(".")[0] == claim.rpartition(".")[0]
        ]
        hint = ", ".join(alike) or "no claim of that item"
        raise ValueError(f"claim: no claim {claim!r}; there is {hint}")
    return found


def items_without_claim(paper: str) -> tuple[WithoutClaim, ...]:
    """The items of a paper that state nothing checkable, so that nobody searches for them."""
    return _load(paper).without_claim


def _read_by(claim: Claim) -> tuple[str, ...]:
    """The items of a claim about two figures ("fig5_6"), which is shown with both."""
    own = predicate_of(claim)
    return own.items if own is not None and claim.item not in own.items else ()


@cache
def _by_id() -> dict[str, Claim]:
    claims = all_claims()
    by_id = {claim.id: claim for claim in claims}
    if len(by_id) != len(claims):
        twice = {claim.id for claim in claims if [c.id for c in claims].count(claim.id) > 1}
        raise ValueError(f"claims: ids must be unique, got {', '.join(sorted(twice))} twice")
    return by_id


@cache
def _load(paper: str) -> _File:
    content = read_yaml(chapters.folder(paper) / "claims.yaml")
    for claim in content["claims"]:
        claim["paper"] = content["paper"]
    return _File.model_validate(content)
