import numpy as np
import pytest

from nncompress import CompressedEmbedding
from nncompress.embedding.code_table import CodeTable


def test_lengths_and_rows_of_length_1_are_gensims(keyed, in_gensim):
    in_gensim.fill_norms()
    assert (type(keyed.norms), keyed.norms.dtype) == (np.ndarray, in_gensim.norms.dtype)
    np.testing.assert_allclose(keyed.norms, in_gensim.norms, rtol=1e-6)
    ours, theirs = keyed.get_normed_vectors(), in_gensim.get_normed_vectors()
    assert (type(ours), ours.dtype) == (type(theirs), theirs.dtype)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_lengths_are_computed_once(keyed, monkeypatch):
    assert keyed.fill_norms() is None
    norms = keyed.norms
    monkeypatch.setattr(type(keyed.table), "blocks", None)
    keyed.fill_norms(force=True)
    keyed.init_sims()
    assert keyed.norms is norms
    with pytest.raises(ValueError, match="read-only"):
        norms[0] = 1.0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_rows_may_be_very_short_and_very_long(scale):
    table = CodeTable.of_codes(np.array([[0], [1]]), scale * np.array([[0.0, 0.0], [3.0, 4.0]]))
    embedding = CompressedEmbedding.of_table(table, None)
    np.testing.assert_allclose(embedding.norms, [0.0, 5 * scale], rtol=1e-6)
    np.testing.assert_allclose(embedding.get_normed_vectors(), [[0, 0], [0.6, 0.8]], rtol=1e-6)
