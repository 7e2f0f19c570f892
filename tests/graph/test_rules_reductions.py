"""Reductions over channels: the masked model leaves the removed ones out, so that it answers as the shrunken one."""

import keras
import numpy as np
import pytest
from following import sizes, whole
from keras import layers, ops
from laws import check_law

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse, register_rule
from keras_slim.pruning.surgery import rebuild, silence
from keras_slim.scoring.leave_one_out import loss_rises

REDUCTIONS = {
    "mean": ops.mean,
    "sum": ops.sum,
    "max": ops.max,
    "min": ops.min,
    "amax": ops.amax,
    "prod": ops.prod,
    "std": ops.std,
    "var": ops.var,
    "median": ops.median,
    "logsumexp": ops.logsumexp,
    "norm": ops.norm,
    "ptp": ops.ptp,
    "nanmean": ops.nanmean,
    "moments": lambda x, axis, **options: ops.moments(x, axes=[axis], **options)[1],
    "count_nonzero": lambda x, axis, keepdims: ops.cast(ops.count_nonzero(ops.relu(x), axis)[..., None], "float32"),
    "all": lambda x, axis, keepdims: ops.cast(ops.all(x > 0, axis, keepdims), "float32"),
    "average": lambda x, axis, keepdims: ops.average(x, axis)[..., None],
}


def model_of(function, units=6, shape=(6, 6, 3)):
    """Returns a model with two convolutions, of which a function of the first, `hidden`, weighs the second."""
    inputs = keras.Input(shape)
    hidden = layers.Conv2D(units, 3, padding="same", activation="sigmoid", name="hidden")(inputs)
    other = layers.Conv2D(3, 1, name="other")(inputs)
    return keras.Model(inputs, layers.Conv2D(2, 1)(ops.concatenate([hidden, other * function(hidden)], axis=-1)))


@pytest.mark.parametrize("reduce", REDUCTIONS.values(), ids=REDUCTIONS)
def test_channels_that_are_reduced_can_go(reduce):
    model = model_of(lambda x: reduce(x, axis=-1, keepdims=True))
    assert sizes(model) == {"hidden": 6, "other": 3}
    check_law(model)


def test_channels_and_positions_may_be_reduced_together():
    model = model_of(lambda x: ops.mean(x, axis=(1, 2, 3), keepdims=True) + ops.max(x))
    assert sizes(model) == {"hidden": 6, "other": 3}
    check_law(model)


def test_two_axes_with_units_may_be_reduced_together():
    inputs = keras.Input((5, 4))
    x = layers.Permute((2, 1))(layers.Dense(8, name="first")(inputs))
    x = ops.mean(layers.Dense(6, name="second")(x), axis=(1, 2), keepdims=True)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert sizes(model) == {"first": 8, "second": 6}
    check_law(model)


def cbam():
    """Attention to places of Woo et al. 2018, equation 3, behind attention to channels, equation 2."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="hidden")(inputs)
    squeeze, excite = layers.Dense(4, "relu", name="squeeze"), layers.Dense(8, name="excite")
    pooled = [excite(squeeze(pool(x, axis=(1, 2), keepdims=True))) for pool in (ops.mean, ops.max)]
    x = x * ops.sigmoid(pooled[0] + pooled[1])
    places = ops.concatenate([pool(x, axis=-1, keepdims=True) for pool in (ops.mean, ops.max)], axis=-1)
    x = x * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(places)
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


def test_attention_to_places_leaves_channels_free():
    model = cbam()
    assert sizes(model) == {"hidden": 8, "squeeze": 4}
    check_law(model)


def normalized():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="hidden")(inputs)
    x = ops.layer_normalization(ops.normalize(x), np.linspace(0.5, 2, 8).astype("float32"))
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


def test_a_normalisation_written_out_leaves_channels_free():
    def norm(x):
        mean, variance = ops.moments(x, axes=[-1], keepdims=True)
        return (x - mean) * ops.rsqrt(variance + 1e-3)

    inputs = keras.Input((7, 4))
    model = keras.Model(inputs, layers.Dense(2)(norm(layers.Dense(8, name="hidden")(inputs))))
    assert sizes(model) == {"hidden": 8}
    check_law(model)


def test_the_rise_of_the_loss_without_a_unit_is_that_of_the_shrunken_model():
    model = cbam()
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    y = np.random.default_rng(1).normal(size=(4, 6, 6, 2)).astype("float32")
    graph = analyse(model)
    units = range(0, graph.num_units, 3)
    rises = loss_rises(graph, units, lambda: iter([(x, y, None)]))
    before = np.mean((model(x) - y) ** 2)
    for unit, rise in zip(units, rises, strict=True):
        small = rebuild(graph, np.arange(graph.num_units) != unit)[0]
        np.testing.assert_allclose(rise, np.mean((small(x) - y) ** 2) - before, atol=1e-6)


@pytest.mark.parametrize("build", [cbam, normalized])
def test_a_masked_and_a_shrunken_model_made_with_data_answer_alike_and_can_be_saved(build, tmp_path):
    model = build()
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype("float32")
    plan = slim.plan_pruning(model, 0.5, guards=slim.pruning.Guards(min_units=1, max_ratio=0.9, align=1))
    masked, small = (make(model, plan, x, verbose=0) for make in (slim.mask, slim.shrink))
    np.testing.assert_allclose(masked(x), small(x), atol=1e-5)
    masked.save(tmp_path / "masked.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "masked.keras")(x), masked(x))
    assert [each.name for each in masked.operations] == [each.name for each in model.operations]


def inner_mean():
    inputs = keras.Input((6,))
    return keras.Model(inputs, inputs * ops.mean(inputs, axis=-1, keepdims=True))


SHARED = [inner_mean, layers.UnitNormalization, layers.LayerNormalization]


@pytest.mark.parametrize("make", SHARED)
def test_what_is_called_twice_ties_what_it_takes_statistics_of(make):
    inputs, shared = keras.Input((4,)), make()
    first, second = layers.Dense(6, name="first")(inputs), layers.Dense(6, name="second")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(ops.concatenate([shared(first), shared(second)], axis=-1)))
    assert sizes(model) == {"first": 6}
    check_law(model)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("make", SHARED)
def test_what_is_called_on_units_and_on_none_keeps_them_whole(make, order):
    inputs, other, shared = keras.Input((4,)), keras.Input((6,)), make()
    tensors = [layers.Dense(6, name="hidden")(inputs), other]
    x = ops.concatenate([shared(tensors[order]), shared(tensors[1 - order])], axis=-1)
    assert sizes(keras.Model([inputs, other], layers.Dense(2)(x))) == {}


def test_a_block_called_on_different_numbers_of_channels_keeps_them_whole():
    inner_inputs = keras.Input((None,))
    block = keras.Model(inner_inputs, ops.mean(inner_inputs, axis=-1, keepdims=True))
    inputs = keras.Input((4,))
    tensors = layers.Dense(6, name="six")(inputs), layers.Dense(8, name="eight")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(ops.concatenate([block(each) for each in tensors], axis=-1)))
    assert sizes(model) == {}
    assert "different numbers of channels" in whole(model)["six"]
    assert "different numbers of channels" in whole(model)["eight"]


class ScaledMean(layers.Layer):
    """Its rule takes statistics, for which it has no twin."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), name="scale", initializer="ones")

    def call(self, x):
        return ops.mean(x, axis=-1, keepdims=True) * self.scale


def test_a_layer_with_weights_and_without_a_twin_is_refused_by_name():
    @register_rule(ScaledMean, override=True)
    def scaled_mean(call):
        call.statistics(1, call.inputs[0].along(1))
        return call.output({})

    inputs = keras.Input((4,))
    x = ScaledMean(name="scaled")(layers.Dense(6, name="hidden")(inputs))
    graph = analyse(keras.Model(inputs, layers.Dense(2)(x)))
    with pytest.raises(UnsupportedLayerError, match="'scaled'.*no twin of `ScaledMean`.*twin_of"):
        silence(graph, np.arange(6) > 2)


SCALE, SHIFT = np.linspace(0.5, 2, 6).astype("float32"), np.linspace(-1, 1, 6).astype("float32")
NORMS = {
    "normalize": lambda x: ops.normalize(x, axis=-1),
    "normalize by another order": lambda x: ops.normalize(x, axis=-1, order=1),
    "normalize over positions too": lambda x: ops.normalize(x, axis=(1, -1)),
    "layer_normalization": lambda x: ops.layer_normalization(x, SCALE, SHIFT, epsilon=1e-3),
    "layer_normalization without weights": lambda x: ops.layer_normalization(x, axis=-1),
    "layer_normalization over positions too": lambda x: ops.layer_normalization(
        x, np.outer(SHIFT, SCALE), np.ones((6, 6), "float32"), axis=(2, 3)
    ),
    "layer_normalization by a tensor": lambda x: ops.layer_normalization(
        x, ops.mean(layers.Dense(6, name="scale")(x), axis=(0, 1, 2)), SHIFT
    ),
    "rms_normalization": lambda x: ops.rms_normalization(x, SCALE, epsilon=1e-3),
    "batch_normalization": lambda x: ops.batch_normalization(x, SHIFT, SCALE, 3, offset=SHIFT, scale=SCALE),
}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_channels_that_an_operation_normalizes_can_go(norm):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3, padding="same", name="hidden")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(norm(x)))
    assert sizes(model) == {"hidden": 6}
    _, masked = check_law(model)
    assert masked.count_params() == model.count_params()


def test_channels_that_meet_a_scale_of_another_shape_stay_whole():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3, padding="same", name="hidden")(inputs)
    x = ops.layer_normalization(x, np.ones(1, "float32"), np.zeros(1, "float32"))
    assert "of another shape" in whole(keras.Model(inputs, layers.Conv2D(2, 1)(x)))["hidden"]
