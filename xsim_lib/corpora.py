"""Where the README imported `plain` from until November 2026: for one release, with a warning."""

import warnings

from xsim_lib.text.corpora import plain

__all__ = ["plain"]

warnings.warn(
    "xsim_lib.corpora has moved: from xsim_lib import plain", DeprecationWarning, stacklevel=2
)
