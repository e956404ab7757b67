"""How many threads a run takes: what pays is tried while it runs, as bits do not depend on it.

A second thread halves a step, or lengthens it: where other programs want the cores, or where two of
them are one in truth, whoever is interrupted is waited for by all. No count tells that beforehand.
So a run begins with a few threads, and now and then works with twice or half as many for a moment.
"""

#: Most threads that a run begins with, and the flops of a step for each of them. On 16 virtual
#: cores of an Intel server that others used, a step of 784-100-10 (95 MFLOP) took 0.6 to 1.2 of one
#: thread's time with four of them and 4 with sixteen, one of 64-100-10 (9 MFLOP) 2.2 and 4.
AT_FIRST, FLOPS_AT_FIRST = 4, 10_000_000
#: Steps from which on their number does not matter. Threads are started for each call, in some 0.15
#: ms: of few steps, less work must pay for that. The full gradients of L-BFGS, of 1,800 rows of
#: 64-100-10, took two threads 12 % longer than one, of 500 rows 20 %, and of 20,000 as long (two
#: cores of a Zen 4).
STEPS_A_START = 10
#: Seconds of work that tell how fast a number of threads is. What seems better is confirmed by as
#: many again.
WINDOW = 0.03
#: How much to do at a time while another number is tried, or is about to be, of what is done at a
#: time otherwise.
SHARE = 0.3
#: Seconds of work until fewer threads are tried first, and at most until the next trial. A trial
#: costs no more than a window: two per cent of a run at first, a fifth of one later on.
WAIT, LONGEST_WAIT = 1.0, 16.0
#: How much faster twice as many threads must be: a few per cent are not worth their cores.
GAIN = 1.05


def at_first(flops, steps=None):
    """Return the most threads to begin with.

    Parameters
    ----------
    flops : float
        Of a step.
    steps : int or None
        That are taken at a time; None for many.
    """
    if steps is not None:
        flops = min(flops, flops * steps / STEPS_A_START)
    return max(1, min(AT_FIRST, int(flops // FLOPS_AT_FIRST)))


class Crew:
    """The threads of a run, and how fast it goes.

    Parameters
    ----------
    limit : int
        Most threads.
    at_first : int or None
        Most to begin with; None to take `limit` of them, whatever pays.

    Attributes
    ----------
    threads : int
        To work with now.
    pace : float or None
        For whoever drives the run: how much of it to do at a time.
    """

    def __init__(self, limit, at_first):
        fixed = at_first is None
        self.counts = [limit] if fixed else [limit >> k for k in range(limit.bit_length())]
        #: The place of the best known count, and of the one that is tried instead, or None.
        self.best = 0 if fixed else sum(count > at_first for count in self.counts)
        self.tried: int | None = None
        self.pace: float | None = None
        #: Which way to try next, towards more threads or fewer, and when.
        self.direction = -1 if self.best else 1
        self.wait, self.failures = 0.0 if self.best else WAIT, 0
        #: What the best has done of late, what the one that is tried has, and in how long.
        self.work, self.seconds, self.waited = 0.0, 0.0, 0.0
        self.new_work, self.new_seconds = 0.0, 0.0
        self.begun = False

    @property
    def threads(self):
        """How many threads to work with now."""
        return self.counts[self.best if self.tried is None else self.tried]

    @property
    def share(self):
        """How much to do at a time, of what `pace` says."""
        trial_is_due = self.adapts and self.waited >= self.wait
        return 1.0 if self.tried is None and not trial_is_due else SHARE

    @property
    def adapts(self):
        """Whether there is anything to try."""
        return len(self.counts) > 1

    def note(self, work, seconds):
        """Note how long some work took; `threads` may be another number afterwards."""
        if not self.begun:
            # The first time, the loop may have been compiled.
            self.begun = True
        elif self.tried is None:
            self._note_best(work, seconds)
        else:
            self._note_tried(work, seconds)

    def lack(self):
        """Do without as many threads as now, as they cannot be had; return whether any are left."""
        at = self.best if self.tried is None else self.tried
        fewer = self.counts[at + 1 :] or [1]
        if self.counts[at] == 1:
            return False
        self.counts, self.best, self.tried, self.direction = fewer, 0, None, 1
        self.work = self.seconds = self.waited = self.new_work = self.new_seconds = 0.0
        self.wait, self.failures = WAIT, 0
        return True

    def _note_best(self, work, seconds):
        self.work, self.seconds = self.work + work, self.seconds + seconds
        self.waited += seconds
        if self.seconds >= WINDOW and self.waited >= self.wait:
            self.tried = self.best + self.direction
        elif self.seconds > WAIT:
            # What was long ago counts less and less.
            self.work, self.seconds = self.work / 2, self.seconds / 2

    def _note_tried(self, work, seconds):
        self.new_work, self.new_seconds = self.new_work + work, self.new_seconds + seconds
        if self.new_seconds < WINDOW:
            return
        needed = GAIN if self.direction < 0 else 1.0
        won = self.new_work / self.new_seconds >= needed * self.work / self.seconds
        if won and self.new_seconds < 2 * WINDOW:
            return
        if won:
            self.best, self.work, self.seconds = self.tried, self.new_work, self.new_seconds
        self.tried, self.new_work, self.new_seconds, self.waited = None, 0.0, 0.0, 0.0
        if won and self._may(self.direction):
            self.wait = 0.0
            return
        self.failures = 0 if won else self.failures + 1
        both = self._may(-self.direction)
        # Twice as long each time that no direction has gained anything.
        self.wait = min(WAIT * 2 ** (self.failures // (1 + both)), LONGEST_WAIT)
        if both:
            self.direction = -self.direction

    def _may(self, direction):
        """Tell whether there is a count in a direction."""
        return 0 <= self.best + direction < len(self.counts)
