"""A convolutional model becomes an adder network: the right layers, where the paper has them, the rest untouched."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.layers import AdderConv1D, AdderConv2D, AdderDense, AdderDepthwiseConv2D


def kinds(model):
    """The names of a model's layers with their types, those of models inside it in brackets."""
    return {
        layer.name: kinds(layer) if isinstance(layer, keras.Model) else type(layer).__name__
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
    }


def adders(model):
    """The names of the adder layers, those of models inside it too."""
    return [layer.name for layer in model._flatten_layers() if type(layer).__name__.startswith("Adder")]


def chain(*between, shape=(6, 6, 2)):
    """A Sequential with ordinary layers at both ends."""
    flat = [layers.Flatten(name="flatten"), layers.Dense(3, name="head")]
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, name="stem"), *between, *flat], name="chain")


def test_a_sequential_stays_one_and_what_is_missing_is_put_behind():
    model = chain(layers.Conv2D(5, 2, padding="same", strides=2, activation="relu", name="middle"))
    made = slim.adderize(model)
    assert type(made) is keras.Sequential
    assert (made.name, made.compiled) == ("chain", False)
    assert kinds(made) == {
        "stem": "Conv2D",
        "middle": "AdderConv2D",
        "middle_batch_normalization": "BatchNormalization",
        "middle_activation": "Activation",
        "flatten": "Flatten",
        "head": "Dense",
    }
    middle = made.get_layer("middle")
    assert middle.activation is keras.activations.linear
    assert made.get_layer("middle_activation").activation is keras.activations.relu
    assert (middle.filters, middle.kernel_size, middle.strides, middle.padding) == (5, (2, 2), (2, 2), "same")
    assert made.output_shape == model.output_shape


def test_what_stays_keeps_its_weights_and_adder_kernels_are_standard_normal():
    model = chain(layers.Conv2D(64, 3, kernel_initializer="zeros", name="middle"))
    made = slim.adderize(model)
    for name in ("stem", "head"):
        for old, new in zip(model.get_layer(name).get_weights(), made.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)
        assert made.get_layer(name) is not model.get_layer(name)
    kernel = made.get_layer("middle").get_weights()[0]
    assert (kernel.mean(), kernel.std()) == pytest.approx((0, 1), abs=0.1)


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ([layers.BatchNormalization], []),
        ([layers.LayerNormalization, layers.ReLU], []),
        ([layers.ReLU, layers.BatchNormalization], ["middle_batch_normalization"]),
        ([layers.Dropout], ["middle_batch_normalization"]),
    ],
)
def test_normalization_is_added_only_where_none_follows_directly(behind, expected):
    options = {layers.Dropout: (0.5,)}
    made = slim.adderize(chain(layers.Conv2D(4, 1, name="middle"), *(each(*options.get(each, ())) for each in behind)))
    assert [name for name in kinds(made) if name.startswith("middle_")] == expected


def test_an_activation_inside_the_layer_moves_behind_the_added_normalization_also_before_one():
    made = slim.adderize(chain(layers.Conv2D(4, 1, activation="relu", name="middle"), layers.BatchNormalization()))
    assert [*kinds(made).values()][1:5] == ["AdderConv2D", "BatchNormalization", "Activation", "BatchNormalization"]


def test_normalization_right_behind_starts_anew_and_other_does_not():
    model = chain(layers.BatchNormalization(name="a"), layers.Conv2D(4, 1), layers.BatchNormalization(name="b"))
    for name in ("a", "b"):
        model.get_layer(name).set_weights([np.full(4, 7.0)] * 4)
    made = slim.adderize(model)
    assert [weights.mean() for weights in made.get_layer("a").get_weights()] == [7, 7, 7, 7]
    assert [weights.mean() for weights in made.get_layer("b").get_weights()] == [1, 0, 0, 1]


def test_without_batch_normalization_nothing_is_added():
    model = chain(layers.Conv2D(5, 2, activation="relu", name="middle"))
    made = slim.adderize(model, batch_normalization=False, local_learning_rate=None)
    assert kinds(made) == {"stem": "Conv2D", "middle": "AdderConv2D", "flatten": "Flatten", "head": "Dense"}
    assert made.get_layer("middle").activation is keras.activations.relu
    assert made.get_layer("middle").local_learning_rate is None


def test_every_type_has_its_twin_and_activations_that_are_layers_stay_such():
    inputs = keras.Input((6, 4))
    x = layers.Conv1D(4, 3, padding="causal", name="one")(inputs)
    x = layers.Reshape((6, 2, 2))(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2, data_format="channels_last", name="depthwise")(x)
    x = layers.SeparableConv2D(3, 1, name="separable")(x)
    x = layers.Conv2D(4, 1, groups=1, name="two")(x)
    outputs = layers.Dense(3, activation=layers.LeakyReLU(0.3), name="dense")(x)
    made = slim.adderize(keras.Model(inputs, outputs), skip=())
    found = {name: type(made.get_layer(name)) for name in ("one", "depthwise", "two", "dense", "separable")}
    assert list(found.values()) == [
        AdderConv1D, AdderDepthwiseConv2D, AdderConv2D, AdderDense, layers.SeparableConv2D
    ]  # fmt: skip
    assert made.layers[-1].negative_slope == pytest.approx(0.3)


def branches():
    """Two layers read the input and two give outputs; one model inside the model is called twice."""
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, layers.Dense(4, "relu", name="within")(inner_input), name="inner")
    a, b = layers.Dense(4, name="first_a")(x), layers.Dense(4, name="first_b")(y)
    z = layers.Add()([inner(a), inner(b), x])
    z = layers.Dense(4, name="middle")(z * 2)
    outputs = {"p": layers.Dense(2, name="last_p")(z), "q": layers.Dense(1, name="last_q")(keras.ops.relu(z))}
    return keras.Model({"x": x, "y": y}, outputs)


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        (("first", "last"), {"within", "middle"}),
        (("last",), {"first_a", "first_b", "within", "middle"}),
        (["first"], {"within", "middle", "last_p", "last_q"}),
        (("first", "last", "middle"), {"within"}),
        (("first", "last", "inner"), {"middle"}),
    ],
)
def test_first_and_last_are_told_by_what_comes_before_and_after(skip, expected):
    model = branches()
    made = slim.adderize(model, skip)
    assert {*adders(made)} == expected
    assert [*made.output] == [*model.output] == ["p", "q"]
    assert made.output_shape == model.output_shape
    assert len(made.get_layer("inner").layers) == (2 if "inner" in skip else 4)
    if "inner" not in skip:
        assert made.get_layer("inner").layers[-1].activation is keras.activations.relu


def test_a_shared_layer_stays_shared_and_is_followed_by_one_normalization():
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    x = layers.Dense(4)(inputs)
    x = layers.BatchNormalization()(shared(shared(x)))
    made = slim.adderize(keras.Model(inputs, layers.Dense(1)(x)))
    assert [name for name in kinds(made) if name.startswith("shared")] == ["shared", "shared_batch_normalization"]


def test_channels_first_are_normalized_along_their_axis():
    made = slim.adderize(
        keras.Sequential([keras.Input((2, 4, 4)), layers.Conv2D(3, 2, data_format="channels_first", name="c")]), skip=()
    )
    assert made.get_layer("c_batch_normalization").axis == 1
    assert made.get_layer("c_batch_normalization").gamma.shape == (3,)


def test_precision_trainability_and_adapted_statistics_are_kept():
    normalization = layers.Normalization()
    normalization.adapt(np.array([[1.0, 5.0], [3.0, 9.0]]))
    model = keras.Sequential(
        [keras.Input((2,)), normalization, layers.Dense(2), layers.Dense(2, name="d", dtype="mixed_bfloat16"),
         layers.Dense(2, name="frozen", trainable=False), layers.Dense(1)]
    )  # fmt: skip
    made = slim.adderize(model)
    np.testing.assert_array_equal(made.layers[0](np.array([[3.0, 5.0]])), [[1, -1]])
    assert made.get_layer("d").compute_dtype == made.get_layer("d_batch_normalization").compute_dtype == "bfloat16"
    assert made.get_layer("frozen").trainable is False


def own_activation(x):
    return -x


@pytest.mark.parametrize("activation", [own_activation, lambda x: -x])
@pytest.mark.parametrize("batch_normalization", [True, False])
def test_functions_keras_cannot_find_are_activations_still(activation, batch_normalization):
    model = chain(layers.Conv2D(4, 1, activation=activation, name="middle"))
    made = slim.adderize(model, batch_normalization=batch_normalization)
    place = made.get_layer("middle_activation" if batch_normalization else "middle")
    assert place.activation is activation


@pytest.mark.parametrize("batch_normalization", [True, False])
def test_activations_that_are_layers_keep_their_weights_and_stay_shared(batch_normalization):
    shared = layers.PReLU(keras.initializers.Constant(0.3))
    x = inputs = keras.Input((4,))
    for _ in range(3):
        x = layers.Dense(4, activation=shared)(x)
    model = keras.Model(inputs, layers.Dense(4, activation=shared)(x))
    model(np.zeros((1, 4)))  # only now Keras builds what is inside a layer
    shared.set_weights([np.full(4, 0.7)])
    made = slim.adderize(model, batch_normalization=batch_normalization)
    (copy,) = {layer for layer in made._flatten_layers() if isinstance(layer, layers.PReLU)}
    np.testing.assert_allclose(copy.alpha, np.full(4, 0.7))
    assert copy is not shared


def test_what_is_added_has_a_name_of_its_own():
    taken = [layers.ReLU(name="middle_activation"), layers.BatchNormalization(name="middle_batch_normalization")]
    made = slim.adderize(chain(layers.Conv2D(4, 1, activation="relu", name="middle"), *taken))
    assert [*kinds(made)][1:6] == [
        "middle", "middle_batch_normalization_1", "middle_activation_1", "middle_activation",
        "middle_batch_normalization",
    ]  # fmt: skip


def own_initializer(shape, dtype=None):
    return keras.ops.zeros(shape, dtype)


@pytest.mark.parametrize("name", ["stem", "middle"])
def test_a_function_that_keras_cannot_find_is_carried_over(name):
    model = keras.Sequential([keras.Input((4,)), *(
        layers.Dense(4, name=each, bias_initializer=own_initializer if each == name else "zeros")
        for each in ("stem", "middle", "head")
    )])  # fmt: skip
    assert slim.adderize(model).get_layer(name).bias_initializer is own_initializer


def test_the_model_is_left_as_it_was_and_the_copy_trains_saves_and_loads(tmp_path):
    model = chain(layers.Conv2D(2, 3, activation="relu"))
    model.compile("adam", "mse")
    before, config = model.get_weights(), model.get_config()
    made = slim.adderize(model)
    made.compile("sgd", "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2))
    made.fit(x, np.zeros((8, 3)), epochs=1, verbose=0)
    made.save(tmp_path / "adder.keras")
    again = keras.saving.load_model(tmp_path / "adder.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), made.predict(x, verbose=0), rtol=1e-5)
    assert model.get_config() == config
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


class OwnConv(layers.Conv2D):
    """Derives from a layer with a twin."""


def test_subclasses_are_left_alone_and_named():
    model = chain(OwnConv(4, 1, name="own"), layers.Conv2D(4, 1, name="middle"), AdderConv2D(4, 1, name="adder"))
    with pytest.warns(slim.errors.SlimWarning, match=r"leaves these layers.*'own' \(`OwnConv` derives.*\)\.$"):
        made = slim.adderize(model)
    assert adders(made) == ["middle", "adder"]
    assert type(made.get_layer("own")) is OwnConv


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (Subclassed, {}, slim.errors.UnsupportedLayerError, r"decides in its own code.*keras.Model\(inputs, outputs\)"),
        (lambda: keras.Sequential([layers.Dense(2)]), {}, ValueError, r"is not built.*keras.Input"),
        (lambda: "model", {}, TypeError, r"`model` of `adderize`.*a Keras model"),
        (chain, {}, ValueError, r"`skip` of `adderize`.*`Conv1D`.*skip=\(\)"),
        (chain, {"skip": ("first", "had")}, ValueError, r"Did you mean 'head'"),
        (chain, {"skip": "last"}, TypeError, r"skip=\('last',\)"),
        (chain, {"skip": 1}, TypeError, r"`skip` of `adderize`"),
        (
            lambda: chain(layers.Conv2D(4, 1, name="half", dtype="mixed_float16")),
            {},
            ValueError,
            r"`local_learning_rate` of `adderize`.*'half'.*mixed_bfloat16",
        ),
        (chain, {"skip": (), "local_learning_rate": -1}, ValueError, r"`local_learning_rate` of `adderize`.*> 0"),
    ],
)
def test_what_cannot_be_done_is_refused(make, options, error, message):
    with pytest.raises(error, match=message):
        slim.adderize(make(), **options)
