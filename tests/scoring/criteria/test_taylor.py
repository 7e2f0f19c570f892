"""Each expected score is computed without automatic differentiation: by calculus on paper, or by finite differences."""

import keras
import numpy as np
import pytest

RNG = np.random.default_rng(1)


def by_hand(kernel, bias, head, head_bias, x, y, weight=1.0):
    """Mean over samples of |a * dL/da| for one ReLU layer, a linear head and each sample's mean squared error."""
    hidden = np.maximum(x @ kernel + bias, 0)
    slope = np.reshape(weight, (-1, 1)) * 2 * (hidden @ head + head_bias - y) / y.shape[1] @ head.T
    return np.abs(hidden * slope).mean(axis=0)


def test_score_is_the_mean_absolute_product_of_activation_and_slope(score, perceptron, samples):
    expected = by_hand(*perceptron.get_weights(), *samples)
    np.testing.assert_allclose(score(perceptron, "taylor", samples), expected, rtol=1e-4)


def test_sample_weights_scale_each_samples_loss(score, perceptron, samples):
    weight = np.arange(10).astype("float32")
    expected = by_hand(*perceptron.get_weights(), *samples, weight)
    np.testing.assert_allclose(score(perceptron, "taylor", (*samples, weight)), expected, rtol=1e-4)


def test_score_does_not_depend_on_how_samples_fall_into_batches(score, perceptron):
    x, y = RNG.normal(size=(130, 4)).astype("float32"), RNG.normal(size=(130, 3)).astype("float32")
    x[-2:] *= 50  # the last batch of two has by far the largest slopes
    expected = by_hand(*perceptron.get_weights(), x, y)
    np.testing.assert_allclose(score(perceptron, "taylor", (x, y)), expected, rtol=1e-4)


def test_frozen_layers_are_scored_like_any_other(score, perceptron, samples):
    expected = by_hand(*perceptron.get_weights(), *samples)
    for frozen in (["hidden"], ["head"], ["hidden", "head"]):
        for layer in perceptron.layers:
            layer.trainable = layer.name not in frozen
        np.testing.assert_allclose(score(perceptron, "taylor", samples), expected, rtol=1e-4)


@pytest.mark.parametrize(("policy", "tolerance"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_low_precision_scores_come_close(score, samples, policy, tolerance):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", dtype=policy, bias_initializer="glorot_uniform"),
            keras.layers.Dense(3, dtype="float32"),
        ]
    )
    model.compile("sgd", "mse")
    expected = by_hand(*model.get_weights(), *samples)
    np.testing.assert_allclose(
        score(model, "taylor", samples), expected, rtol=tolerance, atol=tolerance * expected.max()
    )


@pytest.fixture
def mixed_precision():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("mixed_precision")
def test_small_slopes_do_not_vanish_in_half_precision(score, samples):
    """What training keeps from vanishing by scaling the loss, scoring keeps as well."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, "relu", bias_initializer="ones"),
            keras.layers.Dense(3),
            keras.layers.Activation("linear", dtype="float32"),
        ]
    )
    model.compile("sgd", "mse", loss_weights=[1e-8])
    expected = 1e-8 * by_hand(*model.get_weights(), *samples)
    for _ in range(2):  # before the optimizer is built, and after
        scores = score(model, "taylor", samples)
        np.testing.assert_allclose(scores, expected, rtol=0.05, atol=0.05 * expected.max())
        model.optimizer.build(model.trainable_variables)


def finite_differences(model, layer_name, x, loss_of):
    """Mean over samples of |mean over positions of a * dL/da| of a ReLU layer, its slopes from finite differences."""
    layer = model.get_layer(layer_name)
    before = keras.Model(model.inputs, layer.output)
    activation = before.predict(x, verbose=0).astype(float)
    after = keras.Model(layer.output, model.outputs)
    slopes, step = np.zeros_like(activation), 1e-2
    for index in np.ndindex(activation.shape[1:]):
        up, down = activation.copy(), activation.copy()
        up[(slice(None), *index)] += step
        down[(slice(None), *index)] -= step
        up, down = (loss_of(*after.predict_on_batch(moved.astype("float32"))) for moved in (up, down))
        slopes[(slice(None), *index)] = (up - down) / (2 * step)
    products = (activation * slopes).reshape(len(x), -1, activation.shape[-1])
    return np.abs(products.mean(axis=1)).mean(axis=0)


def test_positions_are_averaged_before_the_absolute_value_and_outputs_add_up(score):
    """A convolution, and two outputs with losses and weights of their own."""
    inputs = keras.Input((3, 3, 1))
    x = keras.layers.Conv2D(3, 2, activation="relu", name="conv", bias_initializer="ones")(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(
        inputs,
        [keras.layers.Dense(2, name="number")(x), keras.layers.Dense(2, "softmax", name="kind")(x)],
    )
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], loss_weights=[0.5, 2.0], metrics=["mae", "acc"])
    x, number, kind = RNG.normal(size=(5, 3, 3, 1)), RNG.normal(size=(5, 2)), np.array([0, 1, 1, 0, 1])

    def loss_of(numbers, kinds):
        return 0.5 * np.square(numbers - number).mean(axis=1) - 2 * np.log(kinds[np.arange(5), kind])

    expected = finite_differences(model, "conv", x, loss_of)
    np.testing.assert_allclose(score(model, "taylor", (x, [number, kind])), expected, rtol=1e-2)
    model.compile("sgd", {"number": "mse", "kind": "sparse_categorical_crossentropy"}, loss_weights=[0.5, 2.0])
    np.testing.assert_allclose(score(model, "taylor", (x, [number, kind])), expected, rtol=1e-2)


def test_a_unit_that_nothing_reads_scores_zero(score, perceptron, samples):
    head = perceptron.get_layer("head")
    kernel = head.kernel.numpy()
    kernel[2] = 0
    head.kernel.assign(kernel)
    scores = score(perceptron, "taylor", samples)
    assert scores[2] == 0
    assert (np.delete(scores, 2) > 0).any()


def test_a_branch_that_the_loss_does_not_reach_scores_zero(score):
    inputs = keras.Input((4,))
    used = keras.layers.Dense(3, name="used")(inputs)
    watched = keras.layers.Dense(3, name="watched")(inputs)
    model = keras.Model(inputs, [keras.layers.Dense(1)(used), keras.layers.Dense(1)(watched)])
    model.compile("sgd", ["mse", None])
    x, y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 1))
    scores = score(model, "taylor", (x, [y, y]))
    np.testing.assert_array_equal(scores[3:], np.zeros(3))
    assert (scores[:3] > 0).all()


def test_a_model_that_is_not_compiled_is_told_to(score, samples):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(3)], name="raw")
    with pytest.raises(RuntimeError, match=r"'taylor' follows the loss back, and model 'raw' has none.*compile\(loss="):
        score(model, "taylor", samples)


def test_a_model_compiled_without_a_loss_is_told_so(score, samples):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(3)])
    model.compile("sgd")
    with pytest.raises(RuntimeError, match=r"'taylor' follows the loss back.*has none.*compile\(loss="):
        score(model, "taylor", samples)


def test_targets_are_asked_for(score, perceptron, samples):
    with pytest.raises(ValueError, match=r"argument `data`.*targets too, `data=\(x, y\)`.*inputs only"):
        score(perceptron, "taylor", samples[0])


def test_a_loss_of_the_models_own_is_followed(score, samples):
    """Keras allows `compute_loss` with and without the argument `training`."""

    class Doubled(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 2 * keras.ops.mean(keras.ops.square(y - y_pred))

    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, "relu", bias_initializer="glorot_uniform")(inputs)
    model = Doubled(inputs, keras.layers.Dense(3)(x))
    model.compile("sgd")
    expected = 2 * by_hand(*model.get_weights(), *samples)
    np.testing.assert_allclose(score(model, "taylor", samples), expected, rtol=1e-4)
