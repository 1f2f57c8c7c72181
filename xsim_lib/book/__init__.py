"""The book: assembled from what papermill left behind, built strictly, readable without a network."""

from xsim_lib.book.assembly import assemble
from xsim_lib.book.building import build

__all__ = ["assemble", "build"]
