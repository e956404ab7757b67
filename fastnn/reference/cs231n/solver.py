"""The course's Solver in plain NumPy: it trains any model that has a loss and params."""

import numpy as np

from .optim import UPDATE_RULES


class Solver:
    """Trains a model step by step, with the draws, prints and records of the course's Solver.

    The signature and the numbers are those of :class:`fastnn.cs231n.Solver`, whose documentation
    explains them.
    """

    __slots__ = (
        *("__weakref__", "model", "X_train", "y_train", "X_val", "y_val", "update_rule"),
        *("lr_decay", "batch_size", "num_epochs", "num_train_samples", "num_val_samples"),
        *("checkpoint_name", "print_every", "verbose", "epoch", "best_val_acc", "best_params"),
        *("loss_history", "train_acc_history", "val_acc_history", "optim_configs"),
    )

    def __init__(
        self,
        model,
        data,
        *,
        update_rule="sgd",
        optim_config=(),
        lr_decay=1.0,
        batch_size=100,
        num_epochs=10,
        num_train_samples=1000,
        num_val_samples=None,
        checkpoint_name=None,
        print_every=10,
        verbose=True,
    ):
        self.model = model
        self.X_train, self.y_train = data["X_train"], data["y_train"]
        self.X_val, self.y_val = data["X_val"], data["y_val"]
        self.update_rule, self.lr_decay = update_rule, lr_decay
        self.batch_size, self.num_epochs = batch_size, num_epochs
        self.num_train_samples, self.num_val_samples = num_train_samples, num_val_samples
        self.checkpoint_name, self.print_every = checkpoint_name, print_every
        self.verbose = verbose
        self.epoch, self.best_val_acc, self.best_params = 0, 0, {}
        self.loss_history, self.train_acc_history, self.val_acc_history = [], [], []
        self.optim_configs = {name: dict(optim_config) for name in model.params}

    def train(self):
        """Train for `num_epochs` epochs; the model is left with the best parameters."""
        per_epoch = max(len(self.X_train) // self.batch_size, 1)
        total = self.num_epochs * per_epoch
        for t in range(total):
            self._step()
            if self.verbose and t % self.print_every == 0:
                print(step_line(t, total, self.loss_history[-1]))
            if (t + 1) % per_epoch == 0:
                self.epoch += 1
                for config in self.optim_configs.values():
                    config["learning_rate"] *= self.lr_decay
            if t in (0, total - 1) or (t + 1) % per_epoch == 0:
                self._check()
        self._leave_best()

    def _leave_best(self):
        """Give the model copies of the best parameters, if any check has found some."""
        if self.best_params:
            self.model.params = {name: array.copy() for name, array in self.best_params.items()}

    def _step(self):
        """Draw a batch, and update all parameters by its gradient."""
        rows = np.random.choice(len(self.X_train), self.batch_size)
        loss, grads = self.model.loss(self.X_train[rows], self.y_train[rows])
        self.loss_history.append(loss)
        rule, params = UPDATE_RULES[self.update_rule].step, self.model.params
        for name, w in params.items():
            params[name], config = rule(w, grads[name], self.optim_configs[name])
            self.optim_configs[name] = config

    def _check(self):
        """Measure both accuracies, keep the best parameters, and write all of it down."""
        train = self.check_accuracy(self.X_train, self.y_train, self.num_train_samples)
        val = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
        self.train_acc_history.append(train)
        self.val_acc_history.append(val)
        if val > self.best_val_acc:
            self.best_val_acc = val
            self.best_params = {name: array.copy() for name, array in self.model.params.items()}
        self._save_checkpoint()
        if self.verbose:
            print(check_line(self.epoch, self.num_epochs, train, val))

    def _save_checkpoint(self):
        """Write a file; here, none."""

    def check_accuracy(self, X, y, num_samples=None, batch_size=100):
        """Return the share of right answers on all rows, or on some that are drawn."""
        if num_samples is not None and len(X) > num_samples:
            rows = np.random.choice(len(X), num_samples)
            X, y = X[rows], y[rows]
        starts = range(0, len(X), batch_size)
        chosen = [self.model.loss(X[i : i + batch_size]).argmax(axis=1) for i in starts]
        return float(np.mean(np.hstack(chosen) == y))


def step_line(t, total, loss):
    """Return what is printed after a step."""
    return f"(Iteration {t + 1} / {total}) loss: {loss:f}"


def check_line(epoch, num_epochs, train_acc, val_acc):
    """Return what is printed after a check of the accuracies."""
    return f"(Epoch {epoch} / {num_epochs}) train acc: {train_acc:f}; val_acc: {val_acc:f}"
