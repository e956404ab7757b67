"""Pictures of a training run: its loss and scores, and the weights of the first layer.

matplotlib is imported where it is used, and only its object-oriented side: no window, no display,
no global state. A figure that is the last line of a notebook's cell shows itself; save it with
``figure.savefig``.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fastnn.checks.perceptrons import type_of, unwrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#1f6fb4", "#e07b00", "#8a8a8a"
#: What lies beyond is drawn there: the margins of its axis might leave float64.
_HIGHEST = 1e250


def plot_history(
    history: Any,
    ax: "Sequence[Axes] | None" = None,
    *,
    score: str | None = None,
) -> "Figure":
    """Plot the loss over the steps and, below it, the scores over the epochs.

    Parameters
    ----------
    history : dict, Trainer, TwoLayerNet or estimator
        What :meth:`fastnn.Trainer.fit` returns, of which ``step_loss``, ``val_loss`` and
        ``val_score`` are drawn; or :meth:`fastnn.TwoLayerNet.train`: ``loss_history``,
        ``train_acc_history`` and ``val_acc_history``; or who holds it. Of a fitted perceptron, of
        scikit-learn's or of fastnn's, the curves are drawn, over the epochs. Losses may be NaN or
        infinite: a line marks where that begins. A dot marks the lowest loss on the validation set
        or, of a Trainer that stops early, that of the epoch that it keeps.
    ax : sequence of two matplotlib Axes, optional
        Where to draw the loss and the scores; a new figure by default.
    score : str, optional
        What ``val_score`` is, for the title: "accuracy" or "R^2". TwoLayerNet's is the accuracy.

    Returns
    -------
    matplotlib.figure.Figure
        The figure drawn on.

    Raises
    ------
    TypeError, ValueError
        If `history` is of no such kind, or not fitted, or another argument is not as above.
    ImportError
        If matplotlib is missing.
    """
    parts = _parts_of(history)
    if score is not None and not isinstance(score, str):
        raise TypeError(f"score is {score!r}, but it is a text: pass for example 'accuracy'")
    if ax is None:
        figure = _new_figure((8.0, 7.0))
        loss_axes, score_axes = figure.subplots(2, 1)
    else:
        loss_axes, score_axes = _two_axes(ax)
        figure = cast("Figure", loss_axes.get_figure(root=True))
    _draw_loss(loss_axes, parts)
    _draw_scores(score_axes, parts.curves, score or parts.name)
    return figure


def plot_weights(net: Any, image_shape: Sequence[int] = (32, 32, 3)) -> "Figure":
    """Show the weights of each unit of the first layer as an image; all in one grid.

    Parameters
    ----------
    net : Network, TwoLayerNet or perceptron
        Only its first weights, of shape (n_features, n_units), are used.
    image_shape : tuple of int, default (32, 32, 3)
        What a row of X is an image of: (height, width) or (height, width, channels), with one
        channel (grey) or three (colour).

    Returns
    -------
    matplotlib.figure.Figure
        The grid, each image scaled to 0..1 on its own, as in CS231n. A unit that has diverged is
        left blank.

    Raises
    ------
    TypeError
        If `net` is no network, or `image_shape` no tuple of integers.
    ValueError
        If `image_shape` is no image shape, or does not hold n_features numbers, or a perceptron is
        not fitted.
    ImportError
        If matplotlib is missing.
    """
    W1 = first_weights(net)
    shape = _integers(image_shape)
    grid = _weight_grid(W1, shape)
    height, width = grid.shape[:2]
    figure = _new_figure((8.0, 8.0 * height / width + 0.25))
    axes = figure.subplots()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    size = " x ".join(map(str, shape))
    axes.set_title(f"Weights of the {W1.shape[1]} units of the first layer, {size}", fontsize=11)
    return figure


def first_weights(net: Any) -> np.ndarray:
    """Return the weights of the first layer of a Network, a TwoLayerNet or a perceptron."""
    params = getattr(net, "params", None)
    if not isinstance(net, type):
        if hasattr(net, "coefs_"):
            return net.coefs_[0]
        if isinstance(params, Mapping) and "W1" in params:
            return params["W1"]
        if hasattr(net, "hidden_layer_sizes"):
            raise ValueError(f"{type(net).__name__} is not fitted: call its fit first")
    remedy = "pass its network" if hasattr(net, "network") else "pass one of these"
    raise TypeError(
        f"net is {'None' if net is None else type_of(net)}, but needed is a Network or a "
        f"TwoLayerNet, or a fitted perceptron: {unwrapped(net, remedy)}"
    )


def is_image_shape(shape: Sequence[int]) -> bool:
    """Tell whether `shape` is (height, width), (height, width, 1) or (height, width, 3)."""
    return len(shape) >= 2 and min(shape) >= 1 and tuple(shape[2:]) in ((), (1,), (3,))


def guess_image_shape(n_features: int) -> tuple[int, ...] | None:
    """Return the square image that `n_features` numbers make, in grey or in colour, or None.

    Examples
    --------
    >>> guess_image_shape(3072), guess_image_shape(784), guess_image_shape(100001)
    ((32, 32, 3), (28, 28), None)
    """
    for channels, tail in ((1, ()), (3, (3,))):
        side = math.isqrt(n_features // channels)
        if side > 1 and channels * side * side == n_features:
            return (side, side, *tail)
    return None


# --------------------------------------------------------------------------------------- the parts


def _new_figure(size: tuple[float, float]) -> "Figure":
    try:
        from fastnn._figure import Figure
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which is missing: python -m pip install matplotlib"
        ) from error
    return Figure(figsize=size, dpi=120, layout="constrained")


def _two_axes(ax: Any) -> "tuple[Axes, Axes]":
    """Return the axes of the loss and of the scores."""
    try:
        loss_axes, score_axes = ax
        if all(hasattr(axes, "get_figure") for axes in (loss_axes, score_axes)):
            return loss_axes, score_axes
    except (TypeError, ValueError):
        pass
    raise TypeError(
        f"ax is {type_of(ax)}, but needed are two Axes of matplotlib, for the loss and for the "
        "scores: pass for example figure.subplots(2, 1)"
    )


class _Curve(NamedTuple):
    """Scores, or losses, over epochs."""

    label: str
    epochs: np.ndarray
    scores: np.ndarray
    color: str


class _Parts(NamedTuple):
    """What is drawn of a history."""

    losses: np.ndarray
    curves: list[_Curve]
    name: str  #: what the scores are
    per: str = "step"  #: what there is one loss of
    val_loss: np.ndarray = np.empty(0)  #: after each epoch
    kept: int = 0  #: the epoch, from 1 on, that is kept for sure


def _validation(scores: npt.ArrayLike) -> _Curve:
    # Measured at the end of epochs, where TwoLayerNet does it after the first step of one.
    scores = np.asarray(scores, float)
    return _Curve("validation", 1 + np.arange(len(scores)), scores, _ORANGE)


def _parts_of(history: Any) -> _Parts:
    """Return what is drawn of a history, or of who holds one."""
    if isinstance(history, Mapping):
        return _parts_of_dict(history)
    if hasattr(history, "loss_curve_"):
        return _parts_of_estimator(history)
    kind = type(history).__name__
    if hasattr(history, "hidden_layer_sizes"):
        raise ValueError(
            f"{kind} has no loss_curve_: fit it first, by a solver that takes steps, such as 'adam'"
        )
    if not hasattr(history, "history"):
        remedy = unwrapped(history, "pass one of these")
        raise TypeError(
            f"history is {type_of(history)}, but needed is what Trainer.fit or TwoLayerNet.train "
            f"returned, or who holds it, or a fitted perceptron: {remedy}"
        )
    if history.history is None:
        raise ValueError("the history is empty: call train first")
    kept = getattr(history, "best_epoch_", 0)
    return _parts_of_dict(history.history)._replace(kept=kept)


def _parts_of_estimator(estimator: Any) -> _Parts:
    """Return what is drawn of a perceptron that was fitted by steps."""
    scores = getattr(estimator, "validation_scores_", None)
    name = "accuracy" if hasattr(estimator, "classes_") else "R^2"
    if getattr(estimator, "scoring", None) is not None:
        name = "negative loss" if estimator.scoring == "loss" else "score"
    val = getattr(estimator, "validation_loss_curve_", None)
    losses, val_loss = (np.asarray(x, float) for x in (estimator.loss_curve_, val or []))
    return _Parts(losses, [_validation(scores or [])], name, "epoch", val_loss)


def _parts_of_dict(history: Mapping[str, npt.ArrayLike]) -> _Parts:
    """Return what is drawn of what a training returned."""
    if {"step_loss", "val_score"} <= set(history):
        losses, val_loss = (
            np.asarray(history.get(name, []), float) for name in ("step_loss", "val_loss")
        )
        return _Parts(losses, [_validation(history["val_score"])], "score", val_loss=val_loss)
    needed = ("loss_history", "train_acc_history", "val_acc_history")
    if missing := [key for key in needed if key not in history]:
        raise ValueError(
            f"history has the keys {sorted(history)}, but no {' and no '.join(missing)}: pass the "
            "dict that Trainer.fit() or TwoLayerNet.train() returned"
        )
    losses, train, val = (np.asarray(history[key], float) for key in needed)
    curves = [
        _Curve("training (one batch)", np.arange(len(train)), train, _GREY),
        _Curve("validation", np.arange(len(val)), val, _ORANGE),
    ]
    return _Parts(losses, curves, "accuracy")


def _draw_loss(axes: "Axes", parts: _Parts) -> None:
    losses, per = parts.losses, parts.per
    finite = np.isfinite(losses)
    # Steps count from 0, epochs from 1.
    steps = np.arange(len(losses)) + (per == "epoch")
    shown = _drawable(losses)
    # A mark for the single step, which no line could show.
    marker = "o" if np.count_nonzero(finite) == 1 else None
    window = len(losses) // 50
    noisy = window > 1 and bool(finite.all())
    axes.plot(
        steps,
        shown,
        color=_BLUE,
        alpha=0.35 if noisy else 1.0,
        linewidth=0.8 if noisy else 1.3,
        marker=marker,
        label=f"each {per}",
    )
    if noisy:
        smooth = np.convolve(shown, np.full(window, 1 / window), "valid")
        middle = steps[: len(smooth)] + (window - 1) / 2
        axes.plot(middle, smooth, color=_BLUE, linewidth=1.8, label=f"mean of {window} {per}s")
    if not finite.all():
        first = int(steps[np.argmin(finite)])
        axes.axvline(
            first, color=_GREY, linestyle="--", linewidth=1.3, label=f"not finite at {per} {first}"
        )
    has_val = _draw_validation_loss(axes, parts)
    positive = shown[shown > 0]
    if positive.size and positive.max() > 100 * positive[0]:
        axes.set_yscale("log")  # it explodes: a linear axis would show the last steps alone
    axes.set(title="Loss", xlabel=per.capitalize(), ylabel="Loss")
    _finish(axes, legend=noisy or has_val or not finite.all())


def _drawable(values: np.ndarray) -> np.ndarray:
    """Return losses or scores with NaN, which is left out, for what is not finite."""
    return np.where(np.isfinite(values), np.clip(values, -_HIGHEST, _HIGHEST), np.nan)


def _draw_validation_loss(axes: "Axes", parts: _Parts) -> bool:
    """Draw the loss on the validation set, and mark an epoch; tell whether there is any."""
    finite = np.isfinite(parts.val_loss)
    if not finite.any():
        return False
    epochs = 1 + np.arange(len(finite))
    # How many steps an epoch has is not recorded: one that Ctrl-C has cut stretches the line a bit.
    places = epochs if parts.per == "epoch" else epochs * (len(parts.losses) // len(epochs)) - 1
    shown = _drawable(parts.val_loss)
    marker = "o" if np.count_nonzero(finite) == 1 else None
    axes.plot(
        places, shown, color=_ORANGE, linewidth=1.6, marker=marker, markersize=4, label="validation"
    )
    best = parts.kept or 1 + int(np.nanargmin(shown))
    label = f"{'kept' if parts.kept else 'lowest'}, after epoch {best}"
    dot = [places[best - 1]], [shown[best - 1]]
    axes.plot(*dot, color=_ORANGE, linestyle="", marker="o", markersize=7, label=label)
    return True


def _draw_scores(axes: "Axes", curves: Sequence[_Curve], name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for curve in curves:
        marker = "o" if len(curve.scores) <= 30 else None
        axes.plot(
            curve.epochs,
            _drawable(curve.scores),
            color=curve.color,
            linewidth=1.6,
            marker=marker,
            markersize=4,
            label=curve.label,
        )
    name = name.replace("^2", "²")
    title = ylabel = name[0].upper() + name[1:]
    if len(curves) == 1:
        title = f"{curves[0].label.capitalize()} {name}"
    axes.set(title=title, xlabel="Epoch", ylabel=ylabel)
    if not any(np.isfinite(curve.scores).any() for curve in curves):
        axes.text(0.5, 0.5, "none was measured", transform=axes.transAxes, ha="center")
        axes.set(xticks=[], yticks=[])
        return
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))  # as many as fit
    _finish(axes, legend=len(curves) > 1)


def _finish(axes: "Axes", legend: bool) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.02)
    if legend:
        axes.legend(frameon=False)


_SHAPES = "(height, width), (height, width, 1) or (height, width, 3)"


def _integers(image_shape: Any) -> tuple[int, ...]:
    try:
        return tuple(int(operator.index(size)) for size in image_shape)
    except TypeError:
        raise TypeError(
            f"image_shape is {image_shape!r}, but it is a tuple of integers: pass {_SHAPES}"
        ) from None


def _weight_grid(W1: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Return one image, (height, width) or (height, width, 3), of all columns of `W1`."""
    n_features, n_hidden = W1.shape
    if not is_image_shape(image_shape):
        raise ValueError(f"image_shape is {image_shape}: needed {_SHAPES}")
    if math.prod(image_shape) != n_features:
        guess = guess_image_shape(n_features)
        remedy = f"pass {guess}" if guess else "these weights may not be images"
        raise ValueError(
            f"image_shape {image_shape} has {math.prod(image_shape)} numbers, but the network has "
            f"{n_features} inputs: needed a shape with as many numbers as inputs; {remedy}"
        )
    height, width = image_shape[:2]
    images = np.asarray(W1, np.float64).T.reshape(n_hidden, height, width, -1)
    with np.errstate(over="ignore", invalid="ignore"):
        low = images.min(axis=(1, 2, 3), keepdims=True)
        span = images.max(axis=(1, 2, 3), keepdims=True) - low
        images = (images - low) / np.where(span > 0, span, 1)
    images[~np.isfinite(images).all(axis=(1, 2, 3))] = 1  # as the gaps

    columns = _grid_columns(n_hidden)
    rows = -(-n_hidden // columns)
    gap = max(1, max(height, width) // 16)
    grid = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, images.shape[3]))
    for unit, image in enumerate(images):
        top, left = (unit // columns) * (height + gap), (unit % columns) * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid[:, :, 0] if images.shape[3] == 1 else grid


def _grid_columns(count: int) -> int:
    """Return how many columns make a grid of `count` images nearly square, with few gaps."""
    side = math.isqrt(count - 1) + 1
    return min(range(side, 2 * side + 1), key=lambda columns: (-count % columns, columns))
