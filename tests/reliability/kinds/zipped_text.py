"""Word vectors in text within a zip."""

import zipfile
from pathlib import Path

from tests.reliability.fuzzing import Kind
from tests.reliability.using import text_of, use_table


def seeds(folder: Path) -> list[Path]:
    """Writes a zip that deflates its only file, and one that only stores it."""
    paths = [folder / "deflated.zip", folder / "stored.zip"]
    for path, method in zip(paths, (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED), strict=True):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr(zipfile.ZipInfo("v.txt"), text_of(), method)
    return paths


KIND = Kind("zipped_text", seeds, use_table)
