import copy
import pickle

import numpy as np
import pytest

from nncompress import CompressedEmbedding, InputError
from nncompress.errors import FormatError
from tests.embedding.residual_tables import random_table

pytest.importorskip("torch")

import torch

from nncompress.embedding.bridges.torch_head import TableHead, TiedHead
from nncompress.embedding.bridges.torch_module import TableEmbedding
from nncompress.embedding.bridges.torch_rows import TableRows

KINDS = [(32, 16), (5, 11), (3, 300), (1, 65_536), "residual", "both", "blocks"]


def table_of(kind, random):
    if isinstance(kind, tuple):
        m, k = kind
        codes = random.integers(k, size=(70, m))
        return CompressedEmbedding.from_codes(codes, random.normal(size=(m * k, 9)))
    block_rows = 4 if kind == "blocks" else 1
    table = random_table(random, kind == "both", block_rows=block_rows, codebook_bits=8)
    return CompressedEmbedding.of_table(table, None)


@pytest.fixture(params=KINDS, ids=str)
def embedding(request, random):
    return table_of(request.param, random)


@pytest.fixture(params=[(5, 11), "residual", "both"], ids=str)
def few(request, random):
    return table_of(request.param, random)


def plain_of(embedding, **settings):
    rows = torch.from_numpy(embedding.to_numpy())
    return torch.nn.Embedding.from_pretrained(rows, **settings)


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_it_stands_in_the_place_of_an_embedding(embedding):
    module, plain = embedding.to_torch(), plain_of(embedding)
    for shape in [(), (4,), (2, 3), (0,), (2, 0, 3)]:
        ids = torch.randint(70, shape)
        assert module(ids).shape == plain(ids).shape
        close(module(ids), plain(ids))
    close(module(ids.int()), module(ids))
    assert (module.num_embeddings, module.embedding_dim) == (70, 9)
    close(module.weight, plain.weight)
    assert "70, 9" in repr(module)
    model = torch.nn.Sequential(module, torch.nn.Linear(9, 2))
    assert model(torch.tensor([[1, 2]])).shape == (1, 2, 2)
    assert not list(module.parameters())


@pytest.mark.parametrize("bad", [-1, 70, 1 << 40])
@pytest.mark.parametrize("state", ["codes", "decoded", "trained", "added"])
def test_a_row_that_is_not_there_is_refused_as_an_embedding_refuses_it(few, state, bad):
    module = few.to_torch(trainable=state == "trained")
    if state == "decoded":
        module.keep_decoded()
    if state == "added":
        module.resize(72)
        bad = bad + 2 if bad == 70 else bad
    for layer in (module, plain_of(few)):
        with pytest.raises(IndexError, match="index out of range in self"):
            layer(torch.tensor([1, bad]))


def test_rows_that_are_kept_are_the_rows_whatever_was_asked_for_before(random, monkeypatch):
    monkeypatch.setattr("nncompress.embedding.bridges.torch_rows._LEAST_KEPT", 12)
    embedding = table_of("residual", random)
    module, plain = embedding.to_torch(), plain_of(embedding)
    for _ in range(60):
        ids = torch.from_numpy(random.integers(70, size=random.integers(1, 30)))
        close(module(ids), plain(ids))
    (kept,) = module._rows._kept.values()
    assert len(kept._values) == 18  # a quarter of 70


def test_rows_asked_for_in_inference_mode_are_there_outside_of_it(few):
    module, plain = few.to_torch(), plain_of(few)
    with torch.inference_mode():
        module(torch.tensor([1, 2]))
    close(module(torch.tensor([2, 3])), plain(torch.tensor([2, 3])))
    with torch.inference_mode():
        close(module(torch.tensor([3, 4])), plain(torch.tensor([3, 4])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_what_is_returned_has_the_type_of_the_module(few, dtype):
    module, plain = few.to_torch().to(dtype), plain_of(few).to(dtype)
    ids = torch.tensor([[1, 5], [69, 1]])
    assert module(ids).dtype == dtype
    torch.testing.assert_close(module(ids), plain(ids), atol=1e-4, rtol=1e-2)
    assert module.nnc.dtype == torch.uint8


def test_its_state_is_saved_and_taken_over(few, tmp_path):
    module = few.to_torch()
    torch.save(module.state_dict(), tmp_path / "x.pt")
    state = torch.load(tmp_path / "x.pt", weights_only=True)
    assert list(state) == ["nnc"]
    other = TableEmbedding(len(module.nnc), 70, 9)
    other.load_state_dict(state)
    assert (other(torch.arange(70)) == module(torch.arange(70))).all()
    with pytest.raises(
        InputError, match=r"to a table of shape \(70, 9\); the module has .*\(70, 8"
    ):
        TableEmbedding(len(module.nnc), 70, 8).load_state_dict(state)
    damaged = state["nnc"].clone()
    damaged[-1] ^= 1
    with pytest.raises(FormatError):
        other.load_state_dict({"nnc": damaged})
    with pytest.raises(InputError, match="no table yet; load a state"):
        TableEmbedding(0, 70, 9)(torch.tensor([1]))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_it_is_copied_and_pickled_as_modules_are(few, copied):
    module = torch.nn.Sequential(few.to_torch())
    other = copied(module)
    assert (other(torch.arange(70)) == module(torch.arange(70))).all()


def test_gradients_reach_the_codebook(random):
    embedding = table_of((5, 11), random)
    module = embedding.to_torch(trainable=True).double()
    ids = torch.tensor([3, 3, 8])
    aim = torch.randn(3, 9, dtype=torch.float64)
    ((module(ids) - aim) ** 2).sum().backward()
    codes = embedding.table.codes(np.array([3, 3, 8])).astype(int)
    expected = np.zeros(module.codebook.shape)
    error = 2 * (module(ids) - aim).detach().numpy()
    for i in range(3):
        for m in range(5):
            expected[m * 16 + codes[i, m]] += error[i]
    np.testing.assert_allclose(module.codebook.grad.numpy(), expected, atol=1e-6)


def test_gradients_reach_the_axes(random):
    embedding = table_of("residual", random)
    module = embedding.to_torch(trainable=True)
    ids = torch.tensor([3, 3, 8])
    error = torch.randn(3, 9)
    module(ids).backward(error)
    axes, mean = embedding.table.residual.axes, embedding.table.residual.mean
    rows = embedding.to_numpy()[[3, 3, 8]]
    coordinates = (rows - mean) @ np.linalg.pinv(axes)
    close(module.axes.grad, torch.from_numpy(coordinates.T) @ error)
    close(module.mean.grad, error.sum(dim=0))


def test_training_comes_nearer_and_is_saved(few):
    module = few.to_torch(trainable=True)
    ids, aim = torch.arange(70), torch.randn(70, 9)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    losses = []
    for _ in range(5):
        loss = ((module(ids) - aim) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    shapes = {k: tuple(v.shape) for k, v in module.named_parameters()}
    other = TableEmbedding(len(module.nnc), 70, 9, trained=shapes)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(ids), module(ids))
    with pytest.raises(InputError, match="the codebook is a parameter"):
        module.keep_decoded()
    module.train_codebook(False)
    assert not module(ids).requires_grad


def test_the_padding_row_has_no_gradient(few):
    module = TableEmbedding.of(few, trainable=True, padding_idx=3)
    module(torch.tensor([3, 3])).sum().backward()
    assert all((p.grad == 0).all() for p in module.parameters())
    module(torch.tensor([3, 4])).sum().backward()
    assert any((p.grad != 0).any() for p in module.parameters())
    module.resize(3)
    assert module.padding_idx is None


def test_a_longer_table_has_rows_that_are_trained(few):
    module, plain = few.to_torch(), plain_of(few)
    module.resize(73)
    assert module.num_embeddings == 73
    close(module.weight[:70], plain.weight)
    close(module.weight[70:], plain.weight.mean(dim=0).expand(3, -1))
    module(torch.tensor([[1, 72]])).sum().backward()
    assert module.added.grad[:, 0].tolist() == [0, 0, 1]
    module.resize(72)
    assert module.added.shape == (2, 9)
    other = TableEmbedding(len(module.nnc), 70, 9, num_added=2)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other.weight, module.weight)


def test_a_shorter_table_keeps_the_rows_before(few):
    pytest.importorskip("numba")
    module, plain = few.to_torch(), plain_of(few)
    module.resize(37)
    assert module.num_embeddings == 37
    close(module.weight, plain.weight[:37])
    with pytest.raises(InputError, match="0 rows; wanted at least 1"):
        module.resize(0)


@pytest.mark.parametrize("kept", [False, True])
def test_rows_that_were_added_are_encoded_as_the_others_are(random, kept):
    pytest.importorskip("numba")
    embedding = table_of("residual", random)
    module = embedding.to_torch()
    module.resize(72)
    new = torch.from_numpy(embedding.to_numpy()[[4, 5]])
    with torch.no_grad():
        module.added.copy_(new)
    if kept:
        module.keep_decoded()
    module.encode_added()
    assert module.added is None
    assert module.num_embeddings == 72
    expected = embedding.add(None, new.numpy()).to_numpy()
    close(module.weight, torch.from_numpy(expected))


@pytest.mark.parametrize("state", ["codes", "decoded", "added", "trained"])
def test_logits_of_a_tied_head_are_those_of_the_decoded_table(embedding, state):
    module = embedding.to_torch(trainable=state == "trained")
    if state == "decoded":
        module.keep_decoded()
    if state == "added":
        module.resize(73)
    head = TiedHead(module, torch.nn.Parameter(torch.randn(module.num_embeddings)))
    plain = torch.nn.functional.linear
    for shape in [(9,), (2, 9), (3, 5, 9)]:
        hidden = torch.randn(shape, requires_grad=True)
        logits = head(hidden)
        expected = plain(hidden, module.weight, head.bias)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        error = torch.randn_like(logits)
        (own,) = torch.autograd.grad(logits, hidden, error, retain_graph=True)
        (wanted,) = torch.autograd.grad(expected, hidden, error)
        torch.testing.assert_close(own, wanted, atol=1e-5, rtol=1e-5)
    assert (head.in_features, head.out_features) == (9, module.num_embeddings)
    assert [name for name, _ in head.named_parameters()] == ["bias"]
    assert not head.state_dict().keys() - {"bias"}


def test_a_head_may_have_a_table_of_its_own(few):
    data = few.to_torch().nnc
    head = TableHead(len(data), 70, 9)
    head.load_state_dict({"nnc": data})
    hidden = torch.randn(3, 9)
    close(head(hidden), hidden @ torch.from_numpy(few.to_numpy()).T)
    close(head.weight, torch.from_numpy(few.to_numpy()))


@pytest.mark.parametrize("trainable", [False, True])
def test_it_compiles_without_a_break(random, trainable):
    embedding = table_of("both", random)
    module = embedding.to_torch(trainable=trainable)
    model = torch.nn.Sequential(module, TiedHead(module))
    ids = torch.randint(70, (3, 4))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    close(compiled(ids), model(ids))


def test_rows_that_are_kept_decoded_are_those_of_the_state_that_is_loaded(few):
    module, other = few.to_torch(), few.to_torch()
    module.keep_decoded()
    module.decoded.zero_()
    module.load_state_dict(other.state_dict() | {"weight": torch.zeros(0)})  # as files have it
    close(module.decoded, plain_of(few).weight)
    with pytest.raises(RuntimeError, match=r"Unexpected key.* \"weight\""):
        module.load_state_dict(other.state_dict() | {"weight": torch.zeros(1)})


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
def test_a_program_that_is_exported_needs_decoded_rows_to_hold(few):
    module, ids = few.to_torch(), torch.tensor([[3, 5], [69, 5]])
    with pytest.raises(InputError, match=r"cannot hold the table; .*keep_decoded\(\)"):
        torch.export.export(module, (ids,))
    with pytest.raises(InputError, match="cannot hold the table"):
        torch.jit.trace(module, (ids,))
    module.keep_decoded()
    close(torch.export.export(module, (ids,)).module()(ids), plain_of(few)(ids))
    close(torch.jit.trace(module, (ids,))(ids.T), plain_of(few)(ids.T))


def test_rows_that_are_looked_up_are_multiplied_where_a_model_has_it_so(few):
    module, plain = few.to_torch(), plain_of(few)
    ids, hidden = torch.tensor([3, 5, 69]), torch.randn(2, 9)
    for scale in (4.2, torch.tensor(4.2)):
        module.embed_scale = scale
        close(module(ids), plain(ids) * 4.2)
    close(module.weight, plain.weight)
    close(TiedHead(module)(hidden), hidden @ plain.weight.T)
    half = copy.deepcopy(module).bfloat16()
    assert torch.equal(half(ids), half.look_up(ids) * torch.tensor(4.2).bfloat16())


def test_the_table_of_a_module_that_is_gone_is_gone_too(few):
    module = few.to_torch()
    number = module._rows.number
    from nncompress.embedding.bridges.torch_rows import _tables

    assert isinstance(_tables[number], TableRows)
    del module
    assert number not in _tables


def test_what_is_trained_has_the_shapes_of_the_table(few):
    module = few.to_torch(trainable=True)
    shapes = {name: tuple(each.shape) for name, each in module.named_parameters()}
    for name in shapes:
        other = shapes | {name: (shapes[name][0] + 1, *shapes[name][1:])}
        wrong = TableEmbedding(len(module.nnc), 70, 9, trained=other)
        wrong.nnc.copy_(module.nnc)
        with pytest.raises(InputError, match="trained parts of shapes"):
            wrong.open()
