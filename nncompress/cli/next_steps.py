"""Suggestions of what to type next, which commands print at a terminal."""

import json
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from nncompress.embedding.compressed import CompressedEmbedding

_STANDARD = "standard "  # the files that stand in for standard streams begin so


def command_line(*parts: object) -> str:
    """Returns a command line of ``nncompress``; the user fills in WORD and the like."""
    return shlex.join(["nncompress", *map(str, parts)])


def after_table(
    path: Path, embedding: CompressedEmbedding, original: object = None, *more: object
) -> list[str]:
    """Returns command lines that use a compressed table.

    Args:
        path: Its file or directory.
        embedding: The table.
        original: The original to compare it with; None if unknown.
        more: Flags for opening the original.
    """
    if path.name.startswith(_STANDARD):  # it was written to a pipe
        return []
    lines = [command_line("similar", path, "WORD" if embedding.has_words else "ROW")]
    if original is not None and not Path(str(original)).name.startswith(_STANDARD):
        lines.append(command_line("evaluate", original, path, *more))
    return lines


def after_training(command: str | None, directory: Path) -> list[str]:
    """Returns the command line that decodes a run.

    Args:
        command: The name of the command that trained; None if it was a script.
        directory: The run directory.
    """
    if command is not None:
        return [command_line("decode", "--model", directory)]
    script = Path(sys.argv[0]).with_name("infer_comp.py")
    return [shlex.join(["python", str(script), "--model", str(directory)])]


def after_folder(folder: Path) -> list[str]:
    """Returns two lines of Python that open a folder with compressed tables."""
    from nncompress.models.model2vec_folder import is_model2vec

    place = json.dumps(str(folder), ensure_ascii=False)
    if is_model2vec(folder):
        return [
            "from nncompress.static import StaticModel", f"StaticModel.from_pretrained({place})",
        ]  # fmt: skip
    if (folder / "modules.json").is_file():
        library, opened = "sentence_transformers", f"SentenceTransformer({place})"
    else:
        library, opened = "transformers", f"{_auto_class(folder)}.from_pretrained({place})"
    name = opened.partition("(")[0].partition(".")[0]
    return [f"import nncompress.hf; from {library} import {name}", opened]


def _auto_class(folder: Path) -> str:
    """Returns the name of the transformers class that opens a model with its output layer."""
    classes = {"CausalLM": "AutoModelForCausalLM", "MaskedLM": "AutoModelForMaskedLM",
               "LMHeadModel": "AutoModelForCausalLM"}  # fmt: skip
    with suppress(OSError, ValueError, LookupError, TypeError):
        architecture = str(
            json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"][0]
        )
        for ending, auto in classes.items():
            if architecture.endswith(ending):
                return auto
    return "AutoModel"
