"""A training step of two threads: two phases, and a meeting after each."""

from drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE_BLUE,
    PALE_GREEN,
    arrow,
    box,
    canvas,
    note,
)

axes = canvas(10.0, 3.7)
for thread, y in enumerate((0.75, 1.75)):
    first, stop = (0, 99) if thread == 0 else (100, 199)
    note(axes, 0.75, y + 0.36, f"thread {thread}")
    box(
        axes,
        1.4,
        y,
        3.6,
        0.72,
        f"rows {first} to {stop} of the batch:\nforward, loss, backward",
        PALE_BLUE,
        BLUE,
        9,
    )
    half = "first" if thread == 0 else "second"
    box(
        axes,
        5.4,
        y,
        2.9,
        0.72,
        f"{half} half of the rows of\neach weight matrix: its update",
        PALE_GREEN,
        GREEN,
        9,
    )
    box(axes, 8.7, y, 0.9, 0.72, "next\nbatch", PALE_BLUE, BLUE, 9)
for x in (5.2, 8.5):
    axes.plot([x, x], [0.5, 2.75], color=ORANGE, lw=3, solid_capstyle="butt")
    note(axes, x, 0.3, "meeting", ORANGE)
arrow(axes, (1.4, 3.05), (9.6, 3.05), GREY)
note(axes, 9.6, 3.25, "time", GREY, ha="right")
note(axes, 3.2, 3.35, "everybody reads the weights,\nnobody writes them", BLUE)
note(axes, 6.85, 3.35, "everybody reads all rows,\nwrites its own weights", GREEN)
