import keras
import numpy as np
import pytest


def test_score_is_the_euclidean_norm_of_the_incoming_weights(score, perceptron):
    kernel = np.zeros((4, 8))
    kernel[:, 0], kernel[:, 1], kernel[:, 2], kernel[0, 3] = [3, 4, 0, 0], [1, 1, 1, 1], [1, 2, 2, 4], -6
    perceptron.get_layer("hidden").kernel.assign(kernel)
    np.testing.assert_allclose(score(perceptron, "l2"), [5, 2, 5, 6, 0, 0, 0, 0])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
def test_low_precision_weights_are_summed_in_float32(score, policy):
    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(4, name="hidden", dtype=policy), keras.layers.Dense(2)]
    )
    model.get_layer("hidden").kernel.assign(np.full((8, 4), 256.0))
    # 256^2 * 8 overflows float16.
    np.testing.assert_allclose(score(model, "l2"), np.full(4, 256 * np.sqrt(8)), rtol=1e-6)


def test_a_concatenation_keeps_the_units_of_its_branches_apart(score):
    inputs = keras.Input((4, 4, 1))
    first = keras.layers.Conv2D(2, 1, name="first")(inputs)
    second = keras.layers.Conv2D(3, 1, name="second")(inputs)
    x = keras.layers.Flatten()(keras.layers.Concatenate()([first, second]))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.get_layer("first").kernel.assign(np.array([1.0, -2.0]).reshape(1, 1, 1, 2))
    model.get_layer("second").kernel.assign(np.array([3.0, 0.0, -5.0]).reshape(1, 1, 1, 3))
    np.testing.assert_allclose(score(model, "l2"), [1, 2, 3, 0, 5])
