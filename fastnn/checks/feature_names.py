"""The names of a data frame's columns: a network that knows them refuses others, and another order.

As scikit-learn's estimators have it, names count where all of them are texts. What has none, such
as an array, is taken by place.
"""

from .arrays import is_frame, listed


def feature_names(X):
    """Return the names of the columns of a data frame of pandas or polars, a tuple, or None.

    None where one of them is no text, and for what is no data frame.
    """
    return _texts(X.columns) if is_frame(X) else None


def names_of_statistics(mean, scale):
    """Return the names that a mean and a scale of columns go by, a tuple, or None.

    Parameters
    ----------
    mean, scale : array-like
        Those of a network's inputs. A series of pandas, such as ``frame.mean()``, has names.

    Raises
    ------
    ValueError
        If both have names, and not the same in the same order.
    """
    names, others = labels_of(mean), labels_of(scale)
    if names is None or others is None or names == others:
        return names or others
    parts = _differences(others, names, "which input_mean has not")
    if parts:
        raise ValueError(
            f"input_scale {' and '.join(parts)}: compute both of the same columns of one frame"
        )
    raise ValueError(
        f"input_scale has the columns of input_mean in another order: {_first(others, names)}: "
        "pass input_scale[input_mean.index]"
    )


def labels_of(series):
    """Return the labels of a series of pandas that holds a number for each column, or None."""
    if hasattr(series, "iloc") and getattr(series, "ndim", 2) == 1:
        return _texts(series.index)
    return None


def _texts(names):
    """Return names as a tuple where all of them are texts, else None."""
    names = tuple(names)
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(map(str, names))


def _differences(names, known, otherwise):
    """Return what is to be said of names that are not the known ones: none for another order."""
    ours, theirs = set(known), set(names)
    unseen = [repr(each) for each in names if each not in ours]
    missing = [repr(each) for each in known if each not in theirs]
    parts = []
    if unseen:
        parts.append(f"has the columns {listed(unseen)}, {otherwise}")
    if missing:
        parts.append(f"lacks {'' if unseen else 'the columns '}{listed(missing)}")
    return parts


def _first(names, known):
    """Return what is to be said of the first of as many names that is not the known one."""
    place = next(i for i, each in enumerate(names) if each != known[i])
    return f"column {place} is {names[place]!r}, but needed is {known[place]!r}"


def check_feature_names(X, known, name="X"):
    """Refuse a data frame whose columns are not the known ones, in their order.

    Parameters
    ----------
    X : array-like
        It passes where it has no names, see :func:`feature_names`.
    known : tuple of str or None
        The names that the network has; None passes all.
    name : str
        What errors call X.

    Raises
    ------
    ValueError
    """
    names = feature_names(X)
    if names is None or known is None or names == known:
        return
    parts = _differences(names, known, "which the network does not know")
    if parts:
        remedy = "pass the columns of network.feature_names_in_, in that order"
        if len(names) == len(known):
            remedy += f", or {name}.to_numpy() where names do not count"
        raise ValueError(f"{name} {', and '.join(parts)}: {remedy}")
    if len(names) == len(known):
        raise ValueError(
            f"{name} has the columns of the network in another order: {_first(names, known)}: pass "
            f"{name}[list(network.feature_names_in_)]"
        )
