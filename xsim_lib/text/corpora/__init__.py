"""Real corpora, one function each, yielding the types of `xsim_lib.text.types`.

With XSIM_DATA set they are read from that local mirror, else downloaded once from their public originals. Either way
the content of a file is compared with the checksum in ``originals/`` before it is parsed (or, of the public originals that
have none there, with the size in ``sizes.csv``), and the objects are the same (but for `text`, which says so).

>>> from xsim_lib.text import corpora
>>> corpora.xnli_extension(["en", "et"], n=100)  # doctest: +SKIP
"""

from xsim_lib.text.corpora.conllu import conllu_text, write_conllu
from xsim_lib.text.corpora.dictionaries import dictionary
from xsim_lib.text.corpora.errors import (
    ChecksumError,
    CorpusError,
    CorruptFileError,
    MirrorError,
    MissingLanguageError,
    NetworkError,
)
from xsim_lib.text.corpora.labelled import sib200_topics, xnli, xnli_extension_nli
from xsim_lib.text.corpora.monolingual import monolingual_text
from xsim_lib.text.corpora.moses import detokenise
from xsim_lib.text.corpora.named_entities import entities
from xsim_lib.text.corpora.overview import Availability, available, describe
from xsim_lib.text.corpora.own import plain
from xsim_lib.text.corpora.parallel import (
    PARALLEL,
    load_pair,
    ntrex,
    pud,
    sib200,
    tatoeba,
    xnli_extension,
)
from xsim_lib.text.corpora.treebanks import treebank

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
    "monolingual_text",
    "ntrex",
    "plain",
    "pud",
    "sib200",
    "sib200_topics",
    "tatoeba",
    "treebank",
    "write_conllu",
    "xnli",
    "xnli_extension",
    "xnli_extension_nli",
]
