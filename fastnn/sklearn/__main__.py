"""Run a program under the patch: ``python -m fastnn.sklearn SCRIPT.py [ARGUMENT ...]``."""

import runpy
import sys
from pathlib import Path

from joblib import register_parallel_backend
from joblib._parallel_backends import LokyBackend

from .patching import patch_sklearn

USAGE = """\
usage: python -m fastnn.sklearn SCRIPT.py [ARGUMENT ...]
       python -m fastnn.sklearn -m MODULE [ARGUMENT ...]

Runs a program unchanged, with scikit-learn's MLPClassifier and MLPRegressor on fastnn's engine."""


class PatchedLokyBackend(LokyBackend):
    """joblib's worker processes, which begin with the patch."""

    def configure(self, *args, **kwargs):
        """Start the workers."""
        if "initializer" not in getattr(self, "backend_kwargs", {}):
            kwargs.setdefault("initializer", patch_sklearn)
        return super().configure(*args, **kwargs)


def patch_workers():
    """Have the processes that joblib starts for this program begin with the patch."""
    register_parallel_backend("loky", PatchedLokyBackend)


def main(arguments):
    """Run the program that the arguments name, as Python itself would; return the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    module = arguments[0] == "-m"
    if module and len(arguments) < 2:
        print("fastnn.sklearn: -m needs the name of a module\n" + USAGE, file=sys.stderr)
        return 2
    if not module and arguments[0].startswith("-"):
        print(f"fastnn.sklearn: no option {arguments[0]}\n{USAGE}", file=sys.stderr)
        return 2
    if not module and not Path(arguments[0]).exists():
        print(
            f"fastnn.sklearn: there is no file {arguments[0]}: pass the path of a script, or -m "
            "and the name of a module",
            file=sys.stderr,
        )
        return 2
    patch_sklearn()
    patch_workers()
    sys.argv[:] = arguments[1:] if module else arguments
    if module:
        # Python puts the folder at hand in front; it has done so for this module.
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
