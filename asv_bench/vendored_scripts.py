"""Take the scripts that asv's pages load from the web into the dashboard's own folder.

asv's page names eleven scripts and style sheets on other people's servers, most with a hash of what
they must be. Here each comes from a package of the npm registry, in the same version, and is
believed only if its hash is the page's own; where no package holds those very bytes, only if it is
the one given below.
"""

import base64
import hashlib
import html
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

#: What a page loads from elsewhere: an element with a link and, mostly, a hash.
ELSEWHERE = re.compile(r'<(?:script|link)\b[^>]*?\b(?:src|href)="(?P<link>https?://[^"]+)"[^>]*>')
HASH = re.compile(r'\bintegrity="([^"]+)"')


class Source(NamedTuple):
    """Where a script comes from."""

    package: str  #: of the npm registry, with its version
    member: str  #: path of the file in the package
    hash: str | None = None  #: where it is not the page's: no package holds the page's bytes


#: By the last part of the link. The registry has Flot as its authors wrote it, while the page loads
#: what a server made shorter; of Stupid Table it has version 1.1.3 only, which sorts as 1.0.1 does.
SOURCES = {
    "jquery-3.3.1.min.js": Source("jquery@3.3.1", "dist/jquery.min.js"),
    "jquery.flot.min.js": Source(
        "flot@0.8.3", "jquery.flot.js", "sha256-t7kx8nPDixJ3ucbB9OBcTsCYhaSHvdrzJ54tfkmjjhI="
    ),
    "jquery.flot.time.min.js": Source(
        "flot@0.8.3", "jquery.flot.time.js", "sha256-pYLIMq3HE4prBar2HxbrrCdHAfG+Sv6nfnOaHDS5xBo="
    ),
    "jquery.flot.selection.min.js": Source(
        "flot@0.8.3",
        "jquery.flot.selection.js",
        "sha256-5shfbB6+S02inYriOMfFBgKD8F9+8FT2uRgX0CwJKRg=",
    ),
    "jquery.flot.categories.min.js": Source(
        "flot@0.8.3",
        "jquery.flot.categories.js",
        "sha256-boFmSyjqeVxzSQb0qhVhRkCnWsf705mn+5CEBAaYNRo=",
    ),
    "jquery.flot.orderBars.js": Source("flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js"),
    "stupidtable.min.js": Source(
        "stupid-table-plugin@1.1.3",
        "stupidtable.min.js",
        "sha256-RkI4Dyjr6e18rCUXk7KB74YgxDhiBdkniPmxL1zOtOA=",
    ),
    "md5.min.js": Source("blueimp-md5@2.19.0", "js/md5.min.js"),
    "bootstrap.min.js": Source("bootstrap@3.1.1", "dist/js/bootstrap.min.js"),
    "bootstrap.min.css": Source("bootstrap@3.1.1", "dist/css/bootstrap.min.css"),
}


class ScriptError(Exception):
    """What keeps the dashboard from standing alone, in words for the user."""


def hash_of(content, kind="sha256"):
    """Return the hash of some bytes as pages state it: ``sha256-...``."""
    digest = hashlib.new(kind, content).digest()
    return f"{kind}-{base64.b64encode(digest).decode()}"


def check(name, content, expected):
    """Raise :class:`ScriptError` where the bytes are not those of the hash."""
    actual = hash_of(content, expected.partition("-")[0])
    if actual != expected:
        raise ScriptError(f"{name} is not what it must be: its hash is {actual}, not {expected}")


def packed(package, folder):
    """Return the archive of a package, fetched by npm where `folder` has none."""
    archive = folder / f"{package.replace('@', '-')}.tgz"
    if not archive.exists():
        if shutil.which("npm") is None:
            raise ScriptError(
                f"npm is needed once, to fetch {package}: install Node.js, or copy what "
                f"`npm pack {package}` writes elsewhere to {archive}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            command = ["npm", "pack", package, "--silent", "--pack-destination", scratch]
            done = subprocess.run(command, capture_output=True, text=True, cwd=scratch)
            if done.returncode:
                raise ScriptError(f"npm did not fetch {package}: {done.stderr.strip()}")
            shutil.copy(next(Path(scratch).glob("*.tgz")), archive)
    return archive


def member_of(archive, member):
    """Return the bytes of a file of an npm package."""
    with tarfile.open(archive) as package:
        try:
            return package.extractfile(f"package/{member}").read()
        except KeyError:
            raise ScriptError(f"{archive.name} holds no {member}") from None


def vendor(page, archives):
    """Have a page load everything from ``scripts/`` beside it; return the packages' names.

    Parameters
    ----------
    page : Path
        The page; rewritten.
    archives : Path
        Folder that keeps the packages, so that the next time needs no network.

    Raises
    ------
    ScriptError
        Where a script is unknown, cannot be fetched, or is not what it must be.
    """
    text, packages = page.read_text("utf-8"), []
    scripts = page.parent / "scripts"
    scripts.mkdir(exist_ok=True)
    for element in list(ELSEWHERE.finditer(text)):
        link = html.unescape(element["link"])
        name = link.rpartition("/")[2]
        if name not in SOURCES:
            raise ScriptError(f"{page.name} loads {link}, for which SOURCES has no package")
        source = SOURCES[name]
        content = member_of(packed(source.package, archives), source.member)
        stated = HASH.search(element[0])
        expected = source.hash or (stated and stated[1])
        if not expected:
            raise ScriptError(f"{page.name} states no hash of {link}, and SOURCES none either")
        check(f"{source.member} of {source.package}", content, expected)
        (scripts / name).write_bytes(content)
        packages.append(source.package)
        text = text.replace(element[0], local_element(element[0], link, f"scripts/{name}"))
    page.write_text(text, "utf-8")
    return list(dict.fromkeys(packages))


def local_element(element, link, path):
    """Return the element with another link, and without what only strangers' files need.

    Browsers check no hash of a file that is opened without a server.
    """
    element = element.replace(link, path)
    return re.sub(r' (?:integrity|crossorigin|referrerpolicy|onerror)="[^"]*"', "", element)
