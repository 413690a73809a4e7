"""The Python API: train, evaluate and export, as in the paper authors' code."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import encode, require_same_width
from nncompress.autoencoder.snapshot import load_model, read_arrays, save_model
from nncompress.device import get_device, refuse_gpu_settings
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.embedding.distortion import measure
from nncompress.embedding.making import make_embedding
from nncompress.errors import InputError
from nncompress.refinement.refine import (
    MOST_CODEWORDS,
    RefinementSettings,
    improve_codes,
    refine,
)
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.weights import check_weights
from nncompress.threads import resolve_threads
from nncompress.training.epoch_report import EpochReport
from nncompress.training.session import make_session
from nncompress.training.settings import AUTHORS_SETTINGS, check_code_size, resolve_settings

_Matrix = EmbeddingMatrix | np.ndarray | str | os.PathLike


class EmbeddingCompressor:
    """Compresses an embedding matrix to M codes of K values a row, and a codebook.

    Source: Shu and Nakayama, "Compressing Word Embeddings via Deep Compositional Code Learning",
    ICLR 2018.

    Args:
        num_codebooks: M.
        num_codewords: K, from 2 to 65,536.
        model_path: Where the model is kept: ``train`` writes ``<model_path>.npz``, and
            ``evaluate`` and ``export`` read it, in another process too.
        device: Number of the GPU to compute on; -1 is the CPU.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores. No
            result depends on it.

    Raises:
        InputError: M, K or the number of threads is out of range, or there is no such GPU.

    .. admonition:: Example

        >>> compressor = EmbeddingCompressor(32, 16, "data/mymodel")
        >>> compressor.train(matrix)
        >>> distance = compressor.evaluate(matrix)
        >>> compressor.export(matrix, "data/mymodel")
    """

    def __init__(
        self,
        num_codebooks: int,
        num_codewords: int,
        model_path: str | os.PathLike,
        *,
        device: int = -1,
        threads: int | None = None,
    ) -> None:
        check_code_size(num_codebooks, num_codewords)
        self.num_codebooks = num_codebooks
        self.num_codewords = num_codewords
        self.model_path = Path(model_path)
        self._use(device)
        self._threads = resolve_threads(threads)
        self._model: _Model | None = None
        self._trained_on: EmbeddingMatrix | None = None
        self._facts: dict[str, object] = {}  # of the training, for an embedding's file

    def _use(self, device: int) -> None:
        self._gpu, self._device = device, get_device(device)

    @property
    def _snapshot(self) -> Path:
        return self.model_path.with_name(self.model_path.name + ".npz")

    def train(
        self,
        matrix: _Matrix,
        *,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        device: int | None = None,
        recipe: str = "fast",
        seed: int = 0,
        optimizer: str = "Adam",
        learning_rate: float | None = None,
        tau: float | None = None,
        tau_start: float | None = None,
        max_grad_norm: float | None = None,
        full_precision: bool = False,
        matrix_dtype: str = "float32",
        weights: np.ndarray | None = None,
        refinement: RefinementSettings | None = None,
        report: Callable[[str], None] | None = print,
    ) -> None:
        """Trains a model, refines it under the fast recipe, and writes ``<model_path>.npz``.

        Args:
            matrix: ``(N, D)`` array of float16, float32 or float64, or the path of a ``.npy``
                file.
            max_epochs: Passes over the rows; the recipe chooses by default.
            batch_size: Rows a step.
            device: Number of the GPU, -1 for the CPU; by default the compressor's.
            recipe: ``"fast"``, or ``"paper"``: the settings of the authors' code (tau 1, gradients
                clipped to a global norm of 0.001).
            seed: Seed of everything random.
            optimizer: ``"Adam"`` or ``"SGD"``.
            learning_rate: The highest learning rate.
            tau: Final temperature; without ``tau_start`` the temperature of every step.
            tau_start: Temperature of the first step.
            max_grad_norm: Global norm that gradients are clipped to.
            full_precision: On a GPU: whether products have all of float32's digits; else those of
                TF32.
            matrix_dtype: On a GPU: what the matrix is made of there, ``"float32"`` or
                ``"float16"``.
            weights: The weight of each row in the loss, ``(N,)``; None: all the same.
            refinement: How long and how hard to refine; None: the defaults.
            report: Takes a line for each epoch; None for silence.

        Raises:
            InputError: The matrix or a setting cannot be used. Nothing has been written then.
        """
        matrix = EmbeddingMatrix.of(matrix)
        if weights is not None:
            weights = check_weights(weights, matrix)
        settings = resolve_settings(
            len(matrix),
            self.num_codebooks,
            self.num_codewords,
            recipe=recipe,
            recipe_changes=AUTHORS_SETTINGS if recipe == "paper" else {},
            optimizer=optimizer,
            seed=seed,
            batchsize=batch_size,
            epoch=max_epochs,
            learning_rate=learning_rate,
            tau=tau,
            tau_start=tau_start,
            max_grad_norm=max_grad_norm,
            full_precision=full_precision,
            matrix_dtype=matrix_dtype,
        )
        if device is not None:
            self._use(device)
        self._device.use()
        refuse_gpu_settings(self._device, full_precision, matrix_dtype)
        self.model_path.parent.mkdir(parents=True, exist_ok=True)
        session = make_session(
            matrix,
            settings,
            self.model_path.parent,
            self._device,
            validation_interval=None,
            threads=self._threads,
            weights=weights,
        )
        session.trainer.extend(
            EpochReport(
                settings.iterations,
                save=lambda: save_model(self._snapshot, session.chain),
                report=report or (lambda line: None),
            )
        )
        session.trainer.run()
        self._model = None  # the best model is in the file, and the last one is forgotten
        self._trained_on = matrix
        self._facts = {"recipe": recipe, "seed": seed, "weighted": weights is not None}
        if recipe == "fast" and self.num_codebooks * self.num_codewords <= MOST_CODEWORDS:
            self._refine(matrix, weights, seed, refinement or RefinementSettings())

    def _refine(
        self,
        matrix: EmbeddingMatrix,
        weights: np.ndarray | None,
        seed: int,
        settings: RefinementSettings,
    ) -> None:
        """Refines the best model, and keeps its codebook and codes in the model's file."""
        chain = self._loaded().chain
        codes = encode(chain, matrix, self._device)
        refined = refine(
            matrix, codes, chain.export_codebook(),
            weights=weights, seed=seed, threads=self._threads, gpu=self._gpu, settings=settings,
        )  # fmt: skip
        self._model = _Model(chain, refined.codebook, refined.codes, matrix.digest())
        save_model(self._snapshot, chain, self._model.refined_arrays())

    def encode(self, matrix: _Matrix) -> np.ndarray:
        """Returns the codes of rows, uint8 or uint16 ``(N, M)``.

        After training with the fast recipe, the matrix that was trained on has the codes that
        refinement ended with. Other rows, which need not have been in training, are encoded by the
        encoder and then improved against the final codebook.

        Args:
            matrix: As for ``train``.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = EmbeddingMatrix.of(matrix)
        self._device.use()
        model = self._loaded()
        require_same_width(model.chain, matrix)
        if model.codes is not None and model.digest == matrix.digest():
            return model.codes.copy()
        codes = encode(model.chain, matrix, self._device)
        if model.codes is None:
            return codes
        return improve_codes(matrix, codes, model.codebook, threads=self._threads, gpu=self._gpu)

    def evaluate(self, matrix: _Matrix) -> float:
        """Returns the mean Euclidean distance between rows and their reconstructions.

        Args:
            matrix: As for ``train``.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = EmbeddingMatrix.of(matrix)
        table = CodeTable.of_codes(self.encode(matrix), self._loaded().codebook)
        return measure(matrix, table, self._device.xp).distance

    def export(self, matrix: _Matrix, prefix: str | os.PathLike) -> None:
        """Writes ``<prefix>.codes``, one row a line, and ``<prefix>.codebook.npy``.

        Args:
            matrix: As for ``train``.
            prefix: How the paths begin.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        write_codes(f"{os.fspath(prefix)}.codes", self.encode(matrix))
        write_codebook(f"{os.fspath(prefix)}.codebook.npy", self._loaded().codebook)

    def to_embedding(
        self,
        words: Sequence[str | None] | None = None,
        matrix: _Matrix | None = None,
        *,
        codebook_dtype: str = "auto",
    ) -> CompressedEmbedding:
        """Returns the compressed embedding of a matrix.

        Args:
            words: The word of each row; see ``CompressedEmbedding.from_codes``.
            matrix: As for ``train``; by default the matrix that this object was trained on.
            codebook_dtype: ``"float16"``, ``"float32"``, or ``"auto"``: float16 where that adds
                less than 0.1% to the loss.

        Raises:
            InputError: There is no model or no matrix, or something does not fit.
        """
        if matrix is None and self._trained_on is None:
            raise InputError(
                "this object has not trained a model; give to_embedding the matrix to encode"
            )
        matrix = EmbeddingMatrix.of(self._trained_on if matrix is None else matrix)
        codes, model = self.encode(matrix), self._loaded()
        facts = self._facts | {"refined": model.codes is not None}
        embedding, _ = make_embedding(
            matrix, codes, model.codebook, words, codebook_dtype, facts, self._device.xp
        )
        return embedding

    def _loaded(self) -> "_Model":
        if self._model is None:
            if not self._snapshot.is_file():
                raise InputError(f"{self._snapshot} does not exist; train a model first")
            chain = load_model(
                self._snapshot,
                self.num_codebooks,
                self.num_codewords,
                self._device,
                self._threads,
            )
            arrays = read_arrays(self._snapshot)
            self._model = _Model(
                chain,
                arrays.get("refined/codebook", chain.export_codebook()),
                arrays.get("refined/codes"),
                arrays.get("refined/digest", np.empty(0, np.uint8)).tobytes(),
            )
        return self._model


@dataclass(frozen=True)
class _Model:
    """A trained model.

    Attributes:
        chain: The autoencoder.
        codebook: The final codebook, in the units of the matrix.
        codes: The final codes of the matrix that was trained on, if they were refined.
        digest: The fingerprint of that matrix.
    """

    chain: CompositionalAutoencoder
    codebook: np.ndarray
    codes: np.ndarray | None
    digest: bytes

    def refined_arrays(self) -> dict[str, np.ndarray]:
        """Returns what the model's file holds beside the autoencoder."""
        return {
            "refined/codebook": self.codebook,
            "refined/codes": self.codes,
            "refined/digest": np.frombuffer(self.digest, dtype=np.uint8),
        }
