"""Textual inference: pairs of meanings that entail, contradict or leave each other open.

The hypothesis is drawn first, from one distribution whatever the label, and the premise is built around it.
So a hypothesis alone says nothing about its label, unlike in the benchmarks people wrote. The premise may:
polarity differs more often in contradictions.
"""

from __future__ import annotations

import numpy as np

from xsim_lib.text.artificial.meaning import Meanings, World

LABELS = ("entailment", "neutral", "contradiction")
ROLES = ("subject", "object", "oblique")


def sample_pairs(
    world: World, n: int, domain: str, rng: np.random.Generator
) -> tuple[Meanings, Meanings, np.ndarray]:
    """Draw premises, hypotheses and labels (index of `LABELS`, balanced within every three).

    entailment
        The premise says more (adjectives, adverb, an oblique phrase, a more specific noun). Under negation
        it is the hypothesis that says more: "did not eat" entails "did not eat quickly".
    contradiction
        Polarity flipped, the opposite verb, or the opposite adjective.
    neutral
        Nouns or the verb are others, or the hypothesis has a modifier that the premise lacks.
    """
    chance = _Chance(rng, n)
    labels = np.concatenate([rng.permutation(3) for _ in range(-(-n // 3))])[:n]
    full = _nominal_subjects(world, n, domain, rng)
    hypothesis = _shorten(full, chance)
    negated = chance(0.2).astype(np.int16)
    hypothesis = hypothesis.but(negated=negated, question=np.zeros(n, np.int16))
    core = hypothesis  # with the specific nouns; the hypothesis may name only their class
    # At most one noun is generalised, so that another is left to tell neutral pairs apart.
    which = rng.integers(0, 8, n)
    general = {
        r: (which == k) & _common(world, getattr(core, r)) & (negated == 0)
        for k, r in enumerate(ROLES)
    }
    hypothesis = hypothesis.but(
        **{
            r: np.where(g, world.hypernym[getattr(core, r)], getattr(core, r))
            for r, g in general.items()
        }
    )
    entailed, neutral, contradicted = (labels == k for k in range(3))

    # ---- contradiction -----------------------------------------------------------------------------
    positive = negated == 0
    other_verb = world.verb_antonym[core.verb]
    by_verb = contradicted & positive & (other_verb >= 0) & chance(0.35)
    opposite = world.adjective_antonym[core.subject_adjective]
    by_adjective = contradicted & positive & ~by_verb & (core.subject_adjective >= 0)
    by_adjective &= (opposite >= 0) & (core.subject_definite == 1) & chance(0.5)
    flipped = contradicted & ~by_verb & ~by_adjective
    premise = core.but(
        verb=np.where(by_verb, other_verb, core.verb).astype(np.int16),
        subject_adjective=np.where(by_adjective, opposite, core.subject_adjective).astype(np.int16),
        negated=np.where(flipped, 1 - negated, negated).astype(np.int16),
    )
    # "Did not eat food" denies "ate food"; "did not eat bread" would not.
    denied = flipped & positive
    premise = premise.but(
        **{r: np.where(denied, getattr(hypothesis, r), getattr(core, r)) for r in ROLES}
    )

    # ---- neutral -----------------------------------------------------------------------------------
    fresh = _nominal_subjects(world, n, domain, rng)
    premise = _elsewhere(world, premise, fresh, neutral, general, chance)
    has_extra = (core.oblique >= 0) & (core.object >= 0)
    lacking = neutral & positive & has_extra & chance(0.35)
    premise = _restore(premise, core, lacking)
    premise = _without_oblique(premise, lacking)

    # ---- what the premise adds -----------------------------------------------------------------------
    open_ended = premise.negated == 0
    add_oblique = open_ended & (premise.oblique < 0) & ~lacking & chance(0.6)
    extra = {f: getattr(full, f) for f in ("oblique", "relation", *_modifiers("oblique"))}
    premise = premise.but(
        adverb=np.where(open_ended & chance(0.5), fresh.adverb, premise.adverb),
        **{f: np.where(add_oblique, extra[f], getattr(premise, f)) for f in extra},
    )
    for role in ROLES:
        # An adjective on a definite noun adds no condition even under negation.
        definite = getattr(premise, f"{role}_definite") == 1
        free = _common(world, getattr(premise, role)) & (getattr(premise, f"{role}_adjective") < 0)
        add = free & (open_ended | definite) & chance(0.5)
        drawn = world.adjective_for(np.maximum(getattr(premise, role), 0), rng)
        column = np.where(add, drawn, getattr(premise, f"{role}_adjective"))
        premise = premise.but(**{f"{role}_adjective": column.astype(np.int16)})
    # Under negation an entailed hypothesis may say more than the premise.
    premise = _without_oblique(premise, entailed & ~positive & (core.object >= 0) & chance(0.5))
    return premise, hypothesis, labels


class _Chance:
    def __init__(self, rng: np.random.Generator, n: int):
        self.rng, self.n = rng, n

    def __call__(self, probability: float) -> np.ndarray:
        return self.rng.random(self.n) < probability


def _common(world: World, noun: np.ndarray) -> np.ndarray:
    return (noun >= 0) & ~world.is_name[noun]


def _modifiers(role: str) -> tuple[str, ...]:
    return tuple(f"{role}_{m}" for m in ("number", "definite", "adjective", "cardinal"))


def _nominal_subjects(world: World, n: int, domain: str, rng: np.random.Generator) -> Meanings:
    """Meanings with a noun as subject, at least one more noun, and no noun that names a class.

    Class names come in by generalising, so that changing a noun always changes what is true.
    """
    names_class = ~world.is_name & (world.hypernym == np.arange(len(world.nominals)))
    kept, size = None, 0
    while size < n:
        m = world.sample(2 * n + 64, domain, rng)
        m = m.take((m.subject >= 0) & ((m.object >= 0) | (m.oblique >= 0)))
        for role in ROLES:
            noun = getattr(m, role)
            m = m.take((noun < 0) | ~names_class[noun])
        kept = m if kept is None else kept.join(m)
        size = len(kept)
    return kept.take(slice(0, n))


def _shorten(m: Meanings, chance: _Chance) -> Meanings:
    """Keep the clause, and modifiers now and then."""
    none = np.full(len(m), -1, np.int16)
    columns = {"adverb": none}
    for role in ROLES:
        columns[f"{role}_cardinal"] = none
        keep = chance(0.4)
        columns[f"{role}_adjective"] = np.where(keep, getattr(m, f"{role}_adjective"), -1)
    drop = (m.object >= 0) & chance(0.6)
    return _without_oblique(m.but(**columns), drop)


def _without_oblique(m: Meanings, where: np.ndarray) -> Meanings:
    return m.but(oblique=np.where(where, -1, m.oblique), relation=np.where(where, -1, m.relation))


def _elsewhere(
    world: World,
    m: Meanings,
    fresh: Meanings,
    where: np.ndarray,
    general: dict[str, np.ndarray],
    chance: _Chance,
) -> Meanings:
    """Other nouns of the same class, and now and then another verb, in the rows of `where`.

    At least one noun changes that the hypothesis names itself: "a dog sleeps" entails "an animal
    sleeps" just as "a wolf sleeps" does.
    """
    present = {role: where & (getattr(m, role) >= 0) for role in ROLES}
    picked = {role: present[role] & chance(0.6) for role in ROLES}
    effective = np.any([picked[role] & ~general[role] for role in ROLES], axis=0)
    for role in ("object", "oblique", "subject"):
        force = present[role] & ~general[role] & ~effective
        picked[role], effective = picked[role] | force, effective | force
    columns = {}
    for role, pick in picked.items():
        noun = getattr(m, role)
        drawn = world.another(np.maximum(noun, 0), chance.rng)
        columns[role] = np.where(pick, drawn, noun).astype(np.int16)
        adjective = getattr(m, f"{role}_adjective")
        columns[f"{role}_adjective"] = np.where(pick, -1, adjective)
    same_frame = world.transitive[fresh.verb] == world.transitive[m.verb]
    pick = where & same_frame & (fresh.verb != world.verb_antonym[m.verb]) & chance(0.5)
    return m.but(verb=np.where(pick, fresh.verb, m.verb), **columns)


def _restore(m: Meanings, original: Meanings, where: np.ndarray) -> Meanings:
    names = ("verb", *ROLES, *(f for r in ROLES for f in _modifiers(r)))
    return m.but(**{f: np.where(where, getattr(original, f), getattr(m, f)) for f in names})
