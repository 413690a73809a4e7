"""Writing ``.npz`` archives whose bytes depend only on their arrays."""

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np


def write_npz(path: Path, arrays: Mapping[str, object]) -> None:
    """Writes an uncompressed archive, sorted, without timestamps, and without pickling.

    Args:
        path: The file.
        arrays: Arrays, or objects that NumPy can convert to arrays, by name.

    Raises:
        OSError: It cannot be written.
        ValueError: An array has Python objects as elements.
    """
    archive = zipfile.ZipFile(path, "w")
    try:
        for name in sorted(arrays):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
        archive.close()
    except BaseException:
        # Closing would write as well, and fail with an error that hides the first one.
        file, archive.fp = archive.fp, None
        if file is not None:
            with suppress(OSError):
                file.close()
        raise
