"""The Chain in your own trainer, then your own extension in the project's trainer."""

import numpy as np

import nncompress
from nncompress import chainer

rows = np.random.default_rng(0).normal(size=(2_000, 50)).astype(np.float32)

# The Chain works like any other, with your iterator, optimizer, hooks, extensions and trainer.
chain = nncompress.CompositionalAutoencoder(50, 8, 16, init="scaled")
optimizer = chainer.optimizers.Adam(1e-3).setup(chain)
optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(1e-5))
updater = chainer.training.updaters.StandardUpdater(
    chainer.iterators.SerialIterator(rows, 64), optimizer
)
trainer = chainer.training.Trainer(updater, (5, "epoch"), out="result")
trainer.extend(chainer.training.extensions.LogReport(trigger=(1, "epoch")))
trainer.run()
embedding = nncompress.CompressedEmbedding.from_codes(chain.encode(rows), chain.export_codebook())
print("your trainer:", np.linalg.norm(rows - embedding.to_numpy(), axis=1).mean())


# The project's trainer runs its steps in compiled kernels, and your extension on its trigger.
@chainer.training.make_extension(trigger=(70, "iteration"))
def watch(trainer: chainer.training.Trainer) -> None:
    """Prints the loss, every 70 steps."""
    print(trainer.updater.iteration, float(trainer.observation["main/loss"]))


settings = nncompress.TrainingOptions(epochs=10).resolve(len(rows), 8, 16)
learned = nncompress.learn(rows, settings, extensions=[watch])
print("its validation loss:", learned.loss)
