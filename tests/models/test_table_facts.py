import pytest

from nncompress import FormatError
from nncompress.formats.safetensors import Tensor
from nncompress.models.table_facts import check_tables, check_tensors

SIZES = {"num_bytes": 9, "num_embeddings": 4, "embedding_dim": 3}
FACTS = SIZES | {"num_added": 2, "trained": {"codebook": [8, 3]}, "is_head": False}
TENSORS = {
    "wte.nnc": Tensor("U8", (9,), 0, 9),
    "wte.added": Tensor("F16", (2, 3), 9, 12),
    "wte.codebook": Tensor("F32", (8, 3), 21, 96),
}


def test_what_was_written_is_taken():
    for facts in (SIZES, FACTS):
        assert check_tables({"wte": facts}, "x") == {"wte": facts}
        check_tensors("wte", facts, TENSORS, "x")


@pytest.mark.parametrize("name", [*SIZES, "num_added"])
@pytest.mark.parametrize("value", [-1, 1 << 70, "9", 1.5, True, None, [], {}])
def test_sizes_of_any_other_kind_are_refused(name, value):
    with pytest.raises(FormatError, match=r"has .* for the compressed table 'wte'; wanted"):
        check_tables({"wte": FACTS | {name: value}}, "config.json")


@pytest.mark.parametrize(
    "facts",
    [
        None, [1], "x", {}, FACTS | {"trained": None}, FACTS | {"trained": {"codebook": 3}},
        FACTS | {"trained": {"codebook": [-3, 3]}}, FACTS | {"is_head": "x"},
    ],
)  # fmt: skip
def test_facts_of_any_other_kind_are_refused(facts):
    with pytest.raises(FormatError, match="for the compressed table 'wte'"):
        check_tables({"wte": facts}, "config.json")
    with pytest.raises(FormatError, match=r"config.json lists no compressed tables"):
        check_tables([facts], "config.json")


@pytest.mark.parametrize("name", list(TENSORS))
@pytest.mark.parametrize("other", [None, Tensor("I8", (9,), 0, 9), Tensor("U8", (1, 9), 0, 9)])
def test_tensors_that_facts_do_not_tell_of_are_refused(name, other):
    tensors = {key: each for key, each in TENSORS.items() if key != name}
    if other is not None:
        tensors[name] = other
    with pytest.raises(FormatError, match=f"tensor '{name}'"):
        check_tensors("wte", FACTS, tensors, "x")
