"""Links to the programs of the gallery: a code host shows the program, the book its page."""

import re

#: The folders of the programs, and those of the pages that sphinx-gallery makes of them.
FOLDERS = {"examples": "gallery", "the_post": "post"}

_LINK = re.compile(r"(?<=\]\()((?:\.\./)*)(examples|the_post)/(?:(plot_\w+)\.py)?(?=\))")


def _to_page(link):
    up, folder, program = link.groups()
    return f"{up}{FOLDERS[folder]}/{program or 'index'}.rst"


def _to_pages(app, page, source):
    source[0] = _LINK.sub(_to_page, source[0])


def setup(app):
    """Let links in Markdown, to a program or to the folder of them, lead to the pages."""
    app.connect("source-read", _to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
