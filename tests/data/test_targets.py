"""Targets: what passes for classes, what for numbers to predict, and what users are told."""

import numpy as np
import pytest

from fastnn.data.targets import check_classes, check_targets

RNG = np.random.default_rng(0)


def labels(y, **options):
    return check_classes(check_targets(np.asarray(y), "y", "classification"), "y", **options)


def cycle(*classes, n=100):
    return np.array(classes)[np.arange(n) % len(classes)]


PLAIN = {
    "two": cycle(0, 1),
    "floats": cycle(0.0, 1.0, 2.0),
    "toy": [0, 1, 2, 2, 1],
    "one row each": np.arange(20),
    "many, two rows each": np.repeat(np.arange(1000), 2),
    "booleans": cycle(True, False),
    "column": cycle(0, 1)[:, np.newaxis],
}


@pytest.mark.parametrize("y", PLAIN.values(), ids=PLAIN)
def test_classes(y):
    assert labels(y) == []
    assert check_targets(np.asarray(y), "y", "classification").dtype == np.int64


NUMBERS = {
    "prices": 100_000 + 500 * RNG.integers(0, 1600, 1000),
    "prices in cents": RNG.integers(10_000_000, 90_000_000, 1000),
    "times": 1_600_000_000 + np.arange(1000),
    "one row each": np.arange(21),
    "almost two rows each": np.repeat(np.arange(1000), 2)[1:],
}


@pytest.mark.parametrize("y", NUMBERS.values(), ids=NUMBERS)
def test_numbers_to_predict(y):
    with pytest.raises(ValueError, match="which looks like numbers to predict: train with --ta"):
        labels(y)


def test_who_says_that_they_are_classes_is_believed():
    assert labels(np.arange(1000), sure=True) == []


@pytest.mark.parametrize("y", [[0.5, 1, 2], [1e5 + 0.25, np.nan, -3]])
def test_fractions_are_numbers_to_predict(y):
    with pytest.raises(ValueError, match=r"in row 0, which is no class .* train with --task reg"):
        labels(y)


GAPS = {
    "billion": (cycle(0, 1, 2, 10**9), "1,000,000,001"),
    "codes": (cycle(100, 200, 300), "301"),
    "rounded prices": (1000 * RNG.integers(1, 900, 100_000), "899,001"),
}


@pytest.mark.parametrize(("y", "count"), GAPS.values(), ids=GAPS)
def test_labels_with_gaps_are_to_be_numbered(y, count):
    with pytest.raises(ValueError, match=rf"would make {count}.* classes: number the classes with"):
        labels(y)
    with pytest.raises(ValueError, match="where it holds numbers to predict, train with --ta"):
        labels(y, sure=True)


WRONG = {
    "minus one": (cycle(1, -1), "holds -1 in row 1: needed class indices, integers from 0"),
    "2**40": (cycle(0, 1, 2**40), "holds 1099511627776 in row 2: needed class indices"),
    "2**64 - 1": (np.array([0, 2**64 - 1], "u8"), "holds 18446744073709551615 in row 1"),
    "infinity": ([0, np.inf], "holds inf in row 1"),
    "NaN": ([0, 1, np.nan], "holds nan in row 2"),
    "1e300": ([0, 1e300], r"holds 1e\+300 in row 1"),
    "text": (["a", "b"], r"has dtype <U1: needed numbers. Where they are names of classes"),
    "one-hot": (
        np.eye(3),
        r"take y.argmax\(axis=1\); where it holds numbers to predict,",
    ),
}


@pytest.mark.parametrize(("y", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_label(y, message):
    with pytest.raises(ValueError, match=message):
        labels(y)


ONE_BASED = (
    "class 0 does not occur in y (classes 0 to 3). If your labels start at 1, number them from 0: "
    "y - 1"
)
NOTES = {
    "from 1 on": (cycle(1, 2, 3), [ONE_BASED]),
    "gap": (cycle(0, 2), ["class 1 does not occur in y (classes 0 to 2)"]),
    "tens": (cycle(10, 20), ["19 of the classes 0 to 20 do not occur in y: 0, 1, 2, 3, 4, ..."]),
    "99": (cycle(0, 99), ["98 of the classes 0 to 99 do not occur in y: 1, 2, 3, 4, 5, ..."]),
    "one": (cycle(0), ["y holds one class only, 0: there is nothing to tell apart"]),
    "one, not the first": (cycle(3), ["y holds one class only, 3: there is nothing to tell apart"]),
}


@pytest.mark.parametrize(("y", "notes"), NOTES.values(), ids=NOTES)
def test_odd_labels_get_a_note(y, notes):
    assert labels(y) == notes


def test_numbers_keep_their_dtype():
    y = RNG.normal(size=7).astype("f4")
    numbers = check_targets(y, "y", "regression")
    assert (numbers.shape, numbers.dtype) == ((7, 1), np.float32)
    assert check_targets(RNG.normal(size=(7, 3)), "y", "regression").shape == (7, 3)


def test_a_missing_label_is_not_to_be_numbered():
    """numpy.unique would make a class of its own of NaN."""
    with pytest.raises(
        ValueError, match=r"holds nan in row 1: .*\. Drop the rows without a label\. "
    ):
        labels([0, np.nan, 1])
    with pytest.raises(
        ValueError, match=r"holds inf in row 1: .*2147483646\. Where they are class"
    ):
        labels([0, np.inf, 1])


def test_a_code_of_factorize_for_a_missing_label_is_told():
    with pytest.raises(
        ValueError, match=r"y holds -1 in row 1: .*\. Where it is pandas\.factorize'"
    ):
        labels([0, -1, 1])
    for other in ([-1, 1, 1], [0, -2, -1]):
        with pytest.raises(
            ValueError, match=r"2147483646\. Where they are classes, number the cla"
        ):
            labels(other)
