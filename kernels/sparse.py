"""The first layer's kernels for sparse input: rows in CSR form, which are never densified.

A product then costs one multiply-add of a row of W for each non-zero, with a row of sums in
registers, and the gradient the same into a row of W. Both visit the columns in blocks, so that the
rows of W at hand stay in a cache: each row of the batch has a *cursor*, the position of its next
non-zero, which a block leaves where the following one goes on. A sum runs over the columns, or over
the rows of the batch, in ascending order, so any division into blocks gives the same bits.

In memory, W has K rows of `across` whole vectors, zeros behind the last column. Cursors, and where
a row ends, are int64 positions in the int32 `indices`, ascending in each row, and in the `values`.
"""

from ._jit import kernel, shared
from .emitter import INT32, INT64, VECTOR_BYTES, integer, outlined
from .machine import FIRST_LEVEL, address_of, cast_like

#: Vectors of W that are taken at a time: so many sums, or so many of the gradient's factors, stay
#: in registers, and wider layers walk over the non-zeros again. 100 columns as 7 vectors cost 9.2
#: cycles a non-zero on a Zen 4 core, of which multiply-adds need 7.
CHUNK = 8
#: Bytes of W that stay in the first-level cache, and in the second, beside all else. On a Zen 4
#: core (32 KiB), 64 columns of 448 bytes fit: of dense rows they cost 9.2 cycles a non-zero, and 96
#: columns 14.7. On a Zen 5 core (48 KiB, and a fast second level), 96 columns take a step
#: on 200 digits from 172 to 155 us, and 137 columns to 148.
NEAR = (28 if FIRST_LEVEL < 48 << 10 else 60) << 10
FAR = 512 << 10


def _chunks(emit, across, body):
    """Run ``body(width, offset, last)`` for each chunk of `across` vectors, as even as they go.

    `width` is a Python int, 1..CHUNK; `offset` is in bytes, `last` says whether no chunk follows.
    """
    builder = emit.builder
    entry = builder.block
    names = ("head", "choose", "tail", "done")
    head, choose, tail, done = (builder.append_basic_block(f"chunk.{name}") for name in names)
    widths = {w: builder.append_basic_block(f"width.{w}") for w in range(1, CHUNK + 1)}
    builder.branch(head)

    builder.position_at_end(head)
    v = builder.phi(INT64)
    v.add_incoming(integer(0), entry)
    left = builder.sub(across, v)
    builder.cbranch(builder.icmp_signed(">", left, integer(0)), choose, done)

    builder.position_at_end(choose)
    pieces = builder.udiv(builder.add(left, integer(CHUNK - 1)), integer(CHUNK))
    width = builder.udiv(builder.add(left, builder.sub(pieces, integer(1))), pieces)
    last = builder.icmp_signed("==", pieces, integer(1))
    offset = builder.mul(v, integer(VECTOR_BYTES))
    choice = builder.switch(width, widths[CHUNK])
    for w, block in widths.items():
        if w < CHUNK:
            choice.add_case(integer(w), block)
        builder.position_at_end(block)
        body(w, offset, last)
        builder.branch(tail)

    builder.position_at_end(tail)
    v.add_incoming(builder.add(v, width), tail)
    builder.branch(head)
    builder.position_at_end(done)


class _Row:
    """The non-zeros of row i of the batch that are left to visit."""

    def __init__(self, emit, i, cursor, end, indices):
        self.emit, self.indices = emit, indices
        self.cursor = emit.at(cursor, (i, 8))
        self.start = emit.load_address(self.cursor)
        self.end = emit.load_address(emit.at(end, (i, 8)))

    def column(self, p):
        """Return the column of the non-zero at position p."""
        builder = self.emit.builder
        return builder.sext(builder.load(builder.gep(self.indices, [p])), INT64)

    def visit(self, k1, last, carried, body):
        """Run ``carried = body(p, k, carried)`` for the non-zeros in front of column k1.

        The cursor moves behind them if this is the `last` chunk. Returns what was carried.

        The columns are looked at as they come. To prefetch the rows of W of later ones gained
        little where W is in the third-level cache (200 non-zeros of 20,000 columns: 242 to 227 us
        for 200 rows) and cost much where it is in the first (88 to 116 us for digits).
        """
        builder = self.emit.builder
        entry = builder.block
        names = ("head", "look", "body", "done")
        head, look, inside, done = (builder.append_basic_block(f"nonzero.{x}") for x in names)
        builder.branch(head)

        builder.position_at_end(head)
        p = builder.phi(INT64)
        p.add_incoming(self.start, entry)
        values = [builder.phi(value.type) for value in carried]
        for phi, value in zip(values, carried, strict=True):
            phi.add_incoming(value, entry)
        builder.cbranch(builder.icmp_signed("<", p, self.end), look, done)

        # The position behind the last non-zero may be behind the last of the array.
        builder.position_at_end(look)
        k = self.column(p)
        builder.cbranch(builder.icmp_signed("<", k, k1), inside, done)

        builder.position_at_end(inside)
        following = body(p, k, values)
        p.add_incoming(builder.add(p, integer(1)), builder.block)
        for phi, value in zip(values, following, strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)

        builder.position_at_end(done)
        self.emit.store(builder.select(last, p, self.start), self.cursor)
        return values


def _csr_multiply(
    emit, cursor, end, indices, values, first, stop, k1, start, W, across, out, out_stride
):
    builder, step = emit.builder, VECTOR_BYTES
    columns, elements = emit.pointer(indices, INT32), emit.pointer(values)
    length = builder.mul(across, integer(step))
    continuing = builder.icmp_signed("==", start, integer(0))

    def chunk(width, offset, last):
        weights, places = emit.at(W, offset), [integer(v * step) for v in range(width)]

        def one_row(i, _, carried):
            target = emit.at(out, (i, out_stride), offset)
            source = builder.select(continuing, target, emit.at(start, offset))
            # Before the row's cursor is: the other way round takes 98 instead of 90 us for digits.
            sums = [emit.load(emit.at(source, place)) for place in places]
            row = _Row(emit, i, cursor, end, columns)

            def nonzero(p, k, sums):
                value = emit.splat(builder.load(builder.gep(elements, [p])))
                line = emit.at(weights, (k, length))
                return [
                    emit.fma(value, emit.load(emit.at(line, place)), total)
                    for total, place in zip(sums, places, strict=True)
                ]

            sums = row.visit(k1, last, sums, nonzero)
            for total, place in zip(sums, places, strict=True):
                emit.store(total, emit.at(target, place))
            return carried

        emit.loop(first, stop, [], one_row)

    _chunks(emit, across, chunk)
    builder.ret_void()


#: ``csr_multiply(like, (cursor, end, indices, values, first, stop, k1, start, W, across, out,
#: out_stride))`` adds the non-zeros of rows first..stop in columns below k1, times their rows of W,
#: to the `across` vectors at `start`, the biases, or where that is 0 to what is at
#: ``out + i out_stride``, which receives the sum. Cursors move to the first column not below k1.
csr_multiply = outlined("csr_multiply", 12, set(), _csr_multiply)


def _csr_outer(
    emit, rows, cursor, end, indices, values, k0, k1, dZ, dZ_stride, factor, target, across
):
    builder, step = emit.builder, VECTOR_BYTES
    columns, elements = emit.pointer(indices, INT32), emit.pointer(values)
    length = builder.mul(across, integer(step))
    origin = builder.sub(target, builder.mul(k0, length))

    def chunk(width, offset, last):
        base, places = emit.at(origin, offset), [integer(v * step) for v in range(width)]

        def one_row(i, _, carried):
            source = emit.at(dZ, (i, dZ_stride), offset)
            gradient = [emit.load(emit.at(source, place)) for place in places]
            row = _Row(emit, i, cursor, end, columns)

            def nonzero(p, k, _):
                # Stores bound this loop, at two cycles each for vectors of 64 bytes. Two rows of
                # the batch at once, merged by column so that a common one is stored once, need
                # fewer, but the merge costs as much: 159 instead of 149 us for 200 digits.
                value = builder.fmul(factor, builder.load(builder.gep(elements, [p])))
                value, line = emit.splat(value), emit.at(base, (k, length))
                for d, place in zip(gradient, places, strict=True):
                    there = emit.at(line, place)
                    emit.store(emit.fma(value, d, emit.load(there)), there)
                return []

            row.visit(k1, last, [], nonzero)
            return carried

        emit.loop(integer(0), rows, [], one_row)

    _chunks(emit, across, chunk)
    builder.ret_void()


#: ``csr_outer(like, (rows, cursor, end, indices, values, k0, k1, dZ, dZ_stride, factor, target,
#: across))`` adds ``(factor value) dZ[i]`` to row ``k - k0`` at `target`, `across` vectors a row,
#: for each non-zero of rows 0..rows in columns k from the cursor (not below k0) to k1. `target` is
#: a tile of zeros, or with a factor of -learning_rate the weights themselves, of which only the
#: rows that have a non-zero are touched. Cursors move to the first column not below k1.
csr_outer = outlined("csr_outer", 12, {9}, _csr_outer)


def _csr_seek(emit, cursor, begin, end, indices, rows, k0):
    builder = emit.builder
    columns = emit.pointer(indices, INT32)

    def one_row(i, _, carried):
        row = _Row(emit, i, begin, end, columns)
        length = builder.sub(row.end, row.start)
        entry = builder.block
        names = ("head", "body", "done")
        head, inside, done = (builder.append_basic_block(f"seek.{name}") for name in names)
        builder.branch(head)

        builder.position_at_end(head)
        low, count = builder.phi(INT64), builder.phi(INT64)
        low.add_incoming(row.start, entry)
        count.add_incoming(length, entry)
        builder.cbranch(builder.icmp_signed(">", count, integer(0)), inside, done)

        builder.position_at_end(inside)
        half = builder.ashr(count, integer(1))
        middle = builder.add(low, half)
        before = builder.icmp_signed("<", row.column(middle), k0)
        behind = builder.add(middle, integer(1))
        rest = builder.sub(builder.sub(count, half), integer(1))
        low.add_incoming(builder.select(before, behind, low), inside)
        count.add_incoming(builder.select(before, rest, half), inside)
        builder.branch(head)

        builder.position_at_end(done)
        emit.store(low, emit.at(cursor, (i, 8)))
        return carried

    emit.loop(integer(0), rows, [], one_row)
    builder.ret_void()


#: ``csr_seek(like, (cursor, begin, end, indices, rows, k0))`` sets the cursors of rows 0..rows to
#: the first position in begin..end whose column is not below k0, by bisection.
csr_seek = outlined("csr_seek", 6, set(), _csr_seek)


@shared
def csr_block_columns(nonzeros, K, across):
    """Return how many columns to visit at a time.

    Blocks of columns keep their rows of W in a cache until all rows of the batch have used them,
    but each costs every row of the batch about 25 cycles (a mispredicted end of a loop, loads and
    stores of its sums). Measured with 100 columns of float32, for 200 rows on a Zen 4 core: blocks
    for the first-level cache (64 columns) against one block of 784 take 87 against 119 us where
    they hold 13 non-zeros a row, 55 against 62 with 6, 35 against 32 with 3; blocks for the second
    (1,000) against one of 20,000 take 407 against 510 us with 20, 229 against 246 with 10, 136
    against 119 with 5. The gradient depends less on them (148 to 155 us for digits).

    Parameters
    ----------
    nonzeros : float
        Non-zeros in a row of the input, on average.
    K : int
        Columns of the input.
    across : int
        Vectors in a row of W.

    Returns
    -------
    int
        In 1..K, or 1 if K is 0: all blocks but the last have this width.
    """
    if K <= 1:
        return 1
    pieces = max((across + CHUNK - 1) // CHUNK, 1)
    row = max((across + pieces - 1) // pieces, 1) * VECTOR_BYTES
    for cache, enough in ((NEAR, 5), (FAR, 10)):
        width = cache // row
        if width < K and nonzeros * width >= enough * K:
            blocks = (K + width - 1) // width
            return (K + blocks - 1) // blocks
    return K


@kernel
def _place_cursors(X, rows, positions):
    """Write where each row of the batch begins and ends; return its non-zeros on average."""
    indptr, total = X[0], 0
    for i in range(len(rows)):
        positions[0, i] = indptr[rows[i]]
        positions[1, i] = indptr[rows[i] + 1]
        total += positions[1, i] - positions[0, i]
    return total / max(len(rows), 1)


@kernel
def csr_affine(X, rows, W, b, relu, positions, padded, out):
    """Write ``X[rows] W + b``, through the ReLU if `relu`, into `out`, for a sparse X.

    Parameters
    ----------
    X : tuple of ndarray
        ``(indptr, indices, values)`` of a CSR matrix of shape (n_samples, K); only read. `indices`
        are int32, ascending in each row without duplicates, `values` of the dtype of `W`.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    W : ndarray of shape (K, N)
        float32 or float64; any layout.
    b : ndarray of shape (N,)
    relu : bool
    positions : ndarray of shape (2, n)
        Workspace, int64, C-contiguous; overwritten.
    padded : ndarray of shape (K + n + 1, columns)
        Workspace of the dtype of `W`, C-contiguous; overwritten. `columns` is at least N and a
        multiple of 64 bytes: rows of whole vectors for W, the biases and the result.
    out : ndarray of shape (n, N)
        Of the dtype of `W`; written.
    """
    n, (K, N) = len(rows), W.shape
    if n == 0 or N == 0:
        return
    for k in range(K):
        for j in range(padded.shape[1]):
            padded[k, j] = W[k, j] if j < N else 0
    for j in range(padded.shape[1]):
        padded[K, j] = b[j] if j < N else 0
    like, stride = padded[0, 0], padded.strides[0]
    across = stride // VECTOR_BYTES
    block = csr_block_columns(_place_cursors(X, rows, positions), K, across)
    places = (address_of(positions), address_of(positions) + 8 * n, address_of(X[1]))
    weights = address_of(padded)
    start, result = weights + K * stride, weights + (K + 1) * stride
    for k in range(0, max(K, 1), block):
        batch = (*places, address_of(X[2]), 0, n, min(k + block, K))
        csr_multiply(like, (*batch, start, weights, across, result, stride))
        start = 0
    for i in range(n):
        for j in range(N):
            value = padded[K + 1 + i, j]
            # The comparison is false for NaN, which stays.
            out[i, j] = 0 if relu and value < 0 else value


@kernel
def csr_affine_backward_weights(X, rows, dZ, positions, padded, dW, db):
    """Write the gradients of :func:`csr_affine`'s parameters: ``X[rows]^T dZ`` and ``sum(dZ)``.

    Parameters
    ----------
    X : tuple of ndarray
        ``(indptr, indices, values)`` of a CSR matrix of shape (n_samples, K); only read. `indices`
        are int32, ascending in each row without duplicates, `values` of the dtype of `dZ`.
    rows : ndarray of shape (n,)
        int64 indices of the batch's rows in X, each in 0..n_samples-1, unchecked.
    dZ : ndarray of shape (n, N)
        Gradient of the output; float32 or float64, any layout.
    positions : ndarray of shape (2, n)
        Workspace, int64, C-contiguous; overwritten.
    padded : ndarray of shape (K + n + 1, columns)
        Workspace as for :func:`csr_affine`; overwritten.
    dW : ndarray of shape (K, N)
        Of the dtype of `dZ`; written.
    db : ndarray of shape (N,)
        Written.
    """
    n, (K, N) = len(rows), dW.shape
    if N == 0:
        return
    for k in range(K):
        for j in range(padded.shape[1]):
            padded[k, j] = 0
    for j in range(N):
        db[j] = 0
    for i in range(n):
        for j in range(padded.shape[1]):
            padded[K + i, j] = dZ[i, j] if j < N else 0
        for j in range(N):
            db[j] += dZ[i, j]
    like, stride = padded[0, 0], padded.strides[0]
    across = stride // VECTOR_BYTES
    block = csr_block_columns(_place_cursors(X, rows, positions), K, across)
    places = (address_of(positions), address_of(positions) + 8 * n, address_of(X[1]))
    target, one = address_of(padded), cast_like(like, 1.0)
    gradient = target + K * stride
    for k in range(0, K, block):
        batch = (n, *places, address_of(X[2]), k, min(k + block, K), gradient, stride, one)
        csr_outer(like, (*batch, target + k * stride, across))
    for k in range(K):
        for j in range(N):
            dW[k, j] = padded[k, j]
