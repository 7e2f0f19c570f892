"""Copies hold the very functions, objects and classes of the layers they are made from."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.reinitialization import fresh_clone
from keras_slim.remaking import config_of, made_from

x = np.random.default_rng(0).normal(0, 3, (16, 8)).astype("float32")
LIMIT = 0.5


def relu(inputs):
    """The user's own, called as one of Keras's."""
    return ops.minimum(ops.maximum(inputs, 0), LIMIT)


def softmax(inputs):
    return ops.tanh(inputs) * LIMIT


class Squashing:
    def __init__(self, limit):
        self.limit = limit

    def __call__(self, inputs):
        return ops.clip(inputs, -self.limit, self.limit)

    def method(self, inputs):
        return self(inputs) + 1


@keras.saving.register_keras_serializable("tests")
def registered(inputs):
    return ops.sin(inputs)


def made_inside(limit):
    def closure(inputs):
        return ops.minimum(inputs, limit)

    return closure


FUNCTIONS = {
    "own": relu,
    "own softmax": softmax,
    "registered": registered,
    "lambda": lambda inputs: ops.maximum(inputs, LIMIT),
    "closure": made_inside(0.3),
    "object": Squashing(0.4),
    "bound method": Squashing(0.4).method,
    "partial": functools.partial(keras.activations.leaky_relu, negative_slope=0.3),
    "keras.ops": ops.silu,
    "tf.nn": tf.nn.relu,
    "tf": tf.sin,
    "Keras's": keras.activations.gelu,
}
WAYS = {
    "activation=": lambda function: layers.Dense(8, activation=function, name="held"),
    "Activation": lambda function: layers.Activation(function, name="held"),
    "Lambda": lambda function: layers.Lambda(function, name="held"),
    "Lambda with a shape": lambda function: layers.Lambda(function, output_shape=(8,), name="held"),
    "TimeDistributed": lambda function: keras.Sequential(
        [
            layers.Reshape((2, 4)),
            layers.TimeDistributed(layers.Dense(4, activation=function)),
            layers.Flatten(),
        ],
        name="held",
    ),
    "RNN cells": lambda function: keras.Sequential(
        [
            layers.Reshape((2, 4)),
            layers.RNN([layers.LSTMCell(4, activation=function), layers.GRUCell(4)]),
        ],
        name="held",
    ),
}


def network(layer):
    inputs = keras.Input((8,))
    hidden = layers.BatchNormalization()(layers.Dense(8, name="first")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="last")(layers.Dense(6, "tanh")(layer(hidden))))


def uncut(model):
    return slim.plan_pruning(model, 0, criterion="l2")


VERBS = {
    "shrink": lambda model: slim.shrink(model, uncut(model)),
    "mask": lambda model: slim.mask(model, uncut(model)),
    "shrink again": lambda model: slim.shrink(slim.shrink(model, uncut(model)), uncut(model)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_copy_with_nothing_cut_answers_bit_alike(name, way):
    model = network(WAYS[way](FUNCTIONS[name]))
    copy = VERBS["shrink"](model)
    np.testing.assert_array_equal(copy(x), model(x))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_carries_the_function(verb):
    model = network(WAYS["activation="](relu))
    np.testing.assert_array_equal(VERBS[verb](model)(x), model(x))


@pytest.mark.parametrize("way", ["activation=", "Activation", "Lambda"])
@pytest.mark.parametrize("verb", [slim.fold_batch_normalization, slim.adderize, fresh_clone])
def test_other_copies_hold_the_very_function(verb, way):
    copy = verb(network(WAYS[way](relu)))
    found = [each for each in copy.layers if each.name.startswith("held")]
    assert relu in {getattr(each, key, None) for each in found for key in ("activation", "function")}


def test_the_float32_copy_of_an_export_holds_the_very_function():
    from keras_slim.export.precision import in_float32

    keras.config.set_dtype_policy("float16")
    try:
        model = network(layers.Dense(8, activation=relu, name="held"))
    finally:
        keras.config.set_dtype_policy("float32")
    assert in_float32(model).get_layer("held").activation is relu


class L2(keras.regularizers.Regularizer):
    """The user's own, called as one of Keras's, and of a class that has no config."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, weight):
        return self.factor * ops.sum(ops.abs(weight))


class Drawn(keras.initializers.RandomNormal):
    pass


def penalty(weight):
    return 1e-4 * ops.sum(ops.square(weight))


def start(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        *(("kernel_regularizer", each) for each in (penalty, L2(0.1))),
        *(("activity_regularizer", each) for each in (penalty, L2(0.1))),
        *(("kernel_initializer", each) for each in (start, Drawn(seed=1))),
        *(("kernel_constraint", each) for each in (lambda weight: weight, ops.abs)),
    ],
)
@pytest.mark.parametrize("kind", [layers.Dense, layers.LSTM, layers.MultiHeadAttention])
def test_initializers_regularizers_and_constraints_are_the_same_objects(kind, entry, value):
    given = (2, 2) if kind is layers.MultiHeadAttention else (2,)
    layer = kind(*given, **{entry: value})
    copy = made_from(config_of(layer), layer)
    inside = getattr(copy, f"_{entry}", None) or getattr(copy, entry)
    assert inside is value
    assert (getattr(layer, f"_{entry}", None) or getattr(layer, entry)) is value, "the layer itself is as it was"


def test_an_initializer_of_ones_own_draws_anew_where_that_is_wanted():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, kernel_initializer=Drawn())])
    assert not np.array_equal(fresh_clone(model).get_weights()[0], model.get_weights()[0])
    copy = made_from(config_of(model.layers[0]), model.layers[0])
    assert copy.kernel_initializer is model.layers[0].kernel_initializer


def test_an_array_as_initializer_and_functions_of_lambda_layers():
    layer = layers.Dense(2, kernel_initializer=np.eye(2))
    copy = made_from(config_of(layer), layer)
    copy.build((None, 2))
    np.testing.assert_array_equal(copy.kernel, np.eye(2))

    def shape(given):
        return given

    def kept(inputs, mask=None):
        return mask

    layer = layers.Lambda(relu, output_shape=shape, mask=kept, arguments={"extra": [softmax]})
    copy = made_from(config_of(layer), layer)
    assert (copy.function, copy._output_shape, copy.mask) == (relu, shape, kept)
    assert copy.arguments["extra"][0] is softmax
    assert layer.arguments["extra"][0] is softmax


def test_functions_of_a_text_layer():
    layer = layers.TextVectorization(standardize=tf.strings.lower, split=tf.strings.bytes_split, vocabulary=["a", "b"])
    copy = made_from(config_of(layer), layer)
    assert copy(["AB"]).numpy().tolist() == layer(["AB"]).numpy().tolist() == [[2, 3]]


def test_layers_of_ones_own_that_keras_cannot_find_are_copied_inside_others():
    class Dense(layers.Dense):
        """Local, and called as one of Keras's."""

    layer = layers.TimeDistributed(Dense(3, activation=relu))
    copy = made_from(config_of(layer), layer)
    assert type(copy.layer) is Dense
    assert copy.layer.activation is relu


class Scaled(layers.Layer):
    """Its config is that of `Layer`, without its own arguments."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return super().get_config()


class Required(Scaled):
    def __init__(self, factor, **kwargs):
        super().__init__(factor, **kwargs)


class Around(layers.Layer):
    """Its config holds a layer itself."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "inner": self.inner}


class Broken(Scaled):
    def get_config(self):
        raise RuntimeError("no config today")


class Unsaved(layers.Layer):
    def __init__(self, held):
        super().__init__(name="lossy")
        self.held = held

    def call(self, inputs):
        return inputs


LOSSY = {
    "a default that is not used": (lambda: Scaled(2.0, name="lossy"), "without `factor`"),
    "an argument that is missing": (lambda: Required(2.0, name="lossy"), "factor"),
    "a layer in the config": (lambda: Around(layers.Dense(8), name="lossy"), "`inner` is an object"),
    "an error": (lambda: Broken(name="lossy"), "no config today"),
    "no config": (lambda: Unsaved(relu), "constructor"),
}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("verb", [VERBS["shrink"], slim.fold_batch_normalization, slim.adderize, fresh_clone])
def test_a_lossy_config_is_refused_by_name(verb, name):
    build, reason = LOSSY[name]
    model = network(build())
    with pytest.raises(UnsupportedLayerError, match=f"(?s)'lossy' cannot be copied.*{reason}"):
        verb(model)


def test_a_config_with_the_default_is_not_lossy():
    model = network(Scaled(1.0, name="whole"))
    np.testing.assert_array_equal(VERBS["shrink"](model)(x), model(x))


@pytest.mark.parametrize("way", ["activation=", "Activation", "Lambda"])
def test_the_copy_saves_and_loads_where_the_original_does(tmp_path, way):
    copy = VERBS["shrink"](network(WAYS[way](registered)))
    copy.save(tmp_path / "copy.keras")
    loaded = keras.models.load_model(tmp_path / "copy.keras")
    np.testing.assert_array_equal(loaded(x), copy(x))


def test_in_fit_the_function_stays_the_same():
    model = network(layers.Lambda(lambda inputs: ops.minimum(inputs, LIMIT), name="held"))
    function = model.get_layer("held").function
    model.compile("sgd", "mse")
    prune = slim.callbacks.ProgressiveGlobalPruning(0.3, criterion="l2", rounds=1, verbose=0)
    model.fit(x, np.ones((16, 2)), batch_size=8, epochs=2, verbose=0, callbacks=[prune])
    assert model.get_layer("held").function is function
    assert np.isfinite(model.predict(x, verbose=0)).all()
