"""Progress bars for what takes longer than a moment."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(total: int, description: str, unit: str = "row", **options: object) -> "tqdm":
    """Returns a bar on stderr that shows itself after two seconds and goes away at the end.

    Args:
        total: Number that it counts up to.
        description: Name of the work, in front of the bar.
        unit: Name of the things that are counted.
        options: Further options of tqdm.
    """
    from tqdm import tqdm  # which takes a fifth of the time that opening a file takes

    # A terminal redraws the bar in place; a log file gets a line now and then.
    interval = 0.1 if sys.stderr.isatty() else 10.0
    defaults = {"delay": 2, "leave": False, "mininterval": interval}
    return tqdm(total=total, desc=description, unit=unit, **(defaults | options))
