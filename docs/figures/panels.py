"""How the weights lie in memory: panels of 48 columns, and groups of four for what is left."""

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

axes = canvas(10.0, 4.3)
note(axes, 1.9, 0.3, "$W$, as its user sees it: 784 rows of 100", size=10)
left, top, unit, height = 0.4, 0.6, 0.03, 2.6
for first, stop, face, edge in (
    (0, 48, PALE_BLUE, BLUE),
    (48, 96, PALE_GREEN, GREEN),
    (96, 100, PALE_ORANGE, ORANGE),
):
    cell(axes, left + first * unit, top, (stop - first) * unit, height, face=face, edge=edge)
for row in range(3):
    y = top + 0.14 + row * 0.16
    arrow(axes, (left + 0.03, y), (left + 2.97, y), GREY, width=0.7)
note(axes, left + 0.72, top + 1.5, "columns\n0 to 47", BLUE)
note(axes, left + 2.16, top + 1.5, "columns\n48 to 95", GREEN)
note(axes, left + 3.15, top + 1.9, "96 to 99", ORANGE, rotation=90, ha="left")
note(axes, 1.9, 3.75, "a tile of 48 columns would touch\nanother page of memory at every k", GREY)

arrow(axes, (4.0, 1.9), (4.75, 1.9), GREY)
note(axes, 4.37, 1.65, "packed", GREY)

note(axes, 7.4, 0.3, "the same numbers, as the loop keeps them", size=10)
for number, (name, face, edge) in enumerate(
    (("panel 0", PALE_BLUE, BLUE), ("panel 1", PALE_GREEN, GREEN))
):
    y = 0.6 + number * 1.1
    for k in range(4):
        text = f"k = {k}: 48 weights" if k < 3 else "…"
        cell(axes, 5.0 + k * 1.17, y + 0.3, 1.12, 0.42, text, face, edge, size=7.5)
    note(axes, 5.0, y + 0.15, name, edge, ha="left")
note(axes, 5.0, 2.95, "a group", ORANGE, ha="left")
for c in range(4):
    cell(axes, 5.0 + c * 1.17, 3.1, 1.12, 0.42, f"column {96 + c}", PALE_ORANGE, ORANGE, size=7.5)
note(
    axes,
    7.4,
    3.85,
    "front to back: the processor has fetched\nthe next line before it is asked for",
    GREY,
)
