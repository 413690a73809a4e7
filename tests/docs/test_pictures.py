"""The pictures that are kept are those that their script draws."""

import importlib.util

import pytest

from tests.docs.pages import REPOSITORY

SCRIPT = REPOSITORY / "docs" / "pictures" / "draw.py"


@pytest.mark.parametrize("name", ["alpha", "autoencoder", "file", "refinement", "trellis"])
def test_a_picture_is_what_the_script_draws(name, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("draw", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(script, "__file__", str(tmp_path / "draw.py"))
    getattr(script, name)()
    drawn = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn == SCRIPT.with_name(f"{name}.svg").read_text(encoding="utf-8")
