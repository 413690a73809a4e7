"""The tables of a model's folder that can be compressed, and where they lie."""

from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".nnc"


@dataclass(frozen=True)
class TableSlot:
    """A table in a model's folder.

    Attributes:
        file: The safetensors file that holds it, relative to the folder.
        tensor: Its name in that file.
        num_rows: N.
        dim: D.
        tokens: The file with the tokens of its rows, relative to the folder; None if rows are not
            tokens.
        module: The dotted path of the module that owns it.
        is_head: Whether it belongs only to an output layer.
        same: Other tensors of the folder that hold the same rows, each with its file; they are
            left out of the compressed folder.
        head: The tensor of the output layer that shares the rows; None if none does.
        tied_too: Other tensors of the model that are tied only as long as that one is.
    """

    file: Path
    tensor: str
    num_rows: int
    dim: int
    tokens: Path | None
    module: str
    is_head: bool = False
    same: tuple[tuple[Path, str], ...] = ()
    head: str | None = None
    tied_too: tuple[str, ...] = ()

    @property
    def compressed(self) -> str:
        """The name of the tensor that replaces it, which holds the bytes of a ``.nnc`` file."""
        return compressed_name(self.tensor)


def compressed_name(tensor: str) -> str:
    """Returns the name of the tensor that replaces a table."""
    return tensor.removesuffix(".weight") + SUFFIX
