"""The three methods in which scikit-learn's perceptrons compute, on the engine.

Each falls back on scikit-learn's own where the engine cannot compute the same, and says so.
"""

import functools

from . import gradient, prediction, support, training
from .installed import HOOKS, ORIGINAL, arguments_of
from .options import options_of


def _hook(name):
    """Decorate the engine's form of a method; it returns NotImplemented where it cannot be."""

    def decorate(function):
        original = ORIGINAL[name]

        @functools.wraps(original)
        def method(self, *args, **kwargs):
            result = function(self, **arguments_of(name, args, kwargs))
            return original(self, *args, **kwargs) if result is NotImplemented else result

        method.fastnn = True
        return method

    return decorate


def _falls_back(estimator, what, reason):
    """Say why scikit-learn's own code does the work, unless it does not."""
    if reason is None:
        return False
    needs = getattr(estimator, "_needs_engine", list)()
    if needs:
        raise ValueError(
            f"{needs[0]} needs fastnn's engine, which cannot be used, since {reason}: leave "
            f"{needs[0]} as scikit-learn has it, or remove the reason"
        )
    support.fallback(estimator, what, reason)
    return True


@_hook("_fit_stochastic")
def fit_stochastic(self, X, y, incremental, sample_weight=None, **_):
    """Train by SGD or Adam."""
    reason = support.why_not(self) or support.why_not_rows(self, X)
    reason = reason or support.why_not_steps(self, X, incremental)
    reason = reason or support.why_not_targets(self, y)
    if _falls_back(self, "trains", reason):
        return NotImplemented
    training.fit(self, X, y, sample_weight, incremental, options_of(self))
    return None


@_hook("_loss_grad_lbfgs")
def loss_grad_lbfgs(self, packed_coef_inter, X, y, activations, sample_weight=None, **_):
    """Compute the loss and the gradient for L-BFGS."""
    # Asked once a fit: of small data, it takes longer than the gradient.
    if not gradient.is_made(activations, X, y, sample_weight):
        reason = support.why_not(self) or support.why_not_rows(self, X)
        reason = reason or support.why_not_targets(self, y)
        if _falls_back(self, "trains", reason):
            return NotImplemented
    return gradient.loss_and_gradient(self, packed_coef_inter, X, y, sample_weight, activations)


@_hook("_forward_pass_fast")
def forward_pass_fast(self, X, check_input=True):
    """Predict."""
    if not hasattr(self, "out_activation_"):
        return NotImplemented  # half fitted: scikit-learn says what is missing
    if _falls_back(self, "predicts with", support.why_not(self)):
        return NotImplemented
    return prediction.outputs(self, X, check_input)


#: The methods by name.
METHODS = dict(zip(HOOKS, (fit_stochastic, loss_grad_lbfgs, forward_pass_fast)))
