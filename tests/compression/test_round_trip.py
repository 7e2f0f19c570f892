"""The law of the room: what is loaded equals what was saved, bit for bit, weights and outputs."""

import os
import pathlib

import keras
import model_zoo
import numpy as np
import pytest
import zoo
from keras import layers

from keras_slim.compression import inspect_compressed, load_compressed, save_compressed, saving
from keras_slim.errors import UnsupportedLayerError
from keras_slim.layers import AdderDense


def assert_same_weights(model, same):
    for old, new in zip(model.weights, same.weights, strict=True):
        old, new = (keras.ops.convert_to_numpy(weight) for weight in (old, new))
        assert (new.dtype, new.shape, new.tobytes()) == (old.dtype, old.shape, old.tobytes())


def outputs_of(model, x):
    return keras.tree.flatten(keras.tree.map_structure(keras.ops.convert_to_numpy, model(x)))


def check(model, folder, x=None, custom_objects=None, **options):
    """Checks that a model comes back; returns it, and the report."""
    report = save_compressed(model, folder / "model.slim.h5", **options)
    assert report.file_bytes == os.path.getsize(folder / "model.slim.h5")
    same = load_compressed(folder / "model.slim.h5", custom_objects)
    assert_same_weights(model, same)
    for layer in (*model.layers, *same.layers):
        if getattr(layer, "stateful", False):
            layer.reset_states()
    x = model_zoo.inputs_for(model) if x is None else x
    for old, new in zip(outputs_of(model, x), outputs_of(same, x), strict=True):
        assert old.tobytes() == new.tobytes()
    assert not same.compiled
    return same, report


def filled(model, fill):
    """Returns a model with its matrices filled by a function of their shapes."""
    for weight in model.weights:
        if len(weight.shape) > 1:
            weight.assign(fill(tuple(weight.shape)))
    return model


@pytest.mark.parametrize("build", zoo.BUILDERS, ids=lambda build: build.__name__)
def test_every_model_of_the_zoo(build, tmp_path, uncompiled_adder_layers):
    """One matrix in four has any values, the others have two: whose they are is nothing to what codes them."""
    model = model_zoo.randomise(build())
    for place, weight in enumerate(each for each in model.weights if len(each.shape) > 1):
        if place % 4:
            weight.assign(np.where(np.random.default_rng(0).random(weight.shape) < 0.2, 0.5, 0))
    check(model, tmp_path)


def test_a_model_without_weights(tmp_path):
    check(keras.Sequential([keras.Input((3,)), layers.Flatten()]), tmp_path)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, np.nan])
def test_constant_kernels(value, tmp_path):
    model = keras.Sequential([keras.Input((30,)), layers.Dense(20)])
    _, report = check(filled(model, lambda shape: np.full(shape, value)), tmp_path)
    assert report.layers[0].bits == 0


@pytest.mark.parametrize("bits", range(1, 9))
def test_codebooks_of_1_to_8_bits(bits, tmp_path):
    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((60,)), layers.Dense(90)])
    book = rng.normal(size=2**bits)
    filled(model, lambda shape: np.where(rng.random(shape) < 0.4, rng.choice(book, shape), 0))
    _, report = check(model, tmp_path)
    assert report.layers[0].bits == bits


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies(policy, tmp_path):
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, dtype=policy), layers.LayerNormalization(dtype=policy), layers.Dense(2)]
    )
    check(model, tmp_path)


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantized_layers(mode, tmp_path):
    model = keras.Sequential([keras.Input((16,)), layers.Dense(8), layers.Dense(2)])
    for layer in model.layers:
        layer.quantize(mode)
    check(model, tmp_path)


def test_vocabularies(tmp_path):
    words = layers.StringLookup(output_mode="multi_hot")
    words.adapt(["one", "two", "übrige"])
    inputs = keras.Input((4,), dtype="string")
    model = keras.Model(inputs, layers.Dense(2)(words(inputs)))
    x = keras.ops.convert_to_tensor(np.array([["one", "two", "three", "übrige"]]))
    _, report = check(model, tmp_path, x)
    assert report.asset_bytes > 0


def test_an_adapted_normalization(tmp_path):
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(size=(50, 4)))
    check(keras.Sequential([keras.Input((4,)), normalization, layers.Dense(2)]), tmp_path)


class Scaled(layers.Layer):
    """A layer that stores its variables in its own way."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="random_normal")

    def call(self, x):
        return x * self.factor

    def save_own_variables(self, store):
        store["one/factor"] = keras.ops.convert_to_numpy(self.factor)

    def load_own_variables(self, store):
        self.factor.assign(store["one/factor"])


def test_custom_layers(tmp_path):
    model = keras.Sequential([keras.Input((4,)), Scaled(), AdderDense(3)])
    check(model, tmp_path, custom_objects={"Scaled": Scaled})


def test_a_subclassed_model(tmp_path):
    @keras.saving.register_keras_serializable("test_round_trip")
    class Twice(keras.Model):
        def __init__(self, units, **options):
            super().__init__(**options)
            self.units = units
            self.blocks = [[layers.Dense(units)], {"last": layers.Dense(units)}]

        def call(self, x):
            return self.blocks[1]["last"](self.blocks[0][0](x))

        def get_config(self):
            return super().get_config() | {"units": self.units}

    model = Twice(5)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    model(x)
    check(model, tmp_path, x)


def test_what_training_needs_is_left_out(tmp_path):
    model = keras.Sequential([keras.Input((40,)), layers.Dense(30)])
    _, report = check(model, tmp_path)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.zeros((4, 40)), np.zeros((4, 30)), verbose=0)
    save_compressed(model, tmp_path / "trained.slim.h5")
    same = load_compressed(tmp_path / "trained.slim.h5")
    assert not same.compiled
    assert abs(os.path.getsize(tmp_path / "trained.slim.h5") - report.file_bytes) < 100
    same.compile("adam", "mse")
    same.fit(np.zeros((4, 40)), np.zeros((4, 30)), verbose=0)


@pytest.mark.parametrize(
    "optimizer",
    [lambda: "adam", lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(use_ema=True))],
    ids=["adam", "wrapped"],
)
def test_what_training_needs_of_models_inside_is_left_out(optimizer, tmp_path):
    """As after transfer learning: the model inside was trained by itself."""
    base = keras.Sequential([keras.Input((40,)), layers.Dense(30)], name="base")
    model = keras.Sequential([keras.Input((40,)), base, layers.Dense(2)])
    _, untrained = check(model, tmp_path)
    base.compile(optimizer(), "mse", metrics=["mae"])
    base.fit(np.zeros((4, 40)), np.zeros((4, 30)), verbose=0)
    same, report = check(model, tmp_path)
    assert [layer.name for layer in report.layers] == [layer.name for layer in untrained.layers]
    assert abs(report.file_bytes - untrained.file_bytes) < 200  # other weights
    assert not same.layers[0].compiled


def test_layers_that_are_called_optimizer_are_kept(tmp_path):
    @keras.saving.register_keras_serializable("test_round_trip")
    class Learned(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.optimizer = layers.Dense(3)

        def build(self, shape):
            self.optimizer.build(shape)

        def call(self, x):
            return self.optimizer(x)

    model = keras.Sequential([keras.Input((4,)), Learned(), layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)
    check(model, tmp_path)


def test_float16_rounds_what_is_neither_shared_nor_sparse(tmp_path, model):
    exact = save_compressed(model, tmp_path / "exact.slim.h5")
    report = save_compressed(model, tmp_path / "half.slim.h5", float16=True)
    assert report.file_bytes < exact.file_bytes - 80
    same = load_compressed(tmp_path / "half.slim.h5")
    sparse = {model.layers[0].kernel.path, model.layers[3].kernel.path}
    for old, new in zip(model.weights, same.weights, strict=True):
        values = old.numpy() if old.path in sparse else old.numpy().astype("float16").astype("float32")
        np.testing.assert_array_equal(new.numpy(), values, strict=True)


def test_float16_leaves_what_it_cannot_hold(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.layers[0].kernel.assign([[1e5, 2.001], [3, 4], [np.inf, np.nan]])
    check(model, tmp_path, float16=True)


def test_a_file_is_replaced_whole_or_left_alone(tmp_path, model, monkeypatch):
    path = tmp_path / "model.slim.h5"
    save_compressed(model, path)
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(saving, "write_sealed", fail)
    with pytest.raises(OSError, match="disk full"):
        save_compressed(model, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.slim.h5"]


def test_the_same_model_gives_the_same_file(tmp_path, model, content):
    save_compressed(model, tmp_path / "again.slim.h5")
    assert (tmp_path / "again.slim.h5").read_bytes() == content


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(TypeError, match="`model` of `save_compressed`.*a Keras model"):
        save_compressed(layers.Dense(2), tmp_path / "model.slim.h5")


def test_a_folder_must_exist(tmp_path, model):
    with pytest.raises(ValueError, match="`path` of `save_compressed`.*Create it first"):
        save_compressed(model, tmp_path / "none" / "model.slim.h5")


def test_layers_that_save_no_numbers_are_named(tmp_path):
    class Wordy(layers.Layer):
        def save_own_variables(self, store):
            store._h5_entry_group["words"] = ["one", "three"]

        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((3,)), Wordy(name="wordy")])
    with pytest.raises(UnsupportedLayerError, match="wordy .words: .*numbers"):
        save_compressed(model, tmp_path / "model.slim.h5")
    assert os.listdir(tmp_path) == []


def test_a_bar_counts_all_weights_and_silence_is_the_default(model, tmp_path, capsys):
    path = tmp_path / "model.slim.h5"
    number = model.count_params()
    for run in (
        lambda **options: save_compressed(model, path, **options),
        lambda **options: load_compressed(path, **options),
        lambda **options: inspect_compressed(path, **options),
    ):
        run()
        assert capsys.readouterr().out == ""
        run(verbose=1)
        assert f"{number}/{number}" in capsys.readouterr().out


def test_a_file_of_the_first_version_is_read():
    """Written before blocks of weights could share vectors."""
    model = load_compressed(pathlib.Path(__file__).with_name("version_1.slim.h5"))
    hidden, head = model.layers
    np.testing.assert_array_equal(hidden.kernel, np.arange(24).reshape(6, 4) % 3 * np.float32(0.5))
    np.testing.assert_array_equal(head.kernel, (np.arange(8).reshape(4, 2) / 7).astype("float32"))
    assert head.bias.numpy().tolist() == [-1, 2]
