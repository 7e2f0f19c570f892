import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph.copying import copied, copy_replacing


def branches(between):
    """A layer that is called twice, before and behind another."""
    shared = layers.Dense(3, name="shared")
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Add()([shared(between(shared(inputs))), inputs]), name="branches")


def stack(between):
    return keras.Sequential([keras.Input((3,)), layers.Dense(3, name="first"), between, layers.Dense(2)])


x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


@pytest.mark.parametrize("build", [branches, stack])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_any_number_of_layers_stands_for_one(build, number):
    model = build(layers.Rescaling(8, name="between"))
    expected = build(layers.Rescaling(2**number, name="between"))
    expected.set_weights(model.get_weights())

    def in_place_of(operation, changes):
        return [layers.Rescaling(2) for _ in range(number)] if operation.name == "between" else None

    copy = copy_replacing(model, in_place_of)
    assert len(copy.layers) == len(model.layers) - 1 + number
    assert isinstance(copy, keras.Sequential) == isinstance(model, keras.Sequential)
    np.testing.assert_allclose(copy(x), expected(x), rtol=1e-6)


def test_each_is_asked_for_once_and_some_start_anew():
    model, asked = branches(layers.Dense(3, name="between", bias_initializer="ones")), []
    for layer in model.layers:
        layer.set_weights([np.full(weight.shape, 5.0) for weight in layer.weights])
    between = model.get_layer("between")
    copy = copy_replacing(model, lambda operation, changes: asked.append(operation.name), {between})
    assert sorted(asked) == ["add", "between", "shared"]
    assert copy.get_layer("between").bias.numpy().tolist() == [1, 1, 1]
    assert copy.get_layer("shared").bias.numpy().tolist() == [5, 5, 5]


def test_a_copy_has_the_entries_that_are_different_if_it_has_them_at_all():
    made = copied(layers.Dense(3, "relu", name="dense"), use_bias=False, strides=2)
    assert (made.name, made.use_bias, made.activation) == ("dense", False, keras.activations.relu)


class Unsaved(layers.Layer):
    def __init__(self, number):
        super().__init__(name="unsaved")
        self.number = number


def test_what_cannot_be_copied_is_named():
    with pytest.raises(UnsupportedLayerError, match="(?s)'unsaved' cannot be copied.*`get_config` that returns all"):
        copied(Unsaved(1))


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_layer_that_keras_has_quantized_is_left_whole(mode):
    stack = [layers.Dense(6, name="first"), layers.Dense(8, name="few"), layers.Dense(9, name="cut"), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    stack[1].quantize(mode)
    plan = slim.plan_pruning(model, 0.5, guards=slim.pruning.Guards(min_units=1, align=1))
    assert "few: `quantize` of Keras has changed its weights" in plan.describe()
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(slim.shrink(model, plan)(x), slim.mask(model, plan)(x), atol=1e-5)
    np.testing.assert_allclose(slim.prune(model, 0)(x), model(x), atol=1e-6)
