"""Measuring how well a compressed model preserves the original."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nncompress.errors import InputError
from nncompress.evaluate.bootstrap import Figure
from nncompress.evaluate.language_model import perplexity
from nncompress.evaluate.report import Report, Score
from nncompress.evaluate.row_comparison import RowComparison, compare_rows
from nncompress.evaluate.sentence_similarity import Encode, read_sentence_pairs, sts
from nncompress.evaluate.word_similarity import word_similarity_of_texts
from nncompress.formats.files import what_is
from nncompress.models.opened import (
    LanguageModel,
    SentenceEncoder,
    is_language_model,
    open_language_model,
    open_sentence_encoder,
)
from nncompress.sources import EmbeddingMatrix


@dataclass(frozen=True)
class Tasks:
    """The data that models are evaluated on.

    Attributes:
        pairs: Files of word pairs, for a sentence encoder.
        sts: A file of sentence pairs, for a sentence encoder; None for none.
        text: A text, for a language model; None for none.
    """

    pairs: tuple[Path, ...] = ()
    sts: Path | None = None
    text: Path | None = None

    @property
    def flags(self) -> list[str]:
        """The flags of the data given."""
        given = {"--pairs": self.pairs, "--sts": self.sts, "--text": self.text}
        return [flag for flag, value in given.items() if value]

    def check(self, folder: Path) -> None:
        """Refuses data that does not suit a model or cannot be read.

        Raises:
            InputError: Some of the data is unsuitable or unreadable.
        """
        is_causal = is_language_model(folder)
        what, wanted = "a sentence encoder", {"--pairs", "--sts"}
        if is_causal:
            what, wanted = "a causal language model", {"--text"}
        for flag in self.flags:
            if flag not in wanted:
                raise InputError(
                    f"{folder} is {what}, to which {flag} does not apply; leave it out, or use "
                    f"{' and '.join(sorted(wanted))}"
                )
        if self.sts is not None:
            read_sentence_pairs(self.sts)
        if self.text is not None:
            _read_text(self.text)


@dataclass(frozen=True)
class ModelEvaluation:
    """The results of a comparison.

    Attributes:
        rows: The measurements of the rows of the input embeddings.
        report: The figures.
        words: The token of each row, or the row's number.
    """

    rows: RowComparison
    report: Report
    words: list[str | int]


class OriginalModel:
    """The original that compressed models are compared with, opened once.

    All models are opened with the library that they are normally used with.

    Args:
        folder: Its folder.
        tasks: The data to evaluate models on.

    Raises:
        InputError: The folder or a file of the tasks cannot be used.
        ImportError: A library is not installed.
    """

    def __init__(self, folder: str | Path, tasks: Tasks = Tasks()) -> None:
        self._folder, self._tasks = Path(folder), tasks
        tasks.check(self._folder)
        self._model: SentenceEncoder | LanguageModel
        if is_language_model(self._folder):
            self._model = open_language_model(self._folder)
        else:
            encoder = open_sentence_encoder(self._folder)
            # Every compressed model is evaluated on the same texts.
            self._model = replace(encoder, encode=_remembering(encoder.encode))

    def compare(self, compressed: str | Path) -> ModelEvaluation:
        """Compares a compressed model with the original.

        Args:
            compressed: Its folder.

        Raises:
            InputError: The folder cannot be used, or belongs to another model.
            ImportError: A library is not installed.
        """
        before, compressed = self._model, Path(compressed)
        if is_language_model(compressed) != isinstance(before, LanguageModel):
            raise InputError(
                f"one of {self._folder} and {compressed} is a causal language model and the other "
                "is not; wanted a model and its compressed version"
            )
        after: SentenceEncoder | LanguageModel
        more: dict[str, Figure] = {}
        if isinstance(before, LanguageModel):
            after = open_language_model(compressed)
            scores, more = _language_scores(before, after, self._tasks)
        else:
            after = open_sentence_encoder(compressed)
            scores = _encoder_scores(before, after, self._tasks)
        rows = _compare(before, after, self._folder, compressed)
        report = Report(rows.figures, (), rows.basis()).with_tasks(scores, **more)
        return ModelEvaluation(rows, report, before.words)


def evaluate_models(
    original: str | Path, compressed: str | Path, tasks: Tasks = Tasks()
) -> ModelEvaluation:
    """Compares a compressed model with its original; see ``OriginalModel``."""
    return OriginalModel(original, tasks).compare(compressed)


def _remembering(encode: Encode) -> Encode:
    """Returns an encoder that encodes each list of texts only once."""
    remembered: dict[tuple[str, ...], np.ndarray] = {}

    def encoded(texts: Sequence[str]) -> np.ndarray:
        key = tuple(texts)
        if key not in remembered:
            remembered[key] = encode(key)
        return remembered[key]

    return encoded


def _compare(
    before: SentenceEncoder | LanguageModel,
    after: SentenceEncoder | LanguageModel,
    original: Path,
    compressed: Path,
) -> RowComparison:
    matrix = EmbeddingMatrix(
        before.rows(np.arange(before.num_rows)), str(original), tiny_rows=True
    )
    shape = after.num_rows, after.rows(np.zeros(1, np.int64)).shape[1]
    if shape != matrix.shape:
        raise InputError(
            f"{original} has a table of shape {matrix.shape}, but {compressed} has one of shape "
            f"{shape}; wanted a model and its compressed version"
        )
    return compare_rows(matrix, after.rows)


def _encoder_scores(
    before: SentenceEncoder, after: SentenceEncoder, tasks: Tasks
) -> tuple[Score, ...]:
    encoders = before.encode, after.encode
    scores = [word_similarity_of_texts(*encoders, path) for path in tasks.pairs]
    if tasks.sts is not None:
        scores.append(sts(*encoders, read_sentence_pairs(tasks.sts), tasks.sts.name))
    return tuple(scores)


def _language_scores(
    before: LanguageModel, after: LanguageModel, tasks: Tasks
) -> tuple[tuple[Score, ...], dict[str, Figure]]:
    if tasks.text is None:
        return (), {}
    ids = before.token_ids(_read_text(tasks.text))
    if not np.array_equal(ids, after.token_ids(_read_text(tasks.text))):
        raise InputError(
            "the models split the text into different tokens; wanted a model and its compressed "
            "version"
        )
    score, divergence = perplexity(
        before.logits, after.logits, ids, min(before.window, after.window), tasks.text.name
    )
    return (score,), {"kl": divergence}


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path} {what_is(path)}; wanted a text file")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from None
