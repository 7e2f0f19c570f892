"""Files in the runtime of microcontrollers: what it takes, how it answers, and what it does not run."""

import importlib.util
import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_slim as slim
from keras_slim.errors import ExportError, MissingExtraError
from keras_slim.export import micro_run, micro_runtime, microcontroller
from keras_slim.export.operations import FileContents, without_operations
from keras_slim.export.tflite_file import TfliteFile, quantize

runs_it = pytest.mark.skipif(
    importlib.util.find_spec("tflite_micro") is None, reason="needs `keras_slim[micro]`, Linux on x86-64"
)


@pytest.fixture
def of_one_layer(tmp_path):
    """Exports what a function makes of six steps of five numbers, and returns the path."""

    def export(function):
        inputs = keras.Input((6, 5))
        path = tmp_path / "net.tflite"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "XNNPACK runs .* partitions")
            slim.export_tflite(keras.Model(inputs, function(inputs)), path, verbose=0)
        return path

    return export


def lacking(x):
    """Ends in two operations that the runtime lacks."""
    return keras.ops.tile(layers.Dense(4, activation="gelu")(x), (1, 2, 1))


@runs_it
def test_integers_are_within_a_step_and_floats_within_rounding(exported, pictures):
    integers = slim.check_micro(exported["int8"].path, pictures)
    assert integers.steps <= 1
    assert integers.relative_error is None
    assert integers.samples == 24
    assert not integers.random_samples
    floats = slim.check_micro(exported[None].path, pictures)
    assert floats.steps is None
    assert 0 < floats.relative_error < 1e-5
    assert floats.operations == {"CONV_2D": 1, "RESHAPE": 1, "FULLY_CONNECTED": 1}


@runs_it
def test_the_arena_is_what_the_runtime_needs_to_the_byte(exported, monkeypatch):
    path = exported["int8"].path
    report = slim.check_micro(path)
    # A picture of 72 bytes and the convolution's answer of 288; the reshaped answer may or may not lie in its place.
    assert 72 + 288 <= report.activation_bytes <= 2 * (72 + 288)
    assert report.activation_bytes + report.structure_bytes <= report.arena_bytes < 4096
    file = TfliteFile(path)
    inputs = [np.zeros((1, 1, 6, 6, 2), "int8")]
    monkeypatch.setattr(micro_runtime, "_more_than_it_needs", lambda file: report.arena_bytes)
    assert micro_runtime.answer_apart(file, inputs)[1].least == report.arena_bytes
    monkeypatch.setattr(micro_runtime, "_more_than_it_needs", lambda file: report.arena_bytes - 16)
    with pytest.raises(ExportError, match="does not run the file: .*[Ff]ailed"):
        micro_runtime.answer_apart(file, inputs)


@runs_it
def test_several_inputs_come_by_name_or_in_the_order_of_the_file(tmp_path):
    left, right = keras.Input((3,), name="left"), keras.Input((2,), dtype="int32", name="right")
    outputs = {"sum": layers.Dense(2)(left) + keras.ops.cast(right, "float32"), "twice": 2 * right}
    path = tmp_path / "net.tflite"
    samples = {"left": np.ones((5, 3), "float32"), "right": np.arange(10).reshape(5, 2)}
    model = keras.Model({"left": left, "right": right}, outputs)
    with pytest.warns(slim.errors.SlimWarning, match="partitions"):
        slim.export_tflite(model, path, data=samples, verbose=0)
    report = slim.check_micro(path, samples)
    assert {output.name: output.max_abs for output in report.outputs}["twice"] == 18
    assert report.relative_error < 1e-5
    in_order = [samples[name] for name in TfliteFile(path).inputs]
    assert slim.check_micro(path, in_order).outputs == report.outputs
    with pytest.raises(ValueError, match=r"'left' of shape .*'right' of shape"):
        slim.check_micro(path, samples["left"])


@runs_it
def test_random_samples_fill_the_range_of_an_int8_file(exported):
    report = slim.check_micro(exported["int8"].path)
    assert report.samples == 16
    assert report.random_samples
    assert "random, as no data was given" in str(report)
    assert report.outputs[0].is_telling


@runs_it
def test_all_operations_that_it_lacks_are_named(of_one_layer):
    with pytest.raises(ExportError, match="lacks operations that the file needs: GELU, TILE. Replace the layers"):
        slim.check_micro(of_one_layer(lacking))


def test_a_file_without_some_operations_keeps_the_others(of_one_layer):
    content = of_one_layer(lacking).read_bytes()
    before = FileContents(content).operations()
    assert {"GELU", "TILE"} < set(before)
    after = FileContents(without_operations(content, ["GELU", "TILE"])).operations()
    assert after == {name: count for name, count in before.items() if name not in ("GELU", "TILE")}


@runs_it
def test_loops_are_refused(of_one_layer):
    with pytest.raises(ExportError, match=r"holds a loop \(WHILE\).*unroll=True"):
        slim.check_micro(of_one_layer(layers.GRU(3)))


@runs_it
def test_a_recurrent_layer_without_a_loop_runs(tmp_path):
    # Nobody is warned of XNNPACK's partitions, two here, which are a phone's business: warnings are errors.
    model = keras.Sequential([keras.Input((6, 5)), layers.GRU(3, unroll=True)])
    report = slim.export_tflite(model, tmp_path / "net.tflite", verbose=0, target="microcontroller")
    assert report.agreement.partitions == 2
    assert report.micro.relative_error < 1e-5


@runs_it
@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_other_precisions_are_refused_with_the_way_out(quantize, exported):
    with pytest.raises(ExportError, match="does not run the file: .*Export for it in float32, or with quantize='int8'"):
        slim.check_micro(exported[quantize].path)


@runs_it
def test_a_file_that_ends_its_process_is_an_error(tmp_path):
    initializer = keras.initializers.Constant(1e-9)
    head = layers.Dense(3, activation="softmax", kernel_initializer=initializer)
    model, path = keras.Sequential([keras.Input((4,)), head]), tmp_path / "net.tflite"
    with pytest.warns(slim.errors.SlimWarning, match="hardly differ from sample to sample"):
        slim.export_tflite(model, path, "int8", np.arange(32.0).reshape(8, 4), verbose=0)
    with pytest.raises(ExportError, match="does not run the file: it ended by SIGABRT, as ranges next to 0"):
        slim.check_micro(path)


@runs_it
def test_data_that_do_not_fit_and_what_is_no_file_are_refused(exported, tmp_path):
    with pytest.raises(ValueError, match=r"\(6, 6, 2\).*`data` of `check_micro`.*\(3, 6, 6, 1\)"):
        slim.check_micro(exported[None].path, np.zeros((3, 6, 6, 1)))
    with pytest.raises(FileNotFoundError):
        slim.check_micro(tmp_path / "no.tflite")


@runs_it
def test_a_file_of_several_samples_or_models_is_refused(classifier, tmp_path):
    path = tmp_path / "a.tflite"
    signature = [tf.TensorSpec((4, 6, 6, 2), name="pictures")]
    classifier.export(path, format="litert", verbose=False, input_signature=signature)
    with pytest.raises(ExportError, match="takes 4 samples at a time"):
        slim.check_micro(path)
    slim.export.export_signatures({"a": classifier, "b": classifier}, path, verbose=0)
    with pytest.raises(ValueError, match="several signatures.*`check_micro`.*one signature alone"):
        slim.check_micro(path)


@runs_it
def test_numbers_survive_json_and_stand_in_a_table(exported):
    report = slim.check_micro(exported["int8"].path)
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["arena_bytes"] == report.arena_bytes
    assert plain["steps"] == report.steps
    assert plain["outputs"][0]["name"] == "output_0"
    lines = dict(line.split(maxsplit=1) for line in str(report).splitlines())
    assert lines["flash"] == f"{exported['int8'].bytes:,} bytes for the file"
    assert lines["arena"].startswith(f"{report.arena_bytes:,} bytes, of which {report.activation_bytes:,} hold")
    assert lines["operations"] == "1 CONV_2D, 1 RESHAPE, 1 FULLY_CONNECTED"


@runs_it
def test_an_export_for_it_tells_its_arena(classifier, pictures, tmp_path):
    path = tmp_path / "net.tflite"
    report = slim.export_tflite(classifier, path, "int8", pictures, verbose=0, target="microcontroller")
    assert report.micro == slim.check_micro(path, pictures)
    assert f"{report.micro.arena_bytes:,} bytes, of which " in str(report)
    assert json.loads(json.dumps(report.to_dict()))["micro"]["arena_bytes"] == report.micro.arena_bytes


@runs_it
def test_a_file_that_it_does_not_run_is_not_left(tmp_path):
    inputs = keras.Input((6, 5))
    path = tmp_path / "net.tflite"
    with pytest.raises(ExportError, match="GELU, TILE"):
        slim.export_tflite(keras.Model(inputs, lacking(inputs)), path, verbose=0, target="microcontroller")
    assert list(tmp_path.iterdir()) == []


def test_a_phone_is_asked_nothing_of_the_kind(exported):
    assert exported["int8"].micro is None
    assert "arena" not in str(exported["int8"])
    assert exported["int8"].to_dict()["micro"] is None


@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_precisions_that_it_does_not_run_are_refused_at_once(quantize, classifier, pictures, tmp_path):
    with pytest.raises(ValueError, match=r"Expected one of None, 'int8' with target='microcontroller', whose runtime"):
        slim.export_tflite(classifier, tmp_path / "net.tflite", quantize, pictures, target="microcontroller")


def test_an_unknown_target_is_refused(classifier, tmp_path):
    with pytest.raises(ValueError, match="Expected one of None, 'phone', 'microcontroller'.*mean 'microcontroller'"):
        slim.export_tflite(classifier, tmp_path / "net.tflite", target="microcontrolers")


def test_without_the_package_the_way_to_it_is_told_at_once(exported, classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"`check_micro`.*'tflite_micro'.*pip install 'keras_slim\[micro\]'"):
        slim.check_micro(exported["int8"].path)
    with pytest.raises(MissingExtraError, match=r"`export_tflite` for microcontrollers needs"):
        slim.export_tflite(classifier, tmp_path / "net.tflite", target="microcontroller")


# What the runtime may say, said by others in its place.


@pytest.fixture
def answers(monkeypatch, exported, pictures):
    """Lets the runtime answer as LiteRT, but for some steps in one answer of many."""

    def differ_by(steps, rows):
        file = TfliteFile(exported["int8"].path)
        (taken,), (given,) = file.inputs.values(), file.outputs.values()
        outputs = []
        for picture in quantize(pictures, taken):
            file.interpreter.set_tensor(taken["index"], picture[np.newaxis])
            file.interpreter.invoke()
            outputs.append(file.interpreter.get_tensor(given["index"]).astype(int))
        stored = np.stack(outputs)
        stored[:rows] += np.where(stored[:rows] > 0, -steps, steps)
        arena = micro_runtime.Arena(3, 2, 1)
        monkeypatch.setattr(
            microcontroller, "answer_apart", lambda file, inputs: ([np.clip(stored, -128, 127).astype("int8")], arena)
        )
        return microcontroller.run_beside_litert(file, {"pictures": pictures}, "net.tflite", random_samples=False)

    return differ_by


def test_differences_are_counted_in_steps(answers):
    assert answers(0, rows=24).steps == 0
    report = answers(3, rows=1)
    assert report.steps == 3
    assert report.outputs[0].max_abs_error == pytest.approx(3 * report.outputs[0].step, rel=1e-5)
    assert "at most 3 steps of an int8 output, on 24 samples" in str(report)


def test_other_answers_are_an_error(answers):
    with pytest.raises(ExportError, match="answers otherwise on a microcontroller.*'output_0' reaches"):
        answers(60, rows=24)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "import os; os.write(2, b'oh'); os.abort()",
            "does not run the file: oh; it ended by SIGABRT, as",
        ),
        ("raise RuntimeError('gone')", "does not run the file: RuntimeError: gone"),
        ("import time; time.sleep(60)", "has not ended after 0.5 s"),
    ],
)
def test_a_process_that_dies_or_never_ends_is_an_error(script, message, exported, tmp_path, monkeypatch):
    (tmp_path / "run.py").write_text(script)
    monkeypatch.setattr(micro_run, "__file__", str(tmp_path / "run.py"))
    monkeypatch.setattr(micro_runtime, "_MOST_SECONDS", 0.5)
    with pytest.raises(ExportError, match=message):
        micro_runtime.answer_apart(TfliteFile(exported["int8"].path), [np.zeros((1, 1, 6, 6, 2), "int8")])
