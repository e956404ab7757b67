"""Elementary functions as plain arithmetic on vectors; ``np.exp`` in a loop is a scalar call.

``name(emit, x)`` emits the instructions for one vector. All lanes do the same, and selects choose
among results. Every function is within 2 units in the last place of the exact result, for all
numbers of its type, subnormal ones included; NaN stays NaN. The largest errors found with a fused
multiply-add, and without one, are 1.0 and 1.0 of exp, 1.0 and 1.0 of log, 1.8 and 2.0 of tanh, 1.7
and 1.9 of logistic, 1.3 and 1.5 of erf.

The polynomials were fitted in 70-digit arithmetic: least squares on Chebyshev nodes, of the error
relative to the result, with weights that were adapted until the largest errors were level (Lawson,
1961). Coefficients were rounded one by one, the lowest power first, and the others fitted anew
after each. "Error" in a comment is that of the polynomial with its rounded coefficients.
"""

import functools
import math
import struct

#: Bits of the mantissa that are stored, and the bias of the exponent, by the bytes of an element.
_MANTISSA = {4: 23, 8: 52}
_BIAS = {4: 127, 8: 1023}
#: ln 2 in two parts: an exponent times the first one is exact, subnormal numbers' included.
_HIGH = {4: 45426 / 2**16, 8: 3048493539143 / 2**42}
_LOW = {4: 1.4286068203094173e-06, 8: 5.497923018708371e-14}


def as_written(function):
    """Decorate an emission whose operations are not to be merged or put into another order.

    Such are the two steps of a reduction; and what must give the same bits wherever it is emitted.
    """

    @functools.wraps(function)
    def emitted(emit, *arguments):
        with emit.as_written():
            return function(emit, *arguments)

    return emitted


def _polynomial(emit, x, coefficients):
    """Emit Horner's scheme; the constant coefficient comes first."""
    total = emit.constant(coefficients[-1])
    for c in coefficients[-2::-1]:
        total = emit.fma(total, x, c)
    return total


def _bits_of(emit, number):
    """Return the bits of a Python number in the element type."""
    kinds = ("<f", "<i") if emit.size == 4 else ("<d", "<q")
    return struct.unpack(kinds[1], struct.pack(kinds[0], number))[0]


def _with_sign_of(emit, magnitude, x):
    """Return a vector of magnitudes with the signs of x, that of a zero included."""
    sign = emit.bits(x) & (1 << 8 * emit.size - 1)
    return emit.of_bits(emit.bits(magnitude) | sign)


@as_written
def _nearest(emit, value):
    """Round to an integer n, |n| < 2^21: return it, and bits whose lowest are those of n.

    At 3/2 2^mantissa, numbers of the type are one apart: adding that rounds.
    """
    shift = 1.5 * 2.0 ** _MANTISSA[emit.size]
    total = value + shift
    return total - shift, emit.bits(total)


def _power(emit, bits, factor):
    """Return ``2^n factor`` from what :func:`_nearest` returned; `factor` holds powers of two."""
    return emit.of_bits((bits << _MANTISSA[emit.size]) + emit.bits(factor))


# exp(r) = 1 + r + r^2 P(r) for |r| <= 0.35. Errors: 2^-28.1 and 2^-57.7.
_EXP = {
    4: (0.49999994, 0.16666515, 0.041668236, 0.008369384, 0.0013824767),
    8: (
        0.5000000000000012,
        0.16666666666666402,
        0.041666666666515764,
        0.008333333333497816,
        0.001388888894766468,
        0.0001984126950691629,
        2.480148868455107e-05,
        2.7557579139888255e-06,
        2.7631898100158436e-07,
        2.5004556103767067e-08,
    ),
}
#: Where exp is certain to be 0 and inf, and below which it may be no normal number.
_VANISHES = {4: -104.0, 8: -746.0}
_OVERFLOWS = {4: 89.0, 8: 710.0}
_LOWEST = {4: -87.0, 8: -708.0}


@as_written
def _reduced_exp(emit, x):
    """Return exp(r) and bits that end in those of n; x = n ln 2 + r (Cody and Waite, 1980)."""
    n, bits = _nearest(emit, x * (1 / math.log(2)))
    r = emit.fma(n, -_HIGH[emit.size], x)
    r = emit.fma(n, -_LOW[emit.size], r)
    # One instruction more than Horner's scheme to the end, but the product r (1 + ...) would round
    # where there is no fused multiply-add, and by more than r^2 P does.
    series = emit.fma(r * r, _polynomial(emit, r, _EXP[emit.size]), r)
    return series + 1.0, bits


@as_written
def exp(emit, x):
    """Emit exp(x) for a vector."""
    half_range = 2.0 ** (_BIAS[emit.size] // 2 + 1)
    x = emit.at_least(x, _VANISHES[emit.size])
    x = emit.at_most(x, _OVERFLOWS[emit.size])
    series, bits = _reduced_exp(emit, x)
    # 2^n may itself be no normal number where exp(x) is, or is rounded to a subnormal one: multiply
    # by 2^n a, which is normal, then by 1/a. Only the last of the products rounds.
    negative = x < 0.0
    scale = emit.where(negative, emit.constant(half_range), 0.5)
    scaled = series * _power(emit, bits, scale)
    return scaled * emit.where(negative, emit.constant(1 / half_range), 2.0)


@as_written
def exp_nonpositive(emit, x):
    """Emit exp(x) for a vector of x <= 0; 0 below the normal numbers.

    NaN stays NaN, and exp(-inf) is 0. Subnormal results (x < -87 or -708) are flushed to 0, which
    spares the second factor of :func:`exp`: steps of 4-10-3 take 4 to 6 % less (Zen 4).
    """
    lowest = _LOWEST[emit.size]
    series, bits = _reduced_exp(emit, emit.at_least(x, lowest))
    result = series * _power(emit, bits, emit.constant(1.0))
    return emit.where(x < lowest, 0.0, result)


@as_written
def exp_nonpositive_subnormal(emit, x):
    """Emit exp(x) for a vector of x <= 0, down to subnormal results: the bits of :func:`exp`."""
    half_range = 2.0 ** (_BIAS[emit.size] // 2 + 1)
    # Lanes to spare hold -inf: a 0 that is found by rounding takes some processors long.
    vanishes = x < _VANISHES[emit.size]
    series, bits = _reduced_exp(emit, emit.where(vanishes, 0.0, x))
    result = series * _power(emit, bits, emit.constant(half_range)) * (1 / half_range)
    return emit.where(vanishes, 0.0, result)


# log((1 + s) / (1 - s)) = 2 s + s^3 S(s^2) for |s| <= 0.1718. Errors: 2^-30.2 and 2^-59.4.
_LOG = {
    4: (0.66666776, 0.39977565, 0.2987167),
    8: (
        0.6666666666666734,
        0.3999999999941541,
        0.28571428742560306,
        0.22222198526036413,
        0.18183568105728676,
        0.1531392383447665,
        0.14797486613494976,
    ),
}


@as_written
def log(emit, x):
    """Emit the natural logarithm of a vector; -inf at zeros, and NaN below them."""
    mantissa, bias = _MANTISSA[emit.size], _BIAS[emit.size]
    tiny = x < 2.0 ** (1 - bias)
    normal = emit.where(tiny, x * 2.0**mantissa, x)

    # x = 2^e m with m in [sqrt(1/2), sqrt(2)): in bits that begin anew at sqrt(1/2), e is biased.
    lowest, one = _bits_of(emit, math.sqrt(0.5)), _bits_of(emit, 1.0)
    bits = emit.bits(normal) + (one - lowest)
    exponents = bits.shifted_down(mantissa)
    fractions = (bits & ((1 << mantissa) - 1)) + lowest
    # Not every processor converts 64-bit integers: as the mantissa of 2^mantissa they are a float.
    offset = 2.0**mantissa
    e = emit.of_bits(exponents + _bits_of(emit, offset))
    e = e - emit.where(tiny, emit.constant(offset + bias + mantissa), offset + bias)

    # With f = m - 1 and s = f / (2 + f), log(m) = 2 s + s^3 S, and 2 s = f - s f: the rounding of s
    # enters only what is subtracted from f, which is exact.
    f = emit.of_bits(fractions) - 1.0
    s = f / (f + 2.0)
    square = s * s
    rest = emit.fma(square, _polynomial(emit, square, [-c for c in _LOG[emit.size]]), f)
    rest = emit.fma(e, -_LOW[emit.size], s * rest)
    result = emit.fma(e, _HIGH[emit.size], f - rest)

    special = emit.where(x < 0.0, math.nan, x)
    special = emit.where(x == 0.0, -math.inf, special)
    return emit.where((x > 0.0) & (x < math.inf), result, special)


@as_written
def _odds_to_share(emit, t):
    """Return t / (1 + t) for t >= 0.

    It is also t - t^2 / (1 + t), in which the rounding of 1 + t counts for little where t is small.
    """
    quotient = t / (t + 1.0)
    return emit.where(t < 0.5, emit.fma(-t, quotient, t), quotient)


# (exp(2 r) - 1) / 2 = r + r^2 + r^3 P(r) for r in [-0.049, 0.301]. Errors: 2^-31.1 and 2^-61.3.
_TANH = {
    4: (0.66666645, 0.33333227, 0.13342431, 0.043593362, 0.015610142),
    8: (
        0.6666666666666656,
        0.33333333333333987,
        0.13333333333426287,
        0.04444444443019566,
        0.012698412588943402,
        0.0031746075233876647,
        0.0007054221745355186,
        0.00014133444654135398,
        2.4938352359098893e-05,
        5.384985092858748e-06,
    ),
}
#: Above it, tanh rounds to 1.
_SATURATES = {4: 9.1, 8: 19.1}
#: n is rounded down where the fraction is less than 1/2 plus it.
_LATER = 0.36


@as_written
def tanh(emit, x):
    """Emit the hyperbolic tangent of a vector."""
    a = emit.at_most(abs(x), _SATURATES[emit.size])
    # tanh(a) = T / (T + 1) with T = (exp(2 a) - 1) / 2, where a = n ln(2)/2 + r.
    # n becomes 1 later than it would if rounded to the nearest: T is 2^(n-1) - 1/2 plus a multiple
    # of the polynomial, and where the two have different signs, their sum loses digits.
    n, bits = _nearest(emit, emit.fma(a, 2 / math.log(2), -_LATER))
    r = emit.fma(n, -_HIGH[emit.size] / 2, a)
    r = emit.fma(n, -_LOW[emit.size] / 2, r)
    square = r * r
    series = emit.fma(square * r, _polynomial(emit, r, _TANH[emit.size]), square)
    series = r + series
    power = _power(emit, bits, emit.constant(0.5))
    T = emit.fma(power + power, series, power - 0.5)
    return _with_sign_of(emit, _odds_to_share(emit, T), x)


@as_written
def logistic_pair(emit, x):
    """Emit logistic(x), and logistic(-x) = 1 - logistic(x) without the loss of its digits."""
    small = _odds_to_share(emit, exp(emit, -abs(x)))
    large = 1.0 - small
    positive = x >= 0.0
    return emit.where(positive, large, small), emit.where(positive, small, large)


def logistic(emit, x):
    """Emit 1 / (1 + exp(-x)) for a vector."""
    return logistic_pair(emit, x)[0]


# erf(x) = x + x S(x^2) for |x| <= 0.8. Errors: 2^-28.1 and 2^-56.0.
_ERF = {
    4: (0.12837917, -0.37612608, 0.11283166, -0.026822556, 0.0050876676, -0.000654867),
    8: (
        0.12837916709551256,
        -0.37612638903183293,
        0.11283791670930363,
        -0.02686617063983775,
        0.005223977567006555,
        -0.0008548323246575386,
        0.00012055180456569406,
        -1.492168671037659e-05,
        1.6395732262196875e-06,
        -1.567001172551683e-07,
        1.0583822081596089e-08,
    ),
}
# erfc(x) = exp(Q(x)) for x >= 0.8, up to where erf rounds to 1. Errors of erfc, absolute:
# 2^-28.6 and 2^-57.2.
_LOG_ERFC = {
    4: (
        -6.7869885e-05,
        -1.12822,
        -0.6362391,
        -0.10478167,
        0.022646956,
        -0.0031510273,
        0.00020716152,
    ),
    8: (
        -1.984816518457367e-08,
        -1.128378955661264,
        -0.6366207734360217,
        -0.10276990972433206,
        0.019124298441207558,
        0.00021130126108337977,
        -0.0016898629439728297,
        0.0005705833544329282,
        4.944586429624509e-06,
        -9.830227683503478e-05,
        5.7550442684260014e-05,
        -2.0975468267798955e-05,
        5.583801630722234e-06,
        -1.1264546577907123e-06,
        1.7186047124890375e-07,
        -1.9305476868942278e-08,
        1.509573104284395e-09,
        -7.344160815274632e-11,
        1.6738157779515525e-12,
    ),
}
_SMALL_ERF = 0.8
_ERF_SATURATES = {4: 3.95, 8: 5.95}


@as_written
def erf(emit, x):
    """Emit the error function of a vector."""
    a = abs(x)
    small = emit.fma(a, _polynomial(emit, a * a, _ERF[emit.size]), a)
    top = emit.at_most(a, _ERF_SATURATES[emit.size])
    complement = exp_nonpositive(emit, _polynomial(emit, top, _LOG_ERFC[emit.size]))
    large = 1.0 - complement
    return _with_sign_of(emit, emit.where(a < _SMALL_ERF, small, large), x)
