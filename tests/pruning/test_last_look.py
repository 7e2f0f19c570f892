"""A network that does not answer like the model with nothing cut never takes its place."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from batching import batches
from laws import rebuilt

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.pruning.last_look import check_rebuilt, is_same

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
DATA = batches(X, X[:, :2])


@keras.saving.register_keras_serializable(package="last_look")
class Remembers(keras.layers.Layer):
    """Multiplies by what is neither in its config nor in its weights."""

    factor = 1.0

    def call(self, inputs):
        return inputs * self.factor

    def compute_output_shape(self, shape):
        return shape


class Noise(keras.layers.Layer):
    """Is random in inference too, by a state of its own and by one that nobody keeps."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seeds = keras.random.SeedGenerator()

    def call(self, inputs):
        shape = keras.ops.shape(inputs)
        return inputs + keras.random.normal(shape, seed=self.seeds) + keras.random.normal(shape, seed=None)

    def compute_output_shape(self, shape):
        return shape


def build(*first, dtype=None):
    dense = keras.layers.Dense
    layers = [dense(4, dtype=dtype), *first, dense(8, "relu", dtype=dtype), dense(2, name="head")]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def forgetful():
    layer = Remembers(name="remembers")
    layer.factor = 3.0
    return build(layer)


def callbacks(data):
    yield slim.callbacks.ProgressiveGlobalPruning(0.3, criterion="l2", rounds=1, data=data, verbose=0)
    yield slim.callbacks.StructuredLotteryTicket(1, data=data, verbose=0)


@pytest.mark.parametrize("data", [None, X], ids=["no data", "data"])
@pytest.mark.parametrize("which", [0, 1], ids=["pruning", "ticket"])
def test_fit_refuses_before_training_and_names_the_layer(data, which):
    model = forgetful()
    model.fit(DATA, verbose=0)
    answer, weights, layers = model(X), model.get_weights(), list(model.layers)
    with pytest.raises(UnsupportedLayerError, match=r"'remembers'.*nothing cut.*values that differ by up to"):
        model.fit(DATA, epochs=4, verbose=0, callbacks=[list(callbacks(data))[which]])
    assert model.layers == layers
    for one, two in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(model(X), answer)


@pytest.mark.parametrize(
    "first",
    [
        lambda: keras.layers.Dropout(0.5),
        lambda: keras.layers.GaussianNoise(1.0),
        lambda: Noise(),
        lambda: keras.layers.BatchNormalization(),
    ],
    ids=["dropout", "gaussian noise", "noise in inference", "batch normalization"],
)
@pytest.mark.parametrize("dtype", [None, "mixed_float16", "mixed_bfloat16"])
def test_what_is_random_or_rounded_is_no_difference(first, dtype):
    model = build(first(), dtype=dtype)
    before = model.get_weights()
    check_rebuilt(model, rebuilt(model), X)
    check_rebuilt(model, rebuilt(model))
    for one, two in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)


def test_nan_is_like_nan_and_a_state_is_put_back():
    inputs = keras.Input((5, 2), batch_size=4)
    model = keras.Model(inputs, keras.ops.log(keras.layers.GRU(3, stateful=True)(inputs)))
    check_rebuilt(model, rebuilt(model))
    for state in model.layers[1].states:
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(state), 0)


def test_weights_are_compared_also_those_that_no_guess_would_read():
    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Embedding(7, 3, name="table")(inputs)))
    copy = rebuilt(model)
    check_rebuilt(model, copy)
    copy.get_layer("table").embeddings.assign(np.zeros((7, 3)))
    with pytest.raises(UnsupportedLayerError, match=r"'table'.*its weights"):
        check_rebuilt(model, copy)


def test_another_activation_is_found_where_it_stands():
    model, inputs = build(), keras.Input((4,))
    first, hidden = keras.layers.Dense(4), keras.layers.Dense(8, keras.ops.gelu, name="other")  # for relu
    rebuilt = keras.Model(inputs, keras.layers.Dense(2)(hidden(first(inputs))))
    rebuilt.set_weights(model.get_weights())
    with pytest.raises(UnsupportedLayerError, match=f"Layer '{model.layers[1].name}'"):
        check_rebuilt(model, rebuilt, X)


def test_gelu_and_its_approximation_are_told_apart_and_sums_in_another_order_are_not():
    x = keras.ops.convert_to_tensor(X)
    assert not is_same(keras.activations.gelu(x), keras.activations.gelu(x, approximate=True))
    terms = np.random.default_rng(1).normal(size=(8, 4096)).astype("float32")
    assert is_same(terms.cumsum(axis=1)[:, -1], terms[:, ::-1].cumsum(axis=1)[:, -1])


@pytest.mark.parametrize("which", [0, 1], ids=["pruning", "ticket"])
def test_a_table_that_is_lost_leaves_the_model_alone_without_data_too(which, monkeypatch):
    """Whatever a copy of a lookup carries: here it comes without its table."""
    words = keras.layers.StringLookup(output_mode="multi_hot", name="words")
    words.adapt(np.array([["a"], ["b"], ["c"]]))
    inputs = keras.Input((1,), dtype="string")
    hidden = keras.layers.Dense(8, "relu")(words(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
    model.compile("sgd", "mse", run_eagerly=True)
    texts = tf.constant([["a"], ["b"]] * 4)
    answer = model(texts)
    copies = keras.layers.StringLookup.from_config
    monkeypatch.setattr("keras_slim.pruning.surgery.carry_state", lambda old, new: None)
    monkeypatch.setattr(keras.layers.StringLookup, "from_config", lambda config: copies({**config, "vocabulary": None}))
    with pytest.raises(UnsupportedLayerError, match="'words'"):
        model.fit(texts, np.zeros((8, 2)), epochs=4, verbose=0, callbacks=[list(callbacks(None))[which]])
    np.testing.assert_array_equal(model(texts), answer)
    model.fit(texts, np.zeros((8, 2)), verbose=0)
