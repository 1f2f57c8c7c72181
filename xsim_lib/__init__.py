"""xsim_lib: a small library to measure, a laboratory to train, one folder per paper.

>>> from xsim_lib import compare, load, plain
"""

__version__ = "0.1.0"

__all__ = ["__version__", "compare", "load", "plain", "start"]


def __getattr__(name: str):
    """What the README shows, imported when it is asked for: `import xsim_lib` stays cheap and loads no torch."""
    if name == "start":
        from xsim_lib.study.experiment import start as found
    elif name == "compare":
        from xsim_lib.reading.comparison import compare as found
    elif name == "load":
        from xsim_lib.models.loading import load as found
    elif name == "plain":
        from xsim_lib.text.corpora import plain as found
    else:
        raise AttributeError(f"module 'xsim_lib' has no attribute {name!r}")
    return found
