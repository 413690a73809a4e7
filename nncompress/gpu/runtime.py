"""Compiling CUDA kernels, launching them, and recording launches as a CUDA graph."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, cached_property
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

import numpy as np

from nncompress.errors import InputError
from nncompress.gpu.modules import cuda_source
from nncompress.missing import install_line

_LEAST_CAPABILITY = 70  # ten times that of Volta, for which the kernels are written
_STATIC_SHARED = 48 << 10  # bytes of shared memory that every kernel may use


def open_gpu(number: int) -> "Runtime":
    """Opens a GPU and makes it the current one.

    Args:
        number: The number of the GPU, from 0.

    Raises:
        InputError: CuPy does not work, there is no such GPU, or it is too old.
    """
    otherwise = "or use the CPU (-g -1; in Python, -1 for the GPU)"
    try:
        import cupy
    except ImportError as error:
        raise InputError(
            f"GPU {number} was requested, but CuPy cannot be used ({first_reason(error)}); "
            f"install it for the driver's CUDA ({install_line('gpu-cuda12')}, or gpu-cuda13 for "
            f"CUDA 13), {otherwise}"
        ) from None
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise InputError(
            f"GPU {number} was requested, but there is no GPU here ({error}); check "
            f"that nvidia-smi finds it, {otherwise}"
        ) from None
    if number >= count:
        raise InputError(
            f"GPU {number} was requested; this machine has {count}, numbered from 0; name one of "
            f"them, {otherwise}"
        )
    capability = int(cupy.cuda.Device(number).compute_capability)
    # The oldest GPUs that this version of CUDA, and so CuPy, compiles for.
    least = 75 if runtime.runtimeGetVersion() >= 13_000 else 50
    if capability < least:
        raise InputError(
            f"GPU {number} has compute capability {capability / 10}, but this CuPy's CUDA needs "
            f"{least / 10} or newer; name another GPU, {otherwise}"
        )
    cupy.cuda.Device(number).use()
    return _runtime_of(number)


def first_reason(error: Exception) -> str:
    """Returns the most telling line of an error's text; CuPy's is a box of many lines."""
    lines = [line.strip() for line in str(error).splitlines() if any(map(str.isalpha, line))]
    for line, following in pairwise(lines):
        if line.startswith("Original error"):
            return following
    return lines[0] if lines else type(error).__name__


@cache
def _runtime_of(number: int) -> "Runtime":
    """Returns the same runtime for the same GPU, so that what is found out about it is kept."""
    return Runtime(number)


class Runtime:
    """A GPU, used through CuPy.

    Args:
        number: Number of the GPU.
    """

    def __init__(self, number: int) -> None:
        self._number = number

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
        """The number of multiprocessors."""
        return self.xp.cuda.Device(self._number).attributes["MultiProcessorCount"]

    @property
    def free_bytes(self) -> int:
        """The memory that is still available for arrays."""
        free, _ = self.xp.cuda.Device(self._number).mem_info
        return free + self.xp.get_default_memory_pool().free_bytes()

    def stage(self, shape: tuple[int, ...], dtype: type) -> "Stage":
        """Returns a stage that sends arrays of up to some shape to the GPU."""
        return Stage(self.xp, shape, dtype)

    def load(self, module: str, **definitions: int) -> "Kernels":
        """Returns a module's kernels, which are compiled when they are first launched.

        Args:
            module: One of ``MODULES``.
            definitions: Preprocessor definitions.

        Raises:
            InputError: The GPU is too old for the kernels.
        """
        capability = int(self.xp.cuda.Device(self._number).compute_capability)
        if capability < _LEAST_CAPABILITY:
            raise InputError(
                f"GPU {self._number} has compute capability {capability / 10}, but the kernels "
                f"need {_LEAST_CAPABILITY / 10} or newer"
            )
        options = ("-std=c++17", *(f"-D{name}={value}" for name, value in definitions.items()))
        return Kernels(self.xp, cuda_source(module), options)

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Records the launches of a function as a CUDA graph.

        Args:
            function: Launches kernels and allocates nothing. It must have run before, so that the
                kernels are compiled.

        Returns:
            A function that launches all of them again on the current stream.
        """
        with self.xp.cuda.Stream(non_blocking=True) as stream:
            stream.begin_capture()
            try:
                function()
            except BaseException:
                with suppress(self.xp.cuda.runtime.CUDARuntimeError):  # the cause matters more
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        graph.upload()
        return graph.launch


class Launch(NamedTuple):
    """A launch that is prepared once and repeated: the arguments of ``Kernels.launch``."""

    name: str
    blocks: int
    threads: int
    arguments: Sequence[object]
    shared: int = 0


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
            name: The name of the kernel.
            blocks: Number of blocks.
            threads: Number of threads in each block.
            arguments: Arrays on the GPU, NumPy scalars of the kernel's own types, NumPy arrays
                with one structure as their element, and None for a null pointer.
            shared: Bytes of shared memory for each block.
        """
        function = self._function(name)
        if shared > _STATIC_SHARED and function.max_dynamic_shared_size_bytes < shared:
            function.max_dynamic_shared_size_bytes = shared
        given = tuple(np.uint64(0) if value is None else value for value in arguments)
        function((blocks,), (threads,), given, shared_mem=shared)


class Stage:
    """Sends arrays to the GPU through two pinned buffers, so that filling and copying overlap.

    Args:
        xp: CuPy.
        shape: The shape of the largest array to send, ``(rows, ...)``.
        dtype: The type of its numbers.
    """

    def __init__(self, xp: ModuleType, shape: tuple[int, ...], dtype: type) -> None:
        import cupyx

        self._xp = xp
        self._hosts = [cupyx.empty_pinned(shape, dtype) for _ in range(2)]
        self._arrays = [xp.empty(shape, dtype) for _ in range(2)]
        self._sent = [xp.cuda.Event(disable_timing=True) for _ in range(2)]
        self._used = [xp.cuda.Event(disable_timing=True) for _ in range(2)]
        self._stream = xp.cuda.Stream(non_blocking=True)
        self._turn = 0

    def send(self, rows: int, fill: Callable[[np.ndarray], None]) -> object:
        """Sends an array.

        Args:
            rows: The number of its rows.
            fill: Fills a NumPy array with that many rows.

        Returns:
            The array on the GPU. Kernels that read it must be launched on the current stream
            before the next call.
        """
        current = self._xp.cuda.get_current_stream()
        before, turn = self._turn, 1 - self._turn
        self._used[before].record(current)
        host, array = self._hosts[turn][:rows], self._arrays[turn][:rows]
        self._sent[turn].synchronize()
        fill(host)
        self._stream.wait_event(self._used[turn])
        array.set(host, stream=self._stream)
        self._sent[turn].record(self._stream)
        current.wait_event(self._sent[turn])
        self._turn = turn
        return array

    def finish(self) -> None:
        """Waits until everything has been sent, after which the buffers may be freed."""
        self._stream.synchronize()
