"""A check of a GPU's training kernels against plain Chainer, with one step of a small network."""

from functools import partial

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.descent import descent_of
from nncompress.autoencoder.gpu import GpuAutoencoder
from nncompress.chainer_support.compatibility import chainer
from nncompress.gpu.runtime import Runtime
from nncompress.gpu.step import RowSource
from nncompress.gpu.verdicts import Verdicts, WrongNumbersError
from nncompress.random.noise import Stream
from nncompress.random.shuffle import batch_rows

_ROWS, _DIM, _CODEBOOKS, _CODEWORDS = 16, 8, 2, 4
_RATE, _TAU = 0.5, 0.5
_TOLERANCE = 0.02  # tensor cores round to 11 bits

_verdicts = Verdicts("training uses plain Chainer on this GPU, which takes longer")


def training_kernels_work(runtime: Runtime, device: chainer.backend.Device) -> bool:
    """Tells whether kernels compile, launch and agree with Chainer; tried once for each GPU.

    Args:
        runtime: The GPU.
        device: The same GPU as a Chainer device.
    """

    def attempt() -> None:
        using = chainer.using_config
        with chainer.using_device(device), using("train", True), using("enable_backprop", True):
            _try_a_step(runtime, device)

    return _verdicts.of(runtime, attempt)


def _try_a_step(runtime: Runtime, device: chainer.backend.Device) -> None:
    """Compares loss, gradients and parameters after a step of Adam.

    Raises:
        WrongNumbersError: They differ.
    """
    xp = runtime.xp
    rows = np.random.default_rng(0).normal(size=(_ROWS, _DIM)).astype(np.float32)
    batch = rows[batch_rows(0, 1, _ROWS, _ROWS, 0)]
    seen = []
    for make in (CompositionalAutoencoder, partial(GpuAutoencoder, runtime=runtime)):
        chain = make(_DIM, _CODEBOOKS, _CODEWORDS, init="scaled", seed=0, tau=_TAU)
        chain.to_device(device)
        # With an eps this large, steps do not depend on the sign of gradients near 0.
        optimizer = chainer.optimizers.Adam(_RATE, eps=1.0).setup(chain)
        before = _parameters(chain)
        reporter = chainer.Reporter()
        reporter.add_observer("main", chain)
        with reporter.scope({}), chain.noise_pinned(Stream.TRAINING_NOISE, 0):
            loss = chain(device.send(batch))
        chain.cleargrads()
        loss.backward()
        gradients = [_to_host(parameter.grad) for _, parameter in sorted(chain.namedparams())]
        if isinstance(chain, GpuAutoencoder):
            descent = descent_of(optimizer)
            steps = chain.trainer_for(descent, RowSource(xp.asarray(rows), None), _ROWS)
            rate = descent.corrected(np.array([_RATE]), 0)
            steps.make(0, 1, lambda planned, rate=rate: (rate, [_TAU]), ahead=1)
        else:
            optimizer.update()
        changes = [new - old for new, old in zip(_parameters(chain), before, strict=True)]
        seen.append([np.asarray(_to_host(loss.array)), *gradients, *changes])
    for wanted, found in zip(*seen, strict=True):
        if not np.linalg.norm(found - wanted) <= _TOLERANCE * np.linalg.norm(wanted):
            raise WrongNumbersError("a step differs from Chainer's")


def _parameters(chain: CompositionalAutoencoder) -> list[np.ndarray]:
    return [_to_host(parameter.array).copy() for _, parameter in sorted(chain.namedparams())]


def _to_host(array: np.ndarray) -> np.ndarray:
    return chainer.backends.cuda.to_cpu(array)
