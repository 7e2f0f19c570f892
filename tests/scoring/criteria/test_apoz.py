import keras
import numpy as np


def test_score_is_the_share_of_activations_that_are_not_zero(score, perceptron, samples):
    layer = perceptron.get_layer("hidden")
    active = (samples[0] @ layer.kernel.numpy() + layer.bias.numpy()) > 0
    assert 0 < active.mean() < 1
    np.testing.assert_allclose(score(perceptron, "apoz", samples[0]), active.mean(axis=0), rtol=1e-6)


def test_positions_of_a_filter_count_one_by_one(score):
    inputs = keras.Input((4, 1))
    x = keras.layers.Conv1D(2, 1, activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.get_layer("conv").set_weights([np.array([[[1.0, -1.0]]]), np.zeros(2)])
    x = np.array([[1, 1, 1, -1], [1, 0, -1, -1]], float)[..., None]
    np.testing.assert_allclose(score(model, "apoz", x), [4 / 8, 3 / 8])


def test_a_dead_unit_scores_zero_and_a_linear_one_scores_one(score):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="hidden"), keras.layers.Dense(1)])
    model.get_layer("hidden").set_weights([np.array([[0.0, 1.0], [0.0, 1.0]]), np.zeros(2)])
    np.testing.assert_array_equal(score(model, "apoz", np.ones((3, 2))), [0, 1])
