"""Rates of a GPU that works later than it is told to."""

import pytest

from benchmarks import gpu_timing


class Gpu:
    """Launches take a microsecond, steps take one that is given, and nobody waits unasked."""

    def __init__(self, step):
        self.now, self.busy_until, self.made, self.step = 0.0, 0.0, 0, step

    def perf_counter(self):
        return self.now

    def make(self):
        self.now += 1e-6
        self.busy_until = max(self.now, self.busy_until) + 10 * self.step
        self.made += 10
        return 10

    def synchronize(self):
        self.now = max(self.now, self.busy_until)


@pytest.mark.parametrize("step", [1e-6, 1e-3, 0.3])
def test_rates_are_the_gpus_and_found_soon(monkeypatch, step):
    gpu = Gpu(step)
    monkeypatch.setattr(gpu_timing, "time", gpu)
    rate = gpu_timing.rate_of(gpu.make, gpu.synchronize, 0.2)
    assert rate == pytest.approx(1 / step, rel=0.01)
    assert gpu.now <= max(0.8, 10 * step) * 1.01
