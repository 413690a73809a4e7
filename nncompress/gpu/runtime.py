"""Compiling CUDA kernels, launching them, and recording launches as a CUDA graph."""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from types import ModuleType

import numpy as np

from nncompress.gpu.sources import PRIMITIVES, module_source, read_source

_STATIC_SHARED = 48 << 10  # bytes of shared memory that every kernel may use


class Runtime:
    """A GPU, through CuPy.

    Args:
        device: Number of the GPU.
    """

    def __init__(self, device: int) -> None:
        self._number = device

    @cached_property
    def xp(self) -> ModuleType:
        """The array library."""
        import cupy

        return cupy

    @cached_property
    def shared_bytes(self) -> int:
        """The most shared memory of a block."""
        return self.xp.cuda.Device(self._number).attributes["MaxSharedMemoryPerBlockOptin"]

    @cached_property
    def multiprocessors(self) -> int:
        """How many multiprocessors there are."""
        return self.xp.cuda.Device(self._number).attributes["MultiProcessorCount"]

    def load(self, module: str, **definitions: int) -> "Kernels":
        """Returns a module's kernels; they are compiled when they are launched.

        Args:
            module: One of ``sources.MODULES``.
            definitions: The preprocessor's.
        """
        options = ("-std=c++17", *(f"-D{name}={value}" for name, value in definitions.items()))
        return Kernels(self.xp, read_source(PRIMITIVES) + module_source(module), options)

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Records what a function launches, as a CUDA graph.

        Args:
            function: Launches kernels, and allocates nothing. It has run before, so that they are
                compiled.

        Returns:
            What launches all of it again on the current stream.
        """
        with self.xp.cuda.Stream(non_blocking=True) as stream:
            stream.begin_capture()
            try:
                function()
            finally:
                graph = stream.end_capture()
        graph.upload()
        return graph.launch


class Kernels:
    """The kernels of a module."""

    def __init__(self, xp: ModuleType, source: str, options: Sequence[str]) -> None:
        self._module = xp.RawModule(code=source, options=tuple(options))
        self._function = cache(self._module.get_function)

    def launch(
        self, name: str, blocks: int, threads: int, arguments: Sequence[object], shared: int = 0
    ) -> None:
        """Launches a kernel on the current stream.

        Args:
            name: Of the kernel.
            blocks: How many.
            threads: Of each block.
            arguments: Arrays of the device, NumPy scalars of the kernel's own types, NumPy arrays
                of one structure, and None for a null pointer.
            shared: Bytes of shared memory for each block.
        """
        function = self._function(name)
        if shared > _STATIC_SHARED and function.max_dynamic_shared_size_bytes < shared:
            function.max_dynamic_shared_size_bytes = shared
        given = tuple(np.uint64(0) if value is None else value for value in arguments)
        function((blocks,), (threads,), given, shared_mem=shared)
