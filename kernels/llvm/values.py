"""What a register holds: operators emit the instruction that computes the result."""

from llvmlite import ir

INT64 = ir.IntType(64)
INT32 = ir.IntType(32)
INT8 = ir.IntType(8)
DOUBLE = ir.DoubleType()


class Value:
    """A number, a vector of numbers, an address or a truth value; operators emit instructions.

    Python's numbers stand for constants of the type of the other operand, a scalar beside a vector
    for one that holds it in every lane. Comparisons of floating-point numbers are false for NaN,
    those of integers signed. A condition is no Python bool: what it holds is known when it runs.
    """

    __slots__ = ("emit", "ir")

    def __init__(self, emit, value):
        self.emit, self.ir = emit, value

    @property
    def is_float(self):
        """Whether this is a floating-point number, or a vector of them."""
        kind = self.ir.type
        kind = kind.element if isinstance(kind, ir.VectorType) else kind
        return isinstance(kind, (ir.FloatType, ir.DoubleType))

    def like(self, other):
        """Return `other`, a Value or a Python number, in the type of this one."""
        kind = self.ir.type
        if isinstance(other, Value):
            if isinstance(kind, ir.VectorType) and not isinstance(other.ir.type, ir.VectorType):
                return self.emit.splat(other, kind)
            return other
        number = [other] * kind.count if isinstance(kind, ir.VectorType) else other
        return Value(self.emit, ir.Constant(kind, number))

    def _arithmetic(self, other, of_floats, of_integers):
        if isinstance(self.ir.type, ir.VectorType) or not isinstance(other, Value):
            left, right = self, self.like(other)
        else:
            left, right = other.like(self), other
        builder = self.emit.builder
        if left.is_float:
            result = getattr(builder, of_floats)(left.ir, right.ir, flags=self.emit.flags)
        else:
            result = getattr(builder, of_integers)(left.ir, right.ir)
        return Value(self.emit, result)

    def __add__(self, other):
        return self._arithmetic(other, "fadd", "add")

    def __sub__(self, other):
        return self._arithmetic(other, "fsub", "sub")

    def __mul__(self, other):
        return self._arithmetic(other, "fmul", "mul")

    def __truediv__(self, other):
        return self._arithmetic(other, "fdiv", None)

    def __radd__(self, other):
        return self.like(other) + self

    def __rsub__(self, other):
        return self.like(other) - self

    def __rmul__(self, other):
        return self.like(other) * self

    def __rtruediv__(self, other):
        return self.like(other) / self

    def __neg__(self):
        if self.is_float:
            return Value(self.emit, self.emit.builder.fneg(self.ir))
        return Value(self.emit, self.emit.builder.neg(self.ir))

    def __abs__(self):
        """Return the absolute values of a vector of floating-point numbers."""
        return self.emit.absolute(self)

    def _of_integers(self, other, name):
        return Value(self.emit, getattr(self.emit.builder, name)(self.ir, self.like(other).ir))

    def __and__(self, other):
        return self._of_integers(other, "and_")

    def __or__(self, other):
        return self._of_integers(other, "or_")

    def __xor__(self, other):
        return self._of_integers(other, "xor")

    def __lshift__(self, other):
        return self._of_integers(other, "shl")

    def __rshift__(self, other):
        return self._of_integers(other, "ashr")

    def __floordiv__(self, other):
        """Divide integers that are not negative."""
        return self._of_integers(other, "udiv")

    def shifted_down(self, other):
        """Shift an integer's bits down, zeros coming in at the top."""
        return self._of_integers(other, "lshr")

    def _compared(self, sign, other):
        builder = self.emit.builder
        compare = builder.fcmp_ordered if self.is_float else builder.icmp_signed
        return Value(self.emit, compare(sign, self.ir, self.like(other).ir))

    def __lt__(self, other):
        return self._compared("<", other)

    def __le__(self, other):
        return self._compared("<=", other)

    def __gt__(self, other):
        return self._compared(">", other)

    def __ge__(self, other):
        return self._compared(">=", other)

    def __eq__(self, other):
        return self._compared("==", other)

    def __ne__(self, other):
        return self._compared("!=", other)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self):
        raise TypeError(
            "a condition holds for each lane: use emit.where(condition, a, b), "
            "and & in place of `and`"
        )

    def is_below_unsigned(self, other):
        """Compare integers without a sign."""
        compared = self.emit.builder.icmp_unsigned("<", self.ir, self.like(other).ir)
        return Value(self.emit, compared)
