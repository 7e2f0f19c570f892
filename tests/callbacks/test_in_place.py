"""What is said before a model is cut in place."""

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import SlimWarning, UnsupportedLayerError

layers = keras.layers
X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
MAKE = {
    "ProgressiveGlobalPruning": lambda **options: slim.callbacks.ProgressiveGlobalPruning(
        0.5, criterion="l2", rounds=1, verbose=0, guards=slim.pruning.Guards(align=1), **options
    ),
    "StructuredLotteryTicket": lambda **options: slim.callbacks.StructuredLotteryTicket(1, 0.5, verbose=0, **options),
}


@pytest.fixture
def make():
    return MAKE["ProgressiveGlobalPruning"]


def base_and_model():
    base = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu", name="deep")], name="base")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(layers.Dense(8, "relu", name="top")(base(inputs))), name="whole")
    return base, model


def answers(model):
    return keras.ops.convert_to_numpy(model(X))


def fit(model, callback):
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, X[:, :2], epochs=2, verbose=0, callbacks=[callback])


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_frozen_layers_that_will_be_cut_are_named(make):
    base, model = base_and_model()
    base.trainable = False
    with pytest.warns(SlimWarning, match=r"cuts frozen layers of model 'whole'.*'base/deep'\..*ignore=\['base'\]"):
        fit(model, make())
    assert model.get_layer("base").layers[0].units < 8
    base.trainable = True
    assert len(model.trainable_weights) == 6


def test_what_is_ignored_is_left_whole_without_a_word(make):
    base, model = base_and_model()
    base.trainable = False
    before = base.get_weights()
    fit(model, make(ignore=["base"]))
    assert model.get_layer("top").units < 8
    for old, new in zip(before, model.get_layer("base").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_other_models_that_cannot_follow_are_named(make):
    _, model = base_and_model()
    serving = keras.Model(model.input, model.output * 2.0, name="follows")
    compiled = keras.Model(model.input, model.output, name="compiled")
    compiled.compile("sgd", "mse")
    deeper = keras.Model(model.input, layers.Dense(1)(model.get_layer("top").output), name="deeper")
    with pytest.warns(SlimWarning, match="Other models hold layers of model 'whole'.*: '[a-z]*', '[a-z]*'\\.") as told:
        fit(model, make())
    (said,) = (str(each.message) for each in told if issubclass(each.category, SlimWarning))
    assert all(f"'{each.name}'" in said for each in (compiled, deeper))
    np.testing.assert_allclose(answers(serving), 2 * answers(model), rtol=1e-6)


def test_other_models_that_nobody_holds_need_no_word(make):
    _, model = base_and_model()
    keras.Model(model.input, layers.Dense(1)(model.get_layer("top").output))
    fit(model, make())


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    """Functional by inheritance, with a constructor of its own."""

    def __init__(self, width=8, **options):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(2)(layers.Dense(width, "relu", name="hidden")(inputs)), **options)
        self.width = width


@keras.saving.register_keras_serializable("tests")
class OwnConfig(Own):
    def get_config(self):
        return {"width": self.width}


@keras.saving.register_keras_serializable("tests")
class LikeKeras(keras.Model):
    """Functional by inheritance, made as Keras makes it, which its file does say."""


@pytest.mark.parametrize("kind", [Own, OwnConfig])
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_config_without_layers_is_refused_before_training(make, kind):
    model = kind()
    before = model.get_weights()
    with pytest.raises(
        UnsupportedLayerError, match=rf"`{kind.__name__}`.*`keras\.Model\(model\.input, model\.output\)"
    ):
        fit(model, make())
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("kind", [keras.Model, LikeKeras])
def test_the_way_out_and_a_class_with_layers_in_its_config_load_again(make, kind, tmp_path):
    original = OwnConfig()
    model = kind(original.input, original.output)
    fit(model, make())
    assert model.layers[1].units < 8
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    np.testing.assert_allclose(answers(again), answers(model), rtol=1e-6)
    np.testing.assert_allclose(answers(original), answers(model), rtol=1e-6)


def test_zeros_that_training_will_fill_are_told(make):
    _, model = base_and_model()
    for kernel in slim.sparsity.kernels(model).values():
        kernel.assign(np.where(np.arange(np.prod(kernel.shape)).reshape(kernel.shape) % 4, 0, kernel.numpy()))
    with pytest.warns(SlimWarning, match="75% of the weights of model 'whole' are zero, and nothing holds them"):
        fit(model, make())
