"""The update of a layer: NumPy's way through memory, and the tile that never goes there."""

from drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE_BLUE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    RED,
    arrow,
    box,
    canvas,
    note,
)

axes = canvas(10.0, 4.4)
note(axes, 0.3, 0.3, "NumPy: every line is a pass over memory", ha="left", size=10.5)
steps = (
    ("X[rows]", "gather:\n$n D$ numbers"),
    ("X[rows].T @ dZ", "$dW$:\n$D H$ numbers"),
    ("dW += l2 * W", "twice\n$D H$ more"),
    ("W -= rate * dW", "and\ntwice again"),
)
for number, (code, text) in enumerate(steps):
    x = 0.3 + number * 2.45
    box(axes, x, 0.55, 1.9, 0.5, code, PALE_GREY, GREY, family="monospace", size=8.5)
    note(axes, x + 0.95, 1.35, text, RED, size=9)
    if number:
        arrow(axes, (x - 0.5, 0.8), (x - 0.05, 0.8), GREY)

note(
    axes,
    0.3,
    2.0,
    "fastnn: for each tile of eight rows and 48 columns of $W$",
    ha="left",
    size=10.5,
)
box(
    axes,
    0.3,
    2.35,
    2.5,
    0.75,
    "sum over the batch\n$X_{ik}\\,dZ_{ij}$, rows read in place",
    PALE_ORANGE,
    ORANGE,
    9,
)
box(axes, 3.75, 2.35, 2.5, 0.75, "tile of $dW$:\n24 vectors of sums", PALE_BLUE, BLUE, 9)
box(
    axes,
    7.2,
    2.35,
    2.5,
    0.75,
    "$w \\leftarrow w - \\eta\\,(g + \\lambda w)$\nor Adam, in vectors",
    PALE_GREEN,
    GREEN,
    9,
)
arrow(axes, (2.85, 2.72), (3.7, 2.72), ORANGE)
arrow(axes, (6.3, 2.72), (7.15, 2.72), BLUE)
box(axes, 7.2, 3.5, 2.5, 0.6, "the tile of $W$ in memory", PALE_GREY, GREY, 9)
arrow(axes, (8.2, 3.48), (8.2, 3.14), GREEN)
arrow(axes, (8.7, 3.14), (8.7, 3.48), GREEN)
note(
    axes, 5.0, 3.8, "each weight is read once and written once;\nno array holds the gradient", GREY
)
