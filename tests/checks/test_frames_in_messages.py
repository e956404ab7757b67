"""Messages about data of pandas and polars call columns and dtypes as their owner does."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastnn import MLPClassifier, Network, TwoLayerNet

LIBRARIES = pytest.mark.parametrize("library", [pd, pl])


def frame(library=pd, **columns):
    return library.DataFrame({"age": [1.0, 2.0], "rooms": [3.0, 4.0]} | columns)


@LIBRARIES
def test_a_number_that_is_missing_is_named_by_its_column(library):
    net = Network((2, 3, 2), random_state=0)
    with pytest.raises(
        ValueError,
        match=r"X holds nan at row 1, column 1 \('rooms'\), but every feature must be finite in "
        r"float32: drop such rows, or fill in a number, such as the median of the column$",
    ):
        net.predict(frame(library, rooms=[3.0, np.nan]))
    with pytest.raises(ValueError, match=r"X holds 1e\+300 at row 0, column 0 \('age'\), which is"):
        net.predict(frame(library, age=[1e300, 1]))
    with pytest.raises(ValueError, match=r"X holds inf at row 0, column 0 \('age'\), but"):
        TwoLayerNet(2, 3, 2).predict(frame(library, age=[np.inf, 1]))


def test_columns_that_have_no_names_are_numbered():
    X = frame(rooms=[3.0, np.nan])
    for rows in (X.to_numpy(), X.set_axis([7, 8], axis=1)):
        with pytest.raises(ValueError, match=r"row 1, column 1, but"):
            Network((2, 3, 2), random_state=0).predict(rows)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            pd.Series(["a", "b"], dtype="string"),
            "y has dtype string, .*: number the classes, for "
            r"example with y, names = pandas\.factorize\(y\)$",
        ),
        (pd.Series(["a", "b"], dtype="category"), r"y has dtype category, .* pandas\.factorize"),
        (pd.Series(["a", "b"], dtype=object), r"y has dtype object, .* pandas\.factorize"),
        (
            pl.Series(["a", "b"]),
            r"y has dtype String, .*: number the classes, for example with "
            r"names, y = numpy\.unique\(y, return_inverse=True\)$",
        ),
        (
            ["a", "b"],
            r"y has dtype <U1, .*: number the classes, for example with "
            r"names, y = numpy\.unique\(y, return_inverse=True\)$",
        ),
    ],
)
def test_labels_that_are_text_are_called_as_pandas_does(labels, message):
    with pytest.raises(TypeError, match=message):
        Network((2, 3, 2), random_state=0).loss_and_gradient(frame(), labels)


@pytest.mark.parametrize("target", [[0.5, 536.37], pd.Series([0.5, 536.37])])
def test_numbers_to_predict_are_told_of_the_head_for_them(target):
    with pytest.raises(
        ValueError,
        match=r"holds the label 0\.5, but labels are integers 0\.\.2: .*; for numbers to predict, "
        r"make a Network with head='identity'$",
    ):
        Network((2, 4, 3), random_state=0).loss_and_gradient(frame(), target)
    with pytest.raises(
        ValueError,
        match=r"pass 2 outputs, or head='logistic'; for numbers to predict, head='identity'$",
    ):
        Network((2, 4, 1))


def test_columns_that_do_not_vary_are_named():
    X = frame(rooms=[3.0, 3.0])
    needed = r"but inputs are divided by it: pass numbers above 0, and 1 for a column that is const"
    for scale, place in (
        (X.std(), r" in column 1 \('rooms'\)"),
        (X.std().to_numpy(), " in column 1"),
        (0, ""),
    ):
        with pytest.raises(ValueError, match=rf"^input_scale holds 0\.0{place}, {needed}"):
            Network((2, 2), input_scale=scale)
    X.loc[0, "rooms"] = np.nan
    mean = X.mean(skipna=False)
    with pytest.raises(
        ValueError, match=r"input_mean holds nan in column 1 \('rooms'\), but it mus"
    ):
        Network((2, 2), input_mean=mean)


@pytest.mark.skipif(not hasattr(ValueError, "add_note"), reason="Python 3.10 has no notes")
@LIBRARIES
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_an_estimator_that_finds_text_names_its_columns(library, method):
    X, clf = frame(library, city=["Kyoto", "Bern"]), MLPClassifier()
    options = {"classes": [0, 1]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match=r"Kyoto|float") as caught:
        getattr(clf, method)(X, [0, 1], **options)
    (note,) = caught.value.__notes__
    assert note.startswith("X has columns that are no numbers: 'city' (")
    assert "OneHotEncoder" in note
    with pytest.raises(ValueError, match="NaN") as caught:
        getattr(clf, method)(frame(library, rooms=[1.0, np.nan]), [0, 1], **options)
    assert not hasattr(caught.value, "__notes__")
