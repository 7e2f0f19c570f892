"""A model becomes one with few bits: the right layers, the same weights, ranges where a phone needs them."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, nested, randomise, residual, several_ends

import keras_slim as slim
from keras_slim.layers import QuantConv2D, QuantDense, Quantize
from keras_slim.quantizers import Int, LearnedStep, Ternary

ALL = keras.layers.Layer


def chain(*between, shape=(6, 6, 2)):
    """A Sequential with layers that have twins at both ends."""
    flat = [layers.Flatten(name="flatten"), layers.Dense(3, name="head")]
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, name="stem"), *between, *flat], name="chain")


def of_weights(model):
    """The quantizers of weights, in words, of the layers that have twins."""
    kinds = tuple(slim.layers.quant_twins.QUANTIZED)
    found = {}
    for layer in model._flatten_layers():
        if isinstance(layer, kinds):
            quantizer = getattr(layer, getattr(layer, "of_weights", ""), None)
            found[layer.name] = getattr(quantizer, "alias", None)
    return found


def added(model):
    """The names of the layers that only round."""
    return {layer.name for layer in model._flatten_layers() if isinstance(layer, Quantize)}


def answers(model, x):
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(model(x))]


def every_kind():
    """A model with each type that has a twin."""
    image, words = keras.Input((6, 6, 2)), keras.Input((5,), dtype="int32")
    x = layers.Conv2D(4, 3, padding="same", strides=2, activation="relu")(image)
    x = layers.DepthwiseConv2D(2, depth_multiplier=2)(x)
    x = layers.SeparableConv2D(3, 1, activation=layers.LeakyReLU(0.3))(layers.Conv2DTranspose(4, 2, use_bias=False)(x))
    x = layers.Conv3D(2, (2, 2, 1))(keras.ops.expand_dims(x, -1))
    y = layers.Conv1D(4, 2, padding="causal", dilation_rate=2)(layers.Embedding(5, 3)(words))
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(y)])
    return randomise(keras.Model([image, words], layers.Dense(3, "softmax", trainable=False)(x)))


def test_every_type_has_its_twin_with_the_same_weights_name_and_options():
    model = every_kind()
    made = slim.quantize(model, Int(4), "int", skip=())
    for old in model.layers:
        new = made.get_layer(old.name)
        if type(old) not in slim.layers.quant_twins.QUANTIZED:
            assert type(new) is type(old)
            continue
        assert type(new).__name__ == f"Quant{type(old).__name__}"
        assert getattr(new, new.of_weights).bits == 4
        assert new.of_inputs is None or new.input_quantizer.bits == 8
        assert (new.trainable, new.dtype_policy.name) == (old.trainable, old.dtype_policy.name)
        theirs = {variable.name: variable for variable in new.weights}
        for variable in old.weights:
            np.testing.assert_array_equal(theirs[variable.name], variable)
        changed = {"activation", "name", *(name for name in new.get_config() if name.endswith("quantizer"))}
        for name in old.get_config().keys() - changed:
            assert new.get_config()[name] == old.get_config()[name]


@pytest.mark.parametrize("build", [residual, several_ends, nested, every_kind])
@pytest.mark.parametrize("nothing", [None, {ALL: None}])
def test_without_quantizers_the_copy_answers_bit_for_bit(build, nothing):
    model = randomise(build())
    made = slim.quantize(model, nothing, nothing, skip=())
    assert set(of_weights(made).values()) == {None}
    x = inputs_for(model)
    for ours, theirs in zip(answers(made, x), answers(model, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_it_computes_with_rounded_weights_and_rounded_inputs():
    model = randomise(keras.Sequential([keras.Input((4,)), layers.Dense(3, name="dense")]))
    made = slim.quantize(model, "sign", "sign", skip=())
    x = np.array([[0.5, -2.0, 1.0, -0.1]], "float32")
    kernel, bias = model.get_layer("dense").get_weights()
    np.testing.assert_allclose(made(x), np.sign(x) @ np.sign(kernel) + bias, rtol=1e-6)


def named():
    """Two dense layers in a model inside a model inside the model, and more around."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")], name="inner")
    middle = keras.Sequential([keras.Input((4,)), inner, layers.Dense(4, name="c")], name="middle")
    inside = [layers.Dense(4, name="d"), layers.Reshape((4, 1)), layers.Conv1D(2, 1, name="conv")]
    return keras.Sequential([keras.Input((4,)), middle, *inside])


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("ternary", ["ternary"] * 5),
        (Ternary, ["ternary"] * 5),
        (Ternary("optimum"), ["ternary"] * 5),
        ({layers.Dense: "int"}, ["int", "int", "int", "int", None]),
        ({ALL: "int", layers.Conv1D: "sign"}, ["int", "int", "int", "int", "sign"]),
        ({layers.Dense: "int", "b": None, "d": "sign"}, ["int", None, "int", "sign", None]),
        ({layers.Dense: "int", "inner": "sign", "a": "binary"}, ["binary", "sign", "int", "int", None]),
        ({"middle": "int", "middle/inner": "sign"}, ["sign", "sign", "int", None, None]),
        ({"inner": "int", "middle": "sign", ALL: "binary"}, ["int", "int", "sign", "binary", "binary"]),
        ({"b": "int", "middle/inner/b": "sign", "inner": None}, [None, "sign", None, None, None]),
    ],
)
def test_the_more_specific_wins(kernel, expected):
    found = of_weights(slim.quantize(named(), kernel, skip=()))
    assert found == dict(zip(("a", "b", "c", "d", "conv"), expected, strict=True))


def test_a_quantizer_written_down_is_one():
    config = keras.saving.serialize_keras_object(Int(3))
    assert slim.quantize(chain(), config, skip=()).get_layer("head").kernel_quantizer.bits == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [None, "int", None]),
        ({"skip": ()}, ["int", "int", "int"]),
        ({"skip": ("first", "middle")}, [None, None, "int"]),
        ({"kernel": {ALL: "ternary", "head": "int"}}, [None, "ternary", "int"]),
        ({"kernel": {ALL: "ternary", "head": "int"}, "skip": ("head", "first")}, [None, "ternary", None]),
        ({"kernel": {ALL: "ternary", "head": None}}, [None, "ternary", None]),
    ],
)
def test_what_is_skipped_stays_but_for_the_ends_that_are_named(options, expected):
    made = slim.quantize(chain(layers.Conv2D(4, 1, name="middle")), **options)
    assert [*of_weights(made).values()] == expected


def squeeze():
    """A sum, a product, averages, a clip by itself, activations of every sort, and an output that is a list."""
    inputs = keras.Input((6, 6, 2))
    x = layers.ReLU(name="clip")(layers.BatchNormalization(name="norm_1")(layers.Conv2D(4, 3, name="one")(inputs)))
    y = layers.BatchNormalization(name="norm_2")(layers.Conv2D(4, 3, padding="same", name="two")(x))
    x = keras.ops.relu(layers.Add(name="sum")([x, y]))
    y = layers.GlobalAveragePooling2D(name="average")(x)
    y = layers.Dense(4, "sigmoid", name="gate")(layers.Dense(2, "relu", name="narrow")(y))
    x = layers.Multiply(name="product")([x, layers.Reshape((1, 1, 4))(y)])
    x = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, activation="silu", padding="same", name="swish")(x))
    x = layers.Concatenate(name="both")([x, layers.Conv2D(2, 1, name="three")(x)])
    return keras.Model(inputs, layers.Dense(3, "softmax", name="head")(layers.Flatten()(x)))


def test_ranges_are_put_where_no_layer_rounds_and_the_converter_needs_one():
    made = slim.quantize(squeeze(), "int", "int", skip=())
    assert added(made) == {
        "clip_quantize",  # into the sum
        "norm_2_quantize",  # into the sum
        "relu_quantize",  # into the average
        "gate_quantize",  # before the sigmoid
        "swish_quantize",  # before silu
        "head_quantize",  # before softmax
    }
    order = [layer.name for layer in made.layers]
    assert order[-3:] == ["head", "head_quantize", "head_activation"]
    assert made.layers[-1].activation is keras.activations.softmax
    assert made.get_layer("narrow").activation is keras.activations.relu


def rounding_their_inputs(model):
    """The names of the convolutions and dense layers that round what they read."""
    return {layer.name for layer in model.layers if "inputs" in getattr(layer, "places", ())} - added(model)


@pytest.mark.parametrize(
    ("activations", "expected"),
    [
        ("int", {"stem", "smooth"}),
        ({ALL: "int", "plain": Int(4)}, {"stem", "smooth", "plain"}),
        ({layers.Conv2D: "int", "sum": "int"}, {"stem", "smooth", "plain", "pooled"}),  # none behind `clip`
        ({ALL: LearnedStep(4)}, {"stem", "smooth", "plain", "pooled"}),
    ],
)
def test_what_was_rounded_for_another_reader_is_not_rounded_again(activations, expected):
    image = keras.Input((6, 6, 2))
    x = layers.ReLU(name="clip")(layers.Conv2D(2, 3, padding="same", name="stem")(image))
    smooth = layers.Conv2D(2, 1, name="smooth")(layers.AveragePooling2D(3, 1, "same")(x))  # numbers between the steps
    pooled = layers.Conv2D(2, 1, name="pooled")(layers.MaxPooling2D(3, 1, "same")(x))
    outputs = layers.Add(name="sum")([x, layers.Conv2D(2, 1, name="plain")(x), smooth, pooled])
    model = keras.Model(image, outputs)
    made = slim.quantize(model, "int", activations, skip=())
    assert rounding_their_inputs(made) == expected
    in_two = slim.quantize(slim.quantize(model, "int", activations, skip=("pooled",)), "int", activations, skip=())
    assert (added(in_two), rounding_their_inputs(in_two)) == (added(made), expected)


def test_it_is_not_rounded_again_behind_a_layer_that_rounds_by_hand():
    made = slim.quantize(chain(Quantize("int"), layers.Dropout(0.5)), "int", "int", skip=())
    assert rounding_their_inputs(made) == {"stem"}
    other = slim.quantize(chain(Quantize(Int(4))), "int", "int", skip=())
    assert rounding_their_inputs(other) == {"stem", "head"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"activations": None}, set()),
        ({"activations": "sign"}, set()),  # a sum of signs is no sign
        ({"activations": LearnedStep(4)}, set()),
        ({"activations": {layers.Conv2D: "int"}}, {"swish_quantize"}),
        ({"activations": {"sum": "int", "three": "int"}}, set()),
        (
            {"activations": {ALL: "int", layers.ReLU: None}, "skip": ("narrow", "gate")},
            {f"{name}_quantize" for name in ("norm_2", "relu", "average", "gate", "swish", "head")},
        ),
    ],
)
def test_ranges_follow_the_option_for_what_they_are_behind(options, expected):
    made = slim.quantize(squeeze(), "int", **{"skip": (), **options})
    assert added(made) == expected


def test_what_real_numbers_reach_stays_real():
    inputs = keras.Input((6, 6, 2))
    x = layers.ReLU()(layers.Add()([inputs, layers.Conv2D(2, 1, name="stem")(inputs)]))
    x = layers.Conv2D(4, 3, name="middle")(x)
    x = layers.LayerNormalization()(layers.GlobalAveragePooling2D(name="average")(x))
    outputs = layers.Softmax()(layers.Dense(3, name="head")(x))
    made = slim.quantize(keras.Model(inputs, outputs), "int", "int")
    assert of_weights(made) == {"stem": None, "middle": "int", "head": None}
    # Into the average, and out of it: what is computed with integers ends with a range, though real numbers follow.
    assert added(made) == {"middle_quantize", "average_quantize"}


def test_ranges_stand_behind_layers_inside_models_too_and_integers_get_none():
    words = keras.Input((5,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4, name="table")(words % 9))
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="within")], name="inner")
    x = inner(x)
    made = slim.quantize(keras.Model(words, x + inner(x)), "int", "int", skip=())
    assert type(made.get_layer("inner")) is keras.Sequential
    assert [layer.name for layer in made.get_layer("inner").layers] == ["within", "within_quantize"]
    assert added(made) == {"table_quantize", "within_quantize", "add_quantize"}


def test_what_gets_a_range_behind_it_keeps_its_weights_and_its_name():
    model = randomise(residual())
    made = slim.quantize(model, "int", "int", skip=())
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    assert any(f"{layer.name}_quantize" in added(made) for layer in norms)
    for layer in norms:
        for new, old in zip(made.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)


def test_a_file_without_floats_comes_of_it_without_data(tmp_path):
    import tensorflow as tf

    from keras_slim.export.tflite_file import TfliteFile

    made = slim.quantize(squeeze(), "int", "int", skip=())
    signature = [keras.InputSpec(shape=(1, *made.inputs[0].shape[1:]), dtype="float32")]
    made.export(
        tmp_path / "integers.tflite", format="litert", verbose=False, input_signature=signature,
        optimizations=[tf.lite.Optimize.DEFAULT], inference_input_type=tf.int8, inference_output_type=tf.int8,
    )  # fmt: skip
    tensors = TfliteFile(str(tmp_path / "integers.tflite")).interpreter.get_tensor_details()
    assert [each["name"] for each in tensors if each["dtype"] == np.float32] == []


def test_the_copy_learns_ranges_trains_saves_is_profiled_and_cut(tmp_path):
    model = randomise(chain(layers.Conv2D(8, 3, name="middle"), layers.BatchNormalization(), layers.ReLU()))
    made = slim.quantize(model, Int(4), "int", skip=())
    made.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype("float32")
    moving = [made.get_layer("middle").kernel, made.get_layer("middle").places["inputs"].variables["high"]]
    before = [np.array(each) for each in moving]
    made.fit(x, np.zeros((8, 3)), verbose=0)
    assert all(np.abs(new - old).max() > 0 for new, old in zip(moving, before, strict=True))
    made.save(tmp_path / "quantized.keras")
    again = keras.saving.load_model(tmp_path / "quantized.keras")
    np.testing.assert_array_equal(again(x), made(x))
    assert 0 < slim.profile(made).bits < slim.profile(model).bytes * 8
    small = slim.prune(made, 0.3, criterion="l2")
    assert type(small.get_layer("middle")) is QuantConv2D
    assert small.get_layer("middle").filters < 8


def test_shared_layers_stay_shared():
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    model = keras.Model(inputs, layers.Add()([shared(shared(inputs)), inputs]))
    made = slim.quantize(model, "int", "int", skip=())
    assert len([layer for layer in made.layers if isinstance(layer, QuantDense)]) == 1
    assert len(made.layers) == len(model.layers) + 2  # behind the shared layer and the sum


def test_precision_is_kept_where_ranges_are_added():
    x = keras.Input((4,))
    half = layers.Dense(4, dtype="mixed_bfloat16", name="half")(x)
    made = slim.quantize(keras.Model(x, half + half), "int", "int", skip=())
    for name in ("half_quantize", "add_quantize"):
        assert made.get_layer(name).compute_dtype == "bfloat16"
        assert {variable.dtype for variable in made.get_layer(name).weights} == {"float32"}


class OwnDense(layers.Dense):
    """Derives from a layer with a twin."""


def test_subclasses_are_left_and_named_and_layers_with_few_bits_stay_as_they_are():
    mine = QuantDense(4, kernel_quantizer="sign", name="mine")
    model = keras.Sequential([keras.Input((4,)), OwnDense(4, name="own"), mine, layers.Dense(4, name="dense")])
    with pytest.warns(slim.errors.SlimWarning, match=r"`quantize` leaves these.*'own' \(`OwnDense`.*\)\.$") as told:
        made = slim.quantize(model, "int", skip=())
    assert [each.filename for each in told] == [__file__]
    assert [type(layer) for layer in made.layers] == [OwnDense, QuantDense, QuantDense]
    assert of_weights(made) == {"own": None, "mine": "sign", "dense": "int"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"kernel": "in"}, ValueError, r"`kernel` of `quantize`.*Did you mean 'int'"),
        ({"activations": 8}, TypeError, r"`activations` of `quantize`.*a Quantizer"),
        ({"kernel": {"hed": "int"}}, ValueError, r"`kernel` of `quantize`.*names or paths.*Did you mean 'head'"),
        ({"kernel": {keras.Model: "it"}}, ValueError, r"`kernel` of `quantize`.*'int'"),
        ({"activations": {int: "int"}}, TypeError, r"`activations` of `quantize`.*types of layers"),
        ({"kernel": {3: "int"}}, TypeError, r"`kernel` of `quantize`.*types of layers"),
        ({"kernel": Int}, ValueError, r"`skip` of `quantize`.*`Conv1D`.*skip=\(\)"),
    ],
)
def test_what_cannot_be_done_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        slim.quantize(chain(), **options)
