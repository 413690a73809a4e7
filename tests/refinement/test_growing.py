"""Codebooks that grow on batches of rows, against those rows and others."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from nncompress.machine import Machine
from nncompress.refinement import refine as refinement
from nncompress.refinement import room
from nncompress.refinement.engines import make_engine
from nncompress.refinement.growing import grow, widths_of
from nncompress.refinement.refine import RefinementSettings, prepare_rows, refine
from nncompress.refinement.rows import CodedRows
from nncompress.sources import EmbeddingMatrix

M, K = 4, 8


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(room, "BATCH_ROWS", 250)
    monkeypatch.setattr(room, "_ROWS_A_CODEWORD", 1)
    monkeypatch.setattr(room, "SAMPLE_ROWS", 500)
    monkeypatch.setattr(refinement, "_MANY_ROWS", 1_000)


@pytest.fixture
def passes(monkeypatch):
    """The name, rows and arguments of each pass, in order."""
    made = []

    def counted(name, make):
        def call(self, *arguments, **options):
            made.append((name, self.matrix.take(np.arange(len(self.matrix))), arguments))
            make(self, *arguments, **options)

        return call

    for name in ("measure", "fit", "relax", "improve", "search"):
        monkeypatch.setattr(CodedRows, name, counted(name, getattr(CodedRows, name)))
    return made


def table_of(random, num_rows, dim=6):
    centres = 3 * random.normal(size=(20, dim))
    rows = centres[random.integers(20, size=num_rows)] + random.normal(size=(num_rows, dim))
    return EmbeddingMatrix(rows.astype(np.float32))


def start_of(random, matrix):
    codes = random.integers(K, size=(len(matrix), M)).astype(np.uint8)
    return codes, random.normal(size=(M * K, matrix.dim)).astype(np.float32)


def rows_of(random, matrix, threads=1):
    return prepare_rows(
        matrix, *start_of(random, matrix), None, 0, make_engine(Machine(-1, threads))
    )


def test_each_pass_takes_other_rows_and_no_codes_along(random, small, passes):
    rows = rows_of(random, table_of(random, 2_500))
    before = rows.codes.copy(), rows.codebook.copy()
    last = grow(rows)
    searched = [data for name, data, _ in passes if name == "search"]
    assert len(searched) == len(widths_of(M * K))
    assert all(len(data) == 250 for data in searched)
    for earlier, later in itertools.pairwise(searched):
        assert not {row.tobytes() for row in earlier} & {row.tobytes() for row in later}
    seen = {row.tobytes() for data in searched for row in data}
    assert len(seen) > 0.85 * len(rows.matrix)
    assert (rows.codes == before[0]).all()
    assert (rows.codebook == before[1]).all()
    assert np.isfinite(last.codebook).all()


def test_other_rows_are_served_about_as_well(random, small):
    """And much better than by the codebooks that growing begins with."""
    table = table_of(random, 6_000).take(np.arange(6_000))
    grown, others = EmbeddingMatrix(table[:5_000]), EmbeddingMatrix(table[5_000:])

    def loss_of(codebook):
        rows = rows_of(random, others)
        rows.normalization = first.normalization
        rows.codebook[...] = codebook
        rows.search(64, solve=False)
        return rows.loss

    first = rows_of(random, grown)
    batch = grow(first)
    begun = grow(first, lambda: 1.0)  # all the time is over
    assert loss_of(batch.codebook) < 0.9 * loss_of(begun.codebook)
    batch.search(64, solve=False)
    assert loss_of(batch.codebook) < 1.3 * batch.loss


def test_many_codewords_have_fewer_passes():
    assert len(widths_of(512)) == len(widths_of(1_024)) > len(widths_of(4_096)) > 1
    assert len(widths_of(10**6)) == 1
    assert sorted(widths_of(2_048)) == widths_of(2_048)


def test_all_of_many_rows_are_gone_through_three_times(random, small, passes):
    matrix = table_of(random, 2_000)
    refined = refine(matrix, *start_of(random, matrix))
    assert refined.start == "residual"
    assert [name for name, data, _ in passes if len(data) == 2_000] == [
        "measure", "search", "improve",
    ]  # fmt: skip
    assert len(refined.losses) == 1


def test_few_rows_are_searched_until_that_gains_little(random, small, passes):
    matrix = table_of(random, 900)
    settings = RefinementSettings(rounds=9, tolerance=-1.0)
    refined = refine(matrix, *start_of(random, matrix), settings=settings)
    assert refined.start == "residual"
    assert len(refined.losses) == 3
    assert refined.losses == sorted(refined.losses, reverse=True)
    widths = [how for name, data, how in passes if name == "search" and len(data) == 900]
    assert widths == [(refinement.WIDTH,)] * 3


def test_no_thread_changes_what_grows(random, small):
    matrix = table_of(random, 2_000)
    start = start_of(random, matrix)
    runs = [refine(matrix, *start, machine=Machine(-1, threads)) for threads in (1, 2, 3)]
    for other in runs[1:]:
        assert (other.codes == runs[0].codes).all()
        assert (other.codebook == runs[0].codebook).all()
        assert other.losses == runs[0].losses


def test_what_a_sample_was_wrong_about_is_not_kept(random, monkeypatch):
    matrix = table_of(random, 400)
    plain = RefinementSettings(annealing_rounds=0)
    trained = refine(matrix, *start_of(random, matrix), settings=plain)

    def nothing(rows, settings, clock):
        empty = replace(rows, codes=0 * rows.codes, codebook=0 * rows.codebook)
        return empty, "annealed"

    monkeypatch.setattr(refinement, "_new_start", nothing)
    settings = RefinementSettings(rounds=1, trials=0)
    refined = refine(matrix, trained.codes, trained.codebook, settings=settings)
    assert refined.start == "trained"
    assert refined.losses[-1] <= trained.losses[-1] * (1 + 1e-6)
