"""A Solver's training in the compiled loop: what goes in, and what of it the Solver gets back."""

import functools

from .. import two_layer_net
from ..checks.data import check_X, check_y, flat_rows
from ..engine.solver import SolverPlan, SolverRun, SolverWatch
from ..jit import jit_disabled
from ..jobs import Source
from ..reference.cs231n.solver import check_line, step_line
from .fully_connected_net import FullyConnectedNet
from .optim_configs import common_config, optimizer_of, write_back
from .two_layer_net import TwoLayerNet

#: The methods that compute what the compiled loop does.
_LOSSES = {FullyConnectedNet.loss, TwoLayerNet.loss, two_layer_net.TwoLayerNet.loss}


def is_compiled(model):
    """Tell whether the compiled loop computes what a model does."""
    kinds = (FullyConnectedNet, two_layer_net.TwoLayerNet)
    return isinstance(model, kinds) and getattr(model.loss, "__func__", None) in _LOSSES


def compiled_run(solver):
    """Return the run of a Solver's training, or None where only plain steps do what it asks for.

    Those are models of other classes, and numbers of the update rule that differ from parameter to
    parameter.
    """
    model = solver.model
    if jit_disabled() or not is_compiled(model):
        return None
    params = model._current_params()
    common = common_config(
        solver.update_rule, [solver.optim_configs[name] for name in model._shapes]
    )
    if common is None:
        return None
    layers = model._layers(params)
    if solver.update_rule == "sgd":
        model._check_writeable(params)
    else:
        # As in the course: these rules return new arrays, where sgd works in place.
        layers = [(W.copy(), b.copy()) for W, b in layers]
    sources, (D, C) = [], (len(layers[0][0]), len(layers[-1][1]))
    for X, y in (("X_train", "y_train"), ("X_val", "y_val")):
        rows = check_X(flat_rows(getattr(solver, X), X), D, model.dtype, X)
        sources.append(Source(rows, check_y(getattr(solver, y), len(rows), C, y, X)))
    plan = SolverPlan(
        optimizer=optimizer_of(solver.update_rule, common.numbers),
        lr_decay=solver.lr_decay,
        alpha=model._alpha,
        num_epochs=solver.num_epochs,
        batch_size=solver.batch_size,
        samples=(solver.num_train_samples, solver.num_val_samples),
        steps_before=common.numbers.get("t", 0),
    )
    keeper = _Keeper(solver, layers)
    watch = SolverWatch(
        keep=keeper.keep,
        tell_steps=functools.partial(_tell_steps, solver),
        tell_check=functools.partial(_tell_check, solver, solver.epoch),
        tells=bool(solver.verbose) or solver.checkpoint_name is not None,
        waits=solver.checkpoint_name is not None,
    )
    memories, best = common.memories, solver.best_val_acc
    return SolverRun(layers, *sources, plan, model._dropout(), memories, best, watch)


class _Keeper:
    """Brings a Solver up to date with a run, as often as it is asked to."""

    def __init__(self, solver, layers):
        self.solver, self.layers = solver, layers
        self.steps, self.checks = len(solver.loss_history), len(solver.val_acc_history)
        self.epoch = solver.epoch

    def keep(self, run):
        """Write down all that is done."""
        solver, order, records = self.solver, run.order, run.records
        steps, epochs = order.steps_done(), order.steps_done() // order.steps_per_epoch
        solver.loss_history[self.steps :] = records.losses[:steps].tolist()
        train, val = run.accuracies()
        solver.train_acc_history[self.checks :] = train.tolist()
        solver.val_acc_history[self.checks :] = val.tolist()
        solver.epoch = self.epoch + epochs
        model, best = solver.model, run.best()
        model.params.update(_named(model, self.layers))
        if best is not None:
            solver.best_val_acc = float(records.best[0])
            solver.best_params = _named(model, best)
        if steps:
            numbers = {"learning_rate": float(order.by_epoch[epochs])}
            if solver.update_rule == "adam":
                numbers["t"] = run.plan.steps_before + steps
            configs = [solver.optim_configs[name] for name in model._shapes]
            shapes = list(model._shapes.values())
            write_back(solver.update_rule, configs, shapes, numbers, run.memories())


def _named(model, layers):
    """Return the parameters of all layers by their names."""
    return dict(zip(model._shapes, (part for layer in layers for part in layer)))


def _tell_steps(solver, run, first, stop):
    """Print the losses of some steps."""
    if solver.verbose:
        for step in range(first + -first % solver.print_every, stop, solver.print_every):
            print(step_line(step, run.order.total_steps, run.records.losses[step]))


def _tell_check(solver, first_epoch, run, check):
    """Write a checkpoint, and print the accuracies of a check."""
    if solver.checkpoint_name is not None:
        run.keep()
        solver._save_checkpoint()
    if solver.verbose:
        train, val = run.accuracies(check, check + 1)
        epoch = first_epoch + run.order.steps_before(check) // run.order.steps_per_epoch
        print(check_line(epoch, solver.num_epochs, train[0], val[0]))
