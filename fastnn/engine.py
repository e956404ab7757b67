"""The compiled loop as Python sees it: buffers, threads, and items of work to do in them."""

import itertools
import threading
from typing import Any, NamedTuple

import numpy as np

from .checks.sparse import Sparse
from .threads import threads_for


class Architecture(NamedTuple):
    """What a network computes; the names are those of :class:`fastnn.Network`."""

    layer_sizes: tuple
    activation: str = "relu"
    head: str = "softmax"


class Settings(NamedTuple):
    """The hyper-parameters of a run that no step changes, checked."""

    optimizer: str = "sgd"  #: "gradient" and "accumulate" keep gradients and take no step
    l2: float = 0.0  #: the gradient of the penalty is l2 W
    penalty: float = 0.0  #: the penalty is this times the sum of all squared weights
    beta_1: float = 0.0  #: or the momentum
    beta_2: float = 0.0
    epsilon: float = 0.0
    label_smoothing: float = 0.0
    max_norm: float = 0.0  #: of the whole gradient; 0 for no limit
    dropout: float = 0.0


class Source(NamedTuple):
    """Rows with their targets, checked; arrays of one row a sample."""

    X: Any  #: (n, D) C-contiguous of the network's dtype or uint8, or a :class:`Sparse`
    y: Any = None  #: labels, int64 (n,), or targets (n, outputs) of the network's dtype
    weights: Any = None  #: (n,) of the network's dtype, or None

    def __len__(self):
        return self.X.shape[0]


class Scaling(NamedTuple):
    """What bytes become: ``X factor + summand``, each of shape (D,)."""

    factor: np.ndarray
    summand: np.ndarray


class Records(NamedTuple):
    """What a run records, see :class:`fastnn.kernels.train.History`."""

    losses: np.ndarray
    train_correct: np.ndarray
    val_losses: np.ndarray
    val_correct: np.ndarray

    @classmethod
    def empty(cls, steps, epochs):
        """Make room for so many steps and epochs."""
        return cls(np.zeros(steps), *(np.zeros(epochs) for _ in range(3)))


class Items(NamedTuple):
    """Items of work of one call, see :mod:`fastnn.kernels.operations`.

    All but the kinds and the list may be one number, which then holds for all items.
    """

    kinds: np.ndarray  #: (n,): STEP, LAST_STEP (an epoch's smaller batch), EVALUATED_STEP or BLOCK
    begins: Any  #: first row
    counts: Any  #: rows
    steps: Any  #: number of the step
    epochs: Any  #: number of the epoch
    keys: Any  #: of the dropout
    rates: Any  #: learning rates
    decays: Any  #: factors on the weights
    divisors: Any  #: of the loss
    listed: Any  #: int64: rows of all steps, to which `begins` refers; None for X in order


STEP, LAST_STEP, EVALUATED_STEP, BLOCK = range(4)


def flops_per_row(layer_sizes):
    """Return the flops of a forward pass, a multiplication and an addition for each weight."""
    return 2 * sum(K * N for K, N in itertools.pairwise(layer_sizes))


class CompiledLoop:
    """A run in packed buffers: what `kernels.train` needs, and the threads around it.

    Parameters
    ----------
    architecture : Architecture
    layers : list of (W, b)
        Each layer's parameters, W (fan_in, fan_out) and b (fan_out,), of one dtype; read here, and
        written by :meth:`store`.
    settings : Settings
    train, val : Source or None
        Rows of the steps, and of the blocks to evaluate.
    batch_sizes : tuple of int
        Rows of a step, and perhaps of an epoch's last one.
    block_size : int
        Rows to evaluate at a time, 0 for none.
    evaluate_batch : bool
        Steps may be of the kind EVALUATED_STEP.
    evaluate_loss : bool
        The loss of the blocks is wanted, and not only their right answers.
    output_head : str, optional
        Blocks are predicted by this head, into :attr:`outputs`.
    scaling : Scaling, optional
        For an X of bytes.
    threads : int, optional
    """

    def __init__(
        self,
        architecture,
        layers,
        settings,
        train,
        val=None,
        *,
        batch_sizes=(),
        block_size=0,
        evaluate_batch=False,
        evaluate_loss=True,
        output_head=None,
        scaling=None,
        threads=None,
    ):
        from .kernels import operations, update
        from .kernels.activation import ACTIVATIONS
        from .kernels.heads import HEADS
        from .kernels.program import Program
        from .kernels.train import Plan
        from .kernels.work import Codes, Work, remembered_by

        sizes, dtype = architecture.layer_sizes, layers[0][0].dtype
        sources = [source for source in (train, val) if source is not None]
        X = sources[0].X
        kind, non_zeros = operations.DENSE, 0.0
        if isinstance(X, Sparse):
            kind, non_zeros = operations.CSR, len(X.data) / max(X.shape[0], 1)
        elif X.dtype == np.uint8:
            kind = operations.BYTES
        rows = max((*batch_sizes, block_size))
        flops = flops_per_row(sizes) * rows
        if kind == operations.CSR:
            flops = (flops_per_row(sizes[1:]) + 2 * non_zeros * sizes[1]) * rows
        #: Of one item, a step or a block.
        self.flops = flops * (3 if batch_sizes else 1)
        self.threads = threads or threads_for(self.flops)
        weighted = [source is not None and source.weights is not None for source in (train, val)]
        code = getattr(update, settings.optimizer.upper())
        keeps = code in (update.GRADIENT, update.ACCUMULATE)
        work = Work(
            batch_sizes=tuple(batch_sizes),
            block_size=block_size,
            optimizer=update.GRADIENT if keeps else code,
            clip=settings.max_norm > 0,
            dropout=settings.dropout > 0,
            general_loss=weighted[0] or settings.label_smoothing > 0,
            lazy=settings.l2 == 0,
            input_kind=kind,
            non_zeros=non_zeros,
            evaluate_batch=evaluate_batch,
            weighted_block=weighted[1],
            evaluate_loss=evaluate_loss,
            output_head=-1 if output_head is None else HEADS[output_head],
        )
        codes = Codes(tuple(sizes), ACTIVATIONS[architecture.activation], HEADS[architecture.head])
        self.program = Program(codes, work, self.threads, dtype)
        self.memory = self.program.memory
        self.layers = layers
        for depth, (W, b) in enumerate(layers):
            self.memory.load(depth, W, b)
        if scaling is not None and kind == operations.BYTES:
            self.program.buffers.input_scale[:, : sizes[0]] = scaling
        self.sources = np.zeros((2, operations.SOURCE_FIELDS), np.int64)
        for row, source in enumerate((train, val)):
            if source is not None:
                self.sources[row] = _addresses(source)
        # The addresses in `sources` are good as long as these are.
        self.data = train, val
        n_val = 0 if val is None or output_head is not None else len(val)
        self.predicted = np.zeros(n_val, np.int64)
        outputs = (len(val), sizes[-1]) if output_head is not None else (0, 0)
        self.outputs = np.empty(outputs, dtype)
        self.remembered = remembered_by(work.optimizer)
        distance = self.memory.distance
        self.kept = self.remembered + 1
        self.plan = Plan(
            head=HEADS[architecture.head],
            optimizer=code,
            keep=update.ACCUMULATE if code == update.ACCUMULATE else update.GRADIENT,
            memory_1=distance(1),
            memory_2=distance(2),
            gradient=distance(self.kept),
            parts=self.program.parts,
            part=distance(self.kept + int(work.keeps)),
            copy=distance(1),
            output=self.outputs.ctypes.data,
            weighted=int(any(weighted)),
            units=self.memory.units,
            dropout_threshold=int(settings.dropout * 2**32),
            l2=float(settings.l2),
            penalty=float(settings.penalty),
            beta_1=float(settings.beta_1),
            beta_2=float(settings.beta_2),
            epsilon=float(settings.epsilon),
            smoothing=float(settings.label_smoothing),
            max_norm=float(settings.max_norm),
            dropout_factor=1.0 / (1.0 - settings.dropout),
        )
        recipes = self.program.recipes
        names = {
            STEP: ("step", 0),
            LAST_STEP: ("step", len(batch_sizes) - 1),
            EVALUATED_STEP: ("evaluated step", 0),
            BLOCK: "block",
        }
        self._is_half = False  # between the halves of a step
        self._shape = (None,) * 4  # of the latest items
        self._table = np.zeros((0, 0), np.int64)
        self.recipes = np.array(
            [recipes.get(names[kind], (0, 0)) for kind in range(4)], np.int64
        ).T.copy()

    def run(self, items, records):
        """Do some items of work; on any exception before they begin, nothing is done."""
        self._is_half = False
        self._run(*self._tables(items), records)

    def run_in_halves(self, items, records):
        """Do one step of work, and let Python look for Ctrl-C before the parameters change.

        What has been computed by then is in buffers that the next step overwrites.
        """
        from .kernels import operations as op

        table, numbers, listed = self._tables(items)
        sections = table[[op.FIRST_SECTION, op.STOP_SECTION]]
        first, stop = sections[:, 0]
        try:
            self._is_half = True
            table[op.STOP_SECTION] = first + 1
            self._run(table, numbers, listed, records)
            table[op.FIRST_SECTION], table[op.STOP_SECTION] = first + 1, stop
            self.begin()
            self._is_half = False
            self._run(table, numbers, listed, records)
        finally:
            # The next items may share this table.
            table[[op.FIRST_SECTION, op.STOP_SECTION]] = sections

    def _tables(self, items):
        """Return what the compiled loop needs to know of some items."""
        from .kernels import operations as op

        count = len(items.kinds)
        listed = np.zeros(0, np.int64) if items.listed is None else items.listed
        # The kernels reach rows by address, and a generator of the user's may draw anything; a
        # negative number is a large one without its sign.
        if len(listed) and listed.view(np.uint64).max() >= len(self.data[0]):
            raise IndexError(
                f"random_state drew rows of 0..{len(self.data[0]) - 1} and got {listed.min()} to "
                f"{listed.max()}: pass a generator that works"
            )
        # Where an epoch is a single step, its items must cost next to nothing.
        shape = *items[:3], items.listed is None
        if any(new is not old for new, old in zip(shape, self._shape)):
            self._shape, self._table = shape, np.zeros((op.ITEM, count), np.int64)
            for field, sections in zip((op.FIRST_SECTION, op.STOP_SECTION), self.recipes):
                self._table[field] = sections.take(items.kinds)
            blocks = items.kinds == BLOCK
            self._table[op.SOURCE] = blocks
            self._table[op.BEGIN] = items.begins
            self._table[op.COUNT] = items.counts
            self._table[op.LISTED] = ~blocks if items.listed is not None else 0
        table = self._table
        table[op.STEP] = items.steps
        table[op.EPOCH] = items.epochs
        table[op.KEY] = items.keys
        numbers = np.empty((op.NUMBERS, count))
        numbers[op.RATE] = items.rates
        numbers[op.DECAY] = items.decays
        numbers[op.DIVISOR] = items.divisors
        return table, numbers, listed

    def _run(self, table, numbers, listed, records):
        from .kernels.train import History, train

        self.begin()
        arguments = (
            *(self.threads, self.program.buffers, self.plan, self.sources, table, numbers, listed),
            History(*records, self.predicted),
        )
        run_threads(train, self.threads, arguments, self._call_off)

    def begin(self):
        """Forget the latest run: `finished` is False until the next one is done."""
        self.program.buffers.barrier[:] = 0

    def finished(self):
        """Tell whether the items of the run since `begin` are all done."""
        from .kernels.parallel import FINISHED

        return bool(self.program.buffers.barrier[FINISHED]) and not self._is_half

    def _call_off(self):
        from .kernels.parallel import ABORT

        self.program.buffers.barrier[ABORT] = 1

    def store(self):
        """Write the parameters back into the layers' own arrays."""
        for depth, (W, b) in enumerate(self.layers):
            self.memory.store(depth, W, b)

    def gradients(self):
        """Return the kept gradients, a list of (dW, db)."""
        return self._copy(self.kept)

    def _copy(self, copy):
        parts = [(np.empty_like(W), np.empty_like(b)) for W, b in self.layers]
        for depth, (W, b) in enumerate(parts):
            self.memory.read(copy, depth, W, b)
        return parts

    def state(self):
        """Return what continues this run elsewhere, besides the parameters: a dict of arrays."""
        state = {"sums": self.memory.squares.copy()}
        for copy in range(self.remembered):
            parts = itertools.chain(*self._copy(1 + copy))
            state[f"memory_{copy + 1}"] = np.concatenate([part.ravel() for part in parts])
        return state

    def restore(self, state):
        """Continue from what :meth:`state` returned."""
        for copy in range(self.remembered):
            flat, first = state[f"memory_{copy + 1}"], 0
            for depth, (W, b) in enumerate(self.layers):
                parts = []
                for like in (W, b):
                    parts.append(flat[first : first + like.size].reshape(like.shape))
                    first += like.size
                self.memory.write(1 + copy, depth, *parts)
        # Sums of squares in an order of their own; another processor has other units of work.
        if state["sums"].shape == self.memory.squares.shape:
            self.memory.squares[:] = state["sums"]


def _addresses(source):
    """Return the fields of a source, in the order of kernels.operations."""
    X, y, weights = source
    targets, target_stride = 0, 0
    if y is not None:
        targets, target_stride = y.ctypes.data, y.strides[0] if y.ndim == 2 else 0
    place = 0 if weights is None else weights.ctypes.data
    if isinstance(X, Sparse):
        arrays = X.indptr.ctypes.data, X.indices.ctypes.data
        return (X.data.ctypes.data, 0, targets, target_stride, place, *arrays)
    return (X.ctypes.data, X.strides[0], targets, target_stride, place, 0, 0)


def run_threads(function, threads, arguments, call_off):
    """Run ``function(thread, *arguments)`` on all threads, this one being number 0.

    They meet before they begin. Whatever stops this thread from coming (Ctrl-C while the others
    are being started) calls the meeting off; once it is inside, Ctrl-C waits until it is back.
    """
    others = [
        threading.Thread(target=function, args=(thread, *arguments), daemon=True)
        for thread in range(1, threads)
    ]
    try:
        for other in others:
            other.start()
        function(0, *arguments)
    except BaseException:
        call_off()
        raise
    finally:
        for other in others:
            if other.ident is not None:
                other.join()


def jit_disabled():
    """Tell whether ``NUMBA_DISABLE_JIT=1`` asks for plain Python: the twin then does the work."""
    from numba import config

    return bool(config.DISABLE_JIT)
