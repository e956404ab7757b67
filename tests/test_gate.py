"""The comparison of commits: what is beyond the noise is reported, and nothing else."""

import json
import random
import re

import pytest

import gate
import gate_child
from gate import Comparison, GateError


class FakeProcess:
    """A process whose turns take what it is told, one after the other."""

    def __init__(self, times, there=True):
        self.times, self.there, self.turns = iter(times), there, 0

    def ask(self, method, *arguments):
        if method == "prepare":
            return self.there
        self.turns += 1
        return next(self.times)


@pytest.mark.parametrize(
    ("old", "new", "slower"),
    [
        ([1.00, 1.01, 1.02], [1.15, 1.16, 1.17], True),
        ([1.00, 1.01, 1.02], [1.00, 1.01, 1.02], False),
        ([1.00, 1.01, 1.02], [0.80, 0.81, 0.82], False),  # faster
        ([1.00, 1.01, 1.02], [1.03, 1.04, 1.05], False),  # within the floor
        ([1.00, 1.01, 1.20], [1.15, 1.16, 1.17], False),  # not each slower than each
        ([1.00, 1.00, 1.00], [1.01, 1.15, 1.20], False),  # less than the processes differ
    ],
)
def test_slower_is_what_is_beyond_floor_and_noise(old, new, slower):
    assert Comparison(old, new).slower is slower


def test_the_quickest_turn_of_each_process_counts():
    sides = [FakeProcess([3.0, 1.0, 2.0, 2.0, 2.0])], [FakeProcess([2.0, 2.0, 2.0, 2.0, 5.0])]
    result = gate.measure("case", sides, random.Random(0))
    assert result == Comparison([1.0], [2.0])
    assert result.change == 1.0


def test_more_turns_are_taken_where_processes_do_not_agree():
    old = [FakeProcess([1.0] * 100), FakeProcess([1.5] * 10 + [1.0] * 90)]
    new = [FakeProcess([1.0] * 100), FakeProcess([1.0] * 100)]
    assert gate.measure("case", (old, new), random.Random(0)).noise == 0
    assert old[0].turns == 11
    never = [FakeProcess([1.0] * 100), FakeProcess([1.5] * 100)]
    assert gate.measure("case", (never, new), random.Random(0)).noise == 0.5
    assert never[0].turns == gate.MOST_TURNS


def test_a_case_that_one_commit_lacks_is_left_out():
    sides = [FakeProcess([1.0] * 9)], [FakeProcess([], there=False)]
    result = gate.measure("case", sides, random.Random(0))
    assert result is None
    assert "does not have it" in gate.line("case", result)


def run_with(monkeypatch, changes):
    """Run the script on fake measurements: one factor for each measurement of `case`."""
    measured = iter(changes)

    def compare(folders, names, report):
        chosen = names(["case", "other"]) if callable(names) else names
        results = {}
        for name in chosen:
            factor = next(measured)
            results[name] = Comparison([1.0, 1.0, 1.0], [factor, factor, factor])
            report(name, results[name])
        return results

    monkeypatch.setattr(gate, "compare", compare)
    monkeypatch.setattr(gate, "install", lambda commit, folder: None)
    monkeypatch.setattr(gate, "git", lambda *arguments: b"0123456789abcdef\n")
    return gate.main(["main", "HEAD", "--bench", "case"])


def test_a_slowdown_that_is_found_twice_is_reported(monkeypatch, capsys):
    assert run_with(monkeypatch, [1.15, 1.14]) == 1
    assert "slower: case (" in capsys.readouterr().out


def test_a_slowdown_that_is_not_found_again_is_not_reported(monkeypatch, capsys):
    assert run_with(monkeypatch, [1.15, 1.00]) == 0
    assert "nothing is slower" in capsys.readouterr().out


def test_no_case_of_that_name_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(gate, "install", lambda commit, folder: None)
    monkeypatch.setattr(gate, "git", lambda *arguments: b"0123456789abcdef\n")
    monkeypatch.setattr(gate, "compare", lambda folders, names, report: names(["case"]))
    assert gate.main(["main", "HEAD", "--bench", "nonsense"]) == 2
    assert "no case has a name that begins with nonsense" in capsys.readouterr().err


def test_an_unknown_commit_is_an_error(capsys):
    assert gate.main(["no-such-commit"]) == 2
    assert "no-such-commit" in capsys.readouterr().err


def test_a_process_that_imports_another_fastnn_is_refused(tmp_path, monkeypatch):
    answer = json.dumps({"folder": str(tmp_path / "elsewhere")})
    child = tmp_path / "gate_child.py"
    child.write_text(f"print({answer!r}, flush=True)\nimport sys\nsys.stdin.read()\n")
    monkeypatch.setattr(gate, "HERE", tmp_path)
    with pytest.raises(GateError, match="a process imported"):
        gate.Process(tmp_path / "here")


def test_every_pattern_of_the_selection_names_a_case():
    names = gate_child.Cases().names()
    for pattern in gate.SELECTION:
        assert any(re.match(pattern, name) for name in names), pattern
    assert not any("numpy" in name or "JAX" in name for name in names)
