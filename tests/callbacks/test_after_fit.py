"""After `fit` the model is like any other: saved, loaded, cloned, shown, exported, trained, it agrees with itself."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from batching import batches

import keras_slim as slim


@pytest.fixture(scope="module", params=["sequential", "functional"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def train(kind, build, prune, x, y):
    """Returns the function that makes a model and prunes it in `fit`."""

    def train():
        model = build(keras.optimizers.SGD(0.05, momentum=0.9), kind=kind, metrics=["mae"])
        model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune()])
        return model

    return train


@pytest.fixture(scope="module")
def shared(train):
    return train()


@pytest.fixture
def pruned(shared):
    """A model after `fit`. The tests of this file share it: a test may change its weights, and nothing else."""
    weights = shared.get_weights()
    yield shared
    shared.set_weights(weights)


def test_a_saved_model_loads_bit_for_bit(train, x, y, tmp_path):
    pruned = train()
    pruned.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(pruned)
    np.testing.assert_array_equal(loaded(x), pruned(x))
    for old, new in zip(pruned.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(new.numpy(), old.numpy())
    losses = [model.fit(batches(x, y), verbose=0).history["loss"] for model in (pruned, loaded)]
    assert losses[0] == losses[1]


def test_a_learning_rate_set_in_training_is_saved(build, prune, x, y, tmp_path):
    model = build(keras.optimizers.SGD(0.1))
    lower = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune(), lower])
    model.save(tmp_path / "model.keras")
    assert float(keras.models.load_model(tmp_path / "model.keras").optimizer.learning_rate) == pytest.approx(0.025)


def test_weights_go_to_a_file_and_back(pruned, x, tmp_path):
    expected, path = pruned(x), tmp_path / "model.weights.h5"
    pruned.save_weights(path)
    pruned.set_weights([np.zeros_like(value) for value in pruned.get_weights()])
    pruned.load_weights(path)
    np.testing.assert_array_equal(pruned(x), expected)


def test_a_clone_has_the_same_structure(pruned, x):
    clone = keras.models.clone_model(pruned)
    clone.set_weights(pruned.get_weights())
    np.testing.assert_array_equal(clone(x), pruned(x))


def test_the_config_describes_the_smaller_model(pruned, x):
    again = type(pruned).from_config(pruned.get_config())
    again.set_weights(pruned.get_weights())
    np.testing.assert_array_equal(again(x), pruned(x))
    assert keras.models.model_from_json(pruned.to_json()).count_params() == pruned.count_params()


def test_the_summary_shows_the_smaller_model(pruned):
    lines = []
    pruned.summary(print_fn=lines.append)
    shown = "\n".join(lines)
    for layer in (pruned.get_layer("first"), pruned.get_layer("second")):
        assert f"(None, {layer.units})" in shown
    trainable = sum(int(np.prod(value.shape)) for value in pruned.trainable_variables)
    assert f"Trainable params: {trainable:,}" in shown


def test_what_a_model_says_of_itself_agrees(pruned):
    first, second = pruned.get_layer("first"), pruned.get_layer("second")
    assert pruned.count_params() == sum(value.size for value in pruned.get_weights())
    assert pruned.count_params() == slim.profile(pruned).parameters
    assert first.units == first.kernel.shape[1] == second.kernel.shape[0] == first.bias.shape[0]
    assert pruned.get_layer("norm").gamma.shape == (second.units,)
    assert first.units + second.units == 16
    assert (pruned.input_shape, pruned.output_shape) == ((None, 4), (None, 2))
    assert len(pruned.optimizer.variables) == 2 + len(pruned.trainable_variables)
    assert [id(value) for value in pruned.optimizer._trainable_variables] == [
        id(value) for value in pruned.trainable_variables
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_model_answers_the_same(pruned, x, tmp_path):
    pruned.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(served.serve(x), pruned(x), atol=1e-6)


def test_a_checkpoint_of_tensorflow_holds_the_smaller_weights(pruned, x, tmp_path):
    expected = pruned(x)
    path = tf.train.Checkpoint(model=pruned).write(str(tmp_path / "checkpoint"))
    shapes = {tuple(shape) for name, shape in tf.train.list_variables(path) if "kernel" in name}
    assert (16, 16) not in shapes
    pruned.set_weights([np.zeros_like(value) for value in pruned.get_weights()])
    tf.train.Checkpoint(model=pruned).restore(path)
    np.testing.assert_array_equal(pruned(x), expected)


def test_a_deep_copy_is_independent(pruned, x):
    expected = pruned(x)
    other = copy.deepcopy(pruned)
    pruned.set_weights([np.zeros_like(value) for value in pruned.get_weights()])
    np.testing.assert_array_equal(other(x), expected)


def test_it_can_be_pruned_again_without_training(pruned, x):
    smaller = slim.prune(pruned, 0.25, guards=slim.pruning.Guards(align=1))
    assert smaller.get_layer("first").units + smaller.get_layer("second").units == 12
    assert smaller.predict(x, verbose=0).shape == (48, 2)


def test_it_can_be_compiled_and_trained_anew(train, x, y):
    pruned = train()
    pruned.compile("sgd", "mae", run_eagerly=True)
    pruned.fit(batches(x, y, 24), epochs=2, verbose=0)


def test_features_can_be_taken_from_its_layers(pruned, x):
    features = keras.Model(pruned.inputs[0], pruned.get_layer("relu").output)
    head = pruned.get_layer("head")
    expected = features(x).numpy() @ head.kernel.numpy() + head.bias.numpy()
    np.testing.assert_allclose(pruned(x).numpy(), expected, atol=1e-5)


def test_it_can_be_a_part_of_another_model(pruned, x):
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, pruned(inputs))
    np.testing.assert_allclose(outer(x), pruned(x), atol=1e-6)


def test_a_sequential_model_can_still_be_changed_layer_by_layer(build, prune, x, y):
    model = build()
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune()])
    width = model.get_layer("second").units
    model.pop()
    assert model.output_shape == (None, width)
    model.add(keras.layers.Dense(3))
    assert model.predict(x, verbose=0).shape == (48, 3)


class Blocks(keras.Model):
    """A model that keeps some of its layers in a list and a dictionary, as users do to walk over them."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.blocks = [self.get_layer("first"), self.get_layer("second")]
        self.by_name = {layer.name: layer for layer in self.blocks}


def test_layers_in_lists_and_dictionaries_are_those_of_the_smaller_model(build, prune, x, y, tmp_path):
    model = build(kind="functional", cls=Blocks)
    model.fit(batches(x, y), epochs=4, verbose=0, callbacks=[prune()])
    assert [id(layer) for layer in model.blocks] == [id(model.get_layer(name)) for name in ("first", "second")]
    assert model.by_name["first"] is model.get_layer("first")
    model.save_weights(tmp_path / "model.weights.h5")
    model.load_weights(tmp_path / "model.weights.h5")
