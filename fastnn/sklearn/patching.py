"""Have scikit-learn's own perceptrons compute on fastnn's engine, and take that back."""

from .hooks import METHODS
from .installed import BASE

#: What the base class had before the patch, while it is patched.
_before: dict = {}


def patch_sklearn():
    """Have all perceptrons of scikit-learn compute on fastnn's engine, in this process.

    The arithmetic of ``MLPClassifier`` and ``MLPRegressor`` lies in three methods of their common
    base class, which are replaced there. So estimators that were imported or made before, their
    subclasses, and old pickles run on the engine too; and what is pickled now opens in scikit-learn
    without fastnn. Parameters, attributes, seeds and numbers stay what they are. What the engine
    cannot compute runs as before, with a word through the logger ``fastnn.sklearn``.

    Calling it again changes nothing. For the worker processes of joblib::

        with joblib.parallel_config("loky", initializer=fastnn.patch_sklearn):
            GridSearchCV(MLPClassifier(), grid, n_jobs=2).fit(X, y)

    See Also
    --------
    unpatch_sklearn : Take it back.
    fastnn.sklearn.explain : Tell what of an estimator would run on the engine, and why not all.

    Examples
    --------
    >>> import fastnn
    >>> from sklearn.neural_network import MLPClassifier
    >>> fastnn.patch_sklearn()
    >>> clf = MLPClassifier(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [0, 1])
    >>> clf.predict([[0.9]])
    array([1])
    >>> fastnn.unpatch_sklearn()
    """
    if is_patched():
        return
    for name, method in METHODS.items():
        _before[name] = vars(BASE)[name]
        setattr(BASE, name, method)


def unpatch_sklearn():
    """Give scikit-learn's perceptrons their own methods back; nothing where they have them."""
    while _before:
        name, method = _before.popitem()
        setattr(BASE, name, method)


def is_patched():
    """Tell whether scikit-learn's perceptrons compute on the engine."""
    return bool(_before)
