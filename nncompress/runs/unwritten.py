"""Files that a run could not write: training goes on, and reports them at the end."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from nncompress.errors import OutputError


class Unwritten:
    """Files that could not be written so far."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Lets work go on if the block cannot write, with a warning the first time.

        Args:
            what: The name of what is written; it counts as written once such a block succeeds.
        """
        try:
            yield
        except OSError as error:
            if what not in self._reasons:
                warnings.warn(
                    f"{error}; work goes on, and writing {what} is tried again later", stacklevel=3
                )
            self._reasons[what] = str(error)
        else:
            self._reasons.pop(what, None)

    def told(self) -> str:
        """Returns what is not written and why; an empty text if all is."""
        return "; ".join(f"{what} is not written: {why}" for what, why in self._reasons.items())

    def check(self, done: str, advice: str) -> None:
        """Checks that all files were written.

        Args:
            done: What was completed nevertheless.
            advice: What the user can do.

        Raises:
            OutputError: Something is not written.
        """
        if self._reasons:
            raise OutputError(f"{done}, but {self.told()}; {advice}")
