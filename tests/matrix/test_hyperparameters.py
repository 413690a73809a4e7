import numpy as np
import pytest

from nncompress.matrix import CompressionOp, get_apply_compression

TEXT = (
    "name=cifar10_compression,alpha_decrement_value=0.005,begin_compression_step=40000,"
    "end_compression_step=100000,compression_frequency=100,compression_option=1,use_tpu=True,"
    "update_option=0,rank=200"
)


def defaults():
    return CompressionOp.get_default_hparams()


def test_the_originals_string_is_parsed():
    hparams = defaults().parse(TEXT)
    assert hparams.name == "cifar10_compression"
    assert hparams.alpha_decrement_value == 0.005
    assert (hparams.begin_compression_step, hparams.end_compression_step) == (40_000, 100_000)
    assert hparams.compression_frequency == 100
    assert hparams.compression_option == 1
    assert hparams.use_tpu is True
    assert hparams.rank == 200
    assert hparams.block_size == 1


def test_defaults_are_as_documented():
    expected = {
        "name": "model_compression", "alpha_decrement_value": 0.01, "begin_compression_step": 0,
        "end_compression_step": -1, "compression_frequency": 10, "compression_option": 0,
        "rank": 100, "update_option": 0, "use_tpu": False, "block_size": 1,
        "pruning_fraction": 0.0, "num_codewords": 16, "num_codebooks": 0,
    }  # fmt: skip
    values = defaults().values()
    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnak=3", "no hyperparameter 'rnak'"),
        ("rank=much", "rank is 'much'; wanted a value of type int"),
        ("rank=2.5", "rank is '2.5'"),
        ("use_tpu=maybe", "use_tpu is 'maybe'"),
        ("alpha_decrement_value=x", "alpha_decrement_value is 'x'"),
        ("rank", "'rank' is not of the form name=value"),
        ("rank=0", "rank is 0; wanted at least 1"),
        ("compression_frequency=0", "compression_frequency is 0"),
        ("alpha_decrement_value=0", "alpha_decrement_value is 0"),
        ("begin_compression_step=5,end_compression_step=5", "begin_compression_step is 5 and end"),
        ("pruning_fraction=1", "pruning_fraction is 1"),
        ("update_option=2", "update_option is 2"),
        ("compression_option=4,pruning_fraction=0.5", "pruning_fraction is 0.5 with compression_"),
        ("target_sparsity=0.5", "target_sparsity belongs to the original's pruning schedule"),
    ],
)
def test_mistakes_name_the_hyperparameter_and_set_nothing(text, message):
    hparams = defaults()
    before = hparams.values()
    with pytest.raises(ValueError, match=message.replace("'2.5'", r"'2\.5'")):
        hparams.parse(f"name=other,{text}")
    assert hparams.values() == before


def test_values_are_set_in_their_types():
    hparams = defaults()
    hparams.rank = np.int64(7)
    with pytest.raises(ValueError, match="rank is 0"):
        hparams.rank = 0
    with pytest.raises(ValueError, match="no hyperparameter 'rnak'"):
        hparams.rnak = 3
    assert hparams.copy().update({"rank": 9}).rank == 9
    assert hparams.update({"alpha_decrement_value": 1}).alpha_decrement_value == 1.0
    assert hparams.get("rank") == 7
    assert hparams.get("none") is None
    for name, value in (("rank", 1.5), ("rank", True), ("use_tpu", 1), ("name", 3)):
        with pytest.raises(ValueError, match=f"{name} is {value!r}"):
            hparams.set_hparam(name, value)
    with pytest.raises(AttributeError, match="no hyperparameter 'none'"):
        _ = hparams.none


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="compression_option is 7; wanted one of 0, 1, 2"):
        get_apply_compression("compression_option=7")
