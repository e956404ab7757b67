"""The two-layer network as a circuit: values to the right, gradients to the left."""

from drawing import (
    BLUE,
    GREEN,
    ORANGE,
    PALE_BLUE,
    PALE_ORANGE,
    RED,
    arrow,
    box,
    canvas,
    note,
)

axes = canvas(11.0, 5.3)

# Which gates the compiled loop computes as one.
for x, width, text in (
    (1.25, 3.4, "one kernel: the product, its bias and the ReLU\nnever leave the registers"),
    (7.2, 2.35, "one kernel: softmax and cross-entropy,\nwhose gradient takes the scores' place"),
):
    box(axes, x, 1.55, width, 1.75, face=PALE_BLUE, edge=BLUE)
    note(axes, x + width / 2, 1.2, text, BLUE, size=9)

Y = 2.45
gates = {
    "affine 1": (1.55, 1.35, "affine\n$X W_1 + b_1$"),
    "relu": (3.55, 0.95, "ReLU\n$\\max(0, Z)$"),
    "affine 2": (5.3, 1.3, "affine\n$A W_2 + b_2$"),
    "softmax": (7.35, 0.9, "softmax"),
    "entropy": (8.6, 0.8, "cross-\nentropy"),
}
for x, width, text in gates.values():
    box(axes, x, Y - 0.42, width, 0.84, text, face="white", size=9.5)
box(axes, 10.1, Y - 0.3, 0.45, 0.6, "$+$", face="white", size=13)

wires = (
    (0.55, 1.55, "$X$\n$n{\\times}D$", None),
    (2.9, 3.55, "$Z$\n$n{\\times}H$", "$dZ$"),
    (4.5, 5.3, "$A$\n$n{\\times}H$", "$dA$"),
    (6.6, 7.35, "$S$\n$n{\\times}C$", "$dS$"),
    (8.25, 8.6, "$P$", None),
    (9.4, 10.1, "", "$1$"),
    (10.55, 10.95, "$L$", "$1$"),
)
outside = {4.5: 4.98, 6.6: 6.9, 9.4: 9.82}
for start, stop, value, gradient in wires:
    # Where the wire leaves a frame, its names stand outside of it.
    middle = outside.get(start, (start + stop) / 2)
    arrow(axes, (start, Y - 0.12), (stop, Y - 0.12), GREEN)
    note(axes, middle, Y - 0.45, value, GREEN, size=9)
    if gradient:
        arrow(axes, (stop, Y + 0.14), (start, Y + 0.14), RED)
        note(axes, middle, Y + 0.36, gradient, RED, size=9)
note(axes, 0.35, Y - 0.12, "data", GREEN, size=9)

# The parameters, below the gates that use them, and what becomes of their gradients.
for x, W, b, shape, gradient in (
    (2.225, "W_1", "b_1", "$D{\\times}H$", "$dW_1 = X^\\top dZ$"),
    (5.825, "W_2", "b_2", "$H{\\times}C$", "$dW_2 = A^\\top dS$"),
):
    box(axes, x - 0.95, 3.95, 1.9, 0.85, face=PALE_ORANGE, edge=ORANGE)
    note(axes, x, 4.2, f"${W}, {b}$   {shape}", size=9.5)
    note(axes, x, 4.55, f"${W} \\leftarrow {W} - \\eta\\,(d{W} + \\lambda {W})$", size=8.5)
    arrow(axes, (x - 0.2, 3.95), (x - 0.2, Y + 0.42), GREEN)
    arrow(axes, (x + 0.2, Y + 0.42), (x + 0.2, 3.95), RED)
    note(axes, x + 0.3, 3.6, gradient, RED, size=9, ha="left")
note(
    axes,
    4.05,
    5.07,
    "one kernel each: a tile of the gradient is consumed by the update, in registers",
    ORANGE,
    size=9,
)

# The penalty.
box(
    axes,
    8.75,
    3.95,
    1.9,
    0.85,
    "penalty\n$p\\,\\mathrm{reg}\\,(\\sum W_1^2 + \\sum W_2^2)$",
    face="white",
    size=9,
)
arrow(axes, (10.3, 3.95), (10.3, Y + 0.3), GREEN)
arrow(axes, (6.775, 4.375), (8.75, 4.375), GREEN)
note(axes, 7.75, 4.22, "$W_1, W_2$", GREEN, size=9)
note(axes, 0.25, 0.35, "forward: values", GREEN, ha="left")
note(axes, 1.6, 0.35, "backward: gradients of the loss", RED, ha="left")
