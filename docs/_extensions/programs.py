"""Links to what a code host shows as it is, and the book as a page of its own.

Such are the programs of the gallery, and CONTRIBUTING.md.
"""

import re

#: The folders of the programs, and those of the pages that sphinx-gallery makes of them.
FOLDERS = {"examples": "gallery", "the_post": "post"}

_LINK = re.compile(r"(?<=\]\()((?:\.\./)*)(examples|the_post)/(?:(plot_\w+)\.py)?(?=\))")
#: From a page to the root of the checkout, of which the book has the folder of the pages.
_CONTRIBUTING = re.compile(r"(?<=\]\()\.\./((?:\.\./)*)CONTRIBUTING\.md(?=[#)])")


def _to_page(link):
    up, folder, program = link.groups()
    return f"{up}{FOLDERS[folder]}/{program or 'index'}.rst"


def _to_pages(app, page, source):
    source[0] = _LINK.sub(_to_page, source[0])
    source[0] = _CONTRIBUTING.sub(r"\1reference/contributing.md", source[0])


def setup(app):
    """Let links in Markdown lead to the pages of what they name."""
    app.connect("source-read", _to_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
