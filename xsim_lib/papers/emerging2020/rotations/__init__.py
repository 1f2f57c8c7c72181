"""Joining two models by one rotation: words, words in context, sentences (Wu, Conneau et al. 2020, 5.1).

>>> from xsim_lib.papers.emerging2020 import rotations
>>> one = rotations.contextual_vectors(english, sentences, words)  # doctest: +SKIP
>>> rotations.word_translation(one, two, train, test)  # doctest: +SKIP
"""

from xsim_lib.papers.emerging2020.rotations.aligners import align_words, aligned_words, split_words
from xsim_lib.papers.emerging2020.rotations.frozen import join
from xsim_lib.papers.emerging2020.rotations.maps import (
    Alignment,
    Normalisation,
    align,
    iterative_normalisation,
    retrieve,
)
from xsim_lib.papers.emerging2020.rotations.scoring import sentence_retrieval, word_translation
from xsim_lib.papers.emerging2020.rotations.vectors import (
    WordVectors,
    aligned_states,
    contextual_vectors,
    count_vectors,
    embedding_vectors,
)

__all__ = [
    "Alignment",
    "Normalisation",
    "WordVectors",
    "align",
    "align_words",
    "aligned_states",
    "aligned_words",
    "contextual_vectors",
    "count_vectors",
    "embedding_vectors",
    "iterative_normalisation",
    "join",
    "retrieve",
    "sentence_retrieval",
    "split_words",
    "word_translation",
]
