"""The part that the examples' training scripts share: a trainer around a compressed classifier."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.machine import Machine
from nncompress.matrix import compress_chain, finalize

extensions = chainer.training.extensions
MODEL, FINAL = "model.npz", "final.npz"
_REPORT_EVERY = 50


def train(
    make_model: Callable[[], chainer.Chain],
    datasets: tuple[chainer.dataset.DatasetMixin, chainer.dataset.DatasetMixin],
    hparams: str,
    match: str,
    *,
    out: Path,
    max_steps: int,
    batch_size: int = 64,
    gpu: int = -1,
    seed: int = 0,
    resume: bool = False,
    quiet: bool = False,
) -> tuple[float, str | None]:
    """Trains a model while its matrices are compressed, and finalizes it if alpha reaches 0.

    Args:
        make_model: Returns the network.
        datasets: Training and test data.
        hparams: The compression's hyperparameters.
        match: Pattern of the names of the layers to compress.
        out: Directory for logs, plots, ``model.npz`` and, if alpha is 0 in the end,
            ``final.npz``: the factors alone.
        max_steps: Steps to train for.
        batch_size: Images a step.
        gpu: Number of the GPU, -1 for the CPU.
        seed: Seed of weights and order.
        resume: True to go on from the snapshot in ``out``.
        quiet: True to measure and print nothing on the way.

    Returns:
        The accuracy on the test data, and the table of the compressed layers, or None if alpha is
        not 0.
    """
    np.random.seed(seed)
    machine = Machine(gpu)
    machine.use()
    device = machine.device
    model = make_model()
    applied = compress_chain(model, hparams, match)
    classifier = chainer.links.Classifier(model)
    classifier.to_device(device)
    optimizer = chainer.optimizers.Adam()
    optimizer.setup(classifier)
    train_set, test_set = datasets
    order = chainer.iterators.ShuffleOrderSampler(np.random.RandomState(seed))
    batches = chainer.iterators.SerialIterator(train_set, batch_size, order_sampler=order)
    updater = chainer.training.updaters.StandardUpdater(batches, optimizer, device=device)
    trainer = chainer.training.Trainer(updater, (max_steps, "iteration"), out=str(out))
    trainer.extend(applied.all_update_op())
    if not quiet:
        _extend(trainer, test_set, batch_size, device, max_steps)
    if resume:
        chainer.serializers.load_npz(str(out / "snapshot.npz"), trainer)
    (out / FINAL).unlink(missing_ok=True)  # an older one would be taken for this run's
    trainer.run()
    chainer.serializers.save_npz(str(out / "snapshot.npz"), trainer)
    chainer.serializers.save_npz(str(out / MODEL), model)
    table = None
    if applied.get_compression_ops() and applied.alpha == 0:
        table = finalize(model)
        chainer.serializers.save_npz(str(out / FINAL), model, compression=False)
    return accuracy(model, test_set, device), table


def _extend(
    trainer: chainer.training.Trainer,
    test_set: chainer.dataset.DatasetMixin,
    batch_size: int,
    device: chainer.backend.Device,
    max_steps: int,
) -> None:
    """Adds the extensions that measure, print and draw."""
    every = min(_REPORT_EVERY, max_steps), "iteration"
    test = chainer.iterators.SerialIterator(test_set, batch_size, repeat=False, shuffle=False)
    target = trainer.updater.get_optimizer("main").target
    trainer.extend(extensions.Evaluator(test, target, device=device), trigger=every)
    trainer.extend(extensions.LogReport(trigger=every))
    columns = "iteration", "main/loss", "main/accuracy", "validation/main/accuracy", "alpha"
    trainer.extend(extensions.PrintReport(columns), trigger=every)
    for names, file in (
        (["alpha", "main/accuracy", "validation/main/accuracy"], "accuracy.png"),
        (["main/loss", "validation/main/loss"], "loss.png"),
    ):
        plot = extensions.PlotReport(names, "iteration", trigger=every, filename=file)
        trainer.extend(plot)  # it collects at each step, and draws when its own trigger says so


def accuracy(
    model: chainer.Chain, dataset: chainer.dataset.DatasetMixin, device: chainer.backend.Device
) -> float:
    """Returns the share of a dataset that a model classifies correctly."""
    right = 0
    with chainer.using_config("train", False), chainer.no_backprop_mode():
        for start in range(0, len(dataset), 256):
            images, labels = (
                np.array(part) for part in zip(*dataset[start : start + 256], strict=True)
            )
            scores = chainer.backends.cuda.to_cpu(model(device.send(images)).array)
            right += int((scores.argmax(axis=1) == labels).sum())
    return right / len(dataset)
