import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import CompressionTable, compress_chain, finalize, get_apply_compression
from tests.matrix.methods import METHODS, NOW

L = chainer.links


def test_the_report_tells_bytes_and_errors_before_during_and_after(tmp_path):
    np.random.seed(1)
    model = chainer.Chain(embed=L.EmbedID(40, 16), fc=L.Linear(16, 24))
    applied = compress_chain(model, f"compression_option=1,rank=400,{NOW}")
    a = {"embed": model.embed.W.array.copy(), "fc": model.fc.W.array.copy()}
    before = applied.report()
    assert [row.layer for row in before.rows] == ["embed", "fc"]
    assert [row.shape for row in before.rows] == [(40, 16), (24, 16)]
    assert [row.relative_error for row in before.rows] == [None, None]
    for row in before.rows:
        m, n = row.shape
        assert row.uncompressed_size == 4 * m * n
        assert row.compressed_size == 4 * (4 * m + 4 * n)
        assert row.ratio == m * n / (4 * (m + n))
    assert before.compressed_size == sum(row.compressed_size for row in before.rows)
    assert before.ratio == before.uncompressed_size / before.compressed_size
    assert (applied.uncompressed_size, applied.compressed_size) == (
        before.uncompressed_size,
        before.compressed_size,
    )
    for step in range(1, 5):
        applied.run_update_step(step)
    final = finalize(model)
    assert final == applied.report()
    assert isinstance(final, CompressionTable)
    for row in final.rows:
        matrix = getattr(model, row.layer).W.array
        error = np.linalg.norm(matrix - a[row.layer]) / np.linalg.norm(a[row.layer])
        assert row.relative_error == pytest.approx(error, rel=1e-4)
    chainer.serializers.save_npz(tmp_path / "final.npz", model, compression=False)
    with np.load(tmp_path / "final.npz") as file:
        bias = model.fc.b.array.nbytes
        assert sum(file[name].nbytes for name in file.files) == final.compressed_size + bias


def test_the_report_prints_a_line_for_each_layer_and_one_for_all():
    model = chainer.Chain(a=L.Linear(100, 300), long_name=L.Linear(64, 64))
    lines = str(compress_chain(model, f"compression_option=1,rank=1000,{NOW}").report()).split(
        "\n"
    )
    assert len(lines) == 4
    assert lines[0].split() == [
        *("layer", "shape", "method", "bytes", "before", "after", "ratio", "relative", "error"),
    ]
    assert lines[1].split() == ["a", "300", "x", "100", "low", "rank", "120,000", "16,000",
                                "7.50", "-"]  # fmt: skip
    assert lines[3].split()[0] == "all"
    ends = {line.index(cell) + len(cell) for line, cell in zip(lines[1:], ("120,000", "16,384",
            "136,384"), strict=True)}  # fmt: skip
    assert len(ends) == 1  # numbers stand below each other
    assert str(get_apply_compression("compression_option=1").report()).split("\n")[1].split() == [
        *("all", "0", "0", "1.00"),
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_does_not_become_smaller_is_told_with_its_numbers(method, caplog):
    hparams = get_apply_compression(METHODS[method]).get_spec()
    hparams.rank = {"k-means": 96, "pruning": 192, "simhash": 1}.get(method, 100)
    hparams.num_codewords = 256 if method == "compositional" else hparams.num_codewords
    hparams.input_compression_factor = hparams.output_compression_factor = 1
    applied = get_apply_compression(hparams)
    applied.apply_compression(L.Linear(16, 12), "small")
    (row,) = applied.report().rows
    assert row.ratio <= 1
    assert not row.is_smaller
    assert (
        f"small: 12 x 16 takes {row.compressed_size:,} bytes with {row.method}, but 768"
        in caplog.text
    )


def test_a_layer_that_becomes_smaller_is_not_told(caplog):
    compress_chain(chainer.Chain(fc=L.Linear(64, 64)), "compression_option=1,rank=400")
    assert "nothing is saved" not in caplog.text
