"""Compressed static models, as model2vec has them: ``StaticModel.from_pretrained(folder)``."""

from nncompress.models.static_model import StaticModel

__all__ = ["StaticModel"]
