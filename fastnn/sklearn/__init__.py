"""scikit-learn's perceptrons on the compiled engine: the same seeds, the same numbers."""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fastnn's MLPClassifier, MLPRegressor and patch_sklearn build on scikit-learn, which is "
        f"not to be had ({error}); to install it: python -m pip install scikit-learn"
    ) from error

from .adoption import from_sklearn
from .estimators import MLPClassifier, MLPRegressor
from .explanation import Explanation, explain
from .patching import patch_sklearn, unpatch_sklearn

__all__ = [
    "Explanation",
    "MLPClassifier",
    "MLPRegressor",
    "explain",
    "from_sklearn",
    "patch_sklearn",
    "unpatch_sklearn",
]
