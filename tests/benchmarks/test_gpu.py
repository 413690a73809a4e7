"""What the benchmark for a GPU says, and that it goes on when a part of it fails."""

import sys
from types import SimpleNamespace

import pytest

from benchmarks import gpu
from benchmarks.gpu import CHAINER, UPDATER, Contender
from benchmarks.gpu_contenders import BATCHES, CUBLASLT, CUPY, RECORDED_CUBLASLT


def product(batch, own, cupy, recorded, errors=(0.0, 0.0, 0.0)):
    names = "own", CUPY, RECORDED_CUBLASLT
    return {
        "batch": batch,
        "product": {"name": "reconstruction", "form": 1, "sizes": [batch, 300, 512]},
        "rates": dict(zip(names, (own, cupy, recorded), strict=True)),
        "errors": dict(zip(names, errors, strict=True)),
        "reasons": {},
    }


def test_a_section_that_fails_costs_no_other(capsys):
    done = []

    def broken():
        raise ValueError("no such thing")

    names = gpu.failed(
        {"one": broken, "two": lambda: done.append(2), "three": sys.exit, "four": done.clear}
    )
    assert names == ["one", "three"]
    said = capsys.readouterr().out
    assert "one FAILED" in said
    assert "ValueError: no such thing" in said


def test_verdicts_name_the_fastest_and_the_ratio(capsys):
    gpu.print_verdicts(
        [
            Contender(UPDATER, 64, "TF32", [12_000.0, 12_500.0, 13_000.0]),
            Contender(CUPY, 64, "TF32", [3_000.0]),
            Contender(RECORDED_CUBLASLT, 64, "TF32", [10_000.0]),
            Contender(UPDATER, 64, "float32", [9_000.0]),
            Contender(CUPY, 64, "float32", reason="it broke"),
            Contender(CHAINER, 64, "float32", [900.0]),
        ]
    )
    assert capsys.readouterr().out.strip().splitlines() == [
        f"batch 64, TF32: fastest is {UPDATER}; own products: 1.25 times cuBLAS's "
        f"({RECORDED_CUBLASLT}); 13.9 times plain Chainer's steps",
        f"batch 64, float32: fastest is {UPDATER}; 10.0 times plain Chainer's steps",
    ]


def test_products_have_their_ratios(capsys):
    wrong = product(512, 40.0, 20.0, 50.0, errors=(0.0, 0.0, 0.5))
    broken = product(512, 40.0, 20.0, 50.0)
    for part in ("rates", "errors"):
        del broken[part]["own"]
    broken["reasons"]["own"] = "it broke"
    gpu.print_products("TF32", [product(64, 2.0, 1.0, 4.0), wrong, broken])
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[2].endswith("| 64 | 64, 300, 512 | 2.0 | 1.0 | 4.0 | 0.50 |")
    assert lines[3].endswith("| 40.0 | 20.0 | wrong by 0.5 | 2.00 |")
    assert lines[4].endswith("| it broke | 20.0 | 50.0 | - |")
    assert lines[-2].startswith("a step's products at batch 64, TF32: own, recorded: 9.8 µs; ")
    assert lines[-2].endswith("own products: 0.50 times cuBLAS's")
    assert lines[-1].endswith("own products: - times cuBLAS's")


@pytest.fixture
def machine(monkeypatch):
    """A machine on which everybody makes a step at once, and plain Chainer does not work."""

    def broken(*_):
        raise RuntimeError("no Chainer here")

    monkeypatch.setattr(gpu, "ours", lambda *_, **__: lambda: 1)
    monkeypatch.setattr(gpu, "plain", broken)
    monkeypatch.setattr(gpu, "STEP_SECONDS", 0.001)
    monkeypatch.setattr(gpu, "EmbeddingMatrix", lambda matrix: matrix)
    cuda = SimpleNamespace(Device=lambda: SimpleNamespace(synchronize=lambda: None))
    return SimpleNamespace(device=None, xp=SimpleNamespace(cuda=cuda))


def test_contenders_that_fail_have_a_line(capsys, monkeypatch, machine):
    by_cupy, by_cublaslt = product(64, 2.0, 1.0, 4.0), product(64, 3.0, 1.0, 4.0)
    for entry, absent in ((by_cupy, RECORDED_CUBLASLT), (by_cublaslt, CUPY)):
        for part in ("rates", "errors"):
            del entry[part][absent]
    measured = {
        ("TF32", "cuBLAS"): [{"batch": 64, "contender": CUPY, "rates": [5.0]}, by_cupy],
        ("TF32", "cuBLASLt"): [by_cublaslt],
        ("float32", "cuBLAS"): [
            {"batch": 64, "contender": CUPY, "reason": "out of memory"},
            {"reason": "exit status 1"},
        ],
        ("float32", "cuBLASLt"): [{"contender": CUBLASLT, "reason": "there is no such package"}],
    }
    monkeypatch.setattr(gpu, "contenders", lambda _, *which: iter(measured[which]))

    def no_rate(_):
        raise RuntimeError("no products here")

    monkeypatch.setattr(gpu, "product_rate", no_rate)
    gpu.steps(None, machine, 0)
    said = capsys.readouterr().out
    assert f"{CUBLASLT}, float32: there is no such package" in said
    assert "the process of cuBLAS, float32: exit status 1" in said
    assert "could not be measured: no products here" in said
    assert f"| {CUPY}, batch 64, float32 | none: out of memory |" in said
    assert f"| {CHAINER}, batch 64, float32 | none: no Chainer here |" in said
    assert f"| {CUPY}, batch 64, TF32 | 5 | 5 | 5 |" in said
    for batch in BATCHES:
        assert f"| {UPDATER}, batch {batch:,}, float32 |" in said
        assert f"batch {batch:,}, float32: fastest is {UPDATER}" in said
    assert "reconstruction | 64 | 64, 300, 512 | 3.0 | 1.0 | 4.0 | 0.75 |" in said


def test_a_run_without_our_steps_has_failed(monkeypatch, machine):
    monkeypatch.setattr(gpu, "ours", gpu.plain)
    monkeypatch.setattr(gpu, "contenders", lambda *_: iter([]))
    monkeypatch.setattr(gpu, "product_rate", lambda _: 400.0)
    with pytest.raises(RuntimeError, match="no step"):
        gpu.steps(None, machine, 0)
