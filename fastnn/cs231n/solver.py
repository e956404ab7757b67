"""Solver: the course's training of any model, in the compiled loop where the model is fastnn's."""

from types import MappingProxyType

import numpy as np

from ..checks.arguments import check_choice, check_number, check_size
from ..checks.data import check_X, check_y, flat_rows
from ..engine import inference
from ..engine.course import architecture_of
from ..engine.progress import Reporter
from ..files.writing import check_path
from ..reference import cs231n as reference
from ..reference.cs231n.optim import UPDATE_RULES
from . import checkpoints
from .optim_configs import check_config
from .training import compiled_run, is_compiled

#: What a Solver's data are called.
_DATA = ("X_train", "y_train", "X_val", "y_val")


def _check_samples(value, name):
    return value if value is None else check_size(value, name)


#: Checks of what may be assigned between two calls.
_CHECKS = {
    "lr_decay": lambda value: check_number(value, "lr_decay", "pass 1 for a constant rate"),
    "batch_size": lambda value: check_size(value, "batch_size"),
    "num_epochs": lambda value: check_size(value, "num_epochs", at_least=0),
    "num_train_samples": lambda value: _check_samples(value, "num_train_samples"),
    "num_val_samples": lambda value: _check_samples(value, "num_val_samples"),
    "checkpoint_name": lambda value: value is None or check_path(value, "checkpoint_name"),
    "print_every": lambda value: check_size(value, "print_every"),
}


class Solver(reference.Solver):
    """The course's Solver: it trains a model on batches that it draws, and keeps the best.

    It has the arguments, the draws, the prints, the records and the numbers of the course's class.
    A :class:`TwoLayerNet` or a :class:`FullyConnectedNet` is trained in the compiled loop; any
    other model with ``loss(X, y)`` and ``params`` step by step, as the original does.

    Parameters
    ----------
    model : object
        Its ``params`` is a dict of arrays; ``loss(X, y)`` returns the loss and a dict of gradients
        with the same keys, ``loss(X)`` the scores.
    data : dict
        ``X_train``, ``y_train``, ``X_val`` and ``y_val``; a row of X may have any shape. Other keys
        are left alone.
    update_rule : str, default="sgd"
        "sgd", "sgd_momentum", "rmsprop" or "adam", see :mod:`fastnn.cs231n.optim`.
    optim_config : dict, default={}
        Numbers of the update rule: ``learning_rate`` (1e-2, of Adam 1e-3); ``momentum`` (0.9);
        ``decay_rate`` (0.99) and ``epsilon`` (1e-8) of rmsprop; ``beta1`` (0.9), ``beta2`` (0.999),
        ``epsilon`` (1e-8) and ``t`` (0), the number of the last step, of Adam.
    lr_decay : float, default=1.0
        Factor on the learning rate at the end of each epoch.
    batch_size : int, default=100
        Rows are drawn with replacement.
    num_epochs : int, default=10
        Of each call of `train`; one has ``max(n // batch_size, 1)`` steps.
    num_train_samples : int or None, default=1000
        Rows to draw for each check of the accuracy on the training rows, where there are more.
    num_val_samples : int or None, default=None
        Likewise of the validation rows; None for all.
    checkpoint_name : str, optional
        Write ``<name>_epoch_<epoch>.safetensors`` at each check, for :meth:`restore`.
    print_every : int, default=10
        Steps from one printed loss to the next.
    verbose : bool, default=True
        Print losses and accuracies.

    Attributes
    ----------
    loss_history : list of float
        One a step.
    train_acc_history, val_acc_history : list of float
        Accuracies after the first step and at the end of each epoch.
    best_val_acc : float
    best_params : dict
        Copies of the parameters of the first check with that accuracy; empty before the first.
    epoch : int
        Epochs done.
    optim_configs : dict
        Of each parameter, the numbers of its update rule and what that remembers. The next call of
        `train` uses what is written into it.

    Raises
    ------
    TypeError, ValueError
        For unknown arguments, and for those of a wrong type or value.

    Notes
    -----
    What the original reads at each call is read at each call here too: the model's parameters, the
    data, and all arguments but `optim_config` may be replaced between two calls. Any other
    assignment raises.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.cs231n import FullyConnectedNet, Solver
    >>> np.random.seed(231)
    >>> X = np.random.randn(60, 3, 4)
    >>> y = (X[:, 0, 0] > 0).astype(int)
    >>> data = {"X_train": X[:50], "y_train": y[:50], "X_val": X[50:], "y_val": y[50:]}
    >>> net = FullyConnectedNet(
    ...     [20], input_dim=12, num_classes=2, weight_scale=0.1, dtype=np.float64
    ... )
    >>> options = {"batch_size": 25, "num_epochs": 3, "print_every": 2}
    >>> solver = Solver(
    ...     net, data, update_rule="adam", optim_config={"learning_rate": 0.02}, **options
    ... )
    >>> solver.train()
    (Iteration 1 / 6) loss: 0.698393
    (Epoch 0 / 3) train acc: 0.640000; val_acc: 0.700000
    (Epoch 1 / 3) train acc: 0.720000; val_acc: 0.700000
    (Iteration 3 / 6) loss: 0.631485
    (Epoch 2 / 3) train acc: 0.800000; val_acc: 1.000000
    (Iteration 5 / 6) loss: 0.531426
    (Epoch 3 / 3) train acc: 0.860000; val_acc: 1.000000
    >>> solver.best_val_acc
    1.0
    """

    __slots__ = ("_optim_config",)

    def __init__(self, model, data, **options):
        known = {*_CHECKS, "update_rule", "optim_config", "verbose"}
        unknown = [name for name in options if name not in known]
        if unknown:
            raise ValueError(
                f"a Solver does not know {', '.join(unknown)}: it knows {', '.join(sorted(known))}"
            )
        missing = [name for name in _DATA if name not in data]
        if missing:
            raise ValueError(
                f"data has no {' and no '.join(missing)}: pass a dict of {', '.join(_DATA)}"
            )
        rule = check_choice(options.get("update_rule", "sgd"), "update_rule", UPDATE_RULES)
        config = check_config(rule, options.pop("optim_config", {}), "optim_config")
        _check_model(model)
        super().__init__(model, data, optim_config=config, **options)
        self._optim_config = config
        self._check_options()

    def _check_options(self):
        """Check what may have been assigned since the latest call."""
        check_choice(self.update_rule, "update_rule", UPDATE_RULES)
        for name, check in _CHECKS.items():
            check(getattr(self, name))

    @property
    def optim_config(self):
        """What was passed, to be read only; `optim_configs` holds a copy for each parameter."""
        return MappingProxyType(self._optim_config)

    @optim_config.setter
    def optim_config(self, value):
        raise AttributeError(
            "optim_config is copied for each parameter when the Solver is made: write into "
            "optim_configs, or make a new Solver"
        )

    # ------------------------------------------------------------------------------ training

    def train(self):
        """Train for `num_epochs` epochs; ``model.params`` are then the best of all checks.

        Where no check has found an accuracy above 0, they are those of the last step. Another call
        goes on from the parameters as they are, and with what the update rule remembers.

        Raises
        ------
        TypeError, ValueError
            For data and attributes of a wrong type, shape or value; nothing has changed then.
        KeyboardInterrupt
            On Ctrl-C, within a fraction of a second. ``model.params`` hold the last finished step,
            ``best_params`` the best so far, and the histories what was recorded.

        Warns
        -----
        RuntimeWarning
            Once, at the first loss that is not finite, where the model is fastnn's. Training goes
            on, as the original's does.
        """
        self._check_options()
        for name, array in self.model.params.items():
            if name not in self.optim_configs:
                raise ValueError(
                    f"optim_configs has no {name!r}, which is one of model.params: make a new "
                    "Solver for another model"
                )
            place, shape = f"optim_configs[{name!r}]", np.shape(array)
            check_config(self.update_rule, self.optim_configs[name], place, shape)
        if self.checkpoint_name is not None:
            checkpoints.check(self)
        run = compiled_run(self) if self._is_plain() else None
        if run is None:
            super().train()
            return
        run.do(Reporter(False, 0, None), None)
        self._leave_best()

    def _is_plain(self):
        """Tell whether no subclass does anything else than this class in a step or a check."""
        names = ("check_accuracy", "_step", "_check", "_leave_best")
        return all(getattr(type(self), name) is getattr(Solver, name) for name in names)

    # ------------------------------------------------------------------------------ accuracy

    def check_accuracy(self, X, y, num_samples=None, batch_size=100):
        """Measure the share of right answers.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,)
        num_samples : int, optional
            Rows to draw, with replacement, where there are more.
        batch_size : int, default=100
            Rows that a model of your own predicts at a time.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value, where the model is fastnn's.
        """
        if not is_compiled(self.model):
            return super().check_accuracy(X, y, num_samples, batch_size)
        layers = self.model._layers(self.model._current_params())
        X = flat_rows(X)
        y = check_y(y, len(X), len(layers[-1][1]))
        if num_samples is not None and len(X) > num_samples:
            rows = np.random.choice(len(X), check_size(num_samples, "num_samples"))
            X, y = X[rows], y[rows]
        X, dropout = check_X(X, len(layers[0][0]), self.model.dtype), self.model._dropout()
        for _ in layers[1:] if dropout is not None else ():
            dropout.skip()
        return float(np.mean(inference.predict_classes(architecture_of(layers), layers, X) == y))

    # --------------------------------------------------------------------------- checkpoints

    def _save_checkpoint(self):
        if self.checkpoint_name is not None:
            if self.verbose:
                print(f'Saving checkpoint to "{checkpoints.path_of(self)}"')
            checkpoints.save(self)

    def restore(self, path):
        """Read a checkpoint: `train` goes on from there, for `num_epochs` epochs more.

        The model's parameters, the histories, the best parameters and what the update rule
        remembers are those of the file; data and arguments are this Solver's own, and NumPy's
        generator is left alone.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no checkpoint of a Solver, or damaged, or of another update rule or another
            model; nothing has changed then.

        Warns
        -----
        RuntimeWarning
            If the parameters are not finite, as a training leaves them that has diverged.
        """
        checkpoints.restore(self, path)


def _check_model(model):
    """Refuse what cannot be trained, and what was drawn as 2017's class draws."""
    trains = callable(getattr(model, "loss", None)) and hasattr(model, "params")
    if isinstance(model, type) or not trains:
        raise TypeError(
            f"model is {model!r}, but a Solver trains what has loss(X, y) and params: pass for "
            "example a fastnn.cs231n.FullyConnectedNet"
        )
    if getattr(model, "_guessed", False):
        (D, H), (C,) = model._shapes["W1"], model._shapes["b2"]
        raise ValueError(
            "model is a TwoLayerNet whose sizes came by position, and so is of the form of 2017, "
            "whose weights are ten times smaller: for a Solver make it with "
            f"input_dim={D}, hidden_dim={H}, num_classes={C} (or say std=1e-4)"
        )
