import numpy as np
import pytest

from nncompress.embedding.model_file import read_model, write_model
from nncompress.errors import InputError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs.learning import learn_model, sample_size, sampled_rows
from nncompress.machine import Machine
from nncompress.plan import Plan
from nncompress.sources.open_rows import open_rows
from tests.jobs.conftest import DIM, PLANS, ROWS


@pytest.mark.parametrize(("num_rows", "count"), [(10, 10), (1_000, 100), (10**9, 4_096), (70, 64)])
def test_a_sample_is_runs_of_rows_over_the_whole_table(num_rows, count):
    rows = sampled_rows(num_rows, count)
    assert len(rows) == count
    assert (np.diff(rows) > 0).all()
    assert rows[0] == 0
    assert num_rows - 130 <= rows[-1] < num_rows


def test_samples_fit_in_memory():
    assert sample_size(100, 50) == 100
    assert sample_size(10**9, 160) == 262_144
    assert 4 * 4_096 * sample_size(10**9, 4_096) <= 512 << 20


@pytest.mark.parametrize("kind", PLANS)
def test_a_model_is_saved_with_all_that_encoding_takes(kind, model_of, tmp_path):
    model = model_of(kind)
    write_model(tmp_path / "m", model)
    read, _ = read_model(tmp_path / "m")
    assert read.encoding == model.encoding
    assert read.provenance == model.provenance
    assert 0.0 < model.encoding["error"] < 1.0
    assert model.encoding["sample_rows"] == 1_000
    assert ("loss" in model.encoding) == (model.codebook is not None)
    assert ("step" in model.encoding) == (model.residual is not None)
    assert ("weight_unit" in model.encoding) == (kind == "adaptive")


def test_the_loss_of_additive_codes_is_theirs_alone(rows, model_of):
    """Where a residual stage follows, it is not the loss of the whole."""
    both, codes = model_of("both"), model_of("codes")
    assert np.isclose(both.encoding["loss"], codes.encoding["loss"], rtol=0.3)
    assert both.provenance["loss"] < 0.5 * both.encoding["loss"]


def test_samples_of_too_many_rows_are_refused(rows):
    with open_rows(rows) as source:
        for count in (0, ROWS + 1):
            with pytest.raises(InputError, match=rf"a sample of {count:,} rows was .* 3,000"):
                learn_model(source, PLANS["codes"], Machine(), num_rows=count)


def test_sizes_are_those_of_the_whole_table(rows):
    """What all rows share is shared by all rows, and not by those of the sample."""
    plan = Plan.of(bits_per_dim=2.0)
    with open_rows(rows) as source:
        small = learn_model(source, plan, Machine(), num_rows=1_000)
        source.num_rows = 10**6
        source.take = lambda numbers: rows[numbers % ROWS]
        large = learn_model(source, plan, Machine(), num_rows=1_000)
    shared = small.residual.shared_bytes
    assert large.encoding["row_bytes"] > small.encoding["row_bytes"] + 0.5 * shared / ROWS


def test_learning_goes_on_where_it_was_ended(rows, tmp_path, stop_and_go):
    plan = Plan.of(num_codebooks=2, num_codewords=4, epochs=2)

    def job():
        with open_rows(rows) as source, WorkDirectory.open(tmp_path / "w") as work:
            return learn_model(source, plan, Machine(), num_rows=500, work=work)

    with open_rows(rows) as source:
        whole = learn_model(source, plan, Machine(), num_rows=500)
    again, stops = stop_and_go(job, 3, one_of=5)
    assert stops > 1
    assert (again.codebook == whole.codebook).all()
    assert again.encoding == whole.encoding
    assert whole.dim == DIM
