"""The pass for gradients is compiled once for a network, whatever the size of batches, and holds no network."""

import gc
import weakref

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.scoring import ActivationCriterion, kept_steps


class Slopes(ActivationCriterion):
    """Counts how often it is traced: for each place, Keras runs this once."""

    needs = "targets"
    traced = 0

    def __init__(self, power=1):
        self.power = power

    def measure(self, activations, gradients):
        type(self).traced += 1
        return keras.ops.mean(keras.ops.abs(gradients) ** self.power, axis=1)


@pytest.fixture
def traces(monkeypatch):
    """Returns the function that tells how many passes were compiled since it was asked last; there is one place."""
    monkeypatch.setattr(Slopes, "traced", 0)

    def traces():
        count, Slopes.traced = Slopes.traced, 0
        return count

    return traces


def test_the_same_network_is_compiled_for_once(score, perceptron, samples, traces):
    first = score(perceptron, Slopes(), samples)
    assert traces() == 1
    perceptron.get_layer("hidden").kernel.assign(perceptron.get_layer("hidden").kernel * 2)
    second = score(perceptron, Slopes(), samples)
    assert traces() == 0
    assert (first != second).any()
    kept_steps.forget_steps(perceptron)
    np.testing.assert_array_equal(score(perceptron, Slopes(), samples), second)
    assert traces() == 1


def test_a_last_batch_that_is_smaller_is_not_compiled_for(score, perceptron, traces):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 4)).astype("float32"), rng.normal(size=(300, 3)).astype("float32")
    whole = score(perceptron, Slopes(), (x, y))  # batches of 128, 128 and 44
    assert traces() == 1
    parts = [score(perceptron, Slopes(), (x[part], y[part])) for part in (slice(100), slice(100, 200), slice(200, 300))]
    assert traces() == 0
    np.testing.assert_allclose(whole, np.mean(parts, axis=0), rtol=1e-4)


def test_another_loss_is_compiled_for(score, perceptron, samples, traces):
    squared = score(perceptron, Slopes(), samples)
    perceptron.compile("sgd", "mae")
    absolute = score(perceptron, Slopes(), samples)
    assert traces() == 2
    perceptron.compile("sgd", "mse")
    np.testing.assert_array_equal(score(perceptron, Slopes(), samples), squared)
    assert (absolute != squared).any()


def test_another_setting_is_compiled_for_and_the_old_one_kept(score, perceptron, samples, traces):
    scores = [score(perceptron, Slopes(power), samples) for power in (1, 2, 1, 2)]
    assert traces() == 2
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_array_equal(scores[1], scores[3])
    assert (scores[0] != scores[1]).any()


def test_settings_that_cannot_be_compared_are_compiled_anew(score, perceptron, samples, traces):
    halves = [score(perceptron, Slopes(np.array(power)), samples) for power in (1, 2)]
    assert traces() == 2
    assert (halves[0] != halves[1]).any()


def test_other_layers_are_compiled_for(score, samples, traces):
    layers = keras.layers.Dense(8, "relu", name="hidden"), keras.layers.Dense(6, "relu", name="last")
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    assert len(score(model, Slopes(), samples)) == 14
    assert traces() == 2
    assert len(score(model, Slopes(), samples, ignore=["last"])) == 8
    assert traces() == 1
    assert len(score(model, Slopes(), samples)) == 14
    assert traces() == 0


def test_a_model_with_metrics_of_its_own_is_compiled_for_anew(score, samples):
    class Own(keras.Model):
        @property
        def metrics(self):
            return []

    inputs = keras.Input((4,))
    model = Own(inputs, keras.layers.Dense(3)(keras.layers.Dense(8, "relu")(inputs)))
    scores = []
    for loss in ("mse", "mae"):
        model.compile("sgd", loss)
        scores.append(score(model, "taylor", samples))
    assert (scores[0] != scores[1]).any()


def test_few_steps_are_kept(score, perceptron, samples):
    for power in range(1, 9):
        score(perceptron, Slopes(power), samples)
    assert len(kept_steps._kept[perceptron]) == kept_steps.MOST


def test_a_batch_of_fixed_size_is_taken_as_it_is(score, samples, traces):
    layers = keras.layers.SimpleRNN(6, stateful=True), keras.layers.Dense(3)
    model = keras.Sequential([keras.Input(batch_shape=(5, 4, 1)), *layers])
    model.compile("sgd", "mse")
    x, y = samples[0][:5, :, None], samples[1][:5]
    assert len(score(model, Slopes(), (x, y))) == 6
    assert len(score(model, Slopes(), (x, y))) == 6
    assert traces() == 1


def test_no_model_is_kept_alive(score, samples):
    def scored():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        model.compile("sgd", "mse")
        score(model, "taylor", samples)
        score(model, "fisher", samples)
        return weakref.ref(model), weakref.ref(model.layers[0].kernel.value.handle)

    model, weights = scored()
    gc.collect()  # the model, and with it what was kept for it
    gc.collect()
    assert model() is None
    assert weights() is None


def test_memory_bounds_the_batches_of_arrays(score, monkeypatch):
    sizes = []

    class Sizes(ActivationCriterion):
        def measure(self, activations, gradients):
            sizes.append(len(activations))
            return keras.ops.mean(activations, axis=1)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(4)])
    score(model, Sizes(), np.ones((200, 4)))
    assert sizes == [128, 72]
    sizes.clear()
    monkeypatch.setattr("keras_slim.scoring.scores.BATCH_BYTES", 50 * 4 * (4 + 8 + 4))
    score(model, Sizes(), np.ones((120, 4)))
    assert sizes == [50, 50, 20]
    sizes.clear()
    monkeypatch.setattr("keras_slim.scoring.scores.BATCH_BYTES", 1)
    score(model, Sizes(), np.ones((2, 4)))
    assert sizes == [1, 1]


def test_a_cut_drops_what_was_compiled(perceptron, samples):
    x, y = samples
    pruning = slim.callbacks.ProgressiveGlobalPruning(0.5, data=(x, y), rounds=1, window=(0.5, 0.5), verbose=0)
    perceptron.fit(x, y, epochs=2, verbose=0, callbacks=[pruning])
    assert perceptron not in kept_steps._kept


def test_a_model_that_is_run_eagerly_is_compiled_for_nowhere(score, perceptron, samples):
    class Watching(Slopes):
        def measure(self, activations, gradients):
            eager.append(hasattr(activations, "numpy"))
            return super().measure(activations, gradients)

    eager, expected = [], score(perceptron, Slopes(), samples)
    perceptron.compile(perceptron.optimizer, perceptron.loss, run_eagerly=True)
    np.testing.assert_allclose(score(perceptron, Watching(), samples), expected, rtol=1e-4)
    assert eager
    assert all(eager)
