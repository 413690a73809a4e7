"""Training the language model while its matrices are compressed."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from running import DEFAULT_PERIOD, Reports, run
from training import update_of

from language_model.network import LanguageModel, perplexity, windows
from language_model.text import PARTS, Corpus
from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.machine import Machine
from nncompress.matrix import (
    ApplyCompression,
    CompressionHParams,
    CompressionOp,
    CompressionTable,
    compress_chain,
    finalize,
)
from nncompress.runs.snapshot_period import SnapshotPeriod
from nncompress.training.triggers import StopTrigger

FINAL = "final.npz"
_REPORT_EVERY = 250
_LONGEST_GRADIENT = 5.0
_LAST_RATE = 0.05  # of the first one
_PRINTED = {
    "main/loss": "loss",
    "validation/perplexity": "validation perplexity",
    "alpha": "alpha",
}
_PLOTS = {"perplexity.png": ("validation/perplexity",), "alpha.png": ("alpha",)}


@dataclass(frozen=True)
class Settings:
    """The settings of a run, besides those of compression.

    Attributes:
        max_steps: Steps to train for.
        streams: Streams of text to read in parallel.
        window: Words over which gradients are propagated.
        width: Size of a word's vector and of a layer's state.
        layers: Number of LSTM layers.
        dropout: Share of activations between layers that training drops.
        rate: Adam's learning rate in the first half; then it falls to a twentieth of that.
        factor_rate: Share of the learning rate for factors. A codeword or centroid appears in many
            entries of the matrix, so one step moves all of them.
        seed: Seed of weights and dropout.
    """

    max_steps: int = 2_000
    streams: int = 20
    window: int = 35
    width: int = 192
    layers: int = 1
    dropout: float = 0.2
    rate: float = 5e-3
    factor_rate: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_steps", "streams", "window", "width", "layers"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; wanted at least 1")
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout is {self.dropout}; wanted at least 0 and below 1")
        for name in ("rate", "factor_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; wanted above 0, at most 1")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; wanted at least 0")

    def rate_at(self, step: int) -> float:
        """Returns Adam's learning rate at a step, counted from 0."""
        begin = self.max_steps // 2
        done = max(0.0, (step - begin) / (self.max_steps - begin))
        return self.rate * (1 - (1 - _LAST_RATE) * done)

    def model(self, num_words: int) -> LanguageModel:
        """Returns an untrained model."""
        np.random.seed(self.seed)
        return LanguageModel(num_words, self.width, self.layers, self.dropout)


@dataclass(frozen=True)
class Trained:
    """The result of a run.

    Attributes:
        model: The model, final if alpha has reached 0.
        validation: Perplexity on the validation words.
        test: Perplexity on the test words.
        num_bytes: Bytes of the file ``final.npz``; None if alpha is not 0.
        table: The table of the compressed layers, if there are any and alpha is 0.
    """

    model: LanguageModel
    validation: float
    test: float
    num_bytes: int | None
    table: CompressionTable | None


class _Updater(chainer.training.updaters.StandardUpdater):
    """Truncated backpropagation through time: one window per step, keeping the state.

    The state is part of snapshots; rates and random numbers depend only on the step.
    """

    def __init__(
        self,
        batches: chainer.iterators.SerialIterator,
        optimizer: chainer.Optimizer,
        device: chainer.backend.Device,
        settings: Settings,
        factors: list[chainer.Parameter],
    ) -> None:
        super().__init__(batches, optimizer, device=device)
        self._model: LanguageModel = optimizer.target
        self._settings, self._factors = settings, factors

    def update_core(self) -> None:
        batches, model, settings = self.get_iterator("main"), self._model, self._settings
        random = np.random.SeedSequence((settings.seed, self.iteration))
        model.xp.random.seed(int(random.generate_state(1)[0]))
        rate = settings.rate_at(self.iteration)
        self.get_optimizer("main").alpha = rate
        for factor in self._factors:
            factor.update_rule.hyperparam.alpha = settings.factor_rate * rate
        (window,) = batches.next()
        loss = model.loss(model.device.send(window))
        chainer.report({"loss": loss.array}, model)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        self.get_optimizer("main").update()
        if batches.is_new_epoch:
            model.reset_state()

    def serialize(self, serializer: chainer.Serializer) -> None:
        super().serialize(serializer)
        for number, layer in enumerate(self._model.layers):
            for name in ("c", "h"):
                state = getattr(layer, name)
                array = None if state is None else chainer.backends.cuda.to_cpu(state.array)
                array = serializer(f"{name}_{number}", array)
                if array is not None:
                    array = chainer.Variable(self._model.device.send(array))
                setattr(layer, name, array)


def train(
    corpus: Corpus,
    compression: Mapping[str, CompressionHParams],
    settings: Settings,
    out: Path,
    *,
    period: SnapshotPeriod = DEFAULT_PERIOD,
    resume: bool = False,
    gpu: int = -1,
    quiet: bool = False,
) -> Trained:
    """Trains a model while its matrices are compressed, and finalizes it if alpha reaches 0.

    Args:
        corpus: The text.
        compression: Hyperparameters by the pattern of the layers that they apply to; with option
            0, these are not compressed.
        settings: The run's settings.
        out: Directory for snapshots, log and plots, and, if alpha is 0 at the end, for
            ``final.npz``, which holds only the factors.
        period: The time or the number of steps between snapshots.
        resume: True to continue from the newest snapshot in ``out``.
        gpu: Number of the GPU, -1 for the CPU.
        quiet: True to print and save nothing during training.

    Raises:
        InputError: See ``running.run`` and ``compress_chain``; or the text is too short.
    """
    machine = Machine(gpu)
    machine.use()
    model = settings.model(len(corpus.vocabulary))
    applied = [compress_chain(model, spec, match) for match, spec in compression.items()]
    ops = [op for each in applied for op in each.get_compression_ops()]
    model.list_once()
    model.to_device(machine.device)
    factors = [
        parameter
        for op in ops if isinstance(op, CompressionOp)
        for parameter in op.factors.params()
    ]  # fmt: skip
    trainer = _trainer(model, corpus, settings, factors, out)
    for each in applied:
        trainer.extend(update_of(each))
    trainer.extend(_alpha_of(applied))
    (out / FINAL).unlink(missing_ok=True)  # an older one would be mistaken for this run's
    if quiet:
        trainer.run(show_loop_exception_msg=False)
    else:
        noted = asdict(settings) | {
            "compression": {match: spec.values() for match, spec in compression.items()},
            "text": _digest(corpus),
        }
        every = min(_REPORT_EVERY, settings.max_steps)
        trainer.extend(_measuring(model, corpus), trigger=(every, "iteration"))
        reports = Reports(_PRINTED, _PLOTS, every, settings.streams * settings.window)
        run(trainer, settings.max_steps, noted, reports, period, resume)
    table, num_bytes = None, None
    if all(op.alpha == 0 for op in ops):
        table = finalize(model) if ops else None
        with atomic_path(out / FINAL) as path:
            chainer.serializers.save_npz(str(path), model, compression=False)
        num_bytes = (out / FINAL).stat().st_size
    scores = (perplexity(model, words) for words in (corpus.validation, corpus.test))
    return Trained(model, *scores, num_bytes, table)


def uncompressed_bytes(corpus: Corpus, settings: Settings) -> int:
    """Returns the bytes of the file of an uncompressed model."""
    model = settings.model(len(corpus.vocabulary))
    model.list_once()
    file = io.BytesIO()
    chainer.serializers.save_npz(file, model, compression=False)
    return len(file.getbuffer())


def _trainer(
    model: LanguageModel,
    corpus: Corpus,
    settings: Settings,
    factors: list[chainer.Parameter],
    out: Path,
) -> chainer.training.Trainer:
    """Returns a trainer, and sets up its optimizer."""
    optimizer = chainer.optimizers.Adam(settings.rate)
    optimizer.setup(model)
    optimizer.add_hook(chainer.optimizer_hooks.GradientClipping(_LONGEST_GRADIENT))
    read = windows(corpus.training, settings.streams, settings.window)
    if not len(read):
        raise InputError(
            f"{len(corpus.training):,} words do not fill {settings.streams} streams with a window "
            f"of {settings.window} words each; wanted fewer streams"
        )
    batches = chainer.iterators.SerialIterator(read, 1, shuffle=False)
    updater = _Updater(batches, optimizer, model.device, settings, factors)
    return chainer.training.Trainer(updater, StopTrigger(settings.max_steps), out=str(out))


def _alpha_of(applied: Sequence[ApplyCompression]) -> chainer.training.Extension:
    """Returns an extension that reports the largest alpha, after each has reported its own."""

    @chainer.training.make_extension(
        trigger=(1, "iteration"), default_name="alpha", priority=chainer.training.PRIORITY_EDITOR
    )
    def report(_: chainer.training.Trainer) -> None:
        chainer.report({"alpha": max(each.alpha for each in applied)})

    return report


def _measuring(model: LanguageModel, corpus: Corpus) -> chainer.training.Extension:
    """Returns an extension that measures perplexity on the validation words."""

    @chainer.training.make_extension(
        default_name="perplexity", priority=chainer.training.PRIORITY_WRITER
    )
    def measure(_: chainer.training.Trainer) -> None:
        chainer.report({"validation/perplexity": perplexity(model, corpus.validation)})

    return measure


def _digest(corpus: Corpus) -> str:
    """Returns the SHA-256 of a text, which differs between Python versions."""
    digest = hashlib.sha256("\n".join(corpus.vocabulary).encode())
    for part in PARTS:
        digest.update(getattr(corpus, part).tobytes())
    return digest.hexdigest()
