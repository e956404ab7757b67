"""The parameters of the course's networks: a dict of arrays that users read, replace and modify."""

from collections.abc import MutableMapping

import numpy as np

from .checks.arrays import REAL, to_array


class NamedParams:
    """Base of a network whose parameters are a dict; which they are, `_shapes` says."""

    # No attributes but these: a name that is misspelt raises, and is not ignored.
    __slots__ = ("__weakref__", "_dtype", "_shapes", "params")

    #: The penalty of ``loss(X, y)`` is ``_alpha / 2 sum(W^2)``.
    _alpha = 0.0

    def __getstate__(self):
        names = {name for kind in type(self).__mro__ for name in getattr(kind, "__slots__", ())}
        kept = names - {"__weakref__"}
        return {name: getattr(self, name) for name in kept} | getattr(self, "__dict__", {})

    def __setstate__(self, state):
        for name, value in state.items():
            setattr(self, name, value)
        # joblib maps large arrays from files, which are read-only in its workers.
        for name, array in self.params.items():
            if type(array) is not np.ndarray or not array.flags.writeable:
                self.params[name] = np.array(array)

    def _current_params(self):
        """Return `params` as arrays of the right shape and dtype; a user may have replaced them."""
        params, dtype, names = self.params, self._dtype, ", ".join(self._shapes)
        if not isinstance(params, MutableMapping):
            raise TypeError(f"params is {params!r}, but it is a dict of the arrays {names}")
        for name, shape in self._shapes.items():
            if name not in params:
                raise ValueError(f"params has no {name!r}: it needs {names}")
            array = params[name]
            if (
                type(array) is np.ndarray
                and array.shape == shape
                and (array.dtype is dtype or array.dtype == dtype)
            ):
                continue
            array = to_array(array, f"params[{name!r}]")
            if array.shape != shape:
                raise ValueError(
                    f"params[{name!r}] has shape {array.shape}, but the network needs {shape}: "
                    "assign an array of that shape, or make a network of other sizes"
                )
            if array.dtype.kind not in REAL:
                raise TypeError(
                    f"params[{name!r}] has dtype {array.dtype}, but parameters are real numbers: "
                    "assign a numeric array"
                )
            params[name] = array.astype(dtype)
        if len(params) > len(self._shapes):
            unknown = next(name for name in params if name not in self._shapes)
            raise ValueError(
                f"params holds {unknown!r}, which the network does not have: it has {names}"
            )
        return params

    def _check_writeable(self, params):
        """Refuse to train arrays in place that cannot be written."""
        for name in self._shapes:
            if not params[name].flags.writeable:
                raise ValueError(
                    f"params[{name!r}] is read-only, but training updates it in place: assign "
                    f"params[{name!r}].copy()"
                )

    def _dropout(self):
        """Return the dropout of ``loss(X, y)``, or None."""
        return

    @staticmethod
    def _layers(params):
        """Return the parameters of each layer, a list of (W, b)."""
        return [(params[f"W{i}"], params[f"b{i}"]) for i in range(1, len(params) // 2 + 1)]
