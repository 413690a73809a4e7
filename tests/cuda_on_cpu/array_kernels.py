"""Twins of CuPy's elementwise and reduction kernels that run on NumPy arrays, through g++."""

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from tests.cuda_on_cpu.runtime import COMPILER

_TYPES = {"int32": "int", "int64": "long long", "float32": "float", "float64": "double"}


class ElementwiseKernel:
    """A kernel all of whose parameters are raw."""

    def __init__(self, inputs, outputs, operation, name, preamble=""):
        self.inputs, self.outputs = (_parameters_of(text, "raw ") for text in (inputs, outputs))
        self.operation, self.name, self.preamble = operation, name, preamble

    def __call__(self, *arrays, size):
        parameters = self.inputs + self.outputs
        _check(parameters, arrays)
        real = _type_of_t(parameters, arrays)
        declared = self._declared(lambda kind, name: f"{_c(kind, real)}* {name}")
        text = (
            f"#include <cmath>\n#include <cstddef>\nusing namespace std;\n"
            f"#define __device__ static inline\ntypedef {real} T;\n{self.preamble}\n"
            f'extern "C" void run({declared}, ptrdiff_t count) {{\n'
            f"for (ptrdiff_t i = 0; i < count; ++i) {{ {self.operation} }} }}\n"
        )
        _library(text).run(*map(_pointer, arrays), ctypes.c_ssize_t(size))

    def cuda_source(self):
        """Returns a kernel of CUDA's that does the same in float32."""
        declared = self._declared(lambda kind, name: f"{_c(kind, 'float')}* {name}")
        return (
            f"typedef float T;\n{self.preamble}\n"
            f'extern "C" __global__ void {self.name}({declared}, long long count) {{\n'
            f"const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;\n"
            f"if (i < count) {{ {self.operation} }} }}\n"
        )

    def _declared(self, declare):
        read = [f"const {declare(*parameter)}" for parameter in self.inputs]
        return ", ".join(read + [declare(*parameter) for parameter in self.outputs])


class ReductionKernel:
    """A reduction of one array's rows."""

    def __init__(self, inputs, outputs, mapped, reduced, finished, identity, name):
        (self.input,) = _parameters_of(inputs)
        (self.output,) = _parameters_of(outputs)
        self.expressions = mapped, reduced, finished, identity
        self.name = name

    def __call__(self, array, out, *, axis):
        assert axis == 0
        assert out.shape == array.shape[1:]
        _check([self.input, self.output], [array, out])
        real = _type_of_t([self.input], [array])
        given, left = _c(self.input[0], real), _c(self.output[0], real)
        mapped, reduced, finished, identity = self.expressions
        text = (
            f"#include <cstddef>\n"
            f'extern "C" void run({given}* array, {left}* out, ptrdiff_t rows, ptrdiff_t columns)'
            f"{{ for (ptrdiff_t column = 0; column < columns; ++column) {{\n"
            f"{left} a = {identity};\n"
            f"for (ptrdiff_t row = 0; row < rows; ++row) {{\n"
            f"const {given} {self.input[1]} = array[row * columns + column];\n"
            f"const {left} b = {mapped};\na = {reduced}; }}\n"
            f"{left}& {self.output[1]} = out[column];\n{finished}; }} }}\n"
        )
        sizes = (ctypes.c_ssize_t(length) for length in (len(array), array[0].size))
        _library(text).run(_pointer(array), _pointer(out), *sizes)


def _parameters_of(text, prefix=""):
    """Returns type and name of each parameter."""
    parts = [part.strip() for part in text.split(",")]
    assert all(part.startswith(prefix) for part in parts)
    return [tuple(part.removeprefix(prefix).split()) for part in parts]


def _check(parameters, arrays):
    assert len(parameters) == len(arrays)
    for (kind, name), array in zip(parameters, arrays, strict=True):
        assert array.flags.c_contiguous, name
        assert kind in ("T", array.dtype.name), name


def _type_of_t(parameters, arrays):
    kinds = {a.dtype.name for (kind, _), a in zip(parameters, arrays, strict=True) if kind == "T"}
    assert len(kinds) <= 1, "T is one type"
    return _TYPES[kinds.pop()] if kinds else "float"


def _c(kind, real):
    return real if kind == "T" else _TYPES[kind]


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


@cache
def _library(text):
    digest = hashlib.sha256(text.encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / "nncompress-emulated-kernels"
    folder.mkdir(exist_ok=True)
    path = folder / f"array-{digest}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            written, built = Path(scratch) / "kernel.cpp", Path(scratch) / "kernel.so"
            written.write_text(text)
            flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-Werror", "-ffp-contract=off"]
            subprocess.run([COMPILER, *flags, str(written), "-o", str(built)], check=True)
            built.replace(path)
    return ctypes.CDLL(str(path))


class ArrayLibrary:
    """NumPy, with the twins."""

    ElementwiseKernel = ElementwiseKernel
    ReductionKernel = ReductionKernel

    def __getattr__(self, name):
        return getattr(np, name)
