"""Layers with few bits become layers of Keras that hold what they computed with."""

import zipfile

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, nested, randomise, residual, several_ends
from model_zoo_quantized import quantized_integers, quantized_signs

import keras_slim as slim
from keras_slim.layers import QuantConv2D, QuantDense, Quantize
from keras_slim.quantizers import Binary, Clipped, Int, LearnedStep, Ternary, TrainedTernary


def assert_same(one, other, x):
    for ours, theirs in zip(*(keras.tree.flatten(model(x)) for model in (one, other)), strict=True):
        theirs = keras.ops.convert_to_numpy(theirs)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def stock(model):
    return all(type(each).__module__.startswith("keras.") for each in model._flatten_layers())


@pytest.mark.parametrize("build", [residual, several_ends, nested])
def test_with_rounded_weights_alone_it_answers_as_the_twin_with_layers_of_keras_and_their_names(build):
    model = randomise(build())
    for kernel in (
        Int(3),
        Int(8, symmetric=False),
        LearnedStep(2),
        Binary(stochastic=True),
        "binary_scaled",
        Ternary(),
    ):
        twin = slim.quantize(model, kernel, skip=())
        plain = slim.dequantize(twin)
        assert (stock(plain), stock(twin)) == (True, False)
        assert [layer.name for layer in plain._flatten_layers()] == [layer.name for layer in model._flatten_layers()]
        assert_same(plain, twin, inputs_for(model))


def test_trained_values_come_along(tmp_path):
    """The three values of trained ternary weights, after a step."""
    model = randomise(keras.Sequential([keras.Input((4,)), layers.Dense(8, name="a"), layers.Dense(2)]))
    twin = slim.quantize(model, TrainedTernary(), skip=())
    twin.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    x = inputs_for(model)
    twin.fit(x, np.ones((7, 2)), verbose=0)
    plain = slim.dequantize(twin)
    assert len(np.unique(plain.get_layer("a").kernel)) <= 3
    assert_same(plain, twin, x)


@pytest.mark.parametrize("build", [quantized_integers, quantized_signs])
@pytest.mark.filterwarnings("ignore:The copy answers otherwise")
def test_every_layer_with_few_bits_holds_its_rounded_weights(build):
    model = randomise(build())
    plain = slim.dequantize(model)
    assert stock(plain)
    for layer in model.layers:
        if isinstance(layer, Quantize):
            assert layer.name not in [each.name for each in plain.layers]
            continue
        for variable in plain.get_layer(layer.name).weights:
            (own,) = (each for each in layer.weights if each.name == variable.name)
            rounded = layer.rounded(own.name, own) if hasattr(layer, "rounded") else own
            np.testing.assert_allclose(variable, rounded, rtol=1e-6)


def test_without_the_rounding_of_inputs_and_sums_it_answers_nearly_so():
    inputs = keras.Input((4,))
    x = layers.Dense(6, "gelu", name="a")(inputs)
    model = randomise(keras.Model(inputs, layers.Add()([layers.Dense(6, name="b")(x), x])))
    twin = slim.quantize(model, "int", "int", skip=())
    twin.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    x = inputs_for(model)
    twin.fit(x, np.zeros((7, 6)), verbose=0)  # learns the ranges
    plain, rounded = (keras.ops.convert_to_numpy(each(x)) for each in (slim.dequantize(twin), twin))
    assert 0 < np.abs(plain - rounded).max() < 0.02 * np.abs(rounded).max()
    assert [layer.name for layer in slim.dequantize(twin).layers] == [
        "input_layer", "a", "a_activation", "b", "add"
    ]  # fmt: skip


def test_a_constraint_of_the_quantizer_goes_and_another_stays():
    mine = {"kernel_constraint": "max_norm", "bias_constraint": Clipped()}
    stack = [
        QuantDense(4, kernel_quantizer="binary", name="a"),
        QuantDense(4, kernel_quantizer="binary", name="b", **mine),
    ]
    plain = slim.dequantize(keras.Sequential([keras.Input((4,)), *stack]))
    assert plain.get_layer("a").kernel_constraint is None
    assert isinstance(plain.get_layer("b").kernel_constraint, keras.constraints.MaxNorm)
    assert isinstance(plain.get_layer("b").bias_constraint, Clipped)


def test_a_masked_twin_becomes_a_model_with_zeros():
    model = randomise(keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(8, 3, name="a"), layers.Conv2D(3, 3)]))
    twin = slim.quantize(model, "binary_scaled", skip=())
    masked = slim.mask(twin, slim.plan_pruning(twin, 0.25, criterion="l2", guards=slim.pruning.Guards(align=1)))
    assert_same(slim.dequantize(masked), masked, inputs_for(model))


def test_its_file_holds_nothing_that_only_keras_slim_could_load(tmp_path):
    path = tmp_path / "plain.keras"
    twin = slim.quantize(randomise(residual()), "binary", "int", skip=())
    for model, is_foreign in ((twin, True), (slim.dequantize(twin), False)):
        model.save(path)
        with zipfile.ZipFile(path) as file:
            assert (b"keras_slim" in file.read("config.json")) is is_foreign


class OwnDense(QuantDense):
    """Derives from a layer with few bits."""


def test_what_stays_rounded_and_what_answers_otherwise_is_told():
    inside = layers.TimeDistributed(QuantDense(4, kernel_quantizer="sign"), name="steps")
    model = keras.Sequential([keras.Input((3, 4)), inside, OwnDense(4, name="own"), QuantDense(4, name="plain")])
    with pytest.warns(slim.errors.SlimWarning, match=r"`dequantize` leaves.*hold some: 'steps', 'own'\.$") as told:
        plain = slim.dequantize(model)
    assert [each.filename for each in told] == [__file__]
    assert [type(layer) for layer in plain.layers] == [layers.TimeDistributed, OwnDense, layers.Dense]
    signs = keras.Sequential(
        [keras.Input((4, 4, 2)), QuantConv2D(2, 1, input_quantizer="sign", name="conv"), Quantize()]
    )
    with pytest.warns(slim.errors.SlimWarning, match=r"answers otherwise.*3 values at most: 'conv'\.$"):
        slim.dequantize(signs)


def test_a_model_without_few_bits_is_copied():
    model = randomise(residual())
    assert_same(slim.dequantize(model), model, inputs_for(model))
