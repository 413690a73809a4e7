"""Choosing M and K, against the sizes written out and the quality of what is trained."""

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.evaluate import sizing
from nncompress.evaluate.pictures import plot_rate_distortion
from nncompress.evaluate.sizing import bytes_per_row, choose_size
from nncompress.evaluate.target import Target
from nncompress.refinement.refine import RefinementSettings
from nncompress.sources import EmbeddingMatrix


@pytest.fixture
def rows(random):
    mixing = random.normal(size=(12, 12))
    return EmbeddingMatrix((random.normal(size=(3_000, 12)) @ mixing).astype(np.float32))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(sizing, "_SETTINGS", RefinementSettings(annealing_rounds=2, rounds=1))
    monkeypatch.setattr(sizing, "_FIT_ROWS", 1_000)


def test_bytes_are_those_of_packed_codes_and_the_codebook():
    assert bytes_per_row(32, 16, (400_000, 300)) == 16 + 32 * 16 * 300 * 4 / 400_000
    assert bytes_per_row(3, 256, (10, 2)) == 3 + 3 * 256 * 2 * 4 / 10
    assert bytes_per_row(3, 16, (10, 2)) == 2 + 3 * 16 * 2 * 4 / 10


def test_the_largest_table_of_a_size_is_chosen(rows):
    chosen, points = choose_size(rows, Target(bytes_per_row=6.0))
    m, k = chosen.num_codebooks, chosen.num_codewords
    assert chosen.bytes_per_row == bytes_per_row(m, k, rows.shape) <= 6.0
    assert bytes_per_row(m + 1, k, rows.shape) > 6.0
    assert chosen in points
    assert chosen.distance == min(point.distance for point in points)
    assert {point.num_codewords for point in points} == {16, 256}


@pytest.mark.parametrize("target", [Target(distance=3.9), Target(cosine=0.9)])
def test_the_smallest_table_of_a_quality_is_chosen(rows, target):
    chosen, points = choose_size(rows, target)
    assert target.met(chosen)
    smaller = [point for point in points if point.bytes_per_row < chosen.bytes_per_row]
    assert smaller
    assert not any(target.met(point) for point in smaller)


def test_what_was_measured_on_a_sample_holds_for_all_rows(rows):
    point, _ = choose_size(rows, Target(bytes_per_row=4.0))
    matrix = rows.take(np.arange(len(rows)))
    from nncompress.embedding.codes import reconstruct
    from nncompress.refinement.refine import quantize

    found = quantize(rows, point.num_codebooks, point.num_codewords)
    decoded = reconstruct(found.codes, found.codebook)
    exact = np.linalg.norm(matrix - decoded, axis=1).mean()
    assert point.distance == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"bytes_per_row": 1.0}, "the smallest possible is"),
        (
            {"distance": 1e-9},
            "no M and K with at most 64 codewords reach a mean distance of 1e-09; .* the closest",
        ),
        ({"cosine": 1.0}, "wanted less than 1"),
        ({"distance": -1.0}, "a positive number"),
        ({"distance": 1.0, "cosine": 0.5}, "expected one target"),
    ],
)
def test_targets_that_cannot_be_met_are_refused(random, monkeypatch, target, message):
    monkeypatch.setattr(sizing, "_MOST_MEASURED", 64)
    rows = EmbeddingMatrix(random.normal(size=(60, 5)).astype(np.float32))
    with pytest.raises(InputError, match=message):
        choose_size(rows, Target(**target))


def test_the_curve_is_a_picture(tmp_path, rows):
    chosen, points = choose_size(rows, Target(bytes_per_row=3.0))
    path = tmp_path / "plots" / "rate_distortion.png"
    plot_rate_distortion(path, points, chosen)
    assert path.read_bytes().startswith(b"\x89PNG")
