"""Which cache each operand of a product is read from."""

from drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    arrow,
    box,
    canvas,
    cell,
    note,
)

axes = canvas(10.0, 3.5)
for y, name, size in (
    (0.3, "registers", "24 vectors of sums"),
    (1.0, "first-level cache", "eight rows of the block"),
    (1.7, "second-level cache", "a block of rows, this panel and the next"),
    (2.4, "third level and memory", "all of the weights, all of the data"),
):
    box(axes, 0.3, y, 4.3, 0.52, face=PALE_GREY)
    note(axes, 0.45, y + 0.17, name, size=9.5, ha="left", weight="bold")
    note(axes, 0.45, y + 0.37, size, GREY, size=8.5, ha="left")

left, top = 5.5, 0.75
for i in range(4):
    face, edge = (PALE_ORANGE, ORANGE) if i == 1 else ("white", GREY)
    cell(axes, left, top + i * 0.5, 1.5, 0.46, "block of rows" if i == 1 else "", face, edge, 8.5)
note(axes, left + 0.75, top - 0.22, "batch", size=9.5)
note(axes, left + 1.78, top + 0.98, "×", size=14)
for j in range(4):
    face, edge = (PALE_GREEN, GREEN) if j == 2 else ("white", GREY)
    text = "panel" if j == 2 else ""
    cell(axes, left + 2.05 + j * 0.5, top, 0.46, 1.96, text, face, edge, 8.5, rotation=90)
note(axes, left + 3.05, top - 0.22, "weights", size=9.5)
arrow(axes, (left + 2.1, top + 2.15), (left + 4.0, top + 2.15), BLUE)
note(axes, left + 3.05, top + 2.35, "panel after panel", BLUE)
arrow(axes, (left - 0.2, top + 0.55), (left - 0.2, top + 1.5), ORANGE)
note(axes, left - 0.33, top + 1.0, "then the next block", ORANGE, rotation=90, size=8.5)
