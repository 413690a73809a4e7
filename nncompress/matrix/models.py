"""Applying compression to the links of a whole model."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.apply import ApplyCompression, get_apply_compression
from nncompress.matrix.hyperparameters import HParams
from nncompress.matrix.links import can_be_compressed
from nncompress.matrix.op_interface import CompressionOpInterface


def compress_chain(
    model: chainer.Chain, hparams: HParams | str, match: str = "*"
) -> ApplyCompression:
    """Replaces all links of a model whose names match by ones that are being compressed.

    Args:
        model: Changed in place. Links that are not Linear, Convolution2D or EmbedID stay.
        hparams: Hyperparameters, or a string of them.
        match: Pattern of names, such as ``"fc*"``; a link within others has a name like
            ``"block/fc1"``.

    Returns:
        The object that updates them: extend a trainer with its ``all_update_op()``.

    Raises:
        InputError: No link matches, or ``apply_compression`` refuses one. The model is as it was
            then.
    """
    applied = get_apply_compression(hparams)
    known = [place for place in _places(model, set()) if can_be_compressed(place.link)]
    chosen = [place for place in known if fnmatch.fnmatchcase(place.path, match)]
    if not chosen:
        names = ", ".join(place.path for place in known) or "none at all"
        raise InputError(
            f"no Linear, Convolution2D or EmbedID link has a name like {match!r}; there are: "
            f"{names}"
        )
    # A link that stands in several places is one matrix, and stays so.
    made: dict[int, chainer.Link] = {}
    for place in chosen:
        if id(place.link) not in made:
            try:
                made[id(place.link)] = applied.apply_compression(place.link, place.path)
            except InputError as error:
                raise InputError(f"{place.path}: {error}") from None
    for place in known:
        if id(place.link) in made:
            _replace(place, made[id(place.link)])
    return applied


@dataclass(frozen=True)
class _Place:
    """A link's place: its parent, its name or number there, and its path from the model."""

    parent: chainer.Chain | chainer.ChainList
    name: str | int
    path: str

    @property
    def link(self) -> chainer.Link:
        return self.parent[self.name]


def _places(link: chainer.Link, seen: set[int], prefix: str = "") -> Iterator[_Place]:
    """Yields the places of all links within another; what stands in two places is entered once."""
    if isinstance(link, CompressionOpInterface) or id(link) in seen:
        return
    seen.add(id(link))
    if isinstance(link, chainer.Chain):
        names = sorted(link._children)  # a child's own name is that of its last place
    elif isinstance(link, chainer.ChainList):
        names = range(len(link))
    else:
        return
    for name in names:
        place = _Place(link, name, f"{prefix}{name}")
        yield place
        yield from _places(place.link, seen, f"{place.path}/")


def _replace(place: _Place, link: chainer.Link) -> None:
    if place.link is link:  # with option 0
        return
    if isinstance(place.parent, chainer.ChainList):
        place.parent[place.name] = link
        return
    delattr(place.parent, place.name)
    with place.parent.init_scope():
        setattr(place.parent, place.name, link)
