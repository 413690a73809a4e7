"""The record of passes through rows: a job that is given again does not make them again."""

from typing import TYPE_CHECKING

import numpy as np

from nncompress.formats.work import WorkDirectory

if TYPE_CHECKING:
    from nncompress.refinement.engines.interface import Pass
    from nncompress.refinement.rows import CodedRows

_SUMS = "sums of the pass: "


class Record:
    """What the passes through one set of rows have come to, kept in a work directory.

    A job that is given again goes the same way, for nothing but the losses decides which passes
    are made. Those that were made are repeated by their losses alone; at the last of them codes
    and codebook are as they were, and a pass that was under way goes on with its next block.

    Args:
        work: The directory.
        name: The name of the rows in it.
    """

    def __init__(self, work: WorkDirectory, name: str) -> None:
        self._work = work
        self._name = name
        self._state = work.load(name)
        self._past: list[float] = [] if self._state is None else self._state.facts["losses"]
        self._losses: list[float] = []

    def beside(self, name: str) -> "Record":
        """Returns the record of other rows in the same directory."""
        return Record(self._work, name)

    @property
    def has_more(self) -> bool:
        """Whether the next pass was made before."""
        return len(self._losses) < len(self._past)

    def repeat(self, rows: "CodedRows") -> bool:
        """Repeats the next pass, if it was made before.

        Args:
            rows: Changed as the pass changed them, their codebook at the last such pass, and then
                their codes too, unless another pass was under way.

        Returns:
            Whether it was made before.
        """
        if not self.has_more:
            return False
        rows.loss = self._past[len(self._losses)]
        rows.passes += 1
        self._losses.append(rows.loss)
        if not self.has_more:
            rows.codebook[...] = self._state.arrays["codebook"]
            rows.squares = self._state.facts["squares"]
            if self._state.facts["done"] is None:
                rows.codes[...] = self._state.arrays["codes"]
                self._state = None
        return True

    def go_on(self, rows: "CodedRows", work: "Pass") -> tuple[int, float, float]:
        """Takes over what a pass that was under way had done.

        Args:
            rows: Their codes become those that it had found.
            work: The pass, which has just begun.

        Returns:
            The number of rows that are done, their weighted squares and their weight.
        """
        if self._state is None:
            return 0, 0.0, 0.0
        state, self._state = self._state, None
        rows.codes[...] = state.arrays["codes"]
        work.add({
            name.removeprefix(_SUMS): array
            for name, array in state.arrays.items()
            if name.startswith(_SUMS)
        })  # fmt: skip
        return state.facts["done"]

    def note(self, rows: "CodedRows") -> None:
        """Notes that a pass has come to its end; keeps that if it is time."""
        self._losses.append(rows.loss)
        if self._work.is_due():
            self.keep(rows)

    def note_block(self, rows: "CodedRows", work: "Pass", done: tuple[int, float, float]) -> None:
        """Keeps what a pass has done so far, if it is time.

        Args:
            rows: The rows.
            work: The pass.
            done: The number of rows that are done, their weighted squares and their weight.
        """
        if self._work.is_due():
            sums = {_SUMS + name: array for name, array in work.sums().items()}
            self._save(rows, sums, done)

    def keep(self, rows: "CodedRows") -> None:
        """Keeps what all passes so far have come to, unless that is known already."""
        if len(self._losses) > len(self._past):
            self._save(rows, {}, None)

    def _save(
        self,
        rows: "CodedRows",
        sums: dict[str, np.ndarray],
        done: tuple[int, float, float] | None,
    ) -> None:
        self._work.save(
            self._name,
            {"codes": rows.codes, "codebook": rows.codebook, **sums},
            {"losses": self._losses, "squares": rows.squares, "done": done},
        )
        if done is None:
            self._past = list(self._losses)
