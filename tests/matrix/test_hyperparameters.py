import copy
import json

import numpy as np
import pytest

from nncompress.matrix import (
    CompressionOp,
    CompressionOptions,
    HParams,
    UpdateOptions,
    get_apply_compression,
)

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
        ("update_option=4", "update_option is 4; wanted 0, for updates by the trainer's"),
        ("compression_option=1,update_option=3", "update_option is 3, for no update, with"),
        ("begin_compression_step=-1", "begin_compression_step is -1; wanted 0 or more"),
        ("begin_pruning_step=3,end_pruning_step=3", "begin_pruning_step is 3 and end_pruning_"),
        (
            "sparsity_function_end_step=0",
            "sparsity_function_begin_step is 0 and sparsity_function",
        ),
        ("sparsity_function_end_step=-1", "wanted the beginning before the end$"),
        ("target_sparsity=1", "target_sparsity is 1"),
        ("initial_sparsity=-0.1", "initial_sparsity is -0.1"),
        ("sparsity_function_exponent=0", "sparsity_function_exponent is 0"),
        ("pruning_frequency=0", "pruning_frequency is 0; wanted at least 1"),
        ("block_method=masks", "block_method is 'masks'; wanted mask or loop"),
        ("num_bases=0", "num_bases is 0; wanted at least 1"),
        ("rank=1,rank=2", "rank is given twice"),
        ("run_update_interval_check=2", "run_update_interval_check is 2; wanted 0 or 1"),
        ("compression_option=4,pruning_fraction=0.5", "pruning_fraction is 0.5 with compression_"),
        ("nbins=100", "nbins has no meaning here: thresholds are exact"),
        ("block_width=4", "block_width has no meaning here"),
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


def test_json_is_that_of_the_standard_library_and_is_read_again():
    hparams = defaults().parse(TEXT)
    for options in ({}, {"indent": 2}, {"separators": (",", ":"), "sort_keys": True}):
        text = hparams.to_json(**options)
        assert text == json.dumps(hparams.values(), **options)
        assert defaults().parse_json(text).values() == hparams.values()
    assert defaults().parse_json('{"rank": 300, "use_tpu": true}').rank == 300
    before = hparams.values()
    for text, message in (
        ("{", "are not valid JSON"),
        ("[1]", "are a JSON array; wanted an object"),
        ("null", "are a JSON null; wanted an object"),
        ('{"rank": 1, "rank": 2}', "rank is given twice, as 1 and 2"),
        ("[" * 100_000, "are not valid JSON"),
        ({"rank": 1}, "are of type dict; wanted a JSON string"),
        ('{"rank": 3, "rnak": 3}', "no hyperparameter 'rnak'"),
        ('{"rank": 3, "use_tpu": 1}', "use_tpu is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            hparams.parse_json(text)
    assert hparams.values() == before


def test_names_are_asked_for_added_and_removed():
    hparams = defaults()
    assert "rank" in hparams
    assert "rnak" not in hparams
    assert hparams.override_from_dict({"rank": 7, "name": "x"}) is hparams
    assert (hparams.rank, hparams.name) == (7, "x")
    hparams.add_hparam("depth", 3)
    assert hparams.parse("depth=4").depth == 4
    assert hparams.copy().depth == 4
    assert copy.deepcopy(hparams).values() == hparams.values()
    for name, value, message in (
        ("depth", 3, "the name 'depth' is taken"),
        ("parse", 3, "the name 'parse' is taken"),
        ("layers", [1], r"layers is \[1\]; wanted a bool, an int, a float or a str"),
    ):
        with pytest.raises(ValueError, match=message):
            hparams.add_hparam(name, value)
    hparams.del_hparam("depth")
    hparams.del_hparam("depth")
    assert "depth" not in hparams
    assert hparams.get("rank", 3) == 7
    with pytest.raises(ValueError, match="rank is 'much'"):
        hparams.get("rank", "much")


def test_options_are_given_as_numbers_members_or_names():
    given = (
        ("compression_option=3", 3),
        ("compression_option=DL_MATRIX_COMPRESSION", 3),
        ({"compression_option": CompressionOptions.DL_MATRIX_COMPRESSION}, 3),
    )
    for value, number in given:
        hparams = defaults()
        hparams.parse(value) if isinstance(value, str) else hparams.update(value)
        assert hparams.compression_option == number
    assert defaults().parse("update_option=PYTHON_UPDATE").update_option == 1
    assert UpdateOptions.TF_AND_PYTHON_UPDATE == 2
    assert json.loads(defaults().to_json())["compression_option"] == 0
    for text, message in (
        (
            "compression_option=LOWRANK",
            "'LOWRANK'; wanted a number, or one of NO_MATRIX_.*, LOWRANK_",
        ),
        ("compression_option=1.5", "'1.5'; wanted a number, or one of"),
        ("update_option=PYTHON", "'PYTHON'; wanted a number, or one of TF_UPDATE, PYTHON_UPDATE"),
    ):
        with pytest.raises(ValueError, match=message):
            defaults().parse(text)


@pytest.mark.parametrize("given", [None, 3, ["rank=1"], b"rank=1"])
def test_what_holds_no_hyperparameters_is_refused(given):
    for method, wanted in (
        (defaults().parse, "a string of the form name=value"),
        (defaults().parse_json, "a JSON string"),
        (defaults().override_from_dict, "a dictionary of names and values"),
    ):
        with pytest.raises(ValueError, match=f"type {type(given).__name__}; wanted {wanted}"):
            method(given)


def test_a_specification_must_be_whole_and_says_what_has_no_effect(caplog):
    with pytest.raises(ValueError, match="the hyperparameters have no name; wanted all those of"):
        get_apply_compression(HParams(rank=3))
    for hparams, line in (
        (
            "compression_option=9,rank=3,num_bases=2,end_compression_step=7",
            "no effect with compression_option 9: num_bases, rank, end_compression_step",
        ),
        ("compression_option=1,use_tpu=True", "use_tpu has no effect"),
        (
            "compression_option=1,update_option=1,compression_frequency=3,end_compression_step=300",
            "compression_frequency has no effect with update_option 1",
        ),
        (
            "compression_option=1,run_update_interval_check=0,begin_compression_step=9",
            "count as step 1, before begin_compression_step 9: they change nothing",
        ),
        ("compression_option=10,block_method=mask", "mask computes the same as loop"),
    ):
        caplog.clear()
        get_apply_compression(hparams)
        (record,) = caplog.records
        assert line in record.getMessage()
