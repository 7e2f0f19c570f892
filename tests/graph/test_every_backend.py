"""Functions of the backend that runs, as activations; on JAX and PyTorch by `tox -e jax` and `tox -e torch`."""

import functools
import importlib

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.graph.functions import is_elementwise
from keras_slim.graph.trying import mixes_because
from keras_slim.pruning import Guards

UNITS = 12
PACKAGE = {"tensorflow": "tensorflow.nn", "jax": "jax.nn", "torch": "torch.nn.functional"}
SLOPE = {"tensorflow": "alpha", "jax": "negative_slope", "torch": "negative_slope"}
AXIS = {"tensorflow": "axis", "jax": "axis", "torch": "dim"}


def of_backend(name):
    """Returns a function of the backend that runs, by its name."""
    package, *places = PACKAGE[keras.backend.backend()].split(".")
    found = importlib.import_module(package)
    for place in (*places, name):
        found = getattr(found, place)
    return found


def along(axis):
    return functools.partial(of_backend("softmax"), **{AXIS[keras.backend.backend()]: axis})


def leaky():
    return functools.partial(of_backend("leaky_relu"), **{SLOPE[keras.backend.backend()]: 0.3})


def own():
    sigmoid = of_backend("sigmoid")
    return lambda x: x * sigmoid(2 * x)


MODELS = {"relu": lambda: of_backend("relu"), "leaky": leaky, "own": own, "Keras's": lambda: ops.silu}


def hidden(function, way):
    inputs = keras.Input((5,))
    if way == "activation=":
        x = layers.Dense(UNITS, activation=function, name="hidden")(inputs)
    else:
        x = getattr(layers, way)(function)(layers.Dense(UNITS, name="hidden")(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.mark.parametrize("way", ["activation=", "Activation", "Lambda"])
@pytest.mark.parametrize("name", MODELS)
def test_units_are_cut_from_functions_of_the_backend(name, way):
    model = hidden(MODELS[name](), way)
    plan = slim.plan_pruning(model, 0.4, criterion="random", guards=Guards(min_units=1, align=1))
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
    small, masked = (ops.convert_to_numpy(made(x)) for made in (slim.shrink(model, plan), slim.mask(model, plan)))
    assert [group.size for group in plan.groups] == [UNITS]
    np.testing.assert_allclose(small, masked, rtol=1e-5, atol=1e-6)


def test_functions_of_the_backend_are_known():
    assert is_elementwise(of_backend("relu"))
    assert is_elementwise(leaky())
    assert not is_elementwise(along(-1))


def test_a_softmax_of_the_backend_mixes_the_channels():
    assert analyse(hidden(along(-1), "activation=")).groups == ()
    assert mixes_because(along(1), (None, 4, 5), 1, "float32") == "mixes the channels"
    assert mixes_because(along(1), (None, 4, 5), 2, "float32") == ""


def test_what_is_random_is_left_whole():
    reason = mixes_because(lambda x: x + keras.random.normal(ops.shape(x)), (None, UNITS), 1, "float32")
    assert reason.startswith("gives another answer each time")


def test_what_changes_its_inputs_in_place_is_tried_as_well():
    def doubled(x):
        return x.mul_(2) if keras.backend.backend() == "torch" else 2 * x

    assert mixes_because(doubled, (None, UNITS), 1, "float32") == ""


def test_a_fit_with_data_cuts_units_from_an_own_function():
    model = hidden(own(), "activation=")
    x = np.random.default_rng(0).normal(size=(16, 5)).astype("float32")
    model.compile("sgd", "mse")
    callback = slim.callbacks.ProgressiveGlobalPruning(0.3, criterion="l2", rounds=1, data=x, verbose=0)
    model.fit(x, x[:, :2], batch_size=16, epochs=2, verbose=0, callbacks=[callback])
    assert model.get_layer("hidden").units == 8
