"""Adder models go to the phone in built-in operations, each layer in the form that was faster."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import ExportError, SlimWarning
from keras_slim.export import adder_forms, checked_conversion
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D

# Keras need not wait for XLA at each layer to be compared with: that compiled layers answer alike is tested elsewhere.
pytestmark = pytest.mark.usefixtures("uncompiled_adder_layers")

DATA = np.random.default_rng(0).normal(size=(32, 6, 6, 3)).astype("float32")


def network():
    inputs = x = keras.Input((6, 6, 3))
    for layer in (AdderConv2D(8, 3, padding="same"), AdderDepthwiseConv2D(3), AdderConv2D(4, 2, strides=2, groups=2)):
        x = keras.layers.BatchNormalization()(layer(x))
    x = keras.layers.BatchNormalization()(AdderConv1D(4, 2, padding="causal")(keras.layers.Reshape((2, 8))(x)))
    x = AdderDense(3)(keras.layers.Flatten()(x))
    return settled(keras.Model(inputs, keras.layers.BatchNormalization()(x)))


def settled(model):
    """The model with statistics of batch normalization that belong to its weights: without them answers are huge."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(DATA, training=True)
    return model


def plain():
    stack = [AdderConv2D(8, 3, padding="same", name="adder"), keras.layers.BatchNormalization()]
    return settled(keras.Sequential([keras.Input((6, 6, 3)), *stack]))


def test_every_layer_goes_to_the_phone(tmp_path):
    with pytest.warns(SlimWarning, match="partitions"):  # XNNPACK has no slices with strides
        report = slim.export_tflite(network(), tmp_path / "model.tflite", data=DATA, verbose=0)
    assert report.agreement.sqnr_db > 80
    assert "MAXIMUM" in report.agreement.operations
    assert not {"WHILE", "CUSTOM"} & set(report.agreement.operations)


@pytest.mark.parametrize("is_faster", [True, False])
def test_the_faster_form_is_taken(is_faster, tmp_path, monkeypatch):
    model = slim.sharing.share_kernel_values(plain(), 4)
    before = keras.ops.convert_to_numpy(model(DATA))
    times = {adder_forms._by_value: 1 - is_faster, adder_forms.distances_by_filter: 0.5}
    monkeypatch.setattr(adder_forms, "_milliseconds", lambda load, form, *args: times[form])
    report = slim.export_tflite(model, tmp_path / "model.tflite", data=DATA, verbose=0)
    assert ("MAXIMUM" in report.agreement.operations) is not is_faster
    assert report.agreement.sqnr_db > 80
    assert adder_forms.FORMS.get() is None  # the model itself answers as before
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(DATA)), before)


def test_forms_are_timed_once_for_each_kind_of_layer(tmp_path, monkeypatch):
    stack = [AdderConv2D(3, 3, padding="same", use_bias=False), keras.layers.BatchNormalization()]
    again = [AdderConv2D(3, 3, padding="same", use_bias=False), keras.layers.BatchNormalization()]
    model = settled(keras.Sequential([keras.Input((6, 6, 3)), *stack, *again]))
    timed, milliseconds = [], adder_forms._milliseconds

    def counted(*args):
        timed.append(milliseconds(*args))
        return timed[-1]

    monkeypatch.setattr(adder_forms, "_milliseconds", counted)
    slim.export_tflite(slim.sharing.share_kernel_values(model, 2), tmp_path / "model.tflite", data=DATA, verbose=0)
    assert len(timed) == 2
    assert min(timed) > 0


def test_int8_needs_few_values(tmp_path):
    model = plain()
    with pytest.raises(ExportError, match="'adder'.*share_kernel_values"):
        slim.export_tflite(model, tmp_path / "model.tflite", "int8", data=DATA, verbose=0)
    assert not list(tmp_path.iterdir())
    model = slim.sharing.share_kernel_values(model, 8)
    with pytest.warns(SlimWarning, match="partitions"):  # nor differences in int8
        report = slim.export_tflite(model, tmp_path / "model.tflite", "int8", data=DATA, verbose=0)
    assert report.agreement.sqnr_db > 20


def test_images_of_integers_go_to_the_phone(tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3), dtype="uint8"), AdderConv2D(4, 3)])
    data = np.random.default_rng(0).integers(0, 255, (8, 6, 6, 3)).astype("uint8")
    report = slim.export_tflite(model, tmp_path / "model.tflite", data=data, verbose=0)
    assert report.agreement.sqnr_db > 80


def with_groups():
    return keras.Sequential([keras.Input((6, 6, 3)), AdderDepthwiseConv2D(3, name="adder")])


def with_a_mask():
    stack = [AdderConv2D(16, 3), keras.layers.BatchNormalization(), AdderConv2D(3, 2, name="adder")]
    model = keras.Sequential([keras.Input((6, 6, 3)), *stack])
    return slim.mask(model, slim.plan_pruning(model, ratio=0.5))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (with_groups, r"'adder'.*int8: it has 3 groups.*Expected one\. Give quantize='dynamic'"),
        (with_a_mask, r"'adder'.*int8: it leaves out masked channels.*keras_slim\.shrink.*quantize='dynamic'"),
    ],
)
def test_int8_says_what_no_sharing_of_values_mends(make, reason, tmp_path):
    model = slim.sharing.share_kernel_values(make(), 4)
    with pytest.raises(ExportError, match=reason):
        slim.export_tflite(model, tmp_path / "model.tflite", "int8", data=DATA, verbose=0)


def test_a_masked_model_goes_to_the_phone(tmp_path, monkeypatch):
    monkeypatch.setattr(adder_forms, "_milliseconds", lambda load, form, *args: form is adder_forms._by_value)
    stack = [AdderConv2D(16, 3, use_bias=False), keras.layers.BatchNormalization(), AdderConv2D(3, 2)]
    model = keras.Sequential([keras.Input((6, 6, 3)), *stack, keras.layers.BatchNormalization()])
    masked = slim.mask(model, slim.plan_pruning(model, ratio=0.5))
    slim.sharing.share_kernel_values(masked, 2)
    with pytest.warns(SlimWarning, match="partitions"):  # XNNPACK does not gather
        report = slim.export_tflite(settled(masked), tmp_path / "model.tflite", data=DATA, verbose=0)
    assert report.agreement.sqnr_db > 80


def test_the_dense_twin_is_computed_in_the_same_form(tmp_path, monkeypatch):
    forms, trace = [], checked_conversion.Trace

    def seen(*args):
        forms.append(adder_forms.FORMS.get())
        return trace(*args)

    monkeypatch.setattr(checked_conversion, "Trace", seen)
    model = plain()
    adder = model.get_layer("adder")
    kernel, bias = adder.get_weights()
    adder.set_weights([np.where(np.abs(kernel) < 0.7, 0, kernel), bias])
    report = slim.export_tflite(model, tmp_path / "model.tflite", data=DATA, verbose=0)
    assert report.sparsity > 0.3
    assert report.gzip_bytes < report.dense_gzip_bytes < report.bytes
    assert len(forms) == 4  # of the model and its twin: one filter at a time, and as it was fastest
    assert None not in forms
