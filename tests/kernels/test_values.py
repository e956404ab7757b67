"""Registers as Python sees them while instructions are emitted."""

import pytest


@pytest.mark.parametrize(
    "decide",
    [
        bool,
        lambda z: 1.0 if z > 0.0 else 0.0,
        lambda z: z > 0.0 and z < 3.0,
        lambda z: z > 0.0 or z < -3.0,
        lambda z: not z > 0.0,
        lambda z: -3.0 < z < 3.0,
        lambda z: max(z, -3.0),
        lambda z: min(6.0, z),
        lambda z: z in (0.0, 1.0),
    ],
)
def test_python_cannot_decide_by_a_register(emit, decide):
    with pytest.raises(TypeError, match=r"each lane: use emit\.where\(condition, a, b\), and & in"):
        decide(emit.constant(1.0))
