"""Pictures of a training run: its loss and scores, and the weights of the first layer.

matplotlib is imported where it is used, and only its object-oriented side: no window, no display,
no global state. A figure that is the last line of a notebook's cell shows itself; save it with
``figure.savefig``.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#1f6fb4", "#e07b00", "#8a8a8a"


def plot_history(
    history: Mapping[str, npt.ArrayLike],
    ax: "Sequence[Axes] | None" = None,
    *,
    score: str | None = None,
) -> "Figure":
    """Plot the loss over the steps and, below it, the scores over the epochs.

    Parameters
    ----------
    history : dict
        What :meth:`fastnn.Trainer.fit` returns, of which ``step_loss`` and ``val_score`` are drawn;
        or :meth:`fastnn.TwoLayerNet.train`: ``loss_history``, ``train_acc_history`` and
        ``val_acc_history``. Losses may be NaN or infinite: a line marks where that begins.
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
    ValueError
        If `history` is of neither kind.
    ImportError
        If matplotlib is missing.
    """
    losses, curves, name = _parts_of(history)
    if ax is None:
        figure = _new_figure((8.0, 7.0))
        loss_axes, score_axes = figure.subplots(2, 1)
    else:
        loss_axes, score_axes = ax
        figure = cast("Figure", loss_axes.get_figure(root=True))
    _draw_loss(loss_axes, np.asarray(losses, float))
    _draw_scores(score_axes, curves, score or name)
    return figure


def plot_weights(net: Any, image_shape: Sequence[int] = (32, 32, 3)) -> "Figure":
    """Show the weights of each unit of the first layer as an image; all in one grid.

    Parameters
    ----------
    net : Network or TwoLayerNet
        The network; only its first weights, of shape (n_features, n_units), are used.
    image_shape : tuple of int, default (32, 32, 3)
        What a row of X is an image of: (height, width) or (height, width, channels), with one
        channel (grey) or three (colour).

    Returns
    -------
    matplotlib.figure.Figure
        The grid, each image scaled to 0..1 on its own, as in CS231n.

    Raises
    ------
    ValueError
        If `image_shape` is no image shape, or does not hold n_features numbers.
    ImportError
        If matplotlib is missing.
    """
    W1 = first_weights(net)
    grid = _weight_grid(W1, tuple(image_shape))
    height, width = grid.shape[:2]
    figure = _new_figure((8.0, 8.0 * height / width + 0.25))
    axes = figure.subplots()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    size = " x ".join(map(str, image_shape))
    axes.set_title(f"Weights of the {W1.shape[1]} units of the first layer, {size}", fontsize=11)
    return figure


def first_weights(net: Any) -> np.ndarray:
    """Return the weights of the first layer of a Network or a TwoLayerNet."""
    return net.coefs_[0] if hasattr(net, "coefs_") else net.params["W1"]


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


class _Curve(NamedTuple):
    """Scores over epochs."""

    label: str
    epochs: np.ndarray
    scores: np.ndarray
    color: str


def _parts_of(history: Mapping[str, npt.ArrayLike]) -> tuple[Any, list[_Curve], str]:
    """Return the losses, the curves of the scores, and what these are."""
    if {"step_loss", "val_score"} <= set(history):
        scores = np.asarray(history["val_score"], float)
        # Measured at the end of epochs, where TwoLayerNet does it after the first step of one.
        return (
            history["step_loss"],
            [_Curve("validation", 1 + np.arange(len(scores)), scores, _ORANGE)],
            "score",
        )
    needed = ("loss_history", "train_acc_history", "val_acc_history")
    if missing := [key for key in needed if key not in history]:
        raise ValueError(
            f"history has the keys {sorted(history)}, but no {' and no '.join(missing)}: pass the "
            "dict that Trainer.fit() or TwoLayerNet.train() returned"
        )
    losses, train, val = (np.asarray(history[key], float) for key in needed)
    return (
        losses,
        [
            _Curve("training (one batch)", np.arange(len(train)), train, _GREY),
            _Curve("validation", np.arange(len(val)), val, _ORANGE),
        ],
        "accuracy",
    )


def _draw_loss(axes: "Axes", losses: np.ndarray) -> None:
    finite = np.isfinite(losses)
    steps = np.arange(len(losses))
    shown = np.where(finite, losses, np.nan)
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
        label="each step",
    )
    if noisy:
        smooth = np.convolve(losses, np.full(window, 1 / window), "valid")
        middle = steps[: len(smooth)] + (window - 1) / 2
        axes.plot(middle, smooth, color=_BLUE, linewidth=1.8, label=f"mean of {window} steps")
    if not finite.all():
        first = int(np.argmin(finite))
        axes.axvline(
            first, color=_ORANGE, linestyle="--", linewidth=1.3, label=f"not finite at step {first}"
        )
    positive = losses[finite & (losses > 0)]
    if positive.size and positive.max() > 100 * positive[0]:
        axes.set_yscale("log")  # it explodes: a linear axis would show the last steps alone
    axes.set(title="Loss", xlabel="Step", ylabel="Loss")
    _finish(axes, legend=noisy or not finite.all())


def _draw_scores(axes: "Axes", curves: Sequence[_Curve], name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    for curve in curves:
        marker = "o" if len(curve.scores) <= 30 else None
        axes.plot(
            curve.epochs,
            np.where(np.isfinite(curve.scores), curve.scores, np.nan),
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


def _weight_grid(W1: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Return one image, (height, width) or (height, width, 3), of all columns of `W1`."""
    n_features, n_hidden = W1.shape
    if not is_image_shape(image_shape):
        raise ValueError(
            f"image_shape is {image_shape}: needed (height, width), (height, width, 1) or "
            "(height, width, 3)"
        )
    if math.prod(image_shape) != n_features:
        guess = guess_image_shape(n_features)
        remedy = f"pass {guess}" if guess else "these weights may not be images"
        raise ValueError(
            f"image_shape {image_shape} has {math.prod(image_shape)} numbers, but the network has "
            f"{n_features} inputs: needed a shape with as many numbers as inputs; {remedy}"
        )
    height, width = image_shape[:2]
    images = np.asarray(W1, np.float64).T.reshape(n_hidden, height, width, -1)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    span = images.max(axis=(1, 2, 3), keepdims=True) - low
    images = (images - low) / np.where(span > 0, span, 1)

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
