"""Real corpora, one function each, yielding the types of `xsim_lib.texts`.

With XSIM_DATA set they are read from that local mirror, else downloaded once from their public originals. Either way
the content of a file is compared with the checksum in ``originals/`` before it is parsed, and the objects are the same
(but for `text`, which says so).

>>> from xsim_lib import corpora
>>> corpora.xnli_extension(["en", "et"], n=100)  # doctest: +SKIP
"""

from .conllu import conllu_text, write_conllu
from .dictionaries import dictionary
from .errors import (
    ChecksumError,
    CorpusError,
    CorruptFileError,
    MirrorError,
    MissingLanguageError,
    NetworkError,
)
from .labelled import sib200_topics, xnli, xnli_extension_nli
from .monolingual import text
from .moses import detokenise
from .named_entities import entities
from .overview import Availability, available, describe
from .own import plain
from .parallel import PARALLEL, load_pair, ntrex, pud, sib200, tatoeba, xnli_extension
from .treebanks import treebank

__all__ = [
    "PARALLEL",
    "Availability",
    "ChecksumError",
    "CorpusError",
    "CorruptFileError",
    "MirrorError",
    "MissingLanguageError",
    "NetworkError",
    "available",
    "conllu_text",
    "describe",
    "detokenise",
    "dictionary",
    "entities",
    "load_pair",
    "ntrex",
    "plain",
    "pud",
    "sib200",
    "sib200_topics",
    "tatoeba",
    "text",
    "treebank",
    "write_conllu",
    "xnli",
    "xnli_extension",
    "xnli_extension_nli",
]
