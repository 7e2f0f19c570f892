"""Copies hold the very functions, objects and classes of the layers they are made from."""

import collections
import concurrent.futures
import functools
import sys
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from laws import rebuilt

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
    "a default that is not used": (lambda: Scaled(2.0, name="lossy"), "does not tell `factor`"),
    "an argument that is missing": (lambda: Required(2.0, name="lossy"), "factor"),
    "a layer in the config": (lambda: Around(layers.Dense(8), name="lossy"), "`inner` is an object"),
    "an error": (lambda: Broken(name="lossy"), "no config today"),
    "no config": (lambda: Unsaved(relu), "constructor"),
}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("verb", [rebuilt, slim.fold_batch_normalization, slim.adderize, fresh_clone])
def test_a_lossy_config_is_refused_by_name(verb, name):
    build, reason = LOSSY[name]
    model = network(build())
    with pytest.raises(UnsupportedLayerError, match=f"(?s)'lossy' cannot be copied.*{reason}"):
        verb(model)


@pytest.mark.parametrize("name", LOSSY)
def test_a_layer_whose_code_can_be_read_needs_no_config(name):
    model = network(LOSSY[name][0]())
    np.testing.assert_allclose(VERBS["shrink"](model)(x), model(x), rtol=1e-5)


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


class Penalty(keras.regularizers.Regularizer):
    def __init__(self, factor=0.1):
        self.factor = factor

    def __call__(self, weight):
        return self.factor * ops.sum(weight)

    def get_config(self):
        return {"factor": self.factor}


class Grid:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, inputs):
        return inputs * len(self)

    def __len__(self):
        return len(self.steps)


class Asking(layers.Layer):
    """Its config is what it says of what it holds, in one of many ways; Keras alone makes the same layer of it."""

    def __init__(self, said=None, **kwargs):
        super().__init__(**kwargs)
        self.held = self.hold(said)

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {**super().get_config(), "said": self.say(self.held)}


class ByClass(Asking):
    def hold(self, said):
        return Grid([3]) if said == "grid" else None

    def say(self, held):
        return "grid" if isinstance(held, Grid) else "none"


class ByLength(ByClass):
    def hold(self, said):
        return Grid([0] * said)

    def say(self, held):
        return len(held)


class ByNameOfClass(Asking):
    def hold(self, said):
        return {"Penalty": Penalty}[said]()

    def say(self, held):
        return type(held).__name__


class ByOwnConfig(Asking):
    def hold(self, said):
        return Penalty(**said)

    def say(self, held):
        return held.get_config()


class ByKey(Asking):
    names = {relu: "own", softmax: "own softmax"}

    def hold(self, said):
        return next(function for function, name in self.names.items() if name == said)

    def say(self, held):
        return self.names[held]


class Settings(NamedTuple):
    function: object
    steps: int


class ByField(Asking):
    def hold(self, said):
        return Settings(relu, said)

    def say(self, held):
        return held.steps


class ByOrder(Asking):
    def hold(self, said):
        return collections.OrderedDict(steps=said, function=relu)

    def say(self, held):
        held.move_to_end("function")
        return held["steps"]


ASKING = {
    ByClass: "grid",
    ByLength: 4,
    ByNameOfClass: "Penalty",
    ByOwnConfig: {"factor": 0.3},
    ByKey: "own",
    ByField: 2,
    ByOrder: 5,
}


@pytest.mark.parametrize("kind", ASKING)
def test_get_config_may_ask_what_a_layer_holds(kind):
    layer = kind(ASKING[kind])
    attributes = dict(vars(layer.held)) if hasattr(layer.held, "__dict__") else {}
    copy = made_from(config_of(layer), layer)
    assert copy.get_config() == layer.get_config()
    assert copy.get_config()["said"] == ASKING[kind]
    assert type(copy.held) is type(layer.held)
    assert dict(getattr(layer.held, "__dict__", {})) == attributes, "what it holds is as it was"


def test_an_object_in_a_config_of_keras_is_the_same_object():
    class Holding(ByOwnConfig):
        def hold(self, said):
            return keras.saving.deserialize_keras_object(said) if isinstance(said, dict) else said

        def say(self, held):
            return keras.saving.serialize_keras_object(held)

    layer = Holding(Penalty(0.3))
    assert made_from(config_of(layer), layer).held is layer.held


class NamedInConfig(layers.Layer):
    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)

    def get_config(self):
        return {**super().get_config(), "activation": self.activation.__name__}


class Forgetful(layers.Layer):
    """Forgets its argument."""

    def __init__(self, value=None, **kwargs):
        super().__init__(**kwargs)
        self.value = self.default if value is None else value

    default = 1.0

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config()


class ForgetsFunction(Forgetful):
    default = staticmethod(ops.tanh)


class ForgetsFunctions(Forgetful):
    default = (ops.tanh,)


class ForgetsTuple(Forgetful):
    default = (1.0,)


class ForgetsArray(Forgetful):
    default = np.zeros(2000)


class Private(layers.Layer):
    def __init__(self, value=1.0, **kwargs):
        super().__init__(**kwargs)
        self._value = value

    def call(self, inputs):
        return inputs * self._value

    def get_config(self):
        return super().get_config()


class Automatic(layers.Layer):
    """Keras makes its config of what the constructor was given."""

    def __init__(self, value=1.0, size=None, **kwargs):
        super().__init__(**kwargs)
        self.value = value
        self.size = size
        self.function = (lambda inputs: inputs * value) if value else None

    def build(self, shape):
        self.size = shape[-1]

    def call(self, inputs):
        return self.function(inputs)


def changed_later():
    layer = Automatic(2.0, name="lossy")
    layer.value = 3.0
    return layer


class Silent(layers.Layer):
    def call(self, inputs):
        return inputs

    def get_config(self):
        super().get_config()


def of_another_config():
    layer = ByNameOfClass("Penalty", name="lossy")
    layer.held = Penalty(0.3)
    return layer


class NamedParts(Asking):
    def hold(self, said):
        return functools.partial(ops.leaky_relu, negative_slope=0.1)

    def say(self, held):
        return None


def of_other_parts():
    layer = NamedParts(name="lossy")
    layer.held = functools.partial(ops.leaky_relu, negative_slope=0.3)
    return layer


FORGETFUL = {
    "an object of another config": (of_another_config, "does not tell `held`"),
    "a partial function of other arguments": (of_other_parts, "does not tell `held`"),
    "a function told by a name of Keras": (
        lambda: NamedInConfig(relu, name="lossy"),
        "does not tell `activation`, which is .*remaking.relu here and keras.*relu in",
    ),
    "a function": (lambda: ForgetsFunction(relu, name="lossy"), "does not tell `value`"),
    "functions in a tuple": (lambda: ForgetsFunctions((relu,), name="lossy"), "does not tell `0`"),
    "a tuple": (lambda: ForgetsTuple((2.0,), name="lossy"), "does not tell `value`"),
    "a number of NumPy": (lambda: Forgetful(np.float32(2), name="lossy"), "does not tell `value`"),
    "an array": (lambda: ForgetsArray(np.arange(2000) == 500, name="lossy"), "does not tell `value`"),
    "a private attribute": (lambda: Private(2.0, name="lossy"), "does not tell `value`"),
    "an attribute changed later": (changed_later, "does not tell `value`"),
    "a layer in a wrapper": (lambda: layers.TimeDistributed(Forgetful(2.0, name="lossy")), "does not tell `value`"),
    "nothing returned": (lambda: Silent(name="lossy"), "a `get_config` that returns None"),
}


@pytest.mark.parametrize("name", FORGETFUL)
def test_what_a_copy_would_get_wrong_is_refused_by_name(name):
    build, reason = FORGETFUL[name]
    model = keras.Sequential([keras.Input((2, 8)), layers.Dense(8), build(), layers.BatchNormalization()])
    with pytest.raises(UnsupportedLayerError, match=f"(?s)'lossy' cannot be copied.*{reason}"):
        slim.fold_batch_normalization(model)


class WithKeywords(layers.Layer):
    """Keeps all arguments, of which Keras gives a copy more."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.kwargs = kwargs

    def call(self, inputs):
        return inputs


@pytest.mark.parametrize("layer", [lambda: Automatic(2.0), WithKeywords])
def test_what_the_constructor_or_build_makes_is_not_lossy(layer):
    model = network(layer())
    np.testing.assert_array_equal(VERBS["shrink"](model)(x), model(x))


class Cell(layers.Layer):
    """Its config holds a function itself, which is not what Keras gives its constructor inside a `RNN`."""

    def __init__(self, units, function, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.function = function

    def call(self, inputs, states):
        output = self.function(inputs[:, : self.units] + states[0])
        return output, [output]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "function": self.function}


@pytest.mark.parametrize("cell", [lambda: Cell(3, relu), lambda: [Cell(4, softmax), Cell(3, ops.tanh)]])
def test_cells_that_hold_functions(cell):
    inputs = keras.Input((4, 5))
    model = keras.Model(inputs, layers.Dense(2)(layers.RNN(cell())(inputs)))
    data = np.random.default_rng(1).normal(size=(2, 4, 5))
    np.testing.assert_array_equal(slim.fold_batch_normalization(model)(data), model(data))


def test_a_compiled_model_inside_needs_no_copy_of_its_loss():
    def loss(y, prediction):
        return ops.mean(ops.square(y - prediction))

    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, activation=relu)])
    inner.compile("sgd", loss, metrics=["mae"])
    inner.fit(np.ones((2, 4)), np.ones((2, 4)), verbose=0)
    model = keras.Sequential([keras.Input((2, 4)), layers.TimeDistributed(inner), layers.Dense(2)])
    data = np.random.default_rng(1).normal(size=(2, 2, 4))
    np.testing.assert_array_equal(slim.fold_batch_normalization(model)(data), model(data))


def test_an_attribute_may_hold_itself():
    layer = layers.Dense(2, activation=relu)
    layer.notes = {"function": softmax}
    dict.__setitem__(layer.notes, "notes", layer.notes)
    assert made_from(config_of(layer), layer).activation is relu
    assert layer.notes["notes"] is layer.notes
    assert layer.notes["function"] is softmax


def test_threads_do_not_see_what_stands_in():
    layer = layers.Dense(2, activation=relu)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            made = list(pool.map(lambda _: made_from(config_of(layer), layer), range(300)))
    finally:
        sys.setswitchinterval(interval)
    assert {each.activation for each in made} == {relu}
    assert layer.activation is relu


def test_the_float32_copy_of_a_subclassed_model_holds_the_very_function():
    from keras_slim.export.precision import in_float32

    class Net(keras.Model):
        def __init__(self, activation, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(3)
            self.activation = keras.activations.get(activation)

        def build(self, shape):
            self.dense.build(shape)

        def call(self, inputs):
            return self.activation(self.dense(inputs))

        def get_config(self):
            return {"activation": keras.activations.serialize(self.activation)}

    keras.config.set_dtype_policy("float16")
    try:
        model = Net(relu)
        model.build((None, 8))
    finally:
        keras.config.set_dtype_policy("float32")
    copy = in_float32(model)
    assert copy.activation is relu
    np.testing.assert_allclose(copy(x), model(x), atol=0.02)


class Scales(layers.Layer):
    """Its config forgets how many weights it has, and no attribute tells."""

    def __init__(self, number=1, **kwargs):
        super().__init__(**kwargs)
        self.wanted = number

    def build(self, shape):
        self.scales = [self.add_weight(shape=(), initializer="ones") for _ in range(self.wanted)]

    def call(self, inputs):
        return inputs * sum(self.scales)

    def get_config(self):
        return super().get_config()


@slim.graph.register_rule(Scales)
def scales(call):
    return call.unchanged()


@pytest.mark.parametrize("data", [None, x])
def test_another_number_of_variables_is_refused_by_name(data):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(2)(Scales(2, name="scales")(layers.Dense(16, "relu")(inputs))))
    plan = slim.plan_pruning(model, 0.5, criterion="l2")
    with pytest.raises(UnsupportedLayerError, match="'scales' cannot be copied.*1 variables in place of 2"):
        slim.shrink(model, plan, data=data)
