"""Functions that people give to layers: found to treat each channel alone, or not, however they are written."""

import functools
import gc
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_slim as slim
from keras_slim.graph import analyse, elementwise, register_rule, registry, trying
from keras_slim.graph.functions import PLACES, _known, is_elementwise
from keras_slim.graph.trying import mixes_because
from keras_slim.pruning import Guards

SLOPE = 0.3
UNITS = 12


def hard_swish(x):
    return x * ops.relu6(x + 3) / 6


def relu(x):
    """Not Keras's."""
    return ops.minimum(ops.maximum(x, 0), 0.5)


def with_a_global(x):
    return tf.where(x > 0, x, SLOPE * x)


@keras.saving.register_keras_serializable("test_pointwise")
def registered(x):
    return ops.tanh(x) + 1


class Swish:
    """An object that can be called, with a method that can be too."""

    def __init__(self, slope=2.0):
        self.slope = slope

    def __call__(self, x):
        return x * ops.sigmoid(self.slope * x)

    def doubled(self, x):
        return 2 * self(x)


POINTWISE = {
    "tf.nn.relu": tf.nn.relu,
    "tf.nn.silu": tf.nn.silu,
    "tf.math.softplus": tf.math.softplus,
    "tf.abs": tf.abs,
    "keras.ops.silu": ops.silu,
    "keras.ops.sin": ops.sin,
    "partial of Keras's": functools.partial(keras.activations.relu, max_value=1.0),
    "partial of TensorFlow's": functools.partial(tf.nn.leaky_relu, alpha=0.3),
    "partial with a position": functools.partial(tf.maximum, 0.1),
    "own": hard_swish,
    "own, named like Keras's": relu,
    "own, registered": registered,
    "own, with a global": with_a_global,
    "lambda": lambda x: ops.exp(-ops.square(x)),
    "object": Swish(),
    "bound method": Swish().doubled,
    "compiled": tf.function(hard_swish),
    "of the batch": lambda x: x - ops.mean(x, axis=0, keepdims=True),
    "of no zero": lambda x: ops.cos(x) + 2,
}

SIGNS = {"booleans": lambda x: x > 0, "integers": lambda x: ops.cast(3 * x, "int32")}


def softmax_between(low, high):
    """Returns a function that mixes channels only where all numbers lie between two others."""
    return lambda x: tf.where(tf.reduce_all((x > low) & (x < high)), tf.nn.softmax(x), tf.nn.relu(x))


def softmax_from(low, high):
    """Returns a function that mixes channels only where the largest number lies between two others."""
    return lambda x: tf.where((tf.reduce_max(x) > low) & (tf.reduce_max(x) < high), tf.nn.softmax(x), tf.nn.relu(x))


MIXING = {
    "softmax": keras.activations.softmax,
    "tf.nn.softmax": tf.nn.softmax,
    "partial of softmax": functools.partial(ops.softmax, axis=-1),
    "to length 1": lambda x: tf.math.l2_normalize(x, -1),
    "by the largest": lambda x: x / ops.max(ops.abs(x)),
    "the largest alone": lambda x: x * ops.cast(x >= ops.max(x, axis=-1, keepdims=True), x.dtype),
    "to length 100": lambda x: tf.clip_by_norm(x, 100.0, axes=[-1]),
    "by neighbours, slightly": lambda x: tf.nn.lrn(x[:, None, None], alpha=1e-6)[:, 0, 0],
    "running sum": lambda x: ops.cumsum(x, axis=-1),
    "reversed": lambda x: x[..., ::-1],
    "gated linear unit": keras.activations.glu,
    "softmax of positive numbers": softmax_between(0, np.inf),
    "softmax of small positive numbers": softmax_between(0, 6),
    "softmax of negative numbers": softmax_between(-np.inf, 0),
    "softmax of tiny numbers": softmax_between(-0.1, 0.1),
    "softmax of numbers about 100": softmax_from(50, 1000),
    "softmax of large numbers": softmax_from(1000, np.inf),
    "a decision by values": lambda x: x if float(ops.sum(x)) > 0 else -x,
}
UNLIKE = {
    "two halves": lambda x: ops.concatenate([ops.relu(x[..., :6]), ops.tanh(x[..., 6:])], axis=-1),
    "all but the last": lambda x: ops.concatenate([ops.relu(x[..., :-1]), x[..., -1:]], axis=-1),
    "all but the first": lambda x: ops.concatenate([x[..., :1], ops.relu(x[..., 1:])], axis=-1),
    "all but the last of twelve": lambda x: ops.concatenate([ops.relu(x[..., :11]), x[..., 11:]], axis=-1),
    "by their number": lambda x: x * float(x.shape[-1]) ** 0.5,
    "random with a seed": lambda x: x * keras.random.uniform(ops.shape(x), seed=1),
}


def network(layer):
    """Returns a model with a hidden layer, a layer in question, and a head."""
    inputs = keras.Input((5,))
    x = layers.Dense(UNITS, name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(2)(layer(x)))


def as_activation(function):
    inputs = keras.Input((5,))
    return keras.Model(inputs, layers.Dense(2)(layers.Dense(UNITS, activation=function, name="hidden")(inputs)))


WAYS = {
    "activation=": as_activation,
    "Activation": lambda function: network(layers.Activation(function, name="held")),
    "Lambda": lambda function: network(layers.Lambda(function, output_shape=(UNITS,), name="held")),
}


def reasons_of(model):
    return {name: each.reasons for each in analyse(model).whole for name in each.layers}


def check_cut(model, units=UNITS):
    """Checks that so many units can be cut, and that then the smaller model answers as the masked one."""
    assert sum(group.size for group in analyse(model).groups) == units, reasons_of(model)
    plan = slim.plan_pruning(model, 0.4, criterion="random", guards=Guards(min_units=1, align=1))
    x = np.random.default_rng(0).normal(size=(6, *model.input.shape[1:])).astype("float32")
    small, masked = slim.shrink(model, plan), slim.mask(model, plan)
    assert small.count_params() < model.count_params()
    assert small(x).shape == model(x).shape
    np.testing.assert_allclose(small(x), masked(x), rtol=1e-5, atol=1e-5)


ALL_WAYS = ("tf.nn.relu", "partial with a position", "own, named like Keras's", "bound method", "of no zero")


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name in POINTWISE for way in WAYS if way == "activation=" or name in ALL_WAYS]
)
def test_units_are_cut_from_what_treats_each_alone(name, way):
    model = WAYS[way](POINTWISE[name])
    check_cut(model)
    whole = slim.shrink(model, slim.plan_pruning(model, 0))
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    np.testing.assert_array_equal(whole(x), model(x))


@pytest.mark.parametrize("name", SIGNS)
def test_units_are_cut_from_what_makes_other_types_of_them(name):
    def as_floats(x):
        return ops.cast(SIGNS[name](x), "float32")

    check_cut(network(layers.Lambda(as_floats)))
    counted = layers.Lambda(SIGNS[name], output_shape=(UNITS,), dtype="float32")
    check_cut(network(lambda x: layers.Lambda(lambda y: ops.cast(y, "float32"))(counted(x))))
    assert mixes_because(SIGNS[name], (None, UNITS), 1, "float32") == ""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int32", "int8", "uint8", "bool"])
def test_functions_are_tried_in_the_type_that_they_get(dtype):
    def same_type(x):
        assert keras.backend.standardize_dtype(x.dtype) == dtype
        return x

    assert mixes_because(same_type, (None, UNITS), 1, dtype) == ""
    assert mixes_because(lambda x: x[..., ::-1], (None, UNITS), 1, dtype) == "mixes the channels"


@pytest.mark.parametrize(
    ("name", "function", "reason", "way"),
    [(name, function, "mixes the channels", "activation=") for name, function in MIXING.items()]
    + [(name, function, "treats channels unlike each other", "Activation") for name, function in UNLIKE.items()],
)
def test_what_mixes_channels_keeps_them_whole(name, function, reason, way):
    if name in ("gated linear unit", "a decision by values"):  # of which Keras makes no such models
        assert mixes_because(function, (None, UNITS), 1, "float32") == reason
        return
    model = WAYS[way](function)
    assert analyse(model).groups == ()
    assert reason in reasons_of(model)["hidden"][0]


def counting():
    calls = [0]

    def function(x):
        calls[0] += 1
        return ops.relu(x) if calls[0] < 1000 else ops.softmax(x)

    return function


class Counting(Swish):
    calls = 0

    def __call__(self, x):
        self.calls += 1
        return ops.relu(x)


def reading(variable):
    def function(x):
        return x + variable * ops.mean(x, axis=-1, keepdims=True)

    return function


class Gated(Swish):
    """What it does follows from a variable that is 0 now."""

    def __init__(self):
        self.gate = keras.Variable(0.0)

    def __call__(self, x):
        return x + self.gate * ops.mean(x, axis=-1, keepdims=True)


STATE = {
    "random": (lambda: lambda x: x + keras.random.normal(ops.shape(x)), "being random"),
    "random where negative": (lambda: lambda x: tf.where(x > 0, x, x * tf.random.uniform(tf.shape(x))), "being random"),
    "counting": (counting, "changes what it reads"),
    "counting object": (Counting, "changes what it reads"),
    "a variable": (lambda: reading(keras.Variable(0.0)), "reads variables"),
    "a variable of TensorFlow": (lambda: reading(tf.Variable(0.0)), "reads variables"),
    "an attribute": (Gated, "reads variables"),
    "a method": (lambda: Gated().doubled, "reads variables"),
    "a partial": (lambda: functools.partial(lambda gate, x: x + gate * ops.sum(x), keras.Variable(0.0)), "variables"),
    "a layer": (lambda: functools.partial(lambda layer, x: x + layer(x), layers.Dense(UNITS)), "reads variables"),
    "an object": (lambda: (lambda gated: lambda x: gated(x))(Gated()), "reads variables"),
    "a counting object": (lambda: (lambda counting: lambda x: counting(x))(Counting()), "changes what it reads"),
    "inside a function inside": (
        lambda: (lambda gate: lambda x: (lambda y: y + gate * ops.sum(y))(x))(keras.Variable(0.0)),
        "reads variables",
    ),
    "through another": (lambda: (lambda inner: lambda x: inner(x))(reading(keras.Variable(0.0))), "reads variables"),
}


@pytest.mark.parametrize("name", STATE)
def test_what_may_do_another_thing_later_is_left_whole(name):
    make, reason = STATE[name]
    assert reason in mixes_because(make(), (None, UNITS), 1, "float32")


def test_a_name_without_a_value_does_not_hurt():
    def make(has_one):
        def function(x):
            return ops.relu(x) if x is not None else slope

        if has_one:
            slope = 1
        return function

    assert mixes_because(make(False), (None, UNITS), 1, "float32") == ""


def test_a_variable_beside_a_function_does_not_count():
    class Block:
        def __init__(self):
            self.scale, self.slope = keras.Variable(1.0), 0.5

        def activate(self, x):
            return ops.leaky_relu(x, self.slope)

    assert mixes_because(Block().activate, (None, UNITS), 1, "float32") == ""


def test_what_fails_on_arrays_is_left_whole_and_says_why():
    def symbolic(x):
        return x.nope if isinstance(x, tf.Tensor) and hasattr(x, "numpy") else ops.relu(x)

    model = as_activation(symbolic)
    (reason,) = reasons_of(model)["hidden"]
    assert reason.startswith("activation 'symbolic' fails when it is tried (")
    assert "'nope'" in reason


@pytest.mark.parametrize(("axis", "reason"), [(1, ""), (2, ""), (3, "mixes the channels")])
def test_channels_are_asked_for_along_their_axis(axis, reason):
    assert mixes_because(ops.softmax, (None, 4, 5, 6), axis, "float32") == reason


def test_units_that_lie_along_other_axes_are_cut_from_a_softmax():
    inputs = keras.Input((5, 4))
    x = layers.EinsumDense("abc,cde->abde", (5, 6, 3), activation="softmax", name="hidden")(inputs)
    model = keras.Model(inputs, layers.EinsumDense("abde,def->abf", (5, 2))(x))
    assert {group.name: group.size for group in analyse(model).groups} == {"hidden:d": 6}
    check_cut(model, units=6)


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_recurrent_layers_take_any_function(kind):
    inputs = keras.Input((4, 3))
    for functions, units in (((tf.nn.tanh, hard_swish), 8), ((tf.nn.softmax, tf.nn.sigmoid), 0)):
        gates = {} if kind is layers.SimpleRNN else {"recurrent_activation": functions[1]}
        x = kind(8, activation=functions[0], name="hidden", **gates)(inputs)
        model = keras.Model(inputs, layers.Dense(2)(x))
        if units:
            check_cut(model, units)
        assert sum(group.size for group in analyse(model).groups) == units


def test_every_function_that_is_known_is_one_of_each_element():
    found = [_known(sys.modules[package], package) for package in PLACES if package in sys.modules]
    functions = list({key: function for each in found for key, function in each.items()}.values())
    assert len(functions) > 100
    tried = 0
    for function in functions:
        reason = mixes_because(function, (None, 4), 1, "float32")
        assert reason == "" or reason.startswith("fails when it is tried"), function
        tried += not reason
    assert tried > 100


def test_known_functions_are_found_in_packages_that_are_loaded_alone(monkeypatch):
    def swish(x):
        return x

    before = {name for name in ("jax", "torch") if name in sys.modules}
    assert not is_elementwise(swish)
    assert {name for name in ("jax", "torch") if name in sys.modules} == before
    jax = types.ModuleType("jax")
    jax.nn = types.SimpleNamespace(swish=swish)
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert is_elementwise(swish)
    assert is_elementwise(functools.partial(swish, beta=1.0))
    assert not is_elementwise(functools.partial(swish, beta=np.ones(4)))
    assert not is_elementwise(functools.partial(swish, 1.0))
    assert not is_elementwise(functools.partial(keras.activations.softmax, axis=-1))


def test_what_is_found_of_a_function_is_remembered_as_long_as_it_is_there_and_the_same(monkeypatch):
    class Scaling:
        mixes = False

        def __call__(self, x):
            return ops.softmax(x) if self.mixes else 0.5 * x

    shapes = []
    find = trying._mixes_because
    monkeypatch.setattr(trying, "_mixes_because", lambda function, *key: shapes.append(key[0]) or find(function, *key))
    scaling = Scaling()
    assert [mixes_because(scaling, (None, 6), 1, "float32") for _ in range(3)] == ["", "", ""]
    assert mixes_because(scaling, (None, 8), 1, "float32") == ""
    assert shapes == [(None, 6), (None, 8)]
    scaling.mixes = True
    assert mixes_because(scaling, (None, 6), 1, "float32") == "mixes the channels"
    gc.collect()
    before = len(trying._found)
    del scaling
    gc.collect()
    assert len(trying._found) == before - 1


def with_inputs_between(way, function):
    """Returns a model in which the function is given numbers between 2 and 3."""
    model = WAYS[way](function)
    hidden = model.get_layer("hidden")
    hidden.kernel.assign(np.random.default_rng(0).uniform(-0.01, 0.01, hidden.kernel.shape))
    hidden.bias.assign(np.full(UNITS, 2.5))
    return model


@pytest.mark.parametrize("way", ["activation=", "Activation", "Lambda"])
def test_functions_are_tried_on_what_the_model_gives_them_where_there_are_data(way):
    model = with_inputs_between(way, softmax_between(2, 3))
    x = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    before = [dict(vars(layer)) for layer in model.layers]
    assert slim.plan_pruning(model, 0.3, criterion="l2").groups[0].size == UNITS
    with pytest.raises(slim.errors.UnreachableTargetError, match="nothing in this model can be pruned"):
        slim.plan_pruning(model, 0.3, criterion="l2", data=x)
    assert "mixes the channels, as what it is given shows" in reasons_of(model)["hidden"][0]
    for layer, names in zip(model.layers, before, strict=True):
        assert all(vars(layer)[name] is value for name, value in names.items() if callable(value))


def test_a_fit_tries_functions_on_its_data():
    model = with_inputs_between("activation=", softmax_between(2, 3))
    x = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
    model.compile("sgd", "mse")
    callback = slim.callbacks.ProgressiveGlobalPruning(0.3, criterion="l2", rounds=1, data=x, verbose=0)
    with pytest.raises(slim.errors.UnreachableTargetError, match="nothing in this model can be pruned"):
        model.fit(x, x[:, :2], epochs=2, verbose=0, callbacks=[callback])


def test_data_are_asked_for_only_where_a_function_was_tried():
    asked = []
    analyse(as_activation(tf.nn.relu), batch=lambda: asked.append("known"))
    analyse(as_activation(tf.nn.softmax), batch=lambda: asked.append("mixing"))
    analyse(as_activation(hard_swish), batch=lambda: asked.append("tried"))
    assert asked == ["tried"]


@pytest.mark.parametrize("way", ["activation=", "Activation", "Lambda"])
def test_what_is_pointwise_stays_so_on_data(way):
    model = WAYS[way](hard_swish)
    x = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    assert slim.prune(model, 0.3, criterion="l2", data=(x, None), verbose=0).get_layer("hidden").units == 8


def test_a_recurrent_layer_is_looked_into_for_its_functions():
    inputs = keras.Input((4, 3))
    x = layers.LSTM(8, activation=hard_swish, recurrent_activation=softmax_between(2, 3), name="hidden")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert slim.plan_pruning(model, 0.5, criterion="l2", data=np.ones((4, 4, 3))).groups[0].size == 8
    cell = model.get_layer("hidden").cell
    cell.kernel.assign(0 * cell.kernel)
    cell.recurrent_kernel.assign(0 * cell.recurrent_kernel)
    cell.bias.assign(np.full(32, 2.5))
    with pytest.raises(slim.errors.UnreachableTargetError, match="nothing in this model can be pruned"):
        slim.plan_pruning(model, 0.5, criterion="l2", data=np.ones((4, 4, 3)))


LAMBDAS = {
    "mean over the image": (lambda t: tf.reduce_mean(t, axis=[1, 2]), {}, UNITS),
    "mean, by Keras": (lambda t: ops.mean(t, axis=(1, 2)), {"output_shape": (UNITS,)}, UNITS),
    "last row": (lambda t: t[:, -1], {}, UNITS),
    "resized": (lambda t: tf.image.resize(t, (6, 6)), {}, UNITS),
    "cropped": (lambda t: t[:, 1:-1, 1:-1], {}, UNITS),
    "padded": (lambda t: tf.pad(t, [[0, 0], [1, 1], [1, 1], [0, 0]]), {}, UNITS),
    "with arguments": (lambda t, slope: slope * t, {"arguments": {"slope": 0.5}}, UNITS),
    "a function for the shape": (hard_swish, {"output_shape": lambda shape: shape}, UNITS),
    "a function for a fixed shape": (hard_swish, {"output_shape": lambda shape: (*shape[:-1], UNITS)}, 0),
    "gated by the other half": (
        lambda t: t[..., : t.shape[-1] // 2] * ops.sigmoid(t[..., t.shape[-1] // 2 :]),
        {},
        UNITS // 2,
    ),
    "gated by the other six": (lambda t: t[..., :6] * ops.sigmoid(t[..., 6:]), {}, 0),
    "the first eight": (lambda t: t[..., :8], {}, 0),
    "all twelve": (lambda t: t[..., :UNITS], {}, UNITS),
    "all but one": (lambda t: t[..., 1:], {}, 0),
    "in reverse": (lambda t: t[..., ::-1], {}, UNITS),
    "channels first": (lambda t: ops.transpose(t, (0, 3, 1, 2)), {}, UNITS),
    "flat, of known size": (lambda t: ops.reshape(t, (-1, 4 * 4 * UNITS)), {}, 0),
    "flat, of its own size": (lambda t: ops.reshape(t, (-1, t.shape[1] * t.shape[2] * t.shape[3])), {}, UNITS),
    "flat": (lambda t: ops.reshape(t, (ops.shape(t)[0], -1)), {"output_shape": (4 * 4 * UNITS,)}, UNITS),
    "one more axis": (lambda t: ops.expand_dims(t, -1), {}, UNITS),
    "softmax": (lambda t: ops.softmax(t), {}, 0),
    "to length 1": (lambda t: tf.math.l2_normalize(t, -1), {}, 0),
    "shuffled in groups": (
        lambda t: ops.reshape(ops.swapaxes(ops.reshape(t, (-1, 4, 4, 2, 6)), 3, 4), (-1, 4, 4, UNITS)),
        {},
        0,
    ),
    "by their number": (lambda t: t * float(t.shape[-1]) ** 0.5, {}, 0),
    "random": (lambda t: t + keras.random.normal(ops.shape(t)), {}, 0),
    "one thing in training": (lambda t, training=None: ops.relu(t) if training else ops.tanh(t), {}, UNITS),
    "mixing in training": (lambda t, training=None: ops.softmax(t) if training else t, {}, 0),
    "with the mask": (lambda t, mask=None: t, {}, 0),
    "two halves": (lambda t: [t[..., : t.shape[-1] // 2], t[..., t.shape[-1] // 2 :]], {}, 0),
    "two of all": (lambda t: [t, 2 * t], {}, UNITS),
}


@pytest.mark.parametrize("name", LAMBDAS)
def test_a_lambda_layer_is_followed(name):
    function, options, units = LAMBDAS[name]
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(UNITS, 1, name="hidden")(inputs)
    outputs = layers.Lambda(function, name="held", **options)(x)
    x = layers.Concatenate()(outputs) if isinstance(outputs, list) else outputs
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    if units:
        check_cut(model, units)
    else:
        assert analyse(model).groups == ()
        assert "(held)" in reasons_of(model)["hidden"][0]


OF_TWO = {
    "sum": (lambda t: t[0] + t[1], UNITS),
    "side by side": (lambda t: ops.concatenate(t, axis=-1), 2 * UNITS),
    "one after the other": (lambda t: ops.concatenate(t, axis=1), UNITS),
    "stacked": (lambda t: ops.stack(t, axis=1), UNITS),
    "gated by a mean": (lambda t: t[0] * ops.mean(t[1], axis=-1, keepdims=True), UNITS),
    "half of each": (lambda t: ops.concatenate([t[0][..., :6], t[1][..., 6:]], axis=-1), 0),
    "all pairs": (lambda t: ops.einsum("bic,bjc->bij", *t), 0),
    "side by side, by TensorFlow": (lambda t: tf.concat(t, -1), 0),
}


@pytest.mark.parametrize("name", OF_TWO)
def test_a_lambda_layer_of_two_inputs_is_followed(name):
    function, units = OF_TWO[name]
    inputs = keras.Input((3, 4))
    both = [layers.Dense(UNITS, name=name)(inputs) for name in ("hidden", "other")]
    x = layers.Lambda(function, name="held")(both)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    if units:
        check_cut(model, units)
    assert sum(group.size for group in analyse(model).groups) == units


def test_a_lambda_layer_inside_others_is_followed():
    inputs = keras.Input((4, 5))
    x = layers.Dense(UNITS, name="hidden")(inputs)
    x = layers.TimeDistributed(layers.Lambda(hard_swish, output_shape=(UNITS,)))(x)
    inner = keras.Input((4, UNITS))
    halves = layers.Lambda(lambda t: t[..., : t.shape[-1] // 2] * t[..., t.shape[-1] // 2 :], name="held")(inner)
    x = keras.Model(inner, layers.Lambda(ops.tanh)(halves))(x)
    check_cut(keras.Model(inputs, layers.Dense(2)(x)), UNITS // 2)


def test_a_lambda_layer_that_is_called_twice_is_followed():
    inputs = keras.Input((5,))
    shared = layers.Lambda(hard_swish, output_shape=(UNITS,))
    x = shared(layers.Dense(UNITS, name="hidden")(inputs))
    x = shared(layers.Dense(UNITS, name="other")(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    check_cut(model, UNITS)  # one entry of the config counts both
    shared = layers.Lambda(hard_swish)
    x = shared(layers.Dense(UNITS, name="hidden")(inputs))
    x = shared(layers.Dense(UNITS, name="other")(x))
    check_cut(keras.Model(inputs, layers.Dense(2)(x)), 2 * UNITS)


def test_a_lambda_layer_that_merges_an_unknown_axis_is_left_whole():
    inputs = keras.Input((None, 4))
    x = layers.Dense(UNITS, name="hidden")(inputs)
    x = layers.Lambda(lambda t: ops.reshape(t, (ops.shape(t)[0], -1)), output_shape=(None,), name="held")(x)
    model = keras.Model(inputs, layers.Dense(2)(ops.mean(x, axis=1, keepdims=True)))
    assert reasons_of(model)["hidden"] == ("function '<lambda>' makes sizes of one axis from those of another (held)",)


def test_a_lambda_layer_that_calls_layers_is_left_whole():
    inner = layers.Dense(UNITS)
    inner.build((None, UNITS))
    model = network(layers.Lambda(lambda t: t + inner(t), output_shape=(UNITS,), name="held"))
    assert reasons_of(model)["hidden"] == ("function '<lambda>' reads variables, which may change (held)",)


class Mish(layers.Layer):
    def call(self, x):
        return x * tf.math.tanh(tf.math.softplus(x))


class Clipped(layers.Layer):
    def __init__(self, limit=1.0, **options):
        super().__init__(**options)
        self.limit = limit

    def call(self, x, training=None):
        return tf.clip_by_value(x, -self.limit, self.limit) if training else x

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


class ByWidth(layers.Layer):
    """What it learns in `build` differs in a smaller network."""

    def build(self, shape):
        self.scale = shape[-1] ** -0.5

    def call(self, x):
        return self.scale * tf.nn.relu(x)


class MixesInTraining(layers.Layer):
    def call(self, x, training=None):
        return tf.nn.softmax(x) if training else x


class Noisy(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.seed = keras.random.SeedGenerator(0)

    def call(self, x):
        return x + keras.random.normal(ops.shape(x), seed=self.seed)


class Gate(layers.Layer):
    def build(self, shape):
        self.gate = self.add_weight(shape=(), initializer="zeros")

    def call(self, x):
        return x + self.gate * tf.reduce_mean(x, axis=-1, keepdims=True)


class Masked(layers.Layer):
    def call(self, x, mask=None):
        return x


@pytest.mark.parametrize("make", [Mish, Clipped])
def test_layers_of_ones_own_without_weights_are_tried(make):
    check_cut(network(make()))
    check_cut(as_activation(make()))
    inputs = keras.Input((4, 4, 3))
    x = make()(layers.Conv2D(UNITS, 1, name="hidden")(inputs))
    check_cut(keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x))))


@pytest.mark.parametrize("make", [ByWidth, MixesInTraining, Noisy, Gate, Masked])
def test_layers_of_ones_own_that_may_do_more_are_left_whole(make):
    model = network(make(name="held"))
    assert analyse(model).groups == ()
    assert reasons_of(model)["hidden"] == (f"{make.__name__} has no rule (held)",)
    assert analyse(as_activation(make())).groups == ()


def test_what_is_found_of_a_layer_is_remembered(monkeypatch):
    tried = []
    find = trying._mixes_because
    monkeypatch.setattr(trying, "_mixes_because", lambda *arguments: tried.append(arguments) or find(*arguments))
    model = network(Mish())
    assert [len(analyse(model).groups) for _ in range(3)] == [1, 1, 1]
    assert len(tried) == 1


@pytest.fixture
def rules(monkeypatch):
    """A table of rules that a test may add to."""
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


def test_a_function_can_have_a_rule(rules):
    gate = keras.Variable(1.0)

    def gated(x):
        return gate * x

    for way in ("activation=", "Activation", "Lambda"):
        assert analyse(WAYS[way](gated)).groups == ()
    assert register_rule(gated)(elementwise) is elementwise
    for way in WAYS:
        check_cut(WAYS[way](gated))
    with pytest.raises(ValueError, match="gated has a rule already. Give `override=True`"):
        register_rule(gated)(elementwise)

    @register_rule(gated, override=True)
    def whole(call):
        """All are kept."""
        return call.keep_inputs_whole("on request")

    for way in ("activation=", "Activation", "Lambda"):
        assert analyse(WAYS[way](gated)).groups == ()


def test_objects_that_can_be_called_have_the_rule_of_their_class(rules):
    assert analyse(as_activation(Gated())).groups == ()
    register_rule(Gated)(elementwise)
    check_cut(as_activation(Gated()))


def test_what_cannot_have_a_rule_says_so(rules):
    class Unhashable(Swish):
        __hash__ = None

        def __eq__(self, other):
            return True

    wanted = "Expected layer classes, names of classes of Keras's own, or functions that layers are given. Received: "
    for each, hint in (
        (layers.Dense(2), "Give its class, `Dense`."),
        (Unhashable(), "It has no hash: give its class, `Unhashable`."),
        (3, "Give the class of a layer, or the function"),
        (int, "Give the class of a layer, or the function"),
        ([layers.Dense], "Give the class of a layer, or the function"),
    ):
        with pytest.raises(TypeError) as raised:
            register_rule(each)
        assert wanted in str(raised.value)
        assert hint in str(raised.value)
    with pytest.raises(TypeError, match="`types` of `register_rule`"):
        register_rule()
    with pytest.raises(TypeError, match="Invalid value for argument `rule` of `register_rule`. Expected a function of"):
        register_rule(hard_swish)("pointwise")
    check_cut(as_activation(Unhashable()))


def test_a_cut_in_fit_takes_any_function():
    inputs = keras.Input((5,))
    x = layers.Dense(16, activation=tf.nn.relu)(inputs)
    x = layers.Lambda(lambda t: ops.tanh(t) * SLOPE, output_shape=(16,))(x)
    x = layers.Activation(relu)(layers.Dense(16)(x))
    model = keras.Model(inputs, layers.Dense(1)(x))
    x = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
    model.compile("sgd", "mse")
    callback = slim.callbacks.ProgressiveGlobalPruning(0.5, criterion="l2", rounds=2, verbose=0)
    model.fit(x, x[:, :1], batch_size=16, epochs=4, verbose=0, callbacks=[callback])
    assert [layer.units for layer in model.layers if isinstance(layer, layers.Dense)] == [8, 8, 1]
    assert model.predict(x, verbose=0).shape == (16, 1)
