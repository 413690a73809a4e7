import json

import numpy as np

from nncompress.formats.safetensors import map_tensors
from nncompress.models.tensors import header_of, new_tensor, rewrite_tensors


def test_names_and_metadata_of_any_characters_are_kept(tmp_path):
    entry = {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}
    header = json.dumps({"é\u2028": entry, "__metadata__": {"format": "\ud800"}}).encode()
    path, new = tmp_path / "x.safetensors", tmp_path / "new.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"abc")
    more = rewrite_tensors(path, new, [], {"added": new_tensor("U8", np.arange(5, dtype="u1"))})
    assert more == 5
    assert header_of(new).metadata == header_of(path).metadata == {"format": "\ud800"}
    tensors = map_tensors(new, "a file").tensors
    assert {name: bytes(each) for name, each in tensors.items()} == {
        "é\u2028": b"abc", "added": bytes(range(5)),
    }  # fmt: skip
