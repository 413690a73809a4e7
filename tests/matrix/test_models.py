import numpy as np
import pytest

from nncompress.chainer_support.compatibility import chainer
from nncompress.matrix import compress_chain, finalize, get_apply_compression
from tests.matrix.methods import NOW

F, L = chainer.functions, chainer.links
LOW_RANK = f"compression_option=1,rank=400,{NOW}"


class Net(chainer.Chain):
    """A network with matrices of many kinds, and with what is none."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.block = chainer.Sequential(L.Linear(16, 16), F.relu, L.LSTM(16, 16))
            self.bilinear = L.Bilinear(8, 8, 8)
            self.rnn = L.NStepGRU(1, 16, 16, 0.0)
            self.norm = L.BatchNormalization(16)
            self.late = L.Linear(None, 16)
            self.half = L.EmbedID(16, 16, chainer.initializers.Normal(1.0, np.float16))
            self.table = chainer.Parameter(np.ones((16, 16), np.float32))


def scopes(match, net=None):
    applied = compress_chain(net or Net(), LOW_RANK, match)
    return [op.scope for op in applied.get_compression_ops()]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("block", ["block/0", "block/2/lateral", "block/2/upward"]),
        ("block/2/*", ["block/2/lateral", "block/2/upward"]),
        ("block/0/W", ["block/0"]),
        ("rnn/0/w[03]", ["rnn/0/w0", "rnn/0/w3"]),
        ("rnn/0/w5", ["rnn/0/w5"]),
        ("bilinear", ["bilinear/V1", "bilinear/V2", "bilinear"]),
        ("table", ["table"]),
        (["table", "b*/W"], ["table", "bilinear", "block/0", "block/2/lateral", "block/2/upward"]),
    ],
)
def test_patterns_match_matrices_and_the_links_that_they_are_in(match, expected):
    assert scopes(match) == expected


def test_what_cannot_be_compressed_is_passed_over_with_a_line_for_each_reason(caplog):
    found = scopes("*")
    assert "late" not in found
    assert len(found) == 1 + 1 + 2 + 3 + 6
    for line in (
        "skipped: late: the parameter 'W' has no values yet",
        "skipped: half: a parameter of type float16; wanted float32 or float64",
        "skipped: norm/beta, norm/gamma: a BatchNormalization applies it elementwise",
    ):
        assert line in caplog.text
    assert "late/b" not in caplog.text


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("late", "late: the parameter 'W' has no values yet"),
        ("half", "half: a parameter of type float16"),
        ("norm/gamma", "norm/gamma: a BatchNormalization applies it elementwise"),
        ("block/0/b", r"block/0/b: a parameter of shape \(16,\); wanted two"),
        ("n*", "nothing that 'n.' matches can be compressed: norm/beta: .*; norm/gamma: "),
        ("fc", "no matrix matches 'fc'; the matrices are: table, bilinear/V1, "),
        (["table", "late"], "late: the parameter"),
        ([], r"match is \[\]; wanted a name pattern"),
        ([None], r"match is \[None\]"),
        ("norm", "nothing that 'norm' matches can be compressed"),
    ],
)
def test_what_is_named_and_cannot_be_compressed_is_refused_and_nothing_changed(match, message):
    net = Net()
    names = [(name, parameter.name) for name, parameter in net.namedparams()]
    with pytest.raises(ValueError, match=message):
        compress_chain(net, LOW_RANK, match)
    assert [(name, parameter.name) for name, parameter in net.namedparams()] == names
    assert type(net) is Net


@pytest.mark.parametrize(
    ("model", "hparams", "match", "message"),
    [
        ("net", LOW_RANK, "*", "the model is of type str; wanted a chainer.Link"),
        (
            None,
            {"rank": 3},
            "*",
            "the hyperparameters are of type dict; wanted a string",
        ),
        (None, None, "*", "the hyperparameters are of type NoneType; wanted"),
        (None, LOW_RANK, 3, "match is 3; wanted a name pattern"),
        (None, LOW_RANK, None, "match is None; wanted a name pattern"),
    ],
)
def test_arguments_of_another_type_are_refused(model, hparams, match, message):
    with pytest.raises(ValueError, match=message):
        compress_chain(model or Net(), hparams, match)
    applied = get_apply_compression(LOW_RANK)
    with pytest.raises(ValueError, match="scope is of type ndarray; wanted a chainer"):
        applied.apply_compression(np.ones((4, 4), np.float32), "scope")
    for spec in ({"rank": 3}, 3):
        with pytest.raises(ValueError, match=r"are of type .*; wanted a string of them"):
            applied.apply_compression(L.Linear(4, 4), "scope", spec)
    with pytest.raises(ValueError, match="no matrix has been compressed yet"):
        applied.get_last_compression_op()


def test_what_is_within_a_link_that_is_named_must_be_compressed():
    net = chainer.Chain(lstm=L.LSTM(None, 8), block=chainer.Chain(a=L.Linear(8, 8), b=L.PReLU(8)))
    assert scopes("block", net) == ["block/a"]
    with pytest.raises(ValueError, match="lstm/upward: the parameter 'W' has no values yet"):
        compress_chain(net, LOW_RANK, "lstm")
    assert scopes("lstm/*", net) == ["lstm/lateral"]
    assert np.isfinite(net.lstm(np.ones((2, 5), np.float32)).array).all()
    assert net.lstm.lateral.W.array.any()  # the first call has set its values


def test_sizes_that_do_not_fit_are_passed_over_too(caplog):
    net = chainer.Chain(one=L.Linear(6, 4), other=L.Linear(5, 5))
    with pytest.raises(ValueError, match="other: block_size is 4"):
        compress_chain(net, "compression_option=4,rank=4,block_size=4", ["one", "other"])
    assert [(name, p.name) for name, p in net.namedparams() if "W" in name] == [
        ("/one/W", "W"),
        ("/other/W", "W"),
    ]
    applied = compress_chain(net, "compression_option=4,rank=4,block_size=4")
    assert [op.scope for op in applied.get_compression_ops()] == ["one"]
    assert "skipped: other: block_size is 4, which does not divide the 25" in caplog.text
    with pytest.raises(ValueError, match="other: block_size is 4"):
        compress_chain(net, "compression_option=4,rank=4,block_size=4", "other")


def test_a_model_may_be_a_matrix_itself_and_have_several_options(random):
    link = L.Linear(16, 8)
    x = random.normal(size=(3, 16)).astype(np.float32)
    expected = link(x).array
    assert scopes("*", link) == ["W"]
    assert (link(x).array == expected).all()
    net = Net()
    first = compress_chain(net, LOW_RANK, "bilinear/W")
    second = compress_chain(net, f"compression_option=4,rank=4,{NOW}", ["bilinear/V?", "table"])
    for applied in (first, second):
        for step in range(1, 5):
            applied.run_update_step(step)
    assert len(finalize(net).rows) == 4
    with pytest.raises(ValueError, match="bilinear/V1: it is already being compressed"):
        compress_chain(net, LOW_RANK, "bilinear")


def test_a_parameter_that_is_kept_elsewhere_too_is_not_parted_from_it(caplog):
    class Keeping(chainer.Chain):
        def __init__(self):
            super().__init__(fc=L.Linear(8, 8), out=L.Linear(8, 8))
            self.weights = {"layers": [self.fc.W]}

    assert scopes("*", Keeping()) == ["out"]
    assert "skipped: fc: the attribute 'weights' of a Keeping also holds it" in caplog.text
    with pytest.raises(ValueError, match="fc: the attribute 'weights'"):
        compress_chain(Keeping(), LOW_RANK, "fc")


def test_lists_of_links_with_matrices_and_links_with_hooks_stay():
    net = chainer.Chain(many=chainer.ChainList(L.Linear(8, 8)), fc=L.Linear(8, 8))
    with net.many.init_scope():
        net.many.table = chainer.Parameter(np.ones((8, 8), np.float32))
    assert scopes("*", net) == ["fc", "many/0"]
    with pytest.raises(ValueError, match="many/table: a ChainList is a list of links"):
        compress_chain(net, LOW_RANK, "many/table")

    class Hook(chainer.LinkHook):
        """As Chainer's SpectralNormalization and WeightStandardization."""

        name, weight_name = "hook", "W"

    net = chainer.Chain(fc=L.Linear(8, 8).add_hook(Hook()))
    with pytest.raises(ValueError, match="fc: a link hook replaces this weight"):
        compress_chain(net, LOW_RANK)


def test_one_link_has_hyperparameters_of_its_own(random):
    applied = get_apply_compression(LOW_RANK)
    links = L.Linear(16, 16), L.Linear(16, 16), L.Linear(16, 16)
    applied.apply_compression(links[0], "one")
    applied.apply_compression(links[1], "two", "rank=800")
    spec = applied.get_spec().copy().update({"compression_option": 4, "rank": 8})
    applied.apply_compression(links[2], "three", spec)
    assert applied.apply_compression(L.Linear(4, 4), "four", "compression_option=0").W is not None
    ops = applied.get_compression_ops()
    assert [op.method for op in ops] == ["low rank", "low rank", "k-means"]
    assert [op.factors.b_matrix.shape[1] for op in ops[:2]] == [4, 2]
    assert applied.get_spec().rank == 400
    applied.run_update_step(1)
    assert {op.alpha for op in ops} == {0.75}
    tied = L.Linear(16, 16)
    tied.W = links[0].W_op.a_matrix
    with pytest.raises(ValueError, match="five is tied to one, which already has hyperparameters"):
        applied.apply_compression(tied, "five", "rank=800")
    with pytest.raises(ValueError, match="rank is 0"):
        applied.apply_compression(L.Linear(4, 4), "six", "rank=0")


def test_stacked_layers_are_compressed_by_the_link_that_has_them(random):
    applied = get_apply_compression(LOW_RANK)
    rnn = L.NStepLSTM(1, 8, 8, 0.0)
    with pytest.raises(ValueError, match="is a layer of an NStepLSTM or the like"):
        applied.apply_compression(rnn[0], "layer")
    applied.apply_compression(rnn, "rnn")
    assert [op.scope for op in applied.get_compression_ops()] == [f"rnn/0/w{i}" for i in range(8)]
    assert rnn.ws[0][3] is rnn[0].w3
    weights = chainer.Link(table=(8, 8))  # a link without a forward, which others read
    weights.table.array[...] = 1
    compress_chain(chainer.Chain(weights=weights), LOW_RANK)
    assert (weights.table.array == 1).all()
