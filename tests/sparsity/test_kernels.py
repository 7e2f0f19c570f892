import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers import AdderConv2D, AdderDepthwiseConv2D
from keras_slim.sparsity.kernels import kernels, shares_by_kernel


def shares(model, sparsity=0.5, ignore=(), skip_first_convolution=False):
    return shares_by_kernel(model, sparsity, ignore, skip_first_convolution, "GradualPruning")


@pytest.fixture
def net():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="first"),
            layers.BatchNormalization(),
            layers.Conv2D(4, 3, name="second"),
            layers.Flatten(),
            layers.Dense(3, name="head"),
        ],
        name="net",
    )


ALL = ["net/first/kernel", "net/second/kernel", "net/head/kernel"]


def test_kernels_are_found_in_order_and_are_the_weights_themselves(net):
    found = kernels(net)
    assert list(found) == ALL
    assert [found[path] is net.get_layer(path.split("/")[1]).kernel for path in ALL] == [True] * 3


@pytest.mark.parametrize(
    ("layer", "shape", "names"),
    [
        (layers.LSTM(3, name="it"), (5, 2), ["kernel", "recurrent_kernel"]),
        (layers.SeparableConv1D(3, 2, name="it"), (5, 2), ["depthwise_kernel", "pointwise_kernel"]),
        (layers.EinsumDense("ab,bc->ac", 3, bias_axes="c", name="it"), (2,), ["kernel"]),
        (layers.DepthwiseConv2D(2, name="it"), (5, 5, 2), ["kernel"]),
        (AdderConv2D(3, 2, name="it"), (5, 5, 2), ["kernel"]),
        (AdderDepthwiseConv2D(2, name="it"), (5, 5, 2), ["kernel"]),
        (layers.LayerNormalization(name="it"), (5,), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_kernel_is(layer, shape, names):
    found = kernels(keras.Sequential([keras.Input(shape), layer], name="net"))
    assert [path.rpartition("/")[2] for path in found] == names


def test_embeddings_are_no_kernels_and_attention_has_four():
    ids = keras.Input((5,), dtype="int32")
    tokens = layers.Embedding(7, 4)(ids)
    model = keras.Model(ids, layers.MultiHeadAttention(2, 2, name="attention")(tokens, tokens))
    assert [path.split("/")[-2] for path in kernels(model)] == ["query", "key", "value", "attention_output"]


def test_frozen_kernels_are_not_found(net):
    net.get_layer("second").trainable = False
    assert list(kernels(net)) == ["net/first/kernel", "net/head/kernel"]


def test_layers_of_equal_names_in_two_models_have_paths_of_their_own():
    def part(name):
        inputs = keras.Input((4,))
        return keras.Model(inputs, layers.Dense(4, name="same")(inputs), name=name)

    one, other = part("one"), part("other")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, other(one(inputs)))
    found = kernels(model)
    assert list(found) == ["same/kernel", "same/kernel~2"]
    assert list(map(id, found.values())) == [id(one.get_layer("same").kernel), id(other.get_layer("same").kernel)]
    assert shares(model, {"same": 0.25}) == {"same/kernel": 0.25, "same/kernel~2": 0.25}
    assert shares(model, {"same/kernel~2": 0.25}) == {"same/kernel~2": 0.25}


def test_a_kernel_that_is_used_twice_is_found_once():
    shared = layers.Dense(4, name="shared")
    inputs = keras.Input((4,))
    assert len(kernels(keras.Model(inputs, shared(shared(inputs))))) == 1


def test_one_share_is_for_all(net):
    assert shares(net, 0.5) == dict.fromkeys(ALL, 0.5)
    assert shares(net, 0.5, ignore=["second"]) == {"net/first/kernel": 0.5, "net/head/kernel": 0.5}
    assert shares(net, 0.5, ignore=["net/head/kernel"]) == {"net/first/kernel": 0.5, "net/second/kernel": 0.5}


def test_a_dictionary_leaves_all_others_dense_and_keeps_the_order_of_the_model(net):
    assert list(shares(net, {"head": 0.5, "first": 0.25}).items()) == [(ALL[0], 0.25), (ALL[2], 0.5)]
    assert shares(net, {"head": 0.5, "first": 0.25}, ignore=["first"]) == {ALL[2]: 0.5}


@pytest.mark.parametrize("arguments", [{"sparsity": {"secnod": 0.5}}, {"ignore": ["secnod"]}])
def test_a_name_that_is_not_found_is_answered_with_the_nearest(net, arguments):
    with pytest.raises(ValueError, match=r"`GradualPruning`.*'first', 'second', 'head'.*Did you mean 'second'\?"):
        shares(net, **arguments)


@pytest.mark.parametrize("sparsity", [1.0, -0.1, {"head": 1.5}])
def test_a_share_is_in_range(net, sparsity):
    with pytest.raises(ValueError, match=r"`sparsity` of `GradualPruning`.*share in \[0, 1\)"):
        shares(net, sparsity)


def test_nothing_left_to_prune_is_an_error(net):
    with pytest.raises(UnsupportedLayerError, match="(?s)finds nothing to prune in model 'net'.*net/head/kernel"):
        shares(net, ignore=["net"])
    with pytest.raises(UnsupportedLayerError, match="finds nothing"):
        shares(keras.Sequential([keras.Input((8, 1)), layers.Conv1D(2, 3)]), skip_first_convolution=True)


def in_a_row(net):
    return net


def nested(net):
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, layers.Dense(2, name="top")(net(inputs)), name="outer")


def over_time(net):
    conv = layers.TimeDistributed(layers.Conv2D(4, 3, name="first"))
    last = layers.TimeDistributed(layers.Conv2D(4, 3, name="second"))
    return keras.Sequential([keras.Input((2, 8, 8, 1)), conv, last])


@pytest.mark.parametrize("build", [in_a_row, nested, over_time])
def test_the_first_convolution_can_be_skipped(net, build):
    model = build(net)
    skipped = kernels(model).keys() - shares(model, skip_first_convolution=True).keys()
    assert len(skipped) == 1
    assert kernels(model)[skipped.pop()].shape == (3, 3, 1, 4)


def test_a_first_convolution_that_is_named_is_not_skipped(net):
    assert list(shares(net, {"first": 0.5}, skip_first_convolution=True)) == ["net/first/kernel"]


def test_without_convolutions_nothing_is_skipped():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    assert len(shares(model, skip_first_convolution=True)) == 2


class Parts(keras.Model):
    """A model whose parts are called, as in a GAN, never the whole."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)

    def train_step(self, data):
        return {"loss": keras.ops.mean(self.generator(data[0] if isinstance(data, tuple) else data))}


def generator():
    return keras.Sequential([keras.Input((4,)), layers.Dropout(0.1), layers.Dense(8, name="deep")])


def test_weights_are_what_counts_where_a_model_is_never_called_itself():
    model = Parts(generator=generator())
    model.compile()
    assert [weight.name for weight in kernels(model).values()] == ["kernel"]
    gradual = slim.callbacks.GradualPruning(0.5, skip_first_convolution=False, verbose=0)
    model.fit(np.ones((8, 4), "float32"), epochs=2, verbose=0, callbacks=[gradual])
    assert np.mean(model.generator.get_layer("deep").kernel.numpy() == 0) == 0.5


def test_a_part_without_weights_yet_is_named():
    with pytest.raises(
        ValueError, match=r"'parts.*' has no weights yet in layers \['later'\]\. Expected a built model"
    ):
        kernels(Parts(generator=generator(), head=layers.Dense(2, name="later")))
    with pytest.raises(ValueError, match=r"has no weights yet\. Expected a built model"):
        kernels(keras.Sequential([layers.Dense(2)]))
