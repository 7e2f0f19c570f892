"""Layers of a model with few bits that stay real, in the file too, and `max_drop`, which leaves them so."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import SlimWarning, UnreachableTargetError
from keras_slim.export.left_real import Apart, with_real_apart
from keras_slim.export.tflite_file import TfliteFile

X = np.random.default_rng(0).normal(size=(80, 8, 8, 3)).astype("float32")


def with_a_bad_layer():
    """A network whose layer `b` is lost with one range for each of its channels: one weight, on a zero, is huge."""
    keras.utils.set_random_seed(1)
    stack = [layers.Conv2D(8, 3, activation="relu", name="a"), layers.MaxPooling2D()]
    stack += [layers.Conv2D(8, 1, activation="relu", name="b"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 3)), *stack, layers.Dense(3, name="head")], name="net")
    a, b, head = map(model.get_layer, ("a", "b", "head"))
    kernel, bias = a.get_weights()
    kernel[..., 0], bias[0] = 0, -1
    a.set_weights([kernel, bias])
    kernel, bias = b.get_weights()
    kernel[0, 0, 0] = 1000
    b.set_weights([kernel, bias])
    head.bias.assign(-keras.ops.mean(model(X), axis=0))  # all classes come
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, np.argmax(model(X), axis=-1)


def test_only_what_lies_between_ranges_is_set_apart():
    model, _ = with_a_bad_layer()

    def apart(*skip):
        made = with_real_apart(slim.quantize(model, "int", "int", skip=skip))
        return [made.layers[index + 1].name for index, each in enumerate(made.layers) if isinstance(each, Apart)]

    assert apart() == []
    assert apart("a") == []
    assert apart("b") == ["b"]
    assert apart("head") == []
    twin = slim.quantize(model, "int", "int", skip=("b",))
    np.testing.assert_array_equal(with_real_apart(twin)(X), twin(X))
    assert with_real_apart(model) is model


def test_a_drop_leaves_the_worst_layer_in_floats_and_holds_in_the_file(tmp_path, capsys):
    model, y = with_a_bad_layer()
    report = slim.export_tflite(model, tmp_path / "net.tflite", "int8", data=(X, y), max_drop=0.1)
    assert report.left_real == ("b",)
    assert report.agreement.sqnr_db > 30  # with `b` in integers, as the converter would have it: below 10
    assert report.agreement.outputs == slim.verify_tflite(model, report.path, X).outputs
    assert report.parameters == model.count_params()
    assert report.agreement.partitions == 1
    assert "in floats   b" in str(report)
    assert ": 'b'. accuracy is " in capsys.readouterr().out
    assert report.agreement.samples == len(X)
    assert not report.random_samples
    file = TfliteFile(str(tmp_path / "net.tflite"))
    (name,) = file.inputs
    answers = [next(iter(file.answer({name: x[None]}).values())) for x in X]
    assert np.mean(np.argmax(np.concatenate(answers), axis=-1) == y) >= 0.9
    rounded = slim.calibrate(slim.quantize(model, "int", "int", skip=()), X)
    assert np.mean(np.argmax(rounded(X), axis=-1) == y) < 0.9


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"quantize": None}, ValueError, "`max_drop` of `export_tflite`.*quantize='int8'"),
        ({"max_drop": -1}, ValueError, "`max_drop` of `export_tflite`.*at least 0"),
        ({"data": None}, ValueError, r"`data` of `export_tflite`.*`data=\(x, y\)`, to see whether the metric holds"),
        ({"data": X}, ValueError, r"`data` of `export_tflite`.*targets too.*inputs only"),
        ({"data": iter(())}, ValueError, "no batch"),
    ],
)
def test_what_is_wrong_with_a_drop_is_told(change, error, message, tmp_path):
    model, y = with_a_bad_layer()
    with pytest.raises(error, match=message):
        slim.export_tflite(
            **{
                "model": model,
                "path": tmp_path / "a.tflite",
                "quantize": "int8",
                "data": (X, y),
                "max_drop": 0.1,
                **change,
            }
        )
    assert not [*tmp_path.iterdir()]


def closeness(y, answers):
    return -keras.ops.mean(keras.ops.abs(answers))


def test_a_model_without_a_metric_or_out_of_reach_is_told(tmp_path):
    model, y = with_a_bad_layer()
    plain = keras.Sequential([keras.Input((8, 8, 3)), *model.layers])
    with pytest.raises(ValueError, match="`model` of `export_tflite`.*is compiled.*`slim.quantize_within` takes"):
        slim.export_tflite(plain, tmp_path / "a.tflite", "int8", data=(X, y), max_drop=0.1)
    plain.compile(metrics=[closeness])
    with pytest.raises(ValueError, match="`model` of `export_tflite`.*'closeness' is better.*quantize_within` takes"):
        slim.export_tflite(plain, tmp_path / "a.tflite", "int8", data=(X, y), max_drop=0.1)
    with pytest.raises(UnreachableTargetError, match="`export_tflite` cannot keep accuracy.*max_drop=0: it is 1 with"):
        slim.export_tflite(model, tmp_path / "a.tflite", "int8", data=(X, y), max_drop=0, verbose=0)


def test_around_a_recurrent_layer_all_is_integers_and_its_loop_is_floats(tmp_path):
    model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4), layers.Dense(4, "relu"), layers.Dense(2)])
    x = X[:, :5, 0]
    twin = slim.calibrate(slim.quantize(model, "int", "int", skip=()), x)
    with pytest.warns(SlimWarning, match="partitions"):
        report = slim.export_tflite(twin, tmp_path / "a.tflite", "int8", data=x, verbose=0)
    assert report.agreement.sqnr_db > 40
    assert report.agreement.operations["WHILE"] == report.agreement.operations["QUANTIZE"] == 1
