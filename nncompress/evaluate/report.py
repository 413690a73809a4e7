"""The measurements of a compressed table or model, as numbers and as lines of text."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nncompress.evaluate.bootstrap import COVERAGE, Figure

# Figures of rows and of token distributions, and their titles in text.
_TITLES = {
    "error": "relative error",
    "cosine": "mean cosine",
    "cosine_worst": "cosine, worst 1%",
    "recall": "neighbours kept at 10",
    "kl": "KL divergence",
}
# The units in which scores change: points of 100, or a factor.
_POINTS, _RATIO = "points", "times"


@dataclass(frozen=True)
class Score:
    """The scores of the original and the compressed table or model on a task.

    Attributes:
        task: ``"pairs"`` (word similarity), ``"sts"`` (sentence similarity) or ``"perplexity"``.
        data: The name of the file that it was measured on.
        original: The original's score: for pairs and sts, 100 times Spearman's correlation with
            people's scores; for perplexity, the perplexity.
        compressed: The compressed table's or model's score.
        change: The change: for pairs and sts, the difference in points, compressed minus
            original; for perplexity, the ratio of compressed to original.
        items: The items measured, such as "1,500 pairs".
    """

    task: str
    data: str
    original: Figure
    compressed: Figure
    change: Figure
    items: str

    @property
    def facts(self) -> dict[str, object]:
        """The attributes by name."""
        figures = {name: getattr(self, name).facts for name in ("original", "compressed")}
        how = "ratio" if self.task == "perplexity" else "difference"
        return {
            "task": self.task, "data": self.data, "measured_on": self.items, **figures,
            how: self.change.facts,
        }  # fmt: skip

    def __str__(self) -> str:
        change, unit = self.change, _RATIO if self.task == "perplexity" else _POINTS
        form = "{:.4f}" if unit == _RATIO else "{:+.2f}"
        value, low, high = (form.format(y) for y in (change.value, change.low, change.high))
        return (
            f"{self.compressed.value:.2f}, the original {self.original.value:.2f}: "
            f"{value} {unit} ({low} to {high}), {self.items}"
        )


@dataclass(frozen=True)
class Report:
    """All figures and scores of a comparison.

    Attributes:
        figures: By name: ``error``, ``cosine``, ``cosine_worst`` and ``recall`` of a table's rows
            (see ``row_comparison.RowComparison``), ``kl`` of a language model. ``recall`` is
            missing if there are too few rows.
        scores: The scores on tasks.
        basis: The rows that the figures were measured on, in words.
    """

    figures: Mapping[str, Figure] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    basis: str = ""

    def with_tasks(self, scores: tuple[Score, ...], **figures: Figure) -> "Report":
        """Returns the report with scores and figures added."""
        return Report({**self.figures, **figures}, self.scores + scores, self.basis)

    @property
    def facts(self) -> dict[str, object]:
        """The content by name, for JSON."""
        return {
            **{name: figure.facts for name, figure in self.figures.items()},
            "scores": [score.facts for score in self.scores],
            "measured_on": self.basis,
            "interval": COVERAGE,
        }

    @property
    def lines(self) -> dict[str, str]:
        """The content as lines to print, by their titles."""
        lines = {
            _TITLES[name]: f"{y.value:.5g} ({y.low:.5g} to {y.high:.5g})"
            for name, y in self.figures.items()
        }
        if self.basis:
            lines["measured on"] = self.basis
        return lines | self.task_lines

    @property
    def task_lines(self) -> dict[str, str]:
        """The scores as lines to print."""
        return {f"{score.task}, {score.data}": str(score) for score in self.scores}
