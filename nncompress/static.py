"""Compressed static models like model2vec's: ``StaticModel.from_pretrained(folder)``."""

from nncompress.models.static_model import StaticModel

__all__ = ["StaticModel"]
