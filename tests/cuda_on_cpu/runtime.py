"""The twin of ``nncompress.gpu.runtime`` that runs kernels in the emulator, on NumPy arrays."""

import ctypes
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from nncompress.gpu.modules import kernels_source

_HEADER = Path(__file__).with_name("emulator.hpp")
COMPILER = shutil.which("g++")
ORDERS = ("ascending", "descending", "changing")


class EmulatedRuntime:
    """A GPU that is none.

    Args:
        order: In which order the threads of a block take their turns.
        shared_bytes: The most shared memory of a block.
        multiprocessors: How many multiprocessors to claim.
        free_bytes: Memory to claim.
    """

    xp = np

    def __init__(
        self,
        order: str = "ascending",
        shared_bytes: int = 99 << 10,
        multiprocessors: int = 4,
        free_bytes: int = 1 << 30,
    ) -> None:
        self.order = order
        self.shared_bytes = shared_bytes
        self.multiprocessors = multiprocessors
        self.free_bytes = free_bytes

    def load(self, module: str, **definitions: int) -> "EmulatedKernels":
        return EmulatedKernels(_compiled(module, tuple(definitions.items())), self)

    def stage(self, shape: tuple[int, ...], dtype: type) -> "EmulatedStage":
        return EmulatedStage(shape, dtype)

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        return function


class EmulatedKernels:
    def __init__(self, library: ctypes.CDLL, runtime: EmulatedRuntime) -> None:
        self._library = library
        self._runtime = runtime

    def launch(
        self, name: str, blocks: int, threads: int, arguments: Sequence[object], shared: int = 0
    ) -> None:
        assert blocks > 0
        assert 0 < threads <= 1024
        assert shared <= self._runtime.shared_bytes
        self._library.emulator_set_order(ORDERS.index(self._runtime.order))
        values = [_bytes_of(argument) for argument in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        wanted = getattr(self._library, f"arguments_{name}")()
        assert len(values) == wanted, f"{name} takes {wanted} arguments"
        getattr(self._library, f"run_{name}")(pointers, blocks, threads, shared)


class EmulatedStage:
    def __init__(self, shape: tuple[int, ...], dtype: type) -> None:
        self._array = np.empty(shape, dtype)

    def send(self, rows: int, fill: Callable[[np.ndarray], None]) -> np.ndarray:
        self._array[:] = 0  # what was sent before is gone
        fill(self._array[:rows])
        return self._array[:rows]

    def finish(self) -> None:
        pass


def _bytes_of(argument: object) -> ctypes.Array:
    if argument is None:
        data = bytes(8)
    elif isinstance(argument, np.ndarray) and argument.dtype.fields is None:
        assert argument.flags.c_contiguous
        data = np.uint64(argument.ctypes.data).tobytes()
    else:  # a scalar of NumPy's, or a structure
        assert argument.size == 1
        data = argument.tobytes()
    return ctypes.create_string_buffer(data, len(data))


@cache
def _compiled(module: str, definitions: tuple[tuple[str, int], ...]) -> ctypes.CDLL:
    source = kernels_source(module)
    names = re.findall(
        r'^extern "C" __global__ void(?: __launch_bounds__\(.*?\))?\s+(\w+)\(', source, re.M
    )
    names += re.findall(r"^PRODUCTS\((\w+),", source, re.M)
    wrappers = "\n".join(
        f'extern "C" void run_{name}(void** given, int blocks, int threads, int shared) {{\n'
        f"    emulator::launch({name}, given, blocks, threads, shared);\n}}\n"
        "template <class... A> int count_" + name + "(void (*)(A...)) { return sizeof...(A); }\n"
        f'extern "C" int arguments_{name}() {{ return count_{name}({name}); }}'
        for name in names
    )
    text = f'#include "{_HEADER}"\n{source}\n{wrappers}\n'
    flags = ["-std=c++20", "-O2", "-shared", "-fPIC", "-Wno-unknown-pragmas"]
    flags += ["-ffp-contract=off"]  # as operations are that say how they round
    flags += [f"-D{name}={value}" for name, value in definitions]
    digest = hashlib.sha256((_HEADER.read_text() + text + str(flags)).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / "nncompress-emulated-kernels"
    folder.mkdir(exist_ok=True)
    path = folder / f"{module}-{digest}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            written = Path(scratch) / "kernels.cpp"
            written.write_text(text)
            built = Path(scratch) / "kernels.so"
            subprocess.run([COMPILER, *flags, str(written), "-o", str(built)], check=True)
            built.replace(path)
    return ctypes.CDLL(str(path))
