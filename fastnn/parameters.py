"""The parameters of a network: how they lie, are drawn, read, assigned and pickled."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from .checks.arrays import REAL, to_array


def count_parameters(layer_sizes):
    """Return how many parameters a network has."""
    return sum(K * N + N for K, N in itertools.pairwise(layer_sizes))


def layers_of(params, layer_sizes):
    """Return the weights and biases of each layer, (W, b): views of `params`."""
    layers, first = [], 0
    for K, N in itertools.pairwise(layer_sizes):
        W = params[first : first + K * N].reshape(K, N)
        first += K * N
        layers.append((W, params[first : first + N]))
        first += N
    return tuple(layers)


def draw(layers, init, activation, random):
    """Draw the parameters of all layers as `init` says, see :class:`fastnn.Network`."""
    names = (activation,) * len(layers)
    if not isinstance(activation, str):
        # The output layer is drawn as the one before it.
        names = (*activation, *(activation[-1:] or ("identity",)))
    for (W, b), activation in zip(layers, names):
        K, N = W.shape
        if init == "glorot":
            bound = math.sqrt((2 if activation == "logistic" else 6) / (K + N))
            W[:] = random.uniform(-bound, bound, (K, N))
            b[:] = random.uniform(-bound, bound, N)
        else:
            W[:] = random.randn(K, N) * (math.sqrt(2 / K) if init == "he" else init)
            b[:] = 0


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


class Parameters:
    """Base of a network: its parameters in one array, the views of it, and what they belong to."""

    __slots__ = ("__weakref__", "_architecture", "_feature_names", "_layers", "_params")

    def _hold(self, params):
        """Take the parameters."""
        self._params = params
        self._layers = layers_of(params, self._architecture.layer_sizes)

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
        """Name of the hidden layers' activation, or a tuple with that of each."""
        return self._architecture.activation

    @property
    def head(self):
        """Name of the output head."""
        return self._architecture.head

    @property
    def feature_names(self):
        """Names of the inputs, a tuple, or None where none are known."""
        return self._feature_names

    @property
    def feature_names_in_(self):
        """Names of the inputs, an array, or None where none are known."""
        return None if self._feature_names is None else np.array(self._feature_names, object)

    def note_feature_names(self, names):
        """Take the names of the inputs, checked to be as many and no others; None adds none."""
        self._feature_names = names or self._feature_names

    @property
    def dtype(self):
        """The dtype of the parameters and of all computation."""
        return self._params.dtype

    @property
    def layers(self):
        """The parameters of each layer, a tuple of (W, b), views of `params`."""
        return self._layers

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

    def __getstate__(self):
        # Without the views: they would become copies.
        names = {name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ())}
        kept = names - {"__weakref__", "_layers"}
        return {name: getattr(self, name) for name in kept} | getattr(self, "__dict__", {})

    def __setstate__(self, state):
        for name, value in {"_feature_names": None, **state}.items():
            setattr(self, name, value)
        params = self._params
        if type(params) is not np.ndarray or not params.flags.writeable:
            # joblib maps large arrays from files, which are read-only in its workers.
            params = np.array(params)
        self._hold(params)
