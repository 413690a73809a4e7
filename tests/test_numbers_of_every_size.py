"""The whole road with tables of very large and very small numbers.

A power of 2 changes no digit of a table, so that it may change none of its codes.
"""

import numpy as np
import pytest

import nncompress
from nncompress import CompressedEmbedding, InputError
from nncompress.embedding.code_table import CodeTable
from nncompress.embedding.export import export
from nncompress.evaluate.distortion import choose_codebook, measure
from nncompress.evaluate.evaluation import evaluate
from nncompress.refinement.refine import RefinementSettings, quantize
from nncompress.sources import EmbeddingMatrix
from nncompress.sources.tables import open_table

QUICK = {"num_codebooks": 3, "num_codewords": 8, "epochs": 2, "report": None}
# About 1e-30, 1e-10, 1e10 and 1e30.
EXPONENTS = [-100, -33, 33, 100]


@pytest.fixture(autouse=True)
def quick_refinement(monkeypatch):
    settings = RefinementSettings(annealing_rounds=8, rounds=2, trials=2)
    monkeypatch.setattr("nncompress.plan.RefinementSettings", lambda seconds: settings)


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("kind", ["distance", "cosine", "weighted", "mixed"])
def test_codes_are_those_of_the_same_table_in_other_units(matrix, random, exponent, kind):
    if kind == "mixed":
        matrix[::2] = np.ldexp(matrix[::2], -90)
        exponent = abs(exponent)  # else the small rows lose digits
    options = QUICK | {"codebook_dtype": "float32"}
    options |= {"objective": "cosine"} if kind == "cosine" else {}
    options |= {"weights": random.exponential(size=300)} if kind == "weighted" else {}
    lines = []
    one = nncompress.compress(matrix, **options)
    other = nncompress.compress(np.ldexp(matrix, exponent), **(options | {"report": lines.append}))
    assert (one.table.packed == other.table.packed).all()
    unit = 0 if kind == "cosine" else exponent
    assert (np.ldexp(one.table.codebook, unit) == other.table.codebook).all()
    for name, power in (("loss", 2), ("mean_distance", 1), ("mean_cosine", 0)):
        expected = np.ldexp(one.provenance[name], power * unit)
        assert other.provenance[name] == pytest.approx(expected, rel=1e-12)
    assert not any("inf" in line or "nan" in line or "=0 " in line for line in lines)


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1e10, 1e30])
def test_distortions_follow_float64(matrix, random, size, tmp_path):
    rows = (matrix * size).astype(np.float32)
    rows[::50] *= np.float32(2.0**-20)
    rows[7] = 0
    codes = random.integers(8, size=(300, 3))
    codebook = (random.normal(size=(24, 12)) * size).astype(np.float32)
    embedding = CompressedEmbedding.from_codes(codes, codebook, [f"w{i}" for i in range(300)])
    decoded, exact = embedding.to_numpy().astype(np.float64), rows.astype(np.float64)
    distances = np.linalg.norm(exact - decoded, axis=1)
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(decoded, axis=1)
    cosines = (exact * decoded).sum(axis=1) / np.where(lengths > 0, lengths, 1)
    original = EmbeddingMatrix(rows)
    (found,) = measure(original, [embedding.table])
    assert found.loss == pytest.approx(0.5 * (distances**2).mean(), rel=1e-5)
    assert found.distance == pytest.approx(distances.mean(), rel=1e-5)
    assert found.cosine == pytest.approx(cosines.mean(), abs=1e-6)
    assert original.mean_row_loss() == pytest.approx(0.5 * exact.var(axis=0).sum(), rel=1e-6)
    itself = evaluate(embedding, EmbeddingMatrix(embedding.to_numpy()), [], num_queries=40)
    assert itself.rows.kept.mean() > 0.95  # rows of the same codes are equally near
    export(embedding, tmp_path / "out.txt", "glove")
    with open_table(tmp_path / "out.txt") as table:
        assert (table.matrix.take(np.arange(300)) == embedding.to_numpy()).all()


def test_quantize_follows_the_units_too(matrix):
    settings = RefinementSettings(annealing_rounds=8, rounds=2, trials=2)
    one, *others = (
        quantize(EmbeddingMatrix(np.ldexp(matrix, exponent)), 3, 8, settings=settings)
        for exponent in (0, -100, 100)
    )
    for exponent, other in zip((-100, 100), others, strict=True):
        assert (one.codes == other.codes).all()
        assert other.losses == np.ldexp(one.losses, 2 * exponent).tolist()


@pytest.mark.parametrize("size", [1e-30, 1e-10, 1e10, 1e30])
def test_a_codebook_that_float16_cannot_hold_stays_in_float32(matrix, size):
    rows = (matrix[:8] * size).astype(np.float32)
    table = CodeTable.of_codes(np.arange(8)[:, None], rows)
    chosen, *_ = choose_codebook(EmbeddingMatrix(rows), table, "auto")
    assert chosen.codebook.dtype == np.float32


def test_rows_that_float16_would_lose_count_however_small_they_are(matrix):
    rows = matrix[:8].copy()
    rows[:4] *= np.float32(1e-9)
    table = CodeTable.of_codes(np.arange(8)[:, None], rows)
    chosen, distortion, _ = choose_codebook(EmbeddingMatrix(rows), table, "auto")
    assert chosen.codebook.dtype == np.float32
    assert distortion.cosine == pytest.approx(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_float32_would_lose_are_refused(matrix, dtype):
    rows = matrix.astype(dtype)
    rows[2, 5] = rows[3, 1] = 1e-40  # beside larger ones
    rows[4] = 0
    EmbeddingMatrix(rows)
    rows[17] = 1e-300 if dtype == np.float64 else -1e-40
    message = r"no number larger than 1e-(300|40) in row 17 .* scale the table so that its rows"
    for unit_rows in (False, True):
        with pytest.raises(InputError, match=message):
            EmbeddingMatrix(rows, unit_rows=unit_rows)
    assert len(EmbeddingMatrix(rows, limit=17)) == 17


def test_rows_of_bfloat16_that_float32_would_lose_are_refused():
    """Its numbers are the upper halves of float32's: 0x3f80 is 1, and 0x0001 is 9.2e-41."""
    rows = np.full((5, 3), 0x3F80, dtype=np.uint16)
    rows[2, 0] = rows[3] = 0x8001
    with pytest.raises(InputError, match=r"no number larger than 9\.18e-41 in row 3 "):
        EmbeddingMatrix(rows, bfloat16=True)


@pytest.mark.parametrize("number", ["1e-320", "1e-40"])
def test_rows_of_text_that_float32_would_lose_are_refused(tmp_path, number):
    path = tmp_path / "v.txt"
    path.write_text(f"a 1 {number}\nb 0 0\nc -{number} 0\n")
    with pytest.raises(InputError, match=r"(line 3|row 2).* scale the table"), open_table(path):
        pass


@pytest.mark.parametrize("table_size", [1e-30, 1.0, 1e30])
def test_rows_of_any_size_can_be_added(random, table_size):
    codebook = (random.normal(size=(24, 9)) * table_size).astype(np.float32)
    codebook[::8] = 0
    embedding = CompressedEmbedding.from_codes(random.integers(8, size=(50, 3)), codebook)
    for size in (1e-30, 1.0, 1e30):
        rows = random.normal(size=(2, 9)) * size
        errors = np.linalg.norm(embedding.add(None, rows).to_numpy()[50:] - rows, axis=1)
        assert (errors <= np.linalg.norm(rows, axis=1) * 1.001).all()  # zeros do as much
