"""Families of artificial languages with a known truth.

Meanings drawn from one world are said by languages that differ in words, order, endings, script and habits,
and that descend from common ancestors. Because the truth is known (the tree, the dictionary, the anchors,
the meaning of a sentence), claims about mechanism can be decided on a laptop.

>>> from xsim_lib.text.artificial import presets
>>> family = presets.european4(seed=0)
>>> family.text(1000).sentences["en"][0]        # doctest: +SKIP
"""

from xsim_lib.text.artificial import presets
from xsim_lib.text.artificial.family import Family
from xsim_lib.text.artificial.phonology import transliterate
from xsim_lib.text.artificial.spec import Borrowing, FamilySpec, LanguageSpec

__all__ = ["Borrowing", "Family", "FamilySpec", "LanguageSpec", "presets", "transliterate"]
