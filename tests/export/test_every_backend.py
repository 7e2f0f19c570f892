"""Files from every backend; `tox -e jax` and `tox -e torch`, where another process converts, run this file too."""

import importlib
import os

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import ExportError
from keras_slim.export import on_tensorflow
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.pruning import FileLatency, Guards

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
elsewhere = pytest.mark.skipif(ON_TENSORFLOW, reason="TensorFlow converts in the same process")
untrained = pytest.mark.filterwarnings("ignore:.*(same class as Keras|hardly differ):keras_slim.errors.SlimWarning")


def run_on_tensorflow(code):
    """Runs code where Keras runs on TensorFlow."""
    exec(code) if ON_TENSORFLOW else on_tensorflow.process.call(exec, code)


def tensorflows_own(model, folder, quantize=None):
    """Returns the path of the file that TensorFlow exports of the same model, which it loads."""
    model.save(folder / "saved.keras")
    source, path = str(folder / "saved.keras"), str(folder / "own.tflite")
    code = f"import keras, keras_slim; model = keras.saving.load_model({source!r}, compile=False)"
    run_on_tensorflow(f"{code}; keras_slim.export_tflite(model, {path!r}, {quantize!r}, verbose=0)")
    return path


def answers_of(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def error_of(path, model, x):
    """Returns the error of a file's answers as a share of the model's own answers on this backend."""
    file, expected = TfliteFile(path), answers_of(model, x)
    (name,) = file.inputs
    received = [file.answer({name: x[index : index + 1]})["output_0"] for index in range(len(x))]
    return np.linalg.norm(np.concatenate(received) - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    normalization = layers.BatchNormalization()
    x = layers.Conv2D(24, 3, strides=2)(layers.ReLU()(normalization(x)))
    x = layers.Dense(64, activation="relu")(layers.Flatten()(x))
    model = keras.Model(inputs, layers.Dense(5)(x), name="network")
    rng = np.random.default_rng(0)
    normalization.set_weights([rng.uniform(0.5, 2, 16) for _ in range(4)])

    def own_loss(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred))

    model.compile("adam", own_loss)
    return model


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).normal(size=(40, 8, 8, 3)).astype("float32")


@pytest.mark.parametrize(("quantize", "most"), [(None, 1e-5), ("dynamic", 0.02)])
def test_the_file_is_that_of_tensorflow_and_answers_like_the_model(network, x, quantize, most, tmp_path):
    report = slim.export_tflite(network, tmp_path / "a.tflite", quantize, x, verbose=0)
    assert error_of(report.path, network, x) < most
    assert report.bytes == os.path.getsize(report.path) == os.path.getsize(tensorflows_own(network, tmp_path, quantize))
    assert report.parameters == network.count_params()
    assert report.agreement.samples == 40
    assert report.agreement.sqnr_db > -20 * np.log10(most)
    assert sorted(os.listdir(tmp_path)) == ["a.tflite", "own.tflite", "saved.keras"]


def test_int8_takes_its_ranges_from_data(network, x, tmp_path):
    report = slim.export_tflite(network, tmp_path / "a.tflite", "int8", 3 * x, verbose=0)
    assert report.inputs[0].scale == pytest.approx((3 * x.max() - 3 * x.min()) / 255, rel=1e-3)
    assert error_of(report.path, network, 3 * x) < 0.05
    assert report.float_islands == ()


def test_a_cut_by_bytes_weighs_what_the_plan_says(network, tmp_path):
    plan = slim.plan_pruning(network, 0.5, of="bytes", guards=Guards(align=1), verbose=0)
    small = slim.shrink(network, plan)
    assert os.path.getsize(tensorflows_own(small, tmp_path)) == plan.after.bytes
    assert 0.9 * plan.before.bytes / 2 <= plan.after.bytes <= plan.before.bytes / 2


def test_the_file_is_timed(network):
    milliseconds, latency = FileLatency().meter(network)
    assert milliseconds > 0
    assert latency(network) > 0


def test_weights_of_several_models_are_stored_once(tmp_path):
    inputs = keras.Input((64,))
    body = layers.Dense(200)(layers.Dense(200)(inputs))
    models = {"a": keras.Model(inputs, layers.Dense(2)(body)), "b": keras.Model(inputs, layers.Dense(3)(body))}
    reports = slim.export.export_signatures(models, tmp_path / "both.tflite", verbose=0)
    assert min(report.agreement.sqnr_db for report in reports.values()) > 100
    assert os.path.getsize(tmp_path / "both.tflite") < 1.5 * 4 * models["a"].count_params()


@untrained
def test_half_precision_is_converted_as_float32(tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(16, "tanh", dtype="mixed_bfloat16"), layers.Dense(3)])
    report = slim.export_tflite(model, tmp_path / "a.tflite", verbose=0)
    assert 30 < report.agreement.sqnr_db < 100
    assert report.agreement.half_precision
    assert report.agreement.quantize is None


@untrained
def test_learned_ranges_are_taken(x, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(4)])
    small = slim.calibrate(slim.quantize(model, "int", "int", skip=()), x)
    report = slim.export_tflite(small, tmp_path / "a.tflite", "int8", x, verbose=0)
    assert report.inputs[0].dtype == "int8"
    assert report.agreement.sqnr_db > 40


def test_what_does_not_convert_is_told_and_leaves_no_file(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, ops.erfinv(ops.tanh(layers.Dense(3)(inputs))))
    (tmp_path / "a.tflite").write_bytes(b"as it was")
    for quantize in (None, "dynamic"):
        with pytest.raises(ExportError, match="LiteRT has no built-in operation for Erfinv"):
            slim.export_tflite(model, tmp_path / "a.tflite", quantize, verbose=0)
    assert os.listdir(tmp_path) == ["a.tflite"]
    assert (tmp_path / "a.tflite").read_bytes() == b"as it was"


OWN = """
import keras

@keras.saving.register_keras_serializable("own")
class Scaled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

class Raised(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 1

class Fickle(keras.layers.Layer):
    def call(self, inputs):
        return inputs if keras.backend.backend() == "tensorflow" else keras.ops.flip(inputs, axis=-1)

class Demanding(keras.layers.Layer):
    def __init__(self):
        super().__init__(name="demanding")

    def call(self, inputs):
        return keras.ops.relu(inputs)

class Unreadable(Demanding):
    def call(self, inputs):
        return inputs if keras.ops.convert_to_numpy(inputs).size else -inputs

    def compute_output_shape(self, shape):
        return shape

def squared(x):
    return x * x

def build(*layers):
    inputs = x = keras.Input((4,))
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation=squared)(x))
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A module of the user's own, in a file."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "own_layers.py").write_text(OWN, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module("own_layers")


@untrained
def test_layers_of_ones_own_are_imported_from_their_module(own, tmp_path):
    model = own.build(own.Scaled(), own.Raised(), own.Demanding())
    assert slim.export_tflite(model, tmp_path / "a.tflite", verbose=0).agreement.sqnr_db > 100


@elsewhere
def test_the_file_is_compared_with_what_the_model_answers_here(own, tmp_path):
    with pytest.raises(ExportError, match="does not answer like the model"):
        slim.export_tflite(own.build(own.Fickle()), tmp_path / "a.tflite", verbose=0)
    assert not (tmp_path / "a.tflite").exists()


@untrained
def test_layers_of_a_notebook_are_opened(tmp_path):
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.dense = layers.Dense(4)

        def call(self, inputs):
            return inputs + self.dense(inputs)

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def call(self, inputs):
            return 2 * self.block(inputs)

    subclassed = Subclassed()
    subclassed(np.zeros((1, 4)))
    for model in (subclassed, keras.Sequential([keras.Input((4,)), Block(), layers.Dense(2)])):
        assert slim.export_tflite(model, tmp_path / "a.tflite", verbose=0).agreement.sqnr_db > 100


@elsewhere
def test_a_layer_that_cannot_be_made_from_its_config_is_told(own, tmp_path):
    model = own.build(own.Unreadable())
    with pytest.raises(ExportError, match="cannot be loaded on TensorFlow.*unexpected keyword.*`from_config` accepts"):
        slim.export_tflite(model, tmp_path / "a.tflite", verbose=0)


@elsewhere
def test_a_function_that_no_module_defines_is_told(tmp_path):
    def local(x):
        return x * x

    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation=local)])
    with pytest.raises(ExportError, match=r"\['local'\], defined inside a function.*Move them"):
        slim.export_tflite(model, tmp_path / "a.tflite", verbose=0)
