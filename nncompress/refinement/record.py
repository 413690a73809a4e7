"""The record of passes over rows, so that a job that is run again does not repeat them."""

from typing import TYPE_CHECKING

import numpy as np

from nncompress.formats.work import WorkDirectory

if TYPE_CHECKING:
    from nncompress.refinement.engines.interface import Pass
    from nncompress.refinement.rows import CodedRows

_SUMS = "sums of the pass: "


class Record:
    """The results of the passes over one set of rows, kept in a work directory.

    A job that is run again makes the same passes, because only the losses decide which passes are
    made. Passes already made are replayed from their recorded losses; at the last of them, codes
    and codebook are restored, and a pass that was interrupted continues with its next block.

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
        """Whether the next pass has already been made."""
        return len(self._losses) < len(self._past)

    def repeat(self, rows: "CodedRows") -> bool:
        """Replays the next pass, if it has already been made.

        Args:
            rows: Their loss and number of passes change as in the pass. At the last recorded pass
                their codebook is restored, and so are their codes unless a further pass was under
                way.

        Returns:
            Whether the pass had been made.
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
        """Resumes a pass that was interrupted.

        Args:
            rows: Their codes become those that it had found.
            work: The pass, which has just begun.

        Returns:
            The number of rows already done, their weighted squares and their weight.
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
        """Records that a pass has ended; saves the record if a save is due."""
        self._losses.append(rows.loss)
        if self._work.is_due():
            self.keep(rows)

    def note_block(self, rows: "CodedRows", work: "Pass", done: tuple[int, float, float]) -> None:
        """Saves what a pass has done so far, if a save is due.

        Args:
            rows: The rows.
            work: The pass.
            done: The number of rows already done, their weighted squares and their weight.
        """
        if self._work.is_due():
            sums = {_SUMS + name: array for name, array in work.sums().items()}
            self._save(rows, sums, done)

    def keep(self, rows: "CodedRows") -> None:
        """Saves the result of all passes so far, unless that is saved already."""
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
