"""The script that times scikit-learn's estimator beside fastnn's, and writes the guide's table."""

import pytest

import estimators
from benchmarks import estimators as tables

TINY = {"digits, defaults": tables.Fit((60, 4, 3), 2, {"hidden_layer_sizes": (5,)})}


@pytest.fixture
def tiny(monkeypatch):
    """Make each part quick, and forget what it has made."""
    monkeypatch.setitem(tables.GRID, "alpha", [1e-4, 1.0])
    monkeypatch.setitem(tables.GRID, "learning_rate_init", [1e-3])
    monkeypatch.setattr(tables, "WAYS", {"threading": 2, "sequential": 1})
    monkeypatch.setattr(estimators, "WAYS", tables.WAYS)
    monkeypatch.setattr(tables, "SERVED", tables.Fit((20_000, 20, 2), 1, {}))
    for module in (tables, estimators):
        monkeypatch.setattr(module, "FITS", TINY)
        forms = {"1 x 20": tables.Prediction(1), "2 x 20, sparse": tables.Prediction(2, "sparse")}
        monkeypatch.setattr(module, "PREDICTIONS", forms)
    monkeypatch.setattr(estimators, "available_cores", lambda: 2)
    monkeypatch.setattr("benchmarks.common.cores_at_hand", lambda: 2)
    clear()
    yield
    clear()


def clear():
    for function in (tables.data_of, tables.fit_of, tables.rows_of, tables.served_by):
        function.cache_clear()


def test_whole_table_is_measured_and_written(tiny, tmp_path, monkeypatch, capsys):
    (tmp_path / "docs/guides").mkdir(parents=True)
    marks = f"before\n{estimators.BEGIN}\nstale\n{estimators.END}\nafter\n"
    for name in estimators.FILES:
        (tmp_path / name).write_text(marks)
    monkeypatch.setattr(estimators, "ROOT", tmp_path)
    assert estimators.main(["--rounds", "1", "--write"]) == 0
    printed = capsys.readouterr().out
    guide = (tmp_path / "docs/guides/scikit-learn.md").read_text()
    for what in ("fit: digits", "predict: 1 x", "predict: 2 x", "partial_fit: 200", "search: 12"):
        assert f"| {what}" in printed
        assert f"| {what}" in guide
    assert guide.startswith("before\n")
    assert guide.endswith("after\n")
    assert "stale" not in guide
    readme = (tmp_path / "README.md").read_text()
    assert "| fit: digits, defaults | float32 | 1 |" in readme
    assert "| 2 |" not in readme
    assert "predict" not in readme


def test_parts(tiny, capsys):
    estimators.main(["--rounds", "1", "--only", "served"])
    assert "fit: digits" not in capsys.readouterr().out


def test_no_round_is_refused(capsys):
    with pytest.raises(SystemExit):
        estimators.main(["--rounds", "0"])
    assert "--rounds: 0 is not at least 1" in capsys.readouterr().err


def test_a_file_without_a_place_is_left_alone():
    with pytest.raises(SystemExit, match="has not one place for the table, between"):
        estimators.write_into("nothing here", "table", "README.md")


@pytest.mark.parametrize("name", estimators.FILES)
def test_files_have_a_place_for_the_table(name):
    text = (estimators.ROOT / name).read_text(encoding="utf-8")
    assert estimators.write_into(text, "table", name) != text


def test_arithmetic_of_a_fit():
    # Two epochs of 60 rows; two classes have one output.
    fit = tables.Fit((60, 4, 2), 2, {"hidden_layer_sizes": (5,)})
    assert fit.flops == 2 * 120 * (2 * 4 * 5 + 3 * 5 * 1)
    digits = tables.FITS["digits, defaults"]
    X, y = digits.data("float32")
    n, D, C = *X.shape, len(set(y))
    assert digits.flops == 2 * n * digits.epochs * (2 * D * 100 + 3 * 100 * C)


def test_ratio_and_units():
    row = estimators.Row("fit", "float32", "1", {"scikit-learn": 1.5, "fastnn": 0.0123})
    assert row.cells() == ("fit", "float32", "1", "1.50 s", "12.3 ms", "122.0", "")
    assert row._replace(limit=0.01).cells()[-1] == "150.0"
    assert estimators.time_text(9.87e-5) == "98.7 µs"
