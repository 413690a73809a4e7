"""Writing ``.npz`` archives whose bytes follow from their arrays alone."""

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np


def write_npz(path: Path, arrays: Mapping[str, object]) -> None:
    """Writes an uncompressed archive, sorted and without the time, and never pickles.

    Args:
        path: The file.
        arrays: The arrays by name, or what NumPy makes arrays of.

    Raises:
        OSError: It cannot be written.
        ValueError: An array is one of Python's objects.
    """
    archive = zipfile.ZipFile(path, "w")
    try:
        for name in sorted(arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
        archive.close()
    except BaseException:
        # Closing would write too, and fail for another reason than the first.
        file, archive.fp = archive.fp, None
        if file is not None:
            with suppress(OSError):
                file.close()
        raise
