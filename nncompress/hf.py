"""Compressed tables in Hugging Face models: importing this registers them.

    import nncompress.hf
    model = AutoModel.from_pretrained("smaller")

transformers, and sentence-transformers with it, then opens folders written by ``nncompress
compress`` like any other: their ``config.json`` names the quantization method ``nncompress``.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nncompress.missing import brought_by

with brought_by("hf"):
    import torch
    from torch import nn
    from transformers.quantizers import (
        HfQuantizer,
        register_quantization_config,
        register_quantizer,
    )
    from transformers.utils.quantization_config import QuantizationConfigMixin

from nncompress.embedding.bridges.torch_head import TableHead, TiedHead
from nncompress.embedding.bridges.torch_module import TRAINED, TableEmbedding
from nncompress.embedding.code_table import CodeTable
from nncompress.errors import InputError
from nncompress.formats.safetensors import Tensor
from nncompress.models.installing import find_module, install, is_linear, scale_of
from nncompress.models.table_facts import check_tables, check_tensors
from nncompress.models.tensors import header_of
from nncompress.models.transformers_folder import METHOD

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@register_quantization_config(METHOD)
class NncConfig(QuantizationConfigMixin):
    """The entry in ``config.json`` for a model's compressed tables.

    Args:
        tables: For each module, by its name in the checkpoint: ``num_bytes``, ``num_embeddings``,
            ``embedding_dim``, ``is_head`` (an output layer with a table of its own), ``num_added``
            and ``trained``, as ``TableEmbedding`` has them.
        quant_method: ``"nncompress"``.

    Raises:
        InputError: There are other settings.
    """

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        quant_method: str = METHOD,
        **unknown: object,
    ) -> None:
        if unknown:
            raise InputError(
                f"quantization_config has {min(unknown)!r}, which is unknown to this release; "
                "upgrade chainer-nncompress, or compress the folder again"
            )
        self.quant_method = quant_method
        self.tables = check_tables({} if tables is None else tables, "config.json")


@register_quantizer(METHOD)
class NncQuantizer(HfQuantizer):
    """Puts compressed tables into a model before its weights are loaded."""

    requires_calibration = False

    def validate_environment(self, *args: object, **kwargs: object) -> None:
        """Refuses to compress while loading: ``nncompress compress`` does that beforehand.

        Raises:
            InputError: The folder's tables are not compressed.
        """
        if not self.pre_quantized:
            raise InputError(
                "the folder's tables are not compressed; compress them first, with: nncompress "
                "compress FOLDER OUT, then load OUT"
            )

    def _process_model_before_weight_loading(
        self,
        model: "PreTrainedModel",
        checkpoint_files: Sequence[str] | None = None,
        **kwargs: object,
    ) -> None:
        self._skip_guards(model)
        tensors = _tensors_of(checkpoint_files or ())
        for name, facts in self.quantization_config.tables.items():
            where = find_module(model, name)
            if where is None:
                if facts.get("is_head"):
                    continue  # a model created without its head
                raise InputError(
                    f"config.json has a compressed table for {name}, which "
                    f"{type(model).__name__} does not have; wanted the model that was compressed"
                )
            if f"{name}.nnc" in tensors:
                check_tensors(name, facts, tensors, "the model's file")
            old = model.get_submodule(where)
            _check_place(model, where, facts)
            install(model, where, _module_of(old, where, facts))

    def _process_model_after_weight_loading(
        self, model: "PreTrainedModel", **kwargs: object
    ) -> "PreTrainedModel":
        for table in _tables(model).values():
            table.open()
        for module in model.modules():
            # An output layer reads all rows at every step. Additive codes are summed undecoded.
            if isinstance(module, (TiedHead, TableHead)):
                own = module.embedding if isinstance(module, TiedHead) else module
                if not isinstance(own.table, CodeTable) and not own.is_trained:
                    own.keep_decoded()
        # All other weights are uncompressed: they can be trained, cast and moved as usual.
        model.is_quantized = False
        return model

    def get_state_dict_and_metadata(
        self, model: "PreTrainedModel"
    ) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Returns the state to save, with guards for readers unaware of compressed tables."""
        tables = _tables(model)
        self.quantization_config.tables = {name: facts_of(t) for name, t in tables.items()}
        model.config.quantization_config = self.quantization_config
        guards = {guard_of(name): torch.zeros(0, dtype=torch.uint8) for name in tables}
        state = model.state_dict()
        # Some models put one module into several places when they are resized.
        for name, module in model.named_modules(remove_duplicate=False):
            if isinstance(module, TableEmbedding) and name not in tables:
                state = {key: t for key, t in state.items() if not key.startswith(f"{name}.")}
        return state | guards, {}

    def _dequantize(self, model: "PreTrainedModel", dtype: torch.dtype) -> "PreTrainedModel":
        raise InputError(
            "decode the folder instead, with: nncompress export FOLDER OUT --to float16"
        )

    def _skip_guards(self, model: "PreTrainedModel") -> None:
        """Ignores the guards in the file, which are for readers unaware of compressed tables."""
        known = set(model._keys_to_ignore_on_load_unexpected or ())
        for name in self.quantization_config.tables:
            known.add(re.escape(guard_of(name)) + "$")
        model._keys_to_ignore_on_load_unexpected = known

    def is_serializable(self) -> bool:
        """Returns True: the state of a loaded model is saved as it is."""
        return True

    @property
    def is_trainable(self) -> bool:
        """True: other weights are not compressed, and codebooks can be made parameters."""
        return True

    @property
    def is_qat_trainable(self) -> bool:
        """True, like ``is_trainable``."""
        return True

    @property
    def is_compileable(self) -> bool:
        """True: lookups are operators that ``torch.compile`` can handle."""
        return True


def guard_of(name: str) -> str:
    """Returns the name of an empty tensor that stops other readers from loading a model.

    It has the name of the matrix that was compressed. A reader that is unaware of this project
    finds a tensor of another shape there and stops. Otherwise it would warn and start with random
    rows.
    """
    return f"{name}.weight"


def facts_of(table: TableEmbedding) -> dict[str, Any]:
    """Returns the facts about a table that ``NncConfig`` keeps."""
    facts: dict[str, Any] = {
        "num_bytes": len(table.nnc),
        "num_embeddings": table.num_rows,
        "embedding_dim": table.embedding_dim,
    }
    if isinstance(table, TableHead):
        facts["is_head"] = True
    if table.added is not None:
        facts["num_added"] = len(table.added)
    if table.is_trained:
        parts = {name: getattr(table, name) for name in TRAINED}
        facts["trained"] = {k: list(v.shape) for k, v in parts.items() if v is not None}
    return facts


def _tables(model: nn.Module) -> dict[str, TableEmbedding]:
    return {n: module for n, module in model.named_modules() if isinstance(module, TableEmbedding)}


def _tensors_of(files: Sequence[str]) -> dict[str, Tensor]:
    """Returns the tensors of a checkpoint's safetensors files, by name."""
    paths = [Path(file) for file in files if str(file).endswith(".safetensors")]
    return {name: each for path in paths for name, each in header_of(path).tensors.items()}


def _check_place(model: nn.Module, name: str, facts: Mapping[str, Any]) -> None:
    """Refuses a table for a layer that it cannot replace."""
    layer = model.get_submodule(name)
    shape = facts["num_embeddings"] + facts.get("num_added", 0), facts["embedding_dim"]
    seen = tuple(getattr(layer, "weight", torch.empty(0)).shape)
    if seen != shape or (facts.get("is_head") and not is_linear(layer)):
        raise InputError(
            f"config.json has a compressed table of shape {shape} for {name}, but the model "
            f"has {type(layer).__name__} of shape {seen}; wanted the model that was compressed"
        )


def _module_of(old: nn.Module, name: str, facts: Mapping[str, Any]) -> TableEmbedding:
    """Makes an empty module for a table, to replace an embedding or an output layer."""
    sizes = facts["num_bytes"], facts["num_embeddings"], facts["embedding_dim"]
    shapes = {name: tuple(shape) for name, shape in facts.get("trained", {}).items()}
    place: dict[str, Any] = {"dtype": old.weight.dtype, "device": old.weight.device}
    place |= {"trained": shapes, "num_added": facts.get("num_added", 0)}
    if facts.get("is_head"):
        return TableHead(*sizes, bias=old.bias, **place)
    place["padding_idx"] = getattr(old, "padding_idx", None)
    table = TableEmbedding(*sizes, **place)
    table.embed_scale = scale_of(old, name)
    return table


def _register_static() -> None:
    """Registers compressed static models with sentence-transformers, from version 6 on."""
    try:
        from nncompress.models.static_embedding import register
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sentence_transformers":
            raise
    else:
        register()


_register_static()
