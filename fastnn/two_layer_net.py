"""TwoLayerNet: CS231n's class, same seeds, same numbers."""

import numpy as np

from . import reference
from .checks.arguments import (
    check_deviation,
    check_dtype,
    check_function,
    check_number,
    check_random_state,
    check_size,
    room_for,
)
from .checks.data import check_X, check_y
from .engine import course, inference
from .engine.progress import Reporter
from .files.course import TWO_LAYER_NET_FORMAT
from .files.saved import Saved
from .jobs import Architecture
from .named_params import NamedParams

_NAMES = ("W1", "b1", "W2", "b2")


class TwoLayerNet(NamedParams, Saved):
    """A two-layer network: affine, ReLU, affine, softmax, trained by gradient descent.

    A drop-in replacement for the class of Stanford's CS231n (assignment 1) and of the many posts
    on it: the same arguments, the same draws from NumPy's global generator, the same numbers to
    rounding, with the whole training loop compiled.

    Parameters
    ----------
    input_size : int
        Number of features, D.
    hidden_size : int
        Number of hidden units, H.
    output_size : int
        Number of classes, C.
    std : float, default=1e-4
        Standard deviation of the initial weights; W1 is drawn before W2, biases are zero.
    dtype : dtype, default=float64
        float32 or float64; the whole computation runs in it. float32 is about twice as fast.
    reg_factor : float, default=0.5
        The p of ``loss = mean cross-entropy + p reg (sum(W1^2) + sum(W2^2))``. See Notes.
    random_state : int, RandomState or None, default=None
        Where weights and batches are drawn from; None is NumPy's global generator, as in the
        original, so that ``numpy.random.seed`` governs both.

    Attributes
    ----------
    params : dict
        ``W1`` (D, H), ``b1`` (H,), ``W2`` (H, C), ``b2`` (C,). The arrays are live: replaced or
        modified in place, the next call sees it.
    history : dict or None
        What the latest ``train`` returned, or had recorded when it was interrupted.

    Raises
    ------
    TypeError, ValueError
        For a size that is no integer of at least 1, an unknown dtype, a negative `std`.

    Notes
    -----
    Two conventions of the penalty are in use. The post that this class follows multiplies by
    p = 0.5, so that its gradient is ``reg W``; the course itself, from 2017 on, uses p = 1, so
    that it is ``2 reg W``. The wrong one is recognised by a loss that is off by
    ``0.5 reg (sum(W1^2) + sum(W2^2))``: on the course's toy problem, 1.2848 where 1.3038 is
    expected, off by 0.0189654196. Then pass ``reg_factor=1``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import TwoLayerNet
    >>> np.random.seed(0)
    >>> net = TwoLayerNet(4, 10, 3, std=1e-1)
    >>> np.random.seed(1)
    >>> X, y = 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])
    >>> loss, grads = net.loss(X, y, reg=0.1)
    >>> print(f"{loss:.10f}")
    1.3037878913
    """

    _format, _readable = TWO_LAYER_NET_FORMAT, (TWO_LAYER_NET_FORMAT,)

    __slots__ = ("_architecture", "_history", "_random", "_reg_factor")

    def __init__(
        self,
        input_size,
        hidden_size,
        output_size,
        std=1e-4,
        *,
        dtype=np.float64,
        reg_factor=0.5,
        random_state=None,
    ):
        D = check_size(input_size, "input_size")
        H = check_size(hidden_size, "hidden_size")
        C = check_size(output_size, "output_size")
        self._dtype = check_dtype(dtype)
        std = check_deviation(std, "std", self._dtype)
        self.reg_factor = reg_factor
        self._shapes = {"W1": (D, H), "b1": (H,), "W2": (H, C), "b2": (C,)}
        self._architecture = Architecture((D, H, C))
        self._random = None if random_state is None else check_random_state(random_state)
        random = self._random or np.random
        size = 8 * (D + C) * H
        with room_for(f"a network of sizes {D}, {H} and {C}", size, "pass smaller sizes"):
            self.params = {
                "W1": (std * random.randn(D, H)).astype(self.dtype, copy=False),
                "b1": np.zeros(H, self.dtype),
                "W2": (std * random.randn(H, C)).astype(self.dtype, copy=False),
                "b2": np.zeros(C, self.dtype),
            }
        self._history = None

    def __repr__(self):
        (D, H), (C,) = self._shapes["W1"], self._shapes["b2"]
        return f"TwoLayerNet({D}, {H}, {C}, dtype={self.dtype}, reg_factor={self.reg_factor})"

    @property
    def dtype(self):
        """The dtype of the parameters and of all computation."""
        return self._dtype

    @property
    def history(self):
        """What the latest `train` returned or, when it was interrupted, had recorded."""
        return self._history

    @property
    def reg_factor(self):
        """The p of the penalty."""
        return self._reg_factor

    @reg_factor.setter
    def reg_factor(self, value):
        remedy = "pass 0.5 (the post) or 1 (the course)"
        self._reg_factor = check_number(value, "reg_factor", remedy)

    def loss(self, X, y=None, reg=0.0):
        """Compute the scores, or the loss and its gradients.

        Parameters
        ----------
        X : array-like of shape (n_samples, D)
        y : array-like of shape (n_samples,), optional
            Labels, integers in 0..C-1.
        reg : float, default=0.0
            Strength of the penalty.

        Returns
        -------
        ndarray of shape (n_samples, C)
            The scores, where `y` is None.
        loss, grads : float, dict
            Else: mean cross-entropy plus ``reg_factor reg (sum(W1^2) + sum(W2^2))``, and its
            gradient by each array of ``params``, under the same keys.

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        params = self._current_params()
        X = check_X(X, self._shapes["W1"][0], self.dtype)
        if y is None:
            return reference.forward(X, params)[1]
        y = check_y(y, len(X), self._shapes["b2"][0])
        reg = check_number(reg, "reg", "pass 0 for no penalty")
        return reference.loss_and_gradients(X, y, params, reg, self.reg_factor)

    def train(
        self,
        X,
        y,
        X_val,
        y_val,
        learning_rate=1e-3,
        learning_rate_decay=0.95,
        reg=5e-6,
        num_iters=100,
        batch_size=200,
        verbose=False,
        *,
        callback=None,
        progress=False,
    ):
        """Train by stochastic gradient descent, each batch drawn with replacement.

        Parameters
        ----------
        X, y : array-like of shape (n_samples, D), (n_samples,)
            Training data. A C-contiguous X of the network's dtype is used as it is.
        X_val, y_val : array-like of shape (n_val, D), (n_val,)
            Validation data, predicted once an epoch.
        learning_rate : float, default=1e-3
        learning_rate_decay : float, default=0.95
            Factor on the learning rate after each epoch's evaluation.
        reg : float, default=5e-6
            Strength of the penalty.
        num_iters : int, default=100
            Number of steps.
        batch_size : int, default=200
            May exceed n_samples, as rows are drawn with replacement.
        verbose : bool, default=False
            Print the loss every 100 steps.
        callback : callable, optional
            Called after each epoch's evaluation with a `TrainingProgress`; ``params`` are up to
            date then. Returning True, or NumPy's, ends the training.
        progress : bool or callable, default=False
            True shows a progress bar, in a terminal on stderr (needs rich: ``python -m pip install
            rich``) or in a notebook; a callable gets a `TrainingProgress` about ten times a second.

        Returns
        -------
        dict
            ``loss_history`` (one a step), ``train_acc_history`` (accuracy on the step's batch,
            after its update) and ``val_acc_history``, both once every
            ``max(n_samples // batch_size, 1)`` steps, from step 0 on.

        Raises
        ------
        TypeError, ValueError
            For arguments of a wrong type, shape or value; nothing has changed then.
        KeyboardInterrupt
            On Ctrl-C, within a fraction of a second. ``params`` hold the last finished step and
            ``history`` what was recorded.

        Warns
        -----
        RuntimeWarning
            Once, at the first loss that is not finite. Training goes on, as the original's does.
        """
        D, C = self._shapes["W1"][0], self._shapes["b2"][0]
        X = check_X(X, D, self.dtype)
        y = check_y(y, len(X), C)
        X_val = check_X(X_val, D, self.dtype, "X_val")
        y_val = check_y(y_val, len(X_val), C, "y_val", "X_val")
        reg = check_number(reg, "reg", "pass 0 for no penalty")
        plan = course.CoursePlan(
            learning_rate=check_number(learning_rate, "learning_rate", "pass for example 1e-3"),
            learning_rate_decay=check_number(
                learning_rate_decay, "learning_rate_decay", "pass 1 for a constant learning rate"
            ),
            alpha=2 * self._reg_factor * reg,
            num_iters=check_size(num_iters, "num_iters", at_least=0),
            batch_size=check_size(batch_size, "batch_size"),
        )
        check_function(callback, "callback", (None,), "a TrainingProgress")
        check_function(progress, "progress", (True, False), "a TrainingProgress")
        params = self._current_params()
        self._check_writeable(params)
        self._history = {}
        run = course.CourseRun(
            *(self._layers(params), (X, y), (X_val, y_val), plan),
            *(self._random or np.random, self._history),
            verbose=verbose,
            waits=callback is not None,
        )
        run.do(Reporter(progress, plan.num_iters, course.describe), callback)
        return self._history

    def predict(self, X):
        """Predict the class with the highest score.

        Parameters
        ----------
        X : array-like of shape (n_samples, D)

        Returns
        -------
        ndarray of shape (n_samples,)
            Class indices, int64; the first of several equal scores.

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        params = self._current_params()
        X = check_X(X, self._shapes["W1"][0], self.dtype)
        layers = self._layers(params)
        return inference.predict_classes(self._architecture, layers, X)

    def _contents(self):
        params = self._current_params()
        return {"reg_factor": self.reg_factor}, {name: params[name] for name in _NAMES}

    @classmethod
    def _from_contents(cls, description, params):
        (D, H), (C,) = params["W1"].shape, params["b2"].shape
        dtype, reg_factor = params["W1"].dtype, description["reg_factor"]
        net = cls(D, H, C, dtype=dtype, reg_factor=reg_factor, random_state=0)
        net._random = None  # it draws from NumPy's global generator
        net.params = {name: params[name] for name in _NAMES}
        return net
