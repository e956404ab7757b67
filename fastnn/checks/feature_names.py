"""The names of a data frame's columns: a network that knows them refuses others, and another order.

As scikit-learn's estimators have it, names count where all of them are texts. What has none, such
as an array, is taken by place.
"""

from .arrays import is_frame, listed


def feature_names(X):
    """Return the names of the columns of a data frame of pandas or polars, a tuple, or None.

    None where one of them is no text, and for what is no data frame.
    """
    if not is_frame(X):
        return None
    names = tuple(X.columns)
    if not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(map(str, names))


def check_feature_names(X, known, name="X"):
    """Refuse a data frame whose columns are not the known ones, in their order.

    Parameters
    ----------
    X : array-like
        It passes where it has no names, see :func:`feature_names`.
    known : tuple of str or None
        The names of the training; None passes all.
    name : str
        What errors call X.

    Raises
    ------
    ValueError
    """
    names = feature_names(X)
    if names is None or known is None or names == known:
        return
    ours, theirs = set(known), set(names)
    unseen = [repr(each) for each in names if each not in ours]
    missing = [repr(each) for each in known if each not in theirs]
    if unseen or missing:
        parts = []
        if unseen:
            parts.append(f"has the columns {listed(unseen)}, which the training had not")
        if missing:
            parts.append(f"lacks {'' if unseen else 'the columns '}{listed(missing)}")
        remedy = "pass the columns of network.feature_names_in_, in that order"
        if len(names) == len(known):
            remedy += f", or {name}.to_numpy() where names do not count"
        raise ValueError(f"{name} {', and '.join(parts)}: {remedy}")
    if len(names) == len(known):
        place = next(i for i, each in enumerate(names) if each != known[i])
        raise ValueError(
            f"{name} has the columns of the training in another order: column {place} is "
            f"{names[place]!r}, but {known[place]!r} was: pass "
            f"{name}[list(network.feature_names_in_)]"
        )
