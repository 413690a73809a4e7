"""Processes with a GPU each that train together, against one process with a GPU."""

import numpy as np
import pytest

from nncompress.machine import Machine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.gpu_updater import GpuUpdater, SharingGpuUpdater
from nncompress.training.processes import ALONE
from nncompress.training.session import make_session
from nncompress.training.settings import TrainingOptions
from tests.cuda_on_cpu.runtime import EmulatedRuntime
from tests.gpu.conftest import needs_compiler
from tests.training.processes_of_threads import in_processes

pytest.importorskip("mpi4py")


@needs_compiler
@pytest.mark.parametrize("recipe", ["fast", "authors"])
def test_two_gpus_train_as_one_does_with_all_their_rows(matrix, random, recipe):
    options = TrainingOptions(recipe, batch_size=32, epochs=1, full_precision=True)
    settings = options.resolve(len(matrix), 2, 4)
    weights = random.exponential(size=len(matrix))
    weights /= weights.mean()

    def train(processes=ALONE):
        machine = Machine(threads=1)
        machine.runtime = EmulatedRuntime()
        session = make_session(
            EmbeddingMatrix(matrix), settings, machine, weights=weights, processes=processes
        )
        session.trainer.run()
        arrays = [parameter.array.copy() for _, parameter in session.chain.namedparams()]
        return type(session.trainer.updater), arrays

    kind, expected = train()
    assert kind is GpuUpdater
    (kind, found), (_, other) = in_processes(2, train)
    assert kind is SharingGpuUpdater
    for array, also, wanted in zip(found, other, expected, strict=True):
        np.testing.assert_array_equal(array, also)
        np.testing.assert_allclose(array, wanted, rtol=2e-3, atol=2e-5)
