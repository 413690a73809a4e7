"""What ``infer_comp.py`` does: a snapshot and a matrix become codes and a codebook."""

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from nncompress.autoencoder.encoding import ENCODING_BATCH, encode, require_same_width
from nncompress.autoencoder.snapshot import load_model
from nncompress.device import get_device
from nncompress.embedding.codes import write_codebook, write_codes
from nncompress.embedding.distortion import check_codebook_dtype
from nncompress.embedding.making import make_embedding
from nncompress.errors import InputError
from nncompress.refinement.refine import MOST_CODEWORDS, RefinementSettings, refine
from nncompress.sources import read_vocabulary
from nncompress.threads import resolve_threads
from nncompress.training.best_snapshots import best_snapshot
from nncompress.training.data import TrainingData
from nncompress.training.provenance import log_provenance
from nncompress.training.run_directory import CONFIG_FILE, log_to, read_config
from nncompress.training.settings import check_code_size


def infer(
    model: Path,
    started: datetime,
    *,
    vocabulary_path: Path | None = None,
    matrix_path: Path | None = None,
    limit: int | None = None,
    gpu: int = -1,
    batchsize: int = ENCODING_BATCH,
    threads: int | None = None,
    refined: bool | None = None,
    weights_path: Path | None = None,
    refinement: RefinementSettings | None = None,
    codebook_dtype: str = "auto",
) -> float:
    """Encodes a matrix and writes ``<model>.codes``, ``<model>.codebook.npy``, ``<model>.nnc``.

    Args:
        model: Snapshot, or the run directory whose best snapshot is meant.
        started: When the command began.
        vocabulary_path: One token for each row of the unlimited matrix; None: codes alone.
        matrix_path: The matrix; None: the one that the run was trained on, all of it.
        limit: Number of leading rows to encode.
        gpu: Number of the GPU, -1 for the CPU.
        batchsize: Rows a batch.
        threads: Threads to compute with on a CPU; None for as many as there are usable cores.
        refined: Whether to refine codes and codebook; by default for runs of the fast recipe
            whose codebook is not too large for it.
        weights_path: The rows' weights in refinement; None: those that the run was trained with,
            unless another matrix is given.
        refinement: How long and how hard to refine; None: the defaults.
        codebook_dtype: The type of the codebook in ``<model>.nnc``; see ``choose_codebook``.

    Returns:
        The mean Euclidean distance over the encoded rows.

    Raises:
        InputError: Something given cannot be used. No file has been written then.
    """
    if batchsize < 1:
        raise InputError(f"the batch size is {batchsize}; wanted at least 1")
    check_codebook_dtype(codebook_dtype)
    threads = resolve_threads(threads)
    device = get_device(gpu)
    snapshot = _snapshot_of(model)
    config = _config_of(snapshot)
    num_codebooks, num_codewords = _code_size(snapshot, config)
    chain = load_model(snapshot, num_codebooks, num_codewords, device, threads)
    known = config or {}
    seed = known.get("seed", 0)
    fits = num_codebooks * num_codewords <= MOST_CODEWORDS
    if refined is None:
        refined = known.get("recipe") == "fast" and fits
    elif refined and not fits:
        raise InputError(
            f"M*K is {num_codebooks * num_codewords}; refinement takes at most {MOST_CODEWORDS} "
            "codewords, so leave --refine out"
        )
    if not refined and weights_path is not None:
        raise InputError(
            "weights are for refinement, which is off; add --refine, or leave them out"
        )
    data = _data_of(snapshot, config, matrix_path, weights_path, limit)
    matrix, weights = (data if refined else replace(data, weights=None)).open()
    require_same_width(chain, matrix)
    tokens = None
    if vocabulary_path is not None:
        tokens = read_vocabulary(vocabulary_path)
        if len(tokens) != matrix.total_rows:
            raise InputError(
                f"{vocabulary_path} has {len(tokens)} tokens and {matrix.name} "
                f"{matrix.total_rows} rows; wanted one token a row"
            )
        tokens = tokens[: len(matrix)]

    log_path = snapshot.with_name(f"inference_{snapshot.name}.log")
    with log_to(log_path, started, "Inference complete!!") as log:
        log_provenance(log)
        codes = encode(chain, matrix, device, batchsize)
        codebook = chain.export_codebook()
        if refined:
            result = refine(
                matrix, codes, codebook,
                weights=weights, seed=seed, threads=threads, gpu=gpu,
                settings=refinement or RefinementSettings(),
            )  # fmt: skip
            codes, codebook = result.codes, result.codebook
            log(f"Refinement began from {result.start} codebooks")
            rounds = ", ".join(f"{loss:.6g}" for loss in result.losses)
            log(f"{'Loss' if weights is None else 'Weighted loss'} after each round: {rounds}")
        written = {
            "codes": snapshot.with_name(f"{snapshot.name}.codes"),
            "codebook": snapshot.with_name(f"{snapshot.name}.codebook.npy"),
            "embedding": snapshot.with_name(f"{snapshot.name}.nnc"),
        }
        write_codes(written["codes"], codes, tokens)
        write_codebook(written["codebook"], codebook)
        facts = {"recipe": known.get("recipe", "unknown"), "seed": seed}
        facts |= {"refined": refined, "weighted": weights is not None}
        embedding, exact = make_embedding(
            matrix, codes, codebook, tokens, codebook_dtype, facts, device.xp
        )
        embedding.save(written["embedding"])
        for kind, path in written.items():
            log(f"Wrote {kind}: {path} ({path.stat().st_size:,} bytes)")
        log(f"Mean euclidean distance: {exact.distance:.9g}")
    return exact.distance


def _snapshot_of(model: Path) -> Path:
    if not model.is_dir():
        return model
    snapshot = best_snapshot(model)
    if snapshot is None:
        raise InputError(f"{model} has no snapshot iter_<n>.npz; wanted a run of train_comp.py")
    return snapshot


def _config_of(snapshot: Path) -> dict[str, object] | None:
    """Returns the run's configuration, or None for a snapshot without one."""
    return read_config(snapshot.parent) if (snapshot.parent / CONFIG_FILE).is_file() else None


def _code_size(snapshot: Path, config: dict[str, object] | None) -> tuple[int, int]:
    """Returns M and K, from the run's configuration or its directory's name."""
    if config is not None:
        size = config.get("M"), config.get("K")
    else:
        name = re.search(r"_M_(\d+)_K_(\d+)", snapshot.resolve().parent.name)
        size = (int(name[1]), int(name[2])) if name else (None, None)
    if not all(isinstance(number, int) for number in size):
        raise InputError(
            f"neither {snapshot.parent / CONFIG_FILE} nor the directory's name tells M and K; "
            "keep a snapshot in its run directory"
        )
    check_code_size(*size)
    return size


def _data_of(
    snapshot: Path,
    config: dict[str, object] | None,
    matrix: Path | None,
    weights: Path | None,
    limit: int | None,
) -> TrainingData:
    """Returns what to encode: what the run was trained on, where nothing else is given."""
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
    return replace(data, limit=limit, weights=weights or data.weights)
