"""Monolingual text for pre-training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from xsim_lib.text.corpora.errors import CorpusError, MissingLanguageError, NetworkError
from xsim_lib.text.corpora.fetch import lines, mirror_folder, opened
from xsim_lib.text.corpora.registry import Original, originals
from xsim_lib.text.types import Corpus, count_words

__all__ = ["monolingual_text"]

_WIKIPEDIA = ("wikimedia/wikipedia", "20231101")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])\s*")


def monolingual_text(
    languages: Sequence[str], domains: Sequence[str] | None = None, n_words: int | None = None
) -> Corpus:
    """Sentences of each language, not aligned.

    Parameters
    ----------
    languages : sequence of str
    domains : sequence of str, optional
        ``wiki`` Wikipedia, ``wiki2`` more of it, ``lit`` literary prose, ``cv`` Common Voice prompts, ``web``. Every
        language must have every domain asked for. None: all that the language has.
    n_words : int, optional
        Stop at this many words per language (`types.count_words`), taking of every domain the same part from its
        beginning. None: everything.

    Returns
    -------
    Corpus : domain after domain, sentences in the order of the files.

    Raises
    ------
    CorpusError : `n_words` is more than there is; MissingLanguageError, ... as the other corpora.

    Notes
    -----
    The mirror's files are samples of many sources. Without a mirror the text is Wikipedia (dump 20231101, streamed by
    ``datasets``), which is **other text**: the one corpus that is not the same either way. There `n_words` is
    required, and the only domain is ``wiki``.
    """
    if isinstance(languages, str) or not languages:
        raise CorpusError(f"languages: expected a list such as ['en', 'fr'], got {languages!r}")
    if domains is not None and (isinstance(domains, str) or not domains):
        raise CorpusError(f"domains: expected a list such as ['wiki', 'lit'], got {domains!r}")
    for name, values in (("languages", languages), ("domains", domains or ())):
        if len(set(values)) != len(values):
            raise CorpusError(f"{name}: one stands twice in {list(values)}")
    if n_words is not None and (
        isinstance(n_words, bool) or not isinstance(n_words, int) or n_words < 1
    ):
        raise CorpusError(f"n_words: expected a positive integer or None, got {n_words!r}")
    if mirror_folder() is None:
        return Corpus("text", {k: _wikipedia(k, domains, n_words) for k in languages})
    return Corpus("text", {k: _mirrored(k, domains, n_words) for k in languages})


def _mirrored(language: str, domains: Sequence[str] | None, n_words: int | None) -> list[str]:
    files = {row.part: row for row in originals("text") if row.language == language}
    if not files:
        known = sorted({row.language for row in originals("text")})
        raise MissingLanguageError(f"language: text has {' '.join(known)}; got {language!r}")
    for domain in domains or ():
        if domain not in files:
            raise MissingLanguageError(
                f"text: {language} has {' '.join(sorted(files))}; got domain {domain!r}"
            )
    parts = [_lines(files[domain]) for domain in domains or sorted(files)]
    if n_words is None:
        return [line for part in parts for line in part]
    sizes = [sum(map(count_words, part)) for part in parts]
    if n_words > sum(sizes):
        raise CorpusError(
            f"n_words: {language} has {sum(sizes)} words in these domains, got {n_words}"
        )
    taken: list[str] = []
    for part, size in zip(parts, sizes, strict=True):
        taken += _first_words(part, round(n_words * size / sum(sizes)))
    return taken


def _lines(file: Original) -> list[str]:
    with opened(file) as content:
        return lines(content, file.mirror)


def _first_words(sentences: Iterator[str] | list[str], n_words: int) -> list[str]:
    """Take sentences until the next one would exceed `n_words`; the first is always taken."""
    taken: list[str] = []
    left = n_words
    for sentence in sentences:
        left -= count_words(sentence)
        if left < 0 and taken:
            break
        taken.append(sentence)
    return taken


def _wikipedia(language: str, domains: Sequence[str] | None, n_words: int | None) -> list[str]:
    if domains is not None and list(domains) != ["wiki"]:
        raise CorpusError(
            f"domains: without a mirror (XSIM_DATA) there is only wiki, got {list(domains)}"
        )
    if n_words is None:
        raise CorpusError(
            "n_words: without a mirror (XSIM_DATA) say how many words of Wikipedia, got None"
        )
    try:
        import datasets
    except ImportError as error:
        raise CorpusError(
            "text: Wikipedia is read with the package datasets, which is not installed: pip install datasets, "
            "or set XSIM_DATA to a mirror"
        ) from error
    name, dump = _WIKIPEDIA
    try:
        articles = datasets.load_dataset(name, f"{dump}.{language}", split="train", streaming=True)
        sentences = _article_sentences(articles)
        taken = _first_words(sentences, n_words)
        more = next(sentences, None)
    except ValueError as error:  # datasets: no such configuration
        raise MissingLanguageError(f"text: {name} has no {dump}.{language}: {error}") from error
    except Exception as error:  # the hub's client raises errors of several libraries
        raise NetworkError(
            f"text: could not read {name} {dump}.{language} from huggingface.co: {type(error).__name__}: {error}. "
            "Without network set XSIM_DATA to a local mirror"
        ) from error
    words = sum(map(count_words, taken))
    if more is None and words < n_words:
        raise CorpusError(
            f"n_words: the {language} Wikipedia has about {words} words, got {n_words}"
        )
    return taken


def _article_sentences(articles) -> Iterator[str]:
    for article in articles:
        for paragraph in article["text"].split("\n"):
            for sentence in _SENTENCE_END.split(paragraph):
                if sentence.strip():
                    yield sentence.strip()
