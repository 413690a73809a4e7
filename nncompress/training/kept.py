"""The trainer's place in a work directory."""

from nncompress.formats.work import WorkDirectory

TRAINER = "training"  # the name of its state


def forget_trainer(work: WorkDirectory) -> None:
    """Removes the trainer from a work directory that now holds the result of its training."""
    work.discard(TRAINER)
