"""Codes: their type, the rows they stand for, and their text file."""

import os
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from nncompress.errors import InputError
from nncompress.formats.files import atomic_path
from nncompress.progress import progress_bar

_BLOCK_ROWS = 8_192


def code_dtype(num_codewords: int) -> np.dtype:
    """Returns uint8 for up to 256 codewords, uint16 for up to 65,536."""
    return np.dtype(np.uint8 if num_codewords <= 256 else np.uint16)


def reconstruct(codes: np.ndarray, codebook: np.ndarray, xp: ModuleType = np) -> np.ndarray:
    """Sums the codewords that codes choose.

    Args:
        codes: Integers in ``0 ... K-1``, ``(n, M)``.
        codebook: float32 ``(M*K, D)``; group m is rows ``m*K ... m*K+K-1``.
        xp: The library of the arrays: NumPy or CuPy.

    Returns:
        The reconstruction, float32 ``(n, D)``.
    """
    num_rows, num_codebooks = codes.shape
    groups = codebook.reshape(num_codebooks, -1, codebook.shape[1])
    total = xp.zeros((num_rows, codebook.shape[1]), dtype=np.float32)
    for group, chosen in zip(groups, codes.T, strict=True):
        total += group[chosen]
    return total


def write_codes(
    path: str | os.PathLike, codes: np.ndarray, tokens: Sequence[str] | None = None
) -> None:
    r"""Writes codes as UTF-8 text, one row per line: ``token<TAB>c0 c1 ... c(M-1)``.

    Args:
        path: The file.
        codes: ``(N, M)``.
        tokens: N tokens without tabs or line breaks; None to write the codes alone.

    Raises:
        InputError: The number of tokens is not N.
    """
    if tokens is not None and len(tokens) != len(codes):
        raise InputError(f"{len(tokens)} tokens were given; wanted {len(codes)}, one per row")
    words = [str(code) for code in range(int(codes.max(initial=0)) + 1)]
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
        progress_bar(len(codes), "Writing codes") as bar,
    ):
        for start in range(0, len(codes), _BLOCK_ROWS):
            block = codes[start : start + _BLOCK_ROWS].tolist()
            lines = [" ".join([words[code] for code in row]) for row in block]
            if tokens is not None:
                named = zip(tokens[start : start + len(block)], lines, strict=True)
                lines = [f"{token}\t{line}" for token, line in named]
                if start == 0 and lines[0].startswith("\ufeff"):
                    lines[0] = f"\ufeff{lines[0]}"  # readers strip one as a byte-order mark
            file.write("\n".join(lines) + "\n")
            bar.update(len(block))


def write_codebook(path: str | os.PathLike, codebook: np.ndarray) -> None:
    """Writes a codebook as a ``.npy`` file, float32 ``(M*K, D)``."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, codebook.astype(np.float32))
