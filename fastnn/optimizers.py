"""Optimisers: how a step follows the gradient; descriptions of what the compiled loop does.

Their numbers are checked where they are made: ValueError for a number out of its range, TypeError
for what is no number.
"""

from dataclasses import dataclass, field

import numpy as np

from .checks.fields import check_fields, check_kind


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: ``w <- w - learning_rate g``.

    Parameters
    ----------
    learning_rate_init : float, default=0.1
        The schedule multiplies it.
    """

    learning_rate_init: float = 0.1

    name = "sgd"

    def __post_init__(self):
        check_fields(self)

    def numbers(self):
        """Return beta_1 and beta_2 of the compiled step."""
        return 0.0, 0.0

    def rates(self, learning_rates, steps):
        """Return the rates, decays and epsilons of the compiled steps, numbered from 0 on."""
        return learning_rates, np.ones_like(learning_rates), 0.0


@dataclass(frozen=True)
class Momentum(SGD):
    """Gradient descent with a velocity: ``v <- momentum v - learning_rate g``, ``w <- w + v``.

    Nesterov's variant looks ahead: ``w <- w + momentum v - learning_rate g`` [1]_.

    Parameters
    ----------
    learning_rate_init : float, default=0.01
    momentum : float, default=0.9
        In [0, 1).
    nesterovs_momentum : bool, default=False

    References
    ----------
    .. [1] Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum
       in deep learning", ICML 2013.
    """

    learning_rate_init: float = 0.01
    momentum: float = 0.9
    nesterovs_momentum: bool = False

    @property
    def name(self):
        """The compiled step's name."""
        return "nesterov" if self.nesterovs_momentum else "momentum"

    def numbers(self):
        """Return beta_1 and beta_2 of the compiled step."""
        return self.momentum, 0.0


@dataclass(frozen=True)
class Adam(SGD):
    """Adam [1]_: steps scaled by running means of the gradient and of its square.

    ``m <- beta_1 m + (1 - beta_1) g`` and ``v <- beta_2 v + (1 - beta_2) g^2``; then
    ``w <- w - rate m / (sqrt(v) + epsilon)`` with
    ``rate = learning_rate sqrt(1 - beta_2^t) / (1 - beta_1^t)`` at step t, from 1 on: the form at
    the end of section 2 of the paper, and scikit-learn's. The paper's algorithm 1, PyTorch, Keras
    and CS231n correct both means first, ``m' = m / (1 - beta_1^t)`` and
    ``v' = v / (1 - beta_2^t)``, and add epsilon to the root of the corrected one:
    ``w <- w - learning_rate m' / (sqrt(v') + epsilon)``. The two differ where
    gradients are about as small as epsilon, and most in the first steps.

    Parameters
    ----------
    learning_rate_init : float, default=0.001
    beta_1, beta_2 : float, default=0.9, 0.999
        In [0, 1).
    epsilon : float, default=1e-8
        Above 0.
    corrected_root : bool, default=False
        Add epsilon to the root of the corrected v, as PyTorch, Keras and CS231n do.

    References
    ----------
    .. [1] Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
    """

    learning_rate_init: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    corrected_root: bool = field(default=False, kw_only=True)

    name = "adam"

    def numbers(self):
        """Return beta_1 and beta_2 of the compiled step."""
        return self.beta_1, self.beta_2

    def rates(self, learning_rates, steps):
        """Return the rates, decays and epsilons of the compiled steps, numbered from 0 on."""
        t = steps + 1.0
        root = np.sqrt(1 - self.beta_2**t)
        rates = learning_rates * (root / (1 - self.beta_1**t))
        # sqrt(v') + epsilon, multiplied by the root of the correction, is sqrt(v) + epsilon root.
        epsilons = self.epsilon * (root if self.corrected_root else np.ones_like(root))
        return rates, np.ones_like(learning_rates), epsilons


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam, and weights that decay by themselves [1]_: ``w <- (1 - learning_rate weight_decay) w``.

    Unlike the gradient of an L2 penalty, the decay is not divided by ``sqrt(v)``. Biases do not
    decay.

    Parameters
    ----------
    learning_rate_init : float, default=0.001
    beta_1, beta_2 : float, default=0.9, 0.999
        In [0, 1).
    epsilon : float, default=1e-8
        Above 0.
    weight_decay : float, default=0.01
    corrected_root : bool, default=False
        Add epsilon to the root of the corrected v, as PyTorch and Keras do: see :class:`Adam`.

    References
    ----------
    .. [1] Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    weight_decay: float = 0.01

    def rates(self, learning_rates, steps):
        """Return the rates, decays and epsilons of the compiled steps, numbered from 0 on."""
        rates, _, epsilons = super().rates(learning_rates, steps)
        return rates, 1 - learning_rates * self.weight_decay, epsilons


@dataclass(frozen=True)
class Lion(SGD):
    """Lion [1]_: steps of one size, in the direction of a running mean of the gradient.

    ``w <- (1 - learning_rate weight_decay) w - learning_rate sign(beta_1 m + (1 - beta_1) g)``,
    then ``m <- beta_2 m + (1 - beta_2) g``. Since every step is as long as the learning rate, that
    has to be several times smaller than Adam's, and the weight decay larger. Biases do not decay.

    Parameters
    ----------
    learning_rate_init : float, default=1e-4
    beta_1, beta_2 : float, default=0.9, 0.99
        In [0, 1).
    weight_decay : float, default=0.0

    References
    ----------
    .. [1] Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023.
    """

    learning_rate_init: float = 1e-4
    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.0

    name = "lion"

    def numbers(self):
        """Return beta_1 and beta_2 of the compiled step."""
        return self.beta_1, self.beta_2

    def rates(self, learning_rates, steps):
        """Return the rates, decays and epsilons of the compiled steps, numbered from 0 on."""
        return learning_rates, 1 - learning_rates * self.weight_decay, 0.0


@dataclass(frozen=True)
class RMSProp(SGD):
    """RMSProp [1]_: steps scaled by a running mean of the gradient's square.

    ``v <- decay_rate v + (1 - decay_rate) g^2``, then
    ``w <- w - learning_rate g / (sqrt(v) + epsilon)``, as in PyTorch and in CS231n.

    Parameters
    ----------
    learning_rate_init : float, default=0.01
    decay_rate : float, default=0.99
        In [0, 1).
    epsilon : float, default=1e-8
        Above 0.

    References
    ----------
    .. [1] Tieleman and Hinton, "Lecture 6.5: Divide the gradient by a running average of its recent
       magnitude", Coursera: Neural Networks for Machine Learning, 2012.
    """

    learning_rate_init: float = 0.01
    decay_rate: float = 0.99
    epsilon: float = 1e-8

    name = "rmsprop"

    def numbers(self):
        """Return beta_1 and beta_2 of the compiled step."""
        return 0.0, self.decay_rate

    def rates(self, learning_rates, steps):
        """Return the rates, decays and epsilons of the compiled steps, numbered from 0 on."""
        return learning_rates, np.ones_like(learning_rates), self.epsilon


#: The names that stand for an optimiser with its defaults.
OPTIMIZERS = {
    "sgd": SGD(),
    "momentum": Momentum(),
    "nesterov": Momentum(nesterovs_momentum=True),
    "adam": Adam(),
    "adamw": AdamW(),
    "lion": Lion(),
    "rmsprop": RMSProp(),
}


def check_optimizer(optimizer):
    """Return an optimiser for itself or its name."""
    return check_kind(
        optimizer, "optimizer", OPTIMIZERS, "fastnn.optimizers.Adam(learning_rate_init=0.01)"
    )
