"""The code shared by the image examples: training a classifier while compressing it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from batches import Batches, Distort, to_device
from moving_averages import MovingAverages, load_averages
from running import DEFAULT_PERIOD, Reports, restore, run

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.machine import Machine
from nncompress.matrix import (
    ApplyCompression,
    CompressionHParams,
    CompressionOp,
    UpdateOptions,
    compress_chain,
    finalize,
)
from nncompress.matrix.hyperparameters import Value
from nncompress.runs.snapshot_period import SnapshotPeriod
from nncompress.training.triggers import StopTrigger

extensions = chainer.training.extensions
FINAL = "final.npz"
_PRINTED = {
    "main/loss": "loss",
    "main/accuracy": "accuracy",
    "validation/main/accuracy": "test accuracy",
    "alpha": "alpha",
}
_PLOTS = {
    "accuracy.png": ("alpha", "main/accuracy", "validation/main/accuracy"),
    "loss.png": ("main/loss", "validation/main/loss"),
}


@dataclass(frozen=True)
class Optimization:
    """The settings of optimization.

    Attributes:
        make_optimizer: A function that returns the optimizer.
        weight_decay: Rates of weight decay by layer, applied only to W.
        rate_decay: The factor by which the learning rate is multiplied, and the number of epochs
            after which this is repeated; None for a constant rate.
        moving_average: Decay of the moving averages, which become the final model; None for none.
    """

    make_optimizer: Callable[[], chainer.GradientMethod] = chainer.optimizers.Adam
    weight_decay: Mapping[str, float] = field(default_factory=dict)
    rate_decay: tuple[float, float] | None = None
    moving_average: float | None = None


def train(
    make_model: Callable[[], chainer.Chain],
    datasets: tuple[chainer.datasets.TupleDataset, chainer.datasets.TupleDataset],
    hparams: CompressionHParams,
    match: str,
    *,
    out: Path,
    max_steps: int,
    batch_size: int = 64,
    optimization: Optimization | None = None,
    distort: Distort | None = None,
    validate: bool = True,
    settings: Mapping[str, object] | None = None,
    period: SnapshotPeriod = DEFAULT_PERIOD,
    log_frequency: int = 50,
    log_device_placement: bool = False,
    gpu: int = -1,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
) -> tuple[float, str]:
    """Trains a model while its matrices are compressed, and finalizes it if alpha reaches 0.

    Args:
        make_model: A function that returns the network.
        datasets: Training and test data.
        hparams: The compression's hyperparameters.
        match: Pattern of the names of the layers to compress.
        out: Directory for snapshots, log and plots, and, if alpha is 0 at the end, for
            ``final.npz``, which holds only the factors.
        max_steps: Steps to train for.
        batch_size: Images per step.
        optimization: The settings of optimization; by default, Adam without further settings.
        distort: A function that distorts a batch's images; None for none.
        validate: True to measure loss and accuracy on the test data after each epoch.
        settings: The settings that the result depends on besides the hyperparameters, the batch
            size and the seed: the data and the network, as JSON values.
        period: The time or the number of steps between snapshots.
        log_frequency: Steps between printed lines.
        log_device_placement: True to print the device of each parameter.
        gpu: Number of the GPU, -1 for the CPU.
        seed: Seed of weights, order and distortions.
        resume: True to continue from the newest snapshot in ``out``.
        quiet: True to print and save nothing during training.

    Returns:
        The accuracy on the test data, and the table of the compressed layers, or a line that says
        why there is none.

    Raises:
        InputError: See ``running.run`` and ``compress_chain``.
    """
    if max_steps < 1 or log_frequency < 1:
        raise InputError(
            f"max_steps is {max_steps} and log_frequency is {log_frequency}; wanted at least 1"
        )
    if not 0 <= seed < 1 << 32:
        raise InputError(f"the seed is {seed}; wanted 0 to {(1 << 32) - 1:,}")
    np.random.seed(seed)
    machine = Machine(gpu)
    machine.use()
    model = make_model()
    batches = Batches(datasets[0], batch_size, seed, distort)
    trainer, applied, averages = _trainer(
        model, hparams, match, optimization or Optimization(), batches, machine.device, max_steps,
        out,
    )  # fmt: skip
    if log_device_placement:
        for path, parameter in model.namedparams():
            print(f"{path.lstrip('/')}: {parameter.device}")
    if validate and not quiet:
        test = chainer.iterators.SerialIterator(
            datasets[1], batch_size, repeat=False, shuffle=False
        )
        classifier = trainer.updater.get_optimizer("main").target
        evaluator = extensions.Evaluator(test, classifier, device=machine.device)
        trainer.extend(evaluator, trigger=(1, "epoch"))
    if quiet:
        trainer.run(show_loop_exception_msg=False)
    else:
        reports = Reports(_PRINTED, _PLOTS, log_frequency, batch_size)
        noted = {
            **(settings or {}),
            "training_data": _identity(datasets[0]),
            "compression_hparams": changed_values(hparams),
            "batch_size": batch_size,
            "seed": seed,
        }
        run(trainer, max_steps, noted, reports, period, resume)
    if averages is not None:
        averages.copy_to_model()
    outcome = _finalized(model, applied, max_steps, out)
    return accuracy(model, datasets[1], machine.device), outcome


def _trainer(
    model: chainer.Chain,
    hparams: CompressionHParams,
    match: str,
    optimization: Optimization,
    batches: Batches,
    device: chainer.backend.Device,
    max_steps: int,
    out: Path,
) -> tuple[chainer.training.Trainer, ApplyCompression, MovingAverages | None]:
    """Compresses a model and returns a trainer for it, as a classifier on the device.

    Returns:
        The trainer, the object that updates compression, and the moving averages if there are any.
    """
    decayed = [(model[name].W, rate) for name, rate in optimization.weight_decay.items()]
    applied = compress_chain(model, hparams, match)
    classifier = chainer.links.Classifier(model)
    classifier.to_device(device)
    optimizer = optimization.make_optimizer().setup(classifier)
    for parameter, rate in decayed:
        if parameter.update_rule is not None:  # input-output compression does without the matrix
            parameter.update_rule.add_hook(chainer.optimizer_hooks.WeightDecay(rate))
    updater = chainer.training.updaters.StandardUpdater(
        batches, optimizer, converter=to_device, device=device
    )
    trainer = chainer.training.Trainer(updater, StopTrigger(max_steps), out=str(out))
    return trainer, applied, _extend(trainer, model, applied, optimization)


def _finalized(model: chainer.Chain, applied: ApplyCompression, max_steps: int, out: Path) -> str:
    """Finalizes and saves a model if alpha is 0; returns the table or the reason for none."""
    if not applied.get_compression_ops():
        return "Nothing is compressed, because compression_option is 0"
    if applied.alpha > 0:
        return (
            f"Alpha is {applied.alpha:g} after step {max_steps:,}, so the matrices are still "
            f"there and {FINAL} is not written; if the ramp goes on, continue with --resume and "
            "more --max_steps"
        )
    outcome = str(finalize(model))
    with atomic_path(out / FINAL) as temporary:
        chainer.serializers.save_npz(str(temporary), model, compression=False)
    return outcome


def _identity(dataset: chainer.datasets.TupleDataset) -> str:
    """Returns a fingerprint of a dataset, so that a run is not resumed with another."""
    digest = hashlib.sha256()
    for start in range(0, len(dataset), 1_000):
        for array in chainer.dataset.concat_examples(dataset[start : start + 1_000]):
            digest.update(np.ascontiguousarray(array))
    return f"{len(dataset):,} images, SHA-256 {digest.hexdigest()}"


def changed_values(hparams: CompressionHParams) -> dict[str, Value]:
    """Returns the hyperparameters that differ from their defaults, for a run's settings."""
    defaults = CompressionOp.get_default_hparams()
    return {name: value for name, value in hparams.values().items() if value != defaults.get(name)}


def _extend(
    trainer: chainer.training.Trainer,
    model: chainer.Chain,
    applied: ApplyCompression,
    optimization: Optimization,
) -> MovingAverages | None:
    """Adds the extensions that update the model besides the optimizer; returns the averages."""
    update = update_of(applied)
    averages = None
    if optimization.moving_average is None:
        trainer.extend(update)
    else:
        averages = MovingAverages(model, optimization.moving_average, update)
        trainer.extend(averages)
    if optimization.rate_decay is not None:
        factor, epochs = optimization.rate_decay
        batches = trainer.updater.get_iterator("main")
        steps = max(1, int(batches.num_rows / batches.batch_size * epochs))
        shift = extensions.ExponentialShift("lr", factor)
        trainer.extend(shift, trigger=(steps, "iteration"))
    return averages


def update_of(applied: ApplyCompression) -> Callable[[chainer.training.Trainer], None]:
    """Returns the extension that updates compression, for any ``update_option``."""
    update = applied.all_update_op()
    if applied.get_operator_hparam("update_option") == UpdateOptions.TF_UPDATE:
        return update

    @chainer.training.make_extension(
        trigger=update.trigger, default_name=update.default_name, priority=update.priority
    )
    def call(trainer: chainer.training.Trainer) -> None:
        applied.run_update_step(trainer.updater.iteration)
        update(trainer)

    return call


def load_snapshot(arrays: Mapping[str, np.ndarray], source: Path, model: chainer.Chain) -> int:
    """Loads a model from a snapshot of ``train``, using the moving averages if it has them.

    Args:
        arrays: The snapshot's contents.
        source: The file, for messages.
        model: A model made by the same ``compress_chain``, on the CPU; changed in place.

    Returns:
        The step of the snapshot.

    Raises:
        InputError: The snapshot is of another model.
    """

    class Stored:
        """Reads weights and state first, and then the averages over them."""

        def serialize(self, root: chainer.Deserializer) -> None:
            root["updater"]["model:main"]["predictor"].load(model)
            if any(name.startswith("extensions/moving_averages/") for name in arrays):
                load_averages(root["extensions"]["moving_averages"], model)

    restore(Stored(), arrays, source)
    return int(arrays["updater/iteration"])


def accuracy(
    model: chainer.Chain, dataset: chainer.dataset.DatasetMixin, device: chainer.backend.Device
) -> float:
    """Returns the share of a dataset that a model classifies correctly."""
    right = 0
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        for start in range(0, len(dataset), 256):
            images, labels = chainer.dataset.concat_examples(dataset[start : start + 256])
            scores = chainer.backends.cuda.to_cpu(model(device.send(images)).array)
            right += int((scores.argmax(axis=1) == labels).sum())
    return right / len(dataset)
