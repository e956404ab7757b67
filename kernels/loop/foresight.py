"""When a step multiplies the next row of a batch of one by the weights that it has at hand."""

from ..layout import panel_columns
from ..llvm.processor import VECTOR_BYTES
from ..rules import SGD
from .blocking import near
from .task import DENSE


def looks_ahead(task):
    """Tell whether steps multiply the next step's row by the first layer's weights, as they move.

    Weights then come from their cache once a step. On one thread, steps of a row take, of the time
    without, 0.60 to 0.63 for 784-128-10 in both precisions (0.78 with a penalty, 0.43 with AVX2),
    0.62 to 0.76 for wider networks, 0.78 to 0.92 for those of 20 inputs, and up to 1.02 in another
    run of the last of these (Zen 4).
    """
    K, N, *deeper = task.layer_sizes
    size = task.dtype.itemsize
    plain = task.rule == SGD and not task.clip and task.input_kind == DENSE
    # Rows with many zeros are multiplied faster where these are skipped.
    plain = plain and not task.marked_inputs and task.threads == 1
    # The result is written where other layers than the first one read nothing any more.
    fits = deeper and panel_columns(K, N, VECTOR_BYTES // size) > 0 and near(1, K, size)
    return bool(plain and task.batch_sizes == (1,) and fits)
