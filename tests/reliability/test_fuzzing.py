import os
import random
import zlib
from pathlib import Path

import pytest

from tests.reliability.fuzzing import Kind, load, mutate, names, run


@pytest.mark.parametrize("name", names())
def test_mutated_inputs_are_used_or_refused(name, tmp_path):
    report = run(load(name), 150, 0, tmp_path)
    assert report.tried == 150
    assert not report.failures
    assert report.accepted + sum(report.refused.values()) == 150


@pytest.mark.long
@pytest.mark.parametrize("name", names())
def test_a_hundred_thousand_mutated_inputs_are_used_or_refused(name, tmp_path):
    report = run(load(name), 100_000, 1, tmp_path)
    assert report.tried == 100_000
    assert not report.failures


def seeds(directory):
    (directory / "x").write_bytes(bytes(range(200)))
    return [directory / "x"]


def use(path):
    """Accepts, refuses and fails in every way there is."""
    match zlib.crc32(path.read_bytes()) % 6:
        case 0:
            raise ValueError("refused")
        case 1:
            os._exit(3)
        case 2:
            bytearray(1 << 32)
        case 3:
            raise KeyError("not allowed")
        case 4:
            while True:
                pass


def test_every_way_to_fail_is_a_failure_whose_input_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.reliability.fuzzing.SECONDS", 0.02)
    report = run(Kind("x", seeds, use, (ValueError,)), 60, 0, tmp_path)
    assert report.tried == 60
    assert report.accepted + report.refused["ValueError"] + len(report.failures) == 60
    assert min(report.accepted, report.refused["ValueError"]) > 0
    text = "\n".join(report.failures)
    for seen in ("ended with status 3", "MemoryError", "KeyError", "TimeoutError"):
        assert seen in text
    kept, _, seen = report.failures[0].partition(": ")
    assert (
        zlib.crc32(Path(kept).read_bytes()) % 6
        == (2, 3, 4, 1)[["Mem", "Key", "Tim", "the"].index(seen[:3])]
    )


def test_mutations_are_functions_of_the_seed():
    data = b'{"a": 1}' * 20
    made = [mutate(data, random.Random(seed), b"other") for seed in range(300)]
    assert made == [mutate(data, random.Random(seed), b"other") for seed in range(300)]
    assert len(set(made)) > 200
