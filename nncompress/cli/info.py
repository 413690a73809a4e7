"""Show what a file holds, and how it was made."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from nncompress.cli.paths import readable
from nncompress.cli.printing import add_json, print_facts
from nncompress.cli.tables import load_table, refuse_other_files
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.model import Model
from nncompress.embedding.model_file import is_model_file, read_model
from nncompress.embedding.residual import Residual
from nncompress.embedding.residual_table import ResidualTable
from nncompress.embedding.sharded_table import ShardedTable, shards_of
from nncompress.embedding.table_directory import size_of

EXAMPLE = "glove.nnc"
_OF_CODES = "M", "K", "codebook_dtype"
_OF_RESIDUALS = (
    *("residual_bytes_per_row", "rows_per_block", "axes", "clusters"),
    "trellis_states",
)
_OF_SOME = {*_OF_CODES, *_OF_RESIDUALS, "verified"}  # facts that only some tables have


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add_json(parser)
    parser.add_argument(
        "file", type=readable,
        help="a .nnc file, a directory of shards, or a model that rows are encoded by; - for "
        "standard input",
    )  # fmt: skip
    parser.add_argument(
        "--verify", action="store_true", help="read all of it and check its SHA-256 sums"
    )


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    refuse_other_files(arguments.file)
    if arguments.file.is_file() and is_model_file(arguments.file):
        print_model(arguments, arguments.file, read_model(arguments.file)[0])
        return
    embedding = load_table(arguments.file, verify=arguments.verify)
    print_info(arguments, arguments.file, embedding)


def print_info(
    arguments: argparse.Namespace,
    path: Path,
    embedding: CompressedEmbedding,
    next_lines: Sequence[str] = (),
) -> None:
    """Prints what a file holds, and what to type next."""
    facts = facts_of(path, embedding)
    if getattr(arguments, "verify", False):  # a damaged file has been refused
        facts["verified"] = True
    table = embedding.table
    shown = _lines(facts)
    if facts.get("source_shape") == [table.num_rows, table.dim]:
        del shown["source_shape"]  # rows and columns say the same
    if embedding.has_words and len(embedding) < table.num_rows:
        shown["words"] = f"{len(embedding):,} of {table.num_rows:,} rows have a word of their own"
    print_facts(arguments, facts, shown, next_lines)


def facts_of(path: Path, embedding: CompressedEmbedding) -> dict[str, object]:
    """Returns what a table's file holds and says about itself, by name."""
    table = embedding.table
    first = shards_of(table)[0]
    size = size_of(path)
    # What the file says about itself; measurements take precedence.
    said = {name: fact for name, fact in embedding.provenance.items() if name not in _OF_SOME}
    return {
        **said,
        "file_bytes": size,
        "bytes_per_row": round(size / table.num_rows, 3),
        "ratio": round(4 * table.dim * table.num_rows / size, 2),
        "rows": table.num_rows,
        "words": len(embedding) if embedding.has_words else 0,
        "columns": table.dim,
        **({"shards": len(table.shards)} if isinstance(table, ShardedTable) else {}),
        **_additive_facts(first.additive if isinstance(first, ResidualTable) else first),
        **(_residual_facts(first.residual) if isinstance(first, ResidualTable) else {}),
        "row_bits": round(8 * table.row_bytes, 2),
        "shared_bytes": table.shared_bytes,
    }


def print_model(
    arguments: argparse.Namespace, path: Path, model: Model, next_lines: Sequence[str] = ()
) -> None:
    """Prints what a model's file holds."""
    dtype = getattr(model.codebook, "dtype", "few bits")
    of_codes = {"M": model.num_codebooks, "K": model.num_codewords, "codebook_dtype": str(dtype)}
    facts: dict[str, object] = {
        **model.provenance,
        **model.encoding,
        "file_bytes": path.stat().st_size,
        "columns": model.dim,
        **({} if model.codebook is None else of_codes),
        **({} if model.residual is None else {"axes": model.residual.num_axes}),
    }
    print_facts(arguments, facts, _lines(facts), next_lines)


def _additive_facts(table: CodeTable | None) -> dict[str, object]:
    if table is None:
        return {}
    facts = table.num_codebooks, table.num_codewords, table.codebook_type
    return dict(zip(_OF_CODES, facts, strict=True))


def _residual_facts(residual: Residual) -> dict[str, object]:
    centres = residual.centres
    facts = (
        *(round(residual.row_bytes, 3), residual.stream.block_rows, residual.num_axes),
        *(1 if centres is None else 1 << centres.bits, 1 << residual.state_bits),
    )
    return dict(zip(_OF_RESIDUALS, facts, strict=True))


def _lines(facts: Mapping[str, object]) -> dict[str, str]:
    """Returns facts as lines for people, with those within a fact as lines of their own."""
    lines = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            more = {key: each for key, each in value.items() if key not in {*facts, *_OF_SOME}}
            lines |= _lines(more)
        elif name != "curve":  # only programs need what a residual stage was chosen from
            lines[name] = _shown(value)
    return lines


def _shown(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return " x ".join(map(_shown, value)) if isinstance(value, list) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
