import gzip
import os
import shutil
import stat
from collections import OrderedDict

import keras
import numpy as np
import pytest

from keras_slim.errors import ExportError, SlimWarning
from keras_slim.export import checked_conversion, export_tflite, exporting
from keras_slim.export.tflite_file import TfliteFile


def dense_model(width=3, **arguments):
    inputs = keras.Input((4,), **arguments)
    return keras.Model(inputs, keras.layers.Dense(width)(inputs))


@pytest.mark.onednn
@pytest.mark.parametrize(("quantize", "least_db"), [(None, 100), ("float16", 50), ("dynamic", 30), ("int8", 20)])
def test_file_answers_like_keras(exported, quantize, least_db):
    assert exported[quantize].agreement.sqnr_db > least_db
    assert exported[quantize].agreement.samples == 24


def test_file_holds_what_was_asked_for(exported):
    assert {quantize: report.agreement.quantize for quantize, report in exported.items()} == {
        quantize: quantize for quantize in exported
    }


def test_batch_norm_and_relu_are_folded_and_one_partition_is_left(exported):
    agreement = exported[None].agreement
    assert agreement.operations == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}
    assert agreement.partitions == 1


def test_report_gives_the_true_sizes(exported):
    for report in exported.values():
        with open(report.path, "rb") as file:
            content = file.read()
        assert report.bytes == len(content)
        assert report.gzip_bytes == len(gzip.compress(content, mtime=0))


def test_smaller_types_make_smaller_files(exported):
    kernels = 3 * 3 * 2 * 8 + 6 * 6 * 8 * 5
    assert exported[None].bytes > 4 * kernels
    assert exported[None].bytes - exported["float16"].bytes > kernels


def test_same_model_and_samples_make_the_same_file(classifier, pictures, exported, tmp_path):
    again = export_tflite(classifier, tmp_path / "again.tflite", "int8", pictures, verbose=0)
    with open(again.path, "rb") as second, open(exported["int8"].path, "rb") as first:
        assert second.read() == first.read()


def test_the_file_is_that_of_the_exporter_of_keras(classifier, pictures, exported, tmp_path):
    import tensorflow as tf

    path = tmp_path / "keras.tflite"
    signature = [tf.TensorSpec((1, *classifier.input_shape[1:]), name="pictures")]
    how = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
    }
    classifier.export(path, format="litert", verbose=False, input_signature=signature, **how)
    ours, theirs = TfliteFile(exported["dynamic"].path), TfliteFile(path)
    assert ours.operations == theirs.operations
    assert [*ours.inputs, *ours.outputs] == [*theirs.inputs, *theirs.outputs]
    assert ours.size == pytest.approx(theirs.size, abs=100)  # names of layers have the number of the call in them
    for picture in pictures:
        answers = [file.answer({"pictures": picture[None]})["output_0"] for file in (ours, theirs)]
        np.testing.assert_array_equal(*answers)


def test_a_table_is_held_beside_the_variables_of_a_model(tmp_path):
    words = keras.Input((4,), dtype="int32")
    model = keras.Model(words, keras.layers.Embedding(5, 3)(keras.layers.IntegerLookup(vocabulary=[3, 5])(words)))
    with pytest.raises(ExportError, match=r"no built-in operation for HashTableV2"):  # and not: cannot be saved
        export_tflite(model, tmp_path / "model.tflite", verbose=0)


def test_int8_without_data_is_refused(classifier, tmp_path):
    with pytest.raises(ValueError, match=r"`data` of `export_tflite`.*quantize='int8'.*data=x_train"):
        export_tflite(classifier, tmp_path / "model.tflite", "int8")


def test_unknown_quantize_names_the_nearest(classifier, tmp_path):
    with pytest.raises(ValueError, match="Did you mean 'float16'"):
        export_tflite(classifier, tmp_path / "model.tflite", "float61")


def test_tolerance_must_be_a_number(classifier, tmp_path):
    with pytest.raises(TypeError, match="`tolerance` of `export_tflite`"):
        export_tflite(classifier, tmp_path / "model.tflite", tolerance="strict")


def test_folder_must_exist(classifier, tmp_path):
    with pytest.raises(ValueError, match="Create it first"):
        export_tflite(classifier, tmp_path / "missing" / "model.tflite")


@pytest.fixture
def converted(exported, monkeypatch):
    """Lets a conversion come to the classifier's file, at once: its end is what matters."""
    monkeypatch.setattr(
        checked_conversion, "convert", lambda _, path, *__, **___: shutil.copyfile(exported[None].path, path)
    )


@pytest.mark.usefixtures("converted")
def test_lying_conversion_is_caught_and_leaves_nothing_behind(stranger, tmp_path):
    with pytest.raises(ExportError, match="does not answer like the model"):
        export_tflite(stranger, tmp_path / "model.tflite", verbose=0)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("converted")
def test_failure_leaves_an_existing_file_alone(classifier, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"precious")
    with pytest.raises(ExportError, match="at least 1000 dB"):
        export_tflite(classifier, path, tolerance=1000, verbose=0)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_success_replaces_an_existing_file_and_leaves_nothing_else(tmp_path, capfd):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    report = export_tflite(dense_model(), path, verbose=0)
    assert os.path.getsize(path) == report.bytes > 3
    assert os.listdir(tmp_path) == ["model.tflite"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o666 & ~_umask()
    assert capfd.readouterr() == ("", "")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.usefixtures("converted")
def test_nothing_is_printed_that_the_report_says(classifier, tmp_path, capfd):
    export_tflite(classifier, tmp_path / "model.tflite")
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("converted")
def test_too_small_a_file_is_refused(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(checked_conversion, "_BYTES_PER_WEIGHT", {None: 400})
    with pytest.raises(ExportError, match="the weights alone need 633,600"):
        export_tflite(classifier, tmp_path / "model.tflite", verbose=0)
    assert os.listdir(tmp_path) == []


def test_fixed_batch_size_of_keras_becomes_one(tmp_path):
    report = export_tflite(dense_model(batch_size=8), tmp_path / "model.tflite", verbose=0)
    assert report.agreement.sqnr_db > 100


def test_recurrent_layer_needs_built_in_operations_only(tmp_path):
    inputs = keras.Input((5, 3), batch_size=1)
    model = keras.Model(inputs, keras.layers.Bidirectional(keras.layers.LSTM(2))(inputs))
    with pytest.warns(SlimWarning, match="partitions instead of one"):
        report = export_tflite(model, tmp_path / "model.tflite", verbose=0)
    assert report.agreement.sqnr_db > 100
    assert "WHILE" in report.agreement.operations
    assert not any(name.startswith("custom") for name in report.agreement.operations)


def test_int8_of_a_loop_is_refused_before_the_converter_crashes(tmp_path):
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(2)])
    with pytest.raises(ExportError, match="slim.calibrate.*the loop alone stays in floats there.*unroll=True"):
        export_tflite(model, tmp_path / "model.tflite", "int8", np.zeros((2, 5, 3)))
    assert os.listdir(tmp_path) == []


def test_mixed_precision_is_exported_in_float32_and_the_model_left_alone(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, dtype="mixed_float16"),
            keras.layers.Flatten(dtype="mixed_float16"),
            keras.layers.Dense(3, dtype="mixed_float16"),
        ]
    )
    before = [weight.copy() for weight in model.get_weights()]
    report = export_tflite(model, tmp_path / "model.tflite", verbose=0)
    assert 40 < report.agreement.sqnr_db < 100  # the model itself rounds to eleven bits, the file does not
    assert "accepted" in report.agreement.verdict
    assert report.agreement.operations == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}
    assert [layer.dtype_policy.name for layer in model.layers] == ["mixed_float16"] * 3
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_state_kept_between_calls_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2, 3), batch_size=1), keras.layers.GRU(2, stateful=True)])
    with pytest.raises(ExportError, match="stateful=False"):
        export_tflite(model, tmp_path / "model.tflite", verbose=0)
    assert os.listdir(tmp_path) == []


def test_unsupported_operation_is_named_and_leaves_nothing_behind(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Lambda(keras.ops.erfinv, name="probit")(inputs))
    with pytest.raises(ExportError, match=r"no built-in operation for Erfinv \(in .*probit"):
        export_tflite(model, tmp_path / "model.tflite", verbose=0)
    assert os.listdir(tmp_path) == []


def test_several_inputs_and_outputs_are_matched_by_name(tmp_path):
    last, first = keras.Input((4,), name="z last"), keras.Input((4,), name="a-first")
    total = keras.layers.Add()([keras.layers.Dense(4)(last), first])
    model = keras.Model([last, first], [total, keras.layers.Dense(4)(first)])
    random = np.random.default_rng(0)
    data = [random.uniform(0, 1, (20, 4)), random.uniform(-9, 0, (20, 4))]
    report = export_tflite(model, tmp_path / "model.tflite", "int8", data, verbose=0)
    assert [output.name for output in report.agreement.outputs] == ["output_0", "output_1"]
    assert report.agreement.sqnr_db > 25
    with pytest.raises(ExportError, match="does not answer like the model"):
        exporting.measure_agreement(
            model,
            exporting.TfliteFile(report.path),
            exporting.read_signature(model, "test"),
            {"z_last": data[0].astype("float32"), "a_first": -data[1].astype("float32")},
        ).check(20)


@pytest.mark.parametrize("made", [dict, OrderedDict])
def test_dictionaries_of_inputs_and_outputs(made, tmp_path):
    inputs = made(size=keras.Input((2,), name="size"), kind=keras.Input((3,), dtype="int32", name="kind"))
    table = keras.layers.Flatten()(keras.layers.Embedding(2, 2)(inputs["kind"]))
    outputs = made(worth=keras.layers.Dense(2)(inputs["size"]), age=keras.layers.Dense(2)(table))
    report = export_tflite(keras.Model(inputs, outputs), tmp_path / "model.tflite", verbose=0)
    assert {output.name for output in report.agreement.outputs} == {"age", "worth"}
    assert report.random_samples


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs["left"]) + inputs["right"]


def test_subclassed_model_that_was_called(tmp_path):
    model = Subclassed()
    model({"left": np.zeros((1, 4)), "right": np.zeros((1, 3))})
    report = export_tflite(model, tmp_path / "model.tflite", verbose=0)
    assert report.agreement.sqnr_db > 100


def test_free_dimensions_take_the_size_of_the_data(tmp_path):
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    with pytest.raises(ValueError, match="Give `data`, whose shape is taken"):
        export_tflite(model, tmp_path / "model.tflite", verbose=0)
    data = np.random.default_rng(0).random((3, 7, 5, 1))
    report = export_tflite(model, tmp_path / "model.tflite", data=data, verbose=0)
    assert exporting.TfliteFile(report.path).inputs["input"]["shape"].tolist() == [1, 7, 5, 1]


def test_outputs_within_others_are_numbered(tmp_path):
    inputs = keras.Input((3,))
    first, second, third = (keras.layers.Dense(units)(inputs) for units in (1, 2, 4))
    model = keras.Model(inputs, {"z": first, "a": [second, {"b": third}]})
    report = export_tflite(model, tmp_path / "model.tflite", verbose=0)
    shapes = {tensor.name: tensor.shape for tensor in report.outputs}
    assert shapes == {"output_0": (1, 2), "output_1": (1, 4), "output_2": (1, 1)}


def test_whole_numbers_are_counted_as_they_are(tmp_path):
    """Float32 has not all of those above 2**24."""
    number, other = keras.Input((3,), dtype="int32"), keras.Input((2,))
    model = keras.Model([number, other], {"number": number + 123_456_789, "real": keras.layers.Dense(2)(other)})
    report = export_tflite(model, tmp_path / "model.tflite", verbose=0)
    output = report.agreement.outputs[0]
    assert (output.name, output.same_class, output.max_abs_error) == ("number", 1, 0)


class Tokens(keras.Model):
    """Averages what words mean."""

    def __init__(self):
        super().__init__()
        self.embedding, self.dense = keras.layers.Embedding(20, 4), keras.layers.Dense(2)

    def call(self, tokens):
        return self.dense(keras.ops.mean(self.embedding(tokens), axis=1))


def embedding_tokens():
    return keras.Sequential([keras.layers.Embedding(20, 4), keras.layers.Flatten(), keras.layers.Dense(2)])


@pytest.mark.parametrize("made", [Tokens, embedding_tokens])
def test_tokens_that_int8_would_round_are_refused_and_whole_ones_are_not(made, tmp_path):
    model, tokens = made(), np.random.default_rng(0).integers(0, 20, (64, 6)).astype("int32")
    model(tokens)
    path = tmp_path / "model.tflite"
    with pytest.raises(ValueError, match=r"`model` of `export_tflite`.*tokens.*dtype='int32'"):
        export_tflite(model, path, "int8", tokens, verbose=0)
    inputs = keras.Input((6,), dtype="int32")
    report = export_tflite(keras.Model(inputs, model(inputs)), path, "int8", tokens, verbose=0)
    assert [tensor.dtype for tensor in report.inputs] == ["int32"]
