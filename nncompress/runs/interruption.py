"""An orderly end of training when a signal asks for one."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import SIGNALS, TrainingInterrupted
from nncompress.training.processes import ALONE, Processes


class Interruption(chainer.training.Extension):
    """Ends training after the update under way, when SIGINT (Ctrl-C), SIGTERM or SIGHUP has come.

    Where several processes train together, a signal to any of them ends the training of all.

    It is to be the last extension of all, with a trigger that fires after each update, so that
    whatever is saved then is complete.

    Args:
        actions: Called with the trainer before training ends, in this order, to save things.
        processes: Those that train together.
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
        """Takes note of the first signal while the block runs.

        A second signal does what it did before, which is to stop at once. Signals that were
        ignored stay ignored. Outside of the main thread, where Python has no signals, nothing is
        done.
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
        """Ends training if a signal has come.

        Raises:
            TrainingInterrupted: One has.
        """
        received = self._processes.highest(self._received or 0)
        if not received:
            return
        for action in self._actions:
            action(trainer)
        raise TrainingInterrupted(
            received, f"interrupted at iteration {trainer.updater.iteration}"
        )
