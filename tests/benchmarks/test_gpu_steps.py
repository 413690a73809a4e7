"""The step in array code that a GPU's step is compared with, on NumPy, against the plain Chain."""

import shutil
import subprocess

import numpy as np
import pytest

from benchmarks.gpu_steps import ADAM, TAU, ArrayStep
from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.step import Sizes
from tests.cuda_on_cpu.array_kernels import ArrayLibrary, ElementwiseKernel
from tests.gpu.conftest import needs_compiler

# N, D, M, K, and rows of a batch
SIZES = [(50, 12, 3, 4, 8), (23, 5, 2, 7, 9), (100, 30, 4, 16, 64)]
NAMES = ["/l1/W", "/l1/b", "/l2/W", "/l2/b", "/codebook"]


def scrambled(bits):
    bits = np.array(bits, dtype=np.uint32)
    bits ^= bits >> 16
    bits *= np.uint32(0x21F0AAAD)
    bits ^= bits >> 15
    bits *= np.uint32(0xD35A2D97)
    return bits ^ (bits >> 15)


def gumbel(step, shape):
    """Draws a step's noise, in float64."""
    places = np.arange(np.prod(shape), dtype=np.uint32)
    bits = scrambled(places ^ scrambled([step]))
    return -np.log(-np.log(((bits >> 9) + 0.5) / 2.0**23)).reshape(shape)


def both(random, size, dtype):
    """Returns a step, the Chain with the same parameters, and the rows that each step takes."""
    num_rows, dim, m, k, batch = size
    chain = CompositionalAutoencoder(dim, m, k, init="scaled", seed=3, tau=TAU, dtype=np.float64)
    parameters = dict(chain.namedparams())
    table = random.normal(size=(num_rows, dim)).astype(dtype)
    order = random.permutation(num_rows).astype(np.int32)
    initial = [parameters[name].array for name in NAMES]
    sizes = Sizes(dim, len(chain.l1.b), m, k)
    step = ArrayStep(ArrayLibrary(), table, order, sizes, batch, initial, np.dot)
    taken = table.astype(np.float64)[np.resize(order, 6 * batch)].reshape(6, batch, dim)
    return step, chain, taken


def relative_error(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@needs_compiler
@pytest.mark.parametrize("size", SIZES)
def test_steps_in_array_code_are_chainers(random, size):
    step, chain, taken = both(random, size, np.float64)
    parameters = dict(chain.namedparams())
    optimizer = chainer.optimizers.Adam(
        *(ADAM[name] for name in ("ALPHA", "BETA1", "BETA2", "EPS"))
    ).setup(chain)
    reporter = chainer.Reporter()
    reporter.add_observer("chain", chain)
    losses, maxps = [], []
    for number, x in enumerate(taken):
        observation = {}
        with reporter.scope(observation):
            loss = chain(x, gumbel(number, (len(x), *size[2:4])))
        losses.append(float(observation["chain/loss"]))
        maxps.append(float(observation["chain/maxp"]))
        chain.cleargrads()
        loss.backward()
        step()
        for name, gradient in zip(NAMES, step.gradients, strict=True):
            assert relative_error(gradient, parameters[name].grad) < 1e-9, name
        optimizer.update()
        for name, found in zip(NAMES, step.parameters, strict=True):
            assert relative_error(found, parameters[name].array) < 1e-9, name
        np.testing.assert_allclose(step.observed(), (np.mean(losses), np.mean(maxps)), rtol=1e-10)


@needs_compiler
def test_float32_has_float32s_precision(random):
    size = SIZES[-1]
    step, chain, taken = both(random, size, np.float32)
    loss = chain(taken[0], gumbel(0, (size[-1], *size[2:4])))
    chain.cleargrads()
    loss.backward()
    step.find_gradients()
    parameters = dict(chain.namedparams())
    for name, gradient in zip(NAMES, step.gradients, strict=True):
        assert relative_error(gradient, parameters[name].grad) < 1e-5, name


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on the PATH")
def test_kernels_compile(tmp_path, monkeypatch, random):
    made = []

    class Noted(ElementwiseKernel):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

        def __call__(self, *arrays, size):
            pass

    monkeypatch.setattr(ArrayLibrary, "ElementwiseKernel", Noted)
    both(random, SIZES[0], np.float32)
    for kernel in made:
        source = tmp_path / f"{kernel.name}.cu"
        source.write_text(kernel.cuda_source())
        command = ["nvcc", "-ptx", "-std=c++17", "-arch=sm_90", "-Werror", "all-warnings"]
        done = subprocess.run(
            [*command, str(source), "-o", str(tmp_path / "out.ptx")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
