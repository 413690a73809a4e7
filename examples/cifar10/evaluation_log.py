"""The log of evaluations: a growing JSON list, and a picture of accuracy by step."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from nncompress.errors import InputError
from nncompress.formats.files import atomic_paths, check_output
from nncompress.formats.strict_json import strict_json

LOG, PICTURE = "evaluations.json", "evaluations.png"
_MOST_BYTES = 64 << 20


class EvaluationLog:
    """The evaluations in a directory, starting with those of earlier commands.

    Args:
        directory: The directory, created if it is missing.

    Raises:
        InputError: The existing file is not such a log.
        OutputError: Nothing can be written there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._entries: list[dict[str, object]] = []
        path = directory / LOG
        for output in (path, directory / PICTURE):
            check_output(output)
        if not path.exists():
            return
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ValueError("it is too long")
            self._entries = json.loads(path.read_text(encoding="utf-8"))
            for entry in self._entries:
                _ = entry["eval_data"], int(entry["step"]), float(entry["accuracy"])
        except (ValueError, TypeError, LookupError, RecursionError, OSError) as error:
            raise InputError(
                f"{path} is not a log of evaluations ({error}); remove it, or choose another "
                "directory (--eval_dir)"
            ) from None

    def add(self, entry: Mapping[str, object]) -> None:
        """Adds an evaluation with ``step``, ``accuracy`` and ``eval_data``, and draws all of them.

        Raises:
            OutputError: It cannot be written.
        """
        self._entries.append(dict(entry))
        with atomic_paths(self._directory / LOG, self._directory / PICTURE) as (log, picture):
            log.write_text(
                "[\n" + ",\n".join(map(strict_json, self._entries)) + "\n]\n", encoding="utf-8"
            )
            self._draw(picture)

    def _draw(self, path: Path) -> None:
        figure = Figure()
        axes = figure.add_subplot()
        for part in sorted({str(entry["eval_data"]) for entry in self._entries}):
            points = [
                (entry["step"], entry["accuracy"])
                for entry in self._entries
                if entry["eval_data"] == part
            ]
            axes.plot(*zip(*points, strict=True), marker=".", label=part)
        axes.set_xlabel("step")
        axes.set_ylabel("accuracy")
        axes.grid()
        axes.legend()
        figure.savefig(path)
