"""The Python API of the paper authors' code: train, evaluate and export."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.encoding import encode, require_same_width
from nncompress.autoencoder.snapshot import load_model, save_model
from nncompress.coding import code
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.embedding.compressed import CompressedEmbedding
from nncompress.errors import Diverged, InputError
from nncompress.evaluate.distortion import measure
from nncompress.formats.files import atomic_paths, check_output
from nncompress.formats.npz import NpzFile
from nncompress.machine import Machine
from nncompress.making import Coded, make_embedding
from nncompress.needs import refines
from nncompress.phases import on_machine, phases_of_codes
from nncompress.progress import expect
from nncompress.refinement.refine import RefinementSettings, improve_codes
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.weights import check_weights
from nncompress.training.epoch_report import EpochReport
from nncompress.training.session import learn
from nncompress.training.settings import TrainingOptions, check_code_size

if TYPE_CHECKING:
    import chainer

Matrix = EmbeddingMatrix | np.ndarray | str | os.PathLike


class EmbeddingCompressor:
    """Compresses an embedding matrix to M codes of K values per row, and a codebook.

    Source: Shu and Nakayama, "Compressing Word Embeddings via Deep Compositional Code Learning",
    ICLR 2018. The names of the authors' class work as well as those of this project.

    Args:
        num_codebooks: M.
        num_codewords: K, from 2 to 65,536.
        model_path: Path of the model without its ending: ``train`` writes ``<model_path>.npz``,
            and ``evaluate`` and ``export`` read it, even in another process.
        n_codebooks: The authors' name for ``num_codebooks``.
        n_centroids: The authors' name for ``num_codewords``.
        gpu: Number of the GPU to compute on; -1 is the CPU.
        threads: Number of CPU threads; None for one per usable core. No result depends on it.

    Attributes:
        num_codebooks: M; also ``M``.
        num_codewords: K; also ``K``.
        model_path: As given.

    Raises:
        InputError: M, K or the number of threads is out of range, or there is no such GPU.

    Examples:
        >>> matrix = np.load("data/glove.6B.50d.npy")[:500]
        >>> compressor = EmbeddingCompressor(8, 16, "data/mymodel")
        >>> compressor.train(matrix, report=None)
        >>> distance = compressor.evaluate(matrix)
        >>> compressor.export(matrix, "data/mymodel")  # .codes and .codebook.npy
        >>> compressor.encode(matrix[:2]).shape
        (2, 8)
    """

    def __init__(
        self,
        num_codebooks: int | None = None,
        num_codewords: int | None = None,
        model_path: str | os.PathLike | None = None,
        *,
        n_codebooks: int | None = None,
        n_centroids: int | None = None,
        gpu: int = -1,
        threads: int | None = None,
    ) -> None:
        self.num_codebooks: int = _either(
            num_codebooks, n_codebooks, "num_codebooks", "n_codebooks"
        )
        self.num_codewords: int = _either(
            num_codewords, n_centroids, "num_codewords", "n_centroids"
        )
        if model_path is None:
            raise InputError("model_path is missing; wanted the path to save the model under")
        check_code_size(self.num_codebooks, self.num_codewords)
        self.model_path = Path(model_path)
        if not self.model_path.name or self.model_path.is_dir():
            raise InputError(
                f"model_path is {os.fspath(model_path)!r}, a directory; wanted a path to which "
                "file endings are added"
            )
        self._machine = Machine(gpu, threads)
        self._model: _Model | None = None
        self._trained_on: EmbeddingMatrix | None = None
        self._facts: dict[str, object] = {}  # about the training, for an embedding's file

    @property
    def M(self) -> int:
        """The number of codebooks, under the authors' name."""
        return self.num_codebooks

    @property
    def K(self) -> int:
        """The number of codewords in each codebook, under the authors' name."""
        return self.num_codewords

    @property
    def _snapshot(self) -> Path:
        return self.model_path.with_name(self.model_path.name + ".npz")

    def train(
        self,
        matrix: Matrix | None = None,
        max_epochs: int | None = None,
        *,
        embed_matrix: Matrix | None = None,
        batch_size: int | None = None,
        recipe: str = "fast",
        seed: int = 0,
        optimizer: "str | chainer.GradientMethod" = "Adam",
        extensions: Sequence[object] = (),
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
        """Trains a model, refines it with the fast recipe, and writes ``<model_path>.npz``.

        Args:
            matrix: ``(N, D)`` array of float16, float32 or float64, or the path of a ``.npy``
                file.
            max_epochs: Passes over the rows; the default depends on the recipe.
            embed_matrix: The authors' name for ``matrix``.
            batch_size: Rows per step.
            recipe: ``"fast"``, ``"paper"`` (the Chainer port of 2018: tau 0.1, no clipping) or
                ``"authors"`` (the authors' own code: tau 1, gradients clipped to a norm of 0.001).
            seed: Seed of everything random.
            optimizer: ``"Adam"``, ``"SGD"``, or a Chainer optimizer that is not set up on a link
                yet, which then determines learning rate and clipping.
            extensions: Chainer's or your own, with their own triggers; their files go to the
                directory of ``model_path``.
            learning_rate: The highest learning rate.
            tau: Final temperature; without ``tau_start``, the temperature of every step.
            tau_start: Temperature of the first step.
            max_grad_norm: Global norm that gradients are clipped to.
            full_precision: On a GPU: whether to compute products in full float32 precision
                instead of TF32.
            matrix_dtype: On a GPU: the type of the matrix there, ``"float32"`` or ``"float16"``.
            weights: The weight of each row in the loss, ``(N,)``; None for equal weights.
            refinement: The settings of refinement; None for the defaults.
            report: A function that is called with a line for each epoch; None for silence.

        Raises:
            InputError: The matrix or a setting cannot be used. Nothing is written in that case.
            Diverged: A loss or a parameter is not finite. The file holds the model of the last
                epoch whose line has a star, if there was one.
        """
        matrix = EmbeddingMatrix.of(_either(matrix, embed_matrix, "matrix", "embed_matrix"))
        if weights is not None:
            weights = check_weights(weights, matrix)
        name, theirs = (optimizer, None) if isinstance(optimizer, str) else ("Adam", optimizer)
        options = TrainingOptions(
            recipe=recipe,
            optimizer=name,
            seed=seed,
            batch_size=batch_size,
            epochs=max_epochs,
            learning_rate=learning_rate,
            tau=tau,
            tau_start=tau_start,
            max_grad_norm=max_grad_norm,
            full_precision=full_precision,
            matrix_dtype=matrix_dtype,
        )
        options.check_machine(self._machine)
        settings = options.resolve(len(matrix), self.num_codebooks, self.num_codewords)
        if refinement is not None and recipe != "fast":
            raise InputError(
                f"refinement was given, but the recipe {recipe} does not refine; leave it out"
            )
        refinement = refinement or RefinementSettings()
        size = self.num_codebooks, self.num_codewords
        refined = refines(recipe, matrix, size, self._machine, refinement)
        check_output(self._snapshot)
        kept = ""

        def keep(chain: CompositionalAutoencoder) -> None:
            nonlocal kept
            save_model(self._snapshot, chain)
            kept = f"the last good model is {self._snapshot}"

        shape, machine = matrix.shape, self._machine
        expect(lambda: on_machine(phases_of_codes(shape, size, options, refinement), machine))
        progress = EpochReport(settings.iterations, report or (lambda line: None), starred=keep)
        try:
            learned = learn(
                matrix, settings, self._machine,
                weights=weights, optimizer=theirs, extensions=[progress, *extensions],
                out=self.model_path.parent,
            )  # fmt: skip
        except Diverged as error:
            raise Diverged(error.seen, error.advice, kept) from None
        chain = learned.chain
        self._model = _Model(chain, chain.export_codebook(), None, b"")
        if refined:
            coded = code(
                chain, matrix, self._machine,
                refinement=refinement, weights=weights, seed=seed,
            )  # fmt: skip
            coded.warn_if_poor(matrix, weights)
            self._model = _Model(chain, coded.codebook, coded.codes, matrix.digest())
        else:
            learned.warn_if_poor()
        save_model(self._snapshot, chain, self._model.refined_arrays())
        self._trained_on = matrix
        self._facts = {"recipe": recipe, "seed": seed, "weighted": weights is not None}

    def encode(self, matrix: Matrix) -> np.ndarray:
        """Returns the codes of rows, uint8 or uint16 ``(N, M)``.

        After training with the fast recipe, the training matrix has the codes from refinement.
        Other rows are encoded by the encoder and then improved against the final codebook.

        Args:
            matrix: ``(N, D)`` array of float16, float32 or float64, or the path of a ``.npy``
                file.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = EmbeddingMatrix.of(matrix)
        self._machine.use()
        model = self._loaded()
        require_same_width(model.chain, matrix)
        if model.codes is not None and model.digest == matrix.digest():
            return model.codes.copy()
        codes = encode(model.chain, matrix, self._machine)
        if model.codes is None:
            return codes
        return improve_codes(matrix, codes, model.codebook, machine=self._machine)

    def evaluate(
        self, matrix: Matrix | None = None, *, embed_matrix: Matrix | None = None
    ) -> float:
        """Returns the mean Euclidean distance between rows and their reconstructions.

        Args:
            matrix: ``(N, D)`` array of float16, float32 or float64, or the path of a ``.npy``
                file.
            embed_matrix: The authors' name for ``matrix``.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = EmbeddingMatrix.of(_either(matrix, embed_matrix, "matrix", "embed_matrix"))
        table = CodeTable.of_codes(self.encode(matrix), self._loaded().codebook)
        return measure(matrix, [table], self._machine.xp)[0].distance

    def export(
        self,
        matrix: Matrix | None = None,
        prefix: str | os.PathLike | None = None,
        *,
        embed_matrix: Matrix | None = None,
    ) -> None:
        """Writes ``<prefix>.codes``, one row per line, and ``<prefix>.codebook.npy``.

        Args:
            matrix: ``(N, D)`` array of float16, float32 or float64, or the path of a ``.npy``
                file.
            prefix: Beginning of both paths; None for the model's path.
            embed_matrix: The authors' name for ``matrix``.

        Raises:
            InputError: There is no model, or it does not fit the matrix.
        """
        matrix = _either(matrix, embed_matrix, "matrix", "embed_matrix")
        prefix = self.model_path if prefix is None else prefix
        names = (f"{os.fspath(prefix)}.{ending}" for ending in ("codes", "codebook.npy"))
        codes, codebook = self.encode(matrix), self._loaded().codebook
        with atomic_paths(*names) as (codes_path, codebook_path):
            write_codes(codes_path, codes)
            write_codebook(codebook_path, codebook)

    def to_embedding(
        self,
        words: Sequence[str | None] | None = None,
        matrix: Matrix | None = None,
        *,
        codebook_dtype: str = "auto",
    ) -> CompressedEmbedding:
        """Returns the compressed embedding of a matrix.

        Args:
            words: The word of each row; see ``CompressedEmbedding.from_codes``.
            matrix: ``(N, D)`` array of float16, float32 or float64, or the path of a ``.npy``
                file; by default the matrix that this object was trained on.
            codebook_dtype: ``"float16"``, ``"float32"``, or ``"auto"``: float16 if that adds less
                than 0.1% to the loss and takes less than 0.001 from the mean cosine.

        Raises:
            InputError: There is no model or no matrix, or something does not fit.
        """
        matrix = self._trained_on if matrix is None else matrix
        if matrix is None:
            raise InputError(
                "this object has not trained a model; pass the matrix to encode to to_embedding"
            )
        matrix = EmbeddingMatrix.of(matrix)
        codes, model = self.encode(matrix), self._loaded()
        facts = self._facts | {"refined": model.codes is not None}
        embedding, _ = make_embedding(
            matrix, Coded(codes, model.codebook), words, codebook_dtype, facts, self._machine
        )
        return embedding

    def _loaded(self) -> "_Model":
        if self._model is None:
            if not self._snapshot.is_file():
                raise InputError(f"{self._snapshot} does not exist; train a model first")
            chain = load_model(
                self._snapshot, self.num_codebooks, self.num_codewords, self._machine
            )
            self._model = _read_refined(self._snapshot, chain)
        return self._model


@dataclass(frozen=True)
class _Model:
    """A trained model.

    Attributes:
        chain: The autoencoder.
        codebook: The final codebook, in the units of the matrix.
        codes: The final codes of the training matrix, if they were refined.
        digest: The fingerprint of that matrix.
    """

    chain: CompositionalAutoencoder
    codebook: np.ndarray
    codes: np.ndarray | None
    digest: bytes

    def refined_arrays(self) -> dict[str, np.ndarray]:
        """Returns the arrays that the model's file holds besides the autoencoder."""
        if self.codes is None:
            return {}
        return {
            "refined/codebook": self.codebook,
            "refined/codes": self.codes,
            "refined/digest": np.frombuffer(self.digest, dtype=np.uint8),
        }


def _read_refined(path: Path, chain: CompositionalAutoencoder) -> _Model:
    """Reads the refined codes and codebook from a model's file, if it has them."""
    codebook = chain.export_codebook()
    with NpzFile(path, "a model") as file:
        if "refined/codes" not in file:
            return _Model(chain, codebook, None, b"")
        missing = [name for name in ("refined/codebook", "refined/digest") if name not in file]
        if missing:
            raise InputError(f"{path} lacks {', '.join(missing)}; wanted a complete model")
        rows = file.header("refined/codes").shape[:1]
        wanted = {
            "refined/codebook": (codebook.shape, "f"),
            "refined/codes": ((*rows, chain.num_codebooks), "u"),
        }
        for name, (shape, kind) in wanted.items():
            header = file.header(name)
            if (header.shape, header.dtype.kind) != (shape, kind):
                raise InputError(
                    f"{path}: {name} is {header.dtype} {header.shape}; wanted shape {shape}"
                )
        refined, codes = (file[name] for name in wanted)
        digest = file["refined/digest"].tobytes()
    if not np.isfinite(refined).all() or codes.max(initial=0) >= chain.num_codewords:
        raise InputError(
            f"{path} is damaged: it has codes of {chain.num_codewords} or more, or codewords that "
            "are not finite; train the model again"
        )
    return _Model(chain, refined, codes, digest)


def _either(ours: Any, theirs: Any, our_name: str, their_name: str) -> Any:
    """Returns the value that was given under one of two names."""
    if ours is not None and theirs is None:
        return ours
    if theirs is not None and ours is None:
        return theirs
    seen = "neither was given" if ours is None else "both were given"
    raise InputError(f"{our_name} and {their_name} are two names for one argument, but {seen}")
