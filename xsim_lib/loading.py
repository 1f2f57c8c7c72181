"""Where the README imported `load` from until November 2026: for one release, with a warning."""

import warnings

from xsim_lib.models.loading import load

__all__ = ["load"]

warnings.warn(
    "xsim_lib.loading has moved: from xsim_lib import load", DeprecationWarning, stacklevel=2
)
