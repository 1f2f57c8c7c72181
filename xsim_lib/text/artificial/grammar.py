"""Realisation: one language says given meanings.

A sentence is a row of slots (particle, adverb, subject phrase, verb phrase, ...). Every slot is filled
for all sentences at once by looking up a table of form numbers, then the language's word order permutes
the slots and empty ones vanish. Everything a language decides freely (which synonym, which modifier to
leave out, particles, order) comes from the generator given to `Language.realise`, never from the
meaning, so two languages that say the same thing decide independently.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim_lib.text.artificial.inventory import CARDINALS, CASES, PRONOUNS, RELATIONS, TENSES
from xsim_lib.text.artificial.lexicon import Lexicon, Word
from xsim_lib.text.artificial.meaning import Meanings, World, stream

PHRASES = {"S": "subject", "O": "object", "X": "oblique"}
PHRASE_SLOTS = ("adposition", "determiner", "cardinal", "adjective", "noun", "flat", "plural")
VERB_SLOTS = ("negation", "auxiliary", "verb")
PARTICLE_SLOTS = ("P1", "P2", "P3")
FORMULA_SLOTS = ("F1", "F2", "F3", "F4")
SLOTS = (
    *("P1", "comma", "adverb", "P2", "P3", "Q", "stop", *FORMULA_SLOTS),
    *(f"V.{s}" for s in VERB_SLOTS),
    *(f"{p}.{s}" for p in PHRASES for s in PHRASE_SLOTS),
)
COLUMN = {slot: i for i, slot in enumerate(SLOTS)}


@dataclass(frozen=True)
class Realised:
    """What a language made of some meanings.

    Attributes
    ----------
    forms : (n, slots) form numbers in the order of `SLOTS`, 0 where a slot is empty
    order : (n, slots) the slots in the order they are said
    lexemes : slot -> (n,) number of the lexeme used there (content words)
    nominals : phrase letter -> (n,) the noun that was said (it may be the hypernym of the one meant)
    meanings : the meanings, unchanged
    """

    forms: np.ndarray
    order: np.ndarray
    lexemes: dict[str, np.ndarray]
    nominals: dict[str, np.ndarray]
    meanings: Meanings


class Language:
    """Grammar and form tables of one language."""

    def __init__(self, lexicon: Lexicon, world: World):
        self.name, self.spec, self.lexicon, self.world = lexicon.name, lexicon.spec, lexicon, world
        self.written, self.roman = [""], [""]
        self._interned: dict[tuple[str, str], int] = {("", ""): 0}
        self._rng = stream(world.spec.seed, "grammar", self.name)
        self._lexemes()
        self._tables()
        self._orders()

    # ---- forms -----------------------------------------------------------------------------------

    def _intern(self, roman: str, written: str) -> int:
        number = self._interned.setdefault((roman, written), len(self.written))
        if number == len(self.written):
            self.roman.append(roman)
            self.written.append(written)
        return number

    def _form(self, word: Word, *affixes: str) -> int:
        if word.anchor or not affixes:
            return self._intern(word.roman, word.written)
        tail = [self.lexicon.words[f"affix:{a}"][0] for a in affixes]
        return self._intern(
            word.roman + "".join(a.roman for a in tail),
            word.written + "".join(a.written for a in tail),
        )

    def _function(self, key: str) -> int:
        return self._form(self.lexicon.words[f"function:{key}"][0])

    def _lexemes(self) -> None:
        """Number the words; per concept, their numbers and cumulative weights (3 at most)."""
        world, lexicon = self.world, self.lexicon
        self.lexeme: list[Word] = []
        numbers: dict[Word, int] = {}
        groups = {
            "noun": [
                f"{'name' if n else 'noun'}:{c}"
                for c, n in zip(world.nominals, world.is_name, strict=True)
            ],
            "verb": [f"verb:{v.label}" for v in world.verbs],
            "adjective": [f"adjective:{a}" for a, _ in world.adjectives],
            "adverb": [f"adverb:{a}" for a in world.adverbs],
        }
        self.choices: dict[str, np.ndarray] = {}
        self.cumulative: dict[str, np.ndarray] = {}
        for kind, keys in groups.items():
            ids, shares = np.zeros((len(keys), 3), np.int32), np.ones((len(keys), 3))
            for i, key in enumerate(keys):
                for j, word in enumerate(lexicon.words[key]):
                    if word not in numbers:
                        numbers[word] = len(self.lexeme)
                        self.lexeme.append(word)
                    ids[i, j] = numbers[word]
                shares[i, : len(lexicon.weights[key])] = np.cumsum(lexicon.weights[key])
            self.choices[kind], self.cumulative[kind] = ids, shares

    def _tables(self) -> None:
        spec, forms = self.spec, len(self.lexeme)
        suffixed = spec.articles == "suffix"
        n_cases = 2 + len(RELATIONS)
        self.noun = np.zeros((forms, 2, n_cases, 2), np.int32)
        self.adjective = np.zeros((forms, 2), np.int32)
        self.verb = np.zeros((forms, 3, 3, 2, 2), np.int32)  # tense, person, number, negated
        self.plain = np.zeros(forms, np.int32)
        for i, word in enumerate(self.lexeme):
            self.plain[i] = self._form(word)
        kinds = {kind: np.unique(ids) for kind, ids in self.choices.items()}
        for i in kinds["noun"]:
            for number in range(2):
                for case in range(n_cases):
                    for definite in range(2):
                        tail = self.noun_affixes(int(i), number, case)
                        tail += ["Def"] * (definite and suffixed)
                        self.noun[i, number, case, definite] = self._form(self.lexeme[i], *tail)
        for i in kinds["adjective"]:
            plural = ["Plur"] * (spec.agreement and spec.morphology == "fusional")
            self.adjective[i] = self.plain[i], self._form(self.lexeme[i], *plural)
        for i in kinds["verb"]:
            for index in np.ndindex(3, 3, 2, 2):
                self.verb[i][index] = self._form(self.lexeme[i], *self.verb_affixes(*index))
        surname = [f"surname:{c}" for c in self.world.nominals]
        words = self.lexicon.words
        self.surname = np.array(
            [self._form(words[key][0]) if key in words else 0 for key in surname], np.int32
        )
        self.relation = np.array([self._function(r) for r in RELATIONS], np.int32)
        self.pronoun = np.array([self._function(p) for p in PRONOUNS], np.int32).reshape(2, 3)
        self.tense_word = np.array([self._function(t) for t in TENSES], np.int32)
        names = ("the", "a", "not", "plural", "object", "question")
        self.function = {f: self._function(f) for f in names}
        digits = [self.lexicon.number(c) for c in CARDINALS]
        self.cardinal = np.array([self._intern(d, d) for d in digits], np.int32)
        marks = [self.lexicon.mark(k) for k in range(3)]
        self.stop, self.question, self.comma = (self._intern(mark, mark) for mark in marks)
        particles = [self.lexicon.words[f"particle:{i}"][0] for i in range(spec.particles)]
        self.particles = np.array([self._form(p) for p in particles], np.int32)
        weights = 1.0 / np.arange(1, len(particles) + 1) ** 0.7
        # Each particle position has its own favourites, as sentence-initial and final ones do.
        self.particle_cumulative = np.array(
            [
                np.cumsum(w := weights[self._rng.permutation(len(weights))]) / w.sum()
                for _ in range(3)
            ]
        )
        words = [self._form(self.lexicon.words[f"formula:{i}"][0]) for i in range(20)]
        self.formulas = np.zeros((spec.formulas, len(FORMULA_SLOTS)), np.int32)
        for row in self.formulas:
            length = self._rng.integers(2, 5)
            row[:length] = self._rng.choice(words, length, replace=False)

    def noun_affixes(self, lexeme: int, number: int, case: int) -> list[str]:
        """Endings of a noun; case 0 is nominative, 1 accusative, 2 + r the one of relation r."""
        spec = self.spec
        if spec.morphology == "analytic":
            return []
        if spec.morphology == "agglutinative":
            name = "" if case == 0 else "Acc" if case == 1 else CASES[case - 2]
            return ["Plur"] * number + [name] * bool(spec.cases and name)
        if not spec.cases:
            return ["Plur"] * number
        return [f"fusion{lexeme % 2}{('Nom', 'Acc', 'Obl')[min(case, 2)]}{'SP'[number]}"]

    def verb_affixes(self, tense: int, person: int, number: int, negated: int) -> list[str]:
        """Endings of a verb."""
        spec = self.spec
        if spec.morphology == "analytic":
            return []
        if spec.morphology == "agglutinative":
            tail = ["Neg"] * negated + [TENSES[tense]] * (tense != 1)
            return tail + [f"{person + 1}{'SP'[number]}"] * spec.agreement
        if spec.agreement:
            return [f"fusion{TENSES[tense]}{person + 1}{'SP'[number]}"]
        return [TENSES[tense]] * (tense == 0)  # the future has an auxiliary

    # ---- order -----------------------------------------------------------------------------------

    def _orders(self) -> None:
        before = self.spec.adjective == "before"
        core = [
            "determiner",
            "cardinal",
            *(["adjective", "noun", "flat"] if before else ["noun", "flat", "adjective"]),
        ]
        core.append("plural")
        phrase = (
            ["adposition", *core] if self.spec.adposition == "before" else [*core, "adposition"]
        )
        verb = ["auxiliary", "negation", "verb"]
        if self.spec.order == "SOV":
            verb = ["negation", "verb", "auxiliary"]
        base = {"SVO": "SVOX", "SOV": "SXOV", "VSO": "VSOX"}[self.spec.order]
        usual = ["P1", "comma", "adverb", *base, "P3", "Q", "stop"]
        usual.insert(4 if self.spec.order != "VSO" else 5, "P2")
        end = usual.index(("comma", "Q")[self._rng.integers(2)])
        usual[end:end] = FORMULA_SLOTS
        self.formula_first = end < usual.index("comma")
        late = [s for s in usual if s != "adverb"]
        late.insert(late.index("P3"), "adverb")
        fronted = [s for s in late if s != "X"]
        fronted.insert(fronted.index("comma") + 1, "X")
        inverted = [s for s in usual if s != "O"]  # the object before what it usually follows
        inverted.insert(inverted.index(base[base.index("O") - 1]), "O")
        if self._rng.random() < 0.5:
            usual, late = late, usual
        templates = []
        for units in (usual, late, fronted, inverted):
            slots = []
            for unit in units:
                if unit in PHRASES:
                    slots += [f"{unit}.{s}" for s in phrase]
                elif unit == "V":
                    slots += [f"V.{s}" for s in verb]
                else:
                    slots.append(unit)
            templates.append([COLUMN[s] for s in slots])
        self.templates = np.array(templates)
        noise = self.spec.order_noise
        self.template_cumulative = np.cumsum([1 - noise, 0.5 * noise, 0.35 * noise, 0.15 * noise])

    # ---- realisation -----------------------------------------------------------------------------

    def _choose(self, kind: str, concept: np.ndarray, rng, usual: bool) -> np.ndarray:
        u = rng.random(len(concept)) * (0.0 if usual else 1.0)
        k = (u[:, None] > self.cumulative[kind][concept, :2]).sum(1)
        return self.choices[kind][concept, k]

    def realise(self, m: Meanings, rng: np.random.Generator, *, faithful: bool = False) -> Realised:
        """Say every meaning once; `faithful` leaves nothing out and takes the usual words."""
        spec, n = self.spec, len(m)
        forms = np.zeros((n, len(SLOTS)), np.int32)
        lexemes, nominals = {}, {}

        def put(slot: str, values, where=True) -> None:
            forms[:, COLUMN[slot]] = np.where(where, values, 0)

        def said(share: float) -> np.ndarray:
            return rng.random(n) >= (0.0 if faithful else share)

        agglutinative, analytic = spec.morphology == "agglutinative", spec.morphology == "analytic"
        for letter, role in PHRASES.items():
            noun = getattr(m, role)
            number, definite = getattr(m, f"{role}_number"), getattr(m, f"{role}_definite")
            present = noun >= 0
            if letter == "X":
                present = present & said(spec.drop / 2)
            common = present & ~self.world.is_name[noun]
            vague = common & ~said(spec.vagueness)
            noun = np.where(vague, self.world.hypernym[noun], noun)
            nominals[letter] = np.where(present, noun, -1)
            lexeme = lexemes[f"{letter}.noun"] = self._choose(
                "noun", np.maximum(noun, 0), rng, faithful
            )
            case = {"S": 0, "O": 1, "X": 2 + np.maximum(m.relation, 0)}[letter]
            put(f"{letter}.noun", self.noun[lexeme, number, case, definite], present)
            put(f"{letter}.flat", self.surname[noun], present)
            adjective = getattr(m, f"{role}_adjective")
            lexeme = self._choose("adjective", np.maximum(adjective, 0), rng, faithful)
            lexemes[f"{letter}.adjective"] = lexeme
            shown = present & (adjective >= 0) & ~vague & said(spec.drop)
            put(f"{letter}.adjective", self.adjective[lexeme, number], shown)
            cardinal = getattr(m, f"{role}_cardinal")
            counted = present & (cardinal >= 0) & said(spec.drop)
            put(f"{letter}.cardinal", self.cardinal[np.maximum(cardinal, 0)], counted)
            if spec.articles == "word":
                article = np.where(definite == 1, self.function["the"], self.function["a"])
                put(f"{letter}.determiner", article, common & (definite | ~counted & (number == 0)))
            if analytic:
                put(f"{letter}.plural", self.function["plural"], common & (number == 1) & ~counted)
            if letter == "S":
                pronoun = ~present & said(spec.pro_drop)
                put(
                    "S.noun",
                    np.where(
                        pronoun, self.pronoun[number, m.person - 1], forms[:, COLUMN["S.noun"]]
                    ),
                )
            elif letter == "O" and analytic and spec.order == "SOV":
                put("O.adposition", self.function["object"], present)
            elif letter == "X" and not (agglutinative and spec.cases):
                put("X.adposition", self.relation[np.maximum(m.relation, 0)], present)

        lexeme = lexemes["V.verb"] = self._choose("verb", m.verb, rng, faithful)
        put("V.verb", self.verb[lexeme, m.tense, m.person - 1, m.subject_number, m.negated])
        if not agglutinative:
            put("V.negation", self.function["not"], m.negated == 1)
        if analytic:
            put("V.auxiliary", self.tense_word[m.tense], (m.tense != 1) & said(spec.drop))
        elif not agglutinative and not spec.agreement:
            put("V.auxiliary", self.tense_word[2], m.tense == 2)
        lexeme = lexemes["adverb"] = self._choose("adverb", np.maximum(m.adverb, 0), rng, faithful)
        put("adverb", self.plain[lexeme], (m.adverb >= 0) & said(spec.drop))

        for i, slot in enumerate(PARTICLE_SLOTS):
            drawn = np.searchsorted(self.particle_cumulative[i], rng.random(n))
            drawn = self.particles[np.minimum(drawn, len(self.particles) - 1)]
            put(slot, drawn, rng.random(n) < spec.particle_rate / 3)
        formula = self.formulas[rng.integers(0, len(self.formulas), n)]
        formula[rng.random(n) >= spec.formula_rate] = 0
        for i, slot in enumerate(FORMULA_SLOTS):
            put(slot, formula[:, i])
        opened = forms[:, COLUMN["P1"]] > 0
        if self.formula_first:
            opened = opened | (formula[:, 0] > 0)
        put("comma", self.comma, opened & (rng.random(n) < 0.6))
        put("Q", self.function["question"], (m.question == 1) & analytic)
        put("stop", np.where(m.question == 1, self.question, self.stop))
        u = rng.random(n)
        template = np.searchsorted(self.template_cumulative[:-1], u, side="right")
        return Realised(forms, self.templates[template], lexemes, nominals, m)

    def sentences(self, realised: Realised) -> list[str]:
        """The sentences as text: forms in order, separated by single spaces."""
        ordered = np.take_along_axis(realised.forms, realised.order, 1)
        said = ordered > 0
        words = [self.written[i] for i in ordered[said].tolist()]
        ends = np.cumsum(said.sum(1)).tolist()
        return [" ".join(words[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
