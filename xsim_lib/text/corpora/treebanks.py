"""Universal Dependencies treebanks."""

from __future__ import annotations

import os
from pathlib import Path

from xsim_lib.text.corpora.conllu import parse_conllu
from xsim_lib.text.corpora.errors import CorpusError, MissingLanguageError
from xsim_lib.text.corpora.fetch import opened
from xsim_lib.text.corpora.registry import Original, find, languages, originals
from xsim_lib.text.types import Treebank

__all__ = ["treebank"]

#: What the registry has in the labels of version 1 (treebank -> splits).
VERSION_1 = {
    "Arabic-PADT": ("dev", "test"),
    "Chinese-GSD": ("train",),
    "Hindi-HDTB": ("dev", "test"),
    "Japanese-GSD": ("train",),
}


def treebank(
    name_or_path: str | os.PathLike, split: str = "test", *, version: int | None = None
) -> Treebank:
    """Read a treebank.

    Parameters
    ----------
    name_or_path : str or path
        ``"English-EWT"`` (as in UD_English-EWT), ``"PUD-fr"`` for a parallel treebank, a language code of which
        there is one treebank only (``"fo"``), or the path of your own ``.conllu`` file.
    split : {"train", "dev", "test"}
        Ignored for PUD, which is a test set, and for a path.
    version : {1, 2}, optional
        Version of the labels. By default that of the registry's file, and 2 for your own: there, labels of version 1
        are an error, because scores against them would be wrong without notice.

    Returns
    -------
    Treebank : syntactic words only; multiword-token lines and empty nodes are dropped. The labels that version 2 only
        renamed have their new names (CONJ is CCONJ, dobj is obj). It also split nmod into nmod and obl, which no table
        can undo: labelled scores on a treebank of version 1 are too low.

    Raises
    ------
    CorruptFileError : names file and line of what is malformed: columns, encoding, numbers, labels, or a tree that has
        a cycle, no root or two.
    MissingLanguageError : no such treebank or split.
    """
    if version not in (None, 1, 2):
        raise CorpusError(f"version: expected 1 or 2, got {version!r}")
    path = Path(name_or_path)
    if path.suffix == ".conllu":
        if not path.is_file():
            raise CorpusError(f"name_or_path: no such file: {str(path)!r}")
        language = path.name.split("_")[0].split("-")[0]
        content = path.read_bytes()
        return parse_conllu(
            content, str(path), path.stem, language, version=version or 2, entities=True
        )
    name, file = _file(str(name_or_path), split)
    known = 1 if file.part in VERSION_1.get(name, ()) else 2
    with opened(file) as content:
        return parse_conllu(content, file.mirror, name, file.language, version=version or known)


def _file(name: str, split: str) -> tuple[str, Original]:
    if name.startswith("PUD-"):
        code = name.removeprefix("PUD-")
        if code not in languages("pud"):
            raise MissingLanguageError(
                f"name_or_path: PUD has {' '.join(languages('pud'))}; got {code!r}"
            )
        return name, find("pud", code)
    names = sorted({row.code for row in originals("treebanks") if name in (row.code, row.language)})
    if not names:
        every = sorted({row.code for row in originals("treebanks")})
        raise MissingLanguageError(
            f"name_or_path: expected one of {' '.join(every)}, a language with one treebank, or PUD-LANG; got {name!r}"
        )
    if len(names) > 1:
        raise MissingLanguageError(
            f"name_or_path: {name!r} has several treebanks, expected one of {' '.join(names)}"
        )
    return names[0], find("treebanks", names[0], split)
