"""The folder in which Numba keeps the machine code of the kernels at hand.

Numba recompiles a function when the file that holds it has changed, but not when the change is in
another file whose functions it inlined. So each state of the kernels gets a folder of its own.
The benchmarks and the tests share it.
"""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path


def kernel_folder():
    """Return where the kernels of the installed fastnn lie, without importing it."""
    spec = find_spec("fastnn")
    if spec is None or spec.origin is None:
        raise ImportError("fastnn is not installed: run python -m pip install -e . in the checkout")
    package = Path(spec.origin).parent
    installed = package / "kernels"
    return installed if installed.is_dir() else package.parent / "kernels"


def digest_of(folder):
    """Return a short digest of the Python files in `folder`: their names and contents."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def use_cache_of_these_kernels():
    """Point ``NUMBA_CACHE_DIR`` at the folder of the kernels at hand; return the folder.

    Call it before numba is imported. The folders lie in ``.numba_cache/`` at the top of the
    checkout, and may be deleted at any time.
    """
    checkout = Path(__file__).resolve().parents[2]
    folder = checkout / ".numba_cache" / digest_of(kernel_folder())
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    return folder
