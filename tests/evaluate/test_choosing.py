"""Choosing a step for a target, against the table that comes of it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from nncompress.embedding.residual_table import ResidualTable
from nncompress.errors import InputError
from nncompress.evaluate.choosing import Chooser
from nncompress.evaluate.curve_file import check_curve, write_curve
from nncompress.evaluate.sample import SampleSize, block_rows
from nncompress.evaluate.target import Target
from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.trellis.row_weights import bit_weights
from nncompress.trellis.stage import Remainder

SMALL = SampleSize(600, 300, 80, 6)


@pytest.fixture
def rows(random):
    mixing = random.normal(size=(12, 12))
    sizes = random.uniform(0.3, 3, size=(1_500, 1))
    return (sizes * random.normal(size=(1_500, 12)) @ mixing).astype(np.float32)


def made(rows, target, weights=None, size=SMALL):
    chooser = Chooser(Remainder(EmbeddingMatrix(rows)), target, Machine(), weights, size=size)
    choice = chooser.choose()
    residual, point = chooser.make(choice)
    return choice, residual, point, ResidualTable(residual).decode(slice(None))


@pytest.mark.parametrize("size", [SMALL, SampleSize(trials=6)])
@pytest.mark.parametrize("target", [Target(distance=1.5), Target(cosine=0.97)])
def test_a_quality_holds_for_the_whole_table_and_hardly_more(rows, target, size):
    choice, _, point, decoded = made(rows, target, size=size)
    distances = np.linalg.norm(rows - decoded, axis=1)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(decoded, axis=1)
    cosines = (rows * decoded).sum(axis=1) / lengths
    assert point.distance == pytest.approx(distances.mean(), rel=1e-5)
    assert point.loss == pytest.approx((distances**2).mean() / 2, rel=1e-5)
    assert point.cosine == pytest.approx(cosines.mean(), rel=1e-5)
    if target.distance is not None:
        assert 0.97 * target.distance < point.distance <= target.distance
        assert choice.point.distance == pytest.approx(point.distance, rel=0.15)
    else:
        assert target.cosine <= point.cosine < target.cosine + 0.06 * (1 - target.cosine)
    assert choice.points == sorted(choice.points, key=lambda each: each.bytes_per_row)


@pytest.mark.parametrize("target", [Target(bytes_per_row=12), Target(bits_per_dim=8)])
def test_a_size_is_not_exceeded_and_made_use_of(rows, target):
    _, residual, point, _ = made(rows, target)
    most = target.bytes_per_row or target.bits_per_dim * 12 / 8
    assert 0.97 * most < point.bytes_per_row <= most
    stream = residual.stream
    sections = (stream.data, stream.starts, stream.lengths)
    assert 1_500 * point.bytes_per_row > sum(array.nbytes for array in sections)


def test_the_bits_of_rows_are_those_of_the_stream(rows):
    _, residual, point, _ = made(rows, Target(residual_bits=40))
    stream = residual.stream
    total = stream.data.nbytes + stream.starts.nbytes + stream.lengths.nbytes
    total += residual.centres.clusters.nbytes
    assert point.residual_bits == 8 * total / 1_500
    assert 38 < point.residual_bits <= 40


def test_neighbours_are_kept_as_sorting_counts_them(rows):
    _, _, point, decoded = made(rows, Target(recall=0.8))
    queries = np.arange(80) * 1_500 // 80
    nearest = []
    for table in (rows, decoded):
        unit = table / np.linalg.norm(table, axis=1, keepdims=True)
        cosines = unit[queries] @ unit.T
        cosines[np.arange(80), queries] = -np.inf
        nearest.append(np.argsort(-cosines, axis=1)[:, :10])
    shares = [np.isin(a, b).mean() for a, b in zip(*nearest, strict=True)]
    assert point.recall == pytest.approx(np.mean(shares), abs=2e-3)
    assert 0.8 <= point.recall < 0.87


def test_rows_of_weight_get_the_bits(rows):
    weights = 1 / np.arange(1, 1_501.0)
    target = Target(residual_bits=24)
    errors = []
    for own in (None, bit_weights(EmbeddingMatrix(rows), weights)):
        _, _, point, decoded = made(rows, target, own)
        assert point.residual_bits <= 24
        squares = ((rows - decoded) ** 2).sum(axis=1)
        errors.append((weights * squares).sum() / weights.sum())
    assert errors[1] < 0.6 * errors[0]


def test_without_weights_short_rows_are_kept_as_closely_as_long_ones(rows):
    matrix = EmbeddingMatrix(rows)
    weights = bit_weights(matrix, None)
    squares = (rows.astype(np.float64) ** 2).sum(axis=1)
    np.testing.assert_allclose(weights, np.median(squares) / squares, rtol=0.1)
    cosines = [made(rows, Target(residual_bits=24), own)[2].cosine for own in (None, weights)]
    assert cosines[1] > cosines[0]
    zeros = EmbeddingMatrix(np.zeros((3, 2), np.float32))
    assert (bit_weights(zeros, None) == 1).all()


@pytest.mark.parametrize(
    ("count", "target", "message"),
    [
        (100, Target(bytes_per_row=1), "the smallest possible is about .* for 100 rows of 12"),
        (100, Target(distance=1e-9), r"no step reaches a mean distance of 1e-09: the finest"),
        (20, Target(recall=0.9), "the table has 20 rows; wanted at least 21, or a cosine"),
    ],
)
def test_what_cannot_be_reached_is_refused(rows, count, target, message):
    with pytest.raises(InputError, match=message):
        made(rows[:count], target)


def test_rows_that_are_nearly_the_same_are_told_of_where_nobody_asked(random):
    rows = random.normal(size=(1_100, 3)).astype(np.float32)
    rows[300:] *= 1e-7
    with pytest.warns(UserWarning, match="cannot be kept, because many rows are nearly the same"):
        _, _, point, _ = made(rows, None)
    assert point.recall < 0.9


@pytest.mark.parametrize("count", [1, 2, 30])
def test_small_tables_and_tables_of_one_row_are_no_exception(rows, count):
    for chosen in (rows[:count], np.repeat(rows[:1], count, axis=0)):
        _, _, point, _ = made(chosen, None)
        assert point.cosine >= 0.98
        assert (point.recall is None) == (count < 21)


def test_blocks_have_72_bytes_or_a_few_more():
    for bits in (0.01, 5, 40, 300, 512, 4_000):
        group = block_rows(bits)
        assert group in (1, 2, 4, 8, 16)
        assert group == 16 or group * bits >= 576
        assert group == 1 or group * bits / 2 < 576


def test_the_curve_is_a_picture_or_numbers(rows, tmp_path):
    choice, *_ = made(rows, Target(cosine=0.9))
    write_curve(tmp_path / "c.png", choice.points, choice.point)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    few = [replace(point, recall=None) for point in choice.points]
    write_curve(tmp_path / "c.svg", few, few[0])
    write_curve(tmp_path / "c.json", choice.points, choice.point)
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["chosen"] in written["points"]
    assert [each["cosine"] for each in written["points"]] == [
        each.cosine for each in choice.points
    ]
    assert all(math.isfinite(value) for each in written["points"] for value in each.values())
    for name, has_residual, message in [
        ("c.doc", True, "does not end in .png, .pdf, .svg or .json"),
        ("c.png", False, "but there is none"),
    ]:
        with pytest.raises(InputError, match=message):
            check_curve(tmp_path / name, has_residual, [])
