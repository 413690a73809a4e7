"""The gate of a model: it measures the model, and refuses one that falls short."""

from collections.abc import Mapping
from pathlib import Path

from nncompress.evaluate.report import Report
from nncompress.evaluate.requirements import KINDS, Requirements, requirements_of
from nncompress.models.evaluation import OriginalModel, Tasks


class ModelGate:
    """The requirements for a compressed model, and the data to check them with.

    Args:
        require: The requirements; see ``evaluate.requirements.Requirement``.
        find: Whether to search for the smallest size that meets them.
        tasks: The data to evaluate the model on.

    Raises:
        InputError: A requirement cannot be measured or is out of its range, or a search is asked
            for without any requirement.
    """

    def __init__(
        self,
        require: Requirements | Mapping[str, float] | None = None,
        find: bool = False,
        tasks: Tasks = Tasks(),
    ) -> None:
        self.requirements = requirements_of(require, find)
        self.find, self.tasks = find, tasks
        self._original: OriginalModel | None = None  # opened once, by the first measurement
        self.requirements.check_data(tasks.flags)

    def measure(self, original: Path, compressed: Path, rows: list[Report]) -> Report:
        """Evaluates a model on its tasks.

        Args:
            original: The original's folder.
            compressed: The compressed model's folder.
            rows: The measurements of the rows of each table.

        Returns:
            The figures of rows, each from the table that fares worst, and those of tasks.
        """
        worst = worst_of(rows)
        if not self.tasks.flags:
            return worst
        if self._original is None:
            self._original = OriginalModel(original, self.tasks)
        report = self._original.compare(compressed).report
        more = {name: y for name, y in report.figures.items() if name not in worst.figures}
        return worst.with_tasks(report.scores, **more)


def worst_of(reports: list[Report]) -> Report:
    """Combines several tables' figures, taking each from the table that fares worst."""
    figures = dict(reports[0].figures)
    for report in reports[1:]:
        for name, figure in report.figures.items():
            known = figures.get(name, figure)
            is_worse = figure.value < known.value
            if not KINDS[name].is_least:
                is_worse = figure.value > known.value
            figures[name] = figure if is_worse else known
    more = f", the worst of {len(reports)} tables" if len(reports) > 1 else ""
    return Report(figures, (), reports[0].basis + more)
