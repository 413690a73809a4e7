from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.embedding.model_file import write_model
from nncompress.errors import InputError
from nncompress.formats.work import WorkDirectory
from nncompress.jobs import refining
from nncompress.jobs.block_encoder import BlockEncoder
from nncompress.jobs.pairwise import PairwiseSum
from nncompress.jobs.refining import RefiningSettings, refine_model
from nncompress.machine import Machine
from nncompress.refinement.encoding import EFFORTS
from nncompress.sources.open_rows import open_rows


@given(st.lists(st.text(max_size=2), min_size=1, max_size=70), st.integers(0, 4))
def test_pairs_keep_the_order_and_any_cut_gives_the_same(items, level):
    class Tree:
        def __init__(self, text):
            self.text = text

        def __add__(self, other):
            return Tree(f"({self.text}+{other.text})")

    whole = PairwiseSum()
    for item in items:
        whole.add(Tree(item))
    in_parts = PairwiseSum()
    for first in range(0, len(items), 1 << level):
        part = PairwiseSum()
        for item in items[first : first + (1 << level)]:
            part.add(Tree(item))
        for size, each in part.parts:
            in_parts.add(each, size)
        assert in_parts.count == min(first + (1 << level), len(items))
    assert whole.total().text == in_parts.total().text
    assert whole.count == len(items)


def rough(model):
    """Returns a model with a codebook that all rows can better."""
    noise = 0.2 * np.random.default_rng(5).normal(size=model.codebook.shape)
    return replace(model, codebook=(model.codebook + noise).astype(np.float16))


def codes_of(model, rows):
    block = BlockEncoder(model, EFFORTS["quick"], Machine()).encode(rows, 0)
    return model.packing.unpack(block.arrays["codes"])


def test_the_codebook_is_the_least_squares_of_all_rows(rows, model_of, small_blocks):
    model = rough(model_of("codes"))
    with open_rows(rows) as source:
        refined = refine_model(model, source)
    codes = codes_of(model, rows)
    used = np.eye(8)[codes].reshape(len(rows), -1)
    wanted = np.linalg.lstsq(used, rows.astype(float), rcond=None)[0]
    # The codebook is one of many that decode alike, in float16.
    np.testing.assert_allclose(
        used @ refined.codebook.astype(float), used @ wanted, rtol=0, atol=0.02
    )
    loss = 0.5 * ((used @ wanted - rows) ** 2).sum(axis=1).mean()
    assert np.isclose(refined.encoding["loss"], loss, rtol=1e-5)
    assert refined.codebook.dtype == model.codebook.dtype


def test_rounds_lower_the_error_of_all_rows(rows, model_of):
    model = rough(model_of("codes"))
    with open_rows(rows) as source:
        models = [refine_model(model, source, RefiningSettings(rounds=n)) for n in (1, 3)]
    losses = [
        BlockEncoder(each, EFFORTS["quick"], Machine()).encode(rows, 0).sums.loss
        for each in (model, *models)
    ]
    assert losses[2] <= losses[1] < losses[0]


def test_a_codebook_that_does_not_help_is_not_taken(rows, model_of):
    with open_rows(rows) as source:
        model = refine_model(model_of("codes"), source, RefiningSettings(rounds=300))
        with pytest.warns(UserWarning, match="are no better than those"):
            assert refine_model(model, source) is model


def test_a_job_that_is_ended_goes_on(
    rows, model_of, tmp_path, small_blocks, stop_and_go, monkeypatch
):
    monkeypatch.setattr(refining, "_GROUP", 4)
    model = rough(model_of("codes"))
    settings = RefiningSettings(rounds=2)

    def job():
        with open_rows(rows) as source, WorkDirectory.open(tmp_path / "w") as work:
            return refine_model(model, source, settings, work=work)

    with open_rows(rows) as source:
        write_model(tmp_path / "whole", refine_model(model, source, settings))
    again, stops = stop_and_go(job, 2)
    write_model(tmp_path / "again", again)
    assert stops > 3
    assert (tmp_path / "again").read_bytes() == (tmp_path / "whole").read_bytes()


def test_what_has_no_codebook_of_its_own_is_refused(rows, model_of):
    for kind in ("residuals", "both"):
        with open_rows(rows) as source, pytest.raises(InputError, match="has a residual stage"):
            refine_model(model_of(kind), source)
    with pytest.raises(InputError, match="0 rounds"):
        RefiningSettings(rounds=0)
    with open_rows(rows[:, :5]) as source, pytest.raises(InputError, match="has 5 columns"):
        refine_model(model_of("codes"), source)
