"""What tests of several files share."""

import pytest

from fastnn.engine.tapes import Shelf


@pytest.fixture
def many_threads(monkeypatch):
    """Let small networks begin with as many threads as are set."""
    monkeypatch.setattr("fastnn.threads.FLOPS_PER_THREAD", 1)
    monkeypatch.setattr("fastnn.engine.crew.AT_FIRST", 1000)
    monkeypatch.setattr("fastnn.engine.crew.FLOPS_AT_FIRST", 1)
    monkeypatch.setattr("fastnn.engine.loop.SHELF", Shelf())
