"""Images as bytes: scaled and centred on their way into the batch, so that no float copy exists."""

from typing import NamedTuple

from .llvm.functions import outlined


class ScaleBytes(NamedTuple):
    """What :func:`scale_bytes` takes."""

    X: int  #: address of the bytes
    elements: int
    factor: int  #: address of a number for each byte
    summand: int  #: address of a number for each byte
    out: int  #: address of as many numbers


@outlined(ScaleBytes)
def scale_bytes(emit, f):
    """Write ``X factor + summand`` for some bytes: `elements` elements of `out`, and no more."""

    def vector(j):
        place = j * emit.size
        factor, summand = emit.load(f.factor + place), emit.load(f.summand + place)
        value = emit.fma(emit.load_bytes(f.X + j, emit.lanes), factor, summand)
        emit.store(value, f.out + place)

    def one(j):
        # The same multiply-add, in the first lane: a processor without one may round differently.
        place = j * emit.size
        factor, summand = (
            emit.splat(emit.load_scalar(base + place)) for base in (f.factor, f.summand)
        )
        value = emit.fma(emit.splat(emit.load_bytes(f.X + j)), factor, summand)
        emit.store(emit.lane(value, 0), f.out + place)

    done = emit.steps(0, f.elements, emit.lanes, vector)
    emit.steps(done, f.elements, 1, one)
    emit.returns()
