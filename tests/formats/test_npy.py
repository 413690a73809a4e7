import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nncompress.errors import FormatError, InputError
from nncompress.formats.npy import map_npy

NUMBERS = st.one_of(
    arrays.floating_dtypes(endianness="?"),
    arrays.integer_dtypes(endianness="?"),
    arrays.boolean_dtypes(),
    arrays.unicode_string_dtypes(min_len=1, max_len=4),
)


@given(
    array=arrays.arrays(NUMBERS, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0)),
    fortran_order=st.booleans(),
)
def test_whatever_numpy_saves_is_mapped(tmp_path_factory, array, fortran_order):
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    np.save(path, np.asfortranarray(array) if fortran_order and array.ndim > 1 else array)
    mapped, expected = map_npy(path), np.load(path)
    assert (mapped.shape, mapped.dtype) == (expected.shape, expected.dtype)
    assert mapped.tobytes() == expected.tobytes()
    assert mapped.size == 0 or not mapped.flags.writeable


def written(path, header, version=b"\x01\x00", data=bytes(48)):
    text = header.encode()
    length = len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    path.write_bytes(b"\x93NUMPY" + version + length + text + data)
    return path


@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00"])
@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3L, 4L), }      \n",
        '{"shape":(3,4),"fortran_order":False,"descr":"<f4"}',
    ],
)
def test_headers_of_other_writers_are_read(tmp_path, header, version):
    assert map_npy(written(tmp_path / "x.npy", header, version)).shape == (3, 4)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{'descr': '|O', 'fortran_order': False, 'shape': (3, 4), }", "holds Python objects"),
        (
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
            "not that of an array",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4), }", "not that of an array"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)", "not that of an array"),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 4), }", "not that of an array"),
        ("{'descr': '<f4', 'shape': (3, 4), }", "not that of an array"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (12), }{", "not that of an array"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os'), }",
            "not that of an array",
        ),
        ("[" * 9_000, "not that of an array"),
        ("{'descr': '<f5', 'fortran_order': False, 'shape': (3, 4), }", "elements of type"),
        ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (3, 4), }", "elements of type"),
        ("{'descr': '<U0', 'fortran_order': False, 'shape': (3, 4), }", "has the shape"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1" + "0" * 30 + "), }",
            "the shape",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 40 + "), }", "the shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 5), }", "that is complete"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }".ljust(10_001), "10001 byt"),
        ("", "ends in its header"),
    ],
)
def test_headers_that_are_not_plain_are_refused(tmp_path, header, message):
    path = written(tmp_path / "x.npy", header)
    with pytest.raises(FormatError, match=rf"^{re.escape(str(path))}.*{message}"):
        map_npy(path)


def test_what_is_no_file_is_refused(tmp_path):
    for path, seen in [
        (tmp_path, "is a directory"),
        (tmp_path / "no.npy", "does not exist"),
        (tmp_path / ("x" * 300), "cannot be opened"),
    ]:
        with pytest.raises(InputError, match=seen):
            map_npy(path)
    (tmp_path / "short.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(FormatError, match="it begins with"):
        map_npy(tmp_path / "short.npy")
