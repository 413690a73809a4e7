"""A GPU whose kernels do not work is a GPU all the same: training goes on in plain Chainer."""

import warnings

import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.forms import autoencoder_for
from nncompress.autoencoder.gpu import GpuAutoencoder
from nncompress.machine import Machine
from nncompress.refinement.engines import make_engine
from nncompress.refinement.engines.cpu import CpuEngine
from nncompress.refinement.engines.gpu import GpuEngine
from nncompress.sources import EmbeddingMatrix
from nncompress.training.gpu_updater import GpuUpdater
from nncompress.training.session import learn, make_session, updater_for
from nncompress.training.settings import TrainingOptions
from nncompress.training.updater import AutoencoderUpdater
from nncompress.trellis import engines as residual_engines
from nncompress.trellis.engines.cpu import CpuEngine as ResidualCpuEngine
from nncompress.trellis.engines.gpu import GpuEngine as ResidualGpuEngine
from tests.cuda_on_cpu.runtime import EmulatedRuntime
from tests.gpu.conftest import machine_of, needs_compiler

pytestmark = needs_compiler


class DoesNotCompile(EmulatedRuntime):
    reason = "no kernel image is available"

    def load(self, module, **definitions):
        raise RuntimeError(self.reason)


class DoesNotLaunch(EmulatedRuntime):
    reason = "too many resources requested"

    def load(self, module, **definitions):
        kernels = super().load(module, **definitions)

        def launch(*arguments):
            raise RuntimeError(self.reason)

        kernels.launch = launch
        return kernels


class ComputesNonsense(EmulatedRuntime):
    """One kernel of each module does nothing."""

    reason = "a step differs from Chainer's|the codes found are not the best"
    silent = ("softmax_gradient", "search")

    def load(self, module, **definitions):
        kernels = super().load(module, **definitions)
        original = kernels.launch

        def launch(name, *arguments):
            if name not in self.silent:
                original(name, *arguments)

        kernels.launch = launch
        return kernels


class ForgetsToDescend(ComputesNonsense):
    reason = "a step differs from Chainer's|the sums of rows by codeword"
    silent = ("descend", "add_rows")


def silent_kernel(name, what):
    return type(name, (ComputesNonsense,), {"silent": (name,), "reason": what})


BROKEN = [DoesNotCompile, DoesNotLaunch, ComputesNonsense, ForgetsToDescend]
BROKEN_RESIDUALS = [
    *(DoesNotCompile, DoesNotLaunch),
    silent_kernel("choose_classes", "the row classes chosen are not the cheapest"),
    silent_kernel("walk", "the levels found do not fit"),
    silent_kernel("count_levels", "the number of bytes does not match the levels"),
    silent_kernel("write_blocks", "the number of bytes does not match the levels"),
]


def test_where_kernels_work_they_are_used_and_nothing_is_said(runtime):
    machine = machine_of(runtime)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(autoencoder_for(machine)(8, 2, 4), GpuAutoencoder)
        assert updater_for(machine) is GpuUpdater
        assert isinstance(make_engine(machine), GpuEngine)
        assert isinstance(residual_engines.make_engine(machine), ResidualGpuEngine)


@pytest.mark.parametrize("kind", BROKEN)
def test_where_kernels_do_not_work_chainer_trains_and_a_line_says_so(matrix, kind):
    machine = machine_of(kind())
    settings = TrainingOptions(epochs=8, batch_size=50, learning_rate=0.02).resolve(300, 4, 8)
    rows = EmbeddingMatrix(matrix)
    with pytest.warns(UserWarning, match=f"do not work here .*({kind.reason})") as caught:
        session = make_session(rows, settings, machine)
    assert len(caught) == 1
    assert str(caught[0].message).endswith(
        "training uses plain Chainer on this GPU, which takes longer"
    )
    assert type(session.chain) is CompositionalAutoencoder
    assert type(session.trainer.updater) is AutoencoderUpdater
    wanted = learn(rows, settings, Machine())
    learned = session.run()
    assert learned.iteration == wanted.iteration > 0
    assert learned.loss == pytest.approx(wanted.loss, rel=1e-4)
    # It was found out once: this says nothing, and takes no time.
    assert updater_for(machine) is AutoencoderUpdater


@pytest.mark.parametrize("kind", BROKEN)
def test_where_kernels_do_not_work_the_cpu_refines_and_a_line_says_so(matrix, kind):
    machine = machine_of(kind())
    with pytest.warns(UserWarning, match=f"do not work here .*({kind.reason})") as caught:
        assert isinstance(make_engine(machine), CpuEngine)
    assert len(caught) == 1
    assert str(caught[0].message).endswith("refinement runs on the CPU instead")
    assert isinstance(make_engine(machine), CpuEngine)


@pytest.mark.parametrize("kind", BROKEN_RESIDUALS)
def test_where_kernels_do_not_work_the_cpu_codes_residuals_and_a_line_says_so(kind):
    machine = machine_of(kind())
    with pytest.warns(UserWarning, match=f"do not work here .*({kind.reason})") as caught:
        assert isinstance(residual_engines.make_engine(machine), ResidualCpuEngine)
    assert len(caught) == 1
    assert str(caught[0].message).endswith("the residual stage is computed on the CPU instead")
    assert isinstance(residual_engines.make_engine(machine), ResidualCpuEngine)
