"""What the drawings of the book share: colours, boxes and arrows in the coordinates of a figure."""

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

BLUE, ORANGE, GREY, GREEN, RED = "#1f6fb4", "#e07b00", "#8a8a8a", "#2e7d32", "#c62828"
#: Inches of a unit.
SCALE = 0.84
PALE_BLUE, PALE_ORANGE, PALE_GREY, PALE_GREEN = "#dcebf8", "#fdebd5", "#eeeeee", "#e2f1e3"


def canvas(width, height):
    """Return empty axes of so many units, y downwards; texts are large, as pages are narrow."""
    figure = plt.figure(figsize=(SCALE * width, SCALE * height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def box(axes, x, y, width, height, text="", face=PALE_GREY, edge=GREY, size=10, **style):
    """Draw a box with rounded corners and a text in its middle."""
    shape = FancyBboxPatch(
        (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.06", fc=face, ec=edge, lw=1.2
    )
    axes.add_patch(shape)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", size=size, **style)


def cell(axes, x, y, width, height, text="", face="white", edge=GREY, size=9, **style):
    """Draw a plain rectangle with a text in its middle."""
    axes.add_patch(Rectangle((x, y), width, height, fc=face, ec=edge, lw=0.8))
    if text:
        axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", size=size, **style)


def arrow(axes, start, stop, color=GREY, bend=0.0, width=1.4, **style):
    """Draw an arrow from one point to another."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            stop,
            arrowstyle="-|>",
            mutation_scale=11,
            color=color,
            lw=width,
            shrinkA=0,
            shrinkB=0,
            connectionstyle=f"arc3,rad={bend}",
            **style,
        )
    )


def note(axes, x, y, text, color="black", size=9.5, ha="center", va="center", **style):
    """Write a text."""
    axes.text(x, y, text, color=color, size=size, ha=ha, va=va, **style)
