"""Several models in one file: each proved, each called by its name, weights stored once."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.cli import main
from keras_slim.errors import ExportError
from keras_slim.export import export_signatures, snippet_tflite, write_c_array
from keras_slim.layers import AdderDense

rng = np.random.default_rng(0)
data = {"encode": rng.normal(size=(16, 6)).astype("float32"), "decode": rng.normal(size=(16, 3)).astype("float32")}


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(0)
    picture, code = keras.Input((6,), name="picture"), keras.Input((3,), name="code")
    hidden = layers.Dense(200, activation="relu")(picture)
    whole = layers.Dense(40, activation="relu", name="hidden")(hidden)
    return {
        "encode": keras.Model(picture, layers.Dense(3)(whole)),
        "decode": keras.Model(code, layers.Dense(6)(code)),
        "classify": keras.Model(picture, layers.Dense(4, name="scores")(whole)),
    }


@pytest.fixture(scope="module")
def samples(models):
    return data | {"classify": data["encode"]}


@pytest.fixture(scope="module")
def files(models, samples, tmp_path_factory):
    """Paths and reports by precision."""
    folder = tmp_path_factory.mktemp("several")
    return {
        quantize: (
            folder / f"{quantize}.tflite",
            export_signatures(models, folder / f"{quantize}.tflite", quantize, samples, verbose=0),
        )
        for quantize in (None, "int8")
    }


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_each_is_proved_and_found_by_its_name(quantize, models, samples, files):
    path, reports = files[quantize]
    assert list(reports) == list(models)
    for name, report in reports.items():
        assert report.agreement.sqnr_db > (100 if quantize is None else 25)
        assert report.bytes == path.stat().st_size
        assert [tensor.name for tensor in report.inputs] == [models[name].inputs[0].name]
        assert report.outputs[0].shape == (1, *models[name].output_shape[1:])
        assert report.float_islands == ()
        agreement = slim.verify_tflite(models[name], path, samples[name], signature=name)
        assert agreement.sqnr_db == pytest.approx(report.agreement.sqnr_db)
        assert "not known where a file has several signatures" in str(agreement)


def test_shared_weights_are_stored_once(models, files):
    body = 4 * 200 * 40
    weights = 4 * sum(model.count_params() for model in models.values())
    assert files[None][0].stat().st_size < weights - body / 2


def test_another_signature_is_another_model(models, samples, files):
    path, _ = files[None]
    with pytest.raises(ExportError, match="The output 'output_0' has the shape"):
        slim.verify_tflite(models["encode"], path, samples["encode"], signature="classify")


def test_several_want_a_name(models, samples, files):
    path, _ = files[None]
    with pytest.raises(ValueError, match="has several signatures.*'classify', 'decode', 'encode'"):
        slim.verify_tflite(models["encode"], path, samples["encode"])
    with pytest.raises(ValueError, match="Did you mean 'encode'"):
        slim.benchmark_tflite(path, signature="encod")
    with pytest.raises(ValueError, match="several signatures.*one signature alone"):
        snippet_tflite(path, "kotlin")
    with pytest.raises(ValueError, match="several signatures.*`write_c_array`.*one signature alone"):
        write_c_array(path, path.parent)


def test_one_may_be_named_too(exported, classifier, pictures):
    agreement = slim.verify_tflite(classifier, exported[None].path, pictures, signature="serving_default")
    assert agreement.partitions == 1


def test_each_is_evaluated_and_timed_by_itself(models, samples, files, capsys):
    path, _ = files["int8"]
    x = samples["classify"]
    y = np.asarray(models["classify"](x)).argmax(axis=1)
    found = slim.evaluate_tflite(path, (x, y), model=models["classify"], signature="classify")
    assert found.model_metrics["accuracy"] == 1
    assert found.metrics["accuracy"] == np.mean([each.file_right / each.samples for each in found.classes]) == 1
    assert main(["benchmark", str(path), "--runs", "3", "--signature", "decode"]) == 0
    assert "3 runs" in capsys.readouterr().out


def looping():
    return {"a": keras.Sequential([keras.Input((3, 2)), layers.LSTM(2)])}


def adding():
    return {"a": keras.Sequential([keras.Input((4,)), AdderDense(2)])}


@pytest.mark.parametrize(
    ("models", "options", "error", "message"),
    [
        (lambda: [], {}, TypeError, "models by name"),
        (lambda: {}, {}, TypeError, "models by name"),
        (lambda: {"a-b": None}, {}, ValueError, "letters, digits and underscores"),
        (lambda: {"a": None}, {}, TypeError, "a keras.Model"),
        (looping, {"data": {"b": 1}}, ValueError, r"samples by the names \['a'\]"),
        (looping, {"data": {"a": 1, 2: 1}}, ValueError, r"samples by the names \['a'\].*\['a', 2\]"),
        (looping, {"quantize": "int8"}, ValueError, "100 to 500 typical samples for 'a'"),
        (looping, {"quantize": "int8", "data": {"a": np.zeros((4, 3, 2))}}, ExportError, "holds a loop"),
        (adding, {"quantize": "int8"}, ValueError, "has adder layers"),
        (looping, {"quantize": "int4"}, ValueError, "`quantize` of `export_signatures`"),
    ],
)
def test_what_cannot_be_is_told(models, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        export_signatures(models(), tmp_path / "a.tflite", verbose=0, **options)
    assert not list(tmp_path.iterdir())


def test_a_lie_leaves_no_file(models, samples, tmp_path):
    models, samples = ({"decode": each["decode"]} for each in (models, samples))
    with pytest.raises(ExportError, match="does not answer like the model"):
        export_signatures(models, tmp_path / "a.tflite", "int8", samples, tolerance=140, verbose=0)
    assert not list(tmp_path.iterdir())


def test_adder_layers_and_searches_in_floats(tmp_path):
    inputs = keras.Input((4,))
    best = keras.Model(inputs, keras.ops.argmax(AdderDense(3)(inputs), axis=-1))
    x = rng.normal(size=(8, 4)).astype("float32")
    (report,) = export_signatures({"best": best}, tmp_path / "a.tflite", data={"best": x}).values()
    assert report.agreement.sqnr_db > 100
    assert slim.verify_tflite(best, tmp_path / "a.tflite", x, signature="best").same_class == 1
