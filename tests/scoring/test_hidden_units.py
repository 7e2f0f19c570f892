"""Units that never leave their layer: heads, the widths of heads, the inner cells of a stack."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import randomise

from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse


def attention():
    inputs = keras.Input((6, 3))
    x = layers.MultiHeadAttention(3, 4, value_dim=5, name="hidden")(inputs, inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def grouped_attention():
    inputs = keras.Input((6, 3))
    x = layers.Dense(4)(inputs)
    x = layers.GroupQueryAttention(4, 4, 2, name="hidden")(x, x)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


def stacked_cells():
    inputs = keras.Input((6, 3))
    x = layers.RNN([layers.LSTMCell(4), layers.GRUCell(5), layers.SimpleRNNCell(6)], name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.fixture(params=[attention, grouped_attention, stacked_cells], ids=lambda build: build.__name__)
def model(request):
    model = randomise(request.param())
    model.compile("sgd", "mse")
    return model


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(9, 6, 3)).astype("float32"), rng.normal(size=(9, 2)).astype("float32")


@pytest.mark.parametrize("criterion", ["fisher", "fpgm", "l1", "l2", "oracle", "random", "taylor"])
def test_they_have_finite_scores_that_differ(model, data, score, criterion):
    scores = score(model, criterion, data)
    assert np.isfinite(scores).all()
    for group in analyse(model).groups:
        assert len(np.unique(scores[group.units])) == group.size, group.name


@pytest.mark.parametrize("criterion", ["apoz", "mean_activation", "redundancy", "std_activation"])
def test_their_activations_cannot_be_looked_at(model, data, score, criterion):
    with pytest.raises(UnsupportedLayerError, match=r"hidden:.* never leave their layer"):
        score(model, criterion, data)
    scores = score(model, criterion, data, ignore=["hidden"])
    assert len(scores) == analyse(model, ["hidden"]).num_units


@pytest.mark.parametrize("criterion", ["oracle", "taylor"])
def test_penalties_on_weights_say_nothing_of_units(data, score, criterion):
    model = randomise(attention())
    model.compile("sgd", "mse")
    plain = score(model, criterion, data)
    for weight in model.trainable_weights:
        weight.regularizer = keras.regularizers.L2(1.0)
    assert model.losses
    np.testing.assert_allclose(score(model, criterion, data), plain, rtol=1e-3, atol=1e-5 * plain.max())


def test_taylor_reads_the_weights_behind_them(data, score):
    """In proportion to `sum(w * dL/dw)` over what reads a head, by finite differences of the loss."""
    model = randomise(attention())
    model.compile("sgd", "mse")
    x, y = data[0][:1], data[1][:1]
    kernel = model.get_layer("hidden").output_dense.kernel
    value = kernel.numpy()

    def loss(head, change):
        scaled = value.copy()
        scaled[head] *= 1 + change
        kernel.assign(scaled)
        return float(np.mean((keras.ops.convert_to_numpy(model(x)) - y) ** 2))

    expected = [abs(loss(head, 0.01) - loss(head, -0.01)) / 0.02 for head in range(3)]
    kernel.assign(value)
    (group,) = [group for group in analyse(model).groups if group.name == "hidden:heads"]
    scores = score(model, "taylor", (x, y))[group.units]
    np.testing.assert_allclose(scores / scores.max(), np.array(expected) / max(expected), atol=1e-3)


def test_batches_of_any_size_weigh_by_their_samples(score):
    """Two batches of the same samples are as good as one of them."""
    model = randomise(attention())
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 6, 3)), rng.normal(size=(4, 2))
    for criterion in ("fisher", "taylor"):
        once = score(model, criterion, (x, y))
        twice = score(model, criterion, iter([(x, y), (np.tile(x, (3, 1, 1)), np.tile(y, (3, 1)))]), steps=2)
        np.testing.assert_allclose(twice, once, rtol=1e-4)
