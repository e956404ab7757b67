"""Formulas as MathML, which browsers draw by themselves: no script from a network, no fonts."""

from docutils.nodes import SkipNode
from docutils.utils.math import latex2mathml


def _inline(translator, node):
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def _block(translator, node):
    label = translator.starttag(node, "div", CLASS="math")
    translator.body.append(f"{label}{latex2mathml.tex2mathml(node.astext(), as_block=True)}</div>")
    raise SkipNode


def setup(app):
    """Register the renderer under the name that ``html_math_renderer`` takes."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_inline, None), block_renderers=(_block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
