"""Sparse matrices that are broken, or that change while they are in use."""

import numpy as np
import pytest

from fastnn import Network, Trainer
from fastnn.checks.sparse import checked_csr

sparse = pytest.importorskip("scipy.sparse")

FORMATS = ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")


def rows(n=12, D=8):
    random = np.random.RandomState(0)
    X = random.randint(-3, 4, (n, D)) / 2.0
    X[random.rand(n, D) < 0.6] = 0
    X[[0, -1]] = 0
    return X


def test_of_other_than_two_dimensions_what_makes_two_is_said():
    try:
        row, cube = (sparse.coo_array(np.ones(shape)) for shape in ((8,), (2, 2, 2)))
    except (TypeError, ValueError):
        pytest.skip("this SciPy has sparse matrices of two dimensions only")
    net = Network((8, 3), random_state=0)
    for use in (net.predict, lambda X: Trainer(net).fit(X, [0])):
        with pytest.raises(
            ValueError,
            match=r"^X has shape \(8,\), but needed is \(n_samples, 8\): for one sample pass "
            r"X\.reshape\(1, -1\)$",
        ):
            use(row)
        with pytest.raises(
            ValueError, match=r"^X has shape \(2, 2, 2\), .*: pass X\.reshape\(X\.shape\[0\], -1\)$"
        ):
            use(cube)
    assert len(net.predict(row.reshape(1, -1))) == 1


@pytest.mark.parametrize("container", ["array", "matrix"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_becomes_the_same_rows(format_name, container):
    X = rows()
    matrix = getattr(sparse, f"{format_name}_{container}")(X)
    indptr, indices, data = checked_csr(matrix, "X")
    assert (indptr.dtype, indices.dtype) == (np.int64, np.int32)
    expected = sparse.csr_array(X)
    np.testing.assert_array_equal(indptr, expected.indptr)
    np.testing.assert_array_equal(indices, expected.indices)
    np.testing.assert_array_equal(data, expected.data)
    for name in ("indptr", "indices"):
        if hasattr(matrix, name):
            for part in (indptr, indices):
                assert not np.shares_memory(part, getattr(matrix, name))


def test_columns_out_of_order_and_twice_are_summed():
    X = sparse.csr_array((np.array([1.0, 2, 4, 8]), [3, 1, 3, 0], [0, 3, 4]), shape=(2, 5))
    before = X.copy()
    # SciPy keeps the answer to this question, even where it was wrong or is out of date.
    X.has_canonical_format = True
    indptr, indices, data = checked_csr(X, "X")
    assert indptr.tolist() == [0, 2, 3]
    assert indices.tolist() == [1, 3, 0]
    assert data.tolist() == [2, 5, 8]
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(X, name), getattr(before, name))


def test_room_behind_the_last_row_is_no_part_of_it():
    X = sparse.csr_array(rows())
    wanted = X.copy()
    X.indices = np.append(X.indices, np.int32([99, -5]))
    X.data = np.append(X.data, [np.nan, np.inf])
    net = Network((8, 3), random_state=0)
    np.testing.assert_array_equal(net.decision_function(X), net.decision_function(wanted))


def _set(name, index, value):
    def change(matrix):
        array = getattr(matrix, name).copy()
        array[index] = value
        setattr(matrix, name, array)

    return change


BROKEN = {
    "rows far beyond": ("csr", _set("indptr", 5, 10**6)),
    "a negative row": ("csr", _set("indptr", 4, -1)),
    "first row": ("csr", _set("indptr", 0, 1)),
    "last row": ("csr", _set("indptr", -1, 10**9)),
    "too few rows": ("csr", lambda M: setattr(M, "indptr", M.indptr[:-1])),
    "no rows": ("csr", lambda M: setattr(M, "indptr", M.indptr[:0])),
    "a column beyond": ("csr", _set("indices", 1, 8)),
    "a column far beyond": ("csr", _set("indices", 1, 2**31 - 1)),
    "a negative column": ("csr", _set("indices", 1, -1)),
    "too few columns": ("csr", lambda M: setattr(M, "indices", M.indices[:-3])),
    "too few numbers": ("csr", lambda M: setattr(M, "data", M.data[:-3])),
    "wide columns": (
        "csr",
        lambda M: setattr(M, "indices", M.indices.astype(np.int64) + 2**32),
    ),
    "numbers for columns": ("csr", lambda M: setattr(M, "indices", M.indices.astype(float))),
    "csc rows": ("csc", _set("indptr", 3, 10**6)),
    "csc columns": ("csc", _set("indices", 1, 12)),
    "bsr rows": ("bsr", _set("indptr", 3, 10**6)),
    "bsr columns": ("bsr", _set("indices", 1, 10**6)),
    "coo rows": ("coo", lambda M: M.coords[0].__setitem__(1, 12)),
    "coo columns": ("coo", lambda M: M.coords[1].__setitem__(1, -1)),
    "lil columns": ("lil", lambda M: M.rows[1].__setitem__(0, 8)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_matrices_are_refused_before_scipy_sees_them(case):
    format_name, damage = BROKEN[case]
    whole = sparse.csr_array(rows())
    matrix = getattr(sparse, f"{format_name}_array")(rows())
    damage(matrix)
    net = Network((8, 5, 3), random_state=0)
    y, before = np.arange(12) % 3, net.params.copy()
    message = rf"is a broken {format_name.upper()} matrix.*make it anew"
    for use in (
        lambda: net.predict(matrix),
        lambda: net.predict_proba(matrix),
        lambda: net.loss_and_gradient(matrix, y),
        lambda: Trainer(net, max_iter=1).fit(matrix, y),
        lambda: Trainer(net, max_iter=1).fit(whole, y, matrix, y),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    np.testing.assert_array_equal(net.params, before)


@pytest.mark.parametrize("name", ["indptr", "indices"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("validation", [False, True])
def test_a_matrix_may_change_while_it_is_in_use(name, dtype, validation):
    X, y = rows(), np.arange(12) % 3
    results = []
    for harm in (False, True):
        matrix = sparse.csr_array(X.astype(np.float32))
        for part in ("indptr", "indices"):
            setattr(matrix, part, getattr(matrix, part).astype(dtype))
        given = (sparse.csr_array(X), y, matrix, y) if validation else (matrix, y)

        def callback(status, matrix=matrix, harm=harm):
            if harm:
                getattr(matrix, name)[:] = 10**7

        net = Network((8, 5, 3), random_state=0)
        trainer = Trainer(net, max_iter=4, batch_size=5, random_state=0)
        trainer.fit(*given, callback=callback)
        results.append((net.params.tobytes(), trainer.history["val_loss"].tobytes()))
    assert results[0] == results[1]
