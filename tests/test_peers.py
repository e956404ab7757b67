"""The script that times other libraries: the same work, a whole table, and what ends it early."""

import json
import os
import signal
import threading
from importlib.util import find_spec

import numpy as np
import pytest

import fastnn
import peers
from peer_libraries.jax_scan import JAX
from peer_libraries.peer import Peer
from peer_libraries.problems import CHECK_EPOCHS, ROWS, data_of, order_of
from peer_libraries.pytorch import BFloat16PyTorch, PyTorch

# torch.compile calls what torch has deprecated.
pytestmark = pytest.mark.filterwarnings(r"ignore:.torch\.jit\.:DeprecationWarning")

TINY = peers.Problem((4, 8, 3), "relu", "softmax", "sgd", 500)
CORES = len(peers.cores_at_hand()) or os.cpu_count()


def peer_of(name):
    peer = peers.PEERS[name]
    if not peer.is_there():
        pytest.skip(f"{peer.title} is not installed")
    return peer(1)


def losses_of(name, problem, seed=0):
    return peer_of(name).losses(problem, seed)


@pytest.fixture(autouse=True)
def threads_for_other_tests():
    # A peer sets them for its whole process, which here is that of all tests.
    yield
    fastnn.set_num_threads(None)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(peers, "NETWORKS", {"4-8-3-sgd": TINY})
    monkeypatch.setattr(peers, "ROUNDS", 2)


class Fake:
    """Answers like a child, without one."""

    def __init__(self, losses=(2.0, 1.0), turns=(3e-6, 1e-6, 2e-6)):
        self.losses, self.turns, self.asked = np.array(losses), iter(turns), []

    def ask(self, method, *arguments):
        self.asked.append(method)
        if method == "step_seconds":
            answer = next(self.turns, 1e-6)
            if answer is None:
                raise KeyboardInterrupt
            return answer
        return {"losses": self.losses, "peak": 100.0}.get(method)


# ------------------------------------------------------------------------------------ the same work


@pytest.mark.parametrize("name", peers.NETWORKS)
def test_flops_are_those_of_all_products(name):
    problem = peers.NETWORKS[name]
    first, *others = (K * N for K, N in zip(problem.layer_sizes, problem.layer_sizes[1:]))
    assert problem.flops == 2 * problem.n * (2 * first + sum(3 * each for each in others))


@pytest.mark.parametrize("problem", [*peers.NETWORKS.values(), TINY], ids=str)
def test_epochs_have_no_short_batch_and_visit_each_row_once(problem):
    order = order_of(problem, 2)
    assert order.steps * problem.n == 2 * problem.rows == 2 * len(data_of(problem)[0])
    if problem.n == problem.rows:
        assert order.rows is None
    else:
        first, second = order.rows.reshape(2, -1)
        assert (np.sort(first) == np.arange(problem.rows)).all()
        assert (first != second).any()


@pytest.mark.parametrize("name", ["fastnn", "sklearn", "torch", "torch.compile", "jax"])
@pytest.mark.parametrize(
    "problem",
    [
        TINY,
        TINY._replace(optimizer="adam", activation="tanh", n=ROWS),
        peers.Problem((6, 9, 7, 1), "relu", "identity", "adam", 100),
    ],
    ids=lambda problem: f"{problem.sizes}-{problem.optimizer}-{problem.head}",
)
def test_library_computes_what_numpy_does(name, problem):
    expected = losses_of("numpy", problem)
    assert expected.shape == (CHECK_EPOCHS,)
    found = peers.disagreements({"numpy": expected, name: losses_of(name, problem)})
    assert found[name] < 1e-5
    # Losses that stand still would agree whatever the step did.
    assert expected[-1] < expected[0] * (1 - 5 * Peer.tolerance)


@pytest.mark.parametrize("name", ["fastnn", "sklearn", "torch", "jax"])
def test_other_parameters_fail(name):
    losses = {"numpy": losses_of("numpy", TINY), name: losses_of(name, TINY, seed=1)}
    with pytest.raises(peers.PeerError, match=f"{peers.PEERS[name].title} computes something else"):
        peers.disagreements(losses)


def test_bfloat16_is_near_and_not_equal():
    expected = losses_of("numpy", TINY)
    found = peers.disagreements({"numpy": expected, "torch bf16": losses_of("torch bf16", TINY)})
    assert 1e-5 < found["torch bf16"] < BFloat16PyTorch.tolerance


def test_torch_compile_needs_a_compiler(monkeypatch):
    monkeypatch.setattr(PyTorch, "module", "numpy")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert not peers.PEERS["torch.compile"].is_there()
    assert peers.PEERS["torch"].is_there()


def test_two_classes_are_left_to_others_by_scikit_learn():
    children = {name: Fake() for name in ("fastnn", "numpy", "sklearn")}
    row = peers.Row(TINY._replace(layer_sizes=(4, 8, 2)), 1)
    peers.measure(row, children, 1e-3, lambda message: None)
    assert set(row.seconds) == {"fastnn", "numpy"}
    assert children["sklearn"].asked == []


def test_large_networks_get_fewer_rows():
    assert {problem.rows for problem in peers.NETWORKS.values() if problem.flops > 1e10} == {1536}


def test_loss_that_is_no_number_fails():
    losses = {"numpy": np.ones(2), "torch": np.array([1.0, np.nan])}
    with pytest.raises(peers.PeerError, match="PyTorch computes something else"):
        peers.disagreements(losses)


@pytest.mark.parametrize("name", peers.PEERS)
def test_turn_is_timed_by_the_step(name):
    peer = peer_of(name)
    peer.prepare(TINY, 1e-3)
    assert peer.steps >= max(peer.least_epochs, 1) * TINY.steps_per_epoch
    assert 0 < peer.step_seconds() < 1


# ------------------------------------------------------------------------------------- in processes


def test_table_has_all_columns_and_a_missing_library_is_left_out(
    tiny, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(JAX, "module", "no_such_library")
    monkeypatch.setattr(PyTorch, "module", "no_such_library_either")
    pytest.importorskip("sklearn")  # its import sets a variable, once
    before = dict(os.environ), peers.cores_at_hand(), signal.getsignal(signal.SIGINT)
    path = tmp_path / "peers.json"

    options = ["--threads", "1", "--seconds", "0.01", "--markdown", "--json", str(path)]
    assert peers.main(options) == 0

    assert before == (dict(os.environ), peers.cores_at_hand(), signal.getsignal(signal.SIGINT))
    out, err = capsys.readouterr()
    assert "JAX is not installed, and is left out: python -m pip install jax" in err
    assert "PyTorch is not installed" in err
    assert "The losses agree within" in err
    assert f"NumPy {np.__version__}" in err
    head, marks, line = (row.strip("| ").split(" | ") for row in out.splitlines())
    assert tuple(head) == peers.columns()
    assert len(marks) == len(line) == len(head)
    cells = dict(zip(head, line))
    assert cells["Network"] == "4-8-3 relu"
    assert (cells["Optimiser"], cells["Batch"], cells["Threads"]) == ("SGD", "500", "1")
    assert cells["JAX"] == cells["PyTorch"] == "-"
    for title in ("fastnn", "NumPy", "scikit-learn"):
        assert float(cells[title].replace(",", "")) > 0
    assert cells["Of peak"].endswith("%")

    written = json.loads(path.read_text())
    (row,) = written["rows"]
    assert row["layer_sizes"] == [4, 8, 3]
    assert row["microseconds"]["jax"] is None
    assert row["microseconds"]["fastnn"] > 0
    assert 0 < row["share_of_peak"] < 1.5
    assert row["disagreement"]["sklearn"] < Peer.tolerance


def test_numbers_are_written_before_they_are_printed(tiny, monkeypatch, tmp_path):
    path = tmp_path / "peers.json"

    def measure(row, *arguments):
        row.seconds["fastnn"] = 1e-6
        row.peak_gflops = 100.0

    def fail(rows):
        raise BrokenPipeError

    monkeypatch.setattr(peers, "installed", lambda names: [])
    monkeypatch.setattr(peers, "measure", measure)
    monkeypatch.setattr(peers, "print_table", fail)
    with pytest.raises(BrokenPipeError):
        peers.main(["--threads", "1", "--json", str(path)])
    assert json.loads(path.read_text())["rows"][0]["microseconds"]["fastnn"] == 1


def test_error_in_a_process_is_told():
    with peers.children_of(["numpy"], 1) as children:
        child = children["numpy"]
        assert child.answer() == np.__version__
        with pytest.raises(peers.PeerError, match=r"NumPy: AttributeError: .*no_such_method"):
            child.ask("no_such_method")
    assert not child.process.is_alive()


@pytest.mark.parametrize("when", ["before it is asked", "while it answers"])
def test_the_end_of_a_process_is_told(when):
    with peers.children_of(["numpy"], 1) as children:
        child = children["numpy"]
        child.answer()
        if when == "before it is asked":
            child.process.kill()
            child.process.join()
        else:
            # Stopped, it answers nothing.
            os.kill(child.process.pid, signal.SIGSTOP)
            threading.Timer(0.2, child.process.kill).start()
        with pytest.raises(peers.PeerError, match=r"NumPy: its process ended with code -9"):
            child.ask("peak_gflops")


# ----------------------------------------------------------------------------------------- measured


def test_fastest_turn_counts_and_the_libraries_take_turns(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(peers, "ROUNDS", 3)
    children = {"fastnn": Fake(), "numpy": Fake(turns=(9e-6, 9e-6, 8e-6))}
    row, notes = peers.Row(TINY, 2), []
    peers.measure(row, children, 1.0, notes.append)
    assert row.seconds == {"fastnn": 1e-6, "numpy": 8e-6}
    assert row.share_of_peak == pytest.approx(TINY.flops / 1e-6 / (2 * 100e9))
    assert children["numpy"].asked == ["losses", "prepare", *["step_seconds"] * 3]
    assert notes == ["4-8-3 sgd, threads: 2. The losses agree within 0.0e+00 (fastnn)"]


def test_disagreement_ends_it_before_anything_is_timed():
    children = {"fastnn": Fake(losses=(2.0, 1.01)), "numpy": Fake()}
    with pytest.raises(peers.PeerError, match=r"fastnn computes .* is 1\.01, but NumPy's is 1;"):
        peers.measure(peers.Row(TINY, 1), children, 1.0, lambda message: None)
    assert children["fastnn"].asked == ["losses"]


def test_ctrl_c_prints_what_was_measured(tiny, monkeypatch, capsys):
    class FakeChild(Fake):
        def __init__(self, name, threads):
            super().__init__(turns={"numpy": (5e-6, None)}.get(name, (1e-6, 2e-6)))

        def answer(self):
            return "1.0"

        def end(self):
            self.ended = True

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("peer_libraries.child.Child", FakeChild)
    assert peers.main(["--threads", "1", "--markdown"]) == peers.INTERRUPTED
    out, err = capsys.readouterr()
    assert "Interrupted" in err
    assert out.splitlines()[-1].startswith("| 4-8-3 relu | SGD | 500 | 1 | 1.00 | 5.00 |")


def test_part_of_a_row_is_shown_as_far_as_it_goes(capsys):
    row = peers.Row(TINY, 1, {"numpy": 1234.5e-6})
    assert peers.cells(row)[4:] == ("-", "1,234", *["-"] * 6)
    assert row.as_dict()["share_of_peak"] is None
    peers.print_table([row])
    assert "1,234" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("rich") is None, reason="rich is not installed")
def test_table_is_not_wrapped_in_a_file(capsys):
    row = peers.Row(TINY, 1, dict.fromkeys(peers.PEERS, 0.0123), peak_gflops=100.0)
    peers.print_table([row])
    lines = capsys.readouterr().out.splitlines()
    assert sum("12,300" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("chosen", "measured"),
    [("numpy", {"fastnn", "NumPy"}), ("sklearn", {"fastnn", "NumPy", "scikit-learn"})],
)
def test_libraries_are_chosen(tiny, capsys, chosen, measured):
    options = ["--threads", "1", "--seconds", "0.01", "--markdown", "--libraries", chosen]
    assert peers.main(options) == 0
    head, _, line = (row.strip("| ").split(" | ") for row in capsys.readouterr().out.splitlines())
    titles = [peer.title for peer in peers.PEERS.values()]
    assert measured == {title for title, cell in zip(head, line) if title in titles and cell != "-"}


# ---------------------------------------------------------------------------------------- arguments


def test_networks_are_chosen_by_sizes_or_by_name():
    both = peers.parse(["--networks", "784-100-10", "784-100-10-adam-200"]).problems
    assert [problem.optimizer for problem in both] == ["sgd", "adam"]
    assert len(peers.parse([]).problems) == len(peers.NETWORKS) == 26


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--networks", "1-2-3"], "there is no 1-2-3; there are 784-256-128-10-adam-128, "),
        (["--threads", "0"], f"0 is not within 1..{CORES}, the cores at hand"),
        (["--threads", str(CORES + 1)], f"{CORES + 1} is not within 1..{CORES}"),
        (["--seconds", "0"], "0 is not above 0"),
        (["--seconds", "nan"], "nan is not above 0"),
        (["--json", "no/such/folder/peers.json"], "there is no folder no/such/folder"),
    ],
)
def test_wrong_options_are_named(options, message, capsys):
    with pytest.raises(SystemExit):
        peers.parse(["--threads", "1", *options])
    assert message in capsys.readouterr().err


def test_plain_python_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(SystemExit):
        peers.parse(["--threads", "1"])
    assert "NUMBA_DISABLE_JIT is set" in capsys.readouterr().err
