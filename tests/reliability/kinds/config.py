"""Run directories' ``config.json``, read as decoding and going on do."""

import json
from dataclasses import asdict

from nncompress.runs.config import CONFIG_NAMES
from nncompress.runs.data import TrainingData
from nncompress.runs.decoding import DecodingChoices, _code_size, _config_of, _data_of
from nncompress.runs.run import _settings_of
from nncompress.training.settings import TrainingOptions
from tests.reliability.fuzzing import Kind


def seeds(directory):
    settings = TrainingOptions(seed=3).resolve(300, 4, 8)
    matrix = directory / "matrix.npy"
    matrix.touch()
    ours = {CONFIG_NAMES.get(name, name): value for name, value in asdict(settings).items()}
    ours |= TrainingData(matrix, 300).config()
    ours |= {"matrix_shape": [300, 12], "epoch": 2.5, "gpu": -1, "own_optimizer": None}
    ours |= {"own_extensions": ["x"]}
    port = {"n_codebooks": 4, "n_centroids": 8, "seed": 0, "tau": 0.1, "input_matrix": str(matrix)}
    for name, config in (("ours", ours), ("port", port)):
        (directory / name).mkdir()
        (directory / name / "config.json").write_text(json.dumps(config))
    return [directory / "ours", directory / "port"]


def use(directory):
    snapshot = directory / "iter_1.npz"
    config = _config_of(snapshot)
    if directory.name == "ours":
        settings, _ = _settings_of(directory, config)
        settings.learning_rate_at(0), settings.tau_at(settings.iterations - 1)
    _code_size(snapshot, config, DecodingChoices())
    _data_of(snapshot, config, None, None, None)


KIND = Kind("config", seeds, use)
