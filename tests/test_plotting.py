"""Plots: what is drawn, from what, and what wrong arguments are told."""

import itertools
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet
from fastnn.plotting import guess_image_shape, is_image_shape, plot_history, plot_weights

matplotlib_figure = pytest.importorskip("matplotlib.figure")


def history_of(losses, accuracies=(0.1, 0.5, 0.7)):
    return {
        "loss_history": list(losses),
        "train_acc_history": list(accuracies),
        "val_acc_history": [0.9 * accuracy for accuracy in accuracies],
    }


def net_of(W1):
    return SimpleNamespace(params={"W1": W1})


def draw(figure, tmp_path):
    """Render, so that whatever matplotlib warns of while drawing is an error."""
    path = tmp_path / "figure.png"
    figure.savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


# ----------------------------------------------------------------------------------------- history


def test_history_shows_every_loss_and_accuracy(tmp_path):
    losses = np.linspace(2.3, 0.4, 60)
    figure = plot_history(history_of(losses))
    loss_axes, accuracy_axes = figure.axes
    np.testing.assert_array_equal(loss_axes.lines[0].get_ydata(), losses)
    assert (loss_axes.get_xlabel(), loss_axes.get_ylabel()) == ("Step", "Loss")
    train, validation = accuracy_axes.lines
    np.testing.assert_allclose(train.get_ydata(), [0.1, 0.5, 0.7])
    np.testing.assert_allclose(validation.get_ydata(), [0.09, 0.45, 0.63])
    assert (accuracy_axes.get_xlabel(), accuracy_axes.get_ylabel()) == ("Epoch", "Accuracy")
    draw(figure, tmp_path)


def test_history_smooths_a_long_run(tmp_path):
    losses = np.tile([1.0, 3.0], 500)
    figure = plot_history(history_of(losses))
    smooth = figure.axes[0].lines[1]
    np.testing.assert_allclose(smooth.get_ydata(), 2)
    assert smooth.get_label() == "mean of 20 steps"
    draw(figure, tmp_path)


@pytest.mark.parametrize(
    "losses",
    [
        *([2.3, 1e4, 1e20, np.inf, np.nan], np.geomspace(1e-3, 1e308, 200), [1e307, 1.7e308]),
        *([np.nan] * 200, [np.inf], [2.3], []),
    ],
    ids=["explodes", "huge", "huge at once", "all NaN", "infinite", "one step", "no step"],
)
def test_history_of_any_losses(losses, tmp_path):
    figure = plot_history(history_of(losses, accuracies=[0.1][: len(losses)]))
    labels = [line.get_label() for line in figure.axes[0].lines[1:]]
    marks = [label for label in labels if not label.startswith("mean of")]
    bad = np.flatnonzero(~np.isfinite(losses))
    assert marks == [f"not finite at step {step}" for step in bad[:1]]
    draw(figure, tmp_path)


def test_history_is_logarithmic_only_where_the_loss_explodes():
    scales = [
        plot_history(history_of(losses)).axes[0].get_yscale()
        for losses in ([2.3, 0.001], [2.3, 1e5])
    ]
    assert scales == ["linear", "log"]


def test_history_draws_on_given_axes():
    figure = matplotlib_figure.Figure()
    axes = figure.subplots(1, 2)
    assert plot_history(history_of([1.0, 2.0]), ax=axes) is figure
    assert len(axes[0].lines) == 1
    assert len(axes[1].lines) == 2


def test_figures_show_themselves_in_a_notebook():
    for figure in (plot_history(history_of([1.0, 2.0])), plot_weights(net_of(np.eye(4)), (2, 2))):
        assert isinstance(figure, matplotlib_figure.Figure)
        again = pickle.loads(pickle.dumps(figure))
        for each in (figure, again):
            assert each._repr_png_().startswith(b"\x89PNG")


def test_epochs_do_not_run_into_each_other():
    figure = matplotlib_figure.Figure(figsize=(6, 4))
    axes = figure.subplots(1, 2)
    plot_history(history_of([1.0], accuracies=np.linspace(0, 1, 2500)), ax=axes)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes[1].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_history_needs_its_keys():
    with pytest.raises(ValueError, match=r"has the keys \['loss_history'\], but no train_acc"):
        plot_history({"loss_history": [1.0]})
    with pytest.raises(ValueError, match=r"pass the dict that Trainer.fit\(\) or TwoL"):
        plot_history({"step_loss": [1.0]})


def trainer_history(**changes):
    history = {"step_loss": np.linspace(2, 1, 12), "val_score": np.array([0.5, 0.7, 0.8])}
    return history | {"loss": np.ones(3), "val_loss": np.ones(3)} | changes


def test_history_of_a_trainer(tmp_path):
    figure = plot_history(trainer_history(), score="R^2")
    loss_axes, score_axes = figure.axes
    np.testing.assert_array_equal(loss_axes.lines[0].get_ydata(), np.linspace(2, 1, 12))
    (curve,) = score_axes.lines
    # At the end of each epoch.
    np.testing.assert_array_equal(curve.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(curve.get_ydata(), [0.5, 0.7, 0.8])
    assert (score_axes.get_title(), score_axes.get_ylabel()) == ("Validation R²", "R²")
    draw(figure, tmp_path)


def test_the_validation_loss_is_drawn_and_its_lowest_epoch_marked(tmp_path):
    figure = plot_history(trainer_history(val_loss=np.array([3.0, 1.5, 2.0])))
    steps, val, mark = figure.axes[0].lines
    np.testing.assert_array_equal(steps.get_ydata(), np.linspace(2, 1, 12))
    # Twelve steps in three epochs: the last of each.
    np.testing.assert_array_equal(val.get_xdata(), [3, 7, 11])
    np.testing.assert_array_equal(val.get_ydata(), [3.0, 1.5, 2.0])
    assert (mark.get_xdata(), mark.get_ydata()) == ([7], [1.5])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["each step", "validation", "lowest, after epoch 2"]
    draw(figure, tmp_path)


@pytest.mark.parametrize("val_loss", [[np.nan] * 3, []])
def test_no_validation_loss_no_line(val_loss):
    figure = plot_history(trainer_history(val_loss=np.array(val_loss)))
    assert len(figure.axes[0].lines) == 1
    assert figure.axes[0].get_legend() is None


def test_a_validation_loss_that_diverges_is_marked_where_it_is_lowest(tmp_path):
    figure = plot_history(trainer_history(val_loss=np.array([2.0, np.inf, np.nan])))
    assert figure.axes[0].lines[-1].get_xdata() == [3]
    draw(figure, tmp_path)


@pytest.mark.parametrize("huge", [1e300, 1.7e308])
def test_a_huge_validation_loss_is_drawn(huge, tmp_path):
    draw(plot_history(trainer_history(val_loss=np.array([2.0, 1.0, huge]))), tmp_path)


def blobs():
    y = np.arange(80) % 2
    return y[:, None] + 0.7 * np.random.RandomState(0).randn(80, 2), y


def test_a_trainer_marks_the_epoch_that_it_keeps(tmp_path):
    net = Network((2, 8, 2), random_state=0)
    trainer = Trainer(net, batch_size=20, max_iter=15, early_stopping=True, random_state=0)
    trainer.fit(*blobs())
    figure = plot_history(trainer)
    mark = figure.axes[0].lines[-1]
    assert mark.get_label() == f"kept, after epoch {trainer.best_epoch_}"
    assert mark.get_ydata() == [trainer.history["val_loss"][trainer.best_epoch_ - 1]]
    draw(figure, tmp_path)


@pytest.mark.parametrize("module", ["sklearn.neural_network", "fastnn"])
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_an_estimator_shows_its_curves(module, tmp_path):
    clf = pytest.importorskip(module).MLPClassifier(
        (8,), max_iter=9, early_stopping=True, random_state=0
    )
    figure = plot_history(clf.fit(*blobs()))
    loss_axes, score_axes = figure.axes
    np.testing.assert_array_equal(loss_axes.lines[0].get_xdata(), np.arange(1, 10))
    np.testing.assert_array_equal(loss_axes.lines[0].get_ydata(), clf.loss_curve_)
    assert loss_axes.get_xlabel() == "Epoch"
    np.testing.assert_array_equal(score_axes.lines[0].get_ydata(), clf.validation_scores_)
    assert score_axes.get_title() == "Validation accuracy"
    val = getattr(clf, "validation_loss_curve_", None)
    assert [line.get_label() for line in loss_axes.lines[1:]][:1] == ["validation"] * bool(val)
    draw(figure, tmp_path)
    plain = plot_history(clf.set_params(early_stopping=False).fit(*blobs()))
    assert len(plain.axes[0].lines) == 1
    assert plain.axes[1].texts[0].get_text() == "none was measured"
    draw(plain, tmp_path)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_what_early_stopping_goes_by_is_named():
    pytest.importorskip("sklearn")
    from fastnn import MLPClassifier

    for scoring, title in (
        ("loss", "Validation negative loss"),
        ("balanced_accuracy", "Validation score"),
        (None, "Validation accuracy"),
    ):
        clf = MLPClassifier((8,), max_iter=3, early_stopping=True, scoring=scoring, random_state=0)
        assert plot_history(clf.fit(*blobs())).axes[1].get_title() == title


def test_what_has_no_history_is_refused_by_its_type():
    neural_network = pytest.importorskip("sklearn.neural_network")
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    clf = neural_network.MLPClassifier(solver="lbfgs")
    pipeline, search = make_pipeline(clf), GridSearchCV(clf, {})
    search.best_estimator_ = clf
    for wrong, message in (
        ([1.0] * 999, "history is a list, but needed is what Trainer.fit or TwoLayerNet.train re"),
        (pipeline, r"history is a Pipeline, but .*: pass its last step, pipeline\[-1\]$"),
        (search, r"history is a GridSearchCV, but .*: pass its best_estimator_$"),
    ):
        with pytest.raises(TypeError, match=message) as caught:
            plot_history(wrong)
        assert len(str(caught.value)) < 250
    with pytest.raises(ValueError, match=r"MLPClassifier has no loss_curve_: fit it .* 'adam'"):
        plot_history(clf)
    with pytest.raises(ValueError, match=r"history is empty: call train first"):
        plot_history(TwoLayerNet(3, 4, 2))


def test_history_is_drawn_on_two_axes():
    subplots = matplotlib_figure.Figure().subplots
    for wrong in (3, subplots(), subplots(2, 2), subplots(3), [None, None], "ab"):
        with pytest.raises(
            TypeError, match=r"^ax is a .*two Axes.*: pass .*figure.subplots\(2, 1\)$"
        ):
            plot_history(history_of([1.0]), wrong)
    with pytest.raises(
        TypeError, match=r"score is 3, but it is a text: pass for example 'accuracy'"
    ):
        plot_history(history_of([1.0]), score=3)


def test_title_says_no_more_than_is_known():
    titles = [
        plot_history(trainer_history(), score=score).axes[1].get_title()
        for score in (None, "accuracy")
    ]
    assert titles == ["Validation score", "Validation accuracy"]
    assert plot_history(history_of([1.0])).axes[1].get_title() == "Accuracy"


@pytest.mark.parametrize("scores", [[], [np.nan] * 3, [0.5, -np.inf, 0.7], [0.5, -1.7e308]])
def test_history_of_any_scores(scores, tmp_path):
    figure = plot_history(trainer_history(val_score=np.array(scores)))
    texts = [text.get_text() for text in figure.axes[1].texts]
    assert texts == ([] if np.isfinite(scores).any() else ["none was measured"])
    draw(figure, tmp_path)


def test_history_as_fit_returns_it(tmp_path):
    X, y = np.eye(4), np.arange(4)
    trainer = Trainer(Network((4, 4), random_state=0), max_iter=3, random_state=0)
    draw(plot_history(trainer.fit(X, y, X, y)), tmp_path)
    draw(plot_history(trainer.fit(X, y)), tmp_path)  # without a validation set


# ----------------------------------------------------------------------------------------- weights


def test_weights_are_columns_scaled_each_on_its_own(tmp_path):
    W1 = np.zeros((12, 3), np.float32)
    W1[:, 0] = np.arange(12)
    W1[:, 1] = -100 * np.arange(12)
    figure = plot_weights(net_of(W1), (2, 2, 3))
    (image,) = figure.axes[0].images
    grid = np.asarray(image.get_array())
    assert grid.shape == (2, 3 * 2 + 2, 3)  # three images side by side, gaps of one pixel
    np.testing.assert_allclose(grid[:, 0:2].ravel(), np.arange(12) / 11)
    np.testing.assert_allclose(grid[:, 3:5].ravel(), 1 - np.arange(12) / 11, atol=1e-15)
    np.testing.assert_array_equal(grid[:, 6:8], 0)  # all equal: no division by zero
    draw(figure, tmp_path)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (16, 4)])
@pytest.mark.parametrize("n_hidden", [1, 2, 7, 50])
def test_grey_weights(n_hidden, shape, tmp_path):
    W1 = np.random.default_rng(0).normal(size=(64, n_hidden))
    figure = plot_weights(net_of(W1), shape)
    assert np.asarray(figure.axes[0].images[0].get_array()).ndim == 2
    draw(figure, tmp_path)


@pytest.mark.parametrize("shape", [(2, 6), (2, 2, 3)])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1.7e308])
def test_weights_that_have_diverged_are_left_blank(wrong, shape, tmp_path):
    W1 = np.random.default_rng(0).normal(size=(12, 2))
    W1[3, 0] = wrong
    W1[4, 0] = -1e308
    figure = plot_weights(net_of(W1), shape)
    height, width = shape[:2]
    grid = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(grid[:height, :width], 1)
    other = grid[-height:, -width:]
    assert (other.min(), other.max()) == (0, 1)
    draw(figure, tmp_path)


def test_weights_of_a_network():
    net = Network((12, 5, 3, 2), random_state=0)
    figure = plot_weights(net, (2, 2, 3))
    expected = plot_weights(net_of(net.coefs_[0]), (2, 2, 3))
    images = [np.asarray(each.axes[0].images[0].get_array()) for each in (figure, expected)]
    np.testing.assert_array_equal(*images)
    assert figure.axes[0].get_title() == "Weights of the 5 units of the first layer, 2 x 2 x 3"


def test_weights_of_another_size():
    with pytest.raises(ValueError, match=r"\(32, 32, 3\) has 3072 numbers, but .* 64 inputs") as e:
        plot_weights(net_of(np.zeros((64, 5))))
    assert str(e.value).endswith("pass (8, 8)")
    with pytest.raises(ValueError, match="these weights may not be images"):
        plot_weights(net_of(np.zeros((7, 5))))


@pytest.mark.parametrize("shape", [(64,), (4, 4, 4), (8, 8, 1, 1), (-8, -8), ()])
def test_no_image_shape(shape):
    assert not is_image_shape(shape)
    with pytest.raises(ValueError, match=r"needed \(height, width\), \(height, width, 1\) or"):
        plot_weights(net_of(np.zeros((64, 5))), shape)


@pytest.mark.parametrize(
    "shape", [64, (8.0, 8), "88", None, ("8", "8"), np.array([[8, 8]])], ids=str
)
def test_an_image_shape_is_of_integers(shape):
    with pytest.raises(
        TypeError,
        match=r"image_shape is .*, but it is a tuple of integers: pass \(height, width\), ",
    ):
        plot_weights(net_of(np.zeros((64, 5))), shape)


def test_any_sequence_of_integers_is_an_image_shape():
    for shape in ([2, 2], np.array([2, 2]), iter((2, 2)), (True, 4)):
        title = plot_weights(net_of(np.eye(4)), shape).axes[0].get_title()
        assert title.endswith(("first layer, 2 x 2", "first layer, 1 x 4"))


def test_weights_are_of_a_network():
    net = Network((4, 5, 3), random_state=0)
    neural = pytest.importorskip("sklearn.neural_network")
    pipe = pytest.importorskip("sklearn.pipeline").make_pipeline(neural.MLPClassifier())
    for wrong, message in (
        (None, r"net is None, but needed is a Network or a TwoLayerNet, or .*: pass one of these$"),
        (3, r"net is an? int, but needed is"),
        (Network, r"net is the class Network, but needed is"),
        (SimpleNamespace(params={}), r"net is a SimpleNamespace, but"),
        (SimpleNamespace(params=3), r"net is a SimpleNamespace, but"),
        (Trainer(net), r"net is a Trainer, but .*: pass its network$"),
        (pipe, r"net is a Pipeline, but .*: pass its last step, pipeline\[-1\]$"),
    ):
        with pytest.raises(TypeError, match=message):
            plot_weights(wrong, (2, 2))
    with pytest.raises(ValueError, match=r"^MLPClassifier is not fitted: call its fit first$"):
        plot_weights(neural.MLPClassifier(), (2, 2))


@pytest.mark.parametrize(
    ("n_features", "shape"),
    [(64, (8, 8)), (784, (28, 28)), (3072, (32, 32, 3)), (12, (2, 2, 3)), (1, None), (30, None)],
)
def test_guess_image_shape(n_features, shape):
    assert guess_image_shape(n_features) == shape
