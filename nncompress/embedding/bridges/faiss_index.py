"""A faiss index over the same codes and codebook, or over decoded rows."""

import numpy as np

from nncompress.missing import brought_by

with brought_by("faiss"):
    import faiss

from nncompress.embedding.residual_table import ResidualTable, SingleTable
from nncompress.errors import InputError

_METRICS = {
    "inner_product": (faiss.METRIC_INNER_PRODUCT, faiss.AdditiveQuantizer.ST_LUT_nonorm),
    "l2": (faiss.METRIC_L2, faiss.AdditiveQuantizer.ST_decompress),
}


def to_faiss(table: SingleTable, metric: str = "inner_product") -> faiss.Index:
    """Makes an index of additive codes, which faiss packs as this project does.

    Rows with a residual stage are decoded into an ``IndexFlat``.

    Args:
        table: The compressed rows.
        metric: ``"inner_product"``, computed with look-up tables, or ``"l2"``, for which faiss
            decodes rows.

    Raises:
        InputError: The metric is unknown.
    """
    if metric not in _METRICS:
        raise InputError(f"the metric is {metric!r}; wanted one of {', '.join(_METRICS)}")
    kind, search = _METRICS[metric]
    if isinstance(table, ResidualTable):
        flat = faiss.IndexFlat(table.dim, kind)
        for _, rows in table.blocks():
            flat.add(rows)
        return flat
    index = faiss.IndexLocalSearchQuantizer(  # type: ignore[call-overload]  # its stub lacks one
        table.dim, table.num_codebooks, table.packing.bits, kind, search
    )
    faiss.copy_array_to_vector(table.codewords.ravel(), index.lsq.codebooks)
    index.lsq.is_trained = index.is_trained = True
    index.lsq.nperts = min(index.lsq.nperts, table.num_codebooks)  # otherwise it cannot add rows
    faiss.copy_array_to_vector(np.ascontiguousarray(table.packed).ravel(), index.codes)
    index.ntotal = table.num_rows
    return index
