import keras
import numpy as np


def relu_by_hand(model, x):
    layer = model.get_layer("hidden")
    return np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)


def test_score_is_the_mean_over_samples(score, perceptron, samples):
    expected = relu_by_hand(perceptron, samples[0]).mean(axis=0)
    np.testing.assert_allclose(score(perceptron, "mean_activation", samples[0]), expected, rtol=1e-5)


def test_negative_and_positive_activations_do_not_cancel(score):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, name="hidden"), keras.layers.Dense(1)])
    model.get_layer("hidden").set_weights([np.array([[1.0, 3.0]]), np.zeros(2)])
    np.testing.assert_allclose(score(model, "mean_activation", np.array([[-2.0], [2.0]])), [2, 6])


def test_a_smaller_last_batch_weighs_by_its_samples(score, perceptron):
    # 129 samples make a batch of 128 and one of a single, very active, sample.
    x = np.concatenate([np.zeros((128, 4)), np.full((1, 4), 100.0)]).astype("float32")
    expected = relu_by_hand(perceptron, x).mean(axis=0)
    np.testing.assert_allclose(score(perceptron, "mean_activation", x), expected, rtol=1e-5)


def test_convolution_is_read_after_batch_norm_and_activation_and_before_pooling(score):
    inputs = keras.Input((3, 3, 1))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(epsilon=0.0, name="norm")(x)
    x = keras.layers.MaxPooling2D(3)(keras.layers.ReLU()(x))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    model.get_layer("conv").kernel.assign(np.array([2.0, -1.0]).reshape(1, 1, 1, 2))
    model.get_layer("norm").set_weights([np.array(v, float) for v in ([1, 3], [0.5, 0], [1, 0], [4, 1])])
    x = np.random.default_rng(0).normal(size=(5, 3, 3, 1))
    first = np.maximum((2 * x[..., 0] - 1) / 2 + 0.5, 0)
    second = np.maximum(-3 * x[..., 0], 0)
    np.testing.assert_allclose(score(model, "mean_activation", x), [first.mean(), second.mean()], rtol=1e-5)


def test_channels_first_is_read_along_its_own_axis(score):
    inputs = keras.Input((4, 5))
    x = keras.layers.Permute((2, 1))(inputs)
    x = keras.layers.Conv1D(3, 1, use_bias=False, name="conv")(x)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.GlobalAveragePooling1D()(x)))
    x = np.random.default_rng(0).normal(size=(6, 4, 5)).astype("float32")
    kernel = model.get_layer("conv").kernel.numpy()[0]
    expected = np.abs(np.einsum("nct,cf->ntf", x, kernel)).mean(axis=(0, 1))
    np.testing.assert_allclose(score(model, "mean_activation", x), expected, rtol=1e-5)


def test_units_of_a_residual_sum_are_read_behind_the_sum(score):
    inputs = keras.Input((4,))
    left = keras.layers.Dense(3, use_bias=False, name="left")(inputs)
    right = keras.layers.Dense(3, use_bias=False, name="right")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.ReLU()(keras.layers.Add()([left, right]))))
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    total = x @ (model.get_layer("left").kernel.numpy() + model.get_layer("right").kernel.numpy())
    np.testing.assert_allclose(score(model, "mean_activation", x), np.maximum(total, 0).mean(axis=0), rtol=1e-5)


def test_the_layer_runs_as_at_inference(score):
    """Dropout in front must not show."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dropout(0.9),
            keras.layers.Dense(3, use_bias=False, name="hidden"),
            keras.layers.Dense(1),
        ]
    )
    x = np.ones((8, 4), "float32")
    expected = np.abs(model.get_layer("hidden").kernel.numpy().sum(axis=0))
    np.testing.assert_allclose(score(model, "mean_activation", x), expected, rtol=1e-5)


def test_half_precision_activations_are_averaged_in_float32(score):
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False, name="hidden", dtype="mixed_float16"),
            keras.layers.Dense(1, dtype="float32"),
        ]
    )
    model.get_layer("hidden").kernel.assign([[30_000.0]])
    # Ten of them overflow float16.
    np.testing.assert_allclose(score(model, "mean_activation", np.ones((10, 1), "float32")), [30_000], rtol=1e-3)
