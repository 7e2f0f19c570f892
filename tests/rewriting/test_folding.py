"""The folded model answers as the model does, and has no batch normalization where it could be folded."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, randomise, residual
from zoo import BUILDERS

import keras_slim as slim
from keras_slim.export.tflite_file import TfliteFile


def norm(**options):
    return layers.BatchNormalization(**options)


def answers(model):
    return model(np.random.default_rng(1).normal(size=(3, *model.inputs[0].shape[1:])).astype("float32"))


def norms(model):
    """The names of the batch normalizations of a model, those of models inside it too."""
    return [layer.name for layer in model._flatten_layers() if isinstance(layer, layers.BatchNormalization)]


def assert_same(folded, model, tolerance=1e-5):
    for ours, theirs in zip(*(keras.tree.flatten(answers(each)) for each in (folded, model)), strict=True):
        ours, theirs = (np.asarray(keras.ops.cast(each, "float32")) for each in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def folded_of(model):
    """Returns a model with random weights, and what it is folded to."""
    randomise(model)
    return model, slim.fold_batch_normalization(model)


KINDS = {
    "Conv1D": ((7, 3), lambda **options: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, **options)),
    "Conv2D": ((6, 6, 3), lambda **options: layers.Conv2D(4, 3, 2, padding="same", **options)),
    "Conv2D in groups": ((6, 6, 4), lambda **options: layers.Conv2D(6, 3, groups=2, **options)),
    "Conv3D": ((4, 4, 4, 2), lambda **options: layers.Conv3D(3, 2, **options)),
    "Conv1DTranspose": ((5, 3), lambda **options: layers.Conv1DTranspose(4, 3, 2, **options)),
    "Conv2DTranspose": ((5, 5, 3), lambda **options: layers.Conv2DTranspose(4, 3, 2, padding="same", **options)),
    "Conv3DTranspose": ((3, 3, 3, 2), lambda **options: layers.Conv3DTranspose(3, 2, **options)),
    "DepthwiseConv1D": ((6, 3), lambda **options: layers.DepthwiseConv1D(3, depth_multiplier=2, **options)),
    "DepthwiseConv2D": ((6, 6, 3), lambda **options: layers.DepthwiseConv2D(3, depth_multiplier=2, **options)),
    "SeparableConv1D": ((6, 3), lambda **options: layers.SeparableConv1D(4, 3, depth_multiplier=2, **options)),
    "SeparableConv2D": ((6, 6, 3), lambda **options: layers.SeparableConv2D(4, 3, padding="same", **options)),
    "Dense": ((5,), lambda **options: layers.Dense(4, **options)),
    "Dense along the last axis": ((2, 3, 5), lambda **options: layers.Dense(4, **options)),
}


@pytest.mark.onednn
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False, "epsilon": 0.1}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer_takes_the_normalization_behind_it(kind, options, use_bias):
    shape, make = KINDS[kind]
    inside = [make(use_bias=use_bias, name="layer"), norm(**options), layers.ReLU()]
    model, folded = folded_of(keras.Sequential([keras.Input(shape), *inside]))
    before = model.get_weights()
    assert [type(each) for each in folded.layers] == [type(inside[0]), layers.ReLU]
    assert folded.layers[0].name == "layer"
    assert_same(folded, model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.onednn
@pytest.mark.parametrize(
    ("kind", "axis", "is_folded"),
    [
        pytest.param("Conv2D", 1, True, marks=pytest.mark.channels_first),
        pytest.param("Conv2D", -1, False, marks=pytest.mark.channels_first),
        ("Conv2D in groups", 1, True),
        ("Conv2D in groups", -1, False),
        ("SeparableConv2D", -3, True),
    ],
)
def test_channels_first_are_normalized_along_their_axis(kind, axis, is_folded):
    shape, make = KINDS[kind]
    inside = [make(data_format="channels_first"), norm(axis=axis)]
    model, folded = folded_of(keras.Sequential([keras.Input((shape[-1], *shape[:2])), *inside]))
    assert len(folded.layers) == 2 - is_folded
    assert_same(folded, model)


def test_another_axis_than_the_channels_stays():
    model, folded = folded_of(keras.Sequential([keras.Input((4, 3)), layers.Dense(5), norm(axis=1)]))
    assert len(norms(folded)) == 1
    assert_same(folded, model)


def test_by_hand():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(2), norm(epsilon=0)])
    values = [[1, -2]], [3, 4], [10, 20], [5, 6], [1, 2], [4, 25]  # the last four: gamma, beta, mean, variance
    model.set_weights([np.array(value) for value in values])
    kernel, bias = slim.fold_batch_normalization(model).get_weights()
    np.testing.assert_array_equal(kernel, [[1 * 10 / 2, -2 * 20 / 5]])
    np.testing.assert_array_equal(bias, [5 + (3 - 1) * 10 / 2, 6 + (4 - 2) * 20 / 5])


def test_zeros_stay_zero_without_a_sign_and_shared_values_are_shared_within_a_channel():
    model = randomise(keras.Sequential([keras.Input((6, 6, 8)), layers.Conv2D(4, 3, use_bias=False), norm()]))
    conv, normalization = model.layers
    normalization.gamma.assign([-1, 2, -3, 0.5])
    kernel = np.where(np.abs(conv.kernel) < 0.1, 0, np.sign(conv.kernel)).astype("float32")
    conv.kernel.assign(kernel)
    new = np.asarray(slim.fold_batch_normalization(model).layers[0].kernel)
    np.testing.assert_array_equal(new == 0, kernel == 0)
    assert not np.signbit(new[new == 0]).any()
    assert [len(np.unique(new[..., channel])) for channel in range(4)] == [3] * 4
    assert len(np.unique(new)) == 9


def test_residual_sums_are_kept_and_all_normalizations_folded():
    model, folded = folded_of(residual())
    assert (len(norms(model)), norms(folded)) == (5, [])
    assert folded.name == model.name
    assert not isinstance(folded, keras.Sequential)
    assert not folded.compiled
    assert_same(folded, model)


@pytest.mark.parametrize("builder", BUILDERS)
def test_every_model_of_the_zoo_answers_as_before(builder, uncompiled_adder_layers):
    model = randomise(builder())
    folded = slim.fold_batch_normalization(model)
    inputs = inputs_for(model)
    ours, theirs = (keras.tree.flatten(each(inputs)) for each in (folded, model))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


def nested():
    """A Sequential inside, called twice; one that is called in training mode too; and a normalization in front."""
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="within"), norm(name="folded")], name="inner")
    x = inputs = keras.Input((4,))
    x = inner(inner(norm(name="first")(x)))
    return keras.Model(inputs, {"a": norm(name="last")(layers.Dense(3)(x)), "b": layers.Dense(2, "relu")(x)})


def test_models_inside_are_folded_and_stay_shared():
    model, folded = folded_of(nested())
    assert norms(folded) == ["first"]
    assert [type(each) for each in folded.get_layer("inner").layers] == [layers.Dense]
    assert type(folded.get_layer("inner")) is keras.Sequential
    assert [*folded.output] == ["a", "b"]
    assert_same(folded, model)


def behind(use):
    """A model of a dense layer and a normalization, called as `use` says."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, use(inputs, layers.Dense(4, name="dense"), norm(name="norm")))


def read_twice(x, dense, normalization):
    x = dense(x)
    return layers.Add()([x, normalization(x)])


def is_output(x, dense, normalization):
    x = dense(x)
    return [x, normalization(x)]


def trained_inside(x, dense, normalization):
    return keras.Sequential([keras.Input((4,)), dense, normalization])(x, training=True)


LEFT = {
    "read twice": read_twice,
    "an output too": is_output,
    "an activation between": lambda x, dense, normalization: normalization(layers.ReLU()(dense(x))),
    "an activation inside": lambda x, _, normalization: normalization(layers.Dense(4, "tanh")(x)),
    "shared layer": lambda x, dense, normalization: normalization(dense(dense(x))),
    "shared normalization": lambda x, dense, normalization: normalization(normalization(dense(x))),
    "normalization first": lambda x, dense, normalization: dense(normalization(x)),
    "in training mode": lambda x, dense, normalization: normalization(dense(x), training=True),
    "a model in training mode": trained_inside,
    "another precision": lambda x, dense, _: norm(dtype="mixed_bfloat16")(dense(x)),
    "an operation": lambda x, _, normalization: normalization(keras.ops.relu(x)),
    "another type": lambda x, _, normalization: normalization(layers.EinsumDense("ab,bc->ac", 4)(x)),
}


@pytest.mark.parametrize("use", LEFT)
def test_what_cannot_be_folded_is_left_and_the_copy_is_the_same(use):
    model, folded = folded_of(behind(LEFT[use]))
    assert norms(folded) == norms(model)
    assert folded.count_params() == model.count_params()
    assert folded is not model
    assert_same(folded, model, 0)


class OwnDense(layers.Dense):
    pass


class OwnNormalization(layers.BatchNormalization):
    pass


def adapted():
    dense = layers.Dense(4, name="dense")
    dense.build((None, 4))
    dense.enable_lora(2)
    return [dense, norm()]


def quantized():
    dense = layers.Dense(4, name="dense")
    dense.build((None, 4))
    dense.quantize("int8")
    return [dense, norm()]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: [OwnDense(4, name="dense"), norm()], "`OwnDense` derives"),
        (lambda: [layers.Dense(4, name="dense"), OwnNormalization()], "`OwnNormalization` derives"),
        (adapted, "it has a low-rank adaptation"),
        (quantized, "it is quantized"),
    ],
)
def test_what_may_compute_something_else_is_left_and_named(make, reason):
    model = keras.Sequential([keras.Input((4,)), *make()])
    with pytest.warns(slim.errors.SlimWarning, match=f"^`fold_batch_norm.* behind these layers: 'dense' .{reason}"):
        folded = slim.fold_batch_normalization(model)
    assert len(norms(folded)) == 1
    assert_same(folded, model, 1e-6)


def test_what_would_not_be_finite_is_left_and_named():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense", dtype="float16"), norm(dtype="float16")])
    model.layers[1].gamma.assign(np.full(4, 60000))
    model.layers[0].kernel.assign(np.full((4, 4), 2))
    with pytest.warns(slim.errors.SlimWarning, match=r"'dense' \(folded weights would not be finite in float16\)"):
        assert len(norms(slim.fold_batch_normalization(model))) == 1


def test_adder_layers_stay_without_a_word():
    model = keras.Sequential([keras.Input((4,)), slim.layers.AdderDense(4), norm()])
    assert len(norms(slim.fold_batch_normalization(model))) == 1


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_precision_is_kept(dtype):
    inside = [layers.Dense(4, dtype=dtype), norm(dtype=dtype), layers.ReLU(dtype="float32")]
    model, folded = folded_of(keras.Sequential([keras.Input((4,)), *inside]))
    old, new = model.layers[0], folded.layers[0]
    assert new.dtype_policy.name == old.dtype_policy.name
    assert {each.dtype for each in new.weights} == {old.variable_dtype}
    assert_same(folded, model, 1e-6 if dtype == "float64" else 0.02)


def test_constraints_regularizers_and_frozen_layers_stay():
    options = {"kernel_constraint": "max_norm", "kernel_regularizer": "l2", "trainable": False}
    _, folded = folded_of(keras.Sequential([keras.Input((4,)), layers.Dense(4, **options), norm()]))
    (dense,) = folded.layers
    assert isinstance(dense.kernel_constraint, keras.constraints.MaxNorm)
    assert isinstance(dense.kernel_regularizer, keras.regularizers.L2)
    assert dense.trainable is False


def test_a_normalization_with_a_mask_stays():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(6, 4, mask_zero=True)(inputs)
    model = randomise(keras.Model(inputs, layers.LSTM(3)(norm()(layers.Dense(4)(x)))))
    folded = slim.fold_batch_normalization(model)
    tokens = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 1, 2]])
    assert len(norms(folded)) == 1
    np.testing.assert_array_equal(folded(tokens), model(tokens))


def test_the_copy_trains_saves_and_loads(tmp_path):
    _, folded = folded_of(residual())
    folded.compile("sgd", "mse", run_eagerly=True)
    folded.fit(np.zeros((4, 8, 8, 3)), np.zeros((4, 5)), epochs=1, verbose=0)
    folded.save(tmp_path / "folded.keras")
    assert_same(keras.saving.load_model(tmp_path / "folded.keras"), folded)


def values_in_file(model, path):
    """Returns how many values the first kernel of a model has in its file."""
    slim.export_tflite(model, path, verbose=0)
    interpreter = TfliteFile(path).interpreter
    shape = [8, 3, 3, 4]  # channels of the output come first there
    (found,) = (each for each in interpreter.get_tensor_details() if each["shape"].tolist() == shape)
    return len(np.unique(interpreter.get_tensor(found["index"])))


def test_shared_values_stay_as_few_in_a_file_if_the_model_is_folded_first(tmp_path):
    inside = [layers.Conv2D(8, 3, use_bias=False), norm(), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
    model, folded = folded_of(keras.Sequential([keras.Input((6, 6, 4)), *inside]))
    for each in (model, folded):
        slim.share_weights(each, bits=2)
    assert values_in_file(model, tmp_path / "model.tflite") == 8 * 4
    assert values_in_file(folded, tmp_path / "folded.tflite") == 4


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Subclassed, slim.errors.UnsupportedLayerError, r"decides in its own code.*keras.Model\(inputs, outputs\)"),
        (lambda: keras.Sequential([layers.Dense(2)]), ValueError, r"is not built.*keras.Input"),
        (lambda: "model", TypeError, r"`model` of `fold_batch_normalization`.*a Keras model"),
    ],
)
def test_what_cannot_be_done_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        slim.fold_batch_normalization(make())
