"""Recognizing files by their first bytes, and advice for those that cannot be read here.

Nothing here opens another library's files: users are told what to do with them.
"""

import shlex
from pathlib import Path

from nncompress.sources.fasttext_model import MAGIC as FASTTEXT
from nncompress.sources.streams import COMPRESSED

# The number of first bytes that identify a file: those of a tar archive begin at byte 257.
START_BYTES = 512
_ZIP, _PICKLE, _SAVE = b"PK\x03\x04", b"\x80", "save the table in Python first:"
# A zip archive begins with the name of its first member.
_MEMBER = slice(30, 30 + 255)
_ENDINGS = {
    b"\x93NUMPY": ".npy",
    b"\x1f\x8b": ".gz",
    b"\xfd7zXZ": ".xz",
    b"BZh": ".bz2",
    b"PAR1": ".parquet",
    FASTTEXT: ".bin",
}
_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"GGUF": "GGUF",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf'\x1c": "7z",
    b"Rar!": "RAR",
    b"\x04\x22\x4d\x18": "lz4",
}
_NAMES = {
    **dict.fromkeys((".pt", ".pth"), "PyTorch"),
    **dict.fromkeys((".pkl", ".pickle", ".joblib"), "pickle"),
    **dict.fromkeys((".h5", ".hdf5"), "HDF5"),
    ".gguf": "GGUF", ".onnx": "ONNX", ".msgpack": "msgpack", ".pb": "TensorFlow",
    ".zst": "zstd", ".7z": "7z", ".rar": "RAR", ".lz4": "lz4", ".tsv": "TSV", ".csv": "CSV",
}  # fmt: skip
_SEPARATORS = {"TSV": b"\t", "CSV": b","}
_FIRST_IN_TEXT = ord("\t")
# What each kind of file is, and what to do with it in Python ({path!r}) or in a shell ({file}).
_PROBLEMS = {
    "PyTorch": "is a PyTorch checkpoint, a Python pickle, which is never loaded here; "
    f"{_SAVE} numpy.save('table.npy', torch.load({{path!r}}, weights_only=True)['NAME']"
    ".float().numpy())",
    "pickle": "is a Python pickle (gensim's or another library's own format), which is never "
    "loaded here; load it with its library, and give the object to nncompress.compress in Python, "
    "or save the table with numpy.save",
    "HDF5": f"is an HDF5 file, which is not read; {_SAVE} "
    "numpy.save('table.npy', h5py.File({path!r})['NAME'][:])",
    "GGUF": "is a GGUF model, whose tables are already quantized; use the model's safetensors "
    "file",
    "ONNX": f"is an ONNX model, which is not read; {_SAVE} numpy.save('table.npy', "
    "onnx.numpy_helper.to_array(initializer)), where initializer is the one with the vectors",
    "msgpack": "is a msgpack file (Flax's checkpoints), which is not read; save the table with "
    "numpy.save, or use the model's safetensors file",
    "TensorFlow": "is a TensorFlow graph, which is not read; save the table with numpy.save",
    "zstd": "is compressed with Zstandard; pipe it in: zstd -dc {file} | nncompress compress - "
    "OUT.nnc",
    "lz4": "is compressed with LZ4; pipe it in: lz4 -dc {file} | nncompress compress - OUT.nnc",
    "7z": "is a 7z archive; extract it first: 7z x {file}",
    "RAR": "is a RAR archive; extract it first: unrar x {file}",
    "tar": "is a tar archive; extract it first: tar -xf {file}",
    "TSV": "has values between tabs; wanted spaces between them, so pipe it in: "
    "tr '\\t' ' ' < {file} | nncompress compress - OUT.nnc",
    "CSV": "has values between commas; wanted spaces between them, so pipe it in: "
    "tr ',' ' ' < {file} | nncompress compress - OUT.nnc",
    "zip": "is a zip archive; give it a name that ends in .zip if it holds word vectors",
}


def ending_of(start: bytes) -> str:
    """Returns the ending that a file's name needs for the file to be read.

    Args:
        start: Its first bytes.

    Returns:
        ``".npy"`` and the like; ``".txt"`` for a file that is read as text.
    """
    for magic, ending in _ENDINGS.items():
        if start.startswith(magic):
            return ending
    if start.startswith(_ZIP):
        return ".npz" if _is_npz(start) else ".pt" if _is_pytorch(start) else ".zip"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32:
        return ".nnc" if b'"format":"nncompress"' in start.replace(b" ", b"") else ".safetensors"
    return ".json" if start.lstrip().startswith((b'{"', b"{\n")) else ".txt"


def problem_of(path: Path, start: bytes) -> str | None:
    """Returns why a file cannot be read as vectors in text, and what to do about it.

    Args:
        path: Its path.
        start: Its first bytes, ``START_BYTES`` of them or more; decompressed where its name is
            one of a compressed file.

    Returns:
        The end of a message that begins with the path; None if no reason is known.
    """
    if kind := _kind_of(path, start):
        return _PROBLEMS[kind].format(path=str(path), file=shlex.quote(str(path)))
    ending = ending_of(start)
    if ending == ".bin":
        return (
            "is a fastText model, which only nncompress compress reads, as an uncompressed "
            ".bin file; use that, or give its .vec file for the words alone"
        )
    if ending in (".nnc", ".txt", ".json", path.suffix):
        return None
    what = {".gz": "compressed with gzip", ".xz": "compressed with xz",
            ".bz2": "compressed with bzip2"}.get(ending, f"a {ending} file")  # fmt: skip
    if path.suffix in COMPRESSED:
        return f"holds data that is {what}; decompress it first, to a name that ends in {ending}"
    return f"is {what}; give it a name that ends in {ending}"


def _kind_of(path: Path, start: bytes) -> str | None:
    suffix = path.suffix if path.suffix not in COMPRESSED else path.with_suffix("").suffix
    named = _NAMES.get(suffix)
    if start.startswith(_ZIP):
        is_pytorch = _is_pytorch(start) or named == "PyTorch"
        return "PyTorch" if is_pytorch else None if _is_npz(start) else "zip"
    # A pickle's second byte is its protocol; a token of a table may begin with 0x80 alone.
    if start.startswith(_PICKLE) and start[1:2] <= b"\x0a":
        return "PyTorch" if named == "PyTorch" or path.name == "pytorch_model.bin" else "pickle"
    if start[257:262] == b"ustar":
        return "tar"
    known = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    if known or named is None:
        return known
    line = start.partition(b"\n")[0]
    if named in _SEPARATORS:
        return named if _SEPARATORS[named] in line else None
    # Its name alone does not show whether a file is text.
    return named if any(byte < _FIRST_IN_TEXT for byte in line) else None


def _is_pytorch(start: bytes) -> bool:
    return b"/data.pkl" in start[_MEMBER]


def _is_npz(start: bytes) -> bool:
    length = int.from_bytes(start[26:28], "little")
    return start[30 : 30 + length].endswith(b".npy")
