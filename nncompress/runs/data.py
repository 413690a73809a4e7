"""The data of a run: its matrix, the weights of the rows and the objective."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import FormatError, InputError
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.weights import read_weights


@dataclass(frozen=True)
class TrainingData:
    """The matrix, the weights and the objective of a run.

    Attributes:
        matrix: Path of the matrix.
        limit: Number of leading rows to use; None: all.
        objective: ``"distance"``, or ``"cosine"``: rows are divided by their lengths first.
        weights: Path of the rows' weights; None: all the same.
    """

    matrix: Path
    limit: int | None = None
    objective: str = "distance"
    weights: Path | None = None

    @classmethod
    def of_config(cls, config: dict[str, Any], where: Path) -> "TrainingData":
        """Returns the data named in a configuration that ``config`` made.

        Args:
            config: The entries, as ``read_config`` returns them.
            where: The file, for messages.

        Raises:
            InputError: No matrix is named.
        """
        if "input_matrix" not in config:
            raise InputError(f"{where} names no input_matrix; wanted one")
        weights = config.get("weights")
        return cls(
            Path(config["input_matrix"]),
            config.get("limit"),
            config.get("objective", "distance"),
            None if weights is None else Path(weights),
        )

    def config(self) -> dict[str, object]:
        """Returns the entries for ``config.json``, with absolute paths."""
        return {
            "input_matrix": os.fspath(self.matrix.resolve()),
            "limit": self.limit,
            "objective": self.objective,
            "weights": self.weights and os.fspath(self.weights.resolve()),
        }

    def open(self) -> tuple[EmbeddingMatrix, np.ndarray | None]:
        """Opens the matrix and reads the weights.

        Raises:
            InputError: A file cannot be used.
        """
        try:
            matrix = EmbeddingMatrix.open(
                self.matrix, self.limit, unit_rows=self.objective == "cosine"
            )
        except FormatError as error:
            if self.matrix.suffix == ".npy":
                raise
            raise FormatError(
                f"{error}; for text: nncompress compress FILE OUT.nnc -M 32 -K 16"
            ) from None
        return matrix, None if self.weights is None else read_weights(self.weights, matrix)
