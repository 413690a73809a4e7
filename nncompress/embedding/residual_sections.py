"""The residual stage as named arrays and numbers, to be kept in files or other modules."""

from collections.abc import Mapping

import numpy as np

from nncompress.embedding.centres import TOGETHER, Centres
from nncompress.embedding.packing import Packing
from nncompress.embedding.residual import CHUNK, LEFT_OUT, EntropyTables, Residual, Stream
from nncompress.embedding.residual_kernels import POINTS, SYMBOLS
from nncompress.embedding.rice import RiceRows
from nncompress.embedding.sections import number, section
from nncompress.embedding.trellis_code import GENERATORS
from nncompress.errors import FormatError
from nncompress.formats.safetensors import read_tensors, tensor_bytes

# The section that is present if and only if there are rows with a residual stage.
STREAM = "data"
# Sections and metadata that belong to rows, not to the shared stage.
OF_ROWS = (STREAM, "starts", "lengths", "clusters")
NUMBERS_OF_ROWS = ("num_rows", "length_bits", "least_length")
_MOST_BLOCK_ROWS = 64
_MOST_SCALES = _MOST_CLASSES = 256
_MOST_SHIFT = 12
_MOST_CLUSTER_BITS = 16
_RICE_PARTS = ("low_bits", "low", "high")
_LEAST_BLOCK = 3  # bytes
_MOST = 10**12
_MOST_COLUMNS = 16_384  # their axes take 2 GiB while they are computed
_TOTAL = 4096  # sum of a table's frequencies


def sections_of(residual: Residual) -> dict[str, np.ndarray]:
    """Returns the arrays of a residual stage by name, in the types used in files."""
    tables, stream, centres = residual.tables, residual.stream, residual.centres
    of_centres = {}
    if centres is not None:
        of_centres = {
            "clusters": centres.clusters,
            "centre_steps": centres.steps,
            **_rice_sections("centres", centres.integers),
        }
    return {
        STREAM: stream.data,
        "starts": stream.starts,
        "lengths": stream.lengths,
        "mean": residual.mean,
        **_rice_sections("reflections", residual.reflections),
        "axis_scales": tables.axis_scales,
        "frequencies": tables.frequencies,
        "points": tables.points.astype(np.float16),
        "shifts": tables.shifts,
        "class_frequencies": tables.class_frequencies,
        "class_offsets": tables.class_offsets,
        "class_steps": tables.class_steps,
        **of_centres,
    }


def _rice_sections(name: str, rows: RiceRows) -> dict[str, np.ndarray]:
    return {f"{name}_{part}": getattr(rows, part) for part in _RICE_PARTS}


def metadata_of(residual: Residual) -> dict[str, str]:
    """Returns the numbers of a residual stage, as text by name."""
    stream = residual.stream
    numbers = {
        "num_rows": stream.num_rows,
        "state_bits": residual.state_bits,
        "cluster_bits": 0 if residual.centres is None else residual.centres.bits,
        "block_rows": stream.block_rows,
        "length_bits": stream.length_bits,
        "least_length": stream.least_length,
    }
    return {name: str(value) for name, value in numbers.items()}


def to_bytes(residual: Residual) -> np.ndarray:
    """Returns a residual stage as bytes in safetensors' layout, uint8."""
    arrays = sorted(sections_of(residual).items(), key=lambda item: -item[1].dtype.itemsize)
    parts = tensor_bytes(dict(arrays), metadata_of(residual))
    return np.frombuffer(b"".join(parts), np.uint8)


def of_bytes(data: np.ndarray) -> Residual:
    """Reads a residual stage from the bytes that ``to_bytes`` returned.

    Raises:
        FormatError: The bytes are not a residual stage.
    """
    file = read_tensors(data.tobytes(), "the state", "a residual stage")
    return residual_of(file.tensors, file.metadata)


def residual_of(sections: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Residual:
    """Returns the residual stage, given the results of ``sections_of`` and ``metadata_of``.

    Raises:
        FormatError: Something is missing, or does not match the rest.
    """
    return rows_of(shared_of(sections, metadata), sections, metadata)


def rows_of(
    shared: Residual, sections: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> Residual:
    """Returns a residual stage with the rows in sections and metadata.

    Args:
        shared: The stage, without rows.
        sections: The sections named in ``OF_ROWS``; others are ignored.
        metadata: The numbers by name.

    Raises:
        FormatError: Something is missing, or does not match the rest.
    """
    stream, clusters = _stream(sections, metadata, shared.stream.block_rows), None
    if shared.centres is not None:
        shape = -(-stream.num_rows // TOGETHER), shared.centres.bits
        clusters = section(sections, "clusters", shape, ("u1",))
    return shared.with_rows(stream, clusters)


def shared_of(sections: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> Residual:
    """Returns the part of a residual stage that its rows share: the stage without rows.

    Everything that kernels rely on is checked here, whoever wrote the arrays: compiled kernels
    check no bounds. The stream itself is not read. Small arrays are copied, so that later changes
    to a mapped file cannot affect them.

    Raises:
        FormatError: Something is missing, or does not match the rest.
    """
    mean = section(sections, "mean", (None,), ("f4",))
    if len(mean) > _MOST_COLUMNS:
        raise FormatError(f"there are {len(mean):,} columns; wanted at most {_MOST_COLUMNS:,}")
    reflections = _rice_rows(sections, "reflections")
    if len(reflections.low_bits) >= max(1, len(mean)):
        raise FormatError(
            f"there are {len(reflections.low_bits)} reflections for {len(mean)} columns"
        )
    tables = _tables(sections, len(mean))
    num_axes = int((tables.axis_scales != LEFT_OUT).sum())
    if num_axes == 0:
        raise FormatError("no axis is coded")
    return Residual(
        mean,
        reflections,
        tables,
        number(metadata, "state_bits", min(GENERATORS), max(GENERATORS)),
        Stream.empty(number(metadata, "block_rows", 1, _MOST_BLOCK_ROWS)),
        _centres(sections, metadata, num_axes),
    )


def _rice_rows(sections: Mapping[str, np.ndarray], name: str) -> RiceRows:
    parts = (section(sections, f"{name}_{part}", (None,), ("u1",)) for part in _RICE_PARTS)
    return RiceRows(*parts)


def _centres(
    sections: Mapping[str, np.ndarray], metadata: Mapping[str, str], num_axes: int
) -> Centres | None:
    bits = number(metadata, "cluster_bits", 0, _MOST_CLUSTER_BITS)
    if bits == 0:
        return None
    integers = _rice_rows(sections, "centres")
    if len(integers.low_bits) != num_axes:
        raise FormatError(f"centres of {len(integers.low_bits)} axes; wanted {num_axes}")
    steps = section(sections, "centre_steps", (num_axes,), ("f4",))
    return Centres(steps, integers, bits, np.empty((0, bits), np.uint8))


def _tables(sections: Mapping[str, np.ndarray], dim: int) -> EntropyTables:
    def small(name: str, shape: tuple[int | None, ...], kind: str) -> np.ndarray:
        return section(sections, name, shape, (kind,)).copy()

    frequencies = small("frequencies", (None, 2, SYMBOLS), "u2")
    class_frequencies = small("class_frequencies", (None,), "u2")
    num_scales, num_classes = len(frequencies), len(class_frequencies)
    for name, count, most in (
        ("scales", num_scales, _MOST_SCALES),
        ("row classes", num_classes, _MOST_CLASSES),
    ):
        if not 1 <= count <= most:
            raise FormatError(f"there are {count} {name}; wanted 1 to {most}")
    for name, array in (("frequencies", frequencies), ("class_frequencies", class_frequencies)):
        if array.min() < 1 or (array.sum(axis=-1, dtype=np.int64) != _TOTAL).any():
            raise FormatError(f"section {name!r} does not add up to {_TOTAL}, or has a 0")
    shifts = small("shifts", (num_scales,), "u1")
    if shifts.max() > _MOST_SHIFT:
        raise FormatError(f"there is a shift of {shifts.max()} bits; wanted up to {_MOST_SHIFT}")
    steps = small("class_steps", (num_classes,), "f4")
    if not (np.isfinite(steps) & (steps > 0)).all():
        raise FormatError("section 'class_steps' has a step that is not positive")
    points = section(sections, "points", (num_scales, 2, POINTS), ("f2",))
    return EntropyTables(
        frequencies,
        points.astype(np.float32),
        shifts,
        class_frequencies,
        small("class_offsets", (num_classes,), "i2"),
        steps,
        small("axis_scales", (dim,), "i2"),
    )


def _stream(
    sections: Mapping[str, np.ndarray], metadata: Mapping[str, str], block_rows: int
) -> Stream:
    data = section(sections, STREAM, (None,), ("u1",))
    num_rows = number(metadata, "num_rows", 1, _MOST)
    least = number(metadata, "least_length", _LEAST_BLOCK, _MOST)
    bits = number(metadata, "length_bits", 1, 32)
    num_blocks = -(-num_rows // block_rows)
    if len(data) < num_blocks * least:
        raise FormatError(
            f"there are {len(data)} bytes of rows; wanted at least {least} for each of "
            f"{num_blocks} blocks"
        )
    chunks = -(-num_blocks // CHUNK)
    starts = section(sections, "starts", (chunks,), ("u4", "u8"))
    lengths = section(sections, "lengths", (chunks, Packing(CHUNK, bits).row_bytes), ("u1",))
    return Stream(data, starts, lengths, bits, least, block_rows, num_rows)
