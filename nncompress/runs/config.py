"""A run's configuration, ``config.json``, and the rules for its entries.

The settings obey the same rules as the commands' flags. A table holds them rather than a schema
library, because the settings have them anyway and most are ranges.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from nncompress.errors import FormatError, InputError
from nncompress.formats.files import atomic_path
from nncompress.formats.npy import open_file
from nncompress.formats.strict_json import strict_json
from nncompress.training.rules import PATH, POSITIVE, TEXT, Rule, list_of, one_of, optional, whole
from nncompress.training.settings import COMMUNICATORS, OBJECTIVES, RULES

CONFIG_FILE = "config.json"
# The names of some settings in the file.
CONFIG_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "num_codebooks": "M",
        "num_codewords": "K",
        "full_precision": "fp32",
        "batch_size": "batchsize",
        "epochs": "epoch",
    }
)
_MOST_BYTES = 16 << 20
_SCHEMA: dict[str, Rule] = {
    **{CONFIG_NAMES.get(name, name): rule for name, rule in RULES.items()},
    # The names of M and K in the Chainer port of 2018.
    "n_codebooks": RULES["num_codebooks"],
    "n_centroids": RULES["num_codewords"],
    "epoch": POSITIVE,  # passes over the rows, which need not be whole
    "input_matrix": PATH,
    "matrix_shape": list_of(whole(1), "[rows, columns]", 2),
    "matrix_sample": TEXT,
    "limit": optional(whole(1)),
    "objective": one_of(OBJECTIVES),
    "weights": optional(PATH),
    "gpu": whole(-1),
    "communicator": optional(one_of(COMMUNICATORS)),
    "processes": whole(1),
    "own_optimizer": optional(TEXT),
    "own_extensions": list_of(TEXT, "a list of names"),
}


def write_config(directory: Path, config: dict[str, object]) -> None:
    """Writes ``config.json``."""
    with atomic_path(directory / CONFIG_FILE) as temporary:
        temporary.write_text(
            strict_json(config, indent=4, sort_keys=True) + "\n", encoding="utf-8"
        )


def read_config(directory: Path) -> dict[str, object]:
    """Reads ``config.json``, including that of the Chainer port of 2018.

    Returns:
        All entries; the known ones are checked, others are left as they are.

    Raises:
        InputError: It is missing.
        FormatError: It is not a JSON object, or an entry breaks its rule.
    """
    path = directory / CONFIG_FILE
    with open_file(path, "a run directory of train_comp.py") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise FormatError(f"{path} has more than 16 MiB; wanted a run's configuration")
    try:
        config = json.loads(
            content.decode("utf-8"), parse_float=_finite, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise FormatError(f"{path} holds a {type(config).__name__}; wanted a JSON object")
    for name in config.keys() & _SCHEMA.keys():
        try:
            _SCHEMA[name].check(f"{path}: {name}", config[name])
        except InputError as error:
            raise FormatError(str(error)) from None
    return config


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_number(digits)


def _no_number(digits: str) -> float:
    raise ValueError(f"{digits[:40]} is not a finite number")
