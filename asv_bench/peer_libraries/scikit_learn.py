"""scikit-learn by its estimators: `fit` draws the weights and shuffles the rows itself."""

import warnings

import numpy as np

from .peer import Peer, PeerError
from .problems import CHECK_EPOCHS, check_order, check_rate, data_of, layers_of


class ScikitLearn(Peer):
    """MLPClassifier and MLPRegressor: `fit` for some epochs. It shuffles for itself."""

    title, module, package = "scikit-learn", "sklearn", "scikit-learn"
    #: What `fit` does before the first epoch takes about a tenth of one.
    least_epochs = 3

    @classmethod
    def takes(cls, problem):
        """Tell whether it can: two classes have one logistic output there.

        It counts the classes in its data, and the two batches that are compared must have all.
        """
        return problem.head != "softmax" or 2 < problem.layer_sizes[-1] <= 2 * problem.n

    def build(self, problem, seed, rate):
        self.problem, self.seed, self.rate = problem, seed, rate
        X, y = data_of(problem)
        self.data = X, y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y

    def model(self, epochs, **options):
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        problem = self.problem
        make = MLPClassifier if problem.head == "softmax" else MLPRegressor
        return make(
            hidden_layer_sizes=problem.layer_sizes[1:-1],
            activation=problem.activation,
            solver=problem.optimizer,
            alpha=0.0,
            batch_size=problem.n,
            learning_rate_init=self.rate,
            max_iter=epochs,
            momentum=0.0,
            nesterovs_momentum=False,
            tol=0.0,
            n_iter_no_change=2**31 - 1,
            random_state=self.seed,
            **options,
        )

    def train(self, order):
        epochs = order.steps // self.problem.steps_per_epoch

        def train():
            model = self.model(epochs, shuffle=order.rows is not None)
            fit(model, *self.data)
            if model.t_ != epochs * self.problem.rows:
                raise PeerError(f"scikit-learn ended after {model.n_iter_} of {epochs} epochs")
            return model.loss_curve_

        return train

    def losses(self, problem, seed):
        self.build(problem, seed, check_rate(problem))
        order = check_order(problem)
        chosen = slice(None) if order.rows is None else order.rows[:2].ravel()
        X, y = (part[chosen] for part in self.data)
        # The first fit makes the arrays; the second begins with others in them, Adam's new.
        model = fit(self.model(CHECK_EPOCHS, shuffle=False, warm_start=True), X, y)
        for depth, (W, b) in enumerate(layers_of(problem, seed)):
            model.coefs_[depth][...], model.intercepts_[depth][...] = W, b
        return np.array(fit(model, X, y).loss_curve_[-CHECK_EPOCHS:])


def fit(model, X, y):
    """Fit, and do not warn that the last epoch came before convergence."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)
