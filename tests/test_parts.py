"""The script that times the parts of a training step."""

import numpy as np
import pytest

import parts
from peer_libraries import NETWORKS, Problem, order_of
from peer_libraries.ours import Fastnn

TINY = Problem((9, 20, 18, 3), "relu", "softmax", "adam", 8)


def peer_of(problem):
    peer = Fastnn(1)
    peer.build(problem, 0, 0.01)
    return peer, peer.train(order_of(problem, 1))


def test_every_operation_belongs_to_one_part():
    peer, _ = peer_of(TINY)
    tape = parts.Tape(peer.loop)
    assert len(tape.parts) == tape.phases[-1]
    assert {name: tape.parts.count(name) > 0 for name in parts.PARTS} == dict.fromkeys(
        parts.PARTS, True
    )
    # Forward before back, in the first phase; updates and transposes in the second.
    order = [tape.parts.index(name) for name in ("forward", "backward", "update", "transposes")]
    assert order == sorted(order)
    assert tape.parts.index("update") >= tape.phases[1] > tape.parts.index("backward")


def test_a_part_alone_does_its_own_and_no_more():
    peer, train = peer_of(TINY)
    train()
    tape, params = parts.Tape(peer.loop), peer.loop.buffers.params
    before = params.copy()
    tape.keep("forward", "backward")
    assert (np.diff(tape.phases) > 0).tolist() == [True, False]
    train()
    assert np.array_equal(params, before)
    tape.keep("update")
    train()
    assert not np.array_equal(params, before)


def test_the_whole_is_as_it_was():
    (peer, train), (_, untouched) = peer_of(TINY), peer_of(TINY)
    assert np.array_equal(train(), untouched())
    tape = parts.Tape(peer.loop)
    for part in parts.PARTS:
        tape.keep(part)
    tape.keep(*parts.PARTS)
    assert np.array_equal(train(), untouched())


def test_the_table_is_printed(capsys, monkeypatch):
    monkeypatch.setitem(NETWORKS, "784-100-10-sgd-200", TINY)
    monkeypatch.setattr(parts, "SECONDS", 0.0)
    parts.main(["--networks", "784-100-10-sgd-200", "--rounds", "1"])
    head, _, line, _, peak = capsys.readouterr().out.splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert len(cells) == len(head.strip("|").split("|")) == 10
    assert cells[:3] == ["9-20-18-3", "adam", "8"]
    assert all(cell.endswith("%") for cell in cells[4:8])
    assert peak.startswith("Peak of one core: ")


@pytest.mark.parametrize("name", ["64-100-10-sgd-200", "4-32-16-4-adam-10000"])
def test_shares_of_the_peak(name):
    problem = NETWORKS[name]
    seconds = dict.fromkeys(("step", *parts.PARTS), 1.0)
    *_, share, forward, backward, update, _, _ = parts.cells(problem, seconds, problem.flops / 1e9)
    assert share == "100%"
    assert forward == update
    total = sum(int(cell.rstrip("%")) for cell in (forward, backward, update))
    assert total == pytest.approx(100, abs=2)


def test_no_round_is_refused(capsys):
    with pytest.raises(SystemExit):
        parts.main(["--rounds", "0"])
    assert "--rounds: 0 is not at least 1" in capsys.readouterr().err
