"""FullyConnectedNet: the course's network of any depth, with its dropout."""

import itertools
import warnings

import numpy as np

from ..checks.arguments import (
    check_deviation,
    check_dtype,
    check_flag,
    check_number,
    check_size,
    is_flag,
    room_for,
)
from ..checks.data import check_X, check_y, flat_rows
from ..files.course import FULLY_CONNECTED_NET
from ..files.saved import Saved
from ..named_params import NamedParams
from ..reference.cs231n.models import Dropout, loss_and_gradients
from ..reference.network import scores


def _fixed(name, meaning, remedy):
    """Return a property of what is settled when the network is made: an assignment raises."""

    def refuse(self, value):
        raise AttributeError(f"{name} of a FullyConnectedNet is settled when it is made: {remedy}")

    return property(lambda self: getattr(self, f"_{name}"), refuse, doc=meaning)


class FullyConnectedNet(NamedParams, Saved):
    """The course's fully-connected network: affine maps with ReLUs between them, and a softmax.

    It has the arguments, the draws and the numbers of the course's class, of any year from 2016
    on; a :class:`Solver` trains it in the compiled loop.

    Parameters
    ----------
    hidden_dims : sequence of int
        Units of each hidden layer; there may be none.
    input_dim : int, default=3072
    num_classes : int, default=10
    dropout : float, default=1
        Chance to *keep* an activation behind each ReLU, 1 for no dropout: the spelling of 2017 to
        2019. Beside `use_batchnorm`, of a notebook of 2016, it is the chance to drop one, 0 for no
        dropout.
    normalization : None, default=None
        "batchnorm" and "layernorm" are refused: see Raises.
    reg : float, default=0.0
        The penalty is ``reg / 2 sum(W^2)``, over all weights.
    weight_scale : float, default=1e-2
        Standard deviation of the first weights, which are drawn layer by layer from NumPy's global
        generator; biases are zero.
    dtype : dtype, default=float32
        float32 or float64; the whole computation runs in it.
    seed : int, optional
        NumPy's global generator is seeded with it before each dropout, as in the course: for
        gradient checks, which need the same mask each time.
    dropout_keep_ratio : float, optional
        The spelling of `dropout` from 2020 on: the chance to keep an activation.
    use_batchnorm : bool, optional
        False in a notebook of 2016; see `dropout`.

    Attributes
    ----------
    params : dict
        ``W1``, ``b1``, ``W2``, ... The arrays are live: replaced or modified in place, the next
        call sees it.
    reg : float
        What is assigned is what the next call uses.
    dropout_param : dict
        Empty without dropout, else ``p``, the chance to keep an activation, ``mode``, that of the
        latest call, "train" or "test", and perhaps ``seed``. The next call sees what is written
        into it.
    dtype : dtype
    num_layers : int
    use_dropout : bool
    normalization : None

    Raises
    ------
    TypeError, ValueError
        For arguments of a wrong type or value. Batch and layer normalisation are not here: a Solver
        trains the course's own class with them, step by step.

    Warns
    -----
    UserWarning
        Where `dropout` is 0 without `use_batchnorm`: that was 2016's way to say none.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.cs231n import FullyConnectedNet
    >>> np.random.seed(231)
    >>> X, y = np.random.randn(2, 15), np.random.randint(10, size=2)
    >>> net = FullyConnectedNet([20, 30], input_dim=15, weight_scale=5e-2, dtype=np.float64)
    >>> loss, grads = net.loss(X, y)
    >>> print(f"{loss:.4f}", sorted(grads))
    2.3005 ['W1', 'W2', 'W3', 'b1', 'b2', 'b3']
    """

    _format, _readable = FULLY_CONNECTED_NET, (FULLY_CONNECTED_NET,)

    __slots__ = ("_reg", "dropout_param")

    def __init__(
        self,
        hidden_dims,
        input_dim=3 * 32 * 32,
        num_classes=10,
        dropout=None,
        normalization=None,
        reg=0.0,
        weight_scale=1e-2,
        dtype=np.float32,
        seed=None,
        *,
        dropout_keep_ratio=None,
        use_batchnorm=None,
    ):
        sizes = [check_size(input_dim, "input_dim")]
        sizes += [check_size(H, f"hidden_dims[{i}]") for i, H in enumerate(_listed(hidden_dims))]
        sizes.append(check_size(num_classes, "num_classes"))
        if is_flag(normalization) and use_batchnorm is None:
            # By position, where 2016's use_batchnorm was.
            normalization, use_batchnorm = None, normalization
        _check_normalization(normalization, use_batchnorm)
        self.reg, self._dtype = reg, check_dtype(dtype)
        keep = _keep_ratio(dropout, dropout_keep_ratio, use_batchnorm)
        self.dropout_param = {} if keep == 1 else {"mode": "train", "p": keep}
        if keep != 1 and seed is not None:
            self.dropout_param["seed"] = seed
        self._dropout()
        scale = check_deviation(weight_scale, "weight_scale", self._dtype)
        count = sum(K * N + N for K, N in itertools.pairwise(sizes))
        self._shapes, self.params = {}, {}
        with room_for(f"a network of sizes {sizes}", 8 * count, "pass smaller sizes"):
            for i, (K, N) in enumerate(itertools.pairwise(sizes), 1):
                self._shapes |= {f"W{i}": (K, N), f"b{i}": (N,)}
                self.params[f"W{i}"] = (scale * np.random.randn(K, N)).astype(self._dtype)
                self.params[f"b{i}"] = np.zeros(N, self._dtype)

    def __repr__(self):
        (D, *hidden), C = self._sizes()[:-1], self._sizes()[-1]
        keep = self.dropout_param.get("p", 1)
        return (
            f"FullyConnectedNet({hidden}, input_dim={D}, num_classes={C}, dropout_keep_ratio="
            f"{keep}, reg={self.reg}, dtype={self.dtype})"
        )

    def _sizes(self):
        """Return the sizes of all layers, inputs and outputs included."""
        shapes = [shape for shape in self._shapes.values() if len(shape) == 2]
        return [shapes[0][0], *(N for _, N in shapes)]

    @property
    def reg(self):
        """The strength of the penalty."""
        return self._reg

    @reg.setter
    def reg(self, value):
        self._reg = check_number(value, "reg", "pass 0 for no penalty")

    @property
    def _alpha(self):
        """The strength of the penalty ``alpha / 2 sum(W^2)``."""
        return self._reg

    _num_layers = property(lambda self: len(self._shapes) // 2)
    _use_dropout = property(lambda self: bool(self.dropout_param))
    _normalization = None
    dtype = _fixed("dtype", "The dtype of all computation.", "pass dtype=numpy.float64")
    num_layers = _fixed("num_layers", "Number of affine maps.", "pass other hidden_dims")
    use_dropout = _fixed(
        *("use_dropout", "Whether activations are dropped.", "pass dropout_keep_ratio=1 for none")
    )
    normalization = _fixed("normalization", "None.", "there is none here")

    def loss(self, X, y=None):
        """Compute the scores, or the loss and its gradients.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of any shape with `input_dim` numbers; converted to the dtype.
        y : array-like of shape (n_samples,), optional
            Labels, integers in 0..num_classes-1.

        Returns
        -------
        ndarray of shape (n_samples, num_classes)
            The scores, where `y` is None: in test mode, nothing is dropped.
        loss, grads : float, dict
            Else, in training mode: mean cross-entropy plus ``reg / 2 sum(W^2)``, and its gradient
            by each array of ``params``, under the same keys.

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        params, dropout = self._current_params(), self._dropout()
        layers = self._layers(params)
        X = check_X(flat_rows(X), len(layers[0][0]), self._dtype)
        if dropout is not None:
            self.dropout_param["mode"] = "test" if y is None else "train"
        if y is None:
            for _ in layers[1:] if dropout is not None else ():
                dropout.skip()
            return scores(("relu",) * (len(layers) - 1), layers, X)
        y = check_y(y, len(X), len(layers[-1][1]))
        loss, grads = loss_and_gradients(layers, X, y, self._reg, dropout)
        return loss, dict(zip(self._shapes, itertools.chain(*grads)))

    def _dropout(self):
        """Return the dropout that `dropout_param` describes, or None."""
        described = self.dropout_param
        if not described:
            return None
        unknown = set(described) - {"mode", "p", "seed"}
        if unknown or "p" not in described:
            raise ValueError(
                f"dropout_param is {described}, but needed are p, the chance to keep an "
                "activation, and perhaps seed and mode: write no other keys into it"
            )
        keep, seed = _checked_keep(described["p"], "dropout_param['p']"), described.get("seed")
        return Dropout(keep, None if seed is None else check_size(seed, "seed", at_least=0))

    def _contents(self):
        params = self._current_params()
        keep, seed = (self.dropout_param.get(name) for name in ("p", "seed"))
        description = {"layer_sizes": self._sizes(), "dtype": self.dtype.name, "reg": self.reg}
        return description | {"dropout_keep_ratio": keep, "seed": seed}, dict(params)

    @classmethod
    def _from_contents(cls, description, params):
        D, *hidden, C = description["layer_sizes"]
        state = np.random.get_state()
        net = cls(
            *(hidden, D, C),
            reg=description["reg"],
            dtype=description["dtype"],
            seed=description["seed"],
            dropout_keep_ratio=description["dropout_keep_ratio"],
        )
        np.random.set_state(state)  # the parameters come from the file
        net.params = {name: params[name] for name in net.params}
        return net


def _listed(hidden_dims):
    try:
        return list(hidden_dims)
    except TypeError:
        raise TypeError(
            f"hidden_dims is {hidden_dims!r}, but it is a sequence of integers: pass for example "
            "[100, 100]"
        ) from None


def _check_normalization(normalization, use_batchnorm):
    """Refuse what is not here."""
    if use_batchnorm is not None and check_flag(use_batchnorm, "use_batchnorm"):
        normalization = "batchnorm"
    if normalization is None:
        return
    if normalization not in ("batchnorm", "layernorm"):
        raise ValueError(
            f"normalization is {normalization!r}, but known to the course are 'batchnorm', "
            "'layernorm' and None: pass None"
        )
    raise ValueError(
        f"normalization is {normalization!r}, which fastnn does not have: keep the course's own "
        "FullyConnectedNet for these cells (fastnn.cs231n.Solver trains it too, step by step), or "
        "start from weights with which deep networks train without: make the network with "
        "weight_scale=1, then W *= numpy.sqrt(2 / len(W)) for each W1, W2, ... of its params"
    )


def _keep_ratio(dropout, dropout_keep_ratio, use_batchnorm):
    """Return the chance to keep an activation, by whichever spelling it is given."""
    if dropout is not None and dropout_keep_ratio is not None:
        raise TypeError(
            "dropout and dropout_keep_ratio are two spellings of one number, but both are given: "
            "pass one"
        )
    if dropout_keep_ratio is not None:
        return _checked_keep(dropout_keep_ratio, "dropout_keep_ratio")
    if dropout is None:
        return 1.0
    if use_batchnorm is not None:
        dropped = check_number(dropout, "dropout", "pass 0 for none")
        if dropped >= 1:
            raise ValueError(
                f"dropout is {dropped}, and beside use_batchnorm it is the chance to drop an "
                "activation, below 1: pass 0 for none"
            )
        return 1 - dropped
    if check_number(dropout, "dropout", "pass 1 for no dropout") == 0:
        warnings.warn(
            "dropout is 0, taken as none, as in notebooks of 2016, where it is the chance to drop "
            "an activation. Other values are taken as the chance to keep one, as from 2017 on: in "
            "a notebook of 2016 pass use_batchnorm=False too",
            UserWarning,
            stacklevel=3,
        )
        return 1.0
    return _checked_keep(dropout, "dropout")


def _checked_keep(value, name):
    """Return the chance to keep an activation, in (0, 1]."""
    keep = check_number(value, name, "pass 1 for no dropout")
    if not 0 < keep <= 1:
        raise ValueError(
            f"{name} is {keep}, but it is the chance to keep an activation, above 0 and at most 1: "
            "pass 1 for no dropout"
        )
    return keep
