"""Elementary functions as plain arithmetic on vectors; ``np.exp`` in a loop is a scalar call.

They are emitted as LLVM IR without fast-math flags: the two-step subtraction of a range reduction
must not be reassociated.
"""

import math

from llvmlite import ir
from numba.core import cgutils

# exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln(2) / 2; ln 2 in two parts, of which the
# first has trailing zeros, so that n times it is exact (Cody and Waite, 1980). The Taylor series
# ends where its next term is below a quarter of the last bit. Below `lowest`, 2^n is no normal
# number. By the bytes of an element.
_EXP = {
    4: {
        "ln2": (0.693359375, -2.12194440e-4),
        "degree": 7,
        "lowest": -87.0,
        "bias": 127,
        "mantissa": 23,
    },
    8: {
        "ln2": (6.93147180369123816490e-01, 1.90821492927058770002e-10),
        "degree": 13,
        "lowest": -708.0,
        "bias": 1023,
        "mantissa": 52,
    },
}


def exp_nonpositive(emit, x):
    """Emit exp(x) for a vector of x <= 0, within 1 ulp; 0 below the normal numbers.

    NaN stays NaN, and exp(-inf) is 0. Subnormal results (x < -87 or -708) are flushed to 0.
    """
    builder, facts = emit.builder, _EXP[emit.size]

    def constant(number):
        return ir.Constant(emit.vector, [number] * emit.lanes)

    # An unordered comparison would send NaN into the conversion to an integer.
    lowest = constant(facts["lowest"])
    inside = builder.select(builder.fcmp_ordered(">", x, lowest), x, lowest)
    rint = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(emit.vector, [emit.vector]),
        f"llvm.rint.v{emit.lanes}f{8 * emit.size}",
    )
    n = builder.call(rint, [builder.fmul(inside, constant(1 / math.log(2)))])
    high, low = facts["ln2"]
    r = emit.fma(n, constant(-high), inside)
    r = emit.fma(n, constant(-low), r)
    series = constant(1 / math.factorial(facts["degree"]))
    for k in range(facts["degree"] - 1, -1, -1):
        series = emit.fma(series, r, constant(1 / math.factorial(k)))
    integers = ir.VectorType(ir.IntType(8 * emit.size), emit.lanes)
    bias = ir.Constant(integers, [facts["bias"]] * emit.lanes)
    mantissa = ir.Constant(integers, [facts["mantissa"]] * emit.lanes)
    exponent = builder.add(builder.fptosi(n, integers), bias)
    power = builder.bitcast(builder.shl(exponent, mantissa), emit.vector)
    result = builder.fmul(series, power)
    below = builder.fcmp_ordered("<", x, lowest)
    result = builder.select(below, constant(0.0), result)
    return builder.select(builder.fcmp_unordered("uno", x, x), x, result)
