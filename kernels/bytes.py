"""Images as bytes: scaled and centred on their way into the batch, so that no float copy exists."""

from llvmlite import ir

from .emitter import integer, outlined

INT8 = ir.IntType(8)


def _scale_bytes(emit, X, count, factor, summand, out):
    builder = emit.builder
    bytes_vector = ir.VectorType(INT8, emit.lanes)

    def vector(j):
        loaded = builder.load(emit.pointer(emit.at(X, j), bytes_vector))
        loaded.align = 1
        offset = builder.mul(j, integer(emit.size))
        value = builder.uitofp(loaded, emit.vector)
        a, c = emit.load(emit.at(factor, offset)), emit.load(emit.at(summand, offset))
        emit.store(emit.fma(value, a, c), emit.at(out, offset))

    done = emit.steps(integer(0), count, emit.lanes, vector)

    def one(j, _, carried):
        # The same multiply-add, in the first lane: a processor without one may round differently.
        byte = builder.load(emit.pointer(emit.at(X, j), INT8))
        offset = builder.mul(j, integer(emit.size))
        places = (emit.at(base, offset) for base in (factor, summand))
        a, c = (emit.splat(emit.load_scalar(place)) for place in places)
        value = emit.splat(builder.uitofp(byte, emit.scalar))
        emit.store(emit.first(emit.fma(value, a, c)), emit.at(out, offset))
        return carried

    emit.loop(done, count, [], one)
    builder.ret_void()


#: ``scale_bytes(like, (X, count, factor, summand, out))`` writes ``X factor + summand`` for `count`
#: bytes at X, with a factor and a summand for each of them.
scale_bytes = outlined("scale_bytes", 5, set(), _scale_bytes)
