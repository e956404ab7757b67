"""Several outputs of classes at once: columns of zeros and ones for all of them together.

Each class of each output is told from the rest by a logistic of its own; an output is the class
whose logistic is the largest. scikit-learn's binarizer knows one output of classes, or labels.
"""

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import type_of_target


class OutputsBinarizer:
    """What scikit-learn's ``LabelBinarizer`` is for one output of classes.

    Parameters
    ----------
    classes : list of ndarray
        The classes of each output, sorted.
    """

    y_type_ = "multiclass-multioutput"
    sparse_input_ = False

    def __init__(self, classes):
        self.classes_ = classes
        self.stops = np.cumsum([len(each) for each in classes])

    @classmethod
    def of_targets(cls, y):
        """Make one for the classes that there are in y (n, outputs)."""
        return cls([np.unique(column) for column in y.T])

    def transform(self, y):
        """Return the columns of zeros and ones, (n, classes of all outputs), bool."""
        y = self._checked(np.asarray(y))
        for i, (column, classes) in enumerate(zip(y.T, self.classes_)):
            unknown = np.setdiff1d(column, classes)
            if len(unknown):
                raise ValueError(
                    f"column {i} of y has the classes {unknown.tolist()}, but the first fit saw "
                    f"{classes.tolist()}: leave these rows out, or pass all classes to partial_fit"
                )
        return np.hstack([c[:, None] == classes for c, classes in zip(y.T, self.classes_)])

    def _checked(self, y):
        """Return targets, or raise what is wrong with their shape."""
        if y.ndim != 2 or y.shape[1] != len(self.classes_):
            raise ValueError(
                f"y is of shape {y.shape}, but there are {len(self.classes_)} outputs: pass one "
                "column for each"
            )
        return y

    def parts(self, columns):
        """Return the columns of each output, a list of (n, classes)."""
        return np.split(columns, self.stops[:-1], axis=1)

    def inverse_transform(self, columns):
        """Return the class of each output, (n, outputs)."""
        chosen = [
            classes[part.argmax(axis=1)]
            for classes, part in zip(self.classes_, self.parts(columns))
        ]
        return np.stack(chosen, axis=1)

    def probabilities(self, columns):
        """Return the probabilities of each output's classes, which sum to 1: a list."""
        shares = []
        for part in self.parts(columns):
            total = part.sum(axis=1, keepdims=True)
            # Where every logistic is 0, none of the classes is more likely than another.
            shares.append(np.where(total == 0, 1 / part.shape[1], part / np.where(total, total, 1)))
        return shares

    def accuracy(self, y, predicted, sample_weight=None):
        """Return the share of the rows all of whose outputs are right.

        Raises
        ------
        ValueError
            If there is not a row of targets, and a weight, for each row, or a target is NaN.
        """
        y = self._checked(check_array(y, dtype=None, input_name="y"))
        check_consistent_length(predicted, y, sample_weight)
        right = (y == predicted).all(axis=1)
        return float(np.average(right, weights=sample_weight))


def is_of_outputs(y):
    """Tell whether targets are several columns of classes, more than zeros and ones."""
    if not hasattr(y, "ndim"):
        first = y[0] if isinstance(y, (list, tuple)) and len(y) else None
        if not isinstance(first, (list, tuple, np.ndarray)):
            return False
    elif y.ndim != 2 or y.shape[1] < 2:
        return False
    return type_of_target(y) == "multiclass-multioutput"


def lists_of_classes(classes):
    """Return the classes of several outputs as sorted arrays, or None if they are those of one."""
    if isinstance(classes, np.ndarray) and classes.ndim == 2:
        classes = list(classes)
    if not isinstance(classes, (list, tuple)) or not len(classes):
        return None
    if not all(isinstance(each, (list, tuple, np.ndarray)) for each in classes):
        return None
    return [np.unique(each) for each in classes]
