import keras
import numpy as np


def test_score_is_the_standard_deviation_over_samples(score, perceptron, samples):
    layer = perceptron.get_layer("hidden")
    hidden = np.maximum(samples[0] @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    np.testing.assert_allclose(score(perceptron, "std_activation", samples[0]), hidden.std(axis=0), rtol=1e-5)


def test_positions_count_one_by_one_over_batches_of_any_size(score):
    inputs = keras.Input((5, 1))
    x = keras.layers.Conv1D(2, 1, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.get_layer("conv").set_weights([np.array([[[1.0, -3.0]]]), np.array([0.0, 7.0])])
    x = np.random.default_rng(0).normal(size=(130, 5, 1)).astype("float32")  # batches of 128 and 2
    x[-2:] *= 50
    np.testing.assert_allclose(score(model, "std_activation", x), [x.std(), 3 * x.std()], rtol=1e-5)


def test_a_large_constant_does_not_drown_a_small_spread(score):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, name="hidden"), keras.layers.Dense(1)])
    model.get_layer("hidden").set_weights([np.array([[1.0, 0.0]]), np.array([1000.0, 1000.0])])
    x = np.array([[-0.25], [0.25]])
    np.testing.assert_allclose(score(model, "std_activation", x), [0.25, 0], rtol=1e-6, atol=1e-9)
