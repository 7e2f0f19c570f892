import keras
import numpy as np


def test_score_is_the_sum_of_the_distances_to_the_other_units(score, perceptron):
    kernel = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
    perceptron.get_layer("hidden").kernel.assign(kernel)
    expected = [sum(np.sqrt(sum((kernel[:, i] - kernel[:, j]) ** 2)) for j in range(8)) for i in range(8)]
    np.testing.assert_allclose(score(perceptron, "fpgm"), expected, rtol=1e-5)


def test_a_copy_is_at_no_distance_and_the_middle_one_scores_lowest(score):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(4, name="hidden"), keras.layers.Dense(1)])
    model.get_layer("hidden").kernel.assign([[1.0, 5.0, 5.0, 100.0]])
    np.testing.assert_allclose(score(model, "fpgm"), [4 + 4 + 99, 4 + 95, 4 + 95, 99 + 95 + 95])


def test_more_weights_than_fit_into_one_product(score):
    model = keras.Sequential([keras.Input((10_000,)), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(1)])
    model.get_layer("hidden").kernel.assign(np.tile([[0.0, 3.0, 4.0]], (10_000, 1)))
    np.testing.assert_allclose(score(model, "fpgm"), [700, 400, 500], rtol=1e-6)
