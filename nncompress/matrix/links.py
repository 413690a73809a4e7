"""Mixins for links whose matrices are compression ops; ``link_classes`` builds their classes."""

import threading
from dataclasses import dataclass

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.effective_matrix import effective_matrix
from nncompress.matrix.op_interface import CompressionOpInterface

F, L = chainer.functions, chainer.links
NStepRNNBase = L.rnn.n_step_rnn.NStepRNNBase

_LOCAL = threading.local()


class CompressedParameter(chainer.Chain):
    """A matrix that was a bare parameter; calling it returns the matrix in its old shape."""

    def __init__(self, op: CompressionOpInterface, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._shape = shape
        with self.init_scope():
            self.op = op

    def forward(self) -> chainer.Variable:
        """Returns the mix of the matrix and its compressed form."""
        return F.reshape(self.op.get_apply_compression(), self._shape)

    def get_apply_matmul(self, left_operand: chainer.Variable) -> chainer.Variable:
        """Returns the left operand times the transpose of the mixed matrix."""
        return self.op.get_apply_matmul(left_operand)


@dataclass
class HeldMatrix:
    """A link's record of one of its compressed matrices.

    Attributes:
        shape: The shape that the parameter had.
        elsewhere: The op, if it is a child of another link with the same matrix.
        leader: The op that this one was copied from and shares its values with.
    """

    shape: tuple[int, ...]
    elsewhere: CompressionOpInterface | None = None
    leader: CompressionOpInterface | None = None


class CompressedLink:
    """The mixin for a link with compressed matrices."""

    _made_of: tuple[type, tuple[str, ...]]  # the link's own class, and the names of its matrices
    _compressed_matrices: dict[str, HeldMatrix]

    def compression_op(self, name: str) -> CompressionOpInterface:
        """Returns the op of a matrix.

        Args:
            name: The name that the parameter had, such as ``"W"``.

        Raises:
            InputError: It is requested within a function of ``chainer.static_graph``.
        """
        held = self._compressed_matrices[name]
        op = held.elsewhere or self.__dict__[op_name(name)]
        if chainer.config.schedule_func is not None:
            raise InputError(
                f"{op.scope}: a static graph would keep the alpha of its first run; remove "
                "chainer.static_graph from the forward pass"
            )
        if held.leader is not None:
            _follow(op, held.leader)
        return op

    def forward(self, *args: object, **kwargs: object) -> object:
        """Returns the result of the link's own forward, forming each matrix only once."""
        formed = _formed()
        if id(self) in formed:
            return super().forward(*args, **kwargs)
        formed[id(self)] = {}
        try:
            return super().forward(*args, **kwargs)
        finally:
            del formed[id(self)]

    def _read(self, name: str) -> chainer.Variable:
        """Returns the effective matrix, in the parameter's old shape."""
        op = self.compression_op(name)
        if op.is_plain:
            return op.a_matrix
        formed = _formed().get(id(self), {})
        key = name, chainer.config.enable_backprop  # one without a graph has no gradient
        if key not in formed:
            shape = self._compressed_matrices[name].shape
            formed[key] = effective_matrix(op.get_apply_compression(), shape)
        return formed[key]

    def copy(self, mode: str = "share") -> chainer.Link:
        """Copies the link as ``chainer.Link.copy`` does; the copy has its own ops."""
        made = super().copy(mode)
        # Chainer separates tied parameters in the same way: each copy has its own.
        made._compressed_matrices = {
            name: HeldMatrix(held.shape) for name, held in self._compressed_matrices.items()
        }
        for name, held in self._compressed_matrices.items():
            if held.elsewhere is not None:
                add_op(made, name, held.elsewhere.copy(mode))
            if mode == "share":
                made._compressed_matrices[name].leader = held.leader or self.compression_op(name)
        return made

    def copyparams(self, link: chainer.Link, copy_persistent: bool = True) -> None:
        """Copies the values of another link, and whether it is final."""
        pairs = self._paired_ops(link, "values are copied")
        for mine, theirs in pairs:
            if mine.is_final and theirs.alpha > 0:
                raise InputError(
                    f"{mine.scope} is final, but the alpha to copy is {theirs.alpha:g}; wanted 0"
                )
        for mine, theirs in pairs:
            if theirs.is_final:
                mine.drop_matrix()
        super().copyparams(link, copy_persistent)

    def addgrads(self, link: chainer.Link) -> None:
        """Adds the gradients of another link."""
        self._paired_ops(link, "gradients are added")
        super().addgrads(link)

    def _paired_ops(
        self, link: chainer.Link, what: str
    ) -> list[tuple[CompressionOpInterface, CompressionOpInterface]]:
        """Pairs each op with its counterpart in another link, compressed in the same way."""
        theirs = getattr(link, "_compressed_matrices", {})
        pairs = []
        for name in self._compressed_matrices:
            mine = self.compression_op(name)
            other = link.compression_op(name) if name in theirs else None
            if other is None or _kind(other) != _kind(mine):
                raise InputError(
                    f"{mine.scope}: {what} from a link that is not compressed in the same way; "
                    "wanted one that is compressed with the same hyperparameters"
                )
            pairs.append((mine, other))
        return pairs

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Serializes the link and its ops."""
        for name in self._compressed_matrices:
            self.compression_op(name)  # brings a copy that shares values up to date
        super().serialize(serializer)

    def device_resident_accept(self, visitor: object) -> None:
        """Moves the link and its ops to a device, as Chainer does."""
        super().device_resident_accept(visitor)
        for held in self._compressed_matrices.values():
            if held.elsewhere is not None:
                held.elsewhere.device_resident_accept(visitor)

    @property
    def printable_specs(self) -> object:
        """The specs that ``str`` shows: the link's own, and those of its compressed matrices."""
        yield from super().printable_specs
        for name in self._compressed_matrices:
            op = self.compression_op(name)
            yield name, f"{op.method} of {op.shape[0]} x {op.shape[1]}, alpha {op.alpha:g}"

    def __str__(self) -> str:
        if self._made_of[0].__str__ is chainer.Link.__str__:  # not that of a Chain
            return chainer.Link.__str__(self)
        return super().__str__()


class CompressedNStep:
    """The mixin for ``L.NStepLSTM`` and the like, which keep a list of their layers' weights.

    The list is built from the effective matrices each time it is read.
    """

    @property
    def ws(self) -> list[list[chainer.Variable]]:
        """The weights of each layer."""
        return [[getattr(layer, f"w{i}") for i in range(self.n_weights)] for layer in self]

    @ws.setter
    def ws(self, value: object) -> None:
        raise InputError(READ_ONLY.format(name="ws"))

    def copy(self, mode: str = "share") -> chainer.Link:
        """Copies the link as ``NStepRNNBase.copy`` does, which would set ``ws``."""
        made = super(NStepRNNBase, self).copy(mode)
        made.bs = [[getattr(layer, f"b{i}") for i in range(made.n_weights)] for layer in made]
        return made


READ_ONLY = (
    "{name} is being compressed and cannot be replaced; set its values before compression, or "
    "through {name}.array[...] while alpha is 1"
)


def _kind(op: CompressionOpInterface) -> tuple:
    """Returns a key that is equal for two ops if the values of one fit the other."""
    return op.method, op.shape, op.compressed_size


def op_name(name: str) -> str:
    """Returns the name of the child that takes a parameter's place."""
    return f"{name}_op"


def add_op(link: chainer.Chain, name: str, op: CompressionOpInterface) -> None:
    """Makes an op the child that takes a parameter's place."""
    with link.init_scope():
        setattr(link, op_name(name), op)


def _formed() -> dict[int, dict]:
    """Returns the matrices formed in this thread, by the link whose forward is running."""
    if not hasattr(_LOCAL, "formed"):
        _LOCAL.formed = {}
    return _LOCAL.formed


def _follow(op: CompressionOpInterface, leader: CompressionOpInterface) -> None:
    """Brings an op up to date with the one it shares values with, if both are on one device."""
    if op.device != leader.device:
        return
    if leader.is_final and not op.is_final:
        op.drop_matrix()
    for mine, theirs in zip(op.links(), leader.links(), strict=True):
        own = {"name", "_params", "_persistent", "_children", *mine._params}
        own |= getattr(mine, "_children", set())
        mine.__dict__.update({k: v for k, v in theirs.__dict__.items() if k not in own})
