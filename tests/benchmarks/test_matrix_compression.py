"""What the benchmark of matrix compression times, and how."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chainer")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from benchmarks import matrix_compression, turns
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.op_interface import CompressionOpInterface


class Clock:
    """A clock that works move on; a machine that becomes slower moves it on further."""

    def __init__(self):
        self.now, self.slowness = 0.0, 1.0

    def perf_counter(self):
        return self.now

    def work(self, seconds):
        def work():
            self.slowness *= 1.001
            self.now += seconds * self.slowness

        return work


def test_times_are_relative_to_the_first_whatever_the_machine_does_meanwhile(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    works = [clock.work(seconds) for seconds in (0.02, 0.04, 0.005, 3.0)]
    ratios = turns.relative_times(works, rounds=5)
    assert ratios[0] == 1
    assert ratios[1:] == pytest.approx([2, 0.25, 150], rel=0.02)


@pytest.mark.parametrize("name", ["low rank", "k-means", "input-output"])
def test_what_is_timed_is_final_and_computes_the_effective_matrix(name):
    model = chainer.Sequential(chainer.links.Linear(64, 32))
    matrix_compression.halfway(model, matrix_compression.SPEED[name])()
    ops = [link for link in model.links() if isinstance(link, CompressionOpInterface)]
    assert all(op.is_final for op in ops)
    assert len(ops) == 1
    x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    expected = x @ ops[0].get_apply_compression().array.T + model[0].b.array
    np.testing.assert_allclose(model(x).array, expected, rtol=1e-4, atol=1e-5)


def test_the_step_in_the_ramp_has_both_the_matrix_and_its_factors():
    model = chainer.Sequential(chainer.links.Linear(64, 32))
    matrix_compression.halfway(model, matrix_compression.SPEED["low rank"])
    before = {name: parameter.array.copy() for name, parameter in model.namedparams()}
    x = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    matrix_compression.training_step(model, x)()
    changed = [name.rpartition("/")[2] for name, parameter in model.namedparams()
               if (parameter.array != before[name]).any()]  # fmt: skip
    assert sorted(changed) == ["a_matrix", "b", "b_matrix", "c_matrix"]


def test_options_are_measured_beside_the_plain_one():
    known = matrix_compression.DIGITS
    assert list(matrix_compression.chosen(known, ["k-means"])) == ["uncompressed", "k-means"]
    assert matrix_compression.chosen(known, []) == known
    with pytest.raises(InputError, match="unknown option 'means'"):
        matrix_compression.chosen(known, ["means"])


def test_a_table_has_qualities_bytes_and_times_relative_to_the_first(capsys):
    model = chainer.links.Linear(4, 4)
    rows = {
        "plain": matrix_compression.Row(100.0, 4_000, model),
        "small": matrix_compression.Row(103.0, 1_000, model),
    }
    x = np.zeros((2, 4), np.float32)
    matrix_compression.print_table(rows, lambda m: [matrix_compression.forward(m, x)] * 3)
    *_, small, _ = capsys.readouterr().out.splitlines()
    assert small.startswith("| small | 103 | 1.030 | 1,000 | 4.00 | ")
    assert small.count("|") == 9
