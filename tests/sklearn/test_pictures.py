"""The pictures of scikit-learn's gallery that show its perceptrons: the same under the patch."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, make_circles, make_moons
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import fastnn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STRATEGIES = [
    {"solver": "sgd", "learning_rate": "constant", "momentum": 0},
    {"solver": "sgd", "learning_rate": "constant", "nesterovs_momentum": False},
    {"solver": "sgd", "learning_rate": "constant"},
    {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0},
    {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
    {"solver": "adam", "learning_rate_init": 0.01},
]


def learning_curves(figure):
    """Draw the losses of several strategies, as "Compare Stochastic learning strategies"."""
    digits = load_digits(return_X_y=True)
    circles = make_circles(noise=0.2, factor=0.5, random_state=1)
    for ax, (X, y) in zip(figure.subplots(1, 2), (digits, circles)):
        for strategy in STRATEGIES:
            clf = MLPClassifier(
                random_state=0, max_iter=15, **{"learning_rate_init": 0.2} | strategy
            )
            ax.plot(clf.fit(MinMaxScaler().fit_transform(X), y).loss_curve_)


def varying_alpha(figure):
    """Draw decisions for several penalties, as "Varying regularization in MLP"."""
    X, y = make_moons(noise=0.3, random_state=0)
    X = StandardScaler().fit_transform(X)
    xx, yy = np.meshgrid(np.linspace(-2, 2, 60), np.linspace(-2, 2, 60))
    for ax, alpha in zip(figure.subplots(1, 3), np.logspace(-1, 1, 3)):
        # Of hundreds of steps of L-BFGS, roundings would make other ones.
        clf = MLPClassifier(
            solver="lbfgs", alpha=alpha, random_state=1, max_iter=40, hidden_layer_sizes=[10, 10]
        ).fit(X, y)
        Z = clf.predict_proba(np.column_stack([xx.ravel(), yy.ravel()]))[:, 1]
        ax.contourf(xx, yy, Z.reshape(xx.shape), alpha=0.8)


def weights(figure):
    """Draw the weights of hidden units, as "Visualization of MLP weights on MNIST"."""
    X, y = load_digits(return_X_y=True)
    clf = MLPClassifier(
        (16,), max_iter=8, alpha=1e-4, solver="sgd", random_state=1, learning_rate_init=0.2
    ).fit(X / 16, y)
    limits = 0.5 * clf.coefs_[0].min(), 0.5 * clf.coefs_[0].max()
    for ax, coef in zip(figure.subplots(4, 4).ravel(), clf.coefs_[0].T):
        ax.matshow(coef.reshape(8, 8), cmap="gray", vmin=limits[0], vmax=limits[1])


def picture(draw):
    canvas = FigureCanvasAgg(Figure())
    draw(canvas.figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())


@pytest.mark.parametrize("draw", [learning_curves, varying_alpha, weights])
def test_pictures_are_the_same_under_the_patch(draw):
    wanted = picture(draw)
    fastnn.patch_sklearn()
    np.testing.assert_array_equal(picture(draw), wanted)
    assert wanted.std() > 10
