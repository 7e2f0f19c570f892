import keras
import numpy as np


def test_score_is_the_sum_of_absolute_incoming_weights(score, perceptron):
    kernel = np.array([[1, -2, 0, 0, 3, 0, 0.5, -1], [1, 2, 0, 0, -3, 0, 0.5, 0], [0] * 8, [0, 0, 0, -7, 0, 0, 0, 0]])
    perceptron.get_layer("hidden").kernel.assign(kernel)
    np.testing.assert_allclose(score(perceptron, "l1"), [2, 4, 0, 7, 6, 0, 1, 1])


def test_bias_does_not_count(score, perceptron):
    before = score(perceptron, "l1")
    perceptron.get_layer("hidden").bias.assign(np.full(8, 100.0))
    np.testing.assert_array_equal(score(perceptron, "l1"), before)


def test_filter_is_summed_over_positions_and_input_channels(score):
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(5, (3, 2), name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    kernel = model.get_layer("conv").kernel.numpy()
    expected = [
        sum(
            abs(float(kernel[row, column, channel, unit]))
            for row in range(3)
            for column in range(2)
            for channel in (0, 1)
        )
        for unit in range(5)
    ]
    np.testing.assert_allclose(score(model, "l1"), expected, rtol=1e-6)


def test_layers_joined_by_a_sum_give_their_mean(score):
    inputs = keras.Input((4,))
    left = keras.layers.Dense(3, name="left")(inputs)
    right = keras.layers.Dense(3, name="right")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()([left, right])))
    model.get_layer("left").kernel.assign(np.diag([1.0, 2.0, 3.0, 0.0])[:, :3])
    model.get_layer("right").kernel.assign(np.diag([5.0, 0.0, -1.0, 0.0])[:, :3])
    np.testing.assert_allclose(score(model, "l1"), [3, 1, 2])
