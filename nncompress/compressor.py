"""The Python API: train, evaluate and export, as in the paper authors' code."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import encode
from nncompress.autoencoder.snapshot import load_model, save_model
from nncompress.device import get_device
from nncompress.embedding.codes import mean_euclidean_distance, write_codebook, write_codes
from nncompress.errors import InputError
from nncompress.sources import EmbeddingMatrix
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
        self._device = get_device(device)
        self._threads = resolve_threads(threads)
        self._chain: CompositionalAutoencoder | None = None

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
        report: Callable[[str], None] | None = print,
    ) -> None:
        """Trains a model and writes ``<model_path>.npz``.

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
            report: Takes a line for each epoch; None for silence.

        Raises:
            InputError: The matrix or a setting cannot be used. Nothing has been written then.
        """
        matrix = EmbeddingMatrix.of(matrix)
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
        )
        if device is not None:
            self._device = get_device(device)
        self.model_path.parent.mkdir(parents=True, exist_ok=True)
        session = make_session(
            matrix,
            settings,
            self.model_path.parent,
            self._device,
            validation_interval=None,
            threads=self._threads,
        )
        session.trainer.extend(
            EpochReport(
                settings.iterations,
                save=lambda: save_model(self._snapshot, session.chain),
                report=report or (lambda line: None),
            )
        )
        session.trainer.run()
        self._chain = None  # the best model is in the file, and the last one is forgotten

    def evaluate(self, matrix: _Matrix) -> float:
        """Returns the mean Euclidean distance between rows and their reconstructions.

        Args:
            matrix: As for ``train``.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = EmbeddingMatrix.of(matrix)
        chain = self._loaded()
        codes = encode(chain, matrix, self._device)
        return mean_euclidean_distance(matrix, codes, chain.export_codebook())

    def export(self, matrix: _Matrix, prefix: str | os.PathLike) -> None:
        """Writes ``<prefix>.codes``, one row a line, and ``<prefix>.codebook.npy``.

        Args:
            matrix: As for ``train``.
            prefix: How the paths begin.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = EmbeddingMatrix.of(matrix)
        chain = self._loaded()
        codes = encode(chain, matrix, self._device)
        write_codes(f"{os.fspath(prefix)}.codes", codes)
        write_codebook(f"{os.fspath(prefix)}.codebook.npy", chain.export_codebook())

    def _loaded(self) -> CompositionalAutoencoder:
        if self._chain is None:
            if not self._snapshot.is_file():
                raise InputError(f"{self._snapshot} does not exist; train a model first")
            self._chain = load_model(
                self._snapshot,
                self.num_codebooks,
                self.num_codewords,
                self._device,
                self._threads,
            )
        return self._chain
