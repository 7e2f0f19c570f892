"""The equalized model answers as the model does, with ranges that are equal on both sides of what is between layers."""

import keras
import model_zoo as zoo
import model_zoo_layers as rarer
import model_zoo_operations as of_operations
import numpy as np
import pytest
from keras import layers, ops
from model_zoo import inputs_for, randomise
from model_zoo_quantized import quantized_integers

import keras_slim as slim
from keras_slim.rewriting import joints

BUILDERS = [
    zoo.residual,
    zoo.sum_of_concatenations,
    zoo.nested,
    rarer.grouped,
    rarer.depthwise,
    rarer.decoder,
    of_operations.reshaped_otherwise,
]


def answers(model, x):
    return [np.asarray(each) for each in keras.tree.flatten(model(x, training=False))]


def assert_same(one, other, x):
    for ours, theirs in zip(answers(one, x), answers(other, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * np.abs(theirs).max())


def uneven(model, seed=0):
    """Gives every weight a value, with channels whose sizes differ up to a hundred times."""
    rng = np.random.default_rng(seed)
    for weight in randomise(model, seed).weights:
        if weight.name.endswith("kernel"):
            weight.assign(weight * 10 ** rng.uniform(-1, 1, weight.shape[-1]))
    return model


def chain(*stack, shape=(8, 8, 3)):
    return uneven(keras.Sequential([keras.Input(shape), *stack]))


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_it_answers_as_the_model_does(build):
    model = uneven(build())
    equalized = slim.equalize(model)
    assert_same(equalized, model, inputs_for(model))
    folded = slim.fold_batch_normalization(model)
    moved = [not np.array_equal(*pair) for pair in zip(folded.get_weights(), equalized.get_weights(), strict=True)]
    assert any(moved)


# A stack of two layers: which axes of the kernels of the first, and of the second, do not run along what is between.
PAIRS = {
    "Conv2D": (layers.Conv2D(5, 3, name="a"), (0, 1, 2), layers.Conv2D(4, 3, name="b"), (0, 1, 3)),
    "transposed": (
        layers.Conv2DTranspose(5, 3, 2, name="a"),
        (0, 1, 3),
        layers.Conv2DTranspose(4, 2, name="b"),
        (0, 1, 2),
    ),
    "depthwise": (layers.Conv2D(5, 3, name="a"), (0, 1, 2), layers.DepthwiseConv2D(3, name="b"), (0, 1, 3)),
    "pointwise": (layers.DepthwiseConv2D(3, name="a"), (0, 1, 3), layers.Conv2D(4, 1, name="b"), (0, 1, 3)),
}


def largest(kernel, axes):
    return np.abs(np.asarray(kernel)).max(axis=axes)


@pytest.mark.parametrize(
    ("name", "between"),
    [*zip(PAIRS, [layers.ReLU, lambda: layers.LeakyReLU(0.3), layers.PReLU, layers.MaxPooling2D], strict=True)],
)
def test_ranges_on_both_sides_are_equal(name, between):
    first, of_first, second, of_second = PAIRS[name]
    made = [type(each).from_config(each.get_config()) for each in (first, second)]
    model = chain(made[0], between(), made[1], layers.ELU(), layers.Conv2D(2, 1))
    equalized = slim.equalize(model)
    a, b = (equalized.get_layer(each).kernel for each in "ab")
    np.testing.assert_allclose(largest(a, of_first), largest(b, of_second), rtol=1e-3)
    before = np.sqrt(largest(made[0].kernel, of_first) * largest(made[1].kernel, of_second))
    np.testing.assert_allclose(largest(a, of_first), before, rtol=1e-3)
    assert_same(equalized, model, inputs_for(model))


def test_a_chain_is_even_everywhere_also_inside_a_separable_convolution_and_through_flatten():
    model = chain(
        layers.Conv2D(6, 3, activation="relu", name="a"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu", name="b"),
        layers.SeparableConv2D(4, 2, depth_multiplier=2, name="c"),
        layers.ReLU(),
        layers.Flatten(),
        layers.Dense(3, name="d"),
    )
    equalized = slim.equalize(model)
    a, b, c, d = map(equalized.get_layer, "abcd")
    assert [each.channels for each in joints(model)] == [6, 12, 4]
    pairs = [
        (largest(a.kernel, (0, 1, 2)), largest(b.kernel, (0, 1, 3))),
        (largest(b.kernel, (0, 1)).ravel(), largest(c.depthwise_kernel, (0, 1, 3))),
        (largest(c.depthwise_kernel, (0, 1)).ravel(), largest(c.pointwise_kernel, (0, 1, 3))),
        (largest(c.pointwise_kernel, (0, 1, 2)), largest(d.kernel, 1).reshape(-1, 4).max(axis=0)),
    ]
    for before, after in pairs:
        np.testing.assert_allclose(before, after, rtol=1e-2)
    assert_same(equalized, model, inputs_for(model))


def test_layers_that_meet_in_a_sum_have_one_scale_for_each_channel():
    inputs = keras.Input((8, 8, 3))
    one, other = (layers.Conv2D(4, 3, padding="same", name=name)(inputs) for name in "ab")
    x = layers.ReLU()(layers.Add()([one, other]))
    outputs = [layers.Conv2D(2, 3, name=name)(x) for name in "cd"]
    model = uneven(keras.Model(inputs, outputs))
    equalized = slim.equalize(model)
    before, after = (
        np.max([largest(equalized.get_layer(name).kernel, axes) for name in names], axis=0)
        for names, axes in (("ab", (0, 1, 2)), ("cd", (0, 1, 3)))
    )
    np.testing.assert_allclose(before, after, rtol=1e-3)
    assert_same(equalized, model, inputs_for(model))
    assert [str(each) for each in joints(model)] == ["a, b -> c, d: 4 channels"]


def test_channels_without_weights_stay_and_zeros_stay_zero():
    model = chain(layers.Dense(4, "relu", name="a"), layers.Dense(3, name="b"), shape=(5,))
    kernel, bias = (np.array(each) for each in model.get_layer("a").get_weights())
    kernel[:, 0] = 0
    kernel[:, 1] *= 1e-20  # weights that decayed: their biases must not blow up
    kernel[2, :] = 0
    model.get_layer("a").set_weights([kernel, bias])
    equalized = slim.equalize(model)
    new, new_bias = equalized.get_layer("a").get_weights()
    assert (new[kernel == 0] == 0).all()
    np.testing.assert_array_equal(new_bias[:2], bias[:2])
    assert_same(equalized, model, inputs_for(model))


def between(make):
    """A model with something between two dense layers, and what there is between other layers."""
    inputs = keras.Input((6,))
    x = layers.Dense(4, name="a")(inputs)
    return uneven(keras.Model(inputs, layers.Dense(3, name="b")(make(x))))


twice = layers.Dense(4, name="twice")
STAYS = {
    "'relu6' is not": lambda x: layers.ReLU(6.0, name="relu6")(x),
    "'elu' is not": lambda x: layers.ELU(name="elu")(x),
    "'swish' is not": lambda x: layers.Activation("swish", name="swish")(x),
    "'threshold' is not": lambda x: layers.ReLU(threshold=0.1, name="threshold")(x),
    "'product' is not": lambda x: layers.Multiply(name="product")([x, x]),
    "'norm' is not": lambda x: layers.BatchNormalization(name="norm")(layers.ReLU()(x)),
    "joins what cannot be scaled alike": lambda x: x + 1.0,
    "meets in no sum": lambda x: ops.maximum(x, 0.5),
}


@pytest.mark.parametrize("why", STAYS)
def test_what_does_not_hand_scales_on_stays_and_is_told(why):
    model = between(STAYS[why])
    (joint,) = joints(model)
    assert (joint.before, joint.after, joint.channels) == (("a",), ("b",), 0)
    assert why in joint.why or why == "meets in no sum"
    equalized = slim.equalize(model)
    for old, new in zip(model.weights, equalized.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_channel_that_is_added_to_all_others_keeps_them_from_being_scaled():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="a")(inputs) + layers.Conv2D(1, 3, name="one")(inputs)
    model = uneven(keras.Model(inputs, layers.Conv2D(2, 3, name="b")(layers.ReLU()(x))))
    assert_same(slim.equalize(model), model, inputs_for(model))
    assert joints(model)[0].channels == 0


def test_a_layer_that_is_called_twice_and_those_around_it_stay():
    inputs, shared = keras.Input((4,)), layers.Dense(4, "relu", name="shared")
    x = layers.Dense(4, "relu", name="a")(inputs)
    y = layers.Dense(4, "relu", name="c")(layers.Dense(5, "relu", name="b")(shared(shared(x))))
    model = uneven(keras.Model(inputs, y))
    assert_same(slim.equalize(model), model, inputs_for(model))
    told = [str(each) for each in joints(model)]
    assert told[0] == "a -> shared: left, of 'shared', it is called more than once"
    assert told[-1] == "b -> c: 5 channels"


def test_one_scale_for_a_kernel_rounds_a_depthwise_network_as_finely_as_before_it_was_made_uneven():
    """Channels that differ a thousand times are lost in 8 bits per tensor; evened out they are not."""
    stack = [
        layers.Conv2D(8, 3, activation="relu", name="a"),
        layers.DepthwiseConv2D(3, activation="relu", name="b"),
        layers.Conv2D(4, 1, name="c"),
    ]
    model = randomise(keras.Sequential([keras.Input((8, 8, 3)), *stack]))
    factor = 10.0 ** np.linspace(-1.5, 1.5, 8)
    for name, scale in (("b", factor[:, np.newaxis]), ("c", 1 / factor[:, np.newaxis])):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * scale, bias * factor if name == "b" else bias])
    x = inputs_for(model, samples=16)
    (real,) = answers(model, x)

    def error(start):
        twin = slim.quantize(start, slim.quantizers.Int(8, per_channel=False), skip=())
        return np.square(answers(twin, x)[0] - real).sum() / np.square(real).sum()

    assert error(slim.equalize(model)) < 0.1 * error(model)


@pytest.mark.parametrize(
    "layer", [layers.ReLU(), layers.BatchNormalization(), layers.GRU(3)], ids=lambda each: each.name
)
def test_a_model_without_a_kernel_to_scale_is_copied(layer):
    model = chain(layer, shape=(5, 3))
    assert joints(model) == ()
    assert_same(slim.equalize(model), model, inputs_for(model))


def test_layers_with_few_bits_stay_and_are_told():
    model = randomise(quantized_integers())
    with pytest.warns(slim.errors.SlimWarning, match="`equalize` leaves.*does not multiply by its weights as they are"):
        equalized = slim.equalize(model)
    for old, new in zip(model.weights, equalized.weights, strict=True):
        np.testing.assert_array_equal(old, new)
