"""Trying out a GPU's kernels before relying on them."""

import warnings
from collections.abc import Callable
from weakref import WeakKeyDictionary

from nncompress.gpu.runtime import Runtime, first_reason


class WrongNumbersError(Exception):
    """Kernels compute wrong numbers."""


class Verdicts:
    """Records of whether kernels work, found out once for each GPU.

    Args:
        otherwise: The end of the warning's sentence, which says what is done instead.
    """

    def __init__(self, otherwise: str) -> None:
        self._otherwise = otherwise
        self._found: WeakKeyDictionary[Runtime, bool] = WeakKeyDictionary()

    def of(self, runtime: Runtime, attempt: Callable[[], None]) -> bool:
        """Tells whether a GPU's kernels work; warns, the first time, if they do not.

        Args:
            runtime: The GPU.
            attempt: Uses the kernels. It raises any error if they do not compile or launch, and
                ``WrongNumbersError`` if they compute wrong numbers.
        """
        if runtime not in self._found:
            try:
                attempt()
            except Exception as error:  # whatever CuPy, a compiler or a driver raises
                self._found[runtime] = False
                warnings.warn(
                    f"the GPU's kernels do not work here ({first_reason(error)}); "
                    f"{self._otherwise}",
                    stacklevel=4,
                )
            else:
                self._found[runtime] = True
        return self._found[runtime]
