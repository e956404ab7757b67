"""Network: a fully-connected network of any depth."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from .checks.arguments import (
    check_choice,
    check_deviation,
    check_dtype,
    check_number,
    check_numbers,
    check_random_state,
    check_share,
    check_size,
    room_for,
)
from .checks.arrays import REAL, to_array
from .checks.data import Standardization, check_input, check_target, check_weights
from .engine import gradients, inference
from .files import formats
from .jobs import Architecture, Scaling, Source
from .reference.activations import ACTIVATIONS

#: Names of the output heads.
HEADS = ("softmax", "logistic", "identity", "exponential")


class Views(Sequence):
    """The weights, or the biases, of all layers, as views of a network's `params`.

    ``net.coefs_[i] = values`` copies into the network, after a check of the shape.
    """

    def __init__(self, name, views):
        self._name, self._views = name, views

    def __len__(self):
        return len(self._views)

    def __getitem__(self, index):
        return self._views[index]

    def __setitem__(self, index, values):
        view = self._views[index]
        if isinstance(view, list):
            raise TypeError(f"{self._name} takes one layer at a time: assign {self._name}[i]")
        view[...] = check_parameters(values, f"{self._name}[{index}]", view.shape)

    def __repr__(self):
        return repr(self._views)

    def assign(self, values):
        """Copy a sequence of arrays, one for each layer, all of them checked before."""
        if len(values) != len(self):
            raise ValueError(
                f"{self._name} got {len(values)} arrays, but the network has {len(self)} layers: "
                "assign one array for each"
            )
        checked = [
            check_parameters(array, f"{self._name}[{i}]", view.shape)
            for i, (array, view) in enumerate(zip(values, self._views))
        ]
        for view, array in zip(self._views, checked):
            view[...] = array


def check_parameters(values, name, shape):
    """Return real numbers of a shape, to be copied into the parameters."""
    array = to_array(values, name)
    if array.dtype.kind not in REAL:
        raise TypeError(f"{name} has dtype {array.dtype}, but parameters are real numbers")
    if array.shape != shape:
        raise ValueError(
            f"{name} has shape {array.shape}, but the network needs {shape}: assign an array of "
            "that shape, or make a network of other sizes"
        )
    return array


def _check_standardization(mean, scale, n_features):
    """Return the Standardization of some features, whose arrays are read-only."""
    mean = check_numbers(mean, "input_mean", n_features)
    scale = check_numbers(scale, "input_scale", n_features)
    if not (scale > 0).all():
        raise ValueError(
            f"input_scale holds {scale.min()}, but inputs are divided by it: pass numbers above 0, "
            "and 1 for a column that is constant"
        )
    for array in (mean, scale):
        array.flags.writeable = False
    return Standardization(mean, scale)


class Network:
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
    activation : str, default="relu"
        "identity", "relu", "leaky_relu" (slope 0.01), "tanh", "logistic", "silu" or "gelu" (exact).
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
        The network reads every input as ``(X - input_mean) / input_scale``, whatever its dtype:
        computed in float64, and rounded once. Sparse inputs cannot have a mean. Dense inputs of
        dtype uint8 are not copied, but scaled row by row as they are needed, in the network's
        dtype: pass ``input_scale=255`` for images.

    Attributes
    ----------
    layer_sizes : tuple of int
    activation, head : str
    dtype : dtype
    init : str or float
    input_mean, input_scale : ndarray of shape (n_inputs,)
        float64, read-only.
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

    # No attributes but these: a name that is misspelt raises, and is not ignored.
    __slots__ = (
        *("__weakref__", "_architecture", "_dtype", "_init", "_layers", "_params"),
        *("_applied", "_standardization"),
    )

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
        try:
            sizes = tuple(layer_sizes)
        except TypeError:
            raise TypeError(
                f"layer_sizes is {layer_sizes!r}, but it is a sequence of integers: pass for "
                "example (784, 100, 10)"
            ) from None
        if len(sizes) < 2:
            raise ValueError(
                f"layer_sizes is {sizes}, but a network has inputs and outputs at least: pass for "
                "example (784, 100, 10)"
            )
        sizes = tuple(check_size(size, f"layer_sizes[{i}]") for i, size in enumerate(sizes))
        check_choice(activation, "activation", ACTIVATIONS)
        check_choice(head, "head", HEADS)
        if head == "softmax" and sizes[-1] < 2:
            raise ValueError(
                "the softmax of 1 output is always 1: pass 2 outputs, or head='logistic'"
            )
        self._architecture = Architecture(sizes, activation, head)
        self._dtype = check_dtype(dtype)
        if isinstance(init, str):
            self._init = check_choice(init, "init", ("glorot", "he"))
        else:
            self._init = check_deviation(init, "init", self._dtype)
        random = check_random_state(random_state)
        count = sum(K * N + N for K, N in itertools.pairwise(sizes))
        size = count * self._dtype.itemsize
        with room_for(f"a network of layer sizes {sizes}", size, "pass smaller sizes"):
            self._standardization = _check_standardization(input_mean, input_scale, sizes[0])
            self._applied = self._standardization.or_none()
            self._params = np.zeros(count, self._dtype)
            self._layers = self._views()
            self._draw(random)

    def _draw(self, random):
        init, activation = self._init, self._architecture.activation
        for W, b in self._layers:
            K, N = W.shape
            if init == "glorot":
                bound = math.sqrt((2 if activation == "logistic" else 6) / (K + N))
                W[:] = random.uniform(-bound, bound, (K, N))
                b[:] = random.uniform(-bound, bound, N)
            else:
                W[:] = random.randn(K, N) * (math.sqrt(2 / K) if init == "he" else init)

    def __repr__(self):
        return (
            f"Network({self.layer_sizes}, activation={self.activation!r}, head={self.head!r}, "
            f"dtype={self.dtype})"
        )

    # --------------------------------------------------------------------------- parameters

    @property
    def params(self):
        """All parameters in one array; what is assigned is copied into it."""
        return self._params

    @params.setter
    def params(self, values):
        self._params[:] = check_parameters(values, "params", self._params.shape)

    @property
    def coefs_(self):
        """The weights of each layer, views of `params`; what is assigned is copied into it."""
        return Views("coefs_", [W for W, _ in self._layers])

    @coefs_.setter
    def coefs_(self, values):
        self.coefs_.assign(values)

    @property
    def intercepts_(self):
        """The biases of each layer, views of `params`; what is assigned is copied into it."""
        return Views("intercepts_", [b for _, b in self._layers])

    @intercepts_.setter
    def intercepts_(self, values):
        self.intercepts_.assign(values)

    def _views(self):
        """Return the parameters of each layer, (W, b), views of `params`."""
        layers, first, flat = [], 0, self._params
        for K, N in itertools.pairwise(self._architecture.layer_sizes):
            W = flat[first : first + K * N].reshape(K, N)
            first += K * N
            layers.append((W, flat[first : first + N]))
            first += N
        return tuple(layers)

    def __getstate__(self):
        # Views would become copies.
        names = ("_architecture", "_dtype", "_init", "_params", "_standardization")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state):
        for name, value in state.items():
            setattr(self, name, value)
        if type(self._params) is not np.ndarray or not self._params.flags.writeable:
            # joblib maps large arrays from files, which are read-only in its workers.
            self._params = np.array(self._params)
        self._layers = self._views()
        self._applied = self._standardization.or_none()

    # ------------------------------------------------------------------- what the network is

    @property
    def architecture(self):
        """What the network computes, without its parameters."""
        return self._architecture

    @property
    def layer_sizes(self):
        """Inputs, units of each hidden layer, outputs."""
        return self._architecture.layer_sizes

    @property
    def activation(self):
        """Name of the hidden layers' activation."""
        return self._architecture.activation

    @property
    def head(self):
        """Name of the output head."""
        return self._architecture.head

    @property
    def dtype(self):
        """The dtype of the parameters and of all computation."""
        return self._dtype

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
    def layers(self):
        """The parameters of each layer, a tuple of (W, b), views of `params`."""
        return self._layers

    @property
    def standardization(self):
        """What becomes of inputs, None for nothing."""
        return self._applied

    @property
    def scaling(self):
        """What becomes of inputs of dtype uint8: factor and summand of each."""
        mean, scale = self._standardization
        with np.errstate(over="ignore"):  # in float32, for scales that bytes never need
            return Scaling(*(x.astype(self._dtype) for x in (1 / scale, -mean / scale)))

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
        return check_input(X, self.layer_sizes[0], self._dtype, name, self._applied)

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

    # -------------------------------------------------------------------------------- files

    def save(self, path):
        """Write the network to a safetensors file, whole or not at all, with a checksum.

        A link at `path` stays, and a file that is replaced leaves its permissions to the new one.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        TypeError, ValueError
            If `path` is no path.
        OSError
            If `path` is a folder or a device, its folder is missing, or the system does not let it
            be written; the message says what to do.
        """
        description, arrays = self._description(), self._arrays()
        formats.write(path, formats.NETWORK_FORMAT, description, arrays)

    @classmethod
    def load(cls, path):
        """Read a network that `save` wrote, or that of a checkpoint.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Network

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no model of this class, of another version, or damaged.

        Warns
        -----
        RuntimeWarning
            If the parameters are not finite, as a training leaves them that has diverged.
        """
        known = (formats.NETWORK_FORMAT, formats.TRAINER_FORMAT)
        with formats.reading(path, known, "Network.save") as (description, arrays):
            return cls._from_file(description, arrays)

    def _description(self):
        return {
            "layer_sizes": list(self.layer_sizes),
            "activation": self.activation,
            "head": self.head,
            "dtype": self.dtype.name,
            "init": self.init,
        }

    def _arrays(self):
        return {
            "params": self.params,
            "input_mean": self.input_mean,
            "input_scale": self.input_scale,
        }

    @classmethod
    def _from_file(cls, description, arrays):
        kept = {name: description[name] for name in formats.NETWORK}
        read = {name: arrays[name] for name in ("input_mean", "input_scale")}
        net = cls(**kept, **read, random_state=np.random.RandomState(0))
        net.params[:] = arrays["params"]
        return net
