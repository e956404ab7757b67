"""The compiled loop as Python sees it: a tape, its buffers, and the threads that run it."""

import itertools
import logging
import threading
from typing import Any

import numpy as np

from ..checks.sparse import Sparse
from ..jobs import (
    BLOCK,
    EVALUATED_STEP,
    LAST_STEP,
    LISTED_BLOCK,
    STEP,
    TRAIN_BLOCK,
)
from ..kernels.activation import ACTIVATIONS
from ..kernels.loop.barrier import ABORT, FINISHED
from ..kernels.loop.state import EVALUATE, ITEM, TRAIN, Constants, Record
from ..kernels.loop.state import Source as Addresses
from ..kernels.loop.tape import Tape
from ..kernels.loop.task import BYTES, CSR, DENSE, Task
from ..kernels.loop.train import train
from ..kernels.losses import HEADS
from ..kernels.rules import FATES
from ..parameters import layers_of
from ..threads import threads_for
from .crew import at_first
from .tapes import SHELF, tape_of
from .work import flops_forward, flops_of_step, work_of
from .zeros import has_zeros

logger = logging.getLogger("fastnn")

#: Where an item begins, where weights begin to change, and where it ends.
BEGINNING, HALF, END = range(3)
#: Most bytes of parameters to remember, so as not to pack them again.
MOST_HELD = 1 << 16
#: The list of items that are none of a list.
NOT_LISTED = np.zeros(0, np.int64)


class CompiledLoop:
    """A job in packed buffers: what `kernels.loop.train` needs, and the threads around it.

    Parameters
    ----------
    job : Job
        Its layers are read here, and written by :meth:`store`.
    """

    def __init__(self, job):
        sizes, settings = job.architecture.layer_sizes, job.settings
        data = job.val if job.train is None else job.train
        kind, non_zeros = _input_kind(data)
        rows = max((*job.batch_sizes, job.block_size))
        dtype = job.layers[0][0].dtype
        #: Of one item, a step or a block: those of dense float32 that take about as long.
        self.flops = flops_forward(sizes, non_zeros, rows, dtype)
        weighted = [
            source is not None and source.weights is not None for source in (job.train, job.val)
        ]
        task = Task(
            layer_sizes=tuple(sizes),
            activations=tuple(ACTIVATIONS[name] for name in job.architecture.activations),
            head=HEADS[job.architecture.head],
            dtype=dtype,
            batch_sizes=tuple(job.batch_sizes),
            block_size=job.block_size,
            rule=FATES[settings.rule],
            clip=settings.max_norm > 0,
            dropout=settings.dropout > 0,
            masked=settings.masked,
            general_loss=weighted[0] or settings.label_smoothing > 0,
            penalty=settings.penalty,
            input_kind=kind,
            input_stride=0 if kind != DENSE or job.train is None else job.train.X.strides[0],
            non_zeros=non_zeros or 0.0,
            marked_inputs=kind != CSR and has_zeros(data, job.scaling),
            evaluate_batch=job.evaluate_batch,
            keep_best=job.keep_best,
            weighted_block=weighted[1],
            evaluate_loss=job.evaluate_loss,
            output_head=-1 if job.output_head is None else HEADS[job.output_head],
        )
        if job.batch_sizes:
            self.flops = flops_of_step(self.flops, sizes, task.memories)
        task = task._replace(threads=job.threads or threads_for(self.flops))
        # What is predicted at a time is cut for a number of threads.
        few = at_first(self.flops, job.steps) if job.batch_sizes else None
        self.task, (self.tape, self.crew) = task, tape_of(SHELF, task, few)
        self.buffers, self._other_tape = self.tape.buffers, None
        self._held: Any = None
        self._is_stored = False  # the arrays of the layers are what the buffers hold
        self._load(job.layers)
        self._connect(job)
        self.constants = self._constants(task, settings, any(weighted))
        self.phases = self._phases()
        self._is_half = False  # between the halves of a step
        self._placed: Any = None  # which phases the latest items are
        self._shape = (None,) * 4  # of the latest items
        self._items: Any = None
        self._latest: Any = None  # whose work that is, if they are not listed
        #: It may go on with jobs of this kind; None where it cannot.
        self.kind = _kind(job)

    @classmethod
    def of(cls, job):
        """Return a loop for a job: one that has waited for it, or a new one."""
        if job.train is None:
            loop = SHELF.take(_kind(job))
            if loop is not None and loop.go_on(job):
                return loop
        return cls(job)

    @property
    def threads(self):
        """How many threads work."""
        return self.tape.task.threads

    @property
    def size(self):
        """About how many bytes it takes."""
        return self.tape.size

    @property
    def pace(self):
        """How many items such a loop did in a tenth of a second, None if none has run."""
        return self.crew.pace

    @pace.setter
    def pace(self, items):
        self.crew.pace = items

    @property
    def share(self):
        """How much of that to do at a time: less while another number of threads is tried."""
        return self.crew.share

    def note(self, items, seconds):
        """Note how long some items took; the next ones may be done by more threads, or fewer."""
        if self.crew.adapts:
            self.crew.note(work_of(items), seconds)
            self._follow_crew()

    def _follow_crew(self):
        """Take the tape for as many threads as the crew says."""
        threads = self.crew.threads
        if threads != self.threads:
            tape, self._other_tape = self._other_tape, self.tape
            if tape is None or tape.task.threads != threads:
                tape = Tape(self.tape.task._replace(threads=threads), self.buffers)
                self._scale_inputs(tape)
            self.tape = tape
            self.phases, self._placed = self._phases(), None

    def _scale_inputs(self, tape):
        """Tell a tape by what its inputs are scaled, if they are bytes."""
        if self.scaling is not None:
            tape.input_scale[:, : self.task.layer_sizes[0]] = self.scaling

    def _constants(self, task, settings, weighted):
        """Return the numbers of the run, as the compiled loop takes them."""
        return Constants(
            head=task.head,
            output=self.outputs.ctypes.data,
            weighted=int(weighted),
            clipped=int(settings.clipped),
            units=self.buffers.units,
            # Predictions are NumPy's where that is faster, which keeps subnormal numbers.
            flush=int(bool(task.batch_sizes)),
            shards=task.shards,
            shard=self.buffers.behind(1),
            dropout_threshold=int(settings.dropout * 2**32),
            dropout_factor=1.0 / (1.0 - settings.dropout),
            loss_factor=float(settings.loss_factor),
            beta_1=float(settings.beta_1),
            beta_2=float(settings.beta_2),
            smoothing=float(settings.label_smoothing),
            max_norm=float(settings.max_norm),
        )

    def _phases(self):
        """Return, of each kind of item, where its phases begin, where weights change, and the end.

        A step may stop where weights begin to change.
        """
        tape = self.tape
        steps = tape.steps or [range(0)]
        phases = {
            STEP: steps[0],
            LAST_STEP: steps[-1],
            EVALUATED_STEP: tape.evaluated_step,
            **dict.fromkeys((BLOCK, LISTED_BLOCK, TRAIN_BLOCK), tape.block),
        }
        in_order = [phases[kind] for kind in sorted(phases)]
        return np.array([(each.start, each.start + tape.half, each.stop) for each in in_order]).T

    def _place(self, first, stop):
        """Write down which phases of the tape the latest items are: BEGINNING, HALF or END."""
        if self._placed != (first, stop):
            kinds = self._shape[0]
            self._items["first_phase"] = self.phases[first, kinds]
            self._items["stop_phase"] = self.phases[stop, kinds]
            if self.tape.step_ahead:
                self._look_ahead(kinds)
            self._placed = first, stop

    def _look_ahead(self, kinds):
        """Have each step before another one multiply its row, and that leave out its beginning."""
        begins = (kinds == STEP) | (kinds == LAST_STEP)
        ahead = begins[:-1] & (begins | (kinds == EVALUATED_STEP))[1:]
        shift = ahead * (self.tape.step_ahead.start - self.tape.steps[0].start)
        for phases in (self._items["first_phase"], self._items["stop_phase"]):
            phases[:-1] += shift
        self._items["first_phase"][1:] += ahead * self.tape.before

    def run(self, items, records):
        """Do some items of work; on any exception before they begin, nothing is done."""
        self._is_half = False
        self._run(*self._lists(items), records, BEGINNING, END)

    def run_in_halves(self, items, records):
        """Do one step of work, and let Python look for Ctrl-C before the parameters change.

        What has been computed by then is in buffers that the next step overwrites.
        """
        work, listed = self._lists(items)
        self._is_half = True
        self._run(work, listed, records, BEGINNING, HALF)
        self.begin()
        self._is_half = False
        self._run(work, listed, records, HALF, END)

    def _lists(self, items):
        """Return what the compiled loop needs to know of some items, and their rows."""
        if items is self._latest:
            return self._items, NOT_LISTED
        self._latest = items if items.listed is None and items.masks is None else None
        count = len(items.kinds)
        for place, mask in zip(self.buffers.masks, items.masks or ()):
            place[: mask.shape[0], : mask.shape[1]] = mask
        listed = NOT_LISTED if items.listed is None else items.listed
        if len(listed):
            self._check_listed(items, listed)
        # Where an epoch is a single step, its items must cost next to nothing.
        shape = *items[:3], items.listed is None
        if any(new is not old for new, old in zip(shape, self._shape)):
            self._shape, self._items = shape, np.zeros(count, ITEM)
            self._filled, self._placed = {}, None
            work, kinds = self._items, items.kinds
            evaluated = (kinds == BLOCK) | (kinds == LISTED_BLOCK)
            work["source"] = np.where(evaluated, EVALUATE, TRAIN)
            work["begin"], work["rows"] = items.begins, items.counts
            work["listed"] = kinds != BLOCK if items.listed is not None else 0
        self._fill(step=items.steps, epoch=items.epochs, key=items.keys, keep=items.keeps)
        self._fill(rate=items.rates, decay=items.decays, l2=items.alphas)
        self._fill(epsilon=items.epsilons, divisor=items.divisors)
        return self._items, listed

    def _fill(self, **columns):
        """Write down what changes from call to call; one number for all items only if it is new."""
        for name, value in columns.items():
            if isinstance(value, np.ndarray) or value != self._filled.get(name):
                self._items[name] = value
                self._filled[name] = value if not isinstance(value, np.ndarray) else None

    def _check_listed(self, items, listed):
        """Check the rows of a list: the kernels reach them by address.

        A generator of the user's may draw anything; a negative number is a large one without its
        sign.
        """
        sizes = [0 if source is None else len(source) for source in self.data]
        evaluated = items.kinds == LISTED_BLOCK
        if not evaluated.any():
            _check_rows(listed, sizes[0])
        elif listed.view(np.uint64).max() >= min(sizes):
            # Of two sources, the list holds rows of both.
            for kind, begin, count in zip(*np.broadcast_arrays(*items[:3])):
                if kind != BLOCK:
                    _check_rows(listed[begin : begin + count], sizes[int(kind == LISTED_BLOCK)])

    def _run(self, work, listed, records, first, stop):
        record, done = Record(*records, self.predicted), False
        if self.task.batch_sizes:
            self._held, self._is_stored = None, False
        while not done:
            self.begin()
            self._place(first, stop)
            arguments = (
                *(self.threads, self.tape.arrays, self.constants, self.sources, work, listed),
                record,
            )
            try:
                run_threads(train, self.threads, arguments, self._call_off)
                done = True
            except RuntimeError as error:  # the system starts no more threads
                if not self.crew.lack():
                    raise
                self._follow_crew()
                # Another tape looks up the rows anew.
                first = BEGINNING
                logger.warning("%s: going on with %d", error, self.threads)

    def begin(self):
        """Forget the latest run: `finished` is False until the next one is done."""
        self.tape.arrays.barrier[:] = 0

    def finished(self):
        """Tell whether the items of the run since `begin` are all done."""
        return bool(self.tape.arrays.barrier[FINISHED]) and not self._is_half

    def _call_off(self):
        self.tape.arrays.barrier[ABORT] = 1

    def _load(self, layers):
        """Pack parameters, unless the buffers hold them already, and sum their squares."""
        self.layers = layers
        held = self._held is not None and self._held == self._bytes()
        for depth, (W, b) in enumerate(self.layers):
            if not held:
                self.buffers.load(depth, W, b)
            self.buffers.square(depth, W)
        if not held and not self.task.batch_sizes:
            self._hold()

    def _hold(self):
        """Remember what the buffers hold, if it is little: the next job may bring it again."""
        self._held = self._bytes() if self.buffers.params.nbytes <= MOST_HELD else None

    def _bytes(self):
        return [part.tobytes() for layer in self.layers for part in layer]

    def _connect(self, job):
        """Look at the rows of a job, as they are scaled, and make room for what is told of them."""
        for source in (job.train, job.val):
            _check_shapes(source, job.architecture)
        # The addresses in `sources` are good as long as `data` are.
        self.data, self.sources = (job.train, job.val), (_addresses(job.train), _addresses(job.val))
        n, predicts = 0 if job.val is None else len(job.val), job.output_head is not None
        shape = n if predicts else 0, job.architecture.layer_sizes[-1]
        self.outputs = np.empty(shape, self.task.dtype)
        self.predicted = np.zeros(0 if predicts else n, np.int64)
        self.scaling = job.scaling if self.task.input_kind == BYTES else None
        self._scale_inputs(self.tape)

    def go_on(self, job):
        """Take on another job with what is remembered of this one, if they are of one kind.

        Return whether they are. Its parameters are read as those of a new loop.
        """
        fits = self.kind is not None and self.kind == _kind(job)
        if fits and self.task.threads == (job.threads or threads_for(self.flops)):
            self._connect(job)
            self.constants = self.constants._replace(output=self.outputs.ctypes.data)
            self._load(job.layers)
            return True
        return False

    def rest(self):
        """Wait for another job, and hold no data meanwhile."""
        if self._is_stored:
            self._hold()
        self.data, self._latest = (None, None), None

    def begin_anew(self, layers):
        """Go on with other parameters; what is remembered of gradients is forgotten."""
        self._load(layers)
        self.buffers.copies[1:] = 0

    def store(self):
        """Write the parameters back into the layers' own arrays."""
        for depth, (W, b) in enumerate(self.layers):
            self.buffers.read(0, depth, W, b)
        self._is_stored = True

    def release(self):
        """Leave the tape, or all of a loop without steps, to others: at the end."""
        if self.kind is not None and self.data[0] is None and self.data[1] is not None:
            self.data = self.sources = (None, None)
            self.layers = self.predicted = self.outputs = None
            SHELF.put(self.kind, self, self.size)
        elif self.task.batch_sizes or self.kind is None:
            tape, self.tape, self.buffers, self._other_tape = self.tape, None, None, None
            if tape is not None:
                SHELF.put(self.task, (tape, self.crew), tape.size)

    def gradients(self, into=None):
        """Return the kept gradients, a list of (dW, db), in arrays of the caller's if there are."""
        return self._copy(self.buffers.kept, into)

    def best(self):
        """Return the parameters that were kept as the best, a list of (W, b)."""
        return self._copy(self.buffers.best)

    def memories(self, into=None):
        """Return what the optimiser remembers: of each memory, a list of (W, b).

        In arrays of the caller's, if there are.
        """
        into = into or [None] * self.buffers.memories
        return [self._copy(1 + copy, parts) for copy, parts in enumerate(into)]

    def remember(self, memories):
        """Go on with what :meth:`memories` returned."""
        for copy, layers in enumerate(memories):
            for depth, parts in enumerate(layers):
                self.buffers.write(1 + copy, depth, *parts)

    def _copy(self, copy, parts=None):
        if parts is None:
            parts = [(np.empty_like(W), np.empty_like(b)) for W, b in self.layers]
        for depth, (W, b) in enumerate(parts):
            self.buffers.read(copy, depth, W, b)
        return parts

    def state(self):
        """Return what continues this run elsewhere, besides the parameters: a dict of arrays."""
        state = {"sums": self.buffers.squares.copy()}
        for copy, layers in enumerate(self.memories()):
            parts = [part.ravel() for part in itertools.chain(*layers)]
            state[f"memory_{copy + 1}"] = np.concatenate(parts)
        return state

    def restore(self, state):
        """Continue from what :meth:`state` returned."""
        sizes = [len(W) for W, _ in self.layers] + [len(self.layers[-1][1])]
        flat = [state[f"memory_{copy + 1}"] for copy in range(self.buffers.memories)]
        self.remember(layers_of(params, sizes) for params in flat)
        # Sums of squares in an order of their own; another processor has other units of work.
        if state["sums"].shape == self.buffers.squares.shape:
            self.buffers.squares[:] = state["sums"]


def _kind(job):
    """Return what a loop is made for, besides parameters, rows and their scaling, or None.

    None for two sources. Zeros are left out, as to skip them changes no bit.
    """
    steps = job.train is not None
    source = job.train if steps else job.val
    if steps and job.val is not None:
        return None
    stride = None if isinstance(source.X, Sparse) else source.X.strides[0]
    rows = source.weights is not None, *_input_kind(source), stride
    return job._replace(layers=job.layers[0][0].dtype, train=steps, val=rows, scaling=None)


def _check_rows(rows, size):
    if len(rows) and rows.view(np.uint64).max() >= size:
        raise IndexError(
            f"random_state drew rows of 0..{size - 1} and got {rows.min()} to {rows.max()}: pass a "
            "generator that works"
        )


def _input_kind(source):
    """Return the kind of a source's input, and its non-zeros a row if it is sparse, else None."""
    X = source.X
    if isinstance(X, Sparse):
        # Two digits are enough to divide work by, and let the folds of a search share a tape.
        return CSR, float(f"{len(X.data) / max(X.shape[0], 1):.2g}")
    return (BYTES if X.dtype == np.uint8 else DENSE), None


def _check_shapes(source, architecture):
    """Refuse a source that is not as wide as the network, or not whole: it is read by address."""
    if source is None:
        return
    X, y, weights = source
    n, sizes = X.shape[0], architecture.layer_sizes
    wide = (n,) if architecture.head == "softmax" else (n, sizes[-1])
    fits = X.shape[1] == sizes[0] and (y is None or y.shape == wide)
    if not fits or (weights is not None and weights.shape != (n,)):
        shapes = [None if each is None else each.shape for each in source]
        raise ValueError(
            f"a network of layers {sizes} cannot read rows of shape {shapes[0]} with targets of "
            f"shape {shapes[1]} and weights of shape {shapes[2]}: check them before"
        )


def _addresses(source):
    """Return where the rows of a source lie, as the compiled loop sees it."""
    if source is None:
        return Addresses(0, 0, 0, 0, 0, 0, 0)
    X, y, weights = source
    values = X.data if isinstance(X, Sparse) else X
    return Addresses(
        X=values.ctypes.data,
        X_stride=0 if isinstance(X, Sparse) else X.strides[0],
        targets=0 if y is None else y.ctypes.data,
        target_stride=y.strides[0] if y is not None and y.ndim == 2 else 0,
        weights=0 if weights is None else weights.ctypes.data,
        indptr=X.indptr.ctypes.data if isinstance(X, Sparse) else 0,
        indices=X.indices.ctypes.data if isinstance(X, Sparse) else 0,
    )


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
