"""A plot that is redrawn only every so often."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.chainer_support.compatibility import chainer
from nncompress.formats.files import atomic_path
from nncompress.missing import brought_by
from nncompress.runs.log_report import WindowSummary
from nncompress.runs.unwritten import Unwritten
from nncompress.training.stops import Stops


class ThrottledPlotReport(chainer.training.extensions.PlotReport):
    """Chainer's ``PlotReport``, except that adding a point and drawing have their own triggers.

    Args:
        y_keys: Names of the values to plot against the iteration.
        trigger: Trigger that adds a point, a ``WindowSummary`` of the observations since the
            last one.
        draw_trigger: Trigger that draws the plot, asked after each new point.
        filename: Name of the PNG file in the trainer's output directory.
        unwritten: Notes a picture that cannot be written.
    """

    def __init__(
        self,
        y_keys: tuple[str, ...],
        trigger: Callable[[chainer.training.Trainer], bool],
        draw_trigger: Callable[[chainer.training.Trainer], bool],
        filename: str,
        unwritten: Unwritten,
    ) -> None:
        super().__init__(y_keys, trigger=trigger, filename=filename)
        self._unwritten = unwritten
        self._draw_trigger = draw_trigger

    def update_stops(self) -> Stops:
        """Returns the iterations at which it acts."""
        return self._trigger.update_stops()

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        """Draws the plot that a continued run could not write before."""
        if not (Path(trainer.out) / self._file_name).exists():
            self.draw(trainer)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        """Adds the observation to the summary; adds a point and draws if it is time."""
        observation = trainer.observation
        self._summary.add({key: observation[key] for key in self._y_keys if key in observation})
        if not self._trigger(trainer):
            return
        for key, mean in self._summary.compute_mean().items():
            self._data[key].append((trainer.updater.iteration, float(mean)))
        self._init_summary()
        if self._draw_trigger(trainer):
            self.draw(trainer)

    def draw(self, trainer: chainer.training.Trainer) -> None:
        """Writes a plot of all points, if there are any."""
        if not any(self._data.values()):
            return
        # Without pyplot: a figure of its own needs no display and leaves no state.
        with brought_by("train"):
            from matplotlib.figure import Figure

        figure = Figure()
        axes = figure.add_subplot()
        for key in self._y_keys:
            if self._data[key]:
                axes.plot(*np.transpose(self._data[key]), marker=".", label=key)
        axes.set_xlabel("iteration")
        axes.grid()
        axes.legend()
        path = Path(trainer.out) / self._file_name
        with self._unwritten.trying(path.name), atomic_path(path) as temporary:
            figure.savefig(temporary)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Saves or restores the points and the summary for the next one."""
        super().serialize(serializer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Chainer's, where an older snapshot lacks it
            self._summary.serialize(serializer["_summary"])

    def _init_summary(self) -> None:
        self._summary = WindowSummary()
