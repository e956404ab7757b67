"""Network: a fully-connected network of any depth."""

import numpy as np

from .checks.arguments import (
    check_choice,
    check_dtype,
    check_init,
    check_layer_sizes,
    check_names,
    check_number,
    check_random_state,
    check_share,
    room_for,
)
from .checks.data import check_input, check_target, check_weights
from .checks.perceptrons import describe_perceptron
from .checks.standardization import check_standardization
from .engine import gradients, inference
from .files import formats
from .files.saved import Saved
from .jobs import Architecture, Scaling, Source
from .parameters import Parameters, count_parameters, draw
from .reference.activations import ACTIVATIONS

#: Names of the output heads.
HEADS = ("softmax", "logistic", "identity", "exponential")


class Network(Parameters, Saved):
    """A fully-connected network: affine maps with an activation between them, and an output head.

    Each hidden layer computes ``A = activation(X W + b)``; the last one computes scores, which the
    head turns into predictions and, with targets, into a loss:

    ============= ======================== ====================================================
    head          prediction               loss of a row, summed over the outputs
    ============= ======================== ====================================================
    `softmax`     softmax(s)               cross-entropy with the right class
    `logistic`    logistic(s)              cross-entropy with targets in [0, 1], each by itself
    `identity`    s                        half the squared error
    `exponential` exp(s)                   half the Poisson deviance, for counts and rates
    ============= ======================== ====================================================

    Parameters
    ----------
    layer_sizes : sequence of int
        Inputs, units of each hidden layer (there may be none), outputs.
    activation : str or sequence of str, default="relu"
        Of all hidden layers, or one for each: "identity", "relu", "leaky_relu" (slope 0.01),
        "tanh", "logistic", "silu", "gelu" (exact), "selu" or "mish".
    head : str, default="softmax"
        "softmax", "logistic", "identity" or "exponential".
    dtype : dtype, default=float32
        float32, or float64: half as fast.
    init : str or float, default="glorot"
        "glorot": weights and biases uniform within ``sqrt(6 / (fan_in + fan_out))``
        (``sqrt(2 / ...)`` for the logistic activation), as scikit-learn draws them [1]_. "he":
        normal with variance ``2 / fan_in``, biases 0, for deep networks of ReLUs [2]_. A number:
        normal with that standard deviation, biases 0.
    random_state : int, RandomState or None, default=None
        Draws the parameters; None for NumPy's global generator.
    input_mean, input_scale : float or array-like of shape (n_inputs,), default=0, 1
        The network reads every input as ``(X - input_mean) / input_scale``, in float64 and rounded
        once. A pandas Series labelled by texts names the columns. Sparse inputs cannot have a mean.
        Dense uint8 inputs are not copied, but scaled row by row: ``input_scale=255`` for images.

    Attributes
    ----------
    layer_sizes : tuple of int
    activation : str or tuple of str
    head : str
    dtype : dtype
    init : str or float
    input_mean, input_scale : ndarray of shape (n_inputs,)
        float64, read-only.
    feature_names_in_ : ndarray of shape (n_inputs,) or None
        Names of the columns if all are texts, of `input_mean`, `input_scale` or the training's data
        frame. Data frames must have them, in that order; what has no names is taken by place.
    params : ndarray of shape (n_params,)
        All parameters: the weights of the first layer, row by row, its biases, those of the next.
        What is assigned, or written into it, is what the network uses next.
    coefs_ : sequence of ndarray of shape (fan_in, fan_out)
        Views of `params`: the weights of each layer. They may be assigned to, one or all.
    intercepts_ : sequence of ndarray of shape (fan_out,)
        Views of `params`: the biases of each layer; likewise.

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong type or value; the message says what to do.

    References
    ----------
    .. [1] Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010.
    .. [2] He, Zhang, Ren and Sun, "Delving Deep into Rectifiers", ICCV 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Network, Trainer
    >>> X = np.random.RandomState(0).uniform(-1, 1, (500, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)  # exclusive or
    >>> net = Network((2, 16, 2), activation="tanh", random_state=0)
    >>> history = Trainer(net, "adam", batch_size=50, max_iter=200, random_state=0).fit(X, y)
    >>> bool(np.mean(net.predict(X) == y) > 0.95)
    True
    """

    _format, _readable = formats.NETWORK_FORMAT, (formats.NETWORK_FORMAT, formats.TRAINER_FORMAT)

    # No attributes but these: a name that is misspelt raises, and is not ignored.
    __slots__ = ("_dtype", "_init", "_standardization")

    def __init__(
        self,
        layer_sizes,
        activation="relu",
        head="softmax",
        *,
        dtype=np.float32,
        init="glorot",
        random_state=None,
        input_mean=0.0,
        input_scale=1.0,
    ):
        sizes = check_layer_sizes(layer_sizes)
        activation = check_names(
            activation, "activation", ACTIVATIONS, len(sizes) - 2, "hidden layer"
        )
        check_choice(head, "head", HEADS)
        if head == "softmax" and sizes[-1] < 2:
            raise ValueError(
                "the softmax of 1 output is always 1: pass 2 outputs, or head='logistic'; for "
                "numbers to predict, head='identity'"
            )
        self._architecture = Architecture(sizes, activation, head)
        self._dtype = check_dtype(dtype)
        self._init = check_init(init, self._dtype)
        random = check_random_state(random_state)
        count = count_parameters(sizes)
        size = count * self._dtype.itemsize
        with room_for(f"a network of layer sizes {sizes}", size, "pass smaller sizes"):
            known = check_standardization(input_mean, input_scale, sizes[0])
            self._standardization, self._feature_names = known
            self._hold(np.zeros(count, self._dtype))
            draw(self._layers, self._init, activation, random)

    def __repr__(self):
        return (
            f"Network({self.layer_sizes}, activation={self.activation!r}, head={self.head!r}, "
            f"dtype={self.dtype})"
        )

    # ------------------------------------------------------------------- what the network is

    @property
    def init(self):
        """How the parameters were drawn."""
        return self._init

    @property
    def input_mean(self):
        """What is subtracted from the inputs."""
        return self._standardization.mean

    @property
    def input_scale(self):
        """What the inputs are then divided by."""
        return self._standardization.scale

    @property
    def standardization(self):
        """What becomes of inputs, None for nothing."""
        return self._standardization.or_none()

    @property
    def scaling(self):
        """What becomes of inputs of dtype uint8: factor and summand of each."""
        return Scaling(*self._standardization.affine(self._dtype))

    # ---------------------------------------------------------------------------- inference

    def decision_function(self, X):
        """Compute the scores.

        Parameters
        ----------
        X : array-like or CSR matrix of shape (n_samples, n_inputs)

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        return self._outputs(X, "identity")

    def predict_proba(self, X):
        """Compute the probability of each class, or of each output for the logistic head.

        Parameters
        ----------
        X : array-like or CSR matrix of shape (n_samples, n_inputs)

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)

        Raises
        ------
        AttributeError
            If the head is none of a classifier.
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        if self.head not in ("softmax", "logistic"):
            raise AttributeError(
                f"a network with head={self.head!r} predicts numbers, not classes: call predict"
            )
        return self._outputs(X, self.head)

    def predict(self, X):
        """Predict classes, or numbers.

        Parameters
        ----------
        X : array-like or CSR matrix of shape (n_samples, n_inputs)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            softmax: the class with the highest score, int64, the first of several; logistic: 1
            where the probability is above a half, int64; else the predictions. One output gives
            the first shape, several the second.

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        if self.head == "softmax":
            return inference.predict_classes(
                self._architecture, self._layers, self._checked(X), self.scaling
            )
        outputs = self._outputs(X, "identity" if self.head == "logistic" else self.head)
        if self.head == "logistic":
            outputs = (outputs > 0).astype(np.int64)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _checked(self, X, name="X"):
        """Return X as the kernels take it."""
        return check_input(
            *(X, self.layer_sizes[0], self._dtype, name, self.standardization, self._feature_names)
        )

    def _outputs(self, X, head):
        return inference.predict_outputs(
            self._architecture, self._layers, self._checked(X), head, self.scaling
        )

    # ----------------------------------------------------------------------- full gradients

    def loss_and_gradient(self, X, y, alpha=0.0, sample_weight=None, label_smoothing=0.0):
        """Compute the loss over all rows, and its gradient by every parameter.

        Parameters
        ----------
        X : array-like or CSR matrix of shape (n_samples, n_inputs)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Classes 0..n_outputs-1 for the softmax, else targets.
        alpha : float, default=0.0
            Strength of the penalty.
        sample_weight : array-like of shape (n_samples,), optional
        label_smoothing : float, default=0.0
            In [0, 1): share of the target that is spread evenly over all classes; softmax only.

        Returns
        -------
        loss : float
            Weighted mean over the rows, plus ``alpha / 2 sum(W^2)`` over all weights.
        gradient : ndarray of shape (n_params,)
            In the order of `params`.

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        X = self._checked(X)
        y = check_target(y, self.head, X.shape[0], self.layer_sizes[-1], self.dtype)
        weights = check_weights(sample_weight, X.shape[0], self.dtype)
        alpha = check_number(alpha, "alpha", "pass 0 for no penalty")
        label_smoothing = check_share(label_smoothing, "label_smoothing", "pass 0 for none")
        if label_smoothing and self.head != "softmax":
            raise ValueError(
                f"label_smoothing needs classes, but the network's head is {self.head!r}: pass it "
                "for head='softmax' only"
            )
        return gradients.loss_and_gradient(
            *(self._architecture, self._layers, Source(X, y, weights)),
            *(alpha, label_smoothing, self.scaling),
        )

    @classmethod
    def from_sklearn(cls, estimator):
        """Make a network of the weights of a fitted ``MLPClassifier`` or ``MLPRegressor``.

        Parameters
        ----------
        estimator : estimator
            Of scikit-learn's or of fastnn's.

        Returns
        -------
        Network
            Of classes it knows the places in ``classes_`` only.

        Raises
        ------
        TypeError, ValueError
            If the estimator is another one, or not fitted.
        """
        description, names, coefs, intercepts = describe_perceptron(estimator)
        net = cls(**description, random_state=0)
        net.coefs_, net.intercepts_ = coefs, intercepts
        net.note_feature_names(names)
        return net

    # -------------------------------------------------------------------------------- files

    def _contents(self):
        description = {name: getattr(self, name) for name in formats.NETWORK}
        description["dtype"] = self.dtype.name
        if self._feature_names is not None:
            description["feature_names"] = self._feature_names
        return description, {name: getattr(self, name) for name in formats.NETWORK_ARRAYS}

    @classmethod
    def _from_contents(cls, description, arrays):
        kept = {name: description[name] for name in formats.NETWORK}
        read = {name: arrays[name] for name in formats.NETWORK_ARRAYS if name != "params"}
        net = cls(**kept, **read, random_state=np.random.RandomState(0))
        net.params[:] = arrays["params"]
        net.note_feature_names(tuple(description.get("feature_names", ())))
        return net
