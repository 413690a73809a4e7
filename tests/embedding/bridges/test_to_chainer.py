import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.chainer_support.compatibility import chainer
from nncompress.embedding.bridges.chainer_link import CompositionalEmbedID
from tests.embedding.residual_tables import random_table


@pytest.fixture(params=[(32, 16), (5, 11), (3, 300)])
def embedding(request, random):
    m, k = request.param
    codes = random.integers(k, size=(90, m))
    return CompressedEmbedding.from_codes(codes, random.normal(size=(m * k, 6)))


def test_it_stands_in_the_place_of_embed_id(embedding):
    link = embedding.to_chainer()
    plain = chainer.links.EmbedID(90, 6, initialW=embedding.to_numpy())
    for ids in (np.array([1, 89, 1]), np.array([[3, 4], [5, 6]], np.int32), np.zeros((0,), int)):
        np.testing.assert_allclose(link(ids).array, plain(ids).array, atol=1e-5)
        np.testing.assert_allclose(link(chainer.Variable(ids)).array, plain(ids).array, atol=1e-5)
    link.ignore_label = plain.ignore_label = -1
    ids = np.array([[1, -1], [-1, 2]])
    np.testing.assert_allclose(link(ids).array, plain(ids).array, atol=1e-5)


def test_its_state_is_saved_and_taken_over(embedding, tmp_path):
    link = embedding.to_chainer()
    chainer.serializers.save_npz(tmp_path / "x.npz", link)
    table = embedding.table
    other = CompositionalEmbedID(90, 6, table.num_codebooks, table.packing.bits)
    chainer.serializers.load_npz(tmp_path / "x.npz", other)
    ids = np.arange(90)
    assert (other(ids).array == link(ids).array).all()


def test_gradients_reach_the_codebook(embedding):
    ids = np.array([3, 3, 8])
    aim = np.ones((3, 6), np.float32)
    for trainable in (True, False):
        link = embedding.to_chainer(trainable=trainable)
        optimizer = chainer.optimizers.SGD(0.01)
        optimizer.setup(link)
        before = link(ids).array
        assert len(list(link.params())) == trainable
        optimizer.update(lambda link=link: chainer.functions.sum((link(ids) - aim) ** 2))
        after = link(ids).array
        assert (((after - aim) ** 2).sum() < ((before - aim) ** 2).sum()) == trainable
        if trainable:
            # A row that occurs twice moves by the gradients of both, through every codeword.
            m = embedding.table.num_codebooks
            shared = embedding.table.codes(np.array([3])) == embedding.table.codes(np.array([8]))
            step = -0.01 * 2 * (2 * m * (before[0] - aim[0]) + shared.sum() * (before[2] - aim[2]))
            np.testing.assert_allclose(after[0] - before[0], step, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("additive", [False, True])
def test_residuals_are_looked_up_too(random, additive):
    embedding = CompressedEmbedding.of_table(random_table(random, additive), None)
    link = embedding.to_chainer()
    plain = chainer.links.EmbedID(70, 9, initialW=embedding.to_numpy())
    for ids in (np.array([1, 69, 1]), np.array([[3, 4], [5, 6]], np.int32), np.zeros((0,), int)):
        np.testing.assert_allclose(link(ids).array, plain(ids).array, rtol=1e-4, atol=1e-4)
        wrapped = link(chainer.Variable(ids)).array
        np.testing.assert_allclose(wrapped, plain(ids).array, rtol=1e-4, atol=1e-4)
    link.ignore_label = plain.ignore_label = -1
    ids = np.array([[1, -1], [-1, 2]])
    np.testing.assert_allclose(link(ids).array, plain(ids).array, rtol=1e-4, atol=1e-4)
    link.ignore_label = None
    with pytest.raises(IndexError):
        link(ids)


@pytest.mark.parametrize("additive", [False, True])
def test_the_state_of_residuals_is_saved_and_taken_over(random, tmp_path, additive):
    link = CompressedEmbedding.of_table(random_table(random, additive), None).to_chainer()
    chainer.serializers.save_npz(tmp_path / "x.npz", link)
    sizes = (3, 4) if additive else ()
    other = type(link)(70, 9, *sizes)
    chainer.serializers.load_npz(tmp_path / "x.npz", other)
    assert (other(np.arange(70)).array == link(np.arange(70)).array).all()
    if not additive:
        with pytest.raises(InputError, match=r"to a table of shape \(70, 9\)"):
            chainer.serializers.load_npz(tmp_path / "x.npz", type(link)(71, 9))


def test_gradients_pass_residuals_by(random):
    table = random_table(random, True)
    link = CompressedEmbedding.of_table(table, None).to_chainer(trainable=True)
    plain = CompressedEmbedding.of_table(table.additive, None).to_chainer(trainable=True)
    ids = np.array([3, 3, 8])
    for each in (link, plain):
        each.cleargrads()
        chainer.functions.sum(each(ids) * np.arange(9, dtype=np.float32)).backward()
    np.testing.assert_allclose(link.additive.codebook.grad, plain.codebook.grad, atol=1e-6)
    with pytest.raises(InputError, match="no codebook to train"):
        CompressedEmbedding.of_table(random_table(random, False), None).to_chainer(trainable=True)
