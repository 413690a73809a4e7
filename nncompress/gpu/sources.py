"""The CUDA sources of the kernels, put together as modules."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_FOLDER = Path(__file__).parent / "cuda"
PRIMITIVES = "primitives.cuh"

# What each module is made of, after the primitives, and in this order.
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "step": ("reductions.cuh", "random.cuh", "product.cuh", "step.cuh"),
        "refinement": ("reductions.cuh", "random.cuh", "refinement.cuh"),
    }
)


def read_source(name: str) -> str:
    """Returns the text of a file."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def module_source(module: str) -> str:
    """Returns all of a module's sources but the primitives."""
    return "\n".join(read_source(name) for name in MODULES[module])
