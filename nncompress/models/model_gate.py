"""The gate of a model: what is measured of it, and what it has to reach to be written."""

from collections.abc import Mapping
from pathlib import Path

from nncompress.evaluate.report import Report
from nncompress.evaluate.requirements import KINDS, Requirements, requirements_of
from nncompress.models.evaluation import OriginalModel, Tasks


class ModelGate:
    """What compressing a model has to come to.

    Args:
        require: What is required; see ``evaluate.requirements.Requirement``.
        find: Whether the smallest size that reaches it is searched.
        tasks: What the model is put to.

    Raises:
        InputError: Something required cannot be measured, or is out of its range, or there is
            nothing to search the smallest size for.
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
        """Puts a model to its tasks.

        Args:
            original: The original's folder.
            compressed: The compressed one's.
            rows: What was measured of the rows of each table.

        Returns:
            Figures of rows, each that of the table that fares worst by it, and those of tasks.
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
    """Returns of several tables' figures those of the table that fares worst by each."""
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
