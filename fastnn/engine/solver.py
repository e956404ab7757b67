"""The Solver's training: its order of work, and a run of it."""

import itertools
from typing import Any, NamedTuple

import numpy as np

from ..checks.arguments import room_for
from ..jobs import (
    BLOCK,
    LISTED_BLOCK,
    STEP,
    TRAIN_BLOCK,
    Items,
    Job,
    Records,
    Settings,
)
from . import zeros
from .course import BLOCK_ROWS, MOST_ITEMS, architecture_of, loop_with_room
from .draws import integers
from .epochs import INDEX_BYTES
from .run import Run


class SolverPlan(NamedTuple):
    """The hyper-parameters of a Solver's training, checked."""

    optimizer: Any  #: with the learning rate of the first epoch
    lr_decay: float
    alpha: float  #: the penalty is alpha / 2 times the sum of all squared weights
    num_epochs: int
    batch_size: int
    samples: tuple  #: rows to draw for a check of the training and of the validation rows, or None
    steps_before: int  #: steps that the optimiser has taken


class SolverWatch(NamedTuple):
    """What the Solver does while its training is under way; each is called with the run."""

    keep: Any  #: brings the user's objects up to date
    tell_steps: Any  #: told of steps that are done, of which number to which
    tell_check: Any  #: told of a check that is done, of which number
    tells: bool  #: somebody wants to be told
    waits: bool  #: and that at each check


def steps_per_epoch(n_train, batch_size):
    """Return how many steps an epoch is."""
    return max(n_train // batch_size, 1)


class SolverOrder:
    """The order of a Solver's work: batches and checked rows are drawn with replacement.

    A check is blocks of training rows, then blocks of the validation set. It comes after the first
    step and at the end of each epoch.

    Parameters
    ----------
    plan : SolverPlan
    sizes : tuple of int
        Rows to train on, and to validate by.
    block_size : int
    dropout : Dropout, optional
        Draws the masks of each step, from the generator that draws the rows.
    units : tuple of int
        Of each hidden layer.
    """

    def __init__(self, plan, sizes, block_size, dropout, units):
        self.plan, self.n, self.block_size = plan, sizes, block_size
        self.dropout, self.units = dropout, units
        self.steps_per_epoch = steps_per_epoch(sizes[0], plan.batch_size)
        self.total_steps = plan.num_epochs * self.steps_per_epoch
        #: Of both sources: whether the rows of a check are drawn, how many there are, in blocks.
        self.draws = [m is not None and n > m for m, n in zip(plan.samples, sizes)]
        self.checked = [m if drawn else n for m, n, drawn in zip(plan.samples, sizes, self.draws)]
        self.train_blocks, val_blocks = (-(-rows // block_size) for rows in self.checked)
        self.blocks = self.train_blocks + val_blocks
        #: The first step and its check, unless that step is an epoch.
        self.head = 1 + self.blocks if self.steps_per_epoch > 1 and plan.num_epochs else 0
        self.checks = plan.num_epochs + (self.head > 0)
        self.total, self.done, self.asked = self.total_steps + self.checks * self.blocks, 0, 0
        # The masks of a step are drawn between its rows and those of the next.
        longest = min(INDEX_BYTES // (8 * plan.batch_size), MOST_ITEMS)
        self.longest = 1 if dropout is not None else max(longest, 1)
        factors = np.full(plan.num_epochs + 1, plan.lr_decay)
        factors[0] = plan.optimizer.learning_rate_init
        #: Learning rates of each epoch, and behind the last.
        self.by_epoch = np.multiply.accumulate(factors)
        self.rates = self.by_epoch[:-1].repeat(self.steps_per_epoch)
        self.waits = False
        #: The rows of the latest check of both sources.
        self._rows = [np.arange(count) for count in self.checked]

    def places(self, numbers, first):
        """Return, for items, the steps before each, its check, and its place there: < 0 for a step.

        `numbers` are one number or several, from `first` on, on one side of the head's end.
        """
        if first < self.head:
            return 1 * (numbers > 0), numbers * 0, numbers - 1
        shift, here = (self.blocks, 1) if self.head else (0, 0)
        epochs = (numbers - shift) // (self.steps_per_epoch + self.blocks)
        into = numbers - shift - epochs * (self.steps_per_epoch + self.blocks)
        into = into - self.steps_per_epoch
        return (epochs + 1) * self.steps_per_epoch + into * (into < 0), epochs + here, into

    def steps_done(self):
        """Return how many steps are done."""
        return int(self.places(self.done, self.done)[0])

    def epochs_done(self):
        """Return how many checks are done."""
        return int(self.places(self.done, self.done)[1])

    def steps_before(self, check):
        """Return the steps before a check."""
        if self.head:
            return 1 if check == 0 else check * self.steps_per_epoch
        return (check + 1) * self.steps_per_epoch

    def boundary(self, done):
        """Return the item behind the next check for those who wait for it, or behind the head."""
        if done < self.head:
            return self.head
        if not self.waits:
            return self.total
        into = int(self.places(done, done)[2])
        return done + self.blocks - into

    def items(self, first, stop):
        """Return the items first..stop; rows and masks are drawn in their order."""
        self.asked = stop
        steps, checks, into = self.places(np.arange(first, stop), first)
        #: 0 for a step, 1 and 2 for a block of either source.
        part = 1 * (into >= 0) + (into >= self.train_blocks)
        within = (into - self.train_blocks * (part == 2)) * self.block_size
        left = np.where(part == 2, self.checked[1], self.checked[0]) - within
        listed, begins = self._drawn(part, into, within)
        at = np.minimum(steps, self.total_steps - 1)
        rates, decays, epsilons = self.plan.optimizer.rates(
            self.rates.take(at), at + self.plan.steps_before
        )
        kinds = np.array([STEP, TRAIN_BLOCK, LISTED_BLOCK if self.draws[1] else BLOCK])
        n = self.plan.batch_size
        return Items(
            kinds=kinds[part],
            begins=begins,
            counts=np.where(part == 0, n, np.minimum(left, self.block_size)),
            steps=steps,
            epochs=2 * checks + (part == 2),
            keys=0,
            rates=rates,
            decays=decays,
            alphas=self.plan.alpha,
            epsilons=epsilons,
            divisors=np.where(part == 0, float(n), float(self.checked[1])),
            listed=listed,
            keeps=into == self.blocks - 1,
            masks=self._masks(part[0]) if self.dropout is not None else None,
        )

    def _drawn(self, part, into, within):
        """Draw the rows of some items; return all of them, and where those of each item begin."""
        n, begins = self.plan.batch_size, within.copy()
        if not any(self.draws):
            # In one call, and in front of it the training rows, for all checks.
            steps = np.flatnonzero(part == 0)
            begins[steps] = self.n[0] + n * np.arange(len(steps))
            fresh = integers(np.random, self.n[0], n * len(steps))
            return np.concatenate([self._rows[0], fresh]).astype(np.int64, copy=False), begins
        pieces, count = [], 0
        borders = np.flatnonzero(np.diff(part)) + 1
        for lo, hi in itertools.pairwise([0, *borders.tolist(), len(part)]):
            if part[lo] == 0:
                rows = integers(np.random, self.n[0], n * (hi - lo))
                begins[lo:hi] = count + n * np.arange(hi - lo)
            else:
                source = part[lo] - 1
                if self.draws[source] and within[lo] == 0:
                    size = self.checked[source]
                    self._rows[source] = integers(np.random, self.n[source], size)
                if source == 1 and not self.draws[1]:
                    continue  # in order
                rows = self._rows[source]
                begins[lo:hi] += count
            pieces.append(rows)
            count += len(rows)
        listed = np.concatenate(pieces) if pieces else np.zeros(0)
        return listed.astype(np.int64, copy=False), begins

    def _masks(self, part):
        """Return the masks of a single step, or skip them as test mode does."""
        if part == 0:
            shapes = ((self.plan.batch_size, width) for width in self.units)
            return [self.dropout.mask(depth, shape) for depth, shape in enumerate(shapes)]
        for _ in self.units:
            self.dropout.skip()
        return None


class SolverRun(Run):
    """A Solver's training of the layers of a fully-connected network, in place.

    Parameters
    ----------
    layers : list of (W, b)
        Parameters of each layer; updated in place, also when the training is interrupted.
    train, val : Source
        Rows and labels, checked.
    plan : SolverPlan
    dropout : Dropout or None
    memories : list of list of ndarray
        What the optimiser remembers of each parameter; empty before the first step.
    best : float
        The validation accuracy that is to be exceeded.
    watch : SolverWatch
    """

    def __init__(self, layers, train, val, plan, dropout, memories, best, watch):
        self.plan, self.watch, self._told = plan, watch, 0
        beta_1, beta_2 = plan.optimizer.numbers()
        sizes = len(train), len(val)
        block_size = max(plan.batch_size, min(BLOCK_ROWS, max(sizes)))
        sources = zeros.skipped_if_mostly(train, val, len(layers[0][1]), plan.num_epochs)
        job = Job(
            architecture_of(layers),
            layers,
            Settings(
                *(plan.optimizer.name, plan.alpha != 0, beta_1, beta_2), masked=dropout is not None
            ),
            *sources,
            batch_sizes=(plan.batch_size,),
            block_size=block_size,
            evaluate_loss=False,
            keep_best=True,
        )
        loop = loop_with_room(job)
        units = [len(b) for _, b in layers[:-1]]
        steps = plan.num_epochs * steps_per_epoch(sizes[0], plan.batch_size)
        with room_for(f"a history of {steps} steps", 16 * steps, "ask for fewer epochs"):
            order = SolverOrder(plan, sizes, block_size, dropout, units)
            records = Records(steps, 2 * order.checks)
        records.best[0] = self.best_before = best
        order.waits = watch.waits
        super().__init__(loop, order, records)
        if memories:
            named = {}
            for i, parts in enumerate(memories, 1):
                flat = np.concatenate([np.ravel(part) for part in parts])
                named[f"memory_{i}"] = flat.astype(layers[0][0].dtype, copy=False)
            self.loop.restore({**self.loop.state(), **named})

    def after_steps(self, first, stop):
        """Tell of steps and checks as the course's Solver does, and in its order."""
        order, watch = self.order, self.watch
        if not watch.tells:
            return
        for check in range(self._told, order.epochs_done()):
            behind = order.steps_before(check)
            watch.tell_steps(self, first, behind)
            first = max(first, behind)
            watch.tell_check(self, check)
            self._told = check + 1
        watch.tell_steps(self, first, stop)

    def accuracies(self, first=0, stop=None):
        """Return the accuracies of some checks, of all by default: training, validation."""
        stop = self.order.epochs_done() if stop is None else stop
        right = self.records.val_correct[2 * first : 2 * stop].reshape(-1, 2) / self.order.checked
        return right[:, 0], right[:, 1]

    def best(self):
        """Return the parameters that exceeded the best accuracy, a list of (W, b), or None."""
        return self.loop.best() if self.records.best[0] > self.best_before else None

    def memories(self):
        """Return what the optimiser remembers, each of it in one flat array."""
        state = self.loop.state()
        return [state[name] for name in sorted(state) if name.startswith("memory_")]

    def keep(self):
        """Write the parameters where the user finds them, and let the Solver have the rest."""
        if self.loop.finished():
            # Ctrl-C may have come between the end of the work and the note of it.
            self.order.done = self.order.asked
        self.loop.store()
        self.watch.keep(self)
