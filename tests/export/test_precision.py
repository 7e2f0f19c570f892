import keras
import numpy as np
import pytest

from keras_slim.errors import ExportError
from keras_slim.export.precision import check_not_quantized, in_float32, is_float32


def half_model():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, dtype="mixed_float16")], name="inner")
    inputs = {"a": keras.Input((5, 3), dtype="float16", name="a")}
    x = keras.layers.Bidirectional(keras.layers.LSTM(2, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")(inputs["a"])
    x = keras.layers.Lambda(lambda tensor: 2 * tensor, dtype="float16")(inner(x))
    return keras.Model(inputs, {"b": keras.layers.BatchNormalization()(x)})


def test_float32_model_is_returned_as_it_is():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    assert in_float32(model) is model


def test_clone_is_float32_throughout_with_the_same_weights():
    model = half_model()
    clone = in_float32(model)
    assert not is_float32(model)
    assert is_float32(clone)
    assert keras.config.dtype_policy().name == "float32"
    for kept, weight in zip(clone.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)
    x = {"a": np.random.default_rng(0).standard_normal((2, 5, 3))}
    expected, received = (keras.ops.convert_to_numpy(each(x)["b"]) for each in (model, clone))
    np.testing.assert_allclose(received, expected, atol=0.03)


def test_global_policy_is_restored_and_not_taken_over():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        assert is_float32(in_float32(model))
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_compiled_model_with_a_loss_nobody_registered():
    model = half_model()
    model.compile("adam", loss=lambda expected, received: keras.ops.mean(expected - received))
    assert not in_float32(model).compiled


class OwnLayers(keras.Model):
    def __init__(self, width):
        super().__init__(dtype="mixed_float16")
        self.dense = keras.layers.Dense(width, dtype="mixed_float16")

    def call(self, inputs):
        return self.dense(inputs)


def test_model_that_cannot_be_rebuilt_says_the_way_out():
    model = OwnLayers(3)
    model(np.zeros((1, 2)))
    with pytest.raises(ExportError, match=r"set_dtype_policy\('float32'\)"):
        in_float32(model)


def test_quantized_model_is_refused_by_name():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="int8_from_float32", name="changed")])
    with pytest.raises(ValueError, match=r"layers: \['changed'\].*quantize='int8'"):
        check_not_quantized(model, "export_tflite")
