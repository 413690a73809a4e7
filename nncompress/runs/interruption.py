"""Ending training in good order when a signal comes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import SIGNALS, TrainingInterrupted
from nncompress.training.processes import ALONE, Processes


class Interruption(chainer.training.Extension):
    """Ends training after the current update when SIGINT (Ctrl-C), SIGTERM or SIGHUP arrives.

    If several processes train together, a signal to any of them ends training in all.

    It must be the last extension, with a trigger that fires after each update, so that everything
    saved at the end is complete.

    Args:
        actions: Functions that save things: called with the trainer, in order, before training
            ends.
        processes: The processes that train together.
    """

    default_name = "interruption"
    priority = -1_000

    def __init__(
        self,
        *actions: Callable[[chainer.training.Trainer], None],
        processes: Processes = ALONE,
    ) -> None:
        self._actions = actions
        self._processes = processes
        self._received: int | None = None

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Notes the first signal while the block runs.

        A second signal has its usual effect, which is to stop at once. Signals that were ignored
        stay ignored. Outside the main thread, where Python receives no signals, nothing happens.
        """
        former = {}
        if threading.current_thread() is threading.main_thread():
            former = {number: signal.getsignal(number) for number in SIGNALS}

        def restore() -> None:
            for number, handler in former.items():
                if handler not in (None, signal.SIG_IGN):
                    signal.signal(number, handler)

        def note(number: int, frame: object) -> None:
            self._received = number
            restore()

        for number, handler in former.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, note)
        try:
            yield
        finally:
            restore()

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Ends training if a signal has arrived.

        Raises:
            TrainingInterrupted: A signal has arrived.
        """
        received = self._processes.highest(self._received or 0)
        if not received:
            return
        for action in self._actions:
            action(trainer)
        raise TrainingInterrupted(
            received, f"interrupted at iteration {trainer.updater.iteration}"
        )
