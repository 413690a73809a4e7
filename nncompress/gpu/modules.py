"""The CUDA sources of the kernels, combined into modules."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_FOLDER = Path(__file__).parent / "cuda"
# The parts of each module after the primitives, in this order.
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "step": ("reductions.cuh", "random.cuh", "product.cuh", "step.cuh"),
        "refinement": ("reductions.cuh", "random.cuh", "refinement.cuh"),
        "trellis": ("reductions.cuh", "levels.cuh", "trellis.cuh"),
        "levels": ("reductions.cuh", "levels.cuh", "level_counts.cuh", "rans.cuh"),
        "factors": ("reductions.cuh", "factors.cuh"),
    }
)


def cuda_source(module: str) -> str:
    """Returns the complete source of a module, for CUDA's compilers."""
    return _read("primitives.cuh") + kernels_source(module)


def kernels_source(module: str) -> str:
    """Returns the source of a module without the primitives."""
    return "\n".join(_read(name) for name in MODULES[module])


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
