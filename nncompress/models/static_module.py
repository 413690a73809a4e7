"""The table of a static model as a PyTorch module."""

from nncompress.missing import brought_by

with brought_by("hf"):
    import torch

from nncompress.embedding.bridges.torch_module import TRAINED, TableEmbedding
from nncompress.errors import InputError
from nncompress.models.static_file import StaticTable


def table_embedding(static: StaticTable) -> TableEmbedding:
    """Creates the module of a table with its trained parts, without weights and mapping.

    Raises:
        InputError: A trained part does not belong to this table.
    """
    table = TableEmbedding.of(static.rows, trainable=bool(static.trained))
    with torch.no_grad():
        for name, array in static.trained.items():
            own = getattr(table, name) if name in TRAINED else None
            if own is None or own.shape != array.shape:
                raise InputError(
                    f"the file has {name!r} of shape {array.shape} beside its table, which has no "
                    "such part"
                )
            own.copy_(torch.from_numpy(array.astype("float32")))
    return table
