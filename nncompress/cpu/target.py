"""The processor that kernels are compiled for: the width and the abilities of its vectors.

Numba compiles for the processor that it finds, or for the one that ``NUMBA_CPU_NAME`` and
``NUMBA_CPU_FEATURES`` name, so that one machine can build and time the kernels of another. To
follow the same settings, a few lines are compiled for that processor here, and the assembly that
the compiler produces is examined.
"""

import llvmlite.binding as llvm
from numba.core.registry import cpu_target

# Adds 16 numbers, converts 4 numbers of half precision, and shifts 8 integers.
_PROBE = """
define void @sum(<16 x float>* %p) {
  %x = load <16 x float>, <16 x float>* %p, align 4
  %y = fadd <16 x float> %x, %x
  store <16 x float> %y, <16 x float>* %p, align 4
  ret void
}
define void @lengthen(<4 x half>* %p, <4 x float>* %q) {
  %x = load <4 x half>, <4 x half>* %p, align 2
  %y = fpext <4 x half> %x to <4 x float>
  store <4 x float> %y, <4 x float>* %q, align 4
  ret void
}
define void @shift(<8 x i32>* %p, <8 x i32>* %q) {
  %x = load <8 x i32>, <8 x i32>* %p, align 4
  %y = load <8 x i32>, <8 x i32>* %q, align 4
  %z = lshr <8 x i32> %x, %y
  store <8 x i32> %z, <8 x i32>* %q, align 4
  ret void
}
"""


def _probe() -> str:
    """Returns the assembly of the probe, for the processor of Numba's settings."""
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=name, features=features, opt=2
    )
    return machine.emit_assembly(llvm.parse_assembly(_PROBE))


def _vectors(assembly: str) -> tuple[int, int]:
    """Returns the bytes in a vector register, and the number of registers."""
    if "zmm" in assembly:
        return 64, 32
    if "ymm" in assembly:
        return 32, 16
    return (16, 16) if "xmm" in assembly else (16, 32)


_ASSEMBLY = _probe()
VECTOR_BYTES, REGISTERS = _vectors(_ASSEMBLY)
# Whether the processor itself converts float16 to float32.
READS_HALVES = any(instruction in _ASSEMBLY for instruction in ("vcvtph2ps", "fcvtl"))
# Whether it can choose numbers of a vector by index, as AVX2 and AVX-512 can.
PERMUTES = "vpsrlvd" in _ASSEMBLY
