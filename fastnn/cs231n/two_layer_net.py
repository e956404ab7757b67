"""TwoLayerNet in both of the course's forms, told apart by their arguments."""

import numpy as np

from .. import two_layer_net
from ..checks.arguments import check_number
from ..checks.data import flat_rows
from ..files.course import COURSE_TWO_LAYER_NET

#: What each size is called, in 2017 and today, and its default today.
_SIZES = {
    "input_size": ("input_dim", 3 * 32 * 32),
    "hidden_size": ("hidden_dim", 100),
    "output_size": ("num_classes", 10),
}
_FORMS = (
    "2017's is TwoLayerNet(input_size, hidden_size, output_size, std=1e-4), today's "
    "TwoLayerNet(input_dim=3072, hidden_dim=100, num_classes=10, weight_scale=1e-3, reg=0.0)"
)


class TwoLayerNet(two_layer_net.TwoLayerNet):
    """The course's two-layer network, in the form of 2017 or in today's.

    Sizes by position, as well as `std` and `reg_factor`, make the form of 2015 to 2019: it is
    :class:`fastnn.TwoLayerNet`, which explains it, with a `train` of its own and the strength of
    the penalty as an argument. Any argument by the name that it has today makes today's form, which
    a :class:`Solver` trains: its penalty is ``reg / 2 (sum(W1^2) + sum(W2^2))``, with the attribute
    `reg`, and it has no `train`.

    Rows may have any shape: images (n, 3, 32, 32) are taken as (n, 3072).

    Parameters
    ----------
    input_size, hidden_size, output_size : int
        The sizes in the form of 2017.
    std : float, default=1e-4
        Standard deviation of the first weights in the form of 2017.
    reg : float, default=0.0
        Strength of the penalty in today's form.
    input_dim, hidden_dim, num_classes : int, default=3072, 100, 10
        The sizes in today's form.
    weight_scale : float, default=1e-3
        Standard deviation of the first weights in today's form.
    dtype : dtype, default=float64
        float32 or float64; the whole computation runs in it.
    reg_factor : float, default=0.5
        The p of the penalty in the form of 2017, see :class:`fastnn.TwoLayerNet`: the course has 1
        from 2017 to 2019. Today's form has 0.5.
    random_state : int, RandomState or None, default=None
        Where weights are drawn from, and the batches of `train`; None is NumPy's global generator.

    Attributes
    ----------
    params : dict
        ``W1`` (D, H), ``b1`` (H,), ``W2`` (H, C), ``b2`` (C,). The arrays are live: replaced or
        modified in place, the next call sees it.
    reg : float
        Strength of the penalty in today's form; what is assigned is what the next call uses.
    history : dict or None
        What the latest ``train`` returned.

    Raises
    ------
    TypeError, ValueError
        For arguments of both forms at once, and of a wrong type or value.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.cs231n import TwoLayerNet
    >>> np.random.seed(0)
    >>> net = TwoLayerNet(input_dim=4, hidden_dim=10, num_classes=3, weight_scale=0.1, reg=0.1)
    >>> np.random.seed(1)
    >>> X, y = 10 * np.random.randn(5, 4), np.array([0, 1, 2, 2, 1])
    >>> loss, grads = net.loss(X, y)
    >>> print(f"{loss:.10f}")
    1.3037878913
    """

    _format, _readable = COURSE_TWO_LAYER_NET, (COURSE_TWO_LAYER_NET,)

    # `_reg` is None in the form of 2017; `_guessed` where three sizes alone have made it one.
    __slots__ = ("_guessed", "_reg")

    def __init__(
        self,
        input_size=None,
        hidden_size=None,
        output_size=None,
        std=None,
        reg=None,
        *,
        input_dim=None,
        hidden_dim=None,
        num_classes=None,
        weight_scale=None,
        dtype=np.float64,
        reg_factor=None,
        random_state=None,
    ):
        old, new = (input_size, hidden_size, output_size), (input_dim, hidden_dim, num_classes)
        is_new = any(value is not None for value in (*new, weight_scale, reg))
        is_new = is_new or all(value is None for value in (*old, std, reg_factor))
        sizes = _new_sizes(old, new) if is_new else _old_sizes(old)
        if is_new and (reg_factor is not None or None not in (std, weight_scale)):
            raise TypeError(
                f"{'std' if reg_factor is None else 'reg_factor'} belongs to the form of 2017, but "
                f"the other arguments are those of today: {_FORMS}"
            )
        scale = std if weight_scale is None else weight_scale
        if scale is None:
            scale = 1e-3 if is_new else 1e-4
        super().__init__(
            *(*sizes, scale),
            dtype=dtype,
            reg_factor=0.5 if reg_factor is None else reg_factor,
            random_state=random_state,
        )
        self._guessed = not is_new and std is None and reg_factor is None
        self._reg = None
        if is_new:
            self._reg = _checked_reg(0.0 if reg is None else reg)

    def __repr__(self):
        if self._reg is None:
            return super().__repr__()
        (D, H), (C,) = self._shapes["W1"], self._shapes["b2"]
        return (
            f"TwoLayerNet(input_dim={D}, hidden_dim={H}, num_classes={C}, dtype={self.dtype}, "
            f"reg={self.reg})"
        )

    @property
    def reg(self):
        """The strength of the penalty in today's form."""
        if self._reg is None:
            raise AttributeError(
                "this TwoLayerNet is of the form of 2017, which gets reg by loss and train: for "
                "net.reg make it by today's names, TwoLayerNet(input_dim=..., hidden_dim=..., "
                "num_classes=..., reg=...)"
            )
        return self._reg

    @reg.setter
    def reg(self, value):
        _ = self.reg
        self._reg = _checked_reg(value)

    @property
    def _alpha(self):
        """The strength of the penalty ``alpha / 2 sum(W^2)`` where a Solver asks for the loss."""
        return 2 * self.reg_factor * (self._reg or 0.0)

    def loss(self, X, y=None, reg=None):
        """Compute the scores, or the loss and its gradients.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of any shape with D numbers.
        y : array-like of shape (n_samples,), optional
            Labels, integers in 0..C-1.
        reg : float, default=0.0
            Strength of the penalty in the form of 2017; today's has the attribute.

        Returns
        -------
        ndarray of shape (n_samples, C)
            The scores, where `y` is None.
        loss, grads : float, dict
            Else: mean cross-entropy plus the penalty, and its gradient by each array of
            ``params``, under the same keys.

        Raises
        ------
        TypeError, ValueError
            For data of a wrong type, shape or value; the message says what to do.
        """
        if self._reg is not None and reg is not None:
            raise TypeError(
                "loss got reg, but this TwoLayerNet is of today's form: assign net.reg, or make it "
                "with sizes by position"
            )
        strength = reg if self._reg is None else self._reg
        return super().loss(flat_rows(X), y, 0.0 if strength is None else strength)

    def train(self, X, y, X_val, y_val, *args, **options):
        """Train in the form of 2017, see :meth:`fastnn.TwoLayerNet.train`.

        Raises
        ------
        TypeError
            In today's form, which a :class:`Solver` trains; and for arguments of a wrong type.
        ValueError
            For arguments of a wrong shape or value; nothing has changed then.
        """
        if self._reg is not None:
            raise TypeError(
                "this TwoLayerNet is of today's form, which a Solver trains: call "
                "Solver(net, data).train(), or make it with sizes by position for net.train"
            )
        return super().train(flat_rows(X), y, flat_rows(X_val, "X_val"), y_val, *args, **options)

    def predict(self, X):
        """Predict the class with the highest score for rows of any shape: int64 (n_samples,)."""
        return super().predict(flat_rows(X))

    def _contents(self):
        description, params = super()._contents()
        return description | {"reg": self._reg, "guessed": self._guessed}, params

    @classmethod
    def _from_contents(cls, description, params):
        net = super()._from_contents(description, params)
        net._reg, net._guessed = description["reg"], description["guessed"]
        return net


def _checked_reg(value):
    return check_number(value, "reg", "pass 0 for no penalty")


def _old_sizes(old):
    missing = [name for name, value in zip(_SIZES, old) if value is None]
    if missing:
        raise TypeError(f"TwoLayerNet needs {' and '.join(missing)}: {_FORMS}")
    return old


def _new_sizes(old, new):
    """Return the sizes of today's form, which may come by position too."""
    sizes = []
    for (old_name, (name, default)), first, second in zip(_SIZES.items(), old, new):
        if first is not None and second is not None:
            raise TypeError(f"{old_name} and {name} are one size, but both are given: pass one")
        given = first if second is None else second
        sizes.append(default if given is None else given)
    return sizes
