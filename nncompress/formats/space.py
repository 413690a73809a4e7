"""Checking that the disk has room for files before they are written."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from nncompress.errors import InputError


def check_space(needs: Mapping[Path, int], what: str, advice: str) -> None:
    """Refuses work whose files do not fit on the disk, before it begins.

    Needs on the same file system are added up. If the operating system does not tell how much
    space is free, nothing is refused.

    Args:
        needs: The bytes to be written at each place: a file or directory, which need not exist.
        what: Their purpose, for the message: "the compressed table".
        advice: What may help other than freeing space: "name another place for the output".

    Raises:
        InputError: A file system has fewer bytes free than are needed there.
    """
    together: dict[int, list[Path]] = {}
    for place in needs:
        together.setdefault(_device(_existing(place)), []).append(place)
    for places in together.values():
        needed = sum(needs[place] for place in places)
        try:
            free = shutil.disk_usage(_existing(places[0])).free
        except OSError:
            continue
        if needed > free:
            raise InputError(
                f"{what} needs {needed:,} bytes in {' and '.join(map(str, places))}, where "
                f"{free:,} are free; free some space, or {advice}"
            )


def _existing(place: Path) -> Path:
    """Returns a place, or its nearest parent that exists."""
    place = Path(os.path.abspath(place))
    return next(parent for parent in (place, *place.parents) if parent.exists())


def _device(path: Path) -> int:
    return os.stat(path).st_dev
