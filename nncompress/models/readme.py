"""The README.md in a folder with compressed tables, for whoever is handed the folder alone."""

from pathlib import Path

from nncompress.models import model2vec_folder

README = Path("README.md")
_OF_TRANSFORMERS = """\
# A model with compressed embeddings
Write `import nncompress.hf` before this model is opened; nothing in config.json needs to be
deleted.
The import comes with `pip install "chainer-nncompress[hf]"`.
"""
_OF_MODEL2VEC = """\
# A model with compressed embeddings
Open it with `from nncompress.static import StaticModel; StaticModel.from_pretrained(FOLDER)`.
The import comes with `pip install "chainer-nncompress[hf]"`.
"""


def add_readme(folder: Path) -> None:
    """Writes how to open the model, unless its folder has a README.md of its own."""
    if not (folder / README).exists():
        (folder / README).write_bytes(_text_for(folder))


def own_readmes(folder: Path) -> set[Path]:
    """Returns the paths, in a folder with compressed tables, of what ``add_readme`` wrote."""
    path = folder / README
    return {README} if path.is_file() and path.read_bytes() == _text_for(folder) else set()


def _text_for(folder: Path) -> bytes:
    is_static = model2vec_folder.is_model2vec(folder)
    return (_OF_MODEL2VEC if is_static else _OF_TRANSFORMERS).encode()
