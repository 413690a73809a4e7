import numpy as np
import pytest

from nncompress.autoencoder.chain import CompositionalAutoencoder
from nncompress.autoencoder.snapshot import load_model, save_model
from nncompress.errors import InputError
from nncompress.machine import Machine
from nncompress.sources.normalization import Normalization

CPU = Machine()


@pytest.fixture
def chain():
    normalization = Normalization(np.arange(6, dtype=np.float32), 1 / 3)
    return CompositionalAutoencoder(6, 4, 5, normalization=normalization, seed=3)


def test_a_snapshot_is_read_back_with_the_keys_of_the_2018_port(tmp_path, chain):
    chain(np.zeros((2, 6), np.float32))  # counts a call, which is no part of the model
    save_model(tmp_path / "iter_1.npz", chain)
    with np.load(tmp_path / "iter_1.npz") as archive:
        assert sorted(archive.files) == sorted(
            ["l1/W", "l1/b", "l2/W", "l2/b", "codebook", "centre", "scale"]
        )
        assert (archive["codebook"] == chain.codebook.array).all()
    loaded = load_model(tmp_path / "iter_1.npz", 4, 5, CPU)
    assert float(loaded.scale) == float(chain.scale)
    assert (loaded.export_codebook() == chain.export_codebook()).all()
    x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    assert (loaded.encode(x) == chain.encode(x)).all()


def test_a_snapshot_of_the_port_has_no_centre_and_scale(tmp_path, chain):
    arrays = {name[1:]: parameter.array for name, parameter in chain.namedparams()}
    np.savez_compressed(tmp_path / "iter_1.npz", **arrays)
    loaded = load_model(tmp_path / "iter_1.npz", 4, 5, CPU)
    assert (loaded.export_codebook() == chain.codebook.array).all()


def test_what_is_no_snapshot_is_refused(tmp_path, chain):
    path = tmp_path / "iter_1.npz"
    with pytest.raises(InputError, match="does not exist"):
        load_model(path, 4, 5, CPU)
    np.savez(path, words=np.zeros(3))
    with pytest.raises(InputError, match="it lacks l1/W"):
        load_model(path, 4, 5, CPU)
    for content in (b"", b"hello", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is not a complete and undamaged \.npz file"):
            load_model(path, 4, 5, CPU)
    save_model(path, chain)
    with pytest.raises(InputError, match=r"for M=4 and K=6"):
        load_model(path, 4, 6, CPU)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(InputError, match=r"is not a complete and undamaged \.npz file"):
        load_model(path, 4, 5, CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l1/b": np.full(10, np.nan)}, "l1/b has numbers that are not finite"),
        ({"scale": np.zeros(())}, "scale is 0.0; wanted a positive number"),
        ({"centre": np.zeros(7)}, r"centre is float64 \(7,\); wanted float \(6,\)"),
        ({"codebook": np.zeros((20, 6), int)}, r"codebook is int64 \(20, 6\); wanted float"),
        ({"codebook": np.zeros(())}, r"codebook is float64 \(\); wanted float \(20, 0\)"),
    ],
)
def test_a_snapshot_whose_numbers_cannot_be_used_is_refused(tmp_path, chain, changes, message):
    path = tmp_path / "iter_1.npz"
    save_model(path, chain)
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **arrays | changes)
    with pytest.raises(InputError, match=message):
        load_model(path, 4, 5, CPU)
