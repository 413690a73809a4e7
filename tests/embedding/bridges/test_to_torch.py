import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from tests.embedding.residual_tables import random_table

torch = pytest.importorskip("torch")


@pytest.fixture(params=[(32, 16), (5, 11), (3, 300), (1, 65_536)])
def embedding(request, random):
    m, k = request.param
    codes = random.integers(k, size=(90, m))
    return CompressedEmbedding.from_codes(codes, random.normal(size=(m * k, 6)))


def test_it_stands_in_the_place_of_an_embedding(embedding):
    module = embedding.to_torch()
    plain = torch.nn.Embedding.from_pretrained(torch.from_numpy(embedding.to_numpy()))
    for shape in [(), (4,), (2, 3), (0,), (2, 0, 3)]:
        ids = torch.randint(90, shape)
        assert module(ids).shape == plain(ids).shape
        torch.testing.assert_close(module(ids), plain(ids), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(module(ids.int()), module(ids))
    assert (module.num_embeddings, module.embedding_dim) == (90, 6)
    torch.testing.assert_close(module.weight, plain.weight, atol=1e-5, rtol=1e-5)
    assert not module.codebook.requires_grad
    assert "90, 6" in repr(module)
    model = torch.nn.Sequential(module, torch.nn.Linear(6, 2))
    assert model(torch.tensor([[1, 2]])).shape == (1, 2, 2)


def test_its_state_is_saved_and_taken_over(embedding, tmp_path):
    module = embedding.to_torch()
    torch.save(module.state_dict(), tmp_path / "x.pt")
    other = type(module)(90, 6, module.num_codebooks, module.bits)
    other.load_state_dict(torch.load(tmp_path / "x.pt", weights_only=True))
    ids = torch.arange(90)
    assert (other(ids) == module(ids)).all()


def test_gradients_reach_the_codebook(embedding):
    module = embedding.to_torch(trainable=True).double()
    ids = torch.tensor([3, 3, 8])
    aim = torch.randn(3, 6, dtype=torch.float64)
    ((module(ids) - aim) ** 2).sum().backward()
    codes = embedding.table.codes(np.array([3, 3, 8])).astype(int)
    size = 1 << module.bits
    expected = np.zeros(module.codebook.shape)
    error = 2 * (module(ids) - aim).detach().numpy()
    for i in range(3):
        for m in range(codes.shape[1]):
            expected[m * size + codes[i, m]] += error[i]
    np.testing.assert_allclose(module.codebook.grad.numpy(), expected, atol=1e-6)
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    before = ((module(ids) - aim) ** 2).sum().item()
    optimizer.step()
    assert ((module(ids) - aim) ** 2).sum().item() < before


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("block_rows", [1, 4])
def test_residuals_are_looked_up_too(random, additive, block_rows):
    table = random_table(random, additive, block_rows=block_rows, codebook_bits=8)
    embedding = CompressedEmbedding.of_table(table, None)
    module = embedding.to_torch()
    plain = torch.nn.Embedding.from_pretrained(torch.from_numpy(embedding.to_numpy()))
    for shape in [(), (4,), (2, 3), (0,), (2, 0, 3)]:
        ids = torch.randint(70, shape)
        assert module(ids).shape == plain(ids).shape
        torch.testing.assert_close(module(ids), plain(ids), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(module(ids.int()), module(ids))
    torch.testing.assert_close(module.weight, plain.weight, atol=1e-4, rtol=1e-4)
    assert module.double()(torch.tensor([1])).dtype == torch.float64
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert "70, 9" in repr(module)
    for bad in (-1, 70):
        with pytest.raises(IndexError):
            module(torch.tensor([1, bad]))


@pytest.mark.parametrize("additive", [False, True])
def test_the_state_of_residuals_is_saved_and_taken_over(random, tmp_path, additive):
    table = random_table(random, additive)
    module = CompressedEmbedding.of_table(table, None).to_torch()
    torch.save(module.state_dict(), tmp_path / "x.pt")
    state = torch.load(tmp_path / "x.pt", weights_only=True)
    sizes = (3, 4) if additive else ()
    other = type(module)(70, 9, *sizes)
    assert (other(torch.arange(70)) == 0).all()
    other.load_state_dict(state)
    assert (other(torch.arange(70)) == module(torch.arange(70))).all()
    with pytest.raises(InputError, match=r"of a table of shape \(70, 9\); the module .*\(70, 8\)"):
        type(module)(70, 8).set_extra_state(state["_extra_state"])
    with pytest.raises(InputError, match="wanted a residual stage"):
        other.set_extra_state(state["_extra_state"][:-1])


def test_gradients_pass_residuals_by(random):
    table = random_table(random, True)
    module = CompressedEmbedding.of_table(table, None).to_torch(trainable=True)
    plain = CompressedEmbedding.of_table(table.additive, None).to_torch(trainable=True)
    ids = torch.tensor([3, 3, 8])
    error = module(ids).detach()
    module(ids).backward(error)
    plain(ids).backward(error)
    torch.testing.assert_close(module.additive.codebook.grad, plain.codebook.grad)


def test_residuals_alone_are_not_trained(random):
    embedding = CompressedEmbedding.of_table(random_table(random, False), None)
    with pytest.raises(InputError, match="residuals alone, which has no codebook to train"):
        embedding.to_torch(trainable=True)
