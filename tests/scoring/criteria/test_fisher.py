import keras
import numpy as np


def test_score_is_the_mean_squared_product_of_activation_and_slope(score, perceptron, samples):
    (x, y), (kernel, bias, head, head_bias) = samples, perceptron.get_weights()
    hidden = np.maximum(x @ kernel + bias, 0)
    slope = 2 * (hidden @ head + head_bias - y) / y.shape[1] @ head.T
    np.testing.assert_allclose(score(perceptron, "fisher", samples), np.square(hidden * slope).mean(axis=0), rtol=1e-4)


def test_positions_are_summed_before_the_square(score):
    inputs = keras.Input((3, 1))
    x = keras.layers.Conv1D(2, 1, use_bias=False, name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, name="head")(x))
    model.compile("sgd", "mse")
    model.get_layer("conv").kernel.assign([[[2.0, -1.0]]])
    model.get_layer("head").kernel.assign([[1.0], [3.0]])
    # The mean of the inputs is 2: the output is 2 * 2 - 3 * 2 = -2, its slope -4; the parts of the units are 4 and -6.
    found = score(model, "fisher", (np.array([[[1.0], [1.0], [4.0]]]), np.zeros((1, 1))))
    np.testing.assert_allclose(found, [(-4 * 4) ** 2, (-4 * -6) ** 2], rtol=1e-5)
