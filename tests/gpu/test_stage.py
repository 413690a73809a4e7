"""The way through pinned buffers, on streams that do what they are told as late as they may."""

import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.gpu.runtime import Stage


class Machine:
    """Streams whose queues are worked off in an order that numbers decide."""

    def __init__(self, choices):
        self.streams = []
        self._choices = choices
        self._turn = 0

    def step(self):
        """Does the first thing of a queue that need not wait; tells whether there was one."""
        ready = [s for s in self.streams if s.queue and s.queue[0][0]()]
        if not ready:
            return False
        self._turn += 1
        choice = self._choices[self._turn % len(self._choices)]
        _, action = ready[choice % len(ready)].queue.pop(0)
        action()
        return True

    def run_until(self, done):
        while not done():
            assert self.step(), "everything waits forever"


class Stream:
    def __init__(self, machine):
        self.queue = []
        self._machine = machine
        machine.streams.append(self)

    def launch(self, action, ready=lambda: True):
        self.queue.append((ready, action))

    def wait_event(self, event):
        mark = event.mark
        self.launch(lambda: None, lambda: mark["done"])

    def synchronize(self):
        self._machine.run_until(lambda: not self.queue)


class Event:
    def __init__(self, machine):
        self.mark = {"done": True}  # one that was never recorded is over
        self._machine = machine

    def record(self, stream):
        mark = self.mark = {"done": False}
        stream.launch(lambda: mark.update(done=True))

    def synchronize(self):
        mark = self.mark
        self._machine.run_until(lambda: mark["done"])


class Array:
    def __init__(self, values):
        self.values = values

    def __getitem__(self, part):
        return Array(self.values[part])

    def set(self, host, stream):
        stream.launch(lambda: self.values.__setitem__(..., host))


@pytest.fixture(autouse=True)
def pinned_memory():
    before = sys.modules.get("cupyx")
    sys.modules["cupyx"] = types.SimpleNamespace(empty_pinned=np.zeros)
    yield
    sys.modules.pop("cupyx")
    if before is not None:
        sys.modules["cupyx"] = before


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.lists(st.integers(1, 4)))
def test_what_is_read_is_what_was_sent(choices, sizes):
    machine = Machine(choices)
    current = Stream(machine)
    cuda = types.SimpleNamespace(
        Event=lambda disable_timing: Event(machine),
        Stream=lambda non_blocking: Stream(machine),
        get_current_stream=lambda: current,
    )
    xp = types.SimpleNamespace(cuda=cuda, empty=lambda shape, dtype: Array(np.zeros(shape, dtype)))
    stage = Stage(xp, (4, 2), np.float32)
    read = []
    for number, size in enumerate(sizes):
        sent = stage.send(size, lambda host, number=number: host.fill(number + 1))
        current.launch(lambda sent=sent: read.append(sent.values.copy()))
    stage.finish()
    current.synchronize()
    assert [rows.shape for rows in read] == [(size, 2) for size in sizes]
    assert [set(rows.ravel()) for rows in read] == [{n + 1.0} for n in range(len(sizes))]
