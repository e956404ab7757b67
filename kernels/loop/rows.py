"""The parts of the loop that fetch rows of a batch, multiply sparse ones and drop out."""

from .._jit import part
from ..bytes import ScaleBytes, scale_bytes
from ..csr import CSRMultiply, CSRSeek, csr_multiply, csr_seek
from ..dropout import DropoutRows, dropout_rows
from ..llvm.intrinsics import address_of, cast_like, read, read_integer
from ..losses import SOFTMAX
from . import operations as op
from .operations import fields, holds

#: Added to a step's dropout key for each layer; odd, so that no two layers share a pattern.
LAYER_KEY = 0x2545F4914F6CDD1D


@part
def gather(row, a, constants, source, item, listed):
    """Look up where the rows of an operation lie, with their targets and weights."""
    f = fields(op.Gather, row)
    like = a.params[0]
    for i in range(f.first, f.stop):
        # Rows beyond the last are computed too, from the last, and not counted.
        j = item.begin + min(i, item.rows - 1)
        if item.listed:
            j = listed[j]
        if holds(op.Gather, row):
            a.tables[0, i] = source.X + j * source.X_stride
        elif holds(op.GatherCSR, row):
            a.spans[0, i] = read_integer(source.indptr + 8 * j)
            a.spans[1, i] = read_integer(source.indptr + 8 * j + 8)
        else:
            inputs, place = fields(op.GatherBytes, row).inputs, source.X + j * source.X_stride
            factor, summand = address_of(a.input_scale[0]), address_of(a.input_scale[1])
            scale_bytes(like, ScaleBytes(place, inputs, factor, summand, a.tables[0, i]))
        a.labels[i] = 0
        if constants.head == SOFTMAX and source.targets != 0:
            a.labels[i] = read_integer(source.targets + 8 * j)
        elif constants.head != SOFTMAX:
            a.labels[i] = source.targets + j * source.target_stride
        if constants.weighted:
            a.weights[i] = cast_like(like, 1.0)
            if source.weights:
                a.weights[i] = read(like, source.weights + a.params.itemsize * j)


@part
def seek_columns(f, a, source, cursors):
    """Set the cursors of sparse rows to their first non-zero from a column on."""
    begin, end = address_of(a.spans[0]) + 8 * f.first, address_of(a.spans[1]) + 8 * f.first
    rows = f.stop - f.first
    seek = CSRSeek(cursors + 8 * f.first, begin, end, source.indices, rows, f.k0)
    csr_seek(a.params[0], seek)


@part
def multiply_sparse(f, a, source, cursors):
    """Multiply sparse rows by the weights, block of columns by block."""
    start = f.bias
    for k0 in range(0, f.K, f.block):
        product = CSRMultiply(
            cursor=cursors,
            end=address_of(a.spans[1]),
            indices=source.indices,
            values=source.X,
            first=f.first,
            stop=f.stop,
            k1=min(k0 + f.block, f.K),
            start=start,
            W=f.W,
            across=f.across,
            out=f.out,
            stride=f.stride,
        )
        csr_multiply(a.params[0], product)
        # The next block goes on from the sums of this one.
        start = 0


@part
def drop_out(f, a, constants, item):
    """Zero activations by chance."""
    like = a.params[0]
    rows = DropoutRows(
        A=f.A,
        derivatives=f.derivatives,
        stride=f.stride,
        elements=f.elements,
        first=f.first,
        stop=f.stop,
        key=item.key + f.layer * LAYER_KEY,
        threshold=constants.dropout_threshold,
        factor=cast_like(like, constants.dropout_factor),
    )
    dropout_rows(like, rows)
