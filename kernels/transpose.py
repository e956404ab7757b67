"""The transposes of packed weights, which take gradients back through a layer.

The rows of a panel become columns: lanes by lanes elements at a time are turned inside of the
registers. The columns of a group lie as the transpose wants them, and are copied.
"""

from llvmlite import ir

from .emitter import INT32, integer, outlined


def _turned(emit, vectors):
    """Return the columns of a square of as many vectors as each has lanes.

    Halves of two rows change places, then quarters, down to single elements: four shuffles for each
    of 16 rows.
    """
    lanes, distance = emit.lanes, emit.lanes // 2
    while distance:
        # Lane c of a pair of rows, the upper one's lanes counted from `lanes` on.
        upper = [c + lanes - distance if c & distance else c for c in range(lanes)]
        lower = [c + lanes if c & distance else c + distance for c in range(lanes)]
        masks = [ir.Constant(ir.VectorType(INT32, lanes), mask) for mask in (upper, lower)]
        turned = list(vectors)
        for i in range(lanes):
            if not i & distance:
                pair = vectors[i], vectors[i + distance]
                turned[i], turned[i + distance] = (
                    emit.builder.shuffle_vector(*pair, mask) for mask in masks
                )
        vectors, distance = turned, distance // 2
    return vectors


def _transpose(emit, W, W_stride, rows, columns, out, out_stride):
    builder, lanes = emit.builder, emit.lanes
    side, nothing = integer(lanes), integer(0)

    def blocks(count):
        return builder.sdiv(builder.add(count, integer(lanes - 1)), side)

    def square(k, j):
        source = emit.at(W, (k, W_stride), (j, emit.size))
        target = emit.at(out, (j, out_stride), (k, emit.size))
        down, across = builder.sub(rows, k), builder.sub(columns, j)
        whole = builder.and_(
            builder.icmp_signed(">=", down, side), builder.icmp_signed(">=", across, side)
        )
        lines = [emit.at(source, (i, W_stride)) for i in range(lanes)]
        places = [emit.at(target, (i, out_stride)) for i in range(lanes)]
        with builder.if_else(whole) as (inside, at_the_edge):
            with inside:
                for value, place in zip(_turned(emit, [emit.load(x) for x in lines]), places):
                    emit.store(value, place)
            with at_the_edge:
                vectors = []
                for i, line in enumerate(lines):
                    there = builder.icmp_signed(">", down, integer(i))
                    vectors.append(emit.load_first(line, builder.select(there, across, nothing)))
                for i, (value, place) in enumerate(zip(_turned(emit, vectors), places)):
                    there = builder.icmp_signed(">", across, integer(i))
                    emit.store_first(value, place, builder.select(there, down, nothing))

    def strip(k_block, _, carried):
        k = builder.mul(k_block, side)

        def block(j_block, _, carried):
            square(k, builder.mul(j_block, side))
            return carried

        emit.loop(nothing, blocks(columns), [], block)
        return carried

    emit.loop(nothing, blocks(rows), [], strip)
    builder.ret_void()


#: ``transpose(like, (W, W_stride, rows, columns, out, out_stride))`` writes ``out[j, k] = W[k, j]``
#: for k below `rows` and j below `columns`, and touches nothing else.
#:
#: Written element by element, transposes took a tenth of a step of 128-512-512-512-10.
transpose = outlined("transpose", 6, set(), _transpose)


def _copy_rows(emit, X, X_stride, rows, count, out, out_stride):
    def row(i, _, carried):
        source, target = emit.at(X, (i, X_stride)), emit.at(out, (i, out_stride))

        def elements(load, store, carried):
            store(load(source), target)
            return carried

        emit.vectors(count, [], elements)
        return carried

    emit.loop(integer(0), rows, [], row)
    emit.builder.ret_void()


#: ``copy_rows(like, (X, X_stride, rows, count, out, out_stride))`` copies `count` elements of each
#: of some rows.
copy_rows = outlined("copy_rows", 6, set(), _copy_rows)
