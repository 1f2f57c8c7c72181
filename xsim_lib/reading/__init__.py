"""A model and text in, rows out: sentences, words, and `compare`."""

from xsim_lib.reading.sentences import encode

__all__ = ["encode"]
