"""Reading data for the command line: scikit-learn's digits, CIFAR-10's binary files, .npz files.

:func:`load_dataset` gives the training, validation and test rows as they are in the source, and how
a :class:`fastnn.Network` should standardise them; :func:`load_xy` gives rows and targets. Nothing
here ever unpickles: a file of data cannot run code.
"""

from fastnn.data.datasets import Dataset, load_dataset, load_xy

__all__ = ["Dataset", "load_dataset", "load_xy"]
