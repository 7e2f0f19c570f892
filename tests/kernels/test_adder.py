"""Adder convolutions are the paper's formulas, for every option and on each backend, compiled or not."""

import contextlib

import adder_by_hand as by_hand
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from keras_slim.errors import SlimWarning
from keras_slim.kernels import adder_convolution, torch_adder
from keras_slim.kernels.backends import gradient

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def value_and_gradients(x, w, upstream, **options):
    """Outputs, and the gradients of inputs and kernel, as arrays."""
    x, w, upstream = (ops.convert_to_tensor(each) for each in (x, w, upstream))
    y = adder_convolution(x, w, **options)
    of_x = gradient(lambda x: adder_convolution(x, w, **options), x, upstream)
    of_w = gradient(lambda w: adder_convolution(x, w, **options), w, upstream)
    return [ops.convert_to_numpy(each) for each in (y, of_x, of_w)]


@contextlib.contextmanager
def step_by_step():
    """The same lines, without waiting for a compiler at each shape."""
    if ON_TENSORFLOW:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
    torch_adder.step_by_step.add("cpu")
    try:
        yield
    finally:
        torch_adder.step_by_step.discard("cpu")
        if ON_TENSORFLOW:
            tf.config.run_functions_eagerly(False)


def check(dtype, tolerance, size, kernel, strides, padding, dilation, groups, channels, filters, seed=0, batch=2):
    """Compares with the loop; the tolerance is a share of the largest value."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(batch, *size, channels * groups)).astype(dtype)
    w = rng.normal(size=(*kernel, channels, filters * groups)).astype(dtype)
    paddings = ((0, 0), (0, 0))
    if padding == "same":
        paddings = [by_hand.same(*axis) for axis in zip(size, kernel, strides, dilation, strict=True)]
    if padding == "causal":
        paddings = [((taps - 1) * gap, 0) for taps, gap in zip(kernel, dilation, strict=True)]
    wide = x.astype("float64"), w.astype("float64")
    y = by_hand.distances(*wide, strides, paddings, dilation, groups)
    upstream = rng.normal(size=y.shape).astype(dtype)
    expected = y, *by_hand.gradients(*wide, upstream.astype("float64"), strides, paddings, dilation, groups)
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation, "groups": groups}
    for one, two in zip(value_and_gradients(x, w, upstream, **options), expected, strict=True):
        assert one.dtype == dtype
        assert one.shape == two.shape
        assert np.abs(one - two).max() <= tolerance * np.abs(two).max()


@st.composite
def convolutions(draw):
    kernel = draw(st.tuples(*[st.integers(1, 4)] * 2))
    strides = draw(st.tuples(*[st.integers(1, 3)] * 2))
    dilation = draw(st.tuples(*[st.integers(1, 3)] * 2)) if strides == (1, 1) else (1, 1)
    size = [draw(st.integers((taps - 1) * gap + 1, 11)) for taps, gap in zip(kernel, dilation, strict=True)]
    return {
        "size": size,
        "kernel": kernel,
        "strides": strides,
        "padding": draw(st.sampled_from(["valid", "same", "causal"])),
        "dilation": dilation,
        "groups": draw(st.integers(1, 3)),
        "channels": draw(st.integers(1, 20)),
        "filters": draw(st.integers(1, 4)),
        "seed": draw(st.integers(0, 100)),
    }


PRECISIONS = st.sampled_from([("float64", 1e-10), ("float32", 1e-4)])


@settings(max_examples=10 if ON_TENSORFLOW else 6)  # the others compile each operation for each shape
@given(convolutions(), PRECISIONS)
def test_random_convolutions_are_the_formulas(options, precision):
    with step_by_step():
        check(*precision, **options)


@pytest.mark.slow
@settings(max_examples=60)
@given(convolutions(), PRECISIONS)
def test_many_random_convolutions_are_the_formulas(options, precision):
    with step_by_step():
        check(*precision, **options)


COMPILED = {
    "same": {"size": (6, 5), "kernel": (3, 3), "padding": "same", "channels": 4},
    "strides": {"size": (7, 6), "kernel": (3, 2), "strides": (2, 3), "padding": "same", "channels": 18},
    "pointwise strides": {"size": (5, 5), "kernel": (1, 1), "strides": (2, 2), "channels": 33},
    "dilation": {"size": (9, 8), "kernel": (3, 2), "dilation": (2, 3), "channels": 2},
    "groups": {"size": (4, 4), "kernel": (3, 3), "groups": 2, "channels": 3},
    "depthwise": {"size": (5, 5), "kernel": (3, 3), "padding": "same", "groups": 6, "channels": 1, "filters": 2},
}
DEFAULTS = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "groups": 1, "filters": 5}


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [(name, "float64", 1e-10) for name in COMPILED] + [(name, "float32", 1e-4) for name in ("strides", "depthwise")],
)
def test_compiled_convolutions_are_the_formulas(name, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(torch_adder, "FEW", 0)
    check(dtype, tolerance, **{**DEFAULTS, **COMPILED[name]})


@pytest.mark.skipif(not ON_TENSORFLOW, reason="only TensorFlow has tensors whose sizes are not known")
@pytest.mark.parametrize(
    ("strides", "padding"), [((1, 1), "same"), ((2, 2), "same"), pytest.param((2, 1), "valid", marks=pytest.mark.slow)]
)
def test_sizes_that_are_not_known_beforehand(strides, padding):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 7, 6, 3)), rng.normal(size=(3, 3, 3, 2))

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), "float64")])
    def open_sized(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = adder_convolution(x, tf.constant(w), strides, padding)
        return y, tape.gradient(y, x)

    y, of_x = open_sized(x)
    with step_by_step():
        known = value_and_gradients(x, w, np.ones(y.shape), strides=strides, padding=padding)
    np.testing.assert_allclose(y, known[0], atol=1e-12)
    np.testing.assert_allclose(of_x, known[1], atol=1e-12)


def test_the_local_learning_rate_scales_the_gradient_of_the_kernel_alone():
    rng = np.random.default_rng(0)
    x, w, upstream = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(2, 2, 3, 5)), rng.normal(size=(2, 3, 3, 5))
    _, of_x, of_w = value_and_gradients(x, w, upstream)
    _, same_of_x, scaled = value_and_gradients(x, w, upstream, local_learning_rate=0.2)
    np.testing.assert_array_equal(of_x, same_of_x)
    np.testing.assert_allclose(np.linalg.norm(scaled), 0.2 * np.sqrt(60))
    np.testing.assert_allclose(scaled / np.linalg.norm(scaled), of_w / np.linalg.norm(of_w), atol=1e-12)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="a matter of PyTorch alone")
def test_where_pytorch_does_not_compile_it_is_told_once_and_goes_step_by_step(monkeypatch):
    import torch

    monkeypatch.setattr(torch_adder, "FEW", 0)
    monkeypatch.setattr(torch_adder, "step_by_step", set())
    rng = np.random.default_rng(0)
    x, w, upstream = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(2, 2, 3, 5)), rng.normal(size=(2, 3, 3, 5))
    with step_by_step():
        known = value_and_gradients(x, w, upstream)
    torch.compiler.set_stance("force_eager")
    try:
        with pytest.warns(SlimWarning, match="Received: compiling is turned off") as told:
            found = value_and_gradients(x, w, upstream)
    finally:
        torch.compiler.set_stance("default")
    assert [each.category for each in told].count(SlimWarning) == 1
    for one, other in zip(found, known, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="a matter of PyTorch alone")
def test_nothing_is_compiled_while_pytorch_looks_for_shapes(monkeypatch):
    class Around(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(3, 3, 16, 8))

        def call(self, inputs):
            return adder_convolution(inputs, self.kernel)

    monkeypatch.setattr(torch_adder, "_compiled", None)
    assert Around()(keras.Input((32, 32, 16))).shape == (None, 30, 30, 8)


def test_a_gradient_of_zero_stays_zero():
    x, w = np.ones((1, 2, 2, 1)), np.ones((1, 1, 1, 1))
    _, _, of_w = value_and_gradients(x, w, np.ones((1, 2, 2, 1)), local_learning_rate=0.2)
    assert of_w.item() == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sums_of_narrow_numbers_are_wide(dtype):
    x = keras.random.normal((1, 4, 4, 512), dtype=dtype)
    w = keras.random.normal((3, 3, 512, 2), dtype=dtype)
    y = adder_convolution(x, w)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    x, w, y = (ops.convert_to_numpy(ops.cast(each, "float64")) for each in (x, w, y))
    np.testing.assert_allclose(y, by_hand.distances(x, w), rtol=2 * 2.0**-8)


def test_a_loss_scale_and_a_local_learning_rate_exclude_each_other():
    x, w = np.ones((1, 2, 2, 1), "float16"), np.ones((1, 1, 1, 1), "float16")
    with pytest.raises(ValueError, match="mixed_bfloat16"):
        value_and_gradients(x, w, np.ones((1, 2, 2, 1), "float16"), local_learning_rate=0.2)
    *_, of_w = value_and_gradients(x, w, np.ones((1, 2, 2, 1), "float16"))
    assert of_w.dtype == "float16"
