"""The matrices of a model: their places, their names, and whether they can be compressed."""

import fnmatch
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nncompress.chainer_support.compatibility import chainer
from nncompress.errors import InputError
from nncompress.matrix.links import NStepRNNBase, op_name
from nncompress.matrix.op_interface import CompressionOpInterface, matrix_shape

L = chainer.links

# Links that apply their parameters elementwise, whatever their shape.
_ELEMENTWISE = (
    *(L.BatchNormalization, L.LayerNormalization, L.GroupNormalization),
    *(L.Bias, L.Scale, L.PReLU, L.Swish),
)
_MOST_DEPTH = 3  # of nested lists in which a link may keep an unregistered parameter


@dataclass(frozen=True)
class Place:
    """The place where a parameter is registered.

    Attributes:
        link: The link.
        name: The parameter's name in it.
        stack: The ``L.NStepLSTM`` or the like that the link is a layer of; None for others.
        path: The parameter's name from the model, such as ``"rnn/0/w0"``.
    """

    link: chainer.Link
    name: str
    stack: NStepRNNBase | None
    path: str


@dataclass(eq=False)
class Matrix:
    """A parameter of a model, and whether it can be compressed as a matrix.

    Attributes:
        parameter: The parameter; None if it is already being compressed.
        places: Its places: several if it is tied, or if its link is used in several places.
        obstacle: The reason it cannot be compressed; None if it can.
        is_matrix: Whether it is a matrix to multiply by, or may become one.
        is_minor: Whether it is a bias or the like in a link that also has a matrix.
    """

    parameter: chainer.Parameter | None
    places: list[Place] = field(default_factory=list)
    obstacle: str | None = None
    is_matrix: bool = True
    is_minor: bool = False

    @property
    def scope(self) -> str:
        """Its name in logs and tables: just the link's name for W, and all names if tied."""
        return ", ".join(place.path.removesuffix("/W") for place in self.distinct_places())

    def distinct_places(self) -> list[Place]:
        """Returns the first place for each link and name."""
        first: dict[tuple[int, str], Place] = {}
        for place in self.places:
            first.setdefault((id(place.link), place.name), place)
        return list(first.values())

    def answers_to(self, pattern: str) -> bool:
        """Tells whether a pattern matches its name, or the name of a link that contains it."""
        paths = [place.path for place in self.places]
        if self.is_minor:
            return pattern in paths
        return any(fnmatch.fnmatchcase(name, pattern) for path in paths for name in _within(path))

    def is_named(self, pattern: str) -> bool:
        """Tells whether a pattern is its exact name, not that of a link that contains it."""
        return any(pattern == place.path for place in self.places)


def matrices_of(model: chainer.Link) -> list[Matrix]:
    """Returns the parameters of a model and of all links within it."""
    return _collected(_walk(model, "", None, ()))


def own_matrices(link: chainer.Link, scope: str) -> list[Matrix]:
    """Returns the parameters of a link, or of its layers for ``L.NStepLSTM`` and the like.

    Raises:
        InputError: The link has no matrix of its own.
    """
    if type(link) is chainer.Link and {"w0", "b0"} <= link._params:
        raise InputError(
            f"{scope} is a layer of an NStepLSTM or the like, which would go on using the old "
            "weights; wanted the whole link"
        )
    own = [link, *link] if isinstance(link, NStepRNNBase) else [link]
    walked = (each for each in _walk(link, f"{scope}/", None, ()) if each[1] in own)
    found = [matrix for matrix in _collected(walked) if not matrix.is_minor]
    if not found:
        raise InputError(
            f"{scope}: a link of type {type(link).__name__} has no matrix of its own; wanted one "
            "that has, or use compress_chain for all links inside it"
        )
    return found


def _walk(
    link: chainer.Link,
    path: str,
    parent: chainer.Link | None,
    above: tuple[int, ...],
) -> Iterator[tuple[str, chainer.Link, chainer.Link | None]]:
    """Yields the path, the link and its parent, for every link and every path to it."""
    if isinstance(link, CompressionOpInterface) or id(link) in above:
        return
    yield path, link, parent
    if isinstance(link, chainer.Chain):
        children = [(name, link.__dict__[name]) for name in sorted(link._children)]
    else:
        children = list(enumerate(link)) if isinstance(link, chainer.ChainList) else []
    for name, child in children:
        if isinstance(child, chainer.Link):  # a Sequential has functions too
            yield from _walk(child, f"{path}{name}/", link, (*above, id(link)))


def _collected(found: Iterable[tuple[str, chainer.Link, chainer.Link | None]]) -> list[Matrix]:
    matrices: dict[object, Matrix] = {}
    links: dict[int, chainer.Link] = {}
    for path, link, parent in found:
        links[id(link)] = link
        stack = parent if isinstance(parent, NStepRNNBase) else None
        for name in sorted(link._params):
            parameter = link.__dict__[name]
            if parameter is None:  # a bias that was removed
                continue
            matrix = matrices.setdefault(id(parameter), Matrix(parameter))
            matrix.places.append(Place(link, name, stack, f"{path}{name}"))
        for name in sorted(getattr(link, "_compressed_matrices", ())):
            matrix = matrices.setdefault((id(link), name), Matrix(None))
            matrix.places.append(Place(link, name, stack, f"{path}{name}"))
            matrix.obstacle = "it is already being compressed"
    for matrix in matrices.values():
        if matrix.parameter is not None:
            reasons = (_obstacle(matrix.parameter, place) for place in matrix.places)
            matrix.obstacle = next(filter(None, reasons), None)
    for link in links.values():
        for name, parameter in _kept_beside(link):
            if id(parameter) in matrices and matrices[id(parameter)].obstacle is None:
                matrices[id(parameter)].obstacle = (
                    f"the attribute {name!r} of a {type(link).__name__} also holds it, and would "
                    "go on using it uncompressed; read it from its link wherever it is used"
                )
    _mark_minor(list(matrices.values()))
    return list(matrices.values())


def _obstacle(parameter: chainer.Parameter, place: Place) -> str | None:
    """Returns the reason why a parameter in a place cannot be compressed; None if it can."""
    link, name = place.link, place.name
    kind = type(link).__name__
    if _is_elementwise(place):
        return f"a {kind} applies it elementwise and does not multiply by a matrix"
    if isinstance(link, chainer.ChainList):
        return f"a {kind} is a list of links and has no place for an op beside them"
    if parameter.layout is not None:
        return "it has a cuDNN memory layout; wanted a compute_mode other than 'cudnn_fast'"
    hooks = (link._local_link_hooks or {}).values()
    if any(getattr(hook, "weight_name", None) == name for hook in hooks):
        return "a link hook replaces this weight; wanted a link without the hook"
    if hasattr(link, op_name(name)):
        return f"its link already has an attribute {op_name(name)!r}"
    try:
        shape = matrix_shape(parameter)
    except InputError as error:
        return str(error)
    return None if all(shape) else f"it is empty, of shape {parameter.shape}"


def _kept_beside(link: chainer.Link) -> Iterator[tuple[str, chainer.Parameter]]:
    """Yields parameters that a link keeps in attributes without registering them there."""
    children = link._children if isinstance(link, chainer.Chain) else ()
    registered = {*link._params, *children, "_children", "_compressed_matrices"}
    if isinstance(link, NStepRNNBase):
        registered.add("ws")  # rebuilt after compression
    for name, value in link.__dict__.items():
        if name not in registered:
            for parameter in _parameters_in(value, _MOST_DEPTH):
                yield name, parameter


def _parameters_in(value: object, depth: int) -> Iterator[chainer.Parameter]:
    if isinstance(value, chainer.Parameter):
        yield value
    elif depth and isinstance(value, list | tuple | set | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _parameters_in(inner, depth - 1)


def _mark_minor(matrices: list[Matrix]) -> None:
    """Marks parameters that are not matrices, and biases and the like beside a matrix."""
    for matrix in matrices:
        elementwise = any(map(_is_elementwise, matrix.places))
        matrix.is_matrix = not (elementwise or _is_vector(matrix.parameter))
    have_one = {id(place.link) for m in matrices if m.is_matrix for place in m.places}
    for matrix in matrices:
        of_one = any(id(place.link) in have_one for place in matrix.places)
        matrix.is_minor = of_one and not matrix.is_matrix


def _is_vector(parameter: chainer.Parameter | None) -> bool:
    return parameter is not None and parameter.is_initialized and len(parameter.shape) < 2


def _is_elementwise(place: Place) -> bool:
    """Tells whether a parameter is applied elementwise, whatever its shape."""
    is_bias = isinstance(place.link, L.LocalConvolution2D) and place.name == "b"
    return is_bias or isinstance(place.link, _ELEMENTWISE)


def _within(path: str) -> Iterator[str]:
    """Yields a path and the paths of the links that contain it: ``a/b/W``, ``a/b`` and ``a``."""
    while path:
        yield path
        path = path.rpartition("/")[0]
