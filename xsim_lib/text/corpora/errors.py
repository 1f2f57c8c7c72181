"""What can go wrong with a corpus, by name. All are ValueErrors: the caller asked for what cannot be given."""

__all__ = [
    "ChecksumError",
    "CorpusError",
    "CorruptFileError",
    "MirrorError",
    "MissingLanguageError",
    "NetworkError",
]


class CorpusError(ValueError):
    """A corpus cannot be given as asked; every error of `xsim_lib.text.corpora` is one of these."""


class MissingLanguageError(CorpusError):
    """The corpus, or the local mirror of it, has no such language or part."""


class MirrorError(CorpusError):
    """XSIM_DATA names a folder that is no mirror."""


class CorruptFileError(CorpusError):
    """A file is truncated, no UTF-8, or does not have the format it should have."""


class ChecksumError(CorruptFileError):
    """A file has other bytes than the registry knows."""


class NetworkError(CorpusError, OSError):
    """A public original could not be downloaded."""
