import os
import signal
import threading
import time

import pytest

from nncompress import machine
from nncompress.errors import InputError


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({}, 8),
    ],
)
def test_usable_cores_respect_affinity_and_cgroup(tmp_path, monkeypatch, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert machine.usable_cores() == expected


def test_threads_asked_for_are_used_and_must_be_positive():
    assert machine.resolve_threads(7) == 7
    assert machine.resolve_threads(None) == machine.usable_cores()
    with pytest.raises(InputError, match="number of threads is 0"):
        machine.resolve_threads(0)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"meminfo": "MemTotal: 9 kB\nMemAvailable:  8 kB\n"}, 8 << 10),
        (
            {
                "meminfo": "MemAvailable: 8 kB\n",
                "memory.max": "5000\n",
                "memory.current": "4000\n",
                "memory.stat": "anon 3000\nactive_file 600\ninactive_file 400\n",
            },
            2_000,
        ),
        ({"meminfo": "MemAvailable: 8 kB\n", "memory.max": "max\n"}, 8 << 10),
        (
            {
                "memory/memory.limit_in_bytes": "5000\n",
                "memory/memory.usage_in_bytes": "6000\n",
                "memory/memory.stat": "cache 0\n",
            },
            0,
        ),
    ],
)
def test_free_memory_is_the_least_of_the_systems_and_the_cgroups(
    tmp_path, monkeypatch, files, expected
):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    assert machine.free_memory() == expected


def test_a_team_whose_caller_is_interrupted_still_meets():
    """A member that waited for one that is gone would wait for ever."""
    met, lock = [], threading.Lock()

    def meet(thread, threads, barrier):
        if thread == 0:
            time.sleep(0.3)
        with lock:
            barrier[0] += 1
        late = time.monotonic() + 5
        while barrier[0] < threads:
            time.sleep(0.001)
            if time.monotonic() > late:
                return
        met.append(thread)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    team = machine.Team(3)
    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    with pytest.raises(KeyboardInterrupt):
        team.run(meet, 3)
    signal.signal(signal.SIGALRM, former)
    team.run(meet, 3)
    assert sorted(met) == [0, 0, 1, 1, 2, 2]
