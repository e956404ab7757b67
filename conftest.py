"""Settings that must be in place before the first test, and the code in the pages of the book.

README.md and the book are tests too: the Python in a page runs from top to bottom, its commands in
a folder of their own.
"""

import os
import signal
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path

import pytest

from benchmarks.numba_cache import use_cache_of_these_kernels


def heed(name, handler):
    """Handle a signal that was ignored when this began, and let what it starts die of it.

    A shell without job control has what it puts into the background ignore Ctrl-C, and nohup the
    end of the terminal; the tests send both to programs, which would go on for ever.
    """
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


heed("SIGINT", signal.default_int_handler)
heed("SIGHUP", lambda *_: None)

# Before anything imports numba, which reads the setting once.
use_cache_of_these_kernels()
if "PYTEST_XDIST_WORKER" in os.environ:
    # Before anything imports numpy: threads of its BLAS spin on the core of the other worker.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from sybil import Sybil  # noqa: E402
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser  # noqa: E402

#: The programs of the book are run by its build, and are no modules with examples.
collect_ignore_glob = ["docs/*.py", "docs/*/*.py", "docs/_build"]

#: Pages and folders in the root of the checkout. Of CONTRIBUTING.md, .ci/run runs the commands.
PAGES = ["README.md", "docs/*.md", "docs/*/*.md"]
#: Commands that take minutes, and the shorter form in which they are run here; tests/cli runs them.
SHORTER = {
    "fastnn bench": "fastnn bench --help",
}
#: What only a checkout of its own can show: .ci/run does, from README.md itself.
ELSEWHERE = ("python3 -m venv", "python asv_bench/", "cd asv_bench", "git ")


def run_commands(example):
    """Run a block of shell commands in the page's folder; fail where one does."""
    lines = [SHORTER.get(line, line) for line in example.parsed.splitlines()]
    if any(line.startswith(ELSEWHERE) for line in lines):
        return None
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    return f"{done.stdout}\n{done.stderr}" if done.returncode else None


#: Files whose few tests take long: who began one last would have the other workers wait.
SLOW = (
    *("test_write_your_own.py", "test_vector_widths.py", "test_loop.py", "test_compilations.py"),
    *("test_affine.py", "test_benchmarks.py", "test_numba_cache.py", "start.md"),
)


def pytest_collection_modifyitems(items):
    """Begin with the slow files."""
    items.sort(key=lambda item: item.path.name not in SLOW)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a file in one worker: the code in a page goes on where it stood."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by the number of tests
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory):
    """Run a page in a folder of its own: what it writes is gone with it."""
    before = Path.cwd()
    folder = tmp_path_factory.mktemp("page")
    os.chdir(folder)
    yield folder
    os.chdir(before)


pytest_collect_file = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=ELLIPSIS | NORMALIZE_WHITESPACE),
        CodeBlockParser(language="sh", evaluator=run_commands),
        SkipParser(),
    ],
    patterns=PAGES,
    # tests/test_write_your_own.py carries this one out.
    excludes=["docs/kernels/write-your-own.md"],
    fixtures=["page_folder"],
).pytest()
