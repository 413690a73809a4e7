import numpy as np
import pytest

from nncompress import CompressedEmbedding
from tests.embedding.residual_tables import random_table

torch = pytest.importorskip("torch")
torch_bag = pytest.importorskip("nncompress.embedding.bridges.torch_bag")

TOKENS = 50


@pytest.fixture(params=[False, True])
def bag(request, random):
    embedding = CompressedEmbedding.of_table(random_table(random, True, rows=40), None)
    extras, rows = {}, embedding.to_numpy()
    if request.param:
        extras["mapping"] = random.integers(40, size=TOKENS)
        extras["weights"] = random.random(TOKENS)
        rows = rows[extras["mapping"]] * extras["weights"][:, None]
    module = torch_bag.TableEmbeddingBag(
        torch_bag.TableEmbedding.of(embedding), **torch_bag.beside(extras)
    )
    weight = torch.from_numpy(rows.astype(np.float32))
    return module, torch.nn.EmbeddingBag.from_pretrained(weight, mode="mean")


def test_it_stands_in_the_place_of_an_embedding_bag(bag):
    module, plain = bag
    assert (module.num_embeddings, module.embedding_dim) == plain.weight.shape
    for tokens, offsets in [
        ([3, 1, 3, 39, 0], [0, 2, 2]),  # the second bag is empty
        ([], [0, 0]),
        ([[1, 2, 2], [5, 5, 0]], None),
    ]:
        input = torch.tensor(tokens, dtype=torch.long)
        begins = None if offsets is None else torch.tensor(offsets)
        found, expected = module(input, begins), plain(input, begins)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert module.half()(input).dtype == torch.float16


@pytest.mark.parametrize("token", [-1, TOKENS])
def test_tokens_out_of_range_are_refused(bag, token):
    module, _ = bag
    with pytest.raises(IndexError, match=rf"tokens from .*{token}"):
        module(torch.tensor([[1, token]]))


def test_its_state_is_taken_over(bag):
    module, _ = bag
    other = torch_bag.TableEmbeddingBag(
        torch_bag.TableEmbedding(len(module.table.nnc), 40, module.embedding_dim),
        *(
            None if own is None else torch.zeros_like(own)
            for own in (module.weights, module.mapping)
        ),
    )
    other.load_state_dict(module.state_dict())
    tokens = torch.arange(40).reshape(8, 5)
    torch.testing.assert_close(other(tokens), module(tokens))


def test_gradients_reach_the_codebook(bag):
    module, _ = bag
    module.table.train_codebook()
    module(torch.tensor([[1, 2, 2]])).sum().backward()
    assert module.table.codebook.grad.abs().sum() > 0
