import json
from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncompress.errors import FormatError, InputError
from nncompress.machine import Machine
from nncompress.runs.config import _SCHEMA, read_config, write_config
from nncompress.runs.data import TrainingData
from nncompress.runs.decoding import DecodingChoices, decode
from nncompress.runs.run import RunChoices, continued_run

GOOD = {"M": 4, "K": 8, "seed": 0, "limit": None, "weights": None, "matrix_shape": [3, 2]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("M", '"x"'), ("M", "true"), ("M", "4.0"), ("M", "0"), ("K", "65537"), ("M", "1" * 100),
        ("n_codebooks", '"4"'), ("n_centroids", "[8]"), ("weights", "5"),
        ("weights", '"a\\u0000"'),
        ("limit", "[1]"), ("limit", "0"), ("matrix_shape", "3"), ("matrix_shape", "[3]"),
        ("matrix_shape", "[3, -2]"), ("seed", "1e400"), ("seed", "-1"), ("seed", "NaN"),
        ("learning_rate", "-Infinity"), ("learning_rate", "1" + "0" * 400), ("tau", "null"),
        ("objective", "{}"), ("recipe", '["fast"]'), ("init", '"zeros"'), ("normalize", "1"),
        ("input_matrix", "null"), ("input_matrix", '"\\ud800"'), ("gpu", "-2"), ("gpu", "0.5"),
        ("own_extensions", '"x"'), ("own_optimizer", "1"), ("unknown", "[" * 100_000),
        ("input_matrix", '"' + "x" * 5_000 + '"'),
    ],
)  # fmt: skip
def test_an_entry_that_is_not_what_it_may_be_is_named(tmp_path, name, text):
    (tmp_path / "config.json").write_text(json.dumps(GOOD)[:-1] + f', "{name}": {text}}}')
    with pytest.raises(FormatError) as refusal:
        read_config(tmp_path)
    line = str(refusal.value)
    assert line.startswith(str(tmp_path / "config.json"))
    assert "\n" not in line
    assert len(line) < 400
    assert name in line or "is not valid JSON" in line


def test_what_is_written_is_read_with_entries_that_are_not_known(tmp_path):
    config = GOOD | {"of another version": [1, {"a": None}]}
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config


def test_a_file_that_is_no_configuration_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist; wanted a run directory"):
        read_config(tmp_path)
    for content, message in [
        (b"[1]", "holds a list"),
        (b"", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b" " * (16 << 20) + b"{}", "more than 16 MiB"),
    ]:
        (tmp_path / "config.json").write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_config(tmp_path)


@pytest.mark.parametrize("change", [{"M": "x"}, {"weights": 5}, {"limit": [1]}, {"seed": 1.5}])
def test_decoding_and_going_on_name_the_entry(tmp_path, change):
    write_config(tmp_path, GOOD | change)
    for name in ("trainer_snapshot.npz", "iter_1.npz"):
        (tmp_path / name).touch()
    (name,) = change
    with pytest.raises(FormatError, match=f"config.json: {name} is"):
        continued_run(tmp_path, RunChoices())
    with pytest.raises(FormatError, match=f"config.json: {name} is"):
        decode(tmp_path, datetime(2026, 1, 1), Machine(), DecodingChoices())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(_SCHEMA)), JSON))
def test_any_values_are_read_or_refused(tmp_path_factory, config):
    directory = tmp_path_factory.mktemp("run")
    (directory / "config.json").write_text(json.dumps(config))
    with suppress(FormatError):
        assert read_config(directory) == config


def test_a_run_without_a_model_is_told_to_be_continued(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(GOOD))
    with pytest.raises(InputError, match=r"has no model yet, as .*: nncompress train --resume "):
        decode(tmp_path, datetime(2026, 1, 1), Machine(), DecodingChoices())
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match="has no snapshot"):
        decode(tmp_path, datetime(2026, 1, 1), Machine(), DecodingChoices())


def test_text_in_the_place_of_a_matrix_is_told_what_takes_it(tmp_path):
    (tmp_path / "v.txt").write_text("king 0.1 0.2\n")
    data = TrainingData(tmp_path / "v.txt", None, "distance", None)
    with pytest.raises(FormatError, match=r"for text: nncompress compress FILE OUT\.nnc -M 32"):
        data.open()
