"""Opening models from their folders, compressed or not, to measure them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError
from nncompress.missing import brought_by
from nncompress.models.json_files import read_json
from nncompress.models.model2vec_folder import is_model2vec

_CONFIG, _MODULES = "config.json", "modules.json"
# The most tokens that a language model is given at once; its own limit may be lower.
_WINDOW = 512
_ROWS = 4_096

Rows = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SentenceEncoder:
    """A model that turns a text into a vector.

    Attributes:
        encode: Takes texts and returns their vectors, float32 ``(n, E)``.
        rows: Takes row numbers and returns rows of the table of token vectors, float32 ``(n, D)``.
        num_rows: N, the number of rows in that table.
        words: The token of each row, or the row's number if it has none.
    """

    encode: Callable[[Sequence[str]], np.ndarray]
    rows: Rows
    num_rows: int
    words: list[str | int]


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model.

    Attributes:
        logits: Takes token ids, int64 ``(n,)``, and returns the logits for the token after each,
            float32 ``(n, V)``.
        token_ids: Takes a text and returns its token ids, int64 ``(n,)``, without special tokens;
            those that the tokenizer puts before a text are prepended by ``logits``.
        window: The most token ids that ``logits`` takes.
        rows: Takes row numbers and returns rows of the table of token vectors, float32 ``(n, D)``.
        num_rows: N, the number of rows in that table.
        words: The token of each row, or the row's number if it has none.
    """

    logits: Callable[[np.ndarray], np.ndarray]
    token_ids: Callable[[str], np.ndarray]
    window: int
    rows: Rows
    num_rows: int
    words: list[str | int]


def is_language_model(folder: str | Path) -> bool:
    """Tells whether a folder holds a causal language model, according to its ``config.json``.

    Raises:
        ImportError: transformers is not installed.
        FormatError: The file is damaged.
    """
    folder = Path(folder)
    if (folder / _MODULES).is_file() or not (folder / _CONFIG).is_file():
        return False
    architectures = read_json(folder / _CONFIG, dict).get("architectures")
    if not isinstance(architectures, list) or not architectures:
        return False
    with brought_by("hf"):
        from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return not set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()).isdisjoint(map(str, architectures))


def open_sentence_encoder(folder: str | Path) -> SentenceEncoder:
    """Opens a sentence encoder, or any text model, whose token vectors are then averaged.

    Args:
        folder: A folder of sentence-transformers, model2vec or transformers, compressed or not.

    Raises:
        InputError: It cannot be opened.
        ImportError: The library that opens it is not installed.
    """
    folder = Path(folder)
    _refuse_pickles(folder)
    return _open_static(folder) if is_model2vec(folder) else _open_encoder(folder)


def open_language_model(folder: str | Path) -> LanguageModel:
    """Opens a causal language model, in float32.

    Args:
        folder: A folder of transformers, compressed or not.

    Raises:
        InputError: It cannot be opened.
        ImportError: transformers is not installed.
    """
    folder = Path(folder)
    _refuse_pickles(folder)
    with brought_by("hf"):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

    import nncompress.hf  # noqa: F401

    with _naming(folder):
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = model.eval().to(_device())
    prefix = _prefix(tokenizer)

    def token_ids(text: str) -> np.ndarray:
        ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return np.array(ids, np.int64)

    def logits(ids: np.ndarray) -> np.ndarray:
        given = torch.tensor([[*prefix, *ids.tolist()]], device=model.device)
        with torch.inference_mode():
            found = model(given).logits[0, len(prefix) :]
        return found.float().cpu().numpy()

    longest = getattr(model.config, "max_position_embeddings", None) or _WINDOW
    table = model.get_input_embeddings()
    return LanguageModel(
        logits, token_ids, min(_WINDOW, longest - len(prefix)), _rows_of(table),
        table.num_embeddings, _words(tokenizer.get_vocab(), table.num_embeddings),
    )  # fmt: skip


def _open_encoder(folder: Path) -> SentenceEncoder:
    with brought_by("hf"):
        from sentence_transformers import SentenceTransformer

    import nncompress.hf  # noqa: F401

    with _naming(folder):
        model = SentenceTransformer(
            str(folder), device=_device(), local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )  # fmt: skip
    first = model[0]
    inner = getattr(first, "auto_model", None)
    table = first.embedding if inner is None else inner.get_input_embeddings()
    tokenizer = model.tokenizer

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors = model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(vectors, np.float32)

    words = _words(tokenizer.get_vocab(), table.num_embeddings)
    return SentenceEncoder(encode, _rows_of(table, inner is None), table.num_embeddings, words)


def _open_static(folder: Path) -> SentenceEncoder:
    from nncompress.models.static_model import StaticModel

    with _naming(folder):
        model = StaticModel.from_pretrained(folder)
    table: Any = model.embedding

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(model.encode(list(texts)), np.float32)

    def rows(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(table[numbers], np.float32)

    vocabulary = {} if model.token_mapping is not None else model.tokenizer.get_vocab()
    return SentenceEncoder(encode, rows, len(table), _words(vocabulary, len(table)))


def _rows_of(table: Any, is_bag: bool = False) -> Rows:
    """Returns a function that reads rows of an embedding module, or of an embedding bag."""
    import torch

    device = next(iter([*table.parameters(), *table.buffers()])).device

    def rows(numbers: np.ndarray) -> np.ndarray:
        parts = []
        for first in range(0, len(numbers), _ROWS):
            ids = torch.tensor(numbers[first : first + _ROWS], device=device)
            offsets = [torch.arange(len(ids), device=device)] if is_bag else []
            with torch.inference_mode():
                parts.append(table(ids, *offsets).float().cpu().numpy())
        return np.concatenate(parts)

    return rows


def _words(vocabulary: dict[str, int], num_rows: int) -> list[str | int]:
    words: list[str | int] = list(range(num_rows))
    for word, row in vocabulary.items():
        if 0 <= row < num_rows:
            words[row] = word
    return words


def _prefix(tokenizer: Any) -> list[int]:
    """Returns the special tokens that a tokenizer puts before a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    places = range(len(whole) - len(bare) + 1)
    first = next((i for i in places if whole[i : i + len(bare)] == bare), 0)
    return whole[:first]


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _refuse_pickles(folder: Path) -> None:
    """Refuses a folder with weights that can only be unpickled.

    Raises:
        InputError: There are such weights, or there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a directory; wanted a model's folder")
    for path in sorted(folder.rglob("pytorch_model*.bin")):
        if not any(path.parent.glob("*.safetensors")):
            raise InputError(
                f"{path} is a pickle, which is not read because it can run code; save the model "
                "as safetensors first, with its save_pretrained"
            )


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """Turns any exception of a library that opens a folder into an error naming the folder.

    Raises:
        InputError: The folder cannot be opened.
    """
    try:
        yield
    except (InputError, ImportError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"{folder} cannot be opened as a model: {type(error).__name__}: "
            f"{' '.join(str(error).split()):.300}"
        ) from error
