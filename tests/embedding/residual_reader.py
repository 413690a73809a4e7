"""A reader of format version 2, written from docs/file-format.md with nothing of this project.

It takes Python's integers one by one, and coordinates in float32 as the page has them.
"""

import json
import struct

import numpy as np

GENERATORS = {
    **{3: (0o15, 0o17), 4: (0o23, 0o35), 5: (0o53, 0o75), 6: (0o133, 0o171)},
    **{7: (0o247, 0o371), 8: (0o561, 0o753), 9: (0o1167, 0o1545), 10: (0o2335, 0o3661)},
}
TYPES = {"U8": "u1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "F32": "<f4", "U32": "<u4"}


def sections_of(data):
    """Returns the metadata and the sections of a file's bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    sections = {}
    for name, entry in header.items():
        begin, end = (8 + length + place for place in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], TYPES[entry["dtype"]])
        sections[name] = array.reshape(entry["shape"])
    return metadata, sections


def unpacked(row, bits, count):
    """Returns integers that are packed in a row's bytes."""
    number = int.from_bytes(bytes(row), "little")
    return [number >> bits * i & (1 << bits) - 1 for i in range(count)]


def matrix_of(packed, scales, bits, dim):
    """Returns a matrix in few bits."""
    integers = np.array([unpacked(row, bits, dim) for row in packed], np.float32)
    return (integers - 2 ** (bits - 1)) * scales.astype(np.float32)[:, None]


def rows_of(data):
    """Returns the rows of a file's bytes, float64 ``(N, D)``."""
    metadata, sections = sections_of(data)
    numbers = {name: int(text) for name, text in metadata.items() if text.isdigit()}
    kept = {
        name.removeprefix("residual."): array
        for name, array in sections.items()
        if name.startswith("residual.")
    }
    num_rows, dim = numbers["num_rows"], len(kept["mean"])
    axes = axes_of(kept, dim)[kept["axis_scales"] != -32_768]
    coordinates = coordinates_of(numbers, kept).astype(np.float64)
    if numbers["cluster_bits"]:
        coordinates += centres_of(numbers, kept, len(axes), num_rows)
    rows = coordinates @ axes + kept["mean"]
    if numbers["num_codebooks"]:
        rows += sums_of(numbers, sections, num_rows, dim)
    return rows


def rice_rows(kept, name, lengths):
    """Returns rows of integers in Rice's code."""
    high = "".join(f"{byte:08b}"[::-1] for byte in kept[f"{name}_high"].tolist())
    low = bytes(kept[f"{name}_low"])
    rows = []
    for length, n in zip(lengths, kept[f"{name}_low_bits"].tolist(), strict=True):
        size = -(-length * n // 8)
        packed, low = unpacked(low[:size], n, length), low[size:]
        row = []
        for part in packed:
            zeros = high.index("1")
            high = high[zeros + 1 :]
            u = (zeros << n) + part
            row.append(u // 2 if u % 2 == 0 else -(u + 1) // 2)
        rows.append(row)
    return rows


def axes_of(kept, dim):
    """Returns all axes, float64 ``(D, D)``."""
    axes = np.eye(dim)
    lengths = [dim - s for s in range(len(kept["reflections_low_bits"]))]
    for s, integers in enumerate(rice_rows(kept, "reflections", lengths)):
        if any(integers):
            w = np.array([0] * s + integers, np.float64)
            w /= np.linalg.norm(w)
            w[s] += 1 if w[s] >= 0 else -1
            w /= np.linalg.norm(w)
            axes = (np.eye(dim) - 2 * np.outer(w, w)) @ axes
    return axes


def centres_of(numbers, kept, num_axes, num_rows):
    """Returns the coordinates of each row's centre, float64 ``(N, T)``."""
    bits = numbers["cluster_bits"]
    integers = np.array(rice_rows(kept, "centres", [2**bits] * num_axes), np.float64)
    clusters = [cluster for group in kept["clusters"] for cluster in unpacked(group, bits, 8)]
    return (integers * kept["centre_steps"][:, None])[:, clusters[:num_rows]].T


def sums_of(numbers, sections, num_rows, dim):
    """Returns the sums of codewords."""
    codebook = sections["codebook"]
    if "codebook_bits" in numbers:
        bits = numbers["codebook_bits"]
        codebook = matrix_of(codebook, sections["codebook_scales"], bits, numbers["num_columns"])
    groups = codebook.astype(np.float64).reshape(numbers["num_codebooks"], -1, dim)
    bits = max(1, (numbers["num_codewords"] - 1).bit_length())
    total = np.zeros((num_rows, dim))
    for n in range(num_rows):
        codes = unpacked(sections["codes"][n], bits, len(groups))
        total[n] = sum(group[code] for group, code in zip(groups, codes, strict=True))
    return total


class Block:
    """The bytes of a block."""

    def __init__(self, data):
        self.x = int.from_bytes(data[:3], "little")
        words = data[3:]
        if len(data) % 2 == 0:
            self.x += words[-1] << 24
            words = words[:-1]
        self.words = [w for (w,) in struct.iter_unpack("<H", words)]

    def renew(self):
        if self.x < 65_536:
            self.x = self.x * 65_536 + (self.words.pop(0) if self.words else 0)

    def symbol(self, frequencies):
        slot = self.x % 4096
        symbol, before = 0, 0
        while slot >= before + frequencies[symbol]:
            before += frequencies[symbol]
            symbol += 1
        self.x = frequencies[symbol] * (self.x // 4096) + slot - before
        self.renew()
        return symbol

    def bits(self, count):
        value = self.x % 2**count
        self.x //= 2**count
        self.renew()
        return value


def coordinates_of(numbers, kept):
    """Returns coordinates along the axes, float32 ``(N, T)``."""
    num_rows, group = numbers["num_rows"], numbers["block_rows"]
    scales = [int(scale) for scale in kept["axis_scales"] if scale != -32_768]
    coordinates = np.zeros((num_rows, len(scales)), np.float32)
    for block in range(-(-num_rows // group)):
        chunk, inside = divmod(block, 32)
        lengths = unpacked(kept["lengths"][chunk], numbers["length_bits"], 32)
        lengths = [length + numbers["least_length"] for length in lengths]
        place = int(kept["starts"][chunk]) + sum(lengths[:inside])
        data = bytes(kept["data"][place : place + lengths[inside]])
        rows = coordinates[block * group : (block + 1) * group]
        read_block(Block(data), rows, numbers["state_bits"], scales, kept)
    return coordinates


def read_block(block, rows, state_bits, scales, kept):
    """Reads a block to the coordinates of its rows."""
    tables = [[[int(f) for f in of_c] for of_c in table] for table in kept["frequencies"]]
    shifts = [int(shift) for shift in kept["shifts"]]
    for n, row in enumerate(rows):
        r = block.symbol([int(f) for f in kept["class_frequencies"]])
        state, waiting = 0, []
        for t in range(len(row)):
            label, c = label_of(state, state_bits)
            m = scales[t] + int(kept["class_offsets"][r])
            m = min(max(m, 0), len(tables) - 1)
            k = block.symbol(tables[m][c])
            if k == 15:
                e = block.bits(4)
                k = 15 + 2**e - 1 + block.bits(e)
            k = k * 2 ** shifts[m] + block.bits(shifts[m])
            p = k % 2
            stays = label == (2 * p if c == 0 else 3 - 2 * p)
            state = (2 * state + (not stays)) % 2**state_bits
            value = kept["points"][m, c, k].astype(np.float32) if k < 4 else np.float32(2 * k - c)
            if k == 0:
                continue
            row[t] = value * kept["class_steps"][r]
            if n == len(rows) - 1 and len(waiting) < 16:
                waiting.append(t)
            elif block.bits(1):
                row[t] *= -1
        for i, t in enumerate(waiting):
            if block.x >> i & 1:
                row[t] *= -1


def label_of(state, state_bits):
    """Returns a state's label and quantizer."""
    g, h = GENERATORS[state_bits]
    a, b = ((2 * state & generator).bit_count() % 2 for generator in (g, h))
    label = [[0, 1], [3, 2]][a][b]
    return label, label % 2
