"""Check a folder of HTML pages: every internal link holds, and nothing is loaded from a network.

Run ``python docs/check_links.py FOLDER`` on the book or on the dashboard.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: What a browser loads by itself, and the attribute that says from where.
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
#: Relations of a <link> that load nothing.
NOT_LOADED = {"canonical", "next", "prev", "search", "index", "author", "alternate"}


class Page(HTMLParser):
    """The links, the loads and the anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Note what a tag refers to, and what may refer to it."""
        attributes = dict(attributes)
        self.anchors |= {attributes[name] for name in ("id", "name") if attributes.get(name)}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        address = attributes.get(LOADED.get(tag, ""))
        if address and attributes.get("rel") not in NOT_LOADED:
            self.loads.append(address)


def problems_of(folder):
    """Yield a line for each link that does not hold, and each load from elsewhere."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for address in page.loads:
            if urlsplit(address).netloc:
                yield f"{name}: loads {address}"
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc or address.startswith("{"):
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                yield f"{name}: there is no {address}"
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {address} has no such anchor"


def main(folder):
    """Print the problems; return the exit code."""
    problems = list(problems_of(Path(folder)))
    for problem in problems:
        print(problem)
    pages = len(list(Path(folder).rglob("*.html")))
    print(f"{pages} pages, {len(problems)} problems")
    return 1 if problems or not pages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
