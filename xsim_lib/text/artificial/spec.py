"""What a family of artificial languages is made of: validated, frozen settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xsim_lib.text.artificial.inventory import ADJECTIVES, ADVERBS, VERBS
from xsim_lib.text.artificial.tree import leaves, parse_newick

Share = Annotated[float, Field(ge=0, le=1)]
Script = Literal[
    "latin", "cyrillic", "greek", "georgian", "armenian", "cherokee", "ethiopic", "logographic"
]


class LanguageSpec(BaseModel):
    """Grammar and habits of one language.

    Parameters
    ----------
    script
        How words are written; logographic: one Chinese character per root, one per affix.
    order
        Of subject, verb and object; `order_noise` is the share of sentences that depart from it.
    adjective, adposition
        Before or after the noun.
    morphology
        fusional: one ending for number, person and tense; agglutinative: one ending each;
        analytic: separate words.
    articles
        word, suffix or none.
    cases
        Object and oblique relations are endings (agglutinative) or endings and adpositions (fusional).
    agreement
        The verb shows person and number of its subject; adjectives show number.
    pro_drop
        Probability that a subject pronoun is left out.
    drop
        Probability that a modifier (adjective, adverb, numeral; half of it for an oblique phrase) of
        the meaning is left unsaid.
    synonyms, polysemy
        Share of concepts with two or three words; share of concepts that borrow the word of another
        concept of their class (granularity).
    vagueness
        Probability that a noun is replaced by the name of its class.
    particles, particle_rate
        Number of discourse particles, which mean nothing, and how many a sentence has on average.
    formulas, formula_rate
        Number of fixed expressions of two to four words ("as they say"), which mean nothing either, and
        the probability that a sentence has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    script: Script = "latin"
    order: Literal["SVO", "SOV", "VSO"] = "SVO"
    order_noise: Share = 0.15
    adjective: Literal["before", "after"] = "before"
    adposition: Literal["before", "after"] = "before"
    morphology: Literal["fusional", "agglutinative", "analytic"] = "fusional"
    articles: Literal["word", "suffix", "none"] = "none"
    cases: bool = False
    agreement: bool = False
    pro_drop: Share = 0.0
    drop: Share = 0.15
    synonyms: Share = 0.25
    polysemy: Share = 0.1
    vagueness: Share = 0.03
    particles: int = Field(default=8, ge=1, le=16)
    particle_rate: float = Field(default=1.0, ge=0, le=3)
    formulas: int = Field(default=4, ge=1, le=8)
    formula_rate: Share = 0.25


class Borrowing(BaseModel):
    """`recipient` takes over the words of `donor` for a share `rate` of the concepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    donor: str
    recipient: str
    rate: Share


class FamilySpec(BaseModel):
    """A set of languages, how they are related, and what they talk about.

    Parameters
    ----------
    languages
        Name -> `LanguageSpec`.
    trees
        One Newick string per proto-language, e.g. ``("((en:.3,fr:.3):.3,bg:.6);", "et:1;")``. A
        branch of length b changes about ``b * sound_changes`` sounds and replaces a share
        ``1 - exp(-b * replacement)`` of the words.
    anchors
        Share of noun-slot tokens that are the same string in every language. Names become anchors
        first, then common nouns; with any anchors at all, digits and punctuation are shared too;
        with 0, even these are each language's own.
    name_share
        Share of noun-slot tokens that are names.
    cognates
        False: every language has roots of its own, whatever the tree says (a control: grammars stay).
    sound_changes, replacement
        Changes, and rate of lexical replacement, per unit of branch length.
    n_topics, n_nouns, n_verbs, n_adjectives, n_adverbs, n_names
        Size of the world; nouns are common nouns, in nine classes.
    zipf, topic_strength
        Exponent of word frequencies; how many times likelier a word is in a topic of its own.
    domain_contrast
        Exponent of topic frequencies, whose order the two domains reverse; 0: the same topics in both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0)
    languages: dict[str, LanguageSpec] = Field(min_length=1, max_length=16)
    trees: tuple[str, ...]
    borrowings: tuple[Borrowing, ...] = ()
    anchors: Share = 0.2
    name_share: float = Field(default=0.2, ge=0, le=0.4)
    cognates: bool = True
    sound_changes: float = Field(default=14.0, ge=0, le=40)
    replacement: float = Field(default=0.5, ge=0, le=10)
    n_topics: int = Field(default=10, ge=2, le=40)
    n_nouns: int = Field(default=72, ge=18, le=90)
    n_verbs: int = Field(default=36, ge=8, le=len(VERBS))
    n_adjectives: int = Field(default=24, ge=4, le=len(ADJECTIVES))
    n_adverbs: int = Field(default=8, ge=1, le=len(ADVERBS))
    n_names: int = Field(default=48, ge=3, le=400)
    zipf: float = Field(default=1.0, ge=0, le=3)
    domain_contrast: float = Field(default=0.5, ge=0, le=3)
    topic_strength: float = Field(default=20.0, ge=1, le=1000)

    @model_validator(mode="after")
    def _tree_and_languages_agree(self):
        named = [leaf for tree in self.trees for leaf in leaves(parse_newick(tree))]
        if sorted(named) != sorted(self.languages):
            raise ValueError(
                f"trees: expected each of the languages {sorted(self.languages)} exactly once, "
                f"got {sorted(named)}"
            )
        for borrowing in self.borrowings:
            for language in (borrowing.donor, borrowing.recipient):
                if language not in self.languages:
                    raise ValueError(
                        f"borrowings: unknown language {language!r}, expected one of "
                        f"{list(self.languages)}"
                    )
        return self
