"""How numbers and tables are printed."""

from collections.abc import Sequence


def format_bytes(count: int) -> str:
    """Returns a number of bytes in the unit that suits it."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{count} bytes"
        size /= 1000
    return f"{size:.3g} GB"


def format_seconds(seconds: float) -> str:
    """Returns a time in seconds, or in minutes if it is long."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def print_rows(rows: Sequence[tuple[str, str]], right: bool = True) -> None:
    """Prints two columns, the second one flush right or left."""
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    for first, second in rows:
        second = second.rjust(widths[1]) if right else second
        print(f"{first.ljust(widths[0])}  {second}")
