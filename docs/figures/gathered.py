"""Which part of the batch each tile of a weight gradient reads, and from where."""

from drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE_BLUE,
    PALE_GREEN,
    PALE_GREY,
    PALE_ORANGE,
    arrow,
    canvas,
    cell,
    note,
)

axes = canvas(10.0, 3.9)
top, height, parts = 0.7, 2.4, 4
row = height / parts

# The inputs, as they lie in memory, with one block of columns.
cell(axes, 0.3, top, 2.6, height, "", PALE_GREY)
cell(axes, 1.2, top, 0.5, height, "", PALE_BLUE, BLUE)
note(axes, 1.6, top - 0.42, "inputs of the layer", size=9.5)
note(axes, 1.6, top - 0.18, "rows far apart in memory", GREY, size=8.5)

# Gathered: the same columns, row after row.
for i in range(parts):
    chosen = i == 1
    face, edge = (PALE_ORANGE, ORANGE) if chosen else (PALE_BLUE, BLUE)
    cell(axes, 3.9, top + i * row, 0.8, row, "", face, edge)
arrow(axes, (1.75, top + height / 2), (3.85, top + height / 2), BLUE)
note(axes, 3.35, top + height / 2 - 0.2, "gathered", BLUE, size=8.5)
note(axes, 4.3, top - 0.42, "256 bytes to 1 KiB a row", size=9.5)
note(axes, 4.3, top - 0.18, "second level", GREY, size=8.5)

# The gradient of the output, in the columns of one panel.
for i in range(parts):
    chosen = i == 1
    face, edge = (PALE_ORANGE, ORANGE) if chosen else ("white", GREY)
    cell(axes, 5.5, top + i * row, 1.3, row, "", face, edge)
note(axes, 5.1, top + height / 2, "×", size=14)
note(axes, 6.15, top - 0.42, "gradient of the outputs", size=9.5)
note(axes, 6.15, top - 0.18, "a panel's columns", GREY, size=8.5)

# The tiles of the weights that this product adds to.
note(axes, 7.25, top + height / 2, "→", size=14)
for i in range(8):
    face, edge = (PALE_GREEN, GREEN) if i == 2 else ("white", GREY)
    cell(axes, 7.8, top + i * height / 8, 1.3, height / 8, "", face, edge)
note(axes, 8.45, top - 0.42, "tiles of the weights", size=9.5)
note(axes, 8.45, top - 0.18, "their sums so far: first level", GREY, size=8.5)

note(
    axes,
    5.0,
    top + height + 0.32,
    "part of the rows: first level, read by one tile after the other; then the next part",
    ORANGE,
    size=9,
)
