"""xsim_lib: the thin library behind the notebooks of the xsim book."""

from importlib import import_module

__version__ = "0.1.0"

# Lazy, so that `import xsim_lib` stays cheap and loads no torch.
_LAZY = {"start": "xsim_lib.experiment", "compare": "xsim_lib.comparison"}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'xsim_lib' has no attribute {name!r}")
