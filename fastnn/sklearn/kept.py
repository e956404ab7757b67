"""What a partial fit leaves to the next one: its loop, and in it what the optimiser remembers.

A partial fit of few rows takes less time than to lay out the loop's buffers and to copy the
optimiser's memories there and back, which are twice as many numbers as the network's. So they stay
there, and scikit-learn's optimiser has its own arrays again once anybody asks for one.
"""

from numbers import Integral
from typing import Any, NamedTuple

from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

#: Bytes of the largest loop that is kept: an estimator has one as long as it lives.
MOST_BYTES = 1 << 26


class Kept(NamedTuple):
    """What an optimiser has in place of its memories."""

    loop: Any
    random: Any = None  #: the generator that was made of the estimator's seed, or None


class _Keeping:
    """An optimiser whose memories are in a loop. It is scikit-learn's own class again by itself."""

    memories: tuple = ()  #: names of what it does not have
    plain: Any = None  #: what it was, and will be

    def __getattr__(self, name):
        # Only of what it does not have.
        if name not in type(self).memories:
            raise AttributeError(f"{type(self).plain.__name__!r} object has no attribute {name!r}")
        settle(self)
        return getattr(self, name)

    def __reduce_ex__(self, protocol):
        settle(self)
        return self.__reduce_ex__(protocol)


class _KeepingAdam(_Keeping, AdamOptimizer):
    memories, plain = ("ms", "vs"), AdamOptimizer


class _KeepingSGD(_Keeping, SGDOptimizer):
    memories, plain = ("velocities",), SGDOptimizer


_KINDS = {AdamOptimizer: _KeepingAdam, SGDOptimizer: _KeepingSGD}


def is_known(optimizer):
    """Tell whether an optimiser is one of scikit-learn's own."""
    return getattr(type(optimizer), "plain", type(optimizer)) in _KINDS


def loop_in(optimizer):
    """Return the loop that has the memories of an optimiser, or None."""
    if not isinstance(optimizer, _Keeping):
        return None
    if any(name in vars(optimizer) for name in type(optimizer).memories):
        # Somebody has written some: the others are those of the loop.
        settle(optimizer)
        return None
    return optimizer._kept.loop


def keep(optimizer, loop):
    """Leave an optimiser's memories in the loop that has them; return whether they may stay."""
    if loop.kind is None or loop.size > MOST_BYTES:
        return False
    if not isinstance(optimizer, _Keeping):
        optimizer.__class__ = _KINDS[type(optimizer)]
    for name in type(optimizer).memories:
        vars(optimizer).pop(name, None)
    loop.rest()
    random = optimizer._kept.random if "_kept" in vars(optimizer) else None
    optimizer._kept = Kept(loop, random)
    return True


def settle(optimizer):
    """Give an optimiser its memories back, and its class."""
    if isinstance(optimizer, _Keeping):
        known, names = vars(optimizer), type(optimizer).memories
        for name, layers in zip(names, known["_kept"].loop.memories()):
            known.setdefault(name, [W for W, _ in layers] + [b for _, b in layers])
        # Only now, and by what calls nothing: Ctrl-C leaves it as it was, or settled.
        del known["_kept"]
        optimizer.__class__ = optimizer.plain


def seeded(estimator):
    """Return what a partial fit is to draw from: a new generator's like, or `random_state`.

    To seed a generator takes 1 us, to make one 90.
    """
    seed, optimizer = estimator.random_state, getattr(estimator, "_optimizer", None)
    if not isinstance(seed, Integral) or not isinstance(optimizer, _Keeping):
        return seed
    random = optimizer._kept.random
    if random is None or random is not estimator._random_state:
        return seed
    random.seed(seed)
    return random


def keep_random(estimator):
    """Keep the generator that a partial fit has made of a seed."""
    optimizer = getattr(estimator, "_optimizer", None)
    if isinstance(estimator.random_state, Integral) and isinstance(optimizer, _Keeping):
        optimizer._kept = optimizer._kept._replace(random=estimator._random_state)
