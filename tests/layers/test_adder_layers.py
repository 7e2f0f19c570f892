"""Adder layers are drop-in twins of Keras's: the same options, shapes, files and habits."""

import adder_by_hand as by_hand
import keras
import numpy as np
import pytest

from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a matter of TensorFlow alone")

LAYERS = {
    # name: (layer, arguments, shape of an input)
    "plain": (AdderConv2D, {"filters": 4, "kernel_size": 3}, (6, 5, 3)),
    "strides": (AdderConv2D, {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same"}, (7, 5, 3)),
    "dilation": (AdderConv2D, {"filters": 2, "kernel_size": 2, "dilation_rate": (2, 1)}, (6, 5, 3)),
    "groups": (AdderConv2D, {"filters": 4, "kernel_size": 2, "groups": 2, "activation": "relu"}, (4, 4, 6)),
    "no bias": (AdderConv2D, {"filters": 4, "kernel_size": 1, "use_bias": False}, (4, 4, 6)),
    "one axis": (AdderConv1D, {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, (8, 2)),
    "causal": (AdderConv1D, {"filters": 3, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"}, (8, 2)),
    "depthwise": (AdderDepthwiseConv2D, {"kernel_size": 3, "depth_multiplier": 2, "padding": "same"}, (5, 4, 3)),
    "dense": (AdderDense, {"units": 4, "activation": "softsign"}, (6,)),
    "dense over steps": (AdderDense, {"units": 4}, (3, 6)),
}
TWINS = {
    AdderConv1D: keras.layers.Conv1D,
    AdderConv2D: keras.layers.Conv2D,
    AdderDepthwiseConv2D: keras.layers.DepthwiseConv2D,
    AdderDense: keras.layers.Dense,
}


def expected(layer, x):
    """What a layer has to answer, by the loop."""
    kernel = keras.ops.convert_to_numpy(layer.kernel).astype("float64")
    if isinstance(layer, AdderDense):
        pixels = x.reshape(-1, 1, 1, x.shape[-1])
        y = by_hand.distances(pixels, kernel[None, None]).reshape(*x.shape[:-1], -1)
    else:
        strides, dilation, groups = layer.strides, layer.dilation_rate, getattr(layer, "groups", 1)
        if isinstance(layer, AdderDepthwiseConv2D):
            groups = kernel.shape[2]
            kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
        flat = x.ndim == 3
        if flat:
            x, kernel, strides, dilation = x[:, None], kernel[None], (1, *strides), (1, *dilation)
        axes = [*zip(x.shape[1:3], kernel.shape, strides, dilation, strict=False)]
        paddings = {
            "valid": [(0, 0)] * 2,
            "same": [by_hand.same(*axis) for axis in axes],
            "causal": [((taps - 1) * gap, 0) for _, taps, _, gap in axes],
        }[layer.padding]
        y = by_hand.distances(x, kernel, strides, paddings, dilation, groups)
        y = y[:, 0] if flat else y
    if layer.use_bias:
        y = y + keras.ops.convert_to_numpy(layer.bias)
    return keras.ops.convert_to_numpy(layer.activation(keras.ops.convert_to_tensor(y)))


def made(name, **changes):
    layer, arguments, shape = LAYERS[name]
    arguments = {"bias_initializer": "random_normal", **arguments, **changes}
    return layer(**arguments), np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_answers_by_the_formula(name):
    layer, x = made(name)
    y = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y, expected(layer, x.astype("float64")), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in LAYERS if "dense" not in name])
def test_channels_first_is_channels_last_turned(name):
    last, x = made(name, data_format="channels_last")
    first, _ = made(name, data_format="channels_first")
    y = keras.ops.convert_to_numpy(last(x))
    turned = np.moveaxis(x, -1, 1)
    first.build(turned.shape)
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(np.moveaxis(keras.ops.convert_to_numpy(first(turned)), 1, -1), y, rtol=1e-6)


def test_a_bias_lies_along_the_channels_where_the_last_axis_is_as_long():
    layer = AdderConv2D(4, 1, data_format="channels_first", kernel_initializer="zeros")
    layer.build((None, 2, 3, 4))
    layer.bias.assign([1.0, 2.0, 3.0, 4.0])
    answer = keras.ops.convert_to_numpy(layer(np.zeros((1, 2, 3, 4), "float32")))
    np.testing.assert_array_equal(answer, np.broadcast_to([[[[1]], [[2]], [[3]], [[4]]]], (1, 4, 3, 4)))


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_and_weights_are_those_of_the_twin(name):
    layer, x = made(name)
    twin = TWINS[type(layer)](**{"bias_initializer": "random_normal", **LAYERS[name][1]})
    assert layer(x).shape == twin(x).shape == layer.compute_output_shape(x.shape)
    assert [each.shape for each in layer.weights] == [each.shape for each in twin.weights]
    assert [each.name for each in layer.weights] == [each.name for each in twin.weights]


@pytest.mark.parametrize(
    ("name", "policy"),
    [(name, "float32") for name in ("strides", "causal", "depthwise", "dense")]
    + [("strides", "mixed_bfloat16"), ("causal", "float64"), ("depthwise", "mixed_float16"), ("dense", "float64")],
)
def test_a_model_trains_and_comes_back_from_its_file(name, policy, tmp_path):
    rate = None if policy == "mixed_float16" else 0.1
    layer, x = made(name, dtype=policy, local_learning_rate=rate)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    before = layer.get_weights()
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    y = np.zeros((2, *model.output_shape[1:]))
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()
    assert all(np.abs(new - old).max() > 0 for new, old in zip(layer.get_weights(), before, strict=True))
    model.save(tmp_path / "adder.keras")
    back = keras.models.load_model(tmp_path / "adder.keras")
    assert type(back.layers[-1]) is type(layer)
    assert back.layers[-1].get_config() == layer.get_config()
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(each(x)) for each in (back, model)))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_integers_are_answered_and_learned_from_as_floats(policy, uncompiled_adder_layers):
    x = np.array([[1, 3], [2, 5]], "uint8")
    integer, real = (
        keras.Sequential([keras.Input((2,), dtype=dtype), AdderDense(2, kernel_initializer="ones", dtype=policy)])
        for dtype in ("uint8", "float32")
    )
    for model in (integer, real):
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(x, np.zeros((2, 2)), verbose=0)
    assert np.abs(integer.layers[0].get_weights()[0] - 1).max() > 0
    answers = integer(x), real(x.astype("float32"))
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, answers))


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"weight_decay": 0.1}, {"clipnorm": 0.01}])
def test_a_step_of_gradient_descent_has_the_local_learning_rate_before_all_else(options, uncompiled_adder_layers):
    layer, x = made("plain", local_learning_rate=0.1)
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile(keras.optimizers.SGD(0.5, **options), "mse", run_eagerly=True)
    kernels = [layer.get_weights()[0]]
    for _ in range(2):
        model.fit(x, np.zeros((2, *model.output_shape[1:])), verbose=0)
        kernels.append(layer.get_weights()[0])
    first, second, third = kernels
    kept = options.get("momentum", 0) * (second - first) - 0.5 * options.get("weight_decay", 0) * second
    norm = min(0.1 * np.sqrt(first.size), options.get("clipnorm", np.inf))
    np.testing.assert_allclose(np.linalg.norm(third - second - kept), 0.5 * norm, rtol=1e-3)


def test_kernels_begin_with_variance_one():
    layer = AdderConv2D(64, 3)
    layer.build((None, 8, 8, 64))
    assert abs(layer.kernel.numpy().std() - 1) < 0.02


def test_regularizers_and_constraints_are_kept():
    layer, x = made("plain", kernel_regularizer=keras.regularizers.L2(0.5), kernel_constraint="non_neg")
    layer(x)
    (penalty,) = map(keras.ops.convert_to_numpy, layer.losses)
    np.testing.assert_allclose(penalty, 0.5 * np.square(layer.get_weights()[0]).sum(), rtol=1e-5)
    assert isinstance(layer.kernel.constraint, keras.constraints.NonNeg)


@on_tensorflow
def test_keras_does_not_compile_the_rest_of_a_model():
    layer, x = made("plain")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    model.compile("sgd", "mse")
    assert model.jit_compile is bool(keras.distribution.list_devices("gpu"))


@on_tensorflow
def test_what_is_compiled_already_may_be_compiled_again():
    import tensorflow as tf

    layer, x = made("strides")
    np.testing.assert_allclose(tf.function(layer, jit_compile=True)(x), layer(x), rtol=1e-5)


@pytest.mark.parametrize("rate", [0, -1.0])
def test_a_local_learning_rate_is_positive(rate):
    with pytest.raises(ValueError, match="local_learning_rate"):
        AdderDense(3, local_learning_rate=rate)


@pytest.mark.parametrize("name", ["plain", "dense"])
def test_what_multiplies_by_a_kernel_is_refused(name):
    layer, x = made(name)
    layer(x)
    with pytest.raises(NotImplementedError, match="does not multiply"):
        layer.enable_lora(2)
    with pytest.raises(NotImplementedError, match="does not multiply"):
        layer.quantize("int8")
