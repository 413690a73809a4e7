"""Classes of links whose matrices are compression ops.

A link is changed in place, as with PyTorch's parametrizations: its class becomes a subclass of its
old class, in which the matrix is a property. References to the link stay valid.
"""

import copyreg
import functools
import sys
import types

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.layers import FASTER_LAYERS
from nncompress.matrix.links import (
    READ_ONLY,
    CompressedLink,
    CompressedNStep,
    HeldMatrix,
    NStepRNNBase,
    add_op,
)
from nncompress.matrix.op_interface import CompressionOpInterface

L = chainer.links

# Chainer code that reads W of a child at each time step, only to see whether it has values yet:
# forming the matrix for that would take longer than the step. The classes of these links stay
# unchanged, so the reader can be recognized by its code object.
_ASKS_FOR_VALUES = {L.LSTM.forward.__code__, L.StatelessLSTM.forward.__code__}


def hold(link: chainer.Link, name: str, op: CompressionOpInterface, *, elsewhere: bool) -> None:
    """Replaces a link's parameter with an op.

    Args:
        link: Changed in place.
        name: The parameter's name.
        op: The op of that parameter.
        elsewhere: Whether the op is already a child of another link.
    """
    base, names = getattr(type(link), "_made_of", (type(link), ()))
    held = HeldMatrix(getattr(link, name).shape, op if elsewhere else None)
    delattr(link, name)
    link.__class__ = _class_of(base, tuple(sorted((*names, name))))
    link.__dict__.setdefault("_children", set())
    link._compressed_matrices = {**link.__dict__.get("_compressed_matrices", {}), name: held}
    if not elsewhere:
        add_op(link, name, op)


def read_weights_anew(link: NStepRNNBase) -> None:
    """Makes an ``L.NStepLSTM`` or the like build the list of its weights each time it is read."""
    if not isinstance(link, CompressedNStep):
        del link.ws
        link.__class__ = _class_of(type(link), ())


class _MadeClass:
    """Base of the classes made here, which cannot be imported from any module by name."""

    _made_of: tuple[type, tuple[str, ...]]

    def __reduce_ex__(self, protocol: int) -> tuple:
        make, arguments, *state = super().__reduce_ex__(max(protocol, 2))
        if make is not copyreg.__newobj__:
            raise InputError(
                f"{type(self).__name__} has a __reduce__ of its own, which knows nothing about "
                "compression; copy it before compression"
            )
        return _made_anew, (*self._made_of, *arguments[1:]), *state


def _made_anew(base: type, names: tuple[str, ...], *arguments: object) -> chainer.Link:
    """Returns an empty link of the class that ``_class_of`` returns, for copies and pickles."""
    made = _class_of(base, names)
    return made.__new__(made, *arguments)


@functools.cache
def _class_of(base: type, names: tuple[str, ...]) -> type:
    """Returns the class of a link with compressed parameters.

    Args:
        base: The link's own class.
        names: The parameters' names; none for ``L.NStepLSTM`` and the like.
    """
    faster = [
        layer for kind, layer in FASTER_LAYERS.items() if issubclass(base, kind) and "W" in names
    ]
    own = [CompressedLink, base, *faster, chainer.Chain] if names else [CompressedNStep, base]
    bases = [_MadeClass, *own]
    # A base that another one inherits from comes with it.
    bases = [b for b in bases if not any(o is not b and issubclass(o, b) for o in bases)]
    body = {name: _property(name) for name in names}
    # It keeps the link's class name, by which Chainer's Sequential counts and removes links.
    body |= {"__module__": base.__module__, "__qualname__": base.__qualname__}
    body |= {"__doc__": base.__doc__, "_made_of": (base, names)}
    return types.new_class(base.__name__, tuple(bases), exec_body=lambda space: space.update(body))


def _property(name: str) -> property:
    """Returns a property whose value is the effective matrix."""

    def read(link: CompressedLink) -> chainer.Variable:
        if sys._getframe(1).f_code in _ASKS_FOR_VALUES:
            return next(link.compression_op(name).params())  # any one that has values
        return link._read(name)

    def write(link: CompressedLink, value: object = None) -> None:
        link._params.discard(name)  # Chainer has registered it before setting it
        raise InputError(READ_ONLY.format(name=name))

    return property(read, write, write, "The effective matrix.")
