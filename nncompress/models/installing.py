"""Installing compressed tables in transformers models in place of their embedding matrices."""

from functools import partial
from typing import TYPE_CHECKING, Any

from nncompress.missing import brought_by

with brought_by("hf"):
    import torch
    from torch import nn

from nncompress.embedding.bridges.torch_head import TableHead, TiedHead
from nncompress.embedding.bridges.torch_module import Scale, TableEmbedding, scaled
from nncompress.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WEIGHT = ".weight"


class TiedEmbedding(nn.Module):
    """An embedding layer that shares the rows of another, as encoders and decoders do.

    Args:
        embedding: The rows, which are not parameters of this module.
        scale: The factor that this layer multiplies rows by; see ``TableEmbedding.embed_scale``.
    """

    embedding: TableEmbedding

    def __init__(self, embedding: TableEmbedding, scale: Scale = None) -> None:
        super().__init__()
        self.__dict__["embedding"] = embedding  # not a child, or its state would be saved twice
        self.embed_scale = scale

    @property
    def weight(self) -> torch.Tensor:
        """The decoded table, ``(N, D)``, decoded at each access."""
        return self.embedding.weight

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns rows, of shape ``(*input.shape, D)``."""
        return scaled(self.embedding.look_up(input), self.embed_scale)

    def __getattr__(self, name: str) -> Any:
        """Returns the other layer's attribute: some models use this one as their input layer."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "embedding" not in self.__dict__:  # while it is being copied
                raise
            return getattr(self.embedding, name)


def scale_of(layer: nn.Module | None, name: str) -> Scale:
    """Returns the factor by which an embedding layer multiplies the rows it looks up.

    Args:
        layer: The layer.
        name: Its name in the model.

    Raises:
        InputError: It is not an embedding layer, or does something else with rows.
    """
    if isinstance(layer, nn.Embedding):
        if type(layer).forward is nn.Embedding.forward:
            return None
        parts = {*dict(layer.named_parameters()), *dict(layer.named_buffers())}
        if not [*layer.children()] and parts <= {"weight", "embed_scale"}:
            # Gemma's own buffer holds the number only after its model's weights are loaded.
            if isinstance(number := getattr(layer, "scalar_embed_scale", None), (int, float)):
                return torch.tensor(number, dtype=torch.float32, device="cpu")
            if isinstance(number := getattr(layer, "embed_scale", None), (int, float)):
                return float(number)
    raise InputError(
        f"{name} is a {type(layer).__name__}, which does more than look up rows; wanted an "
        "Embedding, or one that multiplies them by a number"
    )


def find_module(model: "PreTrainedModel", name: str) -> str | None:
    """Returns the name that a checkpoint's module has in a model; None if it is not there.

    Checkpoints of a base model are loaded into models with a head, and vice versa: the names
    differ by the base model's prefix.
    """
    prefix = f"{model.base_model_prefix}." if model.base_model_prefix else ""
    modules = dict(model.named_modules())
    for candidate in (name, prefix + name, name.removeprefix(prefix)):
        if candidate in modules:
            return candidate
    return None


def install(model: "PreTrainedModel", name: str, table: TableEmbedding) -> None:
    """Puts a table into a model, and into all layers that share its rows.

    Layers that were tied to the embedding matrix, both embeddings and output layers, become layers
    that read the table. ``resize_token_embeddings`` extends the table by uncompressed rows.

    Args:
        model: The model.
        name: The module that the table replaces.
        table: The table.
    """
    with brought_by("hf"):
        from transformers import PreTrainedModel

    parts = {prefix: part for prefix, part in model.named_modules()
             if isinstance(part, PreTrainedModel)}  # fmt: skip
    # Patterns among these names are matched against the parameters, so before these are removed.
    own = {prefix: part.get_expanded_tied_weights_keys() for prefix, part in parts.items()}
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    # The file has one table for all tied layers, under the name of any one of them.
    source = tied.get(name + _WEIGHT, name + _WEIGHT)
    same = {key for key, value in tied.items() if value == source} | {source}
    _put(model, name, table)
    if not isinstance(table, TableHead):
        for key in sorted(same - {name + _WEIGHT}):
            _share(model, key.removesuffix(_WEIGHT), table)
    # They are no longer parameters, so they cannot be tied.
    for prefix, part in parts.items():
        before = f"{prefix}." if prefix else ""
        part._tied_weights_keys = {
            key: source
            for key, source in own[prefix].items()
            if not {before + key, before + source} & same
        }
    for part in parts.values():
        part.all_tied_weights_keys = part.get_expanded_tied_weights_keys(all_submodels=True)
    _take_over_resizing(model)


def _share(model: "PreTrainedModel", name: str, table: TableEmbedding) -> None:
    """Replaces a tied layer with one that shares a table's rows."""
    try:
        old = model.get_submodule(name)
    except AttributeError:
        return  # this model was created without that part
    if isinstance(old, nn.Embedding):
        _put(model, name, TiedEmbedding(table, scale_of(old, name)))
    elif is_linear(old):
        _put(model, name, TiedHead(table, old.bias))
    elif not isinstance(old, (TiedEmbedding, TiedHead)):
        raise InputError(
            f"{name}, which is tied to the compressed table, is a {type(old).__name__}; wanted an "
            "Embedding or a Linear, which can share a table"
        )


def is_linear(layer: nn.Module | None) -> bool:
    """Tells whether a layer just multiplies vectors by its matrix."""
    return isinstance(layer, nn.Linear) and type(layer).forward is nn.Linear.forward


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def _take_over_resizing(model: "PreTrainedModel") -> None:
    """Makes ``resize_token_embeddings`` resize tables; other layers are resized as usual."""
    for part in model.modules():
        if hasattr(part, "_get_resized_embeddings"):
            # Not methods: a pickle would look those up in the model's class.
            part._get_resized_embeddings = partial(_resized_embeddings, part)
            part._get_resized_lm_head = partial(_resized_head, part)


def _resized_embeddings(
    model: "PreTrainedModel",
    old_embeddings: nn.Module,
    new_num_tokens: int | None = None,
    pad_to_multiple_of: int | None = None,
    mean_resizing: bool = True,
) -> nn.Module:
    """Resizes an embedding layer; takes the arguments of transformers' method."""
    if isinstance(old_embeddings, TiedEmbedding):
        # The model puts the result in all places, as it does with its own layers.
        scale, old_embeddings = old_embeddings.embed_scale, old_embeddings.embedding
        old_embeddings.embed_scale = scale
    if not isinstance(old_embeddings, TableEmbedding):
        own = type(model)._get_resized_embeddings
        return own(model, old_embeddings, new_num_tokens, pad_to_multiple_of, mean_resizing)
    count = old_embeddings.num_embeddings if new_num_tokens is None else new_num_tokens
    if pad_to_multiple_of is not None:
        count = -(-count // pad_to_multiple_of) * pad_to_multiple_of
    before = old_embeddings.num_embeddings
    old_embeddings.resize(count)
    if old_embeddings.added is not None and count > before and not mean_resizing:
        deviation = getattr(model.config, "initializer_range", 0.02)
        with torch.no_grad():
            old_embeddings.added[before - count :].normal_(0.0, deviation)
    return old_embeddings


def _resized_head(
    model: "PreTrainedModel",
    old_lm_head: nn.Module,
    new_num_tokens: int | None = None,
    transposed: bool = False,
    mean_resizing: bool = True,
) -> nn.Module:
    """Resizes an output layer; takes the arguments of transformers' method."""
    if not isinstance(old_lm_head, (TiedHead, TableHead)):
        own = type(model)._get_resized_lm_head
        return own(model, old_lm_head, new_num_tokens, transposed, mean_resizing)
    if isinstance(old_lm_head, TableHead) and new_num_tokens is not None:
        _resized_embeddings(model, old_lm_head, new_num_tokens, None, mean_resizing)
    if old_lm_head.bias is not None and new_num_tokens is not None:
        bias = old_lm_head.bias.detach()
        longer = bias.new_zeros(new_num_tokens)
        kept = min(len(bias), new_num_tokens)
        longer[:kept] = bias[:kept]
        old_lm_head.bias = nn.Parameter(longer, requires_grad=old_lm_head.bias.requires_grad)
    return old_lm_head
