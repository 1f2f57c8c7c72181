"""Sphinx extension: formulas as MathML, which browsers draw themselves.

The usual renderer fetches a script from another server, so a book read without a network would show raw
LaTeX. docutils brings a converter; a formula it cannot convert is a warning, and the build is strict.
"""

from docutils import nodes
from docutils.utils.math import MathError, pick_math_environment
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

__all__ = ["setup"]

_LOGGER = logging.getLogger(__name__)


def setup(app) -> dict:
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node) -> None:
    text = _convert(node, as_block=False)
    translator.body.append(translator.starttag(node, "span", "", CLASS="math"))
    translator.body.append(f"{text}</span>")
    raise nodes.SkipNode


def _display(translator, node) -> None:
    text = _convert(node, as_block=True)
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({node["number"]})</span>')
    translator.body.append(f"{text}</div>\n")
    raise nodes.SkipNode


def _convert(node, *, as_block: bool) -> str:
    source = node.astext().strip()
    if as_block and "\\\\" in source and "\\begin{" not in source:
        environment = pick_math_environment(source)
        source = f"\\begin{{{environment}}}{source}\\end{{{environment}}}"
    try:
        return tex2mathml(source, as_block=as_block)
    except MathError as error:
        _LOGGER.warning("formula %r cannot be drawn: %s", source, error, location=node)
        return ""
