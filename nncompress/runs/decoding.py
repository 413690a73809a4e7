"""Decoding a run: turning a snapshot and a matrix into codes and a codebook."""

import re
import shlex
import warnings
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from nncompress.autoencoder.encoding import ENCODING_BATCH, require_same_width
from nncompress.autoencoder.snapshot import load_model
from nncompress.coding import code
from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.errors import InputError
from nncompress.evaluate.distortion import check_codebook_dtype, warn_if_poor
from nncompress.formats.files import atomic_paths, check_output
from nncompress.formats.rescue import write_or_rescue
from nncompress.machine import Machine
from nncompress.making import facts_of, make_embedding
from nncompress.needs import refines
from nncompress.phases import WRITING, on_machine, phases_of_encoding
from nncompress.progress import expect, phase
from nncompress.refinement.refine import RefinementSettings
from nncompress.refinement.room import require_room
from nncompress.runs.best_file import best_snapshot
from nncompress.runs.config import CONFIG_FILE, read_config
from nncompress.runs.data import TrainingData
from nncompress.runs.log import log_provenance, log_to
from nncompress.runs.unwritten import Unwritten
from nncompress.sources import EmbeddingMatrix, read_vocabulary
from nncompress.training.settings import check_code_size

# The names of M and K in the configurations of this project and the Chainer port of 2018.
_SIZE_NAMES = (("M", "K"), ("n_codebooks", "n_centroids"))


@dataclass(frozen=True)
class DecodingChoices:
    """A user's choices for decoding.

    Attributes:
        num_codebooks: M, for a snapshot outside its run directory; None: that of the run.
        num_codewords: K, like M.
        vocabulary: One token for each row of the unlimited matrix; None: no tokens.
        matrix: The matrix; None: all of the one that the run was trained on.
        limit: Number of leading rows to encode.
        batch_size: Rows per batch.
        refined: Whether to refine codes and codebook; None: if the run has the fast recipe and
            its codebook is not too large.
        weights: The rows' weights in refinement; None: those that the run was trained with,
            unless another matrix is given.
        refinement: The settings of refinement.
        codebook_dtype: The type of the codebook in ``<model>.nnc``; see ``choose_codebook``.
    """

    num_codebooks: int | None = None
    num_codewords: int | None = None
    vocabulary: Path | None = None
    matrix: Path | None = None
    limit: int | None = None
    batch_size: int = ENCODING_BATCH
    refined: bool | None = None
    weights: Path | None = None
    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    codebook_dtype: str = "auto"


@dataclass(frozen=True)
class Decoded:
    """The result of decoding.

    Attributes:
        distance: The mean Euclidean distance over the encoded rows.
        embedding: The ``.nnc`` file.
    """

    distance: float
    embedding: Path


def decode(
    model: Path,
    started: datetime,
    machine: Machine,
    choices: DecodingChoices,
) -> Decoded:
    """Encodes a matrix, and writes ``<model>.codes``, ``<model>.codebook.npy``, ``<model>.nnc``.

    Args:
        model: A snapshot, or a run directory, whose best snapshot is used.
        started: The time at which the command began.
        machine: The machine to compute on.
        choices: The user's choices.

    Raises:
        InputError: An argument cannot be used. No file has been written.
        OutputError: A file cannot be written.
    """
    if choices.batch_size < 1:
        raise InputError(f"the batch size is {choices.batch_size}; wanted at least 1")
    check_codebook_dtype(choices.codebook_dtype)
    while True:
        snapshot = _snapshot_of(model)
        config = _config_of(snapshot)
        size = _code_size(snapshot, config, choices)
        try:
            chain = load_model(snapshot, *size, machine)
            break  # the file, which training may remove, is not needed any more
        except InputError:
            if snapshot.exists() or snapshot == model:
                raise
            continue  # training has replaced it by a better one
    known = config or {}
    recipe, seed = known.get("recipe", "unknown"), known.get("seed", 0)
    refined = _is_refined(choices, recipe)
    data = _data_of(snapshot, config, choices.matrix, choices.weights, choices.limit)
    matrix, weights = (data if refined else replace(data, weights=None)).open()
    require_same_width(chain, matrix)
    if refined and choices.refined:
        require_room(*matrix.shape, size[0] * size[1], machine)
    elif refined and not refines(recipe, matrix, size, machine, choices.refinement):
        refined, weights = False, None
    tokens = None if choices.vocabulary is None else _tokens(choices.vocabulary, matrix)

    inputs = [data.matrix, data.weights, choices.vocabulary, snapshot]
    for ending in ("codes", "codebook.npy", "nnc"):
        check_output(snapshot.with_name(f"{snapshot.name}.{ending}"), inputs)
    log_path = snapshot.with_name(f"inference_{snapshot.name}.log")
    unwritten = Unwritten()
    with log_to(log_path, started, "Inference complete!!", unwritten) as log:
        log_provenance(log)
        refinement = choices.refinement if refined else None
        expect(lambda: on_machine(phases_of_encoding(matrix.shape, size, refinement), machine))
        coded = code(
            chain, matrix, machine,
            refinement=refinement,
            weights=weights, seed=seed, batch_size=choices.batch_size,
        )  # fmt: skip
        if coded.refined is not None:
            log(f"Refinement began from {coded.refined.start} codebooks")
            rounds = ", ".join(f"{loss:.6g}" for loss in coded.refined.losses)
            log(f"{'Loss' if weights is None else 'Weighted loss'} after each round: {rounds}")
        # Raises if the result cannot be stored, before anything is written.
        facts = facts_of(recipe, seed, coded, weights)
        embedding, exact = make_embedding(
            matrix, coded, tokens, choices.codebook_dtype, facts, machine
        )
        written = {
            "codes": snapshot.with_name(f"{snapshot.name}.codes"),
            "codebook": snapshot.with_name(f"{snapshot.name}.codebook.npy"),
            "embedding": snapshot.with_name(f"{snapshot.name}.nnc"),
        }

        def write(directory: Path) -> None:
            finals = [directory / path.name for path in written.values()]
            with atomic_paths(*finals) as (codes_path, codebook_path, embedding_path):
                write_codes(codes_path, coded.codes, tokens)
                write_codebook(codebook_path, coded.codebook)
                embedding.save(embedding_path)

        with phase(WRITING):
            write_or_rescue(snapshot.parent, write)
        for kind, path in written.items():
            log(f"Wrote {kind}: {path} ({path.stat().st_size:,} bytes)")
        log(f"Mean euclidean distance: {exact.distance:.9g}")
        if refined:
            coded.warn_if_poor(matrix, weights)
        elif data.weights is None:  # after a weighted run only training knows the weights
            warn_if_poor(exact.loss, matrix.mean_row_loss())
    unwritten.check("decoding is complete", "the codes are written, and nothing else is lost")
    return Decoded(exact.distance, written["embedding"])


def _is_refined(choices: DecodingChoices, recipe: str) -> bool:
    """Tells whether codes are to be refined, room permitting."""
    refined = recipe == "fast" if choices.refined is None else choices.refined
    if not refined and choices.refinement.seconds is not None:
        raise InputError(
            "a time budget is for refinement, which is off; add --refine, or leave it out"
        )
    if not refined and choices.weights is not None:
        raise InputError(
            "weights are for refinement, which is off; add --refine, or leave them out"
        )
    return refined


def _tokens(vocabulary: Path, matrix: EmbeddingMatrix) -> list[str]:
    tokens = read_vocabulary(vocabulary)
    if len(tokens) != matrix.total_rows:
        raise InputError(
            f"{vocabulary} has {len(tokens)} tokens and {matrix.name} "
            f"{matrix.total_rows} rows; wanted one token a row"
        )
    return tokens[: len(matrix)]


def _snapshot_of(model: Path) -> Path:
    if not model.exists():
        raise InputError(f"{model} does not exist; wanted a run directory, or a snapshot of it")
    if not model.is_dir():
        return model
    snapshot = best_snapshot(model)
    if snapshot is None:
        if (model / CONFIG_FILE).is_file():
            raise InputError(
                f"{model} has no model yet, as its training was interrupted early; continue it "
                f"with: nncompress train --resume {shlex.quote(str(model))}"
            )
        raise InputError(f"{model} has no snapshot iter_<n>.npz; wanted a run of train_comp.py")
    return snapshot


def _config_of(snapshot: Path) -> dict[str, object] | None:
    """Returns the run's configuration; None for a snapshot without one that can be read.

    If the directory's name contains M and K, a file that is not a valid configuration is ignored
    with a warning.
    """
    if not (snapshot.parent / CONFIG_FILE).is_file():
        return None
    try:
        return read_config(snapshot.parent)
    except InputError as error:
        if _size_in_name(snapshot) is None:
            raise
        warnings.warn(f"{error}; going by the directory's name", stacklevel=3)
        return None


def _size_in_name(snapshot: Path) -> tuple[int, int] | None:
    name = re.search(r"_M_(\d+)_K_(\d+)", snapshot.resolve().parent.name)
    return None if name is None else (int(name[1]), int(name[2]))


def _code_size(
    snapshot: Path, config: dict[str, object] | None, choices: DecodingChoices
) -> tuple[int, int]:
    """Returns M and K, as given, or from the run's configuration or its directory's name."""
    known = _size_in_name(snapshot)
    told = [tuple(config.get(name) for name in names) for names in _SIZE_NAMES] if config else []
    told = [size for size in told if None not in size]
    if len(set(told)) > 1:
        raise InputError(
            f"{snapshot.parent / CONFIG_FILE} has two sizes, M and K of {told[0]} and of "
            f"{told[1]}; remove the wrong one"
        )
    known = told[0] if told else known
    given = choices.num_codebooks, choices.num_codewords
    if given != (None, None):
        if None in given:
            raise InputError("only one of -M and -K is given; wanted both or neither")
        # Sizes of the same product fit the same snapshot, and would decode it wrongly.
        if known is not None and given != known:
            raise InputError(
                f"M={given[0]} and K={given[1]} are given, and the run of {snapshot} has "
                f"M={known[0]} and K={known[1]}; leave them out"
            )
        known = given
    if known is None:
        raise InputError(
            f"neither {snapshot.parent / CONFIG_FILE} nor the directory's name tells M and K; "
            "name them with -M and -K, or keep a snapshot in its run directory"
        )
    check_code_size(*known)
    return known


def _data_of(
    snapshot: Path,
    config: dict[str, object] | None,
    matrix: Path | None,
    weights: Path | None,
    limit: int | None,
) -> TrainingData:
    """Returns the data to encode: those the run was trained on, unless others are given."""
    if config is None:
        if matrix is None:
            raise InputError(
                f"{snapshot.parent} has no {CONFIG_FILE} to tell which matrix is meant; name it "
                "with --matrix"
            )
        return TrainingData(matrix, limit, weights=weights)
    if matrix is not None:
        config = config | {"input_matrix": str(matrix), "weights": None}
    data = TrainingData.of_config(config, snapshot.parent / CONFIG_FILE)
    if matrix is None and not data.matrix.exists():
        raise InputError(
            f"the run was trained on {data.matrix}, which does not exist here; name the matrix "
            "with --matrix"
        )
    return replace(data, limit=limit, weights=weights or data.weights)
