"""Rows of a compressed table as PyTorch operators that work under ``torch.compile``.

An operator refers to its table by a number. Rows are decoded on the CPU, whatever device they are
for, and recently used ones are kept decoded on that device.
"""

import itertools
import threading
import weakref

import numpy as np

from nncompress.missing import brought_by

with brought_by("torch"):
    import torch
    from torch.nn import functional

from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.residual_table import ResidualTable, SingleTable

# At most one in this many rows of a table is kept, but this many in any case.
_SHARE = 4
_LEAST_KEPT = 8_192
# Size of a block decoded at once for a head, in rows times columns.
_BLOCK = 1 << 21
# Up to this many vectors, a head of additive codes scans the codes for each; above, it decodes.
_FEW_VECTORS = 8

_numbers = itertools.count()
_tables: "weakref.WeakValueDictionary[int, TableRows]" = weakref.WeakValueDictionary()


class TableRows:
    """The rows of a table, some of them kept decoded.

    Args:
        table: The compressed rows.

    Attributes:
        table: As given.
        number: The number by which operators refer to it.
    """

    def __init__(self, table: SingleTable) -> None:
        self.table = table
        self.number = next(_numbers)
        self._kept: dict[tuple[torch.device, torch.dtype], _KeptRows] = {}
        self._lock = threading.Lock()
        _tables[self.number] = self

    def __deepcopy__(self, memo: dict) -> "TableRows":
        """Returns itself: rows are never changed."""
        return self

    def rows(self, ids: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Returns rows, ``(n, D)``, with the dtype and device of ``place``."""
        key = place.device, place.dtype
        # Kept rows outlive the mode (such as inference mode) of this call.
        with self._lock, torch.inference_mode(False), torch.no_grad():
            if key not in self._kept:
                self._kept = {key: _KeptRows(self.table, place)}  # a module is in one place
            return self._kept[key].rows(ids)

    def coordinates(self, ids: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Returns the coordinates of rows along the axes of the residual stage, ``(n, T)``."""
        assert isinstance(self.table, ResidualTable)
        numbers = self._checked(ids)
        found = self.table.residual.coordinates_of(numbers)
        return torch.from_numpy(np.ascontiguousarray(found)).to(place)

    def units(self, ids: torch.Tensor) -> torch.Tensor:
        """Returns the units of the additive codes of rows, int64 ``(n, M)``."""
        additive = self.table if isinstance(self.table, CodeTable) else self.table.additive
        assert additive is not None
        codes = additive.packing.unpack(additive.packed_of(self._checked(ids)))
        groups = np.arange(additive.num_codebooks, dtype=np.int64) << additive.packing.bits
        return torch.from_numpy(np.ascontiguousarray(codes + groups)).to(ids.device)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Returns inner products with all rows, float32 ``(n, N)``, decoding a block at a time.

        Args:
            hidden: float32 ``(n, D)``.
        """
        table = self.table
        if isinstance(table, CodeTable) and len(hidden) <= _FEW_VECTORS:
            products = [table.products(vector) for vector in hidden.detach().cpu().numpy()]
            stacked = np.stack(products) if products else np.empty((0, table.num_rows), np.float32)
            return torch.from_numpy(stacked).to(hidden.device)
        total = hidden.new_empty(len(hidden), table.num_rows)
        for first, rows in self._blocks():
            total[:, first : first + len(rows)] = hidden @ rows.to(hidden).T
        return total

    def back_from_logits(self, gradient: torch.Tensor) -> torch.Tensor:
        """Returns the gradient with respect to the vectors of ``logits``, float32 ``(n, D)``."""
        total = gradient.new_zeros(len(gradient), self.table.dim)
        for first, rows in self._blocks():
            total += gradient[:, first : first + len(rows)] @ rows.to(gradient)
        return total

    def _blocks(self):  # type: ignore[no-untyped-def]
        step = max(64, _BLOCK // self.table.dim // 64 * 64)
        for first in range(0, self.table.num_rows, step):
            last = min(first + step, self.table.num_rows)
            yield first, torch.from_numpy(self.table.decode(slice(first, last)))

    def _checked(self, ids: torch.Tensor) -> np.ndarray:
        numbers = ids.cpu().numpy().astype(np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < self.table.num_rows:
            raise IndexError("index out of range in self")
        return numbers


class _KeptRows:
    """Recently used rows, decoded, on a device."""

    def __init__(self, table: SingleTable, place: torch.Tensor) -> None:
        self._table = table
        capacity = min(table.num_rows, max(_LEAST_KEPT, -(-table.num_rows // _SHARE)))
        self._values = place.new_empty(capacity, table.dim)
        # The slot of each row; -1 for a row that is not kept.
        self._slots = torch.full((table.num_rows, 1), -1, dtype=torch.int32, device=place.device)
        self._row_of = torch.full((capacity,), -1, dtype=torch.int64, device=place.device)
        self._used = torch.zeros(capacity, dtype=torch.int64, device=place.device)
        self._filled = 0
        self._turn = 0

    def rows(self, ids: torch.Tensor) -> torch.Tensor:
        """Returns rows, ``(n, D)``.

        Raises:
            IndexError: A row number is out of range.
        """
        self._turn += 1
        ids = ids.long()
        slots = functional.embedding(ids, self._slots).squeeze(-1)  # this checks the numbers
        missing = ids[slots < 0]
        if len(missing):
            missing = missing.unique()
            if not self._make_room(len(missing), slots):
                return self._decoded(ids)
            places = slice(self._filled, self._filled + len(missing))
            self._values[places] = self._decoded(missing)
            self._row_of[places] = missing
            numbers = torch.arange(places.start, places.stop, device=ids.device)
            self._slots[missing] = numbers.int().unsqueeze(-1)
            self._filled = places.stop
            slots = functional.embedding(ids, self._slots).squeeze(-1)
        self._used[slots.long()] = self._turn
        return functional.embedding(slots, self._values)

    def _make_room(self, count: int, wanted: torch.Tensor) -> bool:
        """Forgets the least recently used rows; returns whether that makes enough room."""
        capacity = len(self._values)
        if self._filled + count <= capacity:
            return True
        self._used[wanted[wanted >= 0].long()] = self._turn
        keep = min(self._filled, capacity // 2)
        order = self._used[: self._filled].argsort(descending=True)[:keep].sort().values
        # Rows wanted now are among the most recently used, unless there are too many of them.
        if int((wanted >= 0).sum()) > keep or keep + count > capacity:
            return False
        rows = self._row_of[order]
        self._values[:keep] = self._values[order]
        self._used[:keep] = self._used[order]
        self._row_of[:keep] = rows
        self._slots.fill_(-1)
        self._slots[rows] = torch.arange(keep, device=rows.device).int().unsqueeze(-1)
        self._filled = keep
        return True

    def _decoded(self, ids: torch.Tensor) -> torch.Tensor:
        rows, places = np.unique(ids.cpu().numpy(), return_inverse=True)
        decoded = torch.from_numpy(self._table.decode(rows)).to(self._values)
        return decoded[torch.from_numpy(places).to(self._values.device)]


@torch.library.custom_op("nncompress::rows", mutates_args=())
def rows_of(ids: torch.Tensor, place: torch.Tensor, number: int, dim: int) -> torch.Tensor:
    """Returns rows of a table, ``(n, D)``, with the dtype and device of ``place``.

    Args:
        ids: Row numbers, integers ``(n,)``.
        place: An empty tensor.
        number: The table's number.
        dim: D.
    """
    return _tables[number].rows(ids, place)


@rows_of.register_fake
def _(ids, place, number, dim):  # type: ignore[no-untyped-def]
    return place.new_empty(ids.shape[0], dim)


@torch.library.custom_op("nncompress::coordinates", mutates_args=())
def coordinates_of(
    ids: torch.Tensor, place: torch.Tensor, number: int, num_axes: int
) -> torch.Tensor:
    """Returns rows' coordinates along the axes of the residual stage, ``(n, T)``."""
    return _tables[number].coordinates(ids, place)


@coordinates_of.register_fake
def _(ids, place, number, num_axes):  # type: ignore[no-untyped-def]
    return place.new_empty(ids.shape[0], num_axes)


@torch.library.custom_op("nncompress::units", mutates_args=())
def units_of(ids: torch.Tensor, number: int, num_codebooks: int) -> torch.Tensor:
    """Returns the units of rows' additive codes, int64 ``(n, M)``."""
    return _tables[number].units(ids)


@units_of.register_fake
def _(ids, number, num_codebooks):  # type: ignore[no-untyped-def]
    return ids.new_empty(ids.shape[0], num_codebooks, dtype=torch.int64)


@torch.library.custom_op("nncompress::logits", mutates_args=())
def logits_of(hidden: torch.Tensor, number: int, num_rows: int) -> torch.Tensor:
    """Returns inner products with all rows of a table, float32 ``(n, N)``.

    Args:
        hidden: float32 ``(n, D)``.
        number: The table's number.
        num_rows: N.
    """
    return _tables[number].logits(hidden)


@logits_of.register_fake
def _(hidden, number, num_rows):  # type: ignore[no-untyped-def]
    return hidden.new_empty(hidden.shape[0], num_rows)


@torch.library.custom_op("nncompress::back_from_logits", mutates_args=())
def back_from_logits(gradient: torch.Tensor, number: int, dim: int) -> torch.Tensor:
    """Returns the gradient with respect to the vectors of ``logits``, float32 ``(n, D)``."""
    return _tables[number].back_from_logits(gradient)


@back_from_logits.register_fake
def _(gradient, number, dim):  # type: ignore[no-untyped-def]
    return gradient.new_empty(gradient.shape[0], dim)


def _keep(ctx, inputs, output):  # type: ignore[no-untyped-def]
    hidden, ctx.number, _ = inputs
    ctx.dim = hidden.shape[1]


def _backward(ctx, gradient):  # type: ignore[no-untyped-def]
    return back_from_logits(gradient.contiguous(), ctx.number, ctx.dim), None, None


logits_of.register_autograd(_backward, setup_context=_keep)
