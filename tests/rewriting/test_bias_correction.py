"""Corrected biases give each layer the means that it has with real weights."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, nested, perceptron, randomise, residual, several_ends, volume
from model_zoo_quantized import quantized_integers

import keras_slim as slim
from keras_slim.layers import QuantDense
from keras_slim.quantizers import Int

KINDS = {
    "Conv1D": ((7, 3), lambda **options: layers.Conv1D(4, 3, padding="causal", **options)),
    "Conv2D": ((6, 6, 3), lambda **options: layers.Conv2D(4, 3, 2, padding="same", **options)),
    "Conv2D in groups": ((6, 6, 4), lambda **options: layers.Conv2D(6, 3, groups=2, **options)),
    "Conv3D": ((4, 4, 4, 2), lambda **options: layers.Conv3D(3, 2, **options)),
    "Conv2DTranspose": ((5, 5, 3), lambda **options: layers.Conv2DTranspose(4, 3, 2, padding="same", **options)),
    "DepthwiseConv2D": ((6, 6, 3), lambda **options: layers.DepthwiseConv2D(3, depth_multiplier=2, **options)),
    "SeparableConv2D": ((6, 6, 3), lambda **options: layers.SeparableConv2D(4, 3, padding="same", **options)),
    "Dense": ((5,), lambda **options: layers.Dense(4, **options)),
    "Dense along the last axis": ((2, 3, 5), lambda **options: layers.Dense(4, **options)),
}


def means(model, name, x):
    """The mean of each channel of a layer's outputs."""
    outputs = np.asarray(keras.Model(model.inputs[0], model.get_layer(name).output)(x), "float64")
    return outputs.mean(axis=tuple(range(outputs.ndim - 1)))


def positive(shape, samples=32):
    """Samples as behind a ReLU, whose means are not 0."""
    return np.abs(np.random.default_rng(0).normal(size=(samples, *shape))).astype("float32")


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_has_the_means_it_has_with_real_weights_one_behind_the_other(kind, use_bias):
    shape, make = KINDS[kind]
    stack = [make(use_bias=use_bias, name="a"), layers.ReLU(), layers.Dense(3, name="b")]
    model = randomise(keras.Sequential([keras.Input(shape), *stack]))
    twin = slim.quantize(model, Int(3), skip=())
    x = positive(shape)
    corrected = slim.correct_biases(twin, x)
    for name in "ab":
        wanted = means(model, name, x)
        assert np.abs(means(twin, name, x) - wanted).max() > 1e-3
        np.testing.assert_allclose(means(corrected, name, x), wanted, atol=1e-5)
        assert type(corrected.get_layer(name)) is type(twin.get_layer(name))
        for old, new in zip(twin.get_layer(name).get_weights(), corrected.get_layer(name).get_weights(), strict=False):
            assert np.array_equal(old, new) or old.ndim == 1


def test_two_layers_worked_out_by_hand():
    """With 2 bits and one scale, 1 and 0.3 become 1 and 0; -1 and 0.6 become -1 and 1."""
    first, second = np.array([[1.0, 1.0], [0.3, 0.3]]), np.array([[-1.0], [0.6]])
    dense = keras.layers.Dense
    model = keras.Sequential([keras.Input((2,)), dense(2, "relu", name="a"), dense(1, name="b")])
    model.set_weights([first, np.array([0.0, -2.0]), second, np.array([0.5])])
    x = np.array([[1.0, 1.0], [2.0, 3.0]])
    real, rounded = x @ first + [0, -2], x @ np.array([[1.0, 1.0], [0.0, 0.0]]) + [0, -2]
    shift = real.mean(axis=0) - rounded.mean(axis=0)  # 0.3 * 2 in both
    np.testing.assert_allclose(shift, [0.6, 0.6])
    rounded = np.maximum(rounded + shift, 0)
    last = np.mean(np.maximum(real, 0) @ second) - np.mean(rounded @ np.array([[-1.0], [1.0]]))
    corrected = slim.correct_biases(model, x, Int(2, per_channel=False))
    np.testing.assert_allclose(corrected.get_layer("a").bias, [0.6, -1.4], atol=1e-6)
    np.testing.assert_allclose(corrected.get_layer("b").bias, [0.5 + last], atol=1e-6)
    for name, kernel in (("a", first), ("b", second)):
        np.testing.assert_array_equal(corrected.get_layer(name).kernel, kernel.astype("float32"))


@pytest.mark.parametrize("build", [residual, perceptron, nested, several_ends])
def test_a_model_corrected_before_it_is_rounded_is_one_corrected_after(build):
    model = slim.fold_batch_normalization(randomise(build()))
    x = inputs_for(model, samples=32)
    before = slim.quantize(slim.correct_biases(model, x, Int(3)), Int(3), skip=())
    after = slim.correct_biases(slim.quantize(model, Int(3), skip=()), x)
    for one, other in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("build", [residual, volume])
def test_answers_come_nearer_to_those_with_real_numbers(build):
    model = slim.fold_batch_normalization(randomise(build()))
    looked_at, x = (inputs_for(model, samples=64, seed=seed) for seed in (1, 2))
    twin = slim.quantize(model, Int(3), skip=())
    real, rounded, corrected = (np.asarray(each(x)) for each in (model, twin, slim.correct_biases(twin, looked_at)))
    assert np.square(corrected - real).sum() < 0.3 * np.square(rounded - real).sum()


def test_rounded_inputs_count_too_and_what_rounds_without_a_bias_stays():
    model = randomise(quantized_integers())
    x = inputs_for(model, samples=16)
    corrected = slim.correct_biases(model, x)
    values = {weight.path: np.asarray(weight) for weight in model.weights}
    changed = {each.path for each in corrected.weights if not np.array_equal(each, values.get(each.path))}
    assert changed
    assert all(path.endswith("/bias") for path in changed)
    last = [layer.name for layer in corrected.layers if hasattr(layer, "use_bias")][-1]
    real = randomise(quantized_integers())
    for layer in real._flatten_layers():
        if hasattr(layer, "rounding"):
            layer.rounding = "nothing"
    wanted = means(real, real.layers[-1].name, x)
    assert last == corrected.layers[-1].name
    np.testing.assert_allclose(means(corrected, last, x), wanted, atol=1e-4)


def test_a_layer_that_is_called_twice_has_the_mean_of_its_shifts():
    """Weights of 0.3 are rounded to 0 beside 1; the second call sees what the first one puts out."""
    inputs = keras.Input((2,))
    layer = layers.Dense(2, use_bias=False, name="twice")
    model = keras.Model(inputs, layer(layer(inputs)))
    kernel, rounded = np.array([[1.0, 0.3], [0.3, 1.0]]), np.eye(2)
    model.set_weights([kernel])
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    first = (x @ kernel - x @ rounded).mean(axis=0)
    second = (x @ kernel @ kernel - (x @ rounded + first) @ rounded).mean(axis=0)
    corrected = slim.correct_biases(model, x, Int(2))
    np.testing.assert_allclose(corrected.get_layer("twice").bias, (first + second) / 2, atol=1e-6)


def few_bits(**options):
    return keras.Sequential(
        [keras.Input((3,)), QuantDense(2, kernel_quantizer=Int(2), kernel_initializer="glorot_normal", **options)]
    )


def test_batches_of_any_kind_are_looked_at_up_to_a_number_of_samples():
    model, x = few_bits(), positive((3,), samples=20)
    wanted = slim.correct_biases(model, x).layers[0].bias
    batches = [(x[start : start + 6], None) for start in range(0, 20, 6)]
    spoilt = np.concatenate([x, np.full((5, 3), np.nan, "float32")])
    for data, samples in ((x, 512), (iter(batches), 512), (spoilt, 20), ((x, np.zeros(20)), 512)):
        found = slim.correct_biases(model, data, samples=samples) if data is not None else None
        np.testing.assert_allclose(found.layers[0].bias, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: slim.correct_biases(few_bits(), positive((4,))), ValueError, "`data` of `correct_biases`"),
        (lambda: slim.correct_biases(few_bits(), np.zeros((0, 3))), ValueError, "`data` of `correct_biases`.*one"),
        (lambda: slim.correct_biases(few_bits(), np.full((2, 3), np.nan)), ValueError, "not finite of the `data`"),
        (lambda: slim.correct_biases(few_bits(), positive((3,)), samples=0), ValueError, "`samples` of `correct_b"),
        (lambda: slim.correct_biases(perceptron(), positive((6,)), None), ValueError, "weights are rounded"),
        (lambda: slim.correct_biases(perceptron(), positive((6,)), "in"), ValueError, "`kernel` of `correct_biases`"),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, error, message):
    with pytest.raises(error, match=message):
        make()
