"""Suggestions of what to type next, which commands print at a terminal."""

import itertools
import json
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from nncompress.embedding.compressed import CompressedEmbedding

_STANDARD = "standard "  # the files that stand in for standard streams begin so
_FREQUENT_WORDS, _TRIED = 500, 100


def command_line(*parts: object) -> str:
    """Returns a command line of ``nncompress``; the user fills in names in capitals."""
    return shlex.join(["nncompress", *(_argument(part) for part in parts)])


def example_word(embedding: CompressedEmbedding) -> str:
    """Returns a word of a table to ask about; the number of a row where it has no words.

    The most frequent words of most languages say little about a table, and come first in most
    tables, so that a word is taken from behind them.
    """
    if not embedding.has_words:
        return "0"
    keys = embedding.index_to_key
    first = min(_FREQUENT_WORDS, len(keys) // 2)
    tried = itertools.chain(range(first, min(first + _TRIED, len(keys))), range(first))
    words = [key for key in map(keys.__getitem__, tried) if isinstance(key, str)]
    plain = [word for word in words if word.isprintable() and not word.startswith("-")]
    return next((word for word in plain if word.isalpha()), plain[0] if plain else "WORD")


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
    if _is_standard(path):  # it was written to a pipe
        return []
    lines = [command_line("similar", path, example_word(embedding))]
    if original is not None and not any(map(_is_standard, (original, *more))):
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


def _argument(part: object) -> str:
    """Returns an argument; a file whose name begins with a dash gets its directory."""
    return f"./{part}" if isinstance(part, Path) and str(part).startswith("-") else str(part)


def _is_standard(part: object) -> bool:
    return Path(str(part)).name.startswith(_STANDARD)


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
