"""Real text in Latin letters, by uroman: the transliteration of Muller et al. (2021).

Publications that use it have to name it: Hermjakob, May & Knight (2018), "Out-of-the-box universal
romanization tool uroman", Proceedings of ACL, demonstrations. Artificial languages have their own
mapping (`artificial.Family.romanise`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

__all__ = ["romanise"]

# Languages for which uroman has rules of their own, and how it calls them.
_CODES = {
    **{"ar": "ara", "be": "bel", "bg": "bul", "el": "ell", "fa": "fas", "kk": "kaz", "ky": "kir"},
    **{"mk": "mkd", "os": "oss", "ps": "pus", "ru": "rus", "sr": "srp", "ug": "uig", "uk": "ukr"},
    "yi": "yid",
}


def romanise(text: str, language: str | None = None) -> str:
    """Write text in Latin letters.

    Parameters
    ----------
    text : str
        A word or a sentence, in any script.
    language : str, optional
        Code of the language, for letters that languages of one script read differently (Cyrillic и in
        Ukrainian and in Russian).

    Returns
    -------
    str : without white space at its ends; the text itself where nothing would be left of it, so that no
        word becomes empty.

    Notes
    -----
    Sounds are approximated, diacritics go, and words that differed may become one. A word may be
    written differently alone than inside a sentence where its script is read in context (Chinese,
    Japanese); trees and tags are romanised word by word.
    """
    if not isinstance(text, str):
        raise ValueError(f"text: expected a string, got {text!r}")
    return _uroman()(text, _CODES.get(language or "")).strip() or text


@cache
def _uroman() -> Callable[[str, str | None], str]:
    from uroman import Uroman

    # Reading its tables takes two seconds, every string afterwards less than a millisecond.
    tool = Uroman()
    return lambda text, code: tool.romanize_string(text, lcode=code)
