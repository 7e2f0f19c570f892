"""Layers with quantizers are drop-in twins of Keras's: the same options, shapes, files and habits."""

import keras
import numpy as np
import pytest
from placing import numbers, rounded

from keras_slim import layers as ours
from keras_slim.quantizers import Binary, Clipped, Int, LearnedStep

IMAGE = (6, 5, 4)
LAYERS = {
    # name: (class, arguments, shape of an input)
    "plain": ("Conv2D", {"filters": 4, "kernel_size": 3}, IMAGE),
    "strides": ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same"}, IMAGE),
    "groups": ("Conv2D", {"filters": 4, "kernel_size": 2, "groups": 2, "activation": "relu"}, IMAGE),
    "no bias": ("Conv2D", {"filters": 4, "kernel_size": 1, "use_bias": False}, IMAGE),
    "one axis": ("Conv1D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (8, 2)),
    "causal": ("Conv1D", {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"}, (8, 2)),
    "three axes": ("Conv3D", {"filters": 2, "kernel_size": 2}, (3, 4, 3, 2)),
    "depthwise": ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, IMAGE),
    "separable": ("SeparableConv2D", {"filters": 3, "kernel_size": 2, "depth_multiplier": 2}, IMAGE),
    "transposed": ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "output_padding": 1}, IMAGE),
    "dense": ("Dense", {"units": 4, "activation": "softsign"}, (6,)),
    "dense over steps": ("Dense", {"units": 4}, (3, 6)),
    "table": ("Embedding", {"input_dim": 7, "output_dim": 5}, (4,)),
}
STEP = LearnedStep(3, signed=True)
QUANTIZERS = {"int": Int(4), "signs": "binary_scaled", "step": STEP, "trained": "trained_ternary"}


def made(name, quantizer=None, **changes):
    """Returns the layer, its twin in Keras with the same weights, and an input."""
    kind, arguments, shape = LAYERS[name]
    bias = {} if kind == "Embedding" else {"bias_initializer": "random_normal"}
    of = {"embeddings_quantizer": quantizer}
    if kind != "Embedding":
        of = {"kernel_quantizer": quantizer, "input_quantizer": quantizer if quantizer != "trained_ternary" else "int"}
    layer = getattr(ours, f"Quant{kind}")(**{**bias, **arguments, **of, **changes})
    twin = getattr(keras.layers, kind)(**{**bias, **arguments, **changes})
    x = np.arange(8).reshape(2, 4) % 7 if kind == "Embedding" else numbers(2, *shape)
    if changes.get("data_format") == "channels_first":
        x = np.moveaxis(x, -1, 1)
    layer.build(x.shape), twin.build(x.shape)
    for one, other in zip(twin.weights, layer.weights, strict=False):
        one.assign(other)
    return layer, twin, x


def answers(layer, x, **options):
    return keras.ops.convert_to_numpy(layer(x, **options))


@pytest.mark.parametrize("name", LAYERS)
def test_without_quantizers_it_is_the_layer_of_keras(name):
    layer, twin, x = made(name)
    np.testing.assert_allclose(answers(layer, x), answers(twin, x), rtol=1e-6, atol=1e-6)
    assert tuple(layer.compute_output_shape(x.shape)) == tuple(twin(x).shape)
    assert [each.name for each in layer.weights] == [each.name for each in twin.weights]
    assert set(layer.get_config()) - set(twin.get_config()) == {each for each in vars(layer) if "quantizer" in each}


@pytest.mark.parametrize(
    ("name", "quantizer"),
    [
        *((name, "int") for name in LAYERS if name != "separable"),  # which rounds once more, as told below
        *[("separable", "step"), ("causal", "step"), ("depthwise", "signs"), ("transposed", "trained")],
    ],
)
def test_it_answers_as_the_layer_of_keras_with_rounded_weights_on_rounded_inputs(name, quantizer):
    layer, twin, x = made(name, QUANTIZERS[quantizer])
    for place in layer.places.values():
        if place.is_weight:
            variable = getattr(twin, place.name)
            before = keras.ops.convert_to_numpy(variable)
            variable.assign(rounded(place, before))
            assert (keras.ops.convert_to_numpy(variable) != before).any()
    inputs = rounded(layer.places["inputs"], x) if "inputs" in layer.places else x
    np.testing.assert_allclose(answers(layer, x), answers(twin, inputs), rtol=1e-5, atol=1e-5)


def test_the_halves_of_a_separable_convolution_are_integers_with_a_range_between_them():
    layer, _, x = made("separable", Int(8))
    layer(x, training=True)
    first = ours.QuantDepthwiseConv2D(
        2, depth_multiplier=2, use_bias=False, kernel_quantizer="int", input_quantizer="int"
    )
    second = ours.QuantConv2D(3, 1, kernel_quantizer="int", input_quantizer="int")
    first.build(x.shape)
    second.build((None, 5, 4, 8))
    first.kernel.assign(layer.depthwise_kernel)
    second.kernel.assign(layer.pointwise_kernel)
    second.bias.assign(layer.bias)
    expected = keras.ops.convert_to_numpy(second(first(x, training=True), training=True))
    np.testing.assert_allclose(answers(layer, x, training=True), expected, rtol=1e-5, atol=1e-5)
    assert float(layer.places["between"].variables["batches"]) == 2
    unkept, _, _ = made("separable", Int(8, per_channel=True))
    assert set(unkept.places) == {"depthwise_kernel", "pointwise_kernel", "inputs"}


@pytest.mark.channels_first
@pytest.mark.parametrize("name", ["plain", "causal", "depthwise", "separable", "transposed"])
def test_channels_first_is_channels_last_turned(name):
    quantizer = Int(4, per_channel=True)
    last, _, x = made(name, quantizer)
    first, _, turned = made(name, quantizer, data_format="channels_first")
    first.set_weights(last.get_weights())
    for training in (True, False):
        y = np.moveaxis(answers(first, turned, training=training), 1, -1)
        np.testing.assert_allclose(y, answers(last, x, training=training), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "quantizer", "policy"),
    [
        *((name, Int(4), "float32") for name in ("causal", "depthwise", "separable")),
        *((name, "trained_ternary", "mixed_float16") for name in ("transposed", "table")),
        ("strides", STEP, "mixed_bfloat16"),
        ("dense", Int(ranges="average"), "float64"),
        ("groups", Binary(stochastic=True), "float32"),
    ],
)
def test_a_model_trains_and_comes_back_from_its_file(name, quantizer, policy, tmp_path):
    layer, _, x = made(name, quantizer, dtype=policy)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype), layer])
    assert all(each.dtype == ("float64" if policy == "float64" else "float32") for each in layer.weights)
    before = layer.get_weights()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    y = np.ones((2, *model.output_shape[1:]))
    assert np.isfinite(model.fit(x, y, epochs=2, verbose=0).history["loss"]).all()
    assert all(np.abs(new - old).max() > 0 for new, old in zip(layer.get_weights(), before, strict=True))
    model.save(tmp_path / "quantized.keras")
    back = keras.models.load_model(tmp_path / "quantized.keras")
    assert type(back.layers[-1]) is type(layer)
    assert back.layers[-1].get_config() == layer.get_config()
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(each(x)) for each in (back, model)))


def test_gradients_reach_the_weights_by_the_rule_of_the_quantizer():
    layer = ours.QuantDense(1, use_bias=False, kernel_quantizer="sign", input_quantizer="sign")
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.kernel.assign([[0.5], [-0.2], [1.5]])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = np.array([[0.3, -4.0, 2.0]], "float32"), np.array([[0.0]])
    model.fit(x, y, verbose=0)
    slope = 2 * (1 + 1 + 1)  # of the squared error of 1 * 1 + -1 * -1 + 1 * 1
    expected = [[0.5 - 0.1 * slope * 1], [-0.2 - 0.1 * slope * -1], [1.5]]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.kernel), expected, rtol=1e-5)


@pytest.mark.parametrize(("name", "num"), {"plain": 1, "separable": 2, "depthwise": 1, "dense": 1, "table": 1}.items())
def test_weights_that_are_trained_for_their_signs_are_held_between_minus_one_and_one(name, num):
    layer, _, x = made(name, "binary")
    held = [each for each in layer.weights if isinstance(each.constraint, Clipped)]
    assert len(held) == num
    assert {each.name for each in held} == set(layer.weight_axes)
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    (own, *_) = layer.constraints
    assert isinstance(getattr(made(name, "binary", **{own: "non_neg"})[0], own), keras.constraints.NonNeg)
    if name == "dense":
        model = keras.Sequential([keras.Input((6,)), layer])
        model.compile(keras.optimizers.SGD(50.0), "mse")
        model.fit(x, np.full((2, 4), 9.0), verbose=0)
        assert np.abs(layer.get_weights()[0]).max() == 1


def test_a_frozen_layer_learns_no_range():
    layer = ours.Quantize()
    layer.build((None, 3))
    layer.trainable, before = False, layer.get_weights()
    layer(numbers(2, 3), training=True)
    assert layer.get_weights() == before
    layer.trainable = True
    layer(numbers(2, 3), training=True)
    assert not any(new == old for new, old in zip(layer.get_weights(), before, strict=True))


def test_whole_numbers_are_rounded_as_floats():
    x = np.array([[1, 30, 255]], "uint8")
    layer = ours.QuantDense(2, kernel_quantizer="int", input_quantizer=Int(3))
    np.testing.assert_allclose(answers(layer, x), answers(layer, x.astype("float32")))


def test_zeros_before_a_causal_convolution_are_no_signs():
    layer = ours.QuantConv1D(1, 3, padding="causal", input_quantizer="sign", kernel_initializer="ones")
    np.testing.assert_array_equal(answers(layer, np.full((1, 4, 1), 0.5, "float32"))[0, :, 0], [1, 2, 3, 3])


def test_activations_are_rounded_by_a_layer_of_their_own():
    layer = ours.Quantize(Int(2, ranges="current"), axis=1)
    np.testing.assert_allclose(answers(layer, np.array([[0.1, 1.2, 3.0]], "float32")), [[0, 1, 3]], rtol=1e-6)
    again = ours.Quantize.from_config(layer.get_config())
    assert (again.axis, vars(again.quantizer)) == (1, vars(layer.quantizer))
    with pytest.raises(ValueError, match="`quantizer` of `Quantize`"):
        ours.Quantize(None)


def test_a_vector_of_masked_steps_stays_masked():
    words = keras.layers.Embedding(5, 3, mask_zero=True)(keras.Input((4,), dtype="int32"))
    assert ours.Quantize()(words)._keras_mask is not None


@pytest.mark.parametrize("name", ["plain", "dense"])
def test_what_keras_would_put_beside_or_in_the_place_of_the_weights_is_refused(name):
    layer, _, _ = made(name, "int")
    with pytest.raises(NotImplementedError, match="rounds its weights"):
        layer.enable_lora(2)
    with pytest.raises(NotImplementedError, match="has quantizers of its own"):
        layer.quantize("int8")


@pytest.mark.parametrize("rounding", ["all", "weights", "nothing"])
def test_what_is_not_rounded_passes_as_it_is_and_its_ranges_are_learned_if_it_will_be(rounding):
    layer = ours.QuantDense(3, kernel_quantizer="sign", input_quantizer="int", rounding=rounding, use_bias=False)
    x = np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
    layer.build(x.shape)
    kernel = keras.ops.convert_to_numpy(layer.kernel)
    answer = keras.ops.convert_to_numpy(layer(x, training=True))
    steps = np.ptp(np.append(x, 0)) / 255
    given = np.clip(np.round(x / steps) * steps, x.min(), None) if rounding == "all" else x
    expected = given @ (kernel if rounding == "nothing" else np.where(kernel < 0, -1, 1))
    np.testing.assert_allclose(answer, expected, atol=2e-2 if rounding == "all" else 1e-6)
    assert float(layer.places["inputs"].variables["batches"]) == (rounding != "nothing")
    again = ours.QuantDense.from_config(layer.get_config())
    assert again.rounding == rounding


def test_ranges_are_watched_outside_of_training_on_request():
    layer = ours.Quantize("int", rounding="nothing")
    layer.build((2, 2))
    layer.is_watching = True
    x = np.array([[1.0, -3.0], [2.0, 0.5]], "float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), x)
    high = layer.places["inputs"].variables["high"]
    assert float(high) == 2
