"""The register tile: eight rows by three vectors of sums, fed by eleven loads a step."""

from drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE_BLUE,
    PALE_GREEN,
    PALE_ORANGE,
    arrow,
    canvas,
    cell,
    note,
)

axes = canvas(10.0, 4.9)
rows, vectors, width, height, left, top = 8, 3, 1.7, 0.34, 3.6, 1.75

for v in range(vectors):
    x = left + v * width
    cell(axes, x, 0.85, width - 0.08, height, f"W[k, {16 * v}:{16 * v + 16}]", PALE_GREEN, GREEN)
    arrow(axes, (x + width / 2 - 0.04, 1.24), (x + width / 2 - 0.04, top - 0.06), GREEN)
    for m in range(rows):
        y = top + m * height
        cell(axes, x, y, width - 0.08, height - 0.05, f"sums {m}, {v}", PALE_BLUE, BLUE)
for m in range(rows):
    y = top + m * height
    cell(axes, 2.05, y, 0.95, height - 0.05, f"A[rows[{m}], k]", PALE_ORANGE, ORANGE, size=7.5)
    arrow(axes, (3.05, y + 0.14), (3.55, y + 0.14), ORANGE)

note(axes, left + 2.5, 0.5, "one row of the panel: three vectors of 16 weights, three loads", GREEN)
note(
    axes,
    1.0,
    top + 1.0,
    "one element of\neach of eight rows,\nthrough a table of\n"
    "their addresses:\neight loads, each\ncopied to all lanes",
    ORANGE,
)
note(
    axes,
    left + 2.5,
    top + rows * height + 0.22,
    "24 registers of sums: 24 fused multiply-adds for 11 loads, then k + 1",
    BLUE,
)
note(axes, 9.35, top + 1.3, "bias before\nthe first k,\nReLU after\nthe last,\none store", GREY)
