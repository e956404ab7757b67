"""The progress bar: in a terminal, in a plain notebook, and where nobody reads it."""

import io
import sys
import types

import numpy as np
import pytest

from fastnn import Network, Trainer, TwoLayerNet
from fastnn.engine import progress


def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=(60, 6)), rng.integers(0, 3, 60)


def train(progress=True, max_iter=30, **options):
    X, y = problem()
    trainer = Trainer(Network((6, 5, 3), random_state=0), max_iter=max_iter, random_state=0)
    trainer.fit(X, y, X, y, progress=progress, **options)
    return trainer


def train_two_layers(progress=True):
    X, y = problem()
    net = TwoLayerNet(6, 5, 3, random_state=0)
    net.train(X, y, X, y, num_iters=300, batch_size=10, progress=progress)
    return net


# ------------------------------------------------------------------------------------- terminals


@pytest.mark.parametrize(("run", "count"), [(train, "30/30"), (train_two_layers, "300/300")])
def test_bar_goes_to_stderr(capsys, run, count):
    run()
    out, err = capsys.readouterr()
    assert out == ""
    assert count in err
    assert "loss" in err


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_bar_takes_one_line_of_any_width(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    train()
    *_, line = capsys.readouterr().err.splitlines()
    assert len(line.rstrip()) <= columns
    assert "30/30" in line
    assert "…" not in line
    assert ("samples/s" in line) == (columns >= 100)
    assert ("score" in line) == (columns >= 60)


@pytest.mark.parametrize("name", ["red[", "[bold]", ":smile:"])
def test_text_of_the_bar_is_no_markup(capsys, name):
    bar = progress.TerminalBar(2)
    bar.start()
    bar.update(1, name)
    bar.advance(1)
    bar.stop()
    err = capsys.readouterr().err
    assert name in err
    assert "2/2" in err


def test_transient_bar_leaves_nothing_in_a_file(capsys):
    bar = progress.TerminalBar(2, transient=True)
    bar.start()
    bar.update(2, "loss 0.1")
    bar.stop()
    assert capsys.readouterr() == ("", "")


class Broken(io.StringIO):
    """A terminal that is gone."""

    def write(self, text):
        raise BrokenPipeError

    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Broken(), None], ids=["broken", "none"])
def test_training_goes_on_without_a_reader(monkeypatch, stream):
    expected = train(progress=False).network.params
    monkeypatch.setattr(sys, "stderr", stream)
    actual = train().network.params
    np.testing.assert_array_equal(actual, expected)


def test_what_a_callback_prints_stays_on_stdout(capsys):
    train(max_iter=2, callback=lambda status: print(f"epoch {status.epoch}"))
    assert capsys.readouterr().out == "epoch 1\nepoch 2\n"


def test_rich_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with pytest.raises(ImportError, match="progress=True needs rich: python -m pip install rich"):
        train()


# ------------------------------------------------------------------------------------- notebooks


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython in a kernel; gives what is displayed, the latest last."""
    shown = []

    def display(content, *, raw, display_id):
        assert raw
        assert display_id is True
        shown.append(content)
        return types.SimpleNamespace(update=lambda content, *, raw: shown.append(content))

    class ZMQInteractiveShell:
        pass

    module = types.ModuleType("IPython")
    module.get_ipython = ZMQInteractiveShell
    module.display = types.ModuleType("IPython.display")
    module.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    # What a plain JupyterLab does not bring.
    for name in ("rich", "rich.progress", "ipywidgets"):
        monkeypatch.setitem(sys.modules, name, None)
    return shown


@pytest.mark.parametrize(("run", "total"), [(train, 30), (train_two_layers, 300)])
def test_notebook_shows_a_bar_of_its_own(notebook, capsys, run, total):
    run()
    assert capsys.readouterr() == ("", "")
    first, last = notebook[0], notebook[-1]
    assert set(first) == set(last) == {"text/plain", "text/html"}
    assert f'<progress value="0" max="{total}"' in first["text/html"]
    assert f'<progress value="{total}" max="{total}"' in last["text/html"]
    for content in last.values():
        assert f"{total}/{total}" in content
        assert "loss" in content
        assert "samples/s" in content


def test_notebook_is_not_flooded(notebook, monkeypatch):
    times = iter(np.arange(10_000) / 1000)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    bar = progress.NotebookBar(500)
    bar.start()
    for done in range(500):
        bar.update(done, f"loss {done}")
    bar.stop()
    assert 2 <= len(notebook) <= 10
    assert "499/500" in notebook[-1]["text/plain"]


def test_notebook_shows_where_an_interrupt_came(notebook):
    def interrupt(status):
        if status.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(callback=interrupt)
    assert "/30" in notebook[-1]["text/plain"]


def test_text_is_escaped(notebook):
    bar = progress.NotebookBar(2)
    bar.start()
    bar.update(1, "a < b")
    bar.stop()
    assert "a &lt; b" in notebook[-1]["text/html"]


def test_terminal_of_ipython_is_a_terminal(notebook, monkeypatch):
    class TerminalInteractiveShell:
        pass

    class Embedded(TerminalInteractiveShell):
        pass

    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", Embedded)
    assert not progress.in_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not progress.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not progress.in_notebook()
