"""What a perceptron of scikit-learn's says of its network; scikit-learn need not be there."""

import numpy as np

#: Heads by scikit-learn's output activation.
HEADS = {
    "softmax": "softmax",
    "logistic": "logistic",
    "identity": "identity",
    "exp": "exponential",
}


def type_of(value):
    """Return what to call a value that is of a wrong type, whatever it holds."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def unwrapped(value, remedy):
    """Return a remedy, or which part to pass of a pipeline or of a search of scikit-learn's."""
    if hasattr(value, "named_steps"):
        return "pass its last step, pipeline[-1]"
    return "pass its best_estimator_" if hasattr(value, "best_estimator_") else remedy


def describe_perceptron(estimator):
    """Return the arguments of a fitted perceptron's network, its names, weights and biases."""
    if not hasattr(estimator, "hidden_layer_sizes") or not hasattr(estimator, "activation"):
        raise TypeError(
            f"estimator is {type_of(estimator)}, but only perceptrons have a network: "
            f"{unwrapped(estimator, 'pass a fitted MLPClassifier or MLPRegressor')}"
        )
    if not hasattr(estimator, "coefs_"):
        raise ValueError(f"{type(estimator).__name__} is not fitted: call its fit first")
    head = HEADS.get(estimator.out_activation_)
    if head is None:
        raise ValueError(
            f"the output activation is {estimator.out_activation_!r}, but a network has "
            f"{', '.join(HEADS)}: convert another estimator"
        )
    coefs, intercepts = estimator.coefs_, estimator.intercepts_
    activation = estimator.activation
    description = {
        "layer_sizes": [len(W) for W in coefs] + [len(intercepts[-1])],
        "activation": activation if isinstance(activation, str) else tuple(activation),
        "head": head,
        "dtype": np.result_type(*coefs, *intercepts),
    }
    names = getattr(estimator, "feature_names_in_", None)
    return description, None if names is None else tuple(names), coefs, intercepts
